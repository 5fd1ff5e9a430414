use super::*;
use crate::spec::Family;

fn lock(packages: &[&str]) -> Lock {
    let mut target = Target {
        inputs: Digest::of([]),
        family: Family::Apk,
        release: "3.22".into(),
        image: Image { reference: "example.org/alpine:3.22".into(), digest: None },
        base: None,
        packages: packages.iter().map(ToString::to_string).collect(),
        bundle: BTreeMap::new(),
        extension: BTreeMap::new(),
        asked: None,
        extension_asked: None,
    };
    target.seal();
    Lock { version: VERSION, profile: "web".into(), target: BTreeMap::from([("alpine".to_owned(), target)]) }
}

#[test]
fn the_text_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.lock");
    assert_eq!(Lock::read(&path).unwrap(), None);
    fs::write_atomic(&path, lock(&["nginx"]).to_text().as_bytes()).unwrap();
    assert_eq!(Lock::read(&path).unwrap(), Some(lock(&["nginx"])));
}

#[test]
fn the_text_is_canonical() {
    insta::assert_snapshot!(lock(&["brotli", "nginx"]).to_text());
}

#[test]
fn edits_by_hand_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.lock");
    let edited = lock(&["nginx"]).to_text().replace("nginx", "apache2");
    fs::write_atomic(&path, edited.as_bytes()).unwrap();
    assert!(Lock::read(&path).unwrap_err().to_string().contains("edited or merged by hand"));
}

#[test]
fn differences_say_what_changed() {
    let told: Vec<_> =
        lock(&["nginx", "curl"]).differences(&lock(&["nginx", "brotli"])).iter().map(ToString::to_string).collect();
    assert_eq!(told, ["package of alpine: `curl` is gone", "package of alpine: `brotli` is new"]);
}

#[test]
fn what_was_given_stays_as_long_as_the_same_is_asked_for() {
    let mut old = lock(&["nginx"]);
    old.give("alpine", Digest::of(b"image"));
    old.renew(lock(&["curl"]));
    assert_eq!(old.target["alpine"].image.digest, Some(Digest::of(b"image")));
    assert!(old.differences(&lock(&["curl"])).is_empty());
    let mut upgraded = lock(&["curl"]);
    upgraded.give("alpine", Digest::of(b"newer"));
    assert_eq!(old.differences(&upgraded).len(), 1);
    let mut other = lock(&["curl"]);
    other.target.get_mut("alpine").unwrap().image.reference = "example.org/alpine:edge".into();
    old.renew(other);
    assert_eq!(old.target["alpine"].image.digest, None);
}

#[test]
fn other_releases_stay_when_a_lock_is_renewed() {
    let mut old = lock(&["nginx"]);
    let edge = old.target["alpine"].clone();
    old.target.insert("alpine-edge".into(), edge);
    old.renew(lock(&["curl"]));
    assert_eq!(old.target.keys().collect::<Vec<_>>(), ["alpine", "alpine-edge"]);
    assert_eq!(old.target["alpine"].packages, ["curl"]);
    assert!(old.differences(&lock(&["curl"])).is_empty());
}

fn bundle(packages: &[(&str, &str, &str)]) -> Bundle {
    let package = |(name, version, why): &(&str, &str, &str)| LockedPackage {
        name: (*name).to_owned(),
        version: (*version).to_owned(),
        architecture: "amd64".into(),
        source: "debian".into(),
        path: format!("pool/main/{name}_{version}_amd64.deb"),
        size: 1000,
        sha256: Digest::of(format!("{name} {version}")),
        why: (*why).to_owned(),
    };
    let source = LockedSource {
        name: "debian".into(),
        suite: "trixie".into(),
        date: Some(1_757_146_141),
        digest: Digest::of(b"release"),
        trusted: false,
        tag: None,
    };
    let packages = packages.iter().map(package).collect();
    Bundle { asked: Digest::of(b"asked"), over: None, sources: vec![source], packages, below: Vec::new() }
}

fn bundled(packages: &[(&str, &str, &str)]) -> Lock {
    let mut lock = lock(&["nginx"]);
    lock.target.get_mut("alpine").unwrap().asked = Some(Digest::of(b"asked"));
    lock.give_bundle("alpine", Architecture::X86_64, bundle(packages));
    lock
}

#[test]
fn the_text_of_bundled_packages_reads_back() {
    let lock = bundled(&[("libc6", "2.41-12", "nginx depends on libc6 >= 2.38"), ("nginx", "1.26.3-3", "requested")]);
    insta::assert_snapshot!(lock.to_text());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.lock");
    fs::write_atomic(&path, lock.to_text().as_bytes()).unwrap();
    let read = Lock::read(&path).unwrap().unwrap();
    assert_eq!(read.to_text(), lock.to_text());
    let edited = lock.to_text().replace("2.41-12", "2.41-13");
    fs::write_atomic(&path, edited.as_bytes()).unwrap();
    assert!(Lock::read(&path).unwrap_err().to_string().contains("`inputs` of `alpine`"));
}

#[test]
fn other_versions_are_told() {
    let mut old = bundled(&[("libc6", "2.41-12", "variant"), ("perl", "5", "variant")]);
    let new = bundled(&[("libc6", "2.41-13", "variant"), ("nginx", "1", "requested")]);
    let told: Vec<_> = old.differences(&new).iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "bundled package of alpine: `libc6 2.41-12` became `libc6 2.41-13`",
            "bundled package of alpine: `nginx 1` is new",
            "bundled package of alpine: `perl 5` is gone",
        ]
    );
    old.renew(new.clone());
    assert_eq!(old.to_text(), new.to_text());
    // Nobody asked for another architecture, and nobody looked anything up: what there is stays.
    let mut silent = lock(&["nginx"]);
    silent.target.get_mut("alpine").unwrap().asked = Some(Digest::of(b"other"));
    assert!(old.differences(&silent).is_empty());
    old.renew(silent);
    assert_eq!(old.target["alpine"].bundle["x86_64"].packages.len(), 2);
    // Once no output carries packages, they go.
    assert_eq!(old.differences(&lock(&["nginx"])).len(), 1);
    old.renew(lock(&["nginx"]));
    assert!(old.target["alpine"].bundle.is_empty());
}

#[test]
fn an_extension_knows_its_host() {
    let mut old = lock(&["nginx"]);
    old.target.get_mut("alpine").unwrap().extension_asked = Some(Digest::of(b"asked"));
    let plain = old.to_text();
    let extension = |version: &str| {
        let below = bundle(&[("libc6", version, "variant")]).packages;
        Bundle { over: Some(Bundle::digest_of(&below)), below, ..bundle(&[("nginx", "1", "requested")]) }
    };
    old.give_extension("alpine", Architecture::X86_64, extension("1"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.lock");
    fs::write_atomic(&path, old.to_text().as_bytes()).unwrap();
    let read = Lock::read(&path).unwrap().unwrap();
    assert_eq!((read.to_text(), &read.target["alpine"].extension["x86_64"]), (old.to_text(), &extension("1")));
    let edited = old.to_text().replace("\"libc6\"", "\"libc7\"");
    fs::write_atomic(&path, edited.as_bytes()).unwrap();
    assert!(Lock::read(&path).unwrap_err().to_string().contains("`inputs` of `alpine`"));
    let mut new = old.clone();
    new.give_extension("alpine", Architecture::X86_64, extension("2"));
    let told: Vec<_> = old.differences(&new).iter().map(ToString::to_string).collect();
    assert_eq!(told, ["package below the extension of alpine: `libc6 1` became `libc6 2`"]);
    // Once the extension carries no packages, they go, and the lock is as it was before.
    let without = lock(&["nginx"]);
    assert_eq!(old.differences(&without).len(), 1);
    old.renew(without);
    assert_eq!(old.to_text(), plain);
}

#[test]
fn the_chain_of_reasons() {
    let bundle = bundle(&[
        ("a", "1", "b depends on a"),
        ("b", "1", "nginx recommends b >= 1"),
        ("c", "1", "d depends on c"),
        ("d", "1", "c depends on d"),
        ("nginx", "1", "requested"),
    ]);
    let names = |name: &str| bundle.why(name).iter().map(|package| package.name.clone()).collect::<Vec<_>>();
    assert_eq!(names("a"), ["a", "b", "nginx"]);
    assert_eq!(names("nginx"), ["nginx"]);
    assert_eq!(names("c"), ["c", "d"], "a circle ends");
    assert!(names("e").is_empty());
}
