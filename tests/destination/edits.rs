//! What was changed by hand is noticed, told, and replaced only when that is asked for.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use layerforge::image::{DestinationError, EditKind, Options};
use layerforge::store::{Listing, Store};

use crate::support::*;

/// Rewrites the third byte without a trace in size and modification time.
pub(crate) fn sneak(path: &Path) {
    let file = fs::File::options().write(true).open(path).unwrap();
    let time = file.metadata().unwrap().modified().unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"!", 2).unwrap();
    file.set_modified(time).unwrap();
}

type Case = (&'static str, fn(&Path), &'static [(&'static str, EditKind)]);

const CASES: &[Case] = &[
    (
        "content",
        |at| fs::write(at.join("rootfs/etc/version"), "mine").unwrap(),
        &[("rootfs/etc/version", EditKind::Changed)],
    ),
    ("same size and time", |at| sneak(&at.join("rootfs/etc/version")), &[("rootfs/etc/version", EditKind::Changed)]),
    (
        "time alone",
        |at| fs::File::open(at.join("rootfs/etc/version")).unwrap().set_modified(std::time::SystemTime::now()).unwrap(),
        &[("rootfs/etc/version", EditKind::Changed)],
    ),
    (
        "mode",
        |at| fs::set_permissions(at.join("rootfs/etc/version"), fs::Permissions::from_mode(0o600)).unwrap(),
        &[("rootfs/etc/version", EditKind::Changed)],
    ),
    (
        "mode of a directory",
        |at| fs::set_permissions(at.join("rootfs/usr"), fs::Permissions::from_mode(0o700)).unwrap(),
        &[("rootfs/usr", EditKind::Changed)],
    ),
    ("added", |at| fs::write(at.join("rootfs/etc/new"), "").unwrap(), &[("rootfs/etc/new", EditKind::Added)]),
    (
        "added directory",
        |at| fs::create_dir_all(at.join("rootfs/opt/deep/down")).unwrap(),
        &[("rootfs/opt", EditKind::Added)],
    ),
    ("removed", |at| fs::remove_file(at.join("rootfs/etc/tool")).unwrap(), &[("rootfs/etc/tool", EditKind::Removed)]),
    (
        "removed directory",
        |at| fs::remove_dir_all(at.join("rootfs/usr/share")).unwrap(),
        &[("rootfs/usr/share", EditKind::Removed)],
    ),
    (
        "replaced by a link to the same content",
        |at| {
            fs::rename(at.join("rootfs/etc/version"), at.join("rootfs/etc/moved")).unwrap();
            symlink("moved", at.join("rootfs/etc/version")).unwrap();
        },
        &[("rootfs/etc/moved", EditKind::Added), ("rootfs/etc/version", EditKind::Changed)],
    ),
    (
        "retargeted link",
        |at| {
            fs::remove_file(at.join("rootfs/etc/tool")).unwrap();
            symlink("../usr/bin/tooI", at.join("rootfs/etc/tool")).unwrap();
        },
        &[("rootfs/etc/tool", EditKind::Changed)],
    ),
    ("Dockerfile", |at| fs::write(at.join("Dockerfile"), "FROM mine\n").unwrap(), &[("Dockerfile", EditKind::Changed)]),
    ("no rootfs", |at| fs::remove_dir_all(at.join("rootfs")).unwrap(), &[("rootfs", EditKind::Removed)]),
];

#[test]
fn every_edit_is_told_and_restored_with_force_only() {
    for (case, edit, expected) in CASES {
        let project = Project::new();
        project.render(&tree("one")).unwrap();
        edit(&project.destination());
        assert!(!project.is_unchanged(), "{case}");
        let before = snapshot(&project.destination());
        for version in ["one", "two"] {
            let error = project.render(&tree(version)).unwrap_err();
            let DestinationError::Edited { edits, .. } = &error else { panic!("{case}: {error}") };
            let told: Vec<_> = edits.iter().map(|edit| (edit.path.to_str().unwrap(), edit.kind)).collect();
            assert_eq!(told, *expected, "{case}");
            assert_eq!(snapshot(&project.destination()), before, "{case}: nothing is touched");
        }
        let project = project.forced();
        project.render(&tree("two")).unwrap();
        assert_eq!(snapshot(&project.destination()), fresh(&tree("two")), "{case}");
    }
}

#[test]
fn edits_are_found_without_a_record_too() {
    for (case, edit, expected) in CASES {
        let project = Project::new();
        project.render(&tree("one")).unwrap();
        edit(&project.destination());
        fs::remove_dir_all(project.store_path()).unwrap();
        let store = Store::open(&project.store_path()).unwrap();
        let heard = Heard::default();
        let options = Options { store: &store, force: false, witness: &|_| vec![witness("one")], reporter: &heard };
        let one = tree("one");
        let outputs = [rootfs(&one, b"FROM scratch\n")];
        let error = render_with(&options, &project.destination(), &outputs, Listing::new()).unwrap_err();
        let DestinationError::Edited { edits, .. } = &error else { panic!("{case}: {error}") };
        let told: Vec<_> = edits.iter().map(|edit| (edit.path.to_str().unwrap(), edit.kind)).collect();
        assert_eq!(told, *expected, "{case}");
    }
}

#[test]
fn the_message_names_ten_paths_and_the_mend() {
    let project = Project::new();
    project.render(&tree("one")).unwrap();
    for number in 0..12 {
        fs::write(project.destination().join(format!("rootfs/etc/{number:02}")), "").unwrap();
    }
    let text = project.render(&tree("one")).unwrap_err().to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].ends_with("was changed by hand since the last render; `--force` restores it"), "{text}");
    assert_eq!(lines[1], "  added   `rootfs/etc/00`");
    assert_eq!(lines[11], "  and 2 more");
    assert_eq!(lines.len(), 12);
}

#[test]
fn a_look_inside_with_an_editor_is_no_edit() {
    let project = Project::new();
    project.render(&tree("one")).unwrap();
    let swap = project.destination().join("rootfs/etc/.version.swp");
    fs::write(&swap, "").unwrap();
    fs::remove_file(&swap).unwrap();
    assert_eq!(project.render(&tree("one")).unwrap(), ["rootfs"], "the time of the directory is put right");
    assert_eq!(snapshot(&project.destination()), fresh(&tree("one")));
}

#[test]
fn a_copy_of_the_destination_is_no_edit() {
    let project = Project::new();
    project.render(&tree("one")).unwrap();
    let moved = project.folder.path().join("moved");
    fs::rename(project.destination(), &moved).unwrap();
    let copied = std::process::Command::new("cp").arg("-a").args([&moved, &project.destination()]).status();
    assert!(copied.unwrap().success());
    assert!(project.render(&tree("one")).unwrap().is_empty());
    assert_eq!(project.render(&tree("two")).unwrap(), ["rootfs", "manifest.json"]);
}

#[test]
fn an_emptied_or_missing_folder_is_filled_again() {
    let project = Project::new();
    project.render(&tree("one")).unwrap();
    fs::remove_dir_all(project.destination()).unwrap();
    assert_eq!(project.render(&tree("one")).unwrap().len(), 3);
    fs::remove_dir_all(project.destination()).unwrap();
    fs::create_dir(project.destination()).unwrap();
    assert_eq!(project.render(&tree("one")).unwrap().len(), 3);
    assert_eq!(snapshot(&project.destination()), fresh(&tree("one")));
}

#[test]
fn force_removes_an_edited_artifact_that_is_not_made_any_more() {
    let project = Project::new();
    let tree = tree("one");
    let (kind, mut artifacts) = rootfs(&tree, b"FROM scratch\n");
    artifacts.push(("rootfs.tar", Form::Bytes(b"made")));
    project.render_to(&project.destination(), &[(kind, artifacts)]).unwrap();
    fs::write(project.destination().join("rootfs.tar"), "mine").unwrap();
    assert!(matches!(project.render(&tree), Err(DestinationError::Edited { .. })));
    assert_eq!(project.forced().render(&tree).unwrap(), ["rootfs.tar"]);
}
