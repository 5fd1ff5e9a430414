use super::*;
use crate::packages::apt::archive::tests::{File, deb, unpacked};
use crate::tree::Kind;

/// Makes a package of its control fields, other control files and data.
fn package(fields: &str, more: &[File<'_>], data: &[File<'_>]) -> (tempfile::TempDir, Unpacked) {
    let folder = tempfile::tempdir().unwrap();
    let control = format!("{fields}\nArchitecture: amd64\nMaintainer: M\nDescription: d\n long\n");
    let mut files = vec![("./control", b'0', 0o644, "", control.as_str())];
    files.extend(more);
    let unpacked = unpacked(&deb(&files, data), folder.path()).unwrap();
    (folder, unpacked)
}

fn decisions() -> Decisions {
    Decisions { architecture: "amd64".into(), configured: true, ..Decisions::default() }
}

fn together(packages: &[(tempfile::TempDir, Unpacked)], decisions: &Decisions) -> Result<Tree, DatabaseError> {
    let unpacked: Vec<Unpacked> = packages.iter().map(|(_, unpacked)| unpacked.clone()).collect();
    let tree = install(&unpacked, decisions, |_| false);
    let reversed: Vec<Unpacked> = unpacked.into_iter().rev().collect();
    match (&tree, install(&reversed, decisions, |_| false)) {
        (Ok(tree), Ok(other)) => assert!(crate::tree::diff(tree, &other).is_empty(), "the order does not matter"),
        (Err(error), Err(other)) => assert_eq!(error.to_string().len(), other.to_string().len()),
        (one, other) => panic!("the order matters: {one:?} {other:?}"),
    }
    tree
}

fn text(tree: &Tree, path: &str) -> String {
    match &tree.get(&path.parse().unwrap()).unwrap_or_else(|| panic!("{path} is there")).kind {
        Kind::Regular(content) => String::from_utf8(content.read(10_000).unwrap().unwrap()).unwrap(),
        Kind::Symlink(target) => format!("-> {}", target.escape_ascii()),
        other => other.word().to_owned(),
    }
}

const DIRECTORY: (u8, u32, &str, &str) = (b'5', 0o755, "", "");

fn directory(name: &str) -> File<'_> {
    (name, DIRECTORY.0, DIRECTORY.1, DIRECTORY.2, DIRECTORY.3)
}

fn file<'text>(name: &'text str, content: &'text str) -> File<'text> {
    (name, b'0', 0o644, "", content)
}

#[test]
fn the_database_tells_what_is_installed() {
    let a = package(
        "Package: a\nVersion: 1-2\nHomepage: h\nDepends: b\nMulti-Arch: same",
        &[
            file("./conffiles", "remove-on-upgrade /etc/old.conf\n/etc/a.conf\n"),
            ("./postinst", b'0', 0o755, "", "#!/bin/sh\n"),
            file("./triggers", "# tells\ninterest-noawait /usr/share/x\ninterest ldconfig\nactivate other\n"),
        ],
        &[directory("./"), directory("./etc/"), file("./etc/a.conf", "setting\n")],
    );
    let b = package("Package: b\nVersion: 1", &[], &[directory("./"), directory("./var/lib/apt/")]);
    let decisions = Decisions { automatic: ["b".to_owned()].into(), ..decisions() };
    let tree = together(&[a, b], &decisions).unwrap();
    assert_eq!(
        text(&tree, "/var/lib/dpkg/status"),
        "Package: a\nStatus: install ok installed\nMaintainer: M\nArchitecture: amd64\nMulti-Arch: same\nVersion: 1-2\n\
         Depends: b\nConffiles:\n /etc/old.conf newconffile remove-on-upgrade\n /etc/a.conf 5b96e7d1d2ee6b5c0f8a39e4a8e7b0a5\nDescription: d\n long\nHomepage: h\n\nPackage: b\n\
         Status: install ok installed\nMaintainer: M\nArchitecture: amd64\nVersion: 1\nDescription: d\n long\n\n"
            .replace("5b96e7d1d2ee6b5c0f8a39e4a8e7b0a5", &md5_of("setting\n"))
    );
    assert_eq!(text(&tree, "/var/lib/dpkg/info/a:amd64.list"), "/.\n/etc\n/etc/a.conf\n");
    assert_eq!(text(&tree, "/var/lib/dpkg/info/b.list"), "/.\n/var/lib/apt\n");
    assert_eq!(text(&tree, "/var/lib/dpkg/triggers/File"), "/usr/share/x a:amd64/noawait\n");
    assert_eq!(text(&tree, "/var/lib/dpkg/triggers/ldconfig"), "a:amd64\n");
    assert_eq!(text(&tree, "/var/lib/dpkg/arch"), "amd64\n");
    assert_eq!(text(&tree, "/var/lib/apt/extended_states"), "Package: b\nArchitecture: amd64\nAuto-Installed: 1\n\n");
    let postinst = tree.get(&"/var/lib/dpkg/info/a:amd64.postinst".parse().unwrap()).unwrap();
    assert_eq!((postinst.meta.mode, postinst.meta.mtime), (0o755, 10));
    assert!(tree.get(&"/var/lib/dpkg/info/a:amd64.control".parse().unwrap()).is_none());
}

fn md5_of(text: &str) -> String {
    use md5::Digest as _;
    md5::Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn links_to_directories_are_written_through() {
    let base = package(
        "Package: base-files\nVersion: 1\nEssential: yes",
        &[],
        &[directory("./"), directory("./usr/"), directory("./usr/bin/"), ("./bin", b'2', 0o777, "usr/bin", "")],
    );
    let tool = package("Package: a\nVersion: 1", &[], &[directory("./bin/"), file("./bin/tool", "x")]);
    let packages = [base, tool];
    let tree = together(&packages, &decisions()).unwrap();
    assert_eq!(text(&tree, "/bin"), "-> usr/bin");
    assert_eq!(text(&tree, "/usr/bin/tool"), "x");
    assert_eq!(text(&tree, "/var/lib/dpkg/info/a.list"), "/.\n/bin\n/bin/tool\n");
    let tool = package("Package: a\nVersion: 1", &[], &[directory("./lib/"), file("./lib/x", "x")]);
    let links = vec![("/lib".parse().unwrap(), b"usr/lib".as_slice().into())];
    let packages = [tool];
    let tree = together(&packages, &Decisions { links, ..decisions() }).unwrap();
    assert_eq!((text(&tree, "/lib"), text(&tree, "/usr/lib/x")), ("-> usr/lib".into(), "x".into()));
}

#[test]
fn two_packages_have_no_file_in_common_unless_one_says_so() {
    let a = || package("Package: a\nVersion: 1", &[], &[directory("./d/"), file("./d/f", "a")]);
    let b =
        |more: &str| package(&format!("Package: b\nVersion: 1{more}"), &[], &[directory("./d/"), file("./d/f", "b")]);
    let error = together(&[a(), b("")], &decisions()).unwrap_err();
    assert!(error.to_string().starts_with("both `a` and `b` have `/d/f`"), "{error}");
    assert!(together(&[a(), b("\nReplaces: a (<< 1)")], &decisions()).is_err());
    let packages = [a(), b("\nReplaces: a (<= 1)")];
    let tree = together(&packages, &decisions()).unwrap();
    assert_eq!(text(&tree, "/d/f"), "b");
    assert_eq!(text(&tree, "/var/lib/dpkg/info/a.list"), "/.\n/d\n");
    assert_eq!(text(&tree, "/var/lib/dpkg/info/b.list"), "/.\n/d\n/d/f\n");
    let c = package("Package: c\nVersion: 1", &[], &[file("./d", "a file")]);
    assert!(together(&[a(), c], &decisions()).is_err(), "a file where another has a directory");
    let twice = together(&[a(), a()], &decisions()).unwrap_err();
    assert_eq!(twice.to_string(), "the package `a` is there twice");
}

#[test]
fn names_of_one_file_stay_together() {
    let links = |name| {
        let fields = format!("Package: {name}\nVersion: 1\nReplaces: z");
        package(&fields, &[], &[file("./f", "x"), ("./g", b'1', 0o644, "./f", ""), ("./h", b'1', 0o644, "./g", "")])
    };
    let tree = together(&[links("a")], &decisions()).unwrap();
    let id = |tree: &Tree, path: &str| tree.id(&path.parse().unwrap()).unwrap();
    assert!(id(&tree, "/f") == id(&tree, "/g") && id(&tree, "/f") == id(&tree, "/h"));
    // One name is replaced by another package: the others keep the file.
    let z = links("z");
    let other = package("Package: b\nVersion: 1\nReplaces: z", &[], &[file("./f", "mine")]);
    let packages = [z, other];
    let tree = together(&packages, &decisions()).unwrap();
    assert_eq!((text(&tree, "/f"), text(&tree, "/g")), ("mine".into(), "x".into()));
    assert_eq!(id(&tree, "/g"), id(&tree, "/h"));
    let wrong = package("Package: a\nVersion: 1", &[], &[("./g", b'1', 0o644, "./f", "")]);
    assert!(together(&[wrong], &decisions()).is_err());
}

#[test]
fn administrators_decide() {
    let a = package("Package: a\nVersion: 1", &[], &[file("./etc/f", "a"), file("./etc/g", "g")]);
    let b = package("Package: b\nVersion: 1", &[], &[file("./etc/f", "b")]);
    let path = |text: &str| -> TreePath { text.parse().unwrap() };
    let decisions = Decisions {
        diversions: vec![Diversion { path: path("/etc/f"), to: path("/etc/f.a"), package: Some("b".into()) }],
        overrides: vec![StatOverride { path: path("/etc/g"), uid: 7, gid: 8, mode: 0o2755 }],
        ..decisions()
    };
    let packages = [a, b];
    let tree = together(&packages, &decisions).unwrap();
    assert_eq!((text(&tree, "/etc/f"), text(&tree, "/etc/f.a")), ("b".into(), "a".into()));
    let meta = &tree.get(&path("/etc/g")).unwrap().meta;
    assert_eq!((meta.uid, meta.gid, meta.mode), (7, 8, 0o2755));
    assert_eq!(text(&tree, "/var/lib/dpkg/diversions"), "/etc/f\n/etc/f.a\nb\n");
    assert_eq!(text(&tree, "/var/lib/dpkg/statoverride"), "#7 #8 2755 /etc/g\n");
}

#[test]
fn what_is_left_out_stays_in_the_list() {
    let (_folder, a) = package("Package: a\nVersion: 1", &[], &[directory("./doc/"), file("./doc/f", "a")]);
    let tree = install(&[a], &decisions(), |path| path.as_bytes().starts_with(b"doc/")).unwrap();
    assert!(tree.get(&"/doc/f".parse().unwrap()).is_none());
    assert_eq!(text(&tree, "/var/lib/dpkg/info/a.list"), "/.\n/doc\n/doc/f\n");
}

#[test]
fn hostile_control_files_are_refused() {
    for (fields, more) in [
        ("Package: ../../x\nVersion: 1", None),
        ("Package: a\nVersion: 1 2", None),
        ("Package: a\nVersion: 1", Some(("./conffiles", "../etc/x\n"))),
        ("Package: a\nVersion: 1", Some(("./conffiles", "/etc/missing\n"))),
        ("Package: a\nVersion: 1", Some(("./triggers", "interest ../../x\n"))),
        ("Package: a\nVersion: 1", Some(("./triggers", "interest Lock\n"))),
        ("Package: a\nVersion: 1", Some(("./triggers", "frobnicate x\n"))),
    ] {
        let more: Vec<File<'_>> = more.iter().map(|(name, text)| file(name, text)).collect();
        let broken = package(fields, &more, &[directory("./")]);
        assert!(together(&[broken], &decisions()).is_err(), "{fields}");
    }
}
