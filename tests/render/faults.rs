//! Full disks and files that cannot be read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::*;

const MIB: usize = 1 << 20;

/// Adds a file of one MiB to the small project; `byte` is in all of it.
fn write_big(world: &World, byte: u8) {
    world.write("layers/app/files/opt/big", vec![byte; MIB]);
}

/// Leaves nothing free of the file system at `disk`; returns the file that takes it.
fn fill(disk: &Path) -> std::path::PathBuf {
    let filler = disk.join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    filler
}

#[test]
fn a_full_disk_at_the_destination_keeps_the_old_result() {
    // With the destination in it, and being the mount point itself, which cannot be exchanged.
    for below in ["disk/debian", "disk"] {
        let world = World::with_site();
        write_big(&world, b'a');
        let Some(_mount) = Mount::tmpfs(&world.at("disk"), "4m") else { return };
        let destination = format!("../{below}");
        world.render(&["--dest", &destination]).ok();
        write_big(&world, b'b');
        let filler = fill(&world.at("disk"));
        let state = || (snapshot(&world.at(below)), names(&world.at("disk")));
        let before = state();
        let said = world.render(&["--dest", &destination]);
        said.failed(1, &["No space left on device", "/disk"]);
        let after = state();
        assert_same(&after.0, &before.0, below);
        assert_eq!(after.1, before.1, "{below}: nothing is left beside it");
        fs::remove_file(filler).unwrap();
        world.render(&["--dest", &destination]).ok();
        let big = world.at(below).join("rootfs/opt/big");
        assert_eq!(fs::read(big).unwrap(), vec![b'b'; MIB]);
        assert!(world.render(&["--dest", &destination]).ok().is_up_to_date());
    }
}

#[test]
fn a_first_render_on_a_full_disk_leaves_nothing() {
    let world = World::with_site();
    write_big(&world, b'a');
    let Some(_mount) = Mount::tmpfs(&world.at("disk"), "512k") else { return };
    world.render(&["--dest", "../disk/debian"]).failed(1, &["No space left on device", "/disk"]);
    assert!(
        snapshot(&world.at("disk")).keys().all(|path| path == Path::new("debian")),
        "{:?}",
        snapshot(&world.at("disk"))
    );
}

#[test]
fn a_full_disk_at_the_store_only_warns() {
    let world = World::with_site();
    let Some(_mount) = Mount::tmpfs(&world.store(), "64k") else { return };
    let filler = fill(&world.store());
    let said = world.render(&[]).ok();
    assert!(said.text.contains("the next render has to read everything again"), "{}", said.text);
    assert!(world.destination().join("rootfs/etc/issue").exists());
    let before = stamps(&world.destination());
    assert!(world.render(&[]).ok().is_up_to_date());
    assert_eq!(stamps(&world.destination()), before, "found out by reading everything");
    world.render(&["--set", "word=two"]).ok();
    fs::remove_file(filler).unwrap();
    assert!(world.render(&["--set", "word=two"]).ok().is_up_to_date());
}

#[test]
fn a_full_disk_at_the_project_is_told() {
    let world = World::new();
    let Some(_mount) = Mount::tmpfs(&world.project(), "1m") else { return };
    world.write_site("one");
    world.render(&["--dest", "../out"]).ok();
    let lock = world.project().join("profiles/default.lock");
    let before = fs::read(&lock).unwrap();
    world.write("layers/base/layer.toml", "tier = \"base\"\n\n[package.jq]\n\n[directory.\"/srv/site\"]\n");
    let filler = fill(&world.project());
    world.render(&["--dest", "../out"]).failed(1, &["No space left on device", "profiles/default.lock"]);
    assert_eq!(fs::read(&lock).unwrap(), before);
    assert_eq!(names(&world.project().join("profiles")), ["default.lock", "default.toml"]);
    fs::remove_file(filler).unwrap();
    world.render(&["--dest", "../out"]).ok();
    assert!(fs::read_to_string(&lock).unwrap().contains("jq"));
}

/// The program as a user who may not read everything.
fn as_nobody(world: &World, arguments: &[&str]) -> Command {
    if is_root() {
        let become_nobody = ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"];
        world.program_through(&become_nobody, arguments)
    } else {
        world.program(arguments)
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let unreadable = [
        "layers/app/files/usr/share/app/0/3",
        "layers/app/files/etc/app/app.conf.j2",
        "layers/app/files/usr/share/app/1",
        "layers/app/files",
        "layers/app/source.txt",
        "layers/app/layer.toml",
        "layers/app",
        "profiles/default.toml",
        "profiles/default.lock",
    ];
    for name in unreadable {
        let world = World::with_site();
        world.render(&["--dest", "../open/before"]).ok();
        for folder in ["open", "store", "store/records-2", "store/sources-2", "store/texts-2", "store/archives-1"] {
            fs::set_permissions(world.at(folder), fs::Permissions::from_mode(0o777)).unwrap();
        }
        let place = world.project().join(name);
        let mode = fs::metadata(&place).unwrap().permissions();
        let render = |destination: &str| {
            let arguments = ["render", "--distro", "debian", "--dest", destination];
            Said::of(&as_nobody(&world, &arguments).output().unwrap())
        };
        render("../open/first").ok();
        let before = snapshot(&world.at("open/first"));
        fs::set_permissions(&place, fs::Permissions::from_mode(0o000)).unwrap();
        for destination in ["../open/first", "../open/second"] {
            let said = render(destination);
            fs::set_permissions(
                &place,
                if destination.ends_with("first") { fs::Permissions::from_mode(0o000) } else { mode.clone() },
            )
            .unwrap();
            assert!(matches!(said.code, Some(1 | 3)), "{name}: {}", said.text);
            assert!(said.text.contains("ermission denied"), "{name}: {}", said.text);
            assert!(said.text.contains(name), "{name}: {}", said.text);
        }
        assert_same(&snapshot(&world.at("open/first")), &before, name);
        render("../open/second").ok();
    }
}

#[test]
fn an_unreadable_result_is_named() {
    let world = World::with_site();
    if is_root() {
        std::os::unix::fs::chown(world.at(""), Some(NOBODY.parse().unwrap()), None).unwrap();
        world.render(&[]).ok();
    }
    let render = |store: &str| {
        let arguments = ["render", "--distro", "debian", "--dest", "../mine"];
        let mut command = as_nobody(&world, &arguments);
        command.env("LAYERFORGE_STORE", world.at(store));
        Said::of(&command.output().unwrap())
    };
    render("store-1").ok();
    // Closed to its owner by hand: an edit like any other.
    let closed = world.at("mine/rootfs/etc/issue");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    for store in ["store-1", "store-2"] {
        let said = render(store).failed(1, &["rootfs/etc/issue"]);
        assert!(said.text.contains("changed by hand"), "{}", said.text);
    }
}
