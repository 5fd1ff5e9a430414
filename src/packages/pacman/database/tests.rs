use super::*;
use crate::packages::archive::made::{File as Member, tar};
use crate::packages::pacman::archive::tests::unpacked;
use crate::packages::pacman::{scripts, skip};
use crate::tree::Kind;

fn package(name: &str, info: &str, members: &[Member<'_>]) -> (tempfile::TempDir, Unpacked) {
    let folder = tempfile::tempdir().unwrap();
    let info = format!(
        "# made\npkgname = {name}\npkgbase = {name}\nxdata = pkgtype=pkg\npkgver = 1-1\npkgdesc = d\nurl = u\nbuilddate = 5\npackager = P\nsize = 9\narch = any\n{info}"
    );
    let mut all: Vec<Member<'_>> = vec![(".PKGINFO", b'0', 0o644, "", &info), (".MTREE", b'0', 0o644, "", "mtree")];
    all.extend(members);
    let unpacked = unpacked(&tar(&all), folder.path()).unwrap();
    (folder, unpacked)
}

fn together(packages: &[(tempfile::TempDir, Unpacked)], decisions: &Decisions) -> Result<Tree, DatabaseError> {
    let unpacked: Vec<Unpacked> = packages.iter().map(|(_, unpacked)| unpacked.clone()).collect();
    let tree = install(&unpacked, decisions, |_| false);
    let reversed: Vec<Unpacked> = unpacked.into_iter().rev().collect();
    if let (Ok(tree), Ok(other)) = (&tree, install(&reversed, decisions, |_| false)) {
        assert!(crate::tree::diff(tree, &other).is_empty(), "the order does not matter");
    }
    tree
}

fn text(tree: &Tree, path: &str) -> String {
    match &tree.get(&path.parse().unwrap()).unwrap_or_else(|| panic!("{path} is there")).kind {
        Kind::Regular(content) => String::from_utf8(content.read(100_000).unwrap().unwrap()).unwrap(),
        other => other.word().to_owned(),
    }
}

#[test]
fn the_database_is_as_the_specification_has_it() {
    let a = package(
        "a",
        "license = MIT\nlicense = ISC\nreplaces = old\ngroup = g\nconflict = c\nprovides = v=1\nbackup = etc/a.conf\nbackup = etc/missing\ndepend = b\noptdepend = w: good\n",
        &[
            (".INSTALL", b'0', 0o644, "", "post_install() { :; }\n"),
            ("usr/", b'5', 0o755, "", ""),
            ("usr/b", b'0', 0o644, "", "b"),
            ("etc/", b'5', 0o755, "", ""),
            ("etc/a.conf", b'0', 0o644, "", "setting\n"),
        ],
    );
    let b = package("b", "", &[("usr/", b'5', 0o755, "", "")]);
    let decisions = Decisions { automatic: ["b".to_owned()].into(), epoch: 77, ..Decisions::default() };
    let tree = together(&[a, b], &decisions).unwrap();
    let local = "/var/lib/pacman/local";
    assert_eq!(
        text(&tree, &format!("{local}/a-1-1/desc")),
        "%NAME%\na\n\n%VERSION%\n1-1\n\n%BASE%\na\n\n%DESC%\nd\n\n%URL%\nu\n\n%ARCH%\nany\n\n%BUILDDATE%\n5\n\n%INSTALLDATE%\n77\n\n\
         %PACKAGER%\nP\n\n%SIZE%\n9\n\n%GROUPS%\ng\n\n%LICENSE%\nMIT\nISC\n\n%VALIDATION%\npgp\n\n%REPLACES%\nold\n\n%DEPENDS%\nb\n\n\
         %OPTDEPENDS%\nw: good\n\n%CONFLICTS%\nc\n\n%PROVIDES%\nv=1\n\n%XDATA%\npkgtype=pkg\n\n"
    );
    assert!(text(&tree, &format!("{local}/b-1-1/desc")).contains("%SIZE%\n9\n\n%REASON%\n1\n\n%VALIDATION%\n"));
    // Checksum: `printf 'setting\n' | md5sum`.
    assert_eq!(
        text(&tree, &format!("{local}/a-1-1/files")),
        "%FILES%\netc/\netc/a.conf\nusr/\nusr/b\n\n%BACKUP%\netc/a.conf\tSUM\n\n".replace("SUM", &md5("setting\n"))
    );
    assert_eq!(text(&tree, &format!("{local}/a-1-1/mtree")), "mtree");
    assert_eq!(text(&tree, &format!("{local}/a-1-1/install")), "post_install() { :; }\n");
    assert_eq!(text(&tree, &format!("{local}/ALPM_DB_VERSION")), "9\n");
}

fn md5(text: &str) -> String {
    use md5::Digest as _;
    md5::Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn alpm_db_reads_what_is_written() {
    use alpm_db::desc::DbDescFileV2;
    use alpm_db::files::DbFilesV1;
    let info = "pkgname = b\npkgbase = base-b\nxdata = pkgtype=split\npkgver = 1:2.0-1\npkgdesc = A thing\nurl = https://example.org/\n\
                builddate = 1700000000\npackager = P <p@example.org>\nsize = 34\narch = x86_64\nlicense = MIT\nlicense = Apache-2.0\n\
                replaces = old\ngroup = g\nconflict = c<2\nprovides = v=1\nprovides = libb.so=1-64\nbackup = etc/b.conf\n\
                depend = a>=1\ndepend = liba.so=1-64\noptdepend = w: good\n";
    let members: Vec<Member<'_>> = vec![
        (".PKGINFO", b'0', 0o644, "", info),
        (".MTREE", b'0', 0o644, "", "mtree"),
        ("usr/", b'5', 0o755, "", ""),
        ("usr/b", b'0', 0o644, "", "b"),
        ("etc/", b'5', 0o755, "", ""),
        ("etc/b.conf", b'0', 0o644, "", "setting\n"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let unpacked = unpacked(&tar(&members), folder.path()).unwrap();
    for (automatic, unsigned, reason, validation) in
        [(false, false, "0", "pgp"), (true, false, "1", "pgp"), (false, true, "0", "sha256")]
    {
        let named = |is: bool| if is { BTreeSet::from(["b".to_owned()]) } else { BTreeSet::new() };
        let decisions = Decisions {
            automatic: named(automatic),
            unsigned: named(unsigned),
            epoch: 1_700_000_077,
            ..Decisions::default()
        };
        let tree = install(std::slice::from_ref(&unpacked), &decisions, |_| false).unwrap();
        let file = |name: &str| text(&tree, &format!("/var/lib/pacman/local/b-1:2.0-1/{name}"));
        let desc: DbDescFileV2 = file("desc").parse().unwrap();
        // They write it back as it is, but for the reason that somebody asks for it, which pacman does not write, and the place of
        // that section.
        let back = desc.to_string().replace("%REASON%\n0\n\n", "");
        let sections = |text: &str| text.trim_end().split("\n\n").map(str::to_owned).collect::<BTreeSet<String>>();
        assert_eq!(sections(&back), sections(&file("desc")));
        assert_eq!((desc.name.to_string(), desc.version.to_string()), ("b".into(), "1:2.0-1".into()));
        assert_eq!((desc.reason as u8).to_string(), reason);
        assert_eq!(desc.validation.iter().map(ToString::to_string).collect::<Vec<_>>(), [validation]);
        let files: DbFilesV1 = file("files").parse().unwrap();
        let paths: Vec<&str> = files.as_ref().iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(paths, ["etc/", "etc/b.conf", "usr/", "usr/b"]);
        assert_eq!(files.backups().len(), 1);
        assert_eq!(files.to_string().trim_end(), file("files").trim_end());
    }
}

#[test]
fn two_packages_have_no_file_in_common() {
    let with = |name, path| package(name, "", &[(path, b'0', 0o644, "", "x")]);
    let error = together(&[with("a", "f"), with("b", "f")], &Decisions::default()).unwrap_err().to_string();
    assert!(error.starts_with("both `a` and `b` have `/f`"), "{error}");
    assert!(together(&[with("a", "f"), with("b", "g")], &Decisions::default()).is_ok());
    let twice = together(&[with("a", "f"), with("a", "g")], &Decisions::default()).unwrap_err();
    assert_eq!(twice.to_string(), "the package `a` is there twice");
    let bad = package("a", "", &[("x\ny", b'0', 0o644, "", "")]);
    assert!(together(&[bad], &Decisions::default()).unwrap_err().to_string().contains("cannot stand in the database"));
}

#[test]
fn steps_are_scripts_in_the_order_of_needs_and_then_hooks() {
    let hook = |target: &str, more: &str| {
        format!(
            "[Trigger]\nOperation = Install\nType = Path\nTarget = {target}\n[Action]\nWhen = PostTransaction\nExec = /usr/bin/x y\n{more}"
        )
    };
    let (one, two, three) =
        (hook("usr/share/*", "NeedsTargets\n"), hook("nothing", ""), hook("usr/*", "Depends = missing\n"));
    let packages = [
        package(
            "a",
            "depend = z\n",
            &[
                (".INSTALL", b'0', 0o644, "", "pre_install() { :; }\npost_install() { :; }\n"),
                ("usr/share/f", b'0', 0o644, "", ""),
            ],
        ),
        package(
            "z",
            "provides = p\n",
            &[
                (".INSTALL", b'0', 0o644, "", "post_install() { :; }\n"),
                ("usr/share/libalpm/hooks/20-one.hook", b'0', 0o644, "", &one),
                ("usr/share/libalpm/hooks/10-two.hook", b'0', 0o644, "", &two),
                ("usr/share/libalpm/hooks/30-three.hook", b'0', 0o644, "", &three),
                ("usr/share/libalpm/hooks/40-off.hook", b'0', 0o644, "", &one),
                ("etc/pacman.d/hooks/40-off.hook", b'2', 0o777, "/dev/null", ""),
                ("etc/ld.so.conf", b'0', 0o644, "", ""),
                ("usr/lib/sysusers.d/z.conf", b'0', 0o644, "", "u z 50\n"),
            ],
        ),
    ];
    let unpacked: Vec<Unpacked> = packages.iter().map(|(_, unpacked)| unpacked.clone()).collect();
    let mut tree = install(&unpacked, &Decisions::default(), |_| false).unwrap();
    let steps = scripts::steps(&tree, &unpacked).unwrap();
    let shown: Vec<String> = steps
        .iter()
        .map(|step| format!("{} {}: {} {}", step.package, step.name, step.program, step.arguments.join(" ")))
        .collect();
    assert_eq!(
        shown,
        [
            "z post_install: /usr/bin/bash -c . /var/lib/pacman/local/z-1-1/install; post_install 1-1",
            "a pre_install: /usr/bin/bash -c . /var/lib/pacman/local/a-1-1/install; pre_install 1-1",
            "a post_install: /usr/bin/bash -c . /var/lib/pacman/local/a-1-1/install; post_install 1-1",
            "glibc ldconfig: /usr/bin/ldconfig ",
            "z 20-one.hook: /usr/bin/x y",
        ]
    );
    assert!(steps[4].input.contains("usr/share/f\n"), "{}", steps[4].input);
    let left = skip::skip_scripts(&mut tree, &unpacked, 0).unwrap();
    assert_eq!(left.len(), 4, "{left:?}");
    assert!(text(&tree, "/etc/passwd").contains("z:x:50:50::/:/usr/bin/nologin\n"));
}
