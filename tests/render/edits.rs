//! Destinations and stores that somebody else had a hand in.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::support::*;

type Case = (&'static str, fn(&Path), &'static [&'static str]);

const EDITS: &[Case] = &[
    ("content", |at| write(&at.join("rootfs/etc/issue"), "mine"), &["changed `rootfs/etc/issue`"]),
    (
        "mode",
        |at| fs::set_permissions(at.join("rootfs/etc/issue"), fs::Permissions::from_mode(0o666)).unwrap(),
        &["changed `rootfs/etc/issue`"],
    ),
    ("removed", |at| fs::remove_file(at.join("rootfs/etc/issue")).unwrap(), &["removed `rootfs/etc/issue`"]),
    ("added", |at| write(&at.join("rootfs/etc/mine"), "mine"), &["added   `rootfs/etc/mine`"]),
    ("added folder", |at| write(&at.join("rootfs/mine/deep"), "mine"), &["added   `rootfs/mine`"]),
    ("Dockerfile", |at| write(&at.join("Dockerfile"), "FROM mine\n"), &["changed `Dockerfile`"]),
    ("archive", |at| fs::remove_file(at.join("rootfs.tar")).unwrap(), &["removed `rootfs.tar`"]),
    (
        "several",
        |at| {
            write(&at.join("rootfs/etc/mine"), "mine");
            fs::remove_dir_all(at.join("rootfs/usr")).unwrap();
        },
        &["added   `rootfs/etc/mine`", "removed `rootfs/usr`"],
    ),
];

#[test]
fn edits_by_hand_are_refused_and_restored_when_asked() {
    for (what, edit, told) in EDITS {
        // Noticed by the record, and by the manifest where there is no record.
        for keep_store in [true, false] {
            let world = World::with_site();
            world.render(&[]).ok();
            let expected = snapshot(&world.destination());
            edit(&world.destination());
            if !keep_store {
                fs::remove_dir_all(world.store()).unwrap();
            }
            let edited = (snapshot(&world.destination()), stamps(&world.destination()));
            for arguments in [&[][..], &["--set", "word=two"]] {
                let said = world.render(arguments).failed(1, &["was changed by hand since the last render", "--force"]);
                for line in *told {
                    assert!(said.text.contains(line), "{what}: {}", said.text);
                }
            }
            assert_eq!((snapshot(&world.destination()), stamps(&world.destination())), edited, "{what}");
            world.render(&["--force"]).ok();
            assert_same(&snapshot(&world.destination()), &expected, what);
            assert!(world.render(&[]).ok().is_up_to_date(), "{what}");
        }
    }
}

#[test]
fn other_targets_are_rendered_although_one_was_edited() {
    let world = World::with_site();
    world.run(&["render"]).ok();
    write(&world.destination().join("Dockerfile"), "FROM mine\n");
    world.run(&["render", "--set", "word=two"]).failed(1, &["out/default/debian", "changed `Dockerfile`"]);
    assert_eq!(names(&world.project().join("out/default")), ["alpine", "debian"], "nothing is left half done");
    world.run(&["render", "--set", "word=two", "--force"]).ok();
    assert!(world.run(&["render", "--set", "word=two"]).ok().is_up_to_date());
}

#[test]
fn a_foreign_folder_is_refused() {
    let world = World::with_site();
    write(&world.destination().join("precious"), "mine");
    let before = stamps(&world.destination());
    world.render(&[]).failed(1, &["holds files that layerforge did not write", "`precious`"]);
    assert_eq!(stamps(&world.destination()), before);
    world.render(&["--force"]).ok();
    assert_eq!(fs::read(world.destination().join("precious")).unwrap(), b"mine");
    assert!(world.destination().join("rootfs/etc/issue").exists());
    // From now on it is known.
    world.render(&["--set", "word=two"]).ok();
    assert_eq!(fs::read(world.destination().join("precious")).unwrap(), b"mine");
}

#[test]
fn unknown_children_survive() {
    let world = World::with_site();
    world.render(&[]).ok();
    write(&world.destination().join("notes.txt"), "mine");
    write(&world.destination().join("data/deep/file"), "mine");
    let inode = |name: &str| fs::metadata(world.destination().join(name)).unwrap().ino();
    let before = [inode("notes.txt"), inode("data/deep/file")];
    assert!(world.render(&[]).ok().is_up_to_date(), "they are nobody's business");
    for word in ["word=two", "word=three"] {
        world.render(&["--set", word]).ok();
        assert_eq!([inode("notes.txt"), inode("data/deep/file")], before);
    }
    assert_eq!(
        names(&world.destination()),
        [".dockerignore", "Dockerfile", "data", "manifest.json", "notes.txt", "rootfs", "rootfs.tar"]
    );
}

#[test]
fn a_destination_that_is_gone_is_written_again() {
    let world = World::with_site();
    world.render(&[]).ok();
    let expected = snapshot(&world.destination());
    for gone in ["out/default/debian", "out"] {
        fs::remove_dir_all(world.project().join(gone)).unwrap();
        assert!(!world.render(&[]).ok().is_up_to_date());
        assert_same(&snapshot(&world.destination()), &expected, gone);
    }
    fs::remove_dir_all(world.destination()).unwrap();
    fs::create_dir(world.destination()).unwrap();
    world.render(&[]).ok();
    assert_same(&snapshot(&world.destination()), &expected, "an empty folder in its place");
}

#[test]
fn a_manifest_stands_in_for_a_lost_store() {
    let world = World::with_site();
    world.render(&["--output", "rootfs", "--output", "tar"]).ok();
    let before = stamps(&world.destination());
    fs::remove_dir_all(world.store()).unwrap();
    assert!(world.render(&["--output", "rootfs", "--output", "tar"]).ok().is_up_to_date());
    assert_eq!(stamps(&world.destination()), before, "nothing is written again");
    fs::remove_dir_all(world.store()).unwrap();
    let inode = |name: &str| fs::metadata(world.destination().join(name)).unwrap().ino();
    let kept = inode("rootfs/etc/issue");
    world.render(&["--set", "word=two"]).ok();
    assert_eq!(inode("rootfs/etc/issue"), kept, "what did not change is linked nevertheless");
    assert!(world.destination().join("default.tar").exists(), "the other kind stays");
    // A folder that was moved has no record, but its manifest with it.
    fs::rename(world.destination(), world.at("moved")).unwrap();
    assert!(world.render(&["--set", "word=two", "--dest", "../moved"]).ok().is_up_to_date());
}

#[test]
fn a_store_that_cannot_be_used_only_warns() {
    let world = World::with_site();
    world.render(&[]).ok();
    let expected = snapshot(&world.destination());
    fs::remove_dir_all(world.store()).unwrap();
    write(&world.store(), "no folder");
    for word in ["word=two", "word=one"] {
        let said = world.render(&["--set", word]).ok();
        assert!(said.text.contains("the cache folder cannot be used"), "{}", said.text);
    }
    assert_same(&snapshot(&world.destination()), &expected, "a file");
    assert!(world.render(&["--set", "word=one"]).ok().is_up_to_date());
    assert_eq!(fs::read(world.store()).unwrap(), b"no folder");
}

#[test]
fn a_store_that_may_not_be_written_only_warns() {
    let world = World::with_site();
    world.render(&[]).ok();
    let open = world.at("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    for folder in ["store/records-2", "store/archives-1", "store"] {
        fs::set_permissions(world.at(folder), fs::Permissions::from_mode(0o555)).unwrap();
    }
    let arguments = ["render", "--distro", "debian", "--dest", "../open/debian"];
    let mut command = if is_root() {
        let become_nobody = ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"];
        world.program_through(&become_nobody, &arguments)
    } else {
        world.program(&arguments)
    };
    for round in 0..2 {
        let said = Said::of(&command.output().unwrap()).ok();
        assert!(said.text.contains("the cache folder cannot be used"), "{}", said.text);
        assert_eq!(said.text.contains("is up to date"), round == 1, "{}", said.text);
    }
    for folder in ["store", "store/records-2", "store/archives-1"] {
        fs::set_permissions(world.at(folder), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn a_damaged_store_is_no_harm() {
    let world = World::with_site();
    world.render(&[]).ok();
    let expected = snapshot(&world.destination());
    let records = world.store().join("records-2");
    let record = records.join(&names(&records)[0]);
    let good = fs::read(&record).unwrap();
    let mut numbers = Numbers(77);
    for round in 0..40 {
        let mut bytes = good.clone();
        match round % 4 {
            0 => bytes.truncate(numbers.below(good.len() as u64) as usize),
            1 => bytes = (0..numbers.below(400)).map(|number| (number * 37) as u8).collect(),
            _ => {
                let at = numbers.below(good.len() as u64) as usize;
                bytes[at] ^= 1 << numbers.below(8);
            }
        }
        fs::write(&record, bytes).unwrap();
        // A flipped bit may name a file as changed that was not; it never harms one, nor passes for the truth.
        let said = world.render(&[]);
        if said.code != Some(0) {
            said.failed(1, &["--force"]);
            world.render(&["--force"]).ok();
        }
        assert_same(&snapshot(&world.destination()), &expected, &format!("round {round}"));
        world.render(&["--force"]).ok();
    }
}
