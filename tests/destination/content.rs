//! What is on disk after a render.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use layerforge::image::{DestinationError, Layout, carried_by_copy};
use layerforge::store::{Inputs, Store};
use layerforge::tree::{Content, DeviceNumber, Kind, Meta, Node, Tree};

use crate::support::*;

#[test]
fn the_rules_of_the_form_on_disk_hold() {
    let project = Project::new();
    let mut tree = tree("one");
    let fifo = Node { kind: Kind::Fifo, meta: Meta::root_owned(0o644, TIME) };
    tree.insert(path("/run/pipe"), fifo).unwrap();
    tree.link(path("/run/second"), &path("/run/pipe")).unwrap();
    let device = Kind::CharacterDevice(DeviceNumber { major: 1, minor: 3 });
    tree.insert(path("/dev/null"), Node { kind: device, meta: Meta::root_owned(0o666, TIME) }).unwrap();
    let mut owned = file("theirs", 0o640);
    owned.meta.uid = 70;
    owned.meta.mtime = -5;
    tree.insert(path("/srv/owned"), owned).unwrap();
    tree.complete(|_| Meta::root_owned(0o755, TIME));
    project.render(&tree).unwrap();
    let rootfs = project.destination().join("rootfs");
    let look = |name: &str| fs::symlink_metadata(rootfs.join(name)).unwrap();
    assert_eq!(look("usr/bin/tool").mode() & 0o7777, 0o755, "no setuid bit on the host");
    assert_eq!(look("srv/group").mode() & 0o7777, 0o775, "no setgid bit on the host");
    assert_eq!(look("tmp").mode() & 0o7777, 0o1777);
    assert_eq!(look("etc/secret").mode() & 0o7777, 0o400, "readable for whoever builds from it");
    assert_eq!(look("srv/closed").mode() & 0o7777, 0o500);
    assert_eq!(look("srv/readonly").mode() & 0o7777, 0o555);
    assert_eq!(look("etc/tool").mtime(), TIME);
    assert_eq!(look("srv").mtime(), TIME);
    assert_eq!(fs::symlink_metadata(&rootfs).unwrap().mtime(), TIME);
    assert_eq!(fs::read_link(rootfs.join("etc/tool")).unwrap(), Path::new("../usr/bin/tool"));
    assert_eq!(look("usr/share/first").ino(), look("usr/bin/second").ino(), "hard links are hard links");
    assert_eq!(look("usr/bin").mtime(), TIME, "also where a hard link came last");
    assert!(!rootfs.join("run/pipe").exists() && !rootfs.join("dev/null").exists());
    assert!(rootfs.join("run").is_dir());
    assert_eq!(look("srv/owned").uid(), fs::metadata(project.folder.path()).unwrap().uid(), "no owner but the user");
    assert_eq!(look("srv/owned").mtime(), 0, "no time that some file system cannot hold");
    assert_eq!(look("../Dockerfile").mode() & 0o7777, 0o644);
    assert_eq!(look("../Dockerfile").mtime(), TIME);
}

#[test]
fn copy_carries_what_is_plain() {
    let node = |kind: Kind, mode| Node { kind, meta: Meta::root_owned(mode, TIME) };
    let regular = || Kind::Regular(Content::inline(*b"x"));
    assert!(carried_by_copy(&node(regular(), 0o644)));
    assert!(carried_by_copy(&node(Kind::directory(), 0o1777)));
    assert!(carried_by_copy(&node(Kind::Symlink(b"x"[..].into()), 0o777)));
    assert!(!carried_by_copy(&node(regular(), 0o4755)));
    assert!(!carried_by_copy(&node(regular(), 0o044)));
    assert!(!carried_by_copy(&node(Kind::directory(), 0o2755)));
    assert!(!carried_by_copy(&node(Kind::Directory { opaque: true }, 0o755)));
    assert!(!carried_by_copy(&node(Kind::Fifo, 0o644)));
    let mut owned = node(regular(), 0o644);
    owned.meta.gid = 5;
    assert!(!carried_by_copy(&owned));
    let mut labelled = node(regular(), 0o644);
    labelled.meta.xattrs.insert(b"user.x"[..].into(), b"y"[..].into());
    assert!(!carried_by_copy(&labelled));
}

#[test]
fn the_second_render_changes_nothing_and_says_so() {
    let project = Project::new();
    assert_eq!(project.render(&tree("one")).unwrap(), ["rootfs", "Dockerfile", "manifest.json"]);
    let before = inode(&project.destination());
    let stamps = |folder: &Path| fs::symlink_metadata(folder).map(|found| (found.ctime(), found.ctime_nsec())).unwrap();
    let (folder, above) = (stamps(&project.destination()), stamps(&project.folder.path().join("out")));
    assert!(project.is_unchanged());
    assert!(project.render(&tree("one")).unwrap().is_empty());
    assert_eq!(inode(&project.destination()), before);
    assert_eq!((stamps(&project.destination()), stamps(&project.folder.path().join("out"))), (folder, above));
}

#[test]
fn what_did_not_change_is_linked_from_the_old_result() {
    let project = Project::new();
    project.render(&tree("one")).unwrap();
    let rootfs = project.destination().join("rootfs");
    let names = ["usr/share/data/1/1", "etc/tool", "etc/version"];
    let before = names.map(|name| inode(&rootfs.join(name)));
    assert_eq!(project.render(&tree("two")).unwrap(), ["rootfs", "manifest.json"]);
    let after = names.map(|name| inode(&rootfs.join(name)));
    assert_eq!(before[..2], after[..2]);
    assert_ne!(before[2], after[2]);
    assert_eq!(snapshot(&project.destination()), fresh(&tree("two")));
    let links = fs::symlink_metadata(rootfs.join("usr/share/data/1/1")).unwrap().nlink();
    assert_eq!(links, 1, "the old result is gone");
    assert!(project.is_unchanged(), "the record was taken after the old result was removed");
}

/// Returns a random tree: names collide often between two of them, with other kinds, modes, times and links.
fn random_tree(numbers: &mut Numbers) -> Tree {
    let mut tree = tree(&numbers.below(3).to_string());
    for _ in 0..60 {
        let place = format!("/var/{}/{}", numbers.below(4), numbers.below(12));
        let time = TIME + numbers.below(2) as i64;
        let mode = [0o644, 0o600, 0o755][numbers.below(3) as usize];
        let text = numbers.below(3).to_string();
        let kind = match numbers.below(6) {
            0 => Kind::directory(),
            1 => Kind::Symlink(text.into_bytes().into()),
            2 => {
                // Refused where the place, or one above it, is taken by something else: that is fine.
                let target = format!("/var/{}/{}", numbers.below(4), numbers.below(12));
                tree.link(path(&place), &path(&target)).ok();
                continue;
            }
            _ => Kind::Regular(Content::inline(text.into_bytes())),
        };
        tree.insert(path(&place), Node { kind, meta: Meta::root_owned(mode, time) }).unwrap();
    }
    tree.complete(|_| Meta::root_owned(0o755, TIME));
    tree
}

#[test]
fn a_render_over_any_other_equals_a_fresh_one() {
    let project = Project::new();
    let mut numbers = Numbers(0x5eed);
    for round in 0..40 {
        let tree = random_tree(&mut numbers);
        project.render(&tree).unwrap();
        assert_eq!(snapshot(&project.destination()), fresh(&tree), "round {round}");
        assert!(project.is_unchanged(), "round {round}");
    }
    assert_eq!(names(&project.folder.path().join("out")), ["alpine"], "nothing is left beside it");
}

#[test]
fn hard_links_that_part_share_nothing() {
    let project = Project::new();
    project.render(&tree("one")).unwrap();
    let mut parted = tree("one");
    parted.insert(path("/usr/bin/second"), file("shared", 0o664)).unwrap();
    parted.complete(|_| Meta::root_owned(0o755, TIME));
    project.render(&parted).unwrap();
    let rootfs = project.destination().join("rootfs");
    assert_ne!(inode(&rootfs.join("usr/share/first")), inode(&rootfs.join("usr/bin/second")));
    project.render(&tree("one")).unwrap();
    assert_eq!(inode(&rootfs.join("usr/share/first")), inode(&rootfs.join("usr/bin/second")));
    // Each of the two becomes one of another pair.
    parted.link(path("/usr/bin/third"), &path("/usr/bin/second")).unwrap();
    parted.link(path("/usr/bin/fourth"), &path("/usr/share/first")).unwrap();
    project.render(&parted).unwrap();
    assert_eq!(snapshot(&project.destination()), fresh(&parted));
    // The same four names, paired otherwise.
    let mut crossed = tree("one");
    crossed.link(path("/usr/bin/fourth"), &path("/usr/bin/second")).unwrap();
    crossed.insert(path("/usr/bin/second"), file("shared", 0o664)).unwrap();
    crossed.link(path("/usr/bin/third"), &path("/usr/share/first")).unwrap();
    crossed.insert(path("/usr/bin/fourth"), file("shared", 0o664)).unwrap();
    crossed.link(path("/usr/bin/second"), &path("/usr/bin/fourth")).unwrap();
    crossed.complete(|_| Meta::root_owned(0o755, TIME));
    assert_eq!(project.render(&crossed).unwrap(), ["rootfs"]);
    assert_eq!(snapshot(&project.destination()), fresh(&crossed));
}

#[test]
fn large_files_and_slices_are_copied_exactly() {
    let project = Project::new();
    let source = project.folder.path().join("source");
    let bytes: Vec<u8> = (0..700_000u32).map(|number| (number / 7) as u8).collect();
    fs::write(&source, &bytes).unwrap();
    let mut tree = tree("one");
    let whole = Content::of_file(Arc::from(&*source)).unwrap();
    let part = &bytes[1000..400_000];
    let slice = Content {
        source: layerforge::tree::ContentSource::Slice { file: Arc::from(&*source), offset: 1000 },
        ..Content::inline(part)
    };
    for (name, content) in [("/whole", whole), ("/slice", slice)] {
        let node = Node { kind: Kind::Regular(content), meta: Meta::root_owned(0o644, TIME) };
        tree.insert(path(name), node).unwrap();
    }
    project.render(&tree).unwrap();
    assert_eq!(fs::read(project.destination().join("rootfs/whole")).unwrap(), bytes);
    assert_eq!(fs::read(project.destination().join("rootfs/slice")).unwrap(), part);
}

#[test]
fn a_source_that_changes_meanwhile_stops_the_render() {
    let project = Project::new();
    project.render(&tree("one")).unwrap();
    let source = project.folder.path().join("source");
    fs::write(&source, "before").unwrap();
    let inputs = Inputs::new();
    let content = Content::of_file(Arc::from(&*source)).unwrap();
    inputs.file(&source, layerforge::fs::Stamp::of(&source).unwrap(), content.digest);
    let mut tree = tree("two");
    tree.insert(path("/copied"), Node { kind: Kind::Regular(content), meta: Meta::root_owned(0o644, TIME) }).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(30));
    fs::write(&source, "behind").unwrap();
    let outputs = [rootfs(&tree, b"FROM scratch\n")];
    let error = project.render_seen(&project.destination(), &outputs, inputs.listing()).unwrap_err();
    assert!(matches!(&error, DestinationError::Directory(_)), "{error}");
    assert!(error.to_string().ends_with("was changed while it was used: render again"));
    assert_eq!(snapshot(&project.destination()), fresh(&crate::support::tree("one")));
    assert_eq!(names(&project.folder.path().join("out")), ["alpine"]);
}

#[test]
fn inputs_are_compared_by_the_record() {
    let project = Project::new();
    let source = project.folder.path().join("source");
    fs::write(&source, "before").unwrap();
    let missing = project.folder.path().join("missing");
    // Younger files than the store are not trusted.
    std::thread::sleep(std::time::Duration::from_millis(40));
    let render = || {
        let inputs = Inputs::new();
        let stamp = layerforge::fs::Stamp::of(&source).unwrap();
        inputs.file(&source, stamp, Content::of_file(Arc::from(&*source)).unwrap().digest);
        match layerforge::fs::Stamp::of(&missing) {
            Ok(stamp) => inputs.seen(&missing, stamp),
            Err(_) => inputs.absent(&missing),
        }
        let tree = tree("one");
        project.render_seen(&project.destination(), &[rootfs(&tree, b"FROM scratch\n")], inputs.listing()).unwrap()
    };
    assert!(!render().is_empty());
    assert!(project.is_unchanged());
    fs::write(&missing, "").unwrap();
    assert!(!project.is_unchanged(), "a file that was looked for appeared");
    std::thread::sleep(std::time::Duration::from_millis(40));
    assert!(render().is_empty());
    assert!(project.is_unchanged());
    let begun = std::time::Instant::now();
    fs::write(&source, "behind").unwrap();
    assert!(!project.is_unchanged());
    assert!(render().is_empty());
    // A busy machine may have taken longer than that.
    let just_before = begun.elapsed() < std::time::Duration::from_millis(15);
    assert!(
        !just_before || !project.is_unchanged(),
        "it was changed just before, and could be again within one tick of the clock"
    );
}

#[test]
fn files_of_functions_are_compared_by_content() {
    let project = Project::new();
    let tree = tree("one");
    let text = std::sync::Mutex::new("first");
    let write = |out: &mut dyn std::io::Write| out.write_all(text.lock().unwrap().as_bytes());
    let render = || {
        let (kind, mut artifacts) = rootfs(&tree, b"FROM scratch\n");
        artifacts.insert(1, ("rootfs.tar", Form::Writer(&write)));
        project.render_to(&project.destination(), &[(kind, artifacts)]).unwrap()
    };
    assert_eq!(render().len(), 4);
    assert!(render().is_empty());
    *text.lock().unwrap() = "second";
    assert_eq!(render(), ["rootfs.tar"]);
    assert_eq!(fs::read(project.destination().join("rootfs.tar")).unwrap(), b"second");
    assert_eq!(project.render(&tree).unwrap(), ["rootfs.tar"], "not made any more");
    assert_eq!(names(&project.destination()), ["Dockerfile", "manifest.json", "rootfs"]);
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let with = |count| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
        pool.install(|| {
            let project = Project::new();
            project.render(&tree("one")).unwrap();
            project.render(&tree("two")).unwrap();
            snapshot(&project.destination())
        })
    };
    assert_eq!(with(1), with(7));
}

#[test]
fn file_systems_do_not_matter() {
    let elsewhere = tempfile::tempdir().unwrap();
    let project = Project::new();
    let destination = elsewhere.path().join("out");
    for version in ["one", "two"] {
        project.render_to(&destination, &[rootfs(&tree(version), b"FROM scratch\n")]).unwrap();
        assert_eq!(snapshot(&destination), fresh(&tree(version)));
    }
}

#[test]
fn a_directory_that_hands_down_its_group_changes_nothing() {
    let project = Project::new();
    let out = project.folder.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::set_permissions(&out, fs::Permissions::from_mode(0o2775)).unwrap();
    project.render(&tree("one")).unwrap();
    project.render(&tree("two")).unwrap();
    assert_eq!(snapshot(&project.destination()), fresh(&tree("two")));
    let folder = layerforge::fs::Folder::open(&out).unwrap();
    let one = tree("one");
    Layout::of(&one).write(&folder, "rootfs", None, &layerforge::store::Listing::new()).unwrap();
    fs::remove_dir_all(project.destination()).unwrap();
    let expected = fresh(&one);
    let found = snapshot(&out);
    assert!(found.iter().all(|(path, found)| expected[path].mode == found.mode));
}

#[test]
fn a_store_that_cannot_keep_the_record_only_warns() {
    let project = Project::new();
    let store = Store::open(&project.store_path()).unwrap();
    let heard = Heard::default();
    let options = layerforge::image::Options {
        store: &store,
        force: false,
        witness: &|_| vec![witness("one")],
        reporter: &heard,
    };
    fs::remove_dir_all(project.store_path()).unwrap();
    let one = tree("one");
    let render = || {
        let outputs = [rootfs(&one, b"FROM scratch\n")];
        render_with(&options, &project.destination(), &outputs, layerforge::store::Listing::new())
    };
    assert_eq!(render().unwrap().len(), 3);
    assert!(heard.0.lock().unwrap()[0].contains("the next render has to read everything again"));
    assert!(render().unwrap().is_empty(), "found out by reading everything");
}
