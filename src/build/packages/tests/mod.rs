//! Packages that the tests make themselves: what does not need a sandbox.

mod families;
pub(super) mod sample;

use std::path::Path;
use std::sync::Arc;

use self::sample::set;
use super::*;
use crate::build::{self, Body, Means, Neutrals, Product};
use crate::distro::{Architecture, Wish};
use crate::event::Silent;
use crate::lock::{Bundle, LockedSource};
use crate::plan::{ImageWish, OutputKind, Plan, Step};
use crate::resolve::{Bundling, Library, PathRule, Recipe, Request, resolve};
use crate::spec::{Project, SbomFormat};
use crate::tree::{Content, DeviceNumber, Kind, Meta, Node};

fn path(text: &str) -> TreePath {
    text.parse().unwrap()
}

/// Makes a tree of `/file=text`, `/link>target` and `/directory/`.
fn files(items: &[&str]) -> Tree {
    let mut tree = Tree::new();
    for item in items {
        let (name, kind) = if let Some((name, text)) = item.split_once('=') {
            (name, Kind::Regular(Content::inline(text.as_bytes())))
        } else if let Some((name, target)) = item.split_once('>') {
            (name, Kind::Symlink(target.as_bytes().into()))
        } else {
            (item.trim_end_matches('/'), Kind::directory())
        };
        let mode = match kind {
            Kind::Directory { .. } => 0o755,
            Kind::Symlink(_) => 0o777,
            _ => 0o644,
        };
        tree.insert(path(name), Node { kind, meta: Meta::root_owned(mode, 1000) }).unwrap();
    }
    tree.complete(|_| Meta::root_owned(0o755, 1000));
    tree
}

fn archive(tree: &Tree) -> Vec<u8> {
    let mut bytes = Vec::new();
    crate::image::write_tar(tree, &mut bytes).unwrap();
    bytes
}

/// Makes a package: its control file, other control files and what it puts where.
fn package(folder: &Path, name: &str, control: &[&str], items: &[&str]) -> (LockedPackage, PathBuf) {
    let about = format!("/control=Package: {name}\nVersion: 1\nArchitecture: all\nSource: src-{name} (0.9)\n");
    let control: Vec<&str> = control.iter().copied().chain([about.as_str()]).collect();
    let members = [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar", archive(&files(&control))),
        ("data.tar", archive(&files(items))),
    ];
    let mut bytes = b"!<arch>\n".to_vec();
    for (member, content) in members {
        bytes.extend(format!("{member:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, content.len()).bytes());
        bytes.extend(&content);
        bytes.extend((content.len() % 2 == 1).then_some(b'\n'));
    }
    let at = folder.join(format!("{name}.deb"));
    fs::write_atomic(&at, &bytes).unwrap();
    let locked = LockedPackage {
        name: name.into(),
        version: "1".into(),
        architecture: "all".into(),
        source: "debian".into(),
        path: String::new(),
        size: bytes.len() as u64,
        sha256: Digest::of(&bytes),
        why: "requested".into(),
    };
    (locked, at)
}

fn whole() -> PackageSettings {
    PackageSettings { documentation: true, locales: None, ..PackageSettings::default() }
}

fn make(store: &Store, set: &PackageSet) -> PackageTree {
    tree(set, store, &Silent).unwrap_or_else(|error| panic!("{error}"))
}

const COPYRIGHT: &str = "/usr/share/doc/a/copyright=Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: Expat\n";

#[test]
fn a_set_is_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    let a = package(folder.path(), "a", &[], &["/bin/a=program", "/etc/a.conf=x", COPYRIGHT]);
    let b = package(folder.path(), "b", &[], &["/usr/bin/b=other", "/usr/share/doc/b/NEWS=new"]);
    let one = set(vec![a.clone(), b.clone()], whole());
    let made = make(&store, &one);
    let shown = |made: &PackageTree, path: &str| made.tree.get(&path.parse().unwrap()).map(|node| node.kind.word());
    assert_eq!(shown(&made, "/bin"), Some("symlink"), "no package has it");
    assert_eq!((shown(&made, "/usr/bin/a"), shown(&made, "/lib64")), (Some("file"), None));
    assert!(made.tree.iter().all(|(_, node)| node.meta.mtime <= 500));
    let names: Vec<_> = made.packages.iter().map(|one| (&*one.name, &*one.source.0, one.licences.len())).collect();
    assert_eq!(names, [("a", "src-a", 1), ("b", "src-b", 0)]);
    assert_eq!(made.owners[&path("/usr/bin/b")], 1);

    // The order of the packages says nothing, and their files are not needed any more.
    fs::remove_file(&a.1).unwrap();
    let again = make(&store, &set(vec![b.clone(), a.clone()], whole()));
    assert_eq!((again.tree.digest(), again.packages, again.owners), (made.tree.digest(), made.packages, made.owners));
    let without = set(vec![a.clone(), b.clone()], PackageSettings { documentation: false, ..whole() });
    let lean = make(&store, &without);
    assert!(
        lean.tree.get(&path("/usr/share/doc/b")).is_none()
            && lean.tree.get(&path("/usr/share/doc/a/copyright")).is_some()
    );

    // A pack that is gone or a tree that is damaged is a tree that is made again, and needs the file.
    fs::remove_file(&store.packs().join(a.0.sha256.hex())).unwrap();
    assert!(tree(&one, &store, &Silent).is_err());
    let a = package(folder.path(), "a", &[], &["/bin/a=program", "/etc/a.conf=x", COPYRIGHT]);
    assert_eq!(make(&store, &one).tree.digest(), again.tree.digest());
    let kept = store.package_tree(&one.key());
    let mut bytes = fs::read(&kept).unwrap();
    let middle = bytes.len() - 60;
    bytes[middle] ^= 1;
    fs::write_atomic(&kept, &bytes).unwrap();
    assert!(keep::read(&store, &one.key()).unwrap().is_none());
    assert_eq!(make(&store, &set(vec![a, b], whole())).tree.digest(), again.tree.digest());
}

#[test]
fn everything_that_decides_is_in_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let a = package(folder.path(), "a", &[], &["/usr/bin/a=1"]);
    let base = set(vec![a.clone()], whole());
    let keys: BTreeSet<Digest> = [
        base.clone(),
        PackageSet { epoch: 501, ..base.clone() },
        PackageSet { architecture: "arm64".into(), ..base.clone() },
        PackageSet { groups: BTreeMap::from([("a".into(), 7)]), ..base.clone() },
        set(vec![a.clone()], PackageSettings { scripts: Scripts::Skip, ..whole() }),
        set(vec![a.clone()], PackageSettings { distroless: true, ..whole() }),
        set(
            vec![a.clone()],
            PackageSettings { paths: vec![PathRule { pattern: "/x".into(), excluded: true }], ..whole() },
        ),
        set(vec![(LockedPackage { why: "b depends on it".into(), ..a.0.clone() }, a.1.clone())], whole()),
    ]
    .iter()
    .map(PackageSet::key)
    .collect();
    assert_eq!(keys.len(), 8);
    let same = set(vec![a], PackageSettings { recommends: true, ..whole() });
    assert_eq!(same.key(), base.key(), "what the lock has decided already");
}

#[test]
fn scripts_need_somebody_who_runs_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    let a = package(folder.path(), "a", &["/postinst=#!/bin/sh\nadduser x\n"], &["/usr/bin/a=1"]);
    let error = tree(&set(vec![a.clone()], whole()), &store, &Silent).unwrap_err();
    assert!(error.to_string().starts_with("`a` has scripts, and no package of the set is `dpkg`"), "{error}");
    let made = make(&store, &set(vec![a], PackageSettings { scripts: Scripts::Skip, ..whole() }));
    assert_eq!((made.skipped.len(), made.skipped[0].matters), (1, true));
}

#[test]
fn distroless_keeps_what_scanners_need() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    let packages = vec![
        package(folder.path(), "a", &["/md5sums=0  usr/bin/a\n"], &["/usr/bin/a=1"]),
        package(folder.path(), "dpkg", &[], &["/usr/bin/dpkg=1", "/usr/share/dpkg/x=1", "/var/lib/dpkg/"]),
        package(folder.path(), "dash", &[], &["/usr/bin/dash=1", "/usr/bin/sh>dash"]),
    ];
    let made = make(&store, &set(packages, PackageSettings { distroless: true, ..whole() }));
    let paths: Vec<String> =
        made.tree.iter().filter(|(_, node)| !node.kind.is_directory()).map(|(path, _)| path.to_string()).collect();
    assert_eq!(paths, ["/bin", "/usr/bin/a", "/var/lib/dpkg/status.d/a", "/var/lib/dpkg/status.d/a.md5sums"]);
    assert!(made.owners.keys().all(|path| made.tree.get(path).is_some()));
}

#[test]
fn what_is_kept_is_what_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    let mut tree = files(&["/a=text", "/b=", "/d/", "/l>a"]);
    tree.link(path("/d/a"), &path("/a")).unwrap();
    let number = DeviceNumber { major: 1, minor: 3 };
    for (name, kind) in
        [("/null", Kind::CharacterDevice(number)), ("/disk", Kind::BlockDevice(number)), ("/pipe", Kind::Fifo)]
    {
        tree.insert(path(name), Node { kind, meta: Meta { uid: 7, gid: 8, ..Meta::root_owned(0o4711, -5) } }).unwrap();
    }
    tree.get_mut(&path("/a")).unwrap().meta.xattrs.insert((*b"security.capability").into(), (*b"\0x").into());
    let key = Digest::of(b"key");
    let made = PackageTree {
        key,
        tree,
        packages: Vec::new(),
        owners: BTreeMap::new(),
        skipped: vec![Skipped { package: "a".into(), scripts: vec!["postinst".into()], matters: true }],
        log: "log".into(),
    };
    keep::write(&store, &made).unwrap();
    let known = keep::read(&store, &key).unwrap().unwrap();
    assert_eq!(crate::tree::diff(&made.tree, &known.tree), []);
    assert_eq!((known.tree.digest(), known.skipped, known.log), (made.tree.digest(), made.skipped, made.log));
    assert!(keep::read(&store, &Digest::of(b"other")).unwrap().is_none());
}

#[test]
fn a_folder_is_read_again_where_it_changed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let mut tree = files(&["/etc/same=same", "/etc/edited=1234", "/etc/gone=x", "/l>etc", "/d/"]);
    tree.link(path("/d/same"), &path("/etc/same")).unwrap();
    let note = |tree: &mut Tree| {
        let meta = &mut tree.get_mut(&path("/etc/same")).unwrap().meta;
        meta.mode = 0o4755;
        meta.xattrs.insert((*b"user.note").into(), (*b"of a package").into());
    };
    note(&mut tree);
    let written = disk::write(&tree, &root).unwrap();
    let unchanged = disk::read(&root, (&tree, &written), &[], 500).unwrap();
    assert_eq!(crate::tree::diff(&tree, &unchanged), []);
    // As long as before, and with the time that it had.
    let edited = root.join("etc/edited");
    let time = std::fs::metadata(&edited).unwrap().modified().unwrap();
    std::io::Write::write_all(&mut std::fs::File::options().write(true).open(&edited).unwrap(), b"5678").unwrap();
    std::fs::File::options().write(true).open(&edited).unwrap().set_modified(time).unwrap();
    std::fs::remove_file(root.join("etc/gone")).unwrap();
    fs::write_new(&root.join("etc/new"), b"new", 0o600).unwrap();
    let fact = crate::sandbox::Fact {
        path: path("/etc/new"),
        mode: 0o640,
        uid: 1,
        gid: 2,
        device: None,
        xattrs: BTreeMap::new(),
    };
    let read = disk::read(&root, (&tree, &written), &[fact], 500).unwrap();
    let mut expected = files(&["/etc/same=same", "/etc/edited=5678", "/etc/new=new", "/l>etc", "/d/"]);
    expected.link(path("/d/same"), &path("/etc/same")).unwrap();
    note(&mut expected);
    expected.get_mut(&path("/etc/new")).unwrap().meta = Meta { uid: 1, gid: 2, ..Meta::root_owned(0o640, 500) };
    expected.get_mut(&path("/etc")).unwrap().meta.mtime = 500;
    assert_eq!(crate::tree::diff(&expected, &read), []);
}

/// Resolves a profile of the repository.
fn recipe(profile: &str) -> Recipe {
    let project = Arc::new(Project::open(Path::new(env!("CARGO_MANIFEST_DIR"))));
    let library = Library::load(project, profile).unwrap();
    let (distro, table) = library.distros().unwrap().into_iter().find(|(name, _)| name.as_str() == "debian").unwrap();
    let wish = Wish { release: None, architecture: Some(Architecture::X86_64) };
    resolve(&library, &Request { distro, table, wish, settings: Vec::new(), epoch: None }).unwrap()
}

/// What a lock says about a package of a source that nobody vouches for.
fn bundle() -> Arc<Bundle> {
    let source = LockedSource {
        name: "own".into(),
        suite: String::new(),
        date: None,
        digest: Digest::of("own"),
        trusted: true,
        tag: None,
    };
    let package = LockedPackage {
        name: "a".into(),
        version: "1".into(),
        architecture: "all".into(),
        source: "own".into(),
        path: "a.deb".into(),
        size: 1,
        sha256: Digest::of("a"),
        why: "requested".into(),
    };
    let (sources, packages) = (vec![source], vec![package]);
    Arc::new(Bundle { asked: Digest::of(""), over: None, sources, packages, below: Vec::new() })
}

#[test]
fn outputs_that_bundle_packages_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    let packages = make(&store, &set(vec![package(folder.path(), "a", &[], &["/usr/bin/a=1", COPYRIGHT])], whole()));
    let mut recipe = recipe("redis");
    recipe.outputs.bundled = Bundling { rootfs: true, tar: true, portable: false, oci: true };
    let epoch = recipe.profile.epoch;
    let stacked =
        build::stack(&recipe, &store.archives()).unwrap().with_packages(Arc::new(packages), bundle(), epoch).unwrap();
    let kinds = [OutputKind::Rootfs, OutputKind::Tar, OutputKind::Oci];
    let mut plan = Plan::of(&recipe, &kinds, ImageWish::default()).unwrap();
    for action in &mut plan.actions {
        if let Step::Oci(output) = &mut action.step {
            output.sbom = vec![SbomFormat::Spdx, SbomFormat::Cyclonedx];
            output.provenance = true;
        }
    }
    let means = Means { store: &store, signer: None, neutrals: &Neutrals::default(), platforms: &BTreeMap::new() };
    let products = build::artifacts(&plan, &recipe, &stacked, &means).unwrap();
    let texts = |product: &Product<'_>| -> String {
        let bytes = product.artifacts.iter().filter_map(|artifact| match &artifact.body {
            Body::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        });
        bytes.collect()
    };
    let Body::Directory(rootfs) = &products[0].artifacts[0].body else { panic!("no directory") };
    assert!(rootfs.get(&path("/usr/bin/a")).is_some());
    let dockerfile = texts(&products[0]);
    assert!(dockerfile.contains("\nFROM scratch\n") && !dockerfile.contains("apt-get") && !dockerfile.contains("BASE"));
    assert!(!dockerfile.contains("useradd") && !dockerfile.contains("rm -rf"), "{dockerfile}");
    let Body::Directory(oci) = &products[2].artifacts[0].body else { panic!("no directory") };
    let blobs: Vec<String> = oci
        .iter()
        .filter_map(|(_, node)| match &node.kind {
            Kind::Regular(content) => Some(String::from_utf8_lossy(&content.read(1 << 24).unwrap()?).into_owned()),
            _ => None,
        })
        .collect();
    let spdx = blobs.iter().find(|text| text.contains("SPDX-2.3")).unwrap();
    assert!(
        spdx.contains("\"pkg:deb/debian/a@1?arch=all&distro=debian-13\"")
            && spdx.contains("\"licenseDeclared\":\"MIT\""),
        "{spdx}"
    );
    assert!(spdx.contains("built from src-a 0.9"));
    let cyclonedx = blobs.iter().find(|text| text.contains("CycloneDX")).unwrap();
    assert!(cyclonedx.contains("\"layerforge:package\",\"value\":\"a\""), "{cyclonedx}");
    assert!(blobs.iter().any(|text| text.contains("\"comment\":\"packages: for this distro\"")));
    let provenance = blobs.iter().find(|text| text.contains("slsa.dev/provenance")).unwrap();
    let provenance: serde_json::Value = serde_json::from_str(provenance).unwrap();
    let dependencies = &provenance["predicate"]["buildDefinition"]["resolvedDependencies"];
    let expected = serde_json::json!({
        "uri": "pkg:deb/debian/a@1?arch=all&distro=debian-13",
        "name": "a",
        "digest": { "sha256": Digest::of("a").hex() },
        "annotations": { "layerforge:source": "own", "layerforge:trusted": true },
    });
    assert_eq!(dependencies.as_array().unwrap().last(), Some(&expected));
    for product in &products {
        let mut manifest = Vec::new();
        match &product.artifacts.last().unwrap().body {
            Body::Text(write) => write(&mut manifest).unwrap(),
            Body::Bytes(bytes) => manifest.extend(bytes),
            other => panic!("no manifest: {other:?}"),
        }
        let manifest = crate::image::Manifest::read(&manifest).unwrap();
        assert!(manifest.package_sources[0].trusted, "{:?}", product.kind);
        assert_eq!((manifest.packages[0].name.as_str(), manifest.packages[0].sha256), ("a", Digest::of("a")));
    }

    // What belongs into no image stops it, unless it is allowed.
    let key = "-----BEGIN PRIVATE KEY-----\nMIIBVQIBADANBgkqhkiG9w0BAQEFAASCAT8wggE7AgEAAkEA\n";
    let secret = package(folder.path(), "b", &[], &[&format!("/etc/b/key.pem={key}")]);
    let packages = make(&store, &set(vec![secret], whole()));
    let stacked =
        build::stack(&recipe, &store.archives()).unwrap().with_packages(Arc::new(packages), bundle(), epoch).unwrap();
    let error = build::artifacts(&plan, &recipe, &stacked, &means).unwrap_err().to_string();
    assert!(error.contains("HY01 `/etc/b/key.pem`: it is a private key"), "{error}");
    let mut allowed = recipe.clone();
    allowed.allowed_rules.insert("HY01".parse().unwrap(), "for tests".into());
    assert!(build::artifacts(&plan, &allowed, &stacked, &means).is_ok());
    let alone = build::stack(&recipe, &store.archives()).unwrap();
    assert!(
        build::artifacts(&plan, &recipe, &alone, &means).unwrap_err().to_string().contains("nobody has put together")
    );
}

#[test]
fn a_sysext_carries_what_its_host_does_not_have() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    let base = package(folder.path(), "base", &[], &["/usr/bin/base=1", "/etc/base.conf=1", "/usr/share/info/dir=1"]);
    let app = package(
        folder.path(),
        "app",
        &[],
        &[
            "/usr/bin/app.real=1",
            "/usr/bin/app>/etc/alternatives/app",
            "/etc/alternatives/app>/usr/bin/app.real",
            "/etc/app.conf=1",
            "/usr/share/mime/mime.cache=1",
            "/var/lib/app/state=1",
        ],
    );
    let host = make(&store, &set(vec![base.clone()], whole()));
    let both = make(&store, &set(vec![base, app], whole()));
    let mut recipe = recipe("redis");
    let mut output = crate::resolve::default_sysext(&recipe).unwrap();
    output.over = Some(crate::resolve::Over::Packages(crate::resolve::OverPackages::Lock("server".into())));
    recipe.outputs.sysext = Some(output);
    let plan = Plan::of(&recipe, &[OutputKind::Sysext], ImageWish::default()).unwrap();
    assert!(plan.extends() && !plan.bundles());
    assert_eq!(plan.actions.last().unwrap().inputs, ["packages", "stack"]);
    let alone = build::stack(&recipe, &store.archives()).unwrap();
    let error = build::image_trees(&plan, &recipe, &alone, &store).unwrap_err().to_string();
    assert!(error.contains("nobody has put together"), "{error}");

    let epoch = recipe.profile.epoch;
    let stacked = alone.with_host(Arc::new(host), Arc::new(both), bundle(), epoch).unwrap();
    let (_, tree) = build::image_trees(&plan, &recipe, &stacked, &store).unwrap().remove(0);
    let has = |text: &str| tree.get(&path(text)).is_some();
    assert!(has("/usr/bin/app.real") && has("/usr/share/factory/etc/app.conf"));
    assert!(
        matches!(&tree.get(&path("/usr/bin/app")).unwrap().kind, Kind::Symlink(to) if **to == *b"/usr/bin/app.real")
    );
    for absent in [
        "/usr/bin/base",
        "/usr/share/factory/etc/base.conf",
        "/usr/share/info/dir",
        "/usr/share/mime/mime.cache",
        "/usr/share/factory/etc/alternatives",
        "/etc",
        "/var",
    ] {
        assert!(!has(absent), "{absent}");
    }
    let means = Means { store: &store, signer: None, neutrals: &Neutrals::default(), platforms: &BTreeMap::new() };
    let products = build::artifacts(&plan, &recipe, &stacked, &means).unwrap();
    let Body::Bytes(manifest) = &products[0].artifacts[1].body else { panic!("no manifest") };
    let manifest = String::from_utf8_lossy(manifest);
    assert!(manifest.contains("\"package_sources\"") && manifest.contains("pkg:deb/debian/a@1"), "{manifest}");
    assert!(manifest.contains("\"/var/lib/app\"") && !manifest.contains("/var/lib/dpkg"), "{manifest}");
}
