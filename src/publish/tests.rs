use std::path::Path;

use super::sums::MOST_TEXT;
use super::*;

fn put(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::write_atomic(path, bytes.as_ref()).unwrap();
}

/// A folder of versions, and images to publish in it.
struct Shelf {
    home: tempfile::TempDir,
    server: Server,
}

impl Shelf {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), server: Server::default() }
    }

    /// A command that signs: as much of a signature as is looked at, and the digest of what was signed.
    fn signed() -> Self {
        let signer = Some(r"printf '\302'; sha256sum".to_owned());
        Self { server: Server { signer, ..Server::default() }, ..Self::new() }
    }

    fn path(&self) -> PathBuf {
        self.home.path().join("shelf")
    }

    fn publish_as(
        &self,
        layout: &Layout,
        version: &str,
        content: &str,
        keep: usize,
    ) -> Result<Published, PublishError> {
        let image = self.home.path().join("image");
        put(&image, content);
        let publication = Publication {
            image: &image,
            name: "web",
            version: version.parse().unwrap(),
            directory: &self.path(),
            layout,
            keep: NonZeroUsize::new(keep),
            host_folder: "/var/lib/extensions",
        };
        publish(&publication, || {})
    }

    /// Publishes a version whose content is its own text.
    fn publish(&self, version: &str, keep: usize) -> Result<Published, PublishError> {
        self.publish_as(&Layout::Sysupdate(self.server.clone()), version, version, keep)
    }

    fn names(&self) -> Vec<String> {
        fs::list(&self.path()).unwrap().into_iter().map(|name| name.into_string().unwrap()).collect()
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(&self.path().join(name)).unwrap()
    }

    /// Returns what is listed, after checking that it is there.
    fn listed(&self) -> Vec<String> {
        let sums = Sums::parse(&self.text(SUMS)).unwrap();
        for name in sums.files() {
            assert_eq!(sums.get(name), Some(Digest::of(fs::read(&self.path().join(name)).unwrap())), "{name}");
        }
        sums.files().map(str::to_owned).collect()
    }
}

#[test]
fn versions_are_added_and_listed() {
    let shelf = Shelf::new();
    let published = shelf.publish("1.9", 0).unwrap();
    assert_eq!((published.written.join(" "), published.signed), ("web_1.9.raw SHA256SUMS".to_owned(), false));
    shelf.publish("1.10", 0).unwrap();
    assert_eq!(shelf.listed(), ["web_1.10.raw", "web_1.9.raw"]);
    assert_eq!(shelf.names(), ["SHA256SUMS", "web_1.10.raw", "web_1.9.raw"], "and nothing else is there");
    let again = shelf.publish("1.10", 0).unwrap();
    assert!(again.written.is_empty() && again.removed.is_empty());
}

#[test]
fn a_version_never_changes() {
    let shelf = Shelf::new();
    let layout = Layout::Sysupdate(Server::default());
    shelf.publish("1", 0).unwrap();
    let before = shelf.text(SUMS);
    let refused = |error| matches!(error, PublishError::OtherContent(name) if name == "web_1.raw");
    assert!(refused(shelf.publish_as(&layout, "1", "other", 0).unwrap_err()));
    assert!(
        matches!(shelf.publish("01", 0).unwrap_err(), PublishError::SameVersion { other, .. } if other == "web_1.raw")
    );
    // Not even when it is gone, as long as hosts know of it.
    fs::remove_file(&shelf.path().join("web_1.raw")).unwrap();
    assert!(refused(shelf.publish_as(&layout, "1", "other", 0).unwrap_err()));
    assert_eq!((shelf.text(SUMS), shelf.names()), (before, vec![SUMS.to_owned()]));
    shelf.publish("1", 0).unwrap();
    assert_eq!(shelf.listed(), ["web_1.raw"]);
}

#[test]
fn only_the_newest_are_kept() {
    let shelf = Shelf::new();
    for version in ["1.9", "1.10~rc1", "1.10"] {
        shelf.publish(version, 0).unwrap();
    }
    let published = shelf.publish("1.11", 2).unwrap();
    assert_eq!(published.removed, ["web_1.9.raw", "web_1.10~rc1.raw"]);
    assert_eq!(shelf.listed(), ["web_1.10.raw", "web_1.11.raw"]);
    assert!(matches!(shelf.publish("1.2", 2).unwrap_err(), PublishError::TooOld { .. }));
    assert_eq!(shelf.names(), ["SHA256SUMS", "web_1.10.raw", "web_1.11.raw"]);
}

#[test]
fn other_files_stay_as_they_are() {
    let shelf = Shelf::new();
    std::fs::create_dir(shelf.path()).unwrap();
    for name in ["db_1.raw", "web-tools_1.raw", "web_1+2.raw", "web_0.5.raw.xz", "notes"] {
        put(&shelf.path().join(name), name);
    }
    let db = Digest::of("db_1.raw").hex();
    let list = format!("{db}  db_1.raw\n{db} *gone_1.raw\n{} *BEST-BEFORE-2030-01-01\n", Digest::of("").hex());
    put(&shelf.path().join(SUMS), list);
    let published = shelf.publish("1", 1).unwrap();
    assert_eq!((published.missing.join(" "), published.removed.len()), ("gone_1.raw".to_owned(), 0));
    assert_eq!(shelf.listed(), ["db_1.raw", "web_1.raw"]);
    assert!(shelf.text(SUMS).contains("BEST-BEFORE-2030-01-01"));
    assert_eq!(shelf.names().len(), 7);
}

#[test]
fn the_signature_is_that_of_the_list() {
    let shelf = Shelf::signed();
    let signature = || fs::read(&shelf.path().join(SIGNATURE)).unwrap();
    for version in ["1", "2"] {
        assert!(shelf.publish(version, 0).unwrap().signed);
        let expected = format!("{}  -\n", Digest::of(shelf.text(SUMS)).hex());
        assert_eq!(&signature()[1..], expected.as_bytes());
    }
    assert!(shelf.publish("2", 0).unwrap().written.is_empty(), "nothing is signed twice");
    fs::remove_file(&shelf.path().join(SIGNATURE)).unwrap();
    assert_eq!(shelf.publish("2", 0).unwrap().written, [SIGNATURE]);
}

#[test]
fn without_a_signature_nothing_changes() {
    let mut shelf = Shelf::signed();
    shelf.publish("1", 0).unwrap();
    let before = (shelf.names(), shelf.text(SUMS));
    for signer in [None, Some("false"), Some("cat"), Some("printf '\\302'; exit 3"), Some("head -c 70000 /dev/zero")] {
        shelf.server.signer = signer.map(str::to_owned);
        let error = shelf.publish("2", 1).unwrap_err();
        assert!(matches!(error, PublishError::StaleSignature(_) | PublishError::Sign { .. }), "{error}");
        assert_eq!((shelf.names(), shelf.text(SUMS)), before, "{signer:?}");
    }
}

#[test]
fn a_transfer_trusts_what_is_signed() {
    let mut shelf = Shelf::signed();
    shelf.publish("1", 0).unwrap();
    let (url, feature) = (Some("https://example.org/".into()), Some("Pages".into()));
    shelf.server = Server { url, feature, signer: None };
    assert_eq!(shelf.publish("1", 0).unwrap().written, ["web.feature", "web.transfer"]);
    assert!(shelf.text("web.transfer").contains("Features=web\nVerify=yes\n"));
}

#[test]
fn what_was_interrupted_is_finished() {
    // After the copy, after the image appeared, after the signature, and before old files have gone.
    for step in 0..4 {
        let shelf = Shelf::signed();
        shelf.publish("1", 0).unwrap();
        shelf.publish("2", 0).unwrap();
        let (list, signature) = (shelf.text(SUMS), fs::read(&shelf.path().join(SIGNATURE)).unwrap());
        let old = fs::read(&shelf.path().join("web_1.raw")).unwrap();
        shelf.publish("3", 2).unwrap();
        let done = shelf.names();
        let put = |name: &str, bytes: &[u8]| put(&shelf.path().join(name), bytes);
        put("web_1.raw", &old);
        if step < 3 {
            put(SUMS, list.as_bytes());
        }
        if step < 2 {
            put(SIGNATURE, &signature);
        }
        if step < 1 {
            fs::rename(&shelf.path().join("web_3.raw"), &shelf.path().join(".web_3.raw.unfinished")).unwrap();
        }
        assert!(!shelf.listed().is_empty());
        shelf.publish("3", 2).unwrap();
        assert_eq!((shelf.listed(), shelf.names()), (vec!["web_2.raw".into(), "web_3.raw".into()], done), "{step}");
        let expected = format!("{}  -\n", Digest::of(shelf.text(SUMS)).hex());
        assert_eq!(&fs::read(&shelf.path().join(SIGNATURE)).unwrap()[1..], expected.as_bytes());
    }
}

#[test]
fn readers_find_what_is_listed() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let shelf = Shelf::new();
    shelf.publish("0", 0).unwrap();
    let done = AtomicBool::new(false);
    let rounds = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut rounds = 0;
            while !done.load(Ordering::Relaxed) {
                let text = shelf.text(SUMS);
                for name in Sums::parse(&text).unwrap().files() {
                    let found = fs::read(&shelf.path().join(name));
                    // What is gone is no longer listed.
                    let gone = found.is_err() && !shelf.text(SUMS).contains(name);
                    let expected = Sums::parse(&text).unwrap().get(name);
                    assert!(gone || Some(Digest::of(found.unwrap())) == expected, "{name}");
                }
                rounds += 1;
            }
            rounds
        });
        // Two publishers at once.
        let publishers = [0, 1].map(|odd| {
            let shelf = &shelf;
            scope.spawn(move || {
                for number in 1..20 {
                    shelf.publish_at_once(&(number * 2 + odd).to_string());
                }
            })
        });
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    assert!(rounds > 0);
    assert!(shelf.listed().contains(&"web_39.raw".to_owned()));
}

impl Shelf {
    /// Publishes beside another thread; the version may be too old already.
    fn publish_at_once(&self, version: &str) {
        let image = self.home.path().join(format!("image-{version}"));
        put(&image, version);
        let publication = Publication {
            image: &image,
            name: "web",
            version: version.parse().unwrap(),
            directory: &self.path(),
            layout: &Layout::Sysupdate(Server::default()),
            keep: NonZeroUsize::new(3),
            host_folder: "/var/lib/extensions",
        };
        match publish(&publication, || {}) {
            Ok(_) | Err(PublishError::TooOld { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_host_gets_a_folder_of_its_own_for_each_name() {
    let shelf = Shelf::new();
    for version in ["1", "2", "3"] {
        shelf.publish_as(&Layout::Versioned, version, version, 2).unwrap();
    }
    assert_eq!(shelf.names(), ["web.raw.v"]);
    let names = fs::list(&shelf.path().join("web.raw.v")).unwrap();
    assert_eq!(names, ["web_2.raw", "web_3.raw"]);
    let error = shelf.publish_as(&Layout::Versioned, "3", "other", 2).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`web_3.raw` has been published with other content: give the new image a new version"
    );
}

#[test]
fn names_that_hide_the_version_are_refused() {
    let shelf = Shelf::new();
    for name in ["my_app", "a+b", "", ".hidden", "-", "a b", "a@v", "ü", &"a".repeat(250)] {
        let publication = Publication {
            image: Path::new("/dev/null"),
            name,
            version: "1".parse().unwrap(),
            directory: &shelf.path(),
            layout: &Layout::Versioned,
            keep: None,
            host_folder: "/var/lib/extensions",
        };
        assert!(matches!(publish(&publication, || {}), Err(PublishError::Name(_))), "{name}");
    }
    assert!(!shelf.path().exists());
}

#[test]
fn a_list_that_is_not_understood_stays() {
    let shelf = Shelf::new();
    std::fs::create_dir(shelf.path()).unwrap();
    for list in ["nonsense\n".to_owned(), "\n".repeat((MOST_TEXT + 1) as usize)] {
        put(&shelf.path().join(SUMS), &list);
        assert!(shelf.publish("1", 0).is_err());
        assert_eq!((shelf.text(SUMS), shelf.names()), (list, vec![SUMS.to_owned()]));
    }
}
