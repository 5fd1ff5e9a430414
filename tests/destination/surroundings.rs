//! What stands around the artifacts: other people's files, other kinds, links, mounts, masks and users.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use layerforge::digest::Digest;
use layerforge::image::{DestinationError, EditKind, Options};
use layerforge::store::{Listing, Store};
use layerforge::tree::Tree;

use crate::faults::{Mount, child, is_root};
use crate::support::*;

#[test]
fn a_foreign_folder_is_refused() {
    let project = Project::new();
    fs::create_dir_all(project.destination()).unwrap();
    for name in ["a", "b", "c", "d", "e"] {
        fs::write(project.destination().join(name), name).unwrap();
    }
    let error = project.render(&tree("one")).unwrap_err();
    assert!(matches!(error, DestinationError::Foreign { .. }));
    let text = error.to_string();
    assert!(text.contains("holds files that layerforge did not write (`a`, `b`, `c`, 2 more)"), "{text}");
    assert_eq!(names(&project.destination()), ["a", "b", "c", "d", "e"]);
    let project = project.forced();
    project.render(&tree("one")).unwrap();
    assert_eq!(fs::read(project.destination().join("e")).unwrap(), b"e", "force adds, it does not remove");
    assert!(project.destination().join("rootfs/etc/version").exists());
}

#[test]
fn a_file_is_no_destination() {
    let project = Project::new();
    let path = project.folder.path().join("file");
    fs::write(&path, "mine").unwrap();
    let error = project.render_to(&path, &[]).unwrap_err();
    assert!(matches!(error, DestinationError::NotADirectory { .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"mine");
}

#[test]
fn foreign_files_survive_and_stay_the_same_files() {
    let project = Project::new();
    project.render(&tree("one")).unwrap();
    let notes = project.destination().join("notes.txt");
    fs::write(&notes, "mine").unwrap();
    symlink("/nowhere", project.destination().join("dangling")).unwrap();
    fs::set_permissions(project.destination(), fs::Permissions::from_mode(0o750)).unwrap();
    let (folder, before) = (inode(&project.destination()), inode(&notes));
    project.render(&tree("two")).unwrap();
    assert_ne!(inode(&project.destination()), folder, "the folder was exchanged as a whole");
    assert_eq!((inode(&notes), fs::read(&notes).unwrap()), (before, b"mine".to_vec()));
    assert!(project.destination().join("dangling").is_symlink());
    assert_eq!(fs::metadata(&notes).unwrap().nlink(), 1);
    assert_eq!(fs::metadata(project.destination()).unwrap().mode() & 0o7777, 0o750);
    assert!(project.is_unchanged());
}

#[test]
fn foreign_directories_survive_and_children_are_switched_one_by_one() {
    let project = Project::new();
    project.render(&tree("one")).unwrap();
    let kept = project.destination().join("mine/deep");
    fs::create_dir_all(&kept).unwrap();
    fs::write(kept.join("file"), "mine").unwrap();
    let (folder, before) = (inode(&project.destination()), inode(&kept));
    project.render(&tree("two")).unwrap();
    assert_eq!((inode(&project.destination()), inode(&kept)), (folder, before));
    assert_eq!(names(&project.destination()), ["Dockerfile", "manifest.json", "mine", "rootfs"]);
    let mut found = snapshot(&project.destination());
    found.retain(|path, _| !path.starts_with("mine"));
    assert_eq!(found, fresh(&tree("two")));
    assert!(project.is_unchanged());
}

#[test]
fn a_foreign_file_under_an_artifacts_name_is_not_replaced() {
    let project = Project::new();
    project.render(&tree("one")).unwrap();
    fs::write(project.destination().join("rootfs.tar"), "mine").unwrap();
    let tree = tree("one");
    let (kind, mut artifacts) = rootfs(&tree, b"FROM scratch\n");
    artifacts.push(("rootfs.tar", Form::Bytes(b"made")));
    let error = project.render_to(&project.destination(), &[(kind, artifacts)]).unwrap_err();
    let DestinationError::Edited { edits, .. } = &error else { panic!("{error}") };
    assert_eq!((edits[0].path.as_path(), edits[0].kind), (Path::new("rootfs.tar"), EditKind::Added));
    project.render(&crate::support::tree("two")).unwrap();
    assert_eq!(
        fs::read(project.destination().join("rootfs.tar")).unwrap(),
        b"mine",
        "nobody made it, nobody removes it"
    );
}

#[test]
fn kinds_do_not_touch_each_other() {
    let project = Project::new();
    let image = project.destination().join("web.raw");
    project.render(&tree("one")).unwrap();
    let sysext = |bytes: &'static [u8]| [("sysext", vec![("web.raw", Form::Bytes(bytes))])];
    assert_eq!(project.render_to(&project.destination(), &sysext(b"image")).unwrap(), ["web.raw"]);
    assert!(project.destination().join("rootfs/etc/version").exists());
    project.render(&tree("two")).unwrap();
    assert_eq!(fs::read(&image).unwrap(), b"image");
    assert!(project.is_unchanged(), "the stamps of the other kind follow");
    crate::edits::sneak(&image);
    project.render(&tree("one")).unwrap();
    assert_eq!(fs::read(&image).unwrap(), b"im!ge", "an edit of another kind is neither lost nor in the way");
    let error = project.render_to(&project.destination(), &sysext(b"image")).unwrap_err();
    let DestinationError::Edited { edits, .. } = &error else { panic!("{error}") };
    assert_eq!(edits[0].kind, EditKind::Changed, "and still noticed");
}

/// Makes a folder whose content has to survive, and returns it with what it holds.
fn victim(project: &Project) -> std::path::PathBuf {
    let victim = project.folder.path().join("victim");
    fs::create_dir_all(victim.join("etc")).unwrap();
    fs::write(victim.join("etc/version"), "precious").unwrap();
    victim
}

#[test]
fn links_in_the_destination_are_never_written_through() {
    for place in ["rootfs", "rootfs/etc", "rootfs/etc/version", "Dockerfile", "manifest.json"] {
        let project = Project::new();
        project.render(&tree("one")).unwrap();
        let victim = victim(&project);
        let before = snapshot(&victim);
        let at = project.destination().join(place);
        if at.is_dir() {
            fs::remove_dir_all(&at).unwrap()
        } else {
            fs::remove_file(&at).unwrap()
        }
        let target = if place.contains("etc") { victim.join("etc") } else { victim.clone() };
        let target =
            if at.extension().is_some() || place.ends_with("version") { victim.join("etc/version") } else { target };
        symlink(target, &at).unwrap();
        let error = project.render(&tree("two")).unwrap_err();
        assert!(matches!(error, DestinationError::Edited { .. }), "{place}: {error}");
        assert_eq!(snapshot(&victim), before, "{place}");
        let project = project.forced();
        project.render(&tree("two")).unwrap();
        assert_eq!(snapshot(&victim), before, "{place}");
        assert_eq!(snapshot(&project.destination()), fresh(&tree("two")), "{place}");
    }
}

#[test]
fn links_at_the_places_of_the_work_are_refused() {
    for place in ["out/.alpine.layerforge", "out/alpine/.layerforge"] {
        let project = Project::new();
        project.render(&tree("one")).unwrap();
        let victim = victim(&project);
        let before = snapshot(&victim);
        symlink(&victim, project.folder.path().join(place)).unwrap();
        let project = project.forced();
        let error = project.render(&tree("two")).unwrap_err();
        assert!(matches!(error, DestinationError::InTheWay { .. }), "{place}: {error}");
        assert_eq!(snapshot(&victim), before, "{place}");
    }
}

#[test]
fn a_folder_of_somebody_else_at_the_place_of_the_work_is_refused() {
    let project = Project::new();
    let taken = project.folder.path().join("out/.alpine.layerforge");
    fs::create_dir_all(&taken).unwrap();
    fs::write(taken.join("mine"), "").unwrap();
    let error = project.render(&tree("one")).unwrap_err();
    assert!(matches!(error, DestinationError::InTheWay { .. }), "{error}");
    assert!(taken.join("mine").exists());
}

#[test]
fn a_stage_of_somebody_else_leads_nowhere() {
    let project = Project::new();
    project.render(&tree("one")).unwrap();
    let victim = victim(&project);
    let before = snapshot(&victim);
    let stage = project.destination().join(".layerforge");
    fs::create_dir_all(stage.join("new")).unwrap();
    fs::create_dir(stage.join("old")).unwrap();
    let journal = format!("{{\"switch\":[{{\"remove\":[\"../../victim\",{}]}}]}}", inode(&victim));
    fs::write(stage.join("journal"), &journal).unwrap();
    let error = project.render(&tree("two")).unwrap_err();
    assert!(matches!(error, DestinationError::InTheWay { .. }), "{error}");
    assert_eq!(snapshot(&victim), before);
    fs::write(stage.join("journal"), journal.replace("../../victim", "mine")).unwrap();
    project.render(&tree("two")).unwrap();
    assert!(!stage.exists(), "the same with a name of a child is a stage");
}

#[test]
fn a_manifest_of_somebody_else_leads_nowhere() {
    let project = Project::new();
    project.render(&tree("one")).unwrap();
    fs::remove_dir_all(project.store_path()).unwrap();
    let victim = victim(&project);
    let before = snapshot(&victim);
    let store = Store::open(&project.store_path()).unwrap();
    let hostile = |_: &Path| {
        let mut witness = witness("one");
        let mut tree = Tree::new();
        tree.insert(path("/etc/version"), file("precious", 0o644)).unwrap();
        witness.directories.push(("../../victim".into(), tree));
        witness.files.push(("../../victim/etc/version".into(), Digest::of("precious"), 8));
        vec![witness]
    };
    let options = Options { store: &store, force: true, witness: &hostile, reporter: &project.heard };
    fs::create_dir(project.destination().join("mine")).unwrap();
    let two = tree("two");
    let outputs = [rootfs(&two, b"FROM scratch\n")];
    render_with(&options, &project.destination(), &outputs, Listing::new()).unwrap();
    assert_eq!(snapshot(&victim), before);
}

#[test]
fn a_destination_that_is_a_link_to_a_folder_is_that_folder() {
    let project = Project::new();
    let real = project.folder.path().join("real");
    fs::create_dir(&real).unwrap();
    let link = project.folder.path().join("link");
    symlink(&real, &link).unwrap();
    for version in ["one", "two"] {
        project.render_to(&link, &[rootfs(&tree(version), b"FROM scratch\n")]).unwrap();
        assert!(link.is_symlink());
        assert_eq!(snapshot(&real), fresh(&tree(version)));
    }
}

#[test]
fn a_mount_point_is_switched_child_by_child() {
    let project = Project::new();
    fs::create_dir_all(project.destination()).unwrap();
    let Some(_mount) = Mount::tmpfs(&project.destination(), "8m") else { return };
    let folder = inode(&project.destination());
    for version in ["one", "two", "one"] {
        project.render(&tree(version)).unwrap();
        assert_eq!(snapshot(&project.destination()), fresh(&tree(version)));
        assert!(project.is_unchanged());
    }
    fs::write(project.destination().join("notes.txt"), "mine").unwrap();
    project.render(&tree("two")).unwrap();
    assert_eq!(fs::read(project.destination().join("notes.txt")).unwrap(), b"mine");
    assert_eq!(inode(&project.destination()), folder);
}

#[test]
fn a_lower_layer_of_an_overlay_is_replaced() {
    let project = Project::new().forced();
    let at = |name: &str| project.folder.path().join(name);
    for name in ["upper", "work", "merged"] {
        fs::create_dir(at(name)).unwrap();
    }
    project.render_to(&at("lower/alpine"), &[rootfs(&tree("one"), b"FROM scratch\n")]).unwrap();
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        at("lower").display(),
        at("upper").display(),
        at("work").display()
    );
    let Some(_mount) = Mount::new(&["-t", "overlay", "-o", &options, "overlay"], &at("merged")) else { return };
    let destination = at("merged/alpine");
    for version in ["two", "one", "two"] {
        project.render_to(&destination, &[rootfs(&tree(version), b"FROM scratch\n")]).unwrap();
        assert_eq!(snapshot(&destination), fresh(&tree(version)));
    }
    assert_eq!(names(&at("merged")), ["alpine"]);
}

#[test]
fn umask_and_user_do_not_matter() {
    let project = Project::new();
    fs::set_permissions(project.folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let expected = fresh(&tree("two"));
    let users: &[Option<&str>] = if is_root() { &[None, Some("65534")] } else { &[None] };
    for (number, user) in users.iter().enumerate() {
        for umask in ["000", "022", "077", "777"] {
            // An ordinary user who closes every new folder to itself cannot make one for the result.
            if umask == "777" && user.is_some() {
                continue;
            }
            let place = project.folder.path().join(format!("{umask}-{number}"));
            fs::create_dir(&place).unwrap();
            fs::set_permissions(&place, fs::Permissions::from_mode(0o777)).unwrap();
            for version in ["one", "two"] {
                let mut command = child("child_renders_once", &place);
                command.env("LAYERFORGE_TEST_VERSION", version).env("LAYERFORGE_TEST_UMASK", umask);
                if let Some(user) = user {
                    command.env("LAYERFORGE_TEST_USER", user);
                }
                let output = run_masked(&command, umask, *user);
                assert!(output.status.success(), "{umask} {user:?}: {}", String::from_utf8_lossy(&output.stdout));
            }
            assert_eq!(snapshot(&place.join("out/alpine")), expected, "{umask} {user:?}");
        }
    }
}

/// Runs what `command` says under another umask and, when asked for, as another user.
fn run_masked(command: &Command, umask: &str, user: Option<&str>) -> std::process::Output {
    let script = match user {
        Some(user) => format!("umask {umask}; exec setpriv --reuid {user} --regid {user} --clear-groups \"$@\""),
        None => format!("umask {umask}; exec \"$@\""),
    };
    let mut shell = Command::new("sh");
    shell.args(["-c", &script, "sh"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    shell.output().unwrap()
}
