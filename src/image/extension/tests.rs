use super::*;
use crate::distro::Architecture;
use crate::resolve::ReleaseMatch;
use crate::spec::{Host, Scope};
use crate::tree::{Content, Kind, Meta, Node, Tree, TreePath};

fn path(text: &str) -> TreePath {
    text.parse().unwrap()
}

/// Makes a tree of files whose content is their path, of links (`/a -> b`) and directories (`/a/`).
fn tree(paths: &[&str]) -> Tree {
    let mut tree = Tree::new();
    for text in paths {
        let (text, kind) = match text.split_once(" -> ") {
            Some((text, target)) => (text, Kind::Symlink(target.as_bytes().into())),
            None if text.ends_with('/') => (*text, Kind::directory()),
            None => (*text, Kind::Regular(Content::inline(text.as_bytes()))),
        };
        tree.insert(path(text), Node { kind, meta: Meta::root_owned(0o755, 7) }).unwrap();
    }
    tree.complete(|_| Meta::root_owned(0o755, 7));
    tree
}

fn paths(tree: &Tree) -> Vec<String> {
    tree.iter().map(|(path, _)| path.to_string()).collect()
}

fn texts(paths: &[TreePath]) -> Vec<String> {
    paths.iter().map(ToString::to_string).collect()
}

fn text(tree: &Tree, at: &str) -> String {
    let mut text = String::new();
    let Kind::Regular(content) = &tree.lookup(&path(at)).unwrap().kind else { panic!("{at} is no file") };
    std::io::Read::read_to_string(&mut content.open().unwrap(), &mut text).unwrap();
    text
}

#[test]
fn a_sysext_carries_usr_and_opt_and_lists_the_rest() {
    let tree = tree(&["/usr/bin/web", "/opt/web/data", "/optional", "/etc/web.conf", "/srv/www/index.html", "/usrx"]);
    let files = |path: &TreePath, node: &Node| !node.kind.is_directory() && !path.is_root();
    let carried = sysext(&tree, false, files).unwrap();
    assert_eq!(paths(&carried.tree), ["/", "/opt", "/opt/web", "/opt/web/data", "/usr", "/usr/bin", "/usr/bin/web"]);
    assert_eq!(texts(&carried.left_out), ["/etc/web.conf", "/optional", "/srv/www/index.html", "/usrx"]);
    assert!(carried.factory.is_empty());
    let everything = sysext(&tree, false, |path, _| !path.is_root()).unwrap();
    assert_eq!(texts(&everything.left_out), ["/etc", "/optional", "/srv", "/usrx"]);
}

#[test]
fn the_factory_is_owned_by_root_and_remembers_who_owns_what_in_etc() {
    let mut tree = tree(&["/etc/web/web.conf", "/etc/web/now -> web.conf", "/usr/bin/web"]);
    let conf = tree.get_mut(&path("/etc/web/web.conf")).unwrap();
    conf.meta = Meta { mode: 0o640, gid: 65532, ..Meta::root_owned(0, 7) };
    let carried = sysext(&tree, true, |_, _| true).unwrap();
    assert!(carried.left_out.is_empty() || texts(&carried.left_out) == ["/"], "{:?}", carried.left_out);
    let moved = carried.tree.get(&path("/usr/share/factory/etc/web/web.conf")).unwrap();
    assert_eq!(moved.meta, Meta::root_owned(0o644, 7));
    let factory: Vec<_> = carried.factory.iter().map(|entry| (entry.path.to_string(), entry.node.meta.gid)).collect();
    assert_eq!(
        factory,
        [("/etc/web".to_owned(), 0), ("/etc/web/now".to_owned(), 0), ("/etc/web/web.conf".to_owned(), 65532)]
    );
}

#[test]
fn hard_links_stay_links_where_both_names_are_carried() {
    let mut tree = tree(&["/etc/one", "/usr/one"]);
    tree.link(path("/etc/two"), &path("/etc/one")).unwrap();
    tree.link(path("/usr/lib/two"), &path("/usr/one")).unwrap();
    tree.link(path("/usr/lib/three"), &path("/etc/one")).unwrap();
    let configuration = confext(&tree, |_, _| false).unwrap().tree;
    assert_eq!(configuration.id(&path("/etc/one")), configuration.id(&path("/etc/two")));
    let system = sysext(&tree, false, |_, _| false).unwrap().tree;
    assert_eq!(system.id(&path("/usr/one")), system.id(&path("/usr/lib/two")));
    assert_eq!(text(&system, "/usr/lib/three"), "/etc/one");
}

#[test]
fn what_the_base_has_is_not_carried_again() {
    let base = tree(&["/usr/bin/old", "/usr/bin/same", "/usr/lib/link -> there"]);
    let mut over = tree(&["/usr/bin/same", "/usr/bin/new", "/usr/lib/link -> there", "/usr/share/x"]);
    over.insert(path("/usr/bin/old"), Node { kind: Kind::Fifo, meta: Meta::root_owned(0o644, 0) }).unwrap();
    over.get_mut(&path("/usr/bin/same")).unwrap().meta.mtime = 99;
    let Subtracted { tree, changed } = subtract(&over, &base).unwrap();
    assert_eq!(paths(&tree), ["/", "/usr", "/usr/bin", "/usr/bin/new", "/usr/bin/old", "/usr/share", "/usr/share/x"]);
    assert_eq!(texts(&changed), ["/usr/bin/old"]);
}

fn fields<'run>(distro: &'run crate::distro::Distro) -> ReleaseFields<'run> {
    ReleaseFields { distro, name: "web", version: "1.4" }
}

fn debian() -> crate::distro::Distro {
    let project = crate::spec::Project::open(std::path::Path::new("/nowhere"));
    let source = std::sync::Arc::new(crate::spec::Source { name: "x".into(), path: None, text: String::new() });
    let name = crate::spec::Located::new("debian".parse().unwrap(), crate::spec::Place::whole(&source));
    let wish = crate::distro::Wish { release: None, architecture: Some(Architecture::Aarch64) };
    crate::distro::describe(&project, &name, &crate::spec::DistroTable::default(), &wish).unwrap()
}

#[test]
fn a_release_file_says_which_hosts_fit() {
    let distro = debian();
    let release = ReleaseMatch { scope: Vec::new(), host: Host::Distro, level: None, restart_units: Vec::new() };
    let file =
        ReleaseFile::extension(ExtensionClass::Sysext, fields(&distro), &release, Some(Architecture::Aarch64), true);
    assert_eq!(
        file.to_string(),
        "ID=debian\nVERSION_ID=13\nARCHITECTURE=arm64\nSYSEXT_IMAGE_ID=web\nSYSEXT_IMAGE_VERSION=1.4\n\
         EXTENSION_RELOAD_MANAGER=1\n"
    );
    let release = ReleaseMatch {
        scope: vec![Scope::System, Scope::Initrd],
        level: Some("2.0".into()),
        restart_units: vec!["a.service".into(), "b.service".into()],
        ..release
    };
    let file = ReleaseFile::extension(ExtensionClass::Confext, fields(&distro), &release, None, false);
    assert_eq!(
        file.to_string(),
        "ID=debian\nCONFEXT_LEVEL=2.0\nCONFEXT_SCOPE=\"system initrd\"\nCONFEXT_IMAGE_ID=web\n\
         CONFEXT_IMAGE_VERSION=1.4\nEXTENSION_RESTART_UNITS=\"a.service b.service\"\n"
    );
    let anywhere = ReleaseMatch { host: Host::Any, level: None, scope: Vec::new(), restart_units: Vec::new() };
    let file = ReleaseFile::extension(ExtensionClass::Sysext, fields(&distro), &anywhere, None, false);
    assert!(file.to_string().starts_with("ID=_any\nSYSEXT_IMAGE_ID=web\n"), "{file}");
}

#[test]
fn a_portable_tree_has_what_systemd_mounts_over() {
    let distro = debian();
    let release = ReleaseFile::os_release(fields(&distro));
    let tree = tree(&["/usr/bin/web", "/etc/resolv.conf -> ../run/resolv.conf"]);
    let whole = portable(&tree, &release, &["web".into()], ["/usr/bin/web"]).unwrap();
    for mounted in ["/dev", "/proc", "/run", "/sys", "/tmp", "/var/tmp", "/etc/machine-id"] {
        assert!(whole.tree.get(&path(mounted)).is_some(), "{mounted}");
    }
    assert_eq!(text(&whole.tree, "/etc/resolv.conf"), "");
    assert_eq!(whole.tree.get(&path("/tmp")).unwrap().meta.mode, 0o1777);
    assert_eq!(
        text(&whole.tree, "/etc/os-release"),
        "ID=debian\nNAME=\"Debian GNU/Linux\"\nPRETTY_NAME=\"web on Debian GNU/Linux trixie\"\nVERSION_ID=13\n\
         VERSION_CODENAME=trixie\nIMAGE_ID=web\nIMAGE_VERSION=1.4\nPORTABLE_PREFIXES=web\n"
    );
    assert_eq!(whole.missing, []);
}

#[test]
fn a_directory_may_have_mount_points_of_any_owner() {
    let mut found = tree(&["/tmp/", "/var/lib/app/uploads/", "/var/lib/app/file", "/var/lib/other/"]);
    let owned = |mode| Meta { uid: 65532, gid: 65532, ..Meta::root_owned(mode, 7) };
    for at in ["/var/lib/app", "/var/lib/app/uploads", "/var/lib/app/file", "/var/lib/other"] {
        found.get_mut(&path(at)).unwrap().meta = owned(0o750);
    }
    found.get_mut(&path("/tmp")).unwrap().meta.mode = 0o1777;
    yield_mount_points(&mut found, &[path("/var/lib/app"), path("/tmp")]);
    let meta = |at: &str| found.get(&path(at)).unwrap().meta.clone();
    assert_eq!(meta("/var/lib/app"), Meta::root_owned(0o755, 7));
    assert_eq!(meta("/var/lib/app/uploads"), Meta::root_owned(0o755, 7));
    assert_eq!(meta("/tmp"), Meta::root_owned(0o1777, 7), "a copy keeps it");
    assert_eq!(meta("/var/lib/app/file"), owned(0o750), "nothing says what becomes of a file");
    assert_eq!(meta("/var/lib/other"), owned(0o750));
}

#[test]
fn an_os_release_of_the_tree_keeps_what_it_says() {
    let distro = debian();
    let mut tree = tree(&["/usr/lib/os-release", "/etc/os-release -> ../usr/lib/os-release"]);
    let own = Kind::Regular(Content::inline(&b"ID=alpine"[..]));
    tree.insert(path("/usr/lib/os-release"), Node { kind: own, meta: Meta::root_owned(0o644, 7) }).unwrap();
    let release = ReleaseFile::os_release(fields(&distro));
    let whole = portable(&tree, &release, &["web".into(), "x".into()], []).unwrap();
    assert_eq!(text(&whole.tree, "/etc/os-release"), "ID=alpine\nPORTABLE_PREFIXES=\"web x\"\n");
}

#[test]
fn a_program_that_cannot_run_is_found() {
    let distro = debian();
    let mut tree = tree(&["/usr/bin/plain", "/bin -> usr/bin"]);
    let mut script = |at: &str, text: &str| {
        let kind = Kind::Regular(Content::inline(text.as_bytes()));
        tree.insert(path(at), Node { kind, meta: Meta::root_owned(0o755, 7) }).unwrap();
    };
    script("/usr/bin/good", "#! /bin/plain -x\n");
    script("/usr/bin/bad", "#!/usr/bin/python3\nprint()\n");
    let release = ReleaseFile::os_release(fields(&distro));
    let programs = ["/bin/plain", "/usr/bin/good", "/usr/bin/bad", "/usr/sbin/nginx"];
    let whole = portable(&tree, &release, &["web".into()], programs).unwrap();
    let missing: Vec<_> = whole.missing.iter().map(|one| (one.program.as_str(), one.missing.as_str())).collect();
    assert_eq!(missing, [("/usr/bin/bad", "/usr/bin/python3"), ("/usr/sbin/nginx", "/usr/sbin/nginx")]);
}
