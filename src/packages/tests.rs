//! From what is asked for to files, with repositories in memory.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::installed::Installed;
use super::*;
use crate::digest::Digest;
use crate::distro::{Architecture, Distro, Wish, describe};
use crate::event::Silent;
use crate::fetch::{Fetcher, Headers, Request, Response, Schedule, Transport, TransportError};
use crate::lock::{Bundle, LockedPackage};
use crate::resolve::{Bundled, Keys, PackageSettings, PackageSource, SourceContent, VersionComparison, VersionWish};
use crate::spec::{DistroTable, Located, PackageVariant, Place, Project};
use crate::store::Store;
use crate::tree::{Content, Kind, Meta, Node, Tree};

const NOW: i64 = 1_757_146_141 + 3600;
const DATE: &str = "Sat, 06 Sep 2025 08:09:01 UTC";

/// A server: what is where, and what was asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Server {
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Transport for Server {
    fn send(&self, request: Request<'_>) -> Result<Response, TransportError> {
        let url = request.url.to_string();
        self.asked.lock().unwrap().push(url.clone());
        let found = self.files.lock().unwrap().get(&url).cloned();
        let status = if found.is_some() { 200 } else { 404 };
        let body = found.unwrap_or_default();
        let headers = Headers::new().with("content-length", body.len().to_string());
        Ok(Response { status, headers, url: request.url, body: Box::new(Cursor::new(body)) })
    }
}

/// A package of the tests: name, version, other fields.
type Line<'text> = (&'text str, &'text str, &'text str);

impl Server {
    pub(super) fn put(&self, url: &str, bytes: &[u8]) {
        self.files.lock().unwrap().insert(url.to_owned(), bytes.to_vec());
    }

    pub(super) fn get(&self, url: &str) -> Vec<u8> {
        self.files.lock().unwrap()[url].clone()
    }

    pub(super) fn remove(&self, part: &str) {
        self.files.lock().unwrap().retain(|url, _| !url.contains(part));
    }

    /// Returns what was asked for since the last time.
    pub(super) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// Serves a repository with these packages below `base`.
    fn publish(&self, base: &str, date: &str, more: &str, packages: &[Line<'_>]) {
        let mut index = String::new();
        for (name, version, fields) in packages {
            let body = format!("{name} {version}");
            let path = format!("pool/{name}_{version}_amd64.deb");
            self.put(&format!("{base}{path}"), body.as_bytes());
            let (size, digest) = (body.len(), Digest::of(&body).hex());
            index += &format!(
                "Package: {name}\nVersion: {version}\nArchitecture: amd64\n{fields}Filename: {path}\nSize: {size}\n\
                 SHA256: {digest}\n\n"
            );
        }
        let digest = Digest::of(&index).hex();
        let path = "main/binary-amd64/Packages";
        let text = format!(
            "Suite: stable\nCodename: test\nDate: {date}\n{more}Architectures: amd64\nComponents: main\nSHA256:\n {digest} {} {path}\n",
            index.len()
        );
        self.put(&format!("{base}dists/test/Release"), text.as_bytes());
        self.put(&format!("{base}dists/test/{path}"), index.as_bytes());
        self.put(&format!("{base}dists/test/main/binary-amd64/by-hash/SHA256/{digest}"), index.as_bytes());
    }
}

/// A profile, a machine and a server.
pub(super) struct World {
    pub(super) _folder: tempfile::TempDir,
    pub(super) store: Store,
    pub(super) server: Server,
    pub(super) network: Network,
    pub(super) distro: Distro,
    pub(super) bundled: Bundled,
}

pub(super) const BASE: &str = "http://repository.example/";

fn world() -> World {
    world_of("debian")
}

/// Returns a world for a distro, with one source, `test`.
pub(super) fn world_of(distro: &str) -> World {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::default();
    let wish = Wish { release: None, architecture: Some(Architecture::X86_64) };
    let name = Located::new(distro.parse().unwrap(), Place::file("test"));
    let project = Project::open(Path::new("/nowhere"));
    World {
        store: Store::open(&folder.path().join("store")).unwrap(),
        network: network(&server, false),
        distro: describe(&project, &name, &DistroTable::default(), &wish).unwrap(),
        bundled: Bundled {
            requests: BTreeMap::from([("app".to_owned(), None)]),
            tags: BTreeMap::new(),
            settings: PackageSettings { variant: PackageVariant::None, ..PackageSettings::default() },
            sources: vec![source("test", &[BASE])],
        },
        _folder: folder,
        server,
    }
}

pub(super) fn network(server: &Server, offline: bool) -> Network {
    let schedule = Schedule { attempts: 1, ..Schedule::default() };
    let fetcher = Fetcher::new(server.clone(), offline).scheduled(schedule, |_| {});
    Network { fetcher, mirrors: Mirrors::default(), now: NOW }
}

pub(super) fn source(name: &str, mirrors: &[&str]) -> PackageSource {
    PackageSource {
        name: name.into(),
        content: SourceContent::Suites { suites: vec!["test".into()], components: vec!["main".into()] },
        mirrors: mirrors.iter().map(|mirror| mirror.parse().unwrap()).collect(),
        fixed: true,
        snapshot: None,
        keys: Keys::None,
        priority: None,
        tag: None,
    }
}

impl World {
    pub(super) fn choose(&self, earlier: Option<&Bundle>, upgrade: &Upgrade) -> Result<Bundle, PackageError> {
        let wanted = Wanted { distro: &self.distro, bundled: &self.bundled, earlier, upgrade };
        choose(&wanted, &self.means())
    }

    pub(super) fn means(&self) -> Means<'_> {
        Means { store: &self.store, network: &self.network, reporter: &Silent }
    }

    /// Chooses for the first time.
    pub(super) fn first(&self) -> Result<Bundle, PackageError> {
        self.choose(None, &Upgrade::Nothing)
    }

    pub(super) fn fetch(&self, packages: &[LockedPackage]) -> Result<Vec<std::path::PathBuf>, PackageError> {
        fetch(packages, &self.distro, &self.bundled.sources, &self.means())
    }
}

pub(super) fn versions(bundle: &Bundle) -> Vec<String> {
    bundle.packages.iter().map(|package| format!("{} {}", package.name, package.version)).collect()
}

const APP: [Line<'static>; 2] = [("app", "1", "Depends: lib (>= 1)\n"), ("lib", "1", "")];

#[test]
fn packages_are_chosen_and_fetched() {
    let world = world();
    world.server.publish(BASE, DATE, "Acquire-By-Hash: yes\n", &APP);
    let bundle = world.first().unwrap();
    assert_eq!(versions(&bundle), ["app 1", "lib 1"]);
    let why: Vec<_> = bundle.packages.iter().map(|package| package.why.as_str()).collect();
    assert_eq!(why, ["requested", "app depends on lib >= 1"]);
    let source = &bundle.sources[0];
    assert_eq!(
        (source.name.as_str(), source.suite.as_str(), source.date, source.trusted),
        ("test", "test", Some(NOW - 3600), true)
    );
    assert_eq!(bundle.asked, world.bundled.digest());
    let asked = world.server.asked();
    assert!(asked.iter().any(|url| url.contains("/by-hash/SHA256/")), "{asked:?}");
    assert!(!asked.iter().any(|url| url.ends_with("/Packages")), "{asked:?}");
    let files = world.fetch(&bundle.packages).unwrap();
    assert_eq!(crate::fs::read(&files[0]).unwrap(), b"app 1");
    // What is there is not asked for again: only the Release file may have changed.
    world.server.asked();
    assert_eq!(world.first().unwrap(), bundle);
    world.fetch(&bundle.packages).unwrap();
    assert_eq!(world.server.asked(), [format!("{BASE}dists/test/InRelease"), format!("{BASE}dists/test/Release")]);
}

/// A network in which one host is not reached.
#[derive(Debug, Clone)]
struct Without(Server, &'static str);

impl Transport for Without {
    fn send(&self, request: Request<'_>) -> Result<Response, TransportError> {
        if request.url.host_str() != Some(self.1) {
            return self.0.send(request);
        }
        self.0.asked.lock().unwrap().push(request.url.to_string());
        let fault = crate::fetch::TransportFault::Timeout;
        assert!(request.hurried, "there is somebody else to ask");
        Err(TransportError { fault, reason: "nothing came for too long".into() })
    }
}

#[test]
fn a_dead_mirror_is_asked_once() {
    let mut world = world();
    world.server.publish(BASE, DATE, "", &APP);
    let fetcher = Fetcher::new(Without(world.server.clone(), "dead.example.org"), false);
    // There are four pauses to wait for, unless nobody waits.
    world.network.fetcher = fetcher.scheduled(Schedule::default(), |_| panic!("nobody waits for a dead mirror"));
    world.bundled.sources = vec![source("test", &["http://dead.example.org/", BASE])];
    let bundle = world.first().unwrap();
    world.fetch(&bundle.packages).unwrap();
    let asked = world.server.asked();
    assert_eq!(asked.iter().filter(|url| url.contains("dead")).count(), 1, "{asked:?}");
}

#[test]
fn packages_stay_unless_they_have_to_change() {
    let mut world = world();
    world.server.publish(BASE, DATE, "", &APP);
    let old = world.first().unwrap();
    let both = [("app", "1", "Depends: lib (>= 1)\n"), ("lib", "1", ""), ("lib", "2", "")];
    world.server.publish(BASE, DATE, "", &both);
    assert_eq!(versions(&world.choose(Some(&old), &Upgrade::Nothing).unwrap()), ["app 1", "lib 1"]);
    assert_eq!(versions(&world.choose(Some(&old), &Upgrade::All).unwrap()), ["app 1", "lib 2"]);
    // The newer one needs the newer other one: both change, and nothing else.
    let newer = [
        ("app", "1", "Depends: lib (= 1), other\n"),
        ("app", "2", "Depends: lib (= 2), other\n"),
        ("lib", "1", ""),
        ("lib", "2", ""),
        ("other", "1", ""),
        ("other", "2", ""),
    ];
    world.server.publish(BASE, DATE, "", &newer);
    let mut old = world.choose(Some(&old), &Upgrade::Nothing).unwrap();
    assert_eq!(versions(&old), ["app 1", "lib 1", "other 2"]);
    old.packages[2].version = "1".into();
    let app = Upgrade::Packages(["app".to_owned()].into());
    assert_eq!(versions(&world.choose(Some(&old), &app).unwrap()), ["app 2", "lib 2", "other 1"]);
    // So it is when another version is asked for.
    let wish = VersionWish { comparison: VersionComparison::GreaterEqual, version: "2".into() };
    world.bundled.requests.insert("app".into(), Some(wish));
    assert_eq!(versions(&world.choose(Some(&old), &Upgrade::Nothing).unwrap()), ["app 2", "lib 2", "other 1"]);
}

#[test]
fn what_cannot_be_is_explained() {
    let world = world();
    world.server.publish(BASE, DATE, "", &[("app", "1", "Depends: lib (>= 3)\n"), ("lib", "1", "")]);
    let error = world.first().unwrap_err();
    assert!(error.is_unsolvable());
    insta::assert_snapshot!(error, @"
    for debian, these packages cannot be installed together:
      app 1 depends on lib >= 3, but there is only lib 1
      you ask for app, and none of it can be installed
    ");
}

#[test]
fn old_and_older_releases_are_refused() {
    let world = world();
    world.server.publish(BASE, DATE, "", &APP);
    let bundle = world.first().unwrap();
    world.server.publish(BASE, "Fri, 05 Sep 2025 08:09:01 UTC", "", &APP);
    let error = world.choose(Some(&bundle), &Upgrade::All).unwrap_err().to_string();
    assert!(error.contains("the lock knows one of Sat, 06 Sep 2025"), "{error}");
    assert!(world.first().is_ok(), "nobody knows a newer one");
    world.server.publish(BASE, DATE, "Valid-Until: Sat, 06 Sep 2025 08:30:00 UTC\n", &APP);
    let error = world.first().unwrap_err().to_string();
    assert!(error.contains("was valid until"), "{error}");
}

#[test]
fn a_snapshot_is_old_by_intent() {
    let mut world = world();
    world.server.publish(BASE, DATE, "", &APP);
    let bundle = world.first().unwrap();
    world.bundled.sources[0].snapshot = Some("20250905T000000Z".into());
    let until = "Valid-Until: Fri, 05 Sep 2025 08:30:00 UTC\n";
    world.server.publish(BASE, "Fri, 05 Sep 2025 08:09:01 UTC", until, &APP);
    assert!(world.choose(Some(&bundle), &Upgrade::Nothing).is_ok());
}

#[test]
fn the_next_mirror_is_asked() {
    let mut world = world();
    let lagging = "http://lagging.example/";
    world.server.publish(BASE, DATE, "", &APP);
    let bundle = world.first().unwrap();
    world.server.publish(lagging, "Fri, 05 Sep 2025 08:09:01 UTC", "", &APP);
    world.bundled.sources = vec![source("test", &["http://nowhere.example/", lagging, BASE])];
    assert_eq!(world.choose(Some(&bundle), &Upgrade::All).unwrap().sources, bundle.sources);
    assert_eq!(world.fetch(&bundle.packages).unwrap().len(), 2);
    world.bundled.sources = vec![source("test", &["http://nowhere.example/", lagging])];
    let error = world.choose(Some(&bundle), &Upgrade::All).unwrap_err().to_string();
    assert!(error.contains("http://nowhere.example/dists/test/Release") && error.contains("replays"), "{error}");
}

#[test]
fn nothing_is_taken_that_is_not_what_was_signed() {
    let world = world();
    world.server.publish(BASE, DATE, "", &APP);
    let index = format!("{BASE}dists/test/main/binary-amd64/Packages");
    let good = world.server.files.lock().unwrap()[&index].clone();
    for (bad, words) in [
        (good.iter().map(|byte| byte ^ 1).collect::<Vec<u8>>(), "has the digest"),
        (good[..good.len() - 1].to_vec(), "bytes, expected"),
        ([good.as_slice(), b"\n"].concat(), "bytes, expected"),
    ] {
        world.server.put(&index, &bad);
        let error = world.first().unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    world.server.put(&index, &good);
    let bundle = world.first().unwrap();
    world.server.put(&format!("{BASE}pool/lib_1_amd64.deb"), b"lib 2");
    let error = world.fetch(&bundle.packages).unwrap_err();
    assert!(error.to_string().contains("has the digest") && !error.is_unsolvable(), "{error}");
    world.server.remove("lib_1");
    assert!(world.fetch(&bundle.packages).unwrap_err().to_string().contains("404"));
}

#[test]
fn sources_are_preferred_by_their_priority() {
    let mut world = world();
    let other = "http://other.example/";
    world.server.publish(BASE, DATE, "", &APP);
    let newer = [("app", "2", "Depends: lib (>= 1)\n"), ("lib", "2", "")];
    world.server.publish(other, DATE, "NotAutomatic: yes\n", &newer);
    world.bundled.sources.push(source("other", &[other]));
    assert_eq!(versions(&world.first().unwrap()), ["app 1", "lib 1"], "it is not for everybody");
    world.bundled.sources[1].priority = Some(500);
    let bundle = world.first().unwrap();
    assert_eq!(
        (versions(&bundle), bundle.packages[0].source.as_str()),
        (vec!["app 2".into(), "lib 2".into()], "other")
    );
    world.bundled.sources[1].priority = Some(400);
    assert_eq!(versions(&world.first().unwrap()), ["app 1", "lib 1"]);
    world.bundled.sources[0].priority = Some(-1);
    assert_eq!(versions(&world.first().unwrap()), ["app 2", "lib 2"]);
}

/// Returns the pools that are kept, by name.
fn pools(world: &World) -> BTreeMap<String, Vec<u8>> {
    let folder = world._folder.path().join("store/pools-1");
    let names = crate::fs::list(&folder).unwrap().into_iter().map(|name| name.into_string().unwrap());
    names.map(|name| (name.clone(), crate::fs::read(&folder.join(name)).unwrap())).collect()
}

#[test]
fn indexes_that_were_read_together_are_kept_together_and_damage_is_mended() {
    let mut world = world();
    let other = "http://other.example/";
    world.server.publish(BASE, DATE, "", &APP);
    world.server.publish(other, DATE, "", &[("app", "2", "Depends: lib (>= 1)\n")]);
    world.bundled.sources.push(source("other", &[other]));
    let bundle = world.first().unwrap();
    assert_eq!(versions(&bundle), ["app 2", "lib 1"]);
    let good = pools(&world);
    assert_eq!(good.len(), 3, "one of each and one of both");
    let folder = world._folder.path().join("store/pools-1");
    for (name, bytes) in &good {
        let foreign = good.iter().find(|(other, _)| *other != name).unwrap().1.clone();
        let flipped = bytes.iter().enumerate().map(|(place, byte)| byte ^ u8::from(place == bytes.len() / 2)).collect();
        for wrong in [Vec::new(), bytes[..bytes.len() - 1].to_vec(), flipped, foreign] {
            crate::fs::write_atomic(&folder.join(name), &wrong).unwrap();
            // What is kept together does without the others: read both ways.
            assert_eq!(world.first().unwrap(), bundle);
            for other in good.keys().filter(|other| *other != name) {
                crate::fs::remove_file(&folder.join(other)).ok();
            }
            assert_eq!(world.first().unwrap(), bundle);
            good.iter().for_each(|(name, bytes)| assert!(crate::fs::write_atomic(&folder.join(name), bytes).is_ok()));
        }
    }
    // Another state of one source is another pool.
    world.server.publish(other, DATE, "", &[("app", "3", "Depends: lib (>= 1)\n")]);
    assert_eq!(versions(&world.first().unwrap()), ["app 3", "lib 1"]);
    assert_eq!(pools(&world).len(), 5);
}

#[test]
fn what_is_kept_of_an_index_does_not_stand_in_for_its_signature_and_time() {
    let mut world = world();
    world.server.publish(BASE, DATE, "Valid-Until: Sat, 06 Sep 2025 12:30:00 UTC\n", &APP);
    assert!(world.first().is_ok());
    world.network.now += 24 * 60 * 60;
    assert!(world.first().unwrap_err().to_string().contains("was valid until"));
    world.network.now = NOW;
    assert!(world.first().is_ok());
    let path = Path::new("src/packages/trust/testdata/keyring.asc").to_owned();
    world.bundled.sources[0].keys = Keys::File { name: "keyring.asc".into(), path };
    let good = crate::fs::read(Path::new("src/packages/trust/testdata/detached.gpg")).unwrap();
    world.server.put(&format!("{BASE}dists/test/Release.gpg"), &good);
    let error = world.first().unwrap_err().to_string();
    assert!(error.contains("no signature of"), "it is over another text: {error}");
    world.server.remove("Release.gpg");
    assert!(world.first().is_err());
    world.bundled.sources[0].keys = Keys::None;
    assert!(world.first().is_ok());
}

#[test]
fn without_a_network_the_store_has_to_do() {
    let mut world = world();
    world.server.publish(BASE, DATE, "Valid-Until: Sat, 06 Sep 2025 10:00:00 UTC\n", &APP);
    let error = {
        world.network = network(&world.server, true);
        world.first().unwrap_err().to_string()
    };
    assert!(error.contains("`--offline` forbids"), "{error}");
    world.network = network(&world.server, false);
    let bundle = world.first().unwrap();
    world.fetch(&bundle.packages[..1]).unwrap();
    world.network = Network { now: NOW + 86_400, ..network(&world.server, true) };
    world.server.asked();
    assert_eq!(world.first().unwrap(), bundle);
    assert_eq!(world.fetch(&bundle.packages[..1]).unwrap().len(), 1);
    assert!(world.fetch(&bundle.packages).unwrap_err().to_string().contains("`--offline` forbids"));
    assert!(world.server.asked().is_empty());
}

#[test]
fn a_vendored_folder_stands_in_for_every_mirror() {
    let mut world = world();
    world.server.publish(BASE, DATE, "Acquire-By-Hash: yes\n", &APP);
    let bundle = world.first().unwrap();
    let files = world.fetch(&bundle.packages).unwrap();
    let packages: Vec<_> = bundle.packages.iter().cloned().zip(files).collect();
    let folder = tempfile::tempdir().unwrap();
    let write = |world: &World| {
        let upgrade = Upgrade::Nothing;
        let wanted =
            Wanted { distro: &world.distro, bundled: &world.bundled, earlier: Some(&bundle), upgrade: &upgrade };
        vendor(folder.path(), &packages, &wanted, &world.means()).unwrap()
    };
    assert_eq!(write(&world).0, 4, "two packages, a Release file, an index");
    assert_eq!(write(&world).0, 0);
    let empty = tempfile::tempdir().unwrap();
    world.store = Store::open(empty.path()).unwrap();
    world.network = Network { now: NOW + 86_400, ..network(&Server::default(), true) };
    world.network.fetcher = Fetcher::new(crate::fetch::HttpTransport::new(crate::fetch::Settings::default()), true);
    world.network.mirrors.vendored = Some(folder.path().to_owned());
    assert_eq!(world.first().unwrap(), bundle);
    assert_eq!(world.fetch(&bundle.packages).unwrap().len(), 2);
}

#[test]
fn sources_need_addresses_and_keys() {
    let mut world = world();
    world.bundled.sources.clear();
    assert!(matches!(world.first(), Err(PackageError::NoSources { .. })));
    world.bundled.sources =
        vec![PackageSource { keys: Keys::Archive("devuan-keyring".into()), ..source("x", &[BASE]) }];
    assert!(world.first().unwrap_err().to_string().contains("name a file of them with `signed_by`"));
}

impl World {
    pub(super) fn over(&self, host: &Bundle) -> Result<Bundle, PackageError> {
        self.over_host(&Host::Locked { packages: &host.packages, sources: &self.bundled.sources })
    }

    /// Chooses over the tree of a host that has this file.
    pub(super) fn over_tree(&self, path: &str, text: &str) -> Result<Bundle, PackageError> {
        let mut tree = Tree::new();
        let node = Node { kind: Kind::Regular(Content::inline(text.as_bytes())), meta: Meta::root_owned(0o644, 0) };
        tree.insert(path.parse().unwrap(), node).unwrap();
        tree.complete(|_| Meta::root_owned(0o755, 0));
        let Distro { family, native_architecture, .. } = &self.distro;
        let installed = Installed::read(&tree, Digest::of(text), *family, native_architecture).unwrap().unwrap();
        self.over_host(&Host::Installed(&installed))
    }

    fn over_host(&self, host: &Host<'_>) -> Result<Bundle, PackageError> {
        let wanted = Wanted { distro: &self.distro, bundled: &self.bundled, earlier: None, upgrade: &Upgrade::Nothing };
        choose_over(&wanted, host, &self.means())
    }
}

#[test]
fn an_extension_fits_what_a_host_says_of_itself() {
    let mut world = world();
    // What the host has is in no index, or says something else there.
    let app = "Depends: awk, lib\n";
    world.server.publish(BASE, DATE, "", &[("app", "1", app), ("lib", "1", "Depends: nowhere\n"), ("mawk", "2", "")]);
    let status = "Package: mawk\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\nProvides: awk\n\n\
                  Package: lib\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n\
                  Package: other\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n";
    let added = world.over_tree("/var/lib/dpkg/status", status).unwrap();
    assert_eq!((versions(&added), added.over), (vec!["app 1".to_owned()], Some(Digest::of(status))));
    assert_eq!(added.packages[0].source, "test");
    world.server.publish(BASE, DATE, "", &[("app", "1", "Depends: mawk (>= 2)\n"), ("mawk", "2", "")]);
    let error = world.over_tree("/var/lib/dpkg/status", status).unwrap_err().to_string();
    assert!(error.contains("`mawk` is 1 there, and would become 2: app 1 depends on mawk >= 2"), "{error}");
    // What conflicts with a package of the host cannot stand beside it.
    world.server.publish(BASE, DATE, "", &[("app", "1", "Conflicts: awk\n")]);
    assert!(world.over_tree("/var/lib/dpkg/status", status).is_err());
    world.bundled.requests = BTreeMap::from([("lib".to_owned(), None)]);
    assert_eq!(world.over_tree("/var/lib/dpkg/status", status).unwrap().packages, []);
}

#[test]
fn an_extension_adds_what_its_host_does_not_have() {
    let mut world = world();
    world.server.publish(BASE, DATE, "", &[("lib", "1", "")]);
    world.bundled.requests = BTreeMap::from([("lib".to_owned(), None)]);
    let host = world.first().unwrap();
    let both = [("app", "1", "Depends: lib, other\n"), ("lib", "1", ""), ("lib", "2", ""), ("other", "1", "")];
    world.server.publish(BASE, DATE, "", &both);
    world.bundled.requests = BTreeMap::from([("app".to_owned(), None), ("lib".to_owned(), None)]);
    let added = world.over(&host).unwrap();
    assert_eq!(versions(&added), ["app 1", "other 1"]);
    assert_eq!(added.over, Some(Bundle::digest_of(&host.packages)));
    assert_eq!(added.packages[1].why, "app depends on other");

    // A newer version of what the host has is nothing that an extension could carry.
    let newer = [("app", "1", "Depends: lib (>= 2)\n"), ("lib", "1", ""), ("lib", "2", "")];
    world.server.publish(BASE, DATE, "", &newer);
    let error = world.over(&host).unwrap_err();
    let PackageError::OverChange { changes, .. } = &error else { panic!("{error}") };
    let change = &changes[0];
    assert_eq!((&*change.name, &*change.there, &*change.wanted, changes.len()), ("lib", "1", "2", 1));
    assert!(error.to_string().contains("`lib` is 1 there, and would become 2: app 1 depends on lib >= 2"), "{error}");
    assert!(error.is_unsolvable());

    // Nor is what cannot stand beside it.
    world.server.publish(BASE, DATE, "", &[("app", "1", "Conflicts: lib\n"), ("lib", "1", "")]);
    world.bundled.requests.remove("lib");
    let error = world.over(&host).unwrap_err().to_string();
    assert!(error.contains("nothing fits over the packages of the host") && error.contains("conflicts"), "{error}");
}
