use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex};

use super::*;
use crate::event::Silent;
use crate::fetch::{Body, Fetcher, Headers, Method, Request, Response, Schedule, Transport, TransportError};
use crate::image::oci::{Annotations, EMPTY, Index, Layout, LayoutWriter, Manifest, Platform, media_type};
use crate::store::Store;

const REFERENCE: &str = "registry.example.org/team/web:v1";

/// A registry in memory, which keeps to the specification as far as it is not told otherwise.
#[derive(Debug, Default)]
struct Fake {
    blobs: BTreeMap<(String, Digest), Vec<u8>>,
    manifests: BTreeMap<(String, String), (String, Vec<u8>)>,
    uploads: BTreeMap<String, Vec<u8>>,
    begun: u32,
    /// Method and path of every request.
    log: Vec<String>,
    /// Whether a token is wanted, and how often one is taken.
    tokens: Option<u32>,
    token: u32,
    token_left: u32,
    /// Which scopes were asked for, with which `Authorization`.
    token_requests: Vec<String>,
    /// Whether referrers are known.
    referrers: bool,
    /// How many chunks of more than 500 bytes break off half-way.
    breaks: u32,
    /// Whether only one chunk is taken.
    one_chunk: bool,
    /// Whether an upload that broke off is forgotten.
    forgetful: bool,
    /// What is handed out instead of the blobs and manifests that are there.
    lie: Option<Vec<u8>>,
    /// How many manifests are refused although their blobs are there, as happens while another push brings the same ones.
    blind: u32,
    /// Puts something under a tag right after it was looked for.
    rival: Option<(String, Vec<u8>)>,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Fake>>);

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Shared")
    }
}

impl Transport for Shared {
    fn send(&self, request: Request<'_>) -> Result<Response, TransportError> {
        let url = request.url.clone();
        let mut fake = self.0.lock().unwrap();
        let (status, headers, body) = fake.answer(request)?;
        let body = if status == 204 { Vec::new() } else { body };
        let headers = headers.with("content-length", body.len().to_string());
        Ok(Response { status, headers, url, body: Box::new(io::Cursor::new(body)) })
    }
}

type Answer = (u16, Headers, Vec<u8>);

fn plain(status: u16) -> Answer {
    (status, Headers::new(), Vec::new())
}

impl Fake {
    fn answer(&mut self, request: Request<'_>) -> Result<Answer, TransportError> {
        let Request { method, url, headers, body, hurried: _ } = request;
        let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        if url.host_str() == Some("auth.example.org") {
            self.token += 1;
            self.token_left = self.tokens.unwrap_or_default();
            let scopes: Vec<_> =
                url.query_pairs().filter(|(key, _)| key == "scope").map(|(_, value)| value.into_owned()).collect();
            self.token_requests.push(format!("{} {}", scopes.join(" "), authorization(&headers)));
            return Ok((
                200,
                Headers::new(),
                format!(r#"{{"token":"t{}","expires_in":300}}"#, self.token).into_bytes(),
            ));
        }
        self.log.push(format!("{} {}", method.as_str(), url.path()));
        if self.tokens.is_some() {
            if authorization(&headers) != format!("Bearer t{}", self.token) || self.token_left == 0 {
                let challenge = r#"Bearer realm="https://auth.example.org/token",service="registry""#;
                return Ok((401, Headers::new().with("www-authenticate", challenge), b"{}".to_vec()));
            }
            self.token_left -= 1;
        }
        let path = url.path().strip_prefix("/v2/").unwrap().to_owned();
        let (kind, place) = ["blobs/uploads/", "blobs/", "manifests/", "referrers/"]
            .into_iter()
            .find_map(|kind| Some((kind, path.find(&format!("/{kind}"))?)))
            .unwrap();
        let (repository, name) = (path[..place].to_owned(), path[place + 1 + kind.len()..].to_owned());
        match (kind, method) {
            ("blobs/uploads/", _) => self.upload(method, (&repository, &name), &query, (&headers, body)),
            ("blobs/", _) => {
                let digest: Digest = name.parse().unwrap();
                let Some(bytes) = self.blobs.get(&(repository, digest)) else { return Ok(plain(404)) };
                let bytes = self.lie.clone().unwrap_or_else(|| bytes.clone());
                Ok((200, Headers::new(), if method == Method::Head { Vec::new() } else { bytes }))
            }
            ("manifests/", Method::Put) => Ok(self.put(repository, name, (&headers, body))),
            ("manifests/", _) => Ok(self.manifest(&repository, &name, method)),
            _ => Ok(self.list(&repository, &name)),
        }
    }

    fn upload(
        &mut self,
        method: Method,
        (repository, id): (&str, &str),
        query: &BTreeMap<String, String>,
        (headers, body): (&Headers, Body<'_>),
    ) -> Result<Answer, TransportError> {
        let state = |id: &str, length: usize, status| {
            let headers =
                Headers::new().with("location", format!("/v2/{repository}/blobs/uploads/{id}?state={length}"));
            (status, headers.with("range", format!("0-{}", length.saturating_sub(1))), Vec::new())
        };
        if method == Method::Post {
            if let (Some(digest), Some(from)) = (query.get("mount"), query.get("from")) {
                let digest: Digest = digest.parse().unwrap();
                if let Some(bytes) = self.blobs.get(&(from.clone(), digest)).cloned() {
                    self.blobs.insert((repository.to_owned(), digest), bytes);
                    return Ok(plain(201));
                }
            }
            self.begun += 1;
            self.uploads.insert(format!("u{}", self.begun), Vec::new());
            return Ok(state(&format!("u{}", self.begun), 0, 202));
        }
        let Some(held) = self.uploads.get_mut(id) else { return Ok(plain(404)) };
        let mut bytes = bytes(body);
        let first = headers.get("content-range").and_then(|range| range.split('-').next()?.parse::<usize>().ok());
        if first.is_some_and(|first| first != held.len()) {
            return Ok(state(id, held.len(), 416));
        }
        if self.one_chunk && method == Method::Patch && !held.is_empty() {
            return Ok(plain(416));
        }
        if self.breaks > 0 && bytes.len() > 500 && matches!(method, Method::Patch | Method::Put) {
            self.breaks -= 1;
            bytes.truncate(bytes.len() / 2);
            held.extend(bytes);
            if self.forgetful {
                self.uploads.remove(id);
            }
            return Err(TransportError::connection(&io::ErrorKind::ConnectionReset.into()));
        }
        held.extend(bytes);
        if method != Method::Put {
            return Ok(state(id, held.len(), if method == Method::Get { 204 } else { 202 }));
        }
        let whole = self.uploads.remove(id).unwrap();
        let digest: Digest = query["digest"].parse().unwrap();
        if Digest::of(&whole) != digest {
            return Ok((400, Headers::new(), br#"{"errors":[{"code":"DIGEST_INVALID","message":"no"}]}"#.to_vec()));
        }
        self.blobs.insert((repository.to_owned(), digest), whole);
        Ok(plain(201))
    }

    fn put(&mut self, repository: String, name: String, (headers, body): (&Headers, Body<'_>)) -> Answer {
        let bytes = bytes(body);
        let kind = headers.get("content-type").unwrap().to_owned();
        let digest = Digest::of(&bytes);
        if media_type::is_manifest(&kind) {
            let manifest = Manifest::read(&bytes).unwrap();
            let blind = self.blind > 0;
            self.blind = self.blind.saturating_sub(1);
            for blob in manifest.layers.iter().chain([&manifest.config]) {
                if blind || !self.blobs.contains_key(&(repository.clone(), blob.digest)) {
                    return (400, Headers::new(), br#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}"#.to_vec());
                }
            }
        }
        let mut answer = Headers::new().with("docker-content-digest", digest.to_string());
        if self.referrers && media_type::is_manifest(&kind) {
            answer = match Manifest::read(&bytes).unwrap().subject {
                Some(subject) => answer.with("oci-subject", subject.digest.to_string()),
                None => answer,
            };
        }
        for under in [name, digest.to_string()] {
            self.manifests.insert((repository.clone(), under), (kind.clone(), bytes.clone()));
        }
        (201, answer, Vec::new())
    }

    fn manifest(&mut self, repository: &str, name: &str, method: Method) -> Answer {
        let Some((kind, bytes)) = self.manifests.get(&(repository.to_owned(), name.to_owned())).cloned() else {
            return (404, Headers::new(), br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"unknown"}]}"#.to_vec());
        };
        if let Some(rival) = self.rival.take() {
            self.manifests.insert((repository.to_owned(), name.to_owned()), rival);
        }
        let bytes = self.lie.clone().unwrap_or(bytes);
        let headers =
            Headers::new().with("content-type", kind).with("docker-content-digest", Digest::of(&bytes).to_string());
        (200, headers, if method == Method::Head { Vec::new() } else { bytes })
    }

    fn list(&self, repository: &str, subject: &str) -> Answer {
        if !self.referrers {
            return plain(404);
        }
        let own = self.manifests.iter().filter(|((own, name), _)| own == repository && name.starts_with("sha256:"));
        let attached = own.filter_map(|(_, (kind, bytes))| {
            let manifest = Manifest::read(bytes).ok()?;
            (manifest.subject?.digest.to_string() == subject).then(|| crate::image::oci::Descriptor::of(kind, bytes))
        });
        (200, Headers::new(), Index::new(attached.collect()).to_bytes())
    }
}

fn authorization(headers: &Headers) -> String {
    // What is secret is not shown; a transport sends it.
    headers.sent("authorization").unwrap_or_default().to_owned()
}

fn bytes(body: Body<'_>) -> Vec<u8> {
    match body {
        Body::Empty => Vec::new(),
        Body::Bytes(bytes) => bytes.to_vec(),
        Body::Stream { from, length } => {
            let mut bytes = Vec::new();
            from.take(length).read_to_end(&mut bytes).unwrap();
            bytes
        }
    }
}

/// What a test works with: a registry, and a store and layouts in a folder.
struct Bench {
    folder: tempfile::TempDir,
    store: Store,
    fake: Shared,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        Self { folder, store, fake: Shared::default() }
    }

    fn client(&self) -> Client {
        let fetcher = Fetcher::new(self.fake.clone(), false).scheduled(Schedule::default(), |_| {});
        let path = self.folder.path().join("auth.json");
        fs::write_atomic(&path, br#"{"auths": {"registry.example.org": {"auth": "dXNlcjpwYXNz"}}}"#).unwrap();
        let settings =
            ClientSettings { credentials: CredentialFiles::new(vec![path], true), ..ClientSettings::default() };
        let mut client = Client::new(fetcher, settings);
        (client.parallel, client.chunk) = (1, 1000);
        client
    }

    fn fake(&self) -> std::sync::MutexGuard<'_, Fake> {
        self.fake.0.lock().unwrap()
    }

    /// Writes a layout with an image of these layers, and notes that are attached to it.
    fn layout(&self, layers: &[&[u8]], notes: &[&str]) -> Layout {
        let name = format!("layout-{}", Digest::of(layers.concat()).hex());
        let writer = LayoutWriter::create(&self.folder.path().join(name)).unwrap();
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":[]}},"n":{}}}"#,
            layers.len()
        );
        let config = writer.put_bytes(media_type::CONFIG, config.as_bytes()).unwrap();
        let layers = layers.iter().map(|layer| writer.put_bytes(media_type::LAYER, layer).unwrap()).collect();
        let manifest = Manifest::image(config, layers, Annotations::new());
        let mut entries = vec![writer.put_bytes(media_type::MANIFEST, &manifest.to_bytes()).unwrap()];
        for note in notes {
            writer.put_bytes(media_type::EMPTY, EMPTY).unwrap();
            let note = writer.put_bytes("text/plain", note.as_bytes()).unwrap();
            let attached = Manifest::attached("application/x-note", vec![note], entries[0].clone(), Annotations::new());
            entries.push(writer.put_bytes(media_type::MANIFEST, &attached.to_bytes()).unwrap());
        }
        writer.finish(&Index::new(entries)).unwrap()
    }

    fn push(&self, layout: &Layout, reference: &str) -> Result<Pushed, RegistryError> {
        self.fake().log.clear();
        self.client().push(&self.store, layout, &reference.parse().unwrap(), &Silent)
    }

    fn pull(&self, store: &Store, reference: &str) -> Result<Pulled, RegistryError> {
        let platform = Platform { architecture: "amd64".into(), os: "linux".into(), variant: None };
        self.client().pull(store, &reference.parse().unwrap(), &Selected::Platform(platform), &Silent)
    }

    fn log(&self, method: &str) -> usize {
        self.fake().log.iter().filter(|line| line.starts_with(method)).count()
    }

    fn other_store(&self, name: &str) -> Store {
        Store::open(&self.folder.path().join(name)).unwrap()
    }
}

#[test]
fn what_was_pushed_is_pulled() {
    let bench = Bench::new();
    let layout = bench.layout(&[b"one", &[7; 4500]], &[]);
    let pushed = bench.push(&layout, REFERENCE).unwrap();
    assert!(!pushed.unchanged && pushed.blobs.iter().all(|blob| blob.sent == Sent::Uploaded));
    assert_eq!((bench.log("POST"), bench.log("PATCH"), bench.log("PUT")), (3, 4, 4), "{:?}", bench.fake().log);
    let store = bench.other_store("other");
    let pulled = bench.pull(&store, REFERENCE).unwrap();
    assert_eq!(pulled.reference.to_string(), pushed.reference);
    let written = pulled.write(&store, &bench.folder.path().join("pulled")).unwrap();
    assert_eq!(written.images().unwrap()[0].1, layout.images().unwrap()[0].1);
    for blob in written.blobs(&written.images().unwrap()[0].0).unwrap() {
        written.check(&blob).unwrap();
    }
}

#[test]
fn only_what_changed_is_sent() {
    let bench = Bench::new();
    bench.push(&bench.layout(&[b"one", b"two"], &[]), REFERENCE).unwrap();
    let pushed = bench.push(&bench.layout(&[b"one", b"two"], &[]), REFERENCE).unwrap();
    assert!(pushed.unchanged);
    assert_eq!(
        bench.fake().log,
        ["GET /v2/team/web/manifests/v1", "GET /v2/team/web/referrers/x"].map(|line| line.to_owned())[..1]
    );
    bench.push(&bench.layout(&[b"one", b"new"], &[]), REFERENCE).unwrap();
    assert_eq!((bench.log("HEAD"), bench.log("POST"), bench.log("PUT")), (1, 1, 2), "{:?}", bench.fake().log);
}

#[test]
fn a_manifest_is_put_again_while_its_blobs_are_not_found() {
    let bench = Bench::new();
    bench.fake().blind = 2;
    bench.push(&bench.layout(&[b"one"], &[]), REFERENCE).unwrap();
    assert_eq!(bench.fake().log.iter().filter(|line| line.starts_with("PUT /v2/team/web/manifests/")).count(), 3);
    bench.fake().blind = u32::MAX;
    let error = bench.push(&bench.layout(&[b"two"], &[]), REFERENCE).unwrap_err().to_string();
    assert!(error.contains("MANIFEST_BLOB_UNKNOWN"), "{error}");
}

#[test]
fn blobs_are_taken_from_other_repositories() {
    let bench = Bench::new();
    let layout = bench.layout(&[b"one", b"two"], &[]);
    bench.push(&layout, REFERENCE).unwrap();
    let pushed = bench.push(&layout, "registry.example.org/team/other:v1").unwrap();
    assert!(pushed.blobs.iter().all(|blob| blob.sent == Sent::Mounted), "{pushed:?}");
    // One that has lost them gets them, in the upload that it begins instead.
    bench.fake().blobs.retain(|(repository, _), _| repository == "nobody");
    let pushed = bench.push(&layout, "registry.example.org/team/third:v1").unwrap();
    assert!(pushed.blobs.iter().all(|blob| blob.sent == Sent::Uploaded), "{pushed:?}");
    assert_eq!(bench.log("POST"), 3);
}

#[test]
fn uploads_go_on_where_they_broke_off() {
    let bench = Bench::new();
    let layer: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).take(4500).collect();
    bench.fake().breaks = 3;
    let pushed = bench.push(&bench.layout(&[&layer], &[]), REFERENCE).unwrap();
    let digest = Digest::of(&layer);
    assert_eq!(bench.fake().blobs[&("team/web".to_owned(), digest)], layer);
    assert_eq!((bench.fake().begun, pushed.blobs.len()), (2, 2), "each upload was begun once");
    assert!(bench.log("GET /v2/team/web/blobs/uploads/") >= 2);
}

#[test]
fn the_next_run_goes_on_with_an_upload() {
    let bench = Bench::new();
    let layer: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).take(4500).collect();
    let layout = bench.layout(&[&layer], &[]);
    bench.fake().breaks = 1000;
    let error = bench.push(&layout, REFERENCE).unwrap_err();
    assert!(matches!(error, RegistryError::Fetch { .. }), "{error}");
    bench.fake().breaks = 0;
    let begun = bench.fake().begun;
    let held: usize = bench.fake().uploads.values().map(Vec::len).max().unwrap();
    assert!(held > 500, "{held}");
    bench.push(&layout, REFERENCE).unwrap();
    let again = bench.fake().begun - begun;
    assert!(again <= 1, "only what was not begun yet is begun");
    assert_eq!(bench.log("PATCH"), (4500 - held).div_ceil(1000) - 1);
}

#[test]
fn an_upload_that_is_forgotten_is_begun_anew() {
    let bench = Bench::new();
    (bench.fake().breaks, bench.fake().forgetful) = (2, true);
    bench.push(&bench.layout(&[&[9; 4500]], &[]), REFERENCE).unwrap();
    assert_eq!(bench.fake().blobs[&("team/web".to_owned(), Digest::of([9; 4500]))], [9; 4500]);
    // There is an end to it.
    let bench = Bench::new();
    (bench.fake().breaks, bench.fake().forgetful) = (u32::MAX, true);
    assert!(bench.push(&bench.layout(&[&[9; 4500]], &[]), REFERENCE).is_err());
    assert!(bench.fake().begun < 20, "{}", bench.fake().begun);
}

#[test]
fn registries_that_take_no_chunks_get_it_whole() {
    let bench = Bench::new();
    bench.fake().one_chunk = true;
    bench.push(&bench.layout(&[&[9; 4500]], &[]), REFERENCE).unwrap();
    assert_eq!(bench.fake().blobs[&("team/web".to_owned(), Digest::of([9; 4500]))], [9; 4500]);
}

#[test]
fn a_damaged_layout_is_not_sent() {
    let bench = Bench::new();
    let layout = bench.layout(&[b"one"], &[]);
    fs::write_atomic(&layout.path().join("blobs/sha256").join(Digest::of(b"one").hex()), b"two").unwrap();
    assert!(matches!(bench.push(&layout, REFERENCE), Err(RegistryError::Image(OciError::Digest { .. }))));
    assert!(bench.fake().manifests.is_empty());
}

#[test]
fn tokens_are_got_and_renewed() {
    let bench = Bench::new();
    bench.fake().tokens = Some(3);
    let layout = bench.layout(&[b"one", &[7; 4500]], &["note"]);
    bench.push(&layout, REFERENCE).unwrap();
    let store = bench.other_store("other");
    bench.pull(&store, REFERENCE).unwrap();
    let fake = bench.fake();
    assert!(fake.token > 3, "{}", fake.token);
    assert_eq!(fake.token_requests[0], "repository:team/web:pull,push Basic dXNlcjpwYXNz");
    assert_eq!(fake.token_requests.last().unwrap(), "repository:team/web:pull Basic dXNlcjpwYXNz");
    drop(fake);
    bench.push(&layout, "registry.example.org/team/other:v1").unwrap();
    let wanted = "repository:team/other:pull,push repository:team/web:pull Basic dXNlcjpwYXNz";
    assert!(bench.fake().token_requests.iter().any(|asked| asked == wanted), "{:?}", bench.fake().token_requests);
}

#[test]
fn who_may_not_is_told_what_to_do() {
    let bench = Bench::new();
    bench.fake().tokens = Some(0);
    let error = bench.push(&bench.layout(&[b"one"], &[]), REFERENCE).unwrap_err().to_string();
    assert_eq!(
        error,
        "the registry registry.example.org does not let the user who is logged in push to `team/web`; log in with `podman \
         login registry.example.org` or `docker login registry.example.org` as a user who may, or check the name"
            .replace("`; ", "` ({}); ")
    );
    let error = Bench::new().pull(&bench.store, REFERENCE).unwrap_err().to_string();
    assert!(error.contains("has no manifest `v1` in `team/web` (MANIFEST_UNKNOWN: unknown)"), "{error}");
}

#[test]
fn something_else_is_refused() {
    let bench = Bench::new();
    let pushed = bench.push(&bench.layout(&[b"one"], &[]), REFERENCE).unwrap();
    let by_digest = format!("registry.example.org/team/web@{}", pushed.digest);
    bench.fake().lie = Some(b"something else".to_vec());
    let store = bench.other_store("other");
    let error = bench.pull(&store, &by_digest).unwrap_err();
    assert!(matches!(error, RegistryError::Digest { .. }), "{error}");
    bench.fake().lie = None;
    let manifest = Manifest::read(&bench.fake().manifests[&("team/web".to_owned(), "v1".to_owned())].1).unwrap();
    let repository = bench.client();
    let repository = repository.push_to(&REFERENCE.parse().unwrap()).unwrap();
    for lie in [b"two".to_vec(), b"longer".to_vec(), b"1".to_vec()] {
        bench.fake().lie = Some(lie);
        let error = repository.blob(&store, &manifest.layers[0], &Silent).unwrap_err();
        assert!(matches!(error, RegistryError::Fetch { .. }), "{error}");
    }
    assert_eq!(store.downloaded(&Digest::of(b"one")).unwrap(), None);
}

#[test]
fn a_tag_that_moves_mixes_nothing() {
    let bench = Bench::new();
    let old = bench.push(&bench.layout(&[b"old"], &[]), REFERENCE).unwrap();
    bench.push(&bench.layout(&[b"new", b"newer"], &[]), "registry.example.org/team/web:v2").unwrap();
    let rival = bench.fake().manifests[&("team/web".to_owned(), "v2".to_owned())].clone();
    bench.fake().rival = Some(rival);
    let store = bench.other_store("other");
    let pulled = bench.pull(&store, REFERENCE).unwrap();
    assert_eq!(pulled.root.descriptor.digest, old.digest);
    assert!(store.downloaded(&Digest::of(b"old")).unwrap().is_some());
    assert_ne!(bench.pull(&store, REFERENCE).unwrap().root.descriptor.digest, old.digest, "the tag has moved");
}

#[test]
fn what_is_attached_goes_along() {
    for interface in [true, false] {
        let bench = Bench::new();
        bench.fake().referrers = interface;
        let layout = bench.layout(&[b"one"], &["a note", "another"]);
        let pushed = bench.push(&layout, REFERENCE).unwrap();
        assert_eq!(pushed.attached.len(), 2);
        let last = bench.fake().log.last().unwrap().clone();
        assert_eq!(last, "PUT /v2/team/web/manifests/v1", "the tag comes last");
        let tag = format!("sha256-{}", pushed.digest.hex());
        assert_eq!(bench.fake().manifests.contains_key(&("team/web".to_owned(), tag)), !interface);
        bench.push(&layout, REFERENCE).unwrap();
        assert_eq!(bench.log("PUT"), 0, "what is attached is not attached again");
        let store = bench.other_store("other");
        let mut pulled = bench.pull(&store, REFERENCE).unwrap();
        bench.client().pull_attached(&store, &mut pulled, &Silent).unwrap();
        let written = pulled.write(&store, &bench.folder.path().join("pulled")).unwrap();
        let attached = written.referrers(&pushed.digest).unwrap();
        assert_eq!(attached.len(), 2);
        let note = &attached.iter().find(|(_, manifest)| manifest.layers[0].digest == Digest::of("a note")).unwrap().1;
        assert_eq!(written.blob(&note.layers[0]).unwrap().read(10).unwrap().unwrap(), b"a note");
    }
}

#[test]
fn a_list_of_attachments_is_not_lost_to_a_rival() {
    let bench = Bench::new();
    let layout = bench.layout(&[b"one"], &["a note"]);
    bench.push(&layout, REFERENCE).unwrap();
    let pushed = bench.push(&layout, REFERENCE).unwrap();
    let tag = ("team/web".to_owned(), format!("sha256-{}", pushed.digest.hex()));
    bench.fake().manifests.get_mut(&tag).unwrap().1 = Index::new(Vec::new()).to_bytes();
    let attached = layout.referrers(&pushed.digest).unwrap().remove(0);
    let document = Document::new(layout.document(&attached.0).unwrap(), Some(media_type::MANIFEST));
    // Somebody replaces the list right after it was looked at.
    let rival = (media_type::INDEX.to_owned(), Index::new(Vec::new()).to_bytes());
    bench.fake().rival = Some(rival);
    let client = bench.client();
    client.push_to(&REFERENCE.parse().unwrap()).unwrap().attach(&document).unwrap();
    let list = Index::read(&bench.fake().manifests[&tag].1).unwrap();
    assert_eq!(list.manifests[0].digest, attached.0.digest);
    assert_eq!(list.manifests[0].artifact_type.as_deref(), Some("application/x-note"));
}

#[test]
fn platforms_are_chosen_from_an_index() {
    let bench = Bench::new();
    let mut entries = Vec::new();
    let writer = LayoutWriter::create(&bench.folder.path().join("platforms")).unwrap();
    for architecture in ["amd64", "arm64"] {
        let config = format!(r#"{{"architecture":"{architecture}","os":"linux","rootfs":{{"type":"layers"}}}}"#);
        let config = writer.put_bytes(media_type::CONFIG, config.as_bytes()).unwrap();
        let layer = writer.put_bytes(media_type::LAYER, architecture.as_bytes()).unwrap();
        let manifest = Manifest::image(config, vec![layer], Annotations::new());
        let mut entry = writer.put_bytes(media_type::MANIFEST, &manifest.to_bytes()).unwrap();
        entry.platform = Some(Platform { architecture: architecture.into(), os: "linux".into(), variant: None });
        entries.push(entry);
    }
    let layout = writer.finish(&Index::new(entries.clone())).unwrap();
    let pushed = bench.push(&layout, REFERENCE).unwrap();
    assert_ne!(pushed.digest, entries[0].digest);
    let store = bench.other_store("other");
    let pulled = bench.pull(&store, REFERENCE).unwrap();
    assert_eq!((pulled.root.descriptor.digest, pulled.reference.digest), (entries[0].digest, Some(pushed.digest)));
    assert!(store.downloaded(&Digest::of("amd64")).unwrap().is_some());
    assert!(store.downloaded(&Digest::of("arm64")).unwrap().is_none());
    let client = bench.client();
    let other = Platform { architecture: "riscv64".into(), os: "linux".into(), variant: None };
    let error = client.pull(&store, &REFERENCE.parse().unwrap(), &Selected::Platform(other), &Silent).unwrap_err();
    assert_eq!(error.to_string(), format!("`{REFERENCE}` is not for linux/riscv64: it has linux/amd64, linux/arm64"));
    let all = client.pull(&store, &REFERENCE.parse().unwrap(), &Selected::All, &Silent).unwrap();
    assert_eq!(all.documents.len(), 3);
    let written = all.write(&store, &bench.folder.path().join("all")).unwrap();
    assert_eq!(written.images().unwrap().len(), 2);
}

#[test]
fn hostile_manifests_are_refused() {
    let bench = Bench::new();
    let layers = vec![crate::image::oci::Descriptor::of(media_type::LAYER, b"x"); 100_000];
    let config = crate::image::oci::Descriptor::of(media_type::CONFIG, b"{}");
    let many = Manifest::image(config.clone(), layers.clone(), Annotations::new()).to_bytes();
    let few = Manifest::image(config.clone(), layers[..1000].to_vec(), Annotations::new()).to_bytes();
    bench.fake().blobs.insert(("team/web".into(), config.digest), b"{}".to_vec());
    let huge = crate::image::oci::Descriptor::new(media_type::LAYER, Digest::of(b"x"), u64::MAX);
    let large = Manifest::image(config, vec![huge], Annotations::new()).to_bytes();
    let index = Index::new(layers[..20_000].to_vec()).to_bytes();
    let mut deep = Index::new(Vec::new()).to_bytes();
    for (name, bytes, wanted) in [
        ("many", many, "has more than the 4194304 bytes"),
        ("few", few, "more layers than 512"),
        ("large", large, "more bytes of a blob than"),
        ("index", index, "is not for linux/amd64"),
        ("text", b"no manifest".to_vec(), "cannot be read"),
    ] {
        let kind = if name == "index" { media_type::INDEX } else { media_type::MANIFEST };
        bench.fake().manifests.insert(("team/web".into(), name.into()), (kind.into(), bytes));
        let error = bench.pull(&bench.store, &format!("registry.example.org/team/web:{name}")).unwrap_err().to_string();
        assert!(error.contains(wanted), "{name}: {error}");
    }
    for _ in 0..6 {
        let mut inner = crate::image::oci::Descriptor::of(media_type::INDEX, &deep);
        bench.fake().manifests.insert(("team/web".into(), inner.digest.to_string()), (media_type::INDEX.into(), deep));
        inner.platform = Some(Platform { architecture: "amd64".into(), os: "linux".into(), variant: None });
        deep = Index::new(vec![inner]).to_bytes();
    }
    bench.fake().manifests.insert(("team/web".into(), "deep".into()), (media_type::INDEX.into(), deep));
    let error = bench.pull(&bench.store, "registry.example.org/team/web:deep").unwrap_err().to_string();
    assert!(error.contains("indexes inside each other"), "{error}");
}

#[test]
fn secrets_are_in_no_debug_text() {
    let bench = Bench::new();
    bench.fake().tokens = Some(100);
    let client = bench.client();
    client.push(&bench.store, &bench.layout(&[b"one"], &[]), &REFERENCE.parse().unwrap(), &Silent).unwrap();
    let text = format!("{client:?}");
    assert!(text.contains("Password") && text.contains("Token"), "they are there: {text}");
    for secret in ["dXNlcjpwYXNz", "\"pass\"", "\"t1\""] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}
