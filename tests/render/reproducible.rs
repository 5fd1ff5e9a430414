//! The same bytes, modes and times, whoever renders where and when.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::support::*;

const DISTROS: [&str; 2] = ["alpine", "debian"];

/// Returns what is in the destinations below `out`.
fn results(out: &Path) -> BTreeMap<PathBuf, Found> {
    let below = |distro: &&str| {
        let found = snapshot(&out.join(distro)).into_iter();
        let distro = PathBuf::from(distro);
        found.map(move |(path, found)| (distro.join(path), found)).collect::<Vec<_>>()
    };
    DISTROS.iter().flat_map(below).collect()
}

/// Returns what every render of the small project has to give.
fn expected() -> BTreeMap<PathBuf, Found> {
    let world = World::with_site();
    world.run(&["render"]).ok();
    let found = results(&world.project().join("out/default"));
    assert!(found.len() > 80, "{found:?}");
    assert!(found.contains_key(Path::new("debian/rootfs.tar")));
    found
}

#[track_caller]
fn assert_renders(mut command: Command, out: &Path, expected: &BTreeMap<PathBuf, Found>, why: &str) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{why}: {}", String::from_utf8_lossy(&output.stderr));
    assert_same(&results(out), expected, why);
}

/// Changes everything below `folder` with `change`, links excepted.
fn each(folder: &Path, change: &dyn Fn(&Path)) {
    for path in snapshot(folder).keys().map(|path| folder.join(path)).filter(|path| !path.is_symlink()) {
        change(&path);
    }
    change(folder);
}

#[test]
fn umask_and_user_do_not_matter() {
    let expected = expected();
    let masked = |umask: &str| format!("umask {umask}; exec \"$@\"");
    for umask in ["000", "022", "077"] {
        let world = World::with_site();
        let command = world.program_through(&["sh", "-c", &masked(umask), "sh"], &["render"]);
        assert_renders(command, &world.project().join("out/default"), &expected, umask);
    }
    if !is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    for umask in ["000", "022", "077"] {
        let world = World::with_site();
        let owner = Some(NOBODY.parse().unwrap());
        each(&world.at(""), &|path| std::os::unix::fs::chown(path, owner, owner).unwrap());
        let become_nobody =
            format!("umask {umask}; exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups \"$@\"");
        let command = world.program_through(&["sh", "-c", &become_nobody, "sh"], &["render"]);
        assert_renders(command, &world.project().join("out/default"), &expected, &format!("nobody, {umask}"));
        // Made by one user, taken over by another.
        world.run(&["render", "--set", "word=two", "--force"]).ok();
        let command = world.program(&["render"]);
        assert_renders(command, &world.project().join("out/default"), &expected, "root after nobody");
    }
}

#[test]
fn the_environment_does_not_matter() {
    let expected = expected();
    let cases: &[&[(&str, &str)]] = &[
        &[("LANG", "tr_TR.UTF-8"), ("LC_ALL", "tr_TR.UTF-8"), ("TZ", "Asia/Kathmandu")],
        &[("LC_ALL", "C"), ("TZ", "America/St_Johns")],
        &[("LC_COLLATE", "de_DE.UTF-8"), ("TZ", ":/nowhere")],
        &[("HOME", "/nowhere"), ("USER", "somebody"), ("HOSTNAME", "elsewhere"), ("TERM", "xterm-256color")],
        &[("SOURCE_DATE_EPOCH", "")],
        &[("RAYON_NUM_THREADS", "5"), ("TMPDIR", "/dev/shm")],
    ];
    for variables in cases {
        let world = World::with_site();
        let mut command = world.program(&["render"]);
        command.envs(variables.iter().copied());
        assert_renders(command, &world.project().join("out/default"), &expected, &format!("{variables:?}"));
    }
    // No store is named and there is no home to have one in.
    let world = World::with_site();
    let mut command = world.program(&["render"]);
    command.env_remove("LAYERFORGE_STORE").env("TMPDIR", world.at(""));
    assert_renders(command, &world.project().join("out/default"), &expected, "no store");
    assert_eq!(names(&world.at("")), ["project"], "the store that stood in is gone");
}

#[test]
fn the_place_does_not_matter() {
    let expected = expected();
    let world = World::inside("/dev/shm");
    world.write_site("one");
    assert_renders(world.program(&["render"]), &world.project().join("out/default"), &expected, "in memory");

    let world = World::with_site();
    let elsewhere = world.at("a longer/path to/the project");
    copy(&world.project(), &elsewhere);
    std::os::unix::fs::symlink(&elsewhere, world.at("link")).unwrap();
    for (number, place) in
        [elsewhere.to_str().unwrap(), "../a longer/path to/the project", "../link"].iter().enumerate()
    {
        let out = world.at(&format!("out-{number}"));
        let command = world.program(&["-C", place, "render", "--dest", out.to_str().unwrap()]);
        assert_renders(command, &out, &expected, place);
    }
    let out = elsewhere.join("out/default");
    assert_renders(world.program(&["-C", "../link", "render"]), &out, &expected, "by default in the project");
}

#[test]
fn times_and_modes_of_sources_do_not_matter() {
    let expected = expected();
    let world = World::with_site();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(12_345);
    each(&world.project(), &|path| {
        let mode = if path.is_dir() { 0o775 } else { 0o664 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        fs::File::open(path).unwrap().set_modified(long_ago).unwrap();
    });
    let out = world.project().join("out/default");
    assert_renders(world.program(&["render"]), &out, &expected, "a checkout of a group");
    each(&world.project().join("layers"), &|path| {
        fs::File::open(path).unwrap().set_modified(SystemTime::now()).unwrap()
    });
    let before = stamps(&out);
    let said = world.run(&["render"]).ok();
    assert!(said.is_up_to_date(), "{}", said.text);
    assert_eq!(stamps(&out), before, "touching is no change");
    assert!(world.run(&["render"]).ok().is_up_to_date());
}

#[test]
fn what_was_there_before_does_not_matter() {
    let expected = expected();
    let world = World::with_site();
    let out = world.project().join("out/default");
    for arguments in [&["--set", "word=two"][..], &["--output", "tar", "--output", "rootfs"], &["--jobs", "1"]] {
        world.run(&[&["render"], arguments].concat()).ok();
    }
    for distro in DISTROS {
        fs::remove_file(out.join(distro).join("default.tar")).unwrap();
        fs::remove_file(out.join(distro).join("default.tar.manifest.json")).unwrap();
    }
    assert_renders(world.program(&["render"]), &out, &expected, "after other renders");
}

#[test]
fn the_clock_does_not_matter() {
    let faketime = Path::new("/usr/bin/faketime");
    if !faketime.exists() {
        println!("skipped: `faketime` is not installed");
        return;
    }
    let expected = expected();
    for time in ["1999-12-31 23:59:59", "2101-01-01 00:00:00"] {
        let world = World::with_site();
        let mut command = world.program_through(&[faketime.to_str().unwrap(), time], &["render"]);
        command.env("NO_FAKE_STAT", "1");
        assert_renders(command, &world.project().join("out/default"), &expected, time);
    }
}

#[test]
fn source_date_epoch_is_the_time_of_everything() {
    let render = |world: &World, epoch: &str| {
        let mut command = world.program(&["render"]);
        command.env("SOURCE_DATE_EPOCH", epoch);
        Said::of(&command.output().unwrap())
    };
    let world = World::with_site();
    let out = world.project().join("out/default");
    render(&world, "1234567890").ok();
    let found = results(&out);
    assert!(found.values().all(|found| found.time == (1_234_567_890, 0)));
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(out.join("debian/manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["epoch"], 1_234_567_890);
    let other = World::with_site();
    render(&other, "1234567890").ok();
    assert_same(&results(&other.project().join("out/default")), &found, "in another folder");
    // Without it everything is as if it had never been set.
    assert_renders(world.program(&["render"]), &out, &expected(), "without");
    for wrong in ["yesterday", "-1", "1.5"] {
        render(&world, wrong).failed(2, &["SOURCE_DATE_EPOCH", wrong]);
    }
}
