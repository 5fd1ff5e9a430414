//! Packages of Alpine and Arch that the tests make themselves.

use super::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn locked(folder: &Path, name: &str, bytes: &[u8], why: &str) -> (LockedPackage, PathBuf) {
    let at = folder.join(name);
    fs::write_atomic(&at, bytes).unwrap();
    let locked = LockedPackage {
        name: name.into(),
        version: "1-r0".into(),
        architecture: "x86_64".into(),
        source: "alpine".into(),
        path: String::new(),
        size: bytes.len() as u64,
        sha256: Digest::of(bytes),
        why: why.into(),
    };
    (locked, at)
}

/// Adds a file to a tar archive without its end.
fn member(archive: &mut Vec<u8>, name: &str, text: &str) {
    let mut header = [0_u8; 512];
    let mut put = |place: usize, text: &str| header[place..place + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000755");
    put(124, &format!("{:011o}", text.len()));
    put(136, "00000000012");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    archive.extend(header);
    archive.extend(text.as_bytes());
    archive.resize(archive.len().next_multiple_of(512), 0);
}

/// Makes a package of Alpine.
fn apk(folder: &Path, name: &str, more: &str, scripts: &[&str], items: &[&str], why: &str) -> (LockedPackage, PathBuf) {
    let data = gzip(&archive(&files(items)));
    let hash = Digest::of(&data).hex();
    let info = format!(
        "/.PKGINFO=pkgname = {name}\npkgver = 1-r0\narch = x86_64\norigin = src\nlicense = MIT\n{more}datahash = {hash}\n"
    );
    let mut control = Vec::new();
    for item in [info.as_str()].into_iter().chain(scripts.iter().copied()) {
        let (name, text) = item.split_once('=').unwrap();
        member(&mut control, name.trim_start_matches('/'), text);
    }
    let bytes = [gzip(&control), data].concat();
    locked(folder, name, &bytes, why)
}

fn text(tree: &Tree, path: &str) -> String {
    match &tree.lookup(&path.parse().unwrap()).unwrap_or_else(|| panic!("{path} is there")).kind {
        Kind::Regular(content) => String::from_utf8(content.read(100_000).unwrap().unwrap()).unwrap(),
        other => other.word().to_owned(),
    }
}

#[test]
fn packages_of_alpine_become_a_tree() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    let passwd = "/etc/passwd=root:x:0:0:root:/root:/bin/sh\n";
    let base = apk(folder.path(), "base", "", &[], &[passwd, "/etc/group=root:x:0:root\n", "/lib/"], "variant");
    let install = "/.pre-install=#!/bin/sh\naddgroup -S app\nadduser -S -G app app\n";
    let app = apk(folder.path(), "app", "depend = base\n", &[install], &["/usr/bin/app=x"], "requested");
    let lib = apk(
        folder.path(),
        "lib",
        "",
        &["/.post-install=#!/bin/sh\nodd\n"],
        &["/usr/lib/lib.so=x"],
        "app depends on lib",
    );
    let settings = PackageSettings { scripts: Scripts::Skip, ..whole() };
    let mut one = set(vec![base, app, lib], settings);
    (one.family, one.distro, one.links) = (Family::Apk, ("alpine".into(), None), BTreeMap::new());
    one.architecture = "x86_64".into();
    one.repositories = vec!["https://example.org/v3.23/main".into()];
    one.keys = BTreeMap::from([("me.rsa.pub".into(), b"key".to_vec())]);
    one.groups = BTreeMap::from([("web".into(), 900)]);
    let made = make(&store, &one);
    assert_eq!(text(&made.tree, "/etc/apk/world"), "app\nbase\n");
    assert_eq!(text(&made.tree, "/etc/apk/repositories"), "https://example.org/v3.23/main\n");
    assert_eq!(text(&made.tree, "/etc/apk/keys/me.rsa.pub"), "key");
    let keys = BTreeMap::from([("me.rsa.pub".to_owned(), b"yek".to_vec())]);
    assert_ne!(PackageSet { keys, ..one.clone() }.key(), one.key());
    assert!(text(&made.tree, "/etc/passwd").contains("\napp:x:"), "the script of `app` made it");
    assert!(text(&made.tree, "/etc/group").contains("\nweb:x:900:\n"));
    let names: Vec<_> = made.packages.iter().map(|one| (&*one.name, &*one.source.0, &*one.licences[0])).collect();
    assert_eq!(names, [("app", "src", "MIT"), ("base", "src", "MIT"), ("lib", "src", "MIT")]);
    assert_eq!(made.packages[0].purl("alpine", None), "pkg:apk/alpine/app@1-r0?arch=x86_64");
    assert_eq!((made.owners[&path("/usr/bin/app")], made.owners[&path("/usr/lib/lib.so")]), (0, 2));
    let skipped: Vec<_> = made.skipped.iter().map(|one| (one.package.as_str(), one.matters)).collect();
    assert_eq!(skipped, [("lib", true)]);
    assert_eq!(make(&store, &one).tree.digest(), made.tree.digest());
    // Scripts that are to run need a shell.
    let run = PackageSet { settings: whole(), ..one.clone() };
    let error = tree(&run, &store, &Silent).unwrap_err();
    assert!(matches!(error, PackagesError::NoShell { .. }), "{error}");
    // What the profile asks for is what the system asks for, beside the variant.
    let world = one.clone().world(vec!["app>1@edge".into(), "!other".into()]);
    assert_eq!(text(&make(&store, &world).tree, "/etc/apk/world"), "!other\napp>1@edge\nbase\n");
    let tagged = PackageSet { tags: BTreeMap::from([("app".into(), "edge".into())]), ..one.clone() };
    let made = make(&store, &tagged);
    let installed = text(&made.tree, "/lib/apk/db/installed");
    let record = installed.split("\n\n").find(|record| record.contains("P:app\n")).unwrap();
    assert!(record.contains("\ns:edge\nF:"), "{record}");
    assert_eq!(installed.matches("\ns:").count(), 1);
    assert_ne!(tagged.key(), one.key());
    assert_ne!(world.key(), one.key());
}

#[test]
fn distroless_for_alpine_leaves_a_list_for_scanners() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    let layout = ["/bin/", "/etc/passwd=root:x:0:0:root:/root:/bin/sh\n", "/etc/group=root:x:0:root\n", "/lib/"];
    let paths = "/etc/busybox-paths.d/busybox=bin/ls\nbin/cat\nusr/bin/wget\n";
    let busybox = ["/bin/busybox=x", "/bin/sh>/bin/busybox", paths];
    let packages = vec![
        apk(folder.path(), "base", "", &[], &layout, "variant"),
        apk(folder.path(), "app", "", &[], &["/usr/bin/app=x", "/usr/bin/tool>app"], "requested"),
        apk(folder.path(), "busybox", "", &["/.trigger=#!/bin/sh\n"], &busybox, "variant"),
        apk(folder.path(), "apk-tools", "", &[], &["/sbin/apk=x", "/etc/apk/protected_paths.d/x=y"], "variant"),
        apk(
            folder.path(),
            "libapk",
            "",
            &[],
            &["/usr/lib/libapk.so=x", "/usr/share/licenses/libapk/L=x"],
            "apk-tools depends on it",
        ),
        apk(folder.path(), "bash", "", &[], &["/bin/bash=x"], "requested"),
    ];
    let settings = PackageSettings { scripts: Scripts::Skip, distroless: true, ..whole() };
    let mut set = set(packages, settings);
    (set.family, set.distro, set.links) = (Family::Apk, ("alpine".into(), None), BTreeMap::new());
    set.repositories = vec!["https://example.org/v3.23/main".into()];
    set.keys = BTreeMap::from([("me.rsa.pub".into(), b"key".to_vec())]);
    let made = make(&store, &set);
    let paths: Vec<String> =
        made.tree.iter().filter(|(_, node)| !node.kind.is_directory()).map(|(path, _)| path.to_string()).collect();
    assert_eq!(
        paths,
        [
            "/etc/apk/repositories",
            "/etc/group",
            "/etc/passwd",
            "/lib/apk/db/installed",
            "/usr/bin/app",
            "/usr/bin/tool",
            "/usr/share/licenses/libapk/L",
        ]
    );
    let installed = text(&made.tree, "/lib/apk/db/installed");
    let names: Vec<&str> = installed.lines().filter_map(|line| line.strip_prefix("P:")).collect();
    assert_eq!(names, ["app", "base"]);
    // With apk there, the names of busybox are, too.
    set.settings.distroless = false;
    let made = make(&store, &set);
    assert!(made.tree.get(&path("/bin/ls")).is_some() && made.tree.get(&path("/usr/bin/wget")).is_some());
}

#[test]
fn distroless_takes_what_scripts_made_for_what_goes() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    let packages = vec![
        apk(folder.path(), "app", "", &[], &["/bin/app=x", "/lib/", "/bin/own>busybox"], "requested"),
        apk(folder.path(), "busybox", "", &[], &["/bin/busybox=y"], "variant"),
    ];
    let mut one = set(packages, PackageSettings { scripts: Scripts::Skip, ..whole() });
    (one.family, one.distro, one.links) = (Family::Apk, ("alpine".into(), None), BTreeMap::new());
    let made = make(&store, &one);
    let mut tree = made.tree.clone();
    tree.link(path("/bin/hard"), &path("/bin/busybox")).unwrap();
    tree.link(path("/bin/kept"), &path("/bin/app")).unwrap();
    let link = |target: &str| Node { kind: Kind::Symlink(target.as_bytes().into()), meta: Meta::root_owned(0o777, 0) };
    for (name, target) in [("/bin/one", "two"), ("/bin/two", "/bin/busybox"), ("/bin/three", "app")] {
        tree.insert(path(name), link(target)).unwrap();
    }
    distroless::strip(&one, &mut tree, &[], &made.owners, &made.packages).unwrap();
    let left: Vec<String> = tree.below(&path("/bin")).map(|(path, _)| path.to_string()).collect();
    // What a package has of its own stays as the package has it.
    assert_eq!(left, ["/bin/app", "/bin/kept", "/bin/own", "/bin/three"]);
}

#[test]
fn packages_of_arch_become_a_tree() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    let package = |name: &str, items: &[&str], why: &str| {
        let info = format!(
            "/.PKGINFO=pkgname = {name}\npkgbase = src\npkgver = 1-1\narch = any\nlicense = MIT\nbuilddate = 5\nsize = 9\n"
        );
        let items: Vec<&str> = [info.as_str(), "/.MTREE=mtree"].into_iter().chain(items.iter().copied()).collect();
        locked(folder.path(), name, &archive(&files(&items)), why)
    };
    let a = package("a", &["/usr/bin/a=x", "/usr/lib/sysusers.d/a.conf=u a 750 \"A\"\n"], "requested");
    let b = package("b", &["/usr/bin/b=x"], "a depends on b");
    let mut one = set(vec![a, b], PackageSettings { scripts: Scripts::Skip, ..whole() });
    (one.family, one.distro, one.architecture) = (Family::Pacman, ("arch".into(), None), "x86_64".into());
    let made = make(&store, &one);
    assert!(text(&made.tree, "/var/lib/pacman/local/b-1-1/desc").contains("%REASON%\n1\n"));
    assert!(!text(&made.tree, "/var/lib/pacman/local/a-1-1/desc").contains("%REASON%"));
    assert!(text(&made.tree, "/etc/passwd").contains("a:x:750:750:A:"));
    assert_eq!(made.owners[&path("/usr/bin/b")], 1);
    assert_eq!(made.packages[1].purl("arch", None), "pkg:alpm/arch/b@1-1?arch=any");
    let validation = |made: &PackageTree, name: &str| {
        let desc = text(&made.tree, &format!("/var/lib/pacman/local/{name}-1-1/desc"));
        desc.split("%VALIDATION%\n").nth(1).and_then(|rest| rest.lines().next().map(str::to_owned)).unwrap()
    };
    assert_eq!([validation(&made, "a"), validation(&made, "b")], ["pgp", "pgp"]);
    let unsigned = PackageSet { unsigned: BTreeSet::from(["b".into()]), ..one.clone() };
    assert_ne!(unsigned.key(), one.key());
    let made = make(&store, &unsigned);
    assert_eq!([validation(&made, "a"), validation(&made, "b")], ["pgp", "sha256"]);
    let run = PackageSet { settings: whole(), ..one };
    assert_eq!(text(&make(&store, &run).tree, "/usr/bin/a"), "x", "nothing is to be run");
}

#[test]
fn distroless_for_arch_leaves_a_database_for_scanners() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    let package = |name: &str, items: &[&str]| {
        let info = format!("/.PKGINFO=pkgname = {name}\npkgver = 1-1\narch = any\nbuilddate = 5\nsize = 9\n");
        let script = "/.INSTALL=post_install() { :; }\n";
        let items: Vec<&str> =
            [info.as_str(), "/.MTREE=mtree", script].into_iter().chain(items.iter().copied()).collect();
        locked(folder.path(), name, &archive(&files(&items)), "requested")
    };
    let packages = vec![
        package("app", &["/usr/bin/app=x", "/usr/share/libalpm/scripts/app=x"]),
        package("bash", &["/usr/bin/bash=x", "/usr/bin/sh>bash", "/usr/share/licenses/bash/L=x", "/etc/bash.bashrc=x"]),
        package("pacman", &["/usr/bin/pacman=x", "/usr/lib/libalpm.so>libalpm.so.15", "/usr/lib/libalpm.so.15=x"]),
    ];
    let mut set = set(packages, PackageSettings { scripts: Scripts::Skip, distroless: true, ..whole() });
    (set.family, set.distro, set.links) = (Family::Pacman, ("arch".into(), None), BTreeMap::new());
    let made = make(&store, &set);
    let paths: Vec<String> =
        made.tree.iter().filter(|(_, node)| !node.kind.is_directory()).map(|(path, _)| path.to_string()).collect();
    let kept: Vec<&str> = paths.iter().map(String::as_str).filter(|path| !path.starts_with("/etc/")).collect();
    assert_eq!(
        kept,
        [
            "/usr/bin/app",
            "/usr/share/licenses/bash/L",
            "/var/lib/pacman/local/ALPM_DB_VERSION",
            "/var/lib/pacman/local/app-1-1/desc",
            "/var/lib/pacman/local/app-1-1/files",
            "/var/lib/pacman/local/app-1-1/mtree",
        ]
    );
    assert!(made.tree.get(&path("/etc/bash.bashrc")).is_none());
}
