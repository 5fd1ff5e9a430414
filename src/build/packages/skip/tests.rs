use super::*;
use crate::build::packages::tests::sample::{self, regular, tree_of, unpacked};
use crate::resolve::PackageSettings;

fn tree(files: &[(&str, &str)]) -> Tree {
    tree_of(&files.iter().map(|(path, text)| (*path, regular(text))).collect::<Vec<_>>())
}

fn package(name: &str, postinst: &str) -> Unpacked {
    let control = format!("Package: {name}\nVersion: 1\nArchitecture: all\n");
    unpacked(&[("control", &control), ("postinst", postinst)], &[])
}

fn set() -> PackageSet {
    PackageSet { epoch: 0, ..sample::set(Vec::new(), PackageSettings::default()) }
}

fn text(tree: &Tree, path: &str) -> String {
    match &tree.get(&path.parse().unwrap()).unwrap_or_else(|| panic!("{path}")).kind {
        Kind::Regular(content) => String::from_utf8(content.read(10_000).unwrap().unwrap()).unwrap(),
        Kind::Symlink(target) => format!("-> {}", String::from_utf8_lossy(target)),
        other => other.word().into(),
    }
}

#[test]
fn accounts_are_those_of_debian_and_those_that_are_asked_for() {
    let mut tree = tree(&[
        ("/usr/share/base-passwd/passwd.master", "root:*:0:0:root:/root:/bin/bash\n"),
        ("/usr/share/base-passwd/group.master", "root:*:0:\nshadow:*:42:\n"),
        (
            "/usr/lib/sysusers.d/a.conf",
            "# comment\nu! web 33 \"Web server\" /var/www\ng input -\nu log - -\nm log shadow\nu other 33:input\n",
        ),
    ]);
    instead(&mut tree, &[], &set()).unwrap();
    let passwd = "root:x:0:0:root:/root:/bin/bash\nweb:x:33:33:Web server:/var/www:/usr/sbin/nologin\n\
                  log:x:998:998::/:/usr/sbin/nologin\nother:x:999:999::/:/usr/sbin/nologin\n";
    assert_eq!(text(&tree, "/etc/passwd"), passwd);
    assert_eq!(text(&tree, "/etc/group"), "root:x:0:\nshadow:x:42:log\ninput:x:999:\nweb:x:33:\nlog:x:998:\n");
    let shadow = tree.get(&"/etc/shadow".parse().unwrap()).unwrap();
    assert_eq!((shadow.meta.mode, shadow.meta.gid), (0o640, 42));
}

#[test]
fn the_best_alternative_is_linked() {
    let mut tree = tree(&[("/usr/bin/mawk", ""), ("/usr/bin/gawk", ""), ("/usr/share/man/man1/mawk.1.gz", "")]);
    let packages = [
        package(
            "mawk",
            "update-alternatives --install /usr/bin/awk awk /usr/bin/mawk 5 \\\n  --slave /usr/share/man/man1/awk.1.gz awk.1.gz /usr/share/man/man1/mawk.1.gz\n",
        ),
        package(
            "gawk",
            "if [ x ]; then\n\tupdate-alternatives --quiet --install /usr/bin/awk awk /usr/bin/gawk 10\nfi\n",
        ),
        package(
            "none",
            "update-alternatives --install /usr/bin/awk awk /usr/bin/none 90\nupdate-alternatives --install $x y /z 1\n",
        ),
    ];
    instead(&mut tree, &packages, &set()).unwrap();
    assert_eq!(text(&tree, "/etc/alternatives/awk"), "-> /usr/bin/gawk");
    assert_eq!(text(&tree, "/usr/bin/awk"), "-> /etc/alternatives/awk");
    let expected = "auto\n/usr/bin/awk\nawk.1.gz\n/usr/share/man/man1/awk.1.gz\n\n/usr/bin/gawk\n10\n\n/usr/bin/mawk\n5\n\
                    /usr/share/man/man1/mawk.1.gz\n\n";
    assert_eq!(text(&tree, "/var/lib/dpkg/alternatives/awk"), expected);
}

#[test]
fn certificates_are_one_file() {
    let mut tree = tree(&[
        ("/usr/share/ca-certificates/mozilla/B (1).crt", "b"),
        ("/usr/share/ca-certificates/mozilla/A.crt", "a\n"),
    ]);
    instead(&mut tree, &[], &set()).unwrap();
    assert_eq!(text(&tree, "/etc/ssl/certs/ca-certificates.crt"), "a\nb\n");
    assert_eq!(text(&tree, "/etc/ssl/certs/B_=1=.pem"), "-> /usr/share/ca-certificates/mozilla/B (1).crt");
    assert_eq!(text(&tree, "/etc/ca-certificates.conf"), "mozilla/A.crt\nmozilla/B (1).crt\n");
}

#[test]
fn what_outlives_a_boot_is_made() {
    let mut tree = tree(&[
        ("/usr/share/base-passwd/passwd.master", "man:*:6:12:man:/:/bin/false\n"),
        ("/usr/share/factory/etc/issue", "hello"),
        (
            "/usr/lib/tmpfiles.d/x.conf",
            "d /var/lib/x 0750 man 12 - -\nd /run/x\nL /etc/mtab - - - - ../proc/mounts\nC /etc/issue\nf /var/a 0600 - - - one two\n\
             d /var/lib/%m\nd! /var/boot\nd /var/lib/y - nobodyknows -\n",
        ),
    ]);
    instead(&mut tree, &[], &set()).unwrap();
    let folder = tree.get(&"/var/lib/x".parse().unwrap()).unwrap();
    assert_eq!((folder.meta.mode, folder.meta.uid, folder.meta.gid), (0o750, 6, 12));
    assert_eq!(text(&tree, "/etc/mtab"), "-> ../proc/mounts");
    assert_eq!(text(&tree, "/etc/issue"), "hello");
    assert_eq!(text(&tree, "/var/a"), "one two");
    for path in ["/run/x", "/var/boot", "/var/lib/y"] {
        assert!(tree.get(&path.parse().unwrap()).is_none(), "{path}");
    }
}

#[test]
fn scripts_that_matter_are_told() {
    let known = "#!/bin/sh\nset -e\n# Automatically added by dh_installtmpfiles/13\nif x; then y; fi\n# End automatically added section\nexit 0\n";
    let unknown = "#!/bin/sh\nset -e\ncase \"$1\" in\nconfigure)\n adduser x\n;;\nesac\n";
    let started = "#!/bin/sh\n# Automatically added by dh_installsystemd/13\n# End automatically added section\n";
    let packages =
        [package("known", known), package("unknown", unknown), package("started", started), package("tzdata", unknown)];
    let skipped = instead(&mut Tree::new(), &packages, &set()).unwrap();
    let told: Vec<(&str, bool)> = skipped.iter().map(|one| (one.package.as_str(), one.matters)).collect();
    assert_eq!(told, [("known", false), ("started", true), ("tzdata", false), ("unknown", true)]);
}
