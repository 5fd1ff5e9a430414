use std::io::Read as _;

use super::*;
use crate::packages::apk::archive::tests::{apk, unpacked};
use crate::packages::apk::{scripts, skip};
use crate::packages::archive::made::File as Member;
use crate::tree::Kind;

fn decisions() -> Decisions {
    Decisions {
        architecture: "x86_64".into(),
        world: vec!["b".into(), "a".into()],
        repositories: vec!["https://example.org/v3.23/main".into()],
        keys: vec![("k.rsa.pub".into(), b"key\n".to_vec())],
        ..Decisions::default()
    }
}

/// Makes a package of further lines of its `.PKGINFO`, its scripts and its data.
fn package(name: &str, info: &str, scripts: &[(&str, &str)], data: &[Member<'_>]) -> (tempfile::TempDir, Unpacked) {
    let folder = tempfile::tempdir().unwrap();
    let info = format!("pkgname = {name}\npkgver = 1-r0\npkgdesc = d\nurl = u\nlicense = MIT\narch = noarch\n{info}");
    let unpacked = unpacked(&apk(&info, scripts, data), folder.path()).unwrap();
    (folder, unpacked)
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

fn bytes(tree: &Tree, path: &str) -> Vec<u8> {
    match &tree.get(&path.parse().unwrap()).unwrap_or_else(|| panic!("{path} is there")).kind {
        Kind::Regular(content) => content.read(1_000_000).unwrap().unwrap(),
        Kind::Symlink(target) => [b"-> ", &**target].concat(),
        other => other.word().as_bytes().to_vec(),
    }
}

fn text(tree: &Tree, path: &str) -> String {
    String::from_utf8(bytes(tree, path)).unwrap()
}

fn identity(package: &Unpacked) -> String {
    let files = String::from_utf8(package.control_file(".FILES").unwrap().bytes.clone()).unwrap();
    files.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnginx:x:101:102:nginx:/:/sbin/nologin\n";

#[test]
fn the_database_is_as_the_rules_of_the_format_have_it() {
    let a = package(
        "a",
        "origin = src\nmaintainer = M <m@x>\nbuilddate = 1700000000\ncommit = 0123\nsize = 4096\ndepend = b>=1\ndepend = so:x.so.1\n\
         provides = cmd:a=1-r0\nreplaces = c\nreplaces_priority = 2\nprovider_priority = 5\ntriggers = /usr/share/* /etc\ninstall_if = b=1-r0 c\n",
        &[(".post-install", "#!/bin/sh\necho a\n"), (".pre-install", "#!/bin/sh\n"), (".trigger", "#!/bin/sh\n")],
        &[
            ("etc|root", b'5', 0o755, "", ""),
            ("etc/passwd|root", b'0', 0o644, "", PASSWD),
            ("etc/group|root", b'0', 0o644, "", "root:x:0:\nnginx:x:102:\n"),
            ("usr|root", b'5', 0o755, "", ""),
            ("usr/bin|root", b'5', 0o755, "", ""),
            ("usr/bin/a|root", b'0', 0o755, "", "content"),
            ("usr/bin/b|root", b'1', 0o755, "usr/bin/a", ""),
            ("usr/bin/link|root", b'2', 0o777, "a", ""),
            ("var|root", b'5', 0o755, "", ""),
            ("var/tmp|root", b'5', 0o1777, "", ""),
            ("var/lib|nginx", b'5', 0o750, "", ""),
            ("var/lib/data|nginx", b'0', 0o640, "", ""),
        ],
    );
    let b = package("b", "", &[], &[("usr|root", b'5', 0o755, "", ""), ("usr/b|root", b'0', 0o644, "", "b")]);
    let [identity_a, size_a] = identity(&a.1).split(' ').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
    let [identity_b, size_b] = identity(&b.1).split(' ').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
    let packages = [a, b];
    let tree = together(&packages, &decisions()).unwrap();
    // Checksums: `printf %s TEXT | openssl dgst -sha1 -binary | base64`.
    let expected = format!(
        "C:{identity_a}\nP:a\nV:1-r0\nA:x86_64\nS:{size_a}\nI:4096\nT:d\nU:u\nL:MIT\no:src\nm:M <m@x>\nt:1700000000\nc:0123\nk:5\n\
         D:b>=1 so:x.so.1\np:cmd:a=1-r0\ni:b=1-r0 c\nr:c\nq:2\n\
         F:etc\nR:passwd\nZ:{}\nR:group\nZ:{}\nF:usr\nF:usr/bin\n\
         R:a\na:0:0:755\nZ:Q1BA8G/XdAkkeNRQd09bowxdp4rMg=\nR:b\na:0:0:755\nZ:Q1BA8G/XdAkkeNRQd09bowxdp4rMg=\n\
         R:link\na:0:0:777\nZ:Q1hvfkN/qlp/zhXR3cuerq6jd2Z7g=\n\
         F:var\nF:var/tmp\nM:0:0:1777\nF:var/lib\nM:101:102:750\nR:data\na:101:102:640\nZ:Q12jmj7l5rSw0yVb/vlWAYkK/YBwk=\n\n\
         C:{identity_b}\nP:b\nV:1-r0\nA:x86_64\nS:{size_b}\nI:0\nT:d\nU:u\nL:MIT\nF:usr\nR:b\nZ:Q16dcfXufJLW3J6S/9rRe4vUlBj5g=\n\n",
        sum(PASSWD),
        sum("root:x:0:\nnginx:x:102:\n"),
    );
    let installed = text(&tree, "/lib/apk/db/installed");
    for (line, (found, expected)) in installed.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "line {line}");
    }
    assert_eq!(installed.len(), expected.len());
    assert_eq!(text(&tree, "/lib/apk/db/triggers"), format!("{identity_a} /usr/share/* /etc\n"));
    assert_eq!(text(&tree, "/lib/apk/db/lock"), "");
    assert_eq!(text(&tree, "/etc/apk/world"), "a\nb\n");
    assert_eq!(text(&tree, "/etc/apk/arch"), "x86_64\n");
    assert_eq!(text(&tree, "/etc/apk/repositories"), "https://example.org/v3.23/main\n");
    assert_eq!(text(&tree, "/etc/apk/keys/k.rsa.pub"), "key\n");
    let data = &tree.get(&"/var/lib/data".parse().unwrap()).unwrap().meta;
    assert_eq!((data.uid, data.gid, data.mode), (101, 102, 0o640));
}

fn sum(text: &str) -> String {
    use base64ct::{Base64, Encoding as _};
    use sha1::{Digest as _, Sha1};
    format!("Q1{}", Base64::encode_string(&Sha1::digest(text)))
}

#[test]
fn scripts_are_kept_in_an_archive() {
    let long = "x".repeat(90);
    let a = package(&long, "builddate = 10\n", &[(".post-install", "#!/bin/sh\n"), (".pre-install", "one\n")], &[]);
    let identity =
        super::super::identity::Identity::parse(identity(&a.1).split(' ').next().unwrap().as_bytes()).unwrap();
    let packages = [a];
    for (tool, path, name) in [
        (Tool::Two, "/lib/apk/db/scripts.tar", format!("{long}-1-r0.{identity}")),
        (Tool::Three, "/lib/apk/db/scripts.tar.gz", format!("{long}-1-r0.X{}", identity.hex())),
    ] {
        let tree = together(&packages, &Decisions { tool, ..decisions() }).unwrap();
        let mut archive = bytes(&tree, path);
        if tool == Tool::Three {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&archive[..]).read_to_end(&mut plain).unwrap();
            archive = plain;
        }
        let mut stream = crate::tree::TarStream::new(&archive[..], 1 << 20);
        for (kind, content) in [("pre-install", "one\n"), ("post-install", "#!/bin/sh\n")] {
            let member = stream.next_member().unwrap().unwrap();
            assert_eq!(
                member.path.as_bytes(),
                format!("{name}.{kind}").replace('/', "\u{0}").as_bytes().split(|b| *b == 0).next().unwrap_or_default()
            );
            assert_eq!((member.meta.mode, member.meta.mtime, member.meta.uid), (0o755, 10, 0));
            let mut found = String::new();
            stream.read_to_string(&mut found).unwrap();
            assert_eq!(found, content);
        }
        assert!(stream.next_member().unwrap().is_none());
    }
}

#[test]
fn two_packages_have_no_file_in_common_unless_one_may() {
    let with = |name, info: &str, content| {
        package(name, info, &[], &[("d|root", b'5', 0o755, "", ""), ("d/f|root", b'0', 0o644, "", content)])
    };
    let outcome = |one: &str, other: &str| {
        let packages = [with("a", one, "of a"), with("b", other, "of b")];
        together(&packages, &decisions()).map(|tree| {
            let installed = text(&tree, "/lib/apk/db/installed");
            assert_eq!(installed.matches("R:f\n").count(), 1, "it stands in one record");
            text(&tree, "/d/f")
        })
    };
    let error = outcome("", "").unwrap_err().to_string();
    assert!(error.starts_with("both `a` and `b` have `/d/f`"), "{error}");
    assert_eq!(outcome("replaces = b", "").unwrap(), "of a");
    assert_eq!(outcome("", "replaces = a").unwrap(), "of b");
    assert!(outcome("", "replaces = a<1").is_err());
    assert_eq!(outcome("", "replaces = a<2").unwrap(), "of b");
    assert_eq!(outcome("replaces = b\nreplaces_priority = 2", "replaces = a\nreplaces_priority = 1").unwrap(), "of a");
    assert_eq!(outcome("replaces = b\nreplaces_priority = 1", "replaces = a\nreplaces_priority = 2").unwrap(), "of b");
    assert_eq!(outcome("origin = x", "origin = x").unwrap(), "of b");
    let twice = [with("a", "", "x"), with("a", "", "x")];
    assert_eq!(together(&twice, &decisions()).unwrap_err().to_string(), "the package `a` is there twice");
}

#[test]
fn a_merged_usr_holds_the_database() {
    let a = package("a", "", &[], &[("usr|root", b'5', 0o755, "", ""), ("usr/lib|root", b'5', 0o755, "", "")]);
    let links = vec![("/lib".parse().unwrap(), b"usr/lib".as_slice().into())];
    let tree = together(&[a], &Decisions { links, ..decisions() }).unwrap();
    assert!(text(&tree, "/usr/lib/apk/db/installed").contains("P:a\n"));
}

#[test]
fn steps_come_in_the_order_of_needs() {
    let script = |kind| [(kind, "#!/bin/sh\n")];
    let packages = [
        package("a", "depend = z\n", &script(".post-install"), &[]),
        package(
            "m",
            "",
            &script(".post-install"),
            &[
                ("usr|", b'5', 0o755, "", ""),
                ("usr/share|", b'5', 0o755, "", ""),
                ("usr/share/x|", b'5', 0o755, "", ""),
                ("usr/share/x/f|", b'0', 0o644, "", ""),
            ],
        ),
        package("t", "triggers = /usr/share/* /nowhere\n", &script(".trigger"), &[]),
        package("u", "triggers = /usr/*\n", &script(".trigger"), &[]),
        package("z", "provides = so:z=1\ndepend = a\n", &[(".pre-install", "x"), (".post-install", "x")], &[]),
    ];
    let unpacked: Vec<Unpacked> = packages.iter().map(|(_, unpacked)| unpacked.clone()).collect();
    let steps = scripts::steps(&unpacked, &["m".to_owned(), "a".to_owned()]).unwrap();
    let shown = |steps: &[crate::packages::step::Step]| -> Vec<String> {
        steps.iter().map(|step| format!("{} {} {}", step.package, step.name, step.arguments.join(" "))).collect()
    };
    assert_eq!(shown(&steps.before), ["z pre-install 1-r0"]);
    assert_eq!(
        shown(&steps.after),
        ["z post-install 1-r0", "a post-install 1-r0", "m post-install 1-r0", "t trigger /usr/share/x"]
    );
    let step = &steps.before[0];
    assert_eq!(step.script.as_ref().unwrap().0.to_string(), step.program);
    assert!(step.environment.contains(&("APK_PACKAGE".into(), "z".into())));
}

#[test]
fn scripts_that_are_skipped_are_done_natively() {
    let certificate = |name: &str| format!("-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n");
    let (one, two) = (certificate("one"), certificate("two"));
    let directory = |name| (name, b'5', 0o755, "", "");
    let packages = [
        package(
            "base",
            "",
            &[(".post-install", "chown root /x\n")],
            &[
                directory("bin|root"),
                directory("etc|root"),
                ("etc/passwd|root", b'0', 0o644, "", "root:x:0:0:root:/root:/bin/sh\n"),
                ("etc/group|root", b'0', 0o644, "", "root:x:0:\n"),
                ("etc/shadow|root", b'0', 0o640, "", "root:*::0:::::\n"),
            ],
        ),
        package(
            "busybox",
            "",
            &[(".post-install", "#!/bin/busybox sh\n/bin/busybox --install -s\n")],
            &[
                directory("bin|root"),
                ("bin/busybox|root", b'0', 0o755, "", "program"),
                ("bin/ls|root", b'0', 0o755, "", "another"),
                directory("etc|root"),
                directory("etc/busybox-paths.d|root"),
                ("etc/busybox-paths.d/busybox|root", b'0', 0o644, "", "/bin/ls\n/bin/sh\nnowhere/x\n"),
            ],
        ),
        package(
            "ca-certificates",
            "",
            &[],
            &[
                (
                    "etc/ca-certificates.conf|root",
                    b'0',
                    0o644,
                    "",
                    "# list\nmozilla/b.crt\n!mozilla/no.crt\nmozilla/a.crt\n",
                ),
                ("usr/share/ca-certificates/mozilla/a.crt|root", b'0', 0o644, "", &one),
                ("usr/share/ca-certificates/mozilla/b.crt|root", b'0', 0o644, "", &two),
                ("usr/share/ca-certificates/mozilla/no.crt|root", b'0', 0o644, "", "no"),
            ],
        ),
        package(
            "nginx",
            "",
            &[(
                ".pre-install",
                "addgroup -S nginx 2>/dev/null\nadduser -S -D -H -G nginx -g nginx nginx 2>/dev/null\n",
            )],
            &[("var/lib/nginx|nginx", b'5', 0o750, "", "")],
        ),
        package("bash", "", &[(".post-install", "#!/bin/sh\nadd-shell '/bin/bash'\n")], &[]),
    ];
    let unpacked: Vec<Unpacked> = packages.iter().map(|(_, unpacked)| unpacked.clone()).collect();
    let mut tree = install(&unpacked, &decisions(), |_| false).unwrap();
    let left = skip::skip_scripts(&mut tree, &unpacked, &decisions()).unwrap();
    assert_eq!(left, [crate::packages::step::Left { package: "base".into(), what: "post-install".into() }]);
    assert_eq!((text(&tree, "/bin/sh"), text(&tree, "/bin/ls")), ("-> /bin/busybox".into(), "another".into()));
    assert_eq!(text(&tree, "/etc/ssl/certs/ca-certificates.crt"), two + &one);
    assert!(text(&tree, "/etc/passwd").ends_with("nginx:x:100:100:nginx:/dev/null:/bin/false\n"));
    assert!(text(&tree, "/etc/shadow").ends_with("nginx:!:0:0:99999:7:::\n"));
    assert_eq!(text(&tree, "/etc/shells"), "/bin/bash\n");
    let meta = &tree.get(&"/var/lib/nginx".parse().unwrap()).unwrap().meta;
    assert_eq!((meta.uid, meta.gid, meta.mode), (100, 100, 0o750));
    assert!(text(&tree, "/lib/apk/db/installed").contains("F:var/lib/nginx\nM:100:100:750\n"));
}

#[test]
fn a_script_that_failed_is_told_in_the_record() {
    let (_folder, a) = package("a", "", &[], &[("d|root", b'5', 0o755, "", ""), ("d/P:b|root", b'0', 0o644, "", "a")]);
    let (_other, b) = package("b", "", &[], &[]);
    let mut tree = install(&[a, b], &decisions(), |_| false).unwrap();
    let before = text(&tree, "/lib/apk/db/installed");
    mark_broken(&mut tree, &BTreeSet::new()).unwrap();
    assert_eq!(text(&tree, "/lib/apk/db/installed"), before);
    mark_broken(&mut tree, &BTreeSet::from(["a".into()])).unwrap();
    assert_eq!(text(&tree, "/lib/apk/db/installed"), before.replacen("\nF:", "\nf:s\nF:", 1));
    mark_broken(&mut tree, &BTreeSet::from(["b".into()])).unwrap();
    let both = text(&tree, "/lib/apk/db/installed");
    assert!(both.ends_with("\nf:s\n\n") && both.matches("f:s\n").count() == 2, "{both}");
}

#[test]
fn what_is_left_out_stays_in_the_record() {
    let (_folder, a) =
        package("a", "", &[], &[("doc|root", b'5', 0o755, "", ""), ("doc/f|root", b'0', 0o644, "", "a")]);
    let tree = install(&[a], &decisions(), |path| path.as_bytes().starts_with(b"doc/")).unwrap();
    assert!(tree.get(&"/doc/f".parse().unwrap()).is_none());
    assert!(text(&tree, "/lib/apk/db/installed").contains("F:doc\nR:f\n"));
}
