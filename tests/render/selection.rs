//! What is rendered, where to, and what the lock says about it.

use std::fs;
use std::path::Path;

use crate::support::*;

#[test]
fn a_lock_is_written_when_it_is_missing_or_stale() {
    let world = World::with_site();
    let lock = world.project().join("profiles/default.lock");
    world.render(&["--locked"]).failed(4, &["profiles/default.lock", "does not exist", "--locked"]);
    assert!(!lock.exists() && !world.destination().join("rootfs").exists());
    world.render(&[]).ok();
    let first = fs::read_to_string(&lock).unwrap();
    world.render(&["--locked", "--set", "word=two"]).ok();
    // For every distro of the profile, also those that were not rendered.
    assert!(first.contains("[target.alpine]") && first.contains("[target.debian]") && first.contains("\"curl\""));

    let profile = fs::read_to_string(world.project().join("profiles/default.toml")).unwrap();
    let profile = profile.replace("[distro.debian]", "[distro.debian]\nrelease = \"bookworm\"");
    world.write("profiles/default.toml", profile.replace("[package.curl]", "[package.jq]"));
    let before = snapshot(&world.destination());
    let words = [
        "package of debian: `curl` is gone",
        "package of alpine: `jq` is new",
        "release of debian: `trixie` became `bookworm`",
    ];
    world.render(&["--locked"]).failed(4, &words);
    assert_same(&snapshot(&world.destination()), &before, "a stale lock changes nothing");
    assert_eq!(fs::read_to_string(&lock).unwrap(), first);
    world.render(&[]).ok();
    assert_ne!(fs::read_to_string(&lock).unwrap(), first);
    world.render(&["--locked"]).ok();
}

#[test]
fn a_lock_that_is_removed_or_edited_is_noticed_at_once() {
    let world = World::with_site();
    world.render(&[]).ok();
    std::thread::sleep(std::time::Duration::from_millis(40));
    assert!(world.render(&["--locked"]).ok().is_up_to_date());
    let lock = world.project().join("profiles/default.lock");
    let text = fs::read_to_string(&lock).unwrap();
    fs::write(&lock, text.replace("curl", "wget")).unwrap();
    for arguments in [&["--locked"][..], &[]] {
        world.render(arguments).failed(4, &["profiles/default.lock", "edited or merged by hand"]);
    }
    fs::write(&lock, "<<<<<<< ours\n").unwrap();
    world.render(&[]).failed(4, &["profiles/default.lock"]);
    fs::remove_file(&lock).unwrap();
    world.render(&["--locked"]).failed(4, &["does not exist"]);
    world.render(&[]).ok();
    assert_eq!(fs::read_to_string(&lock).unwrap(), text);
}

#[test]
fn profiles_of_the_program_lock_into_the_current_folder() {
    let world = World::new();
    for distro in ["alpine", "debian"] {
        world.run(&["render", "--distro", distro]).ok();
    }
    assert_eq!(names(&world.project()), ["default.lock", "out"]);
    assert_eq!(names(&world.project().join("out/default")), ["alpine", "debian"]);
    world.run(&["render", "redis", "--distro", "debian", "--dest", "../redis"]).ok();
    assert_eq!(names(&world.project()), ["default.lock", "out", "redis.lock"]);
    world.run(&["render", "redis", "--distro", "debian", "--dest", "../redis", "--locked"]).ok();
    assert!(world.run(&["render", "redis", "--distro", "debian", "--dest", "../redis"]).ok().is_up_to_date());
}

#[test]
fn a_profile_may_be_a_path() {
    let world = World::with_site();
    fs::create_dir(world.project().join("deploy")).unwrap();
    fs::copy(world.project().join("profiles/default.toml"), world.project().join("deploy/site.toml")).unwrap();
    world.run(&["-C", ".", "render", "deploy/site.toml", "--distro", "debian"]).ok();
    assert_eq!(names(&world.project().join("deploy")), ["site.lock", "site.toml"]);
    assert_eq!(names(&world.project().join("out")), ["site"]);
    // Without a root, it is the folder that holds `profiles/`.
    let mut command = world.program(&["render", "project/profiles/default.toml", "--distro", "debian"]);
    Said::of(&command.current_dir(world.at("")).output().unwrap()).ok();
    assert_eq!(names(&world.project().join("profiles")), ["default.lock", "default.toml"]);
    let rendered = snapshot(&world.project().join("out/default/debian/rootfs"));
    assert_same(&rendered, &snapshot(&world.project().join("out/site/debian/rootfs")), "the same layers");
}

#[test]
fn a_destination_stands_for_one_distro_or_holds_several() {
    let world = World::with_site();
    world.run(&["render", "--distro", "debian", "--dest", "../one"]).ok();
    assert!(world.at("one/rootfs/etc/app/only").exists());
    for arguments in [&["--distro", "all"][..], &["--distro", "alpine", "--distro", "debian"], &[]] {
        let destination = format!("../several-{}", arguments.len());
        world.run(&[&["render", "--dest", &destination], arguments].concat()).ok();
        assert_eq!(names(&world.project().join(&destination)), ["alpine", "debian"]);
        assert_same(
            &snapshot(&world.project().join(&destination).join("debian")),
            &snapshot(&world.at("one")),
            "the same",
        );
    }
    world.run(&["render", "--distro", "debain"]).failed(3, &["`debain`", "did you mean `debian`"]);
    world.run(&["render", "--distro", "ubuntu"]).failed(3, &["`ubuntu`"]);
}

#[test]
fn other_releases_and_architectures_have_a_suffix() {
    let world = World::with_site();
    let other = if std::env::consts::ARCH == "aarch64" { "x86_64" } else { "aarch64" };
    world.render(&[]).ok();
    world.render(&["--release", "bookworm"]).ok();
    world.render(&["--release", "12", "--arch", other]).ok();
    world.render(&["--release", "13"]).ok();
    world.run(&["render", "--distro", "alpine", "--arch", other]).ok();
    let foreign = [format!("alpine-{other}"), format!("debian-bookworm-{other}")];
    let expected = [&foreign[0], "debian", "debian-bookworm", &foreign[1]];
    assert_eq!(names(&world.project().join("out/default")), expected);
    let lock = fs::read_to_string(world.project().join("profiles/default.lock")).unwrap();
    assert!(lock.contains("[target.debian-bookworm]"), "{lock}");
    world.render(&["--release", "bookworm", "--locked"]).ok();
    world.render(&["--release", "forky", "--locked"]).failed(4, &["debian-forky"]);
    world.render(&["--release", "bokworm"]).failed(3, &["`bokworm`", "did you mean `bookworm`"]);
}

#[test]
fn each_kind_comes_by_itself_and_removes_no_other() {
    let world = World::with_site();
    let rootfs = [".dockerignore", "Dockerfile", "manifest.json", "rootfs", "rootfs.tar"];
    let all = [
        ".dockerignore",
        "Dockerfile",
        "default.tar",
        "default.tar.manifest.json",
        "manifest.json",
        "rootfs",
        "rootfs.tar",
    ];
    world.render(&[]).ok();
    assert_eq!(names(&world.destination()), rootfs);
    world.render(&["--output", "tar"]).ok();
    assert_eq!(names(&world.destination()), all);
    world.render(&["--output", "rootfs", "--set", "word=two"]).ok();
    assert_eq!(names(&world.destination()), all);
    assert!(!archived(&world.destination()).contains("secret two"), "only what is asked for is rendered");

    let other = World::with_site();
    other.render(&["--output", "tar"]).ok();
    assert_eq!(names(&other.destination()), ["default.tar", "default.tar.manifest.json"]);
    let stamp = stamps(&other.destination())[Path::new("default.tar")];
    other.render(&["--output", "rootfs"]).ok();
    assert_eq!(names(&other.destination()), all);
    assert_eq!(stamps(&other.destination())[Path::new("default.tar")].0, stamp.0, "it is the same file");
    assert!(other.render(&["--output", "tar", "--output", "rootfs"]).ok().is_up_to_date());
    // An edit of one kind is not in the way of another.
    write(&other.destination().join("default.tar"), "mine");
    other.render(&["--output", "rootfs", "--set", "word=two"]).ok();
    assert_eq!(fs::read(other.destination().join("default.tar")).unwrap(), b"mine");
    other.render(&["--output", "tar"]).failed(1, &["changed `default.tar`"]);
}

fn archived(destination: &Path) -> String {
    String::from_utf8_lossy(&fs::read(destination.join("default.tar")).unwrap()).into_owned()
}

#[test]
fn declared_kinds_are_rendered_as_declared() {
    let world = World::with_site();
    let profile = fs::read_to_string(world.project().join("profiles/default.toml")).unwrap();
    world.write("profiles/default.toml", format!("{profile}\n[output.tar]\ncompression = \"gzip\"\n"));
    world.render(&[]).ok();
    assert_eq!(names(&world.destination()), ["default.tar.gz", "default.tar.gz.manifest.json"]);
    world.write("profiles/default.toml", format!("{profile}\n[output.tar]\ncompression = \"zstd\"\n[output.rootfs]\n"));
    world.render(&[]).ok();
    let expected = [
        ".dockerignore",
        "Dockerfile",
        "default.tar.zst",
        "default.tar.zst.manifest.json",
        "manifest.json",
        "rootfs",
        "rootfs.tar",
    ];
    assert_eq!(names(&world.destination()), expected, "the archive of the other form is gone");
    assert!(world.render(&[]).ok().is_up_to_date());
    // With a lost store, manifests tell as much.
    fs::remove_dir_all(world.store()).unwrap();
    assert!(world.render(&[]).ok().is_up_to_date());
    world.render(&["--output", "nonsense"]).failed(2, &["nonsense"]);
}

#[test]
fn an_image_of_several_processes_has_to_say_which() {
    let world = World::with_site();
    let profile = fs::read_to_string(world.project().join("profiles/default.toml")).unwrap();
    let process = |name: &str| format!("[process.{name}]\ncommand = [\"/usr/bin/{name}\"]\nuser = 70\n");
    let several = format!("{profile}\n{}{}", process("web"), process("worker"));
    world.write("profiles/default.toml", &several);
    world.run(&["render"]).failed(3, &["process"]);
    assert!(!world.destination().join("rootfs").exists());
    assert!(!world.project().join("profiles/default.lock").exists(), "nothing is locked");
    // An archive starts nothing.
    world.render(&["--output", "tar"]).ok();
    world.write("profiles/default.toml", format!("{several}\n[output.rootfs]\n"));
    world.render(&[]).failed(3, &["which process does the image start"]);
    world.write("profiles/default.toml", format!("{several}\n[output.rootfs]\nprocess = \"worker\"\n"));
    world.render(&[]).ok();
    world.write("profiles/default.toml", format!("{several}\n[output.rootfs]\nprocess = \"wroker\"\n"));
    world.render(&[]).failed(3, &["wroker", "worker"]);
}

#[test]
fn a_refused_render_leaves_no_folder_behind() {
    let world = World::with_site();
    world.write("layers/app/files/etc/app/app.conf.j2", "{{ nothing }}");
    world.render(&[]).failed(3, &["`nothing` is not defined"]);
    assert!(!world.project().join("out").exists());
    fs::create_dir_all(world.project().join("out/default")).unwrap();
    world.render(&[]).failed(3, &["`nothing` is not defined"]);
    assert_eq!(names(&world.project().join("out")), ["default"], "what was there stays");
    assert!(!world.destination().exists());
}

#[test]
fn two_targets_with_one_folder_are_refused() {
    let world = World::with_site();
    let alpine = world.project().join("out/default/alpine");
    fs::create_dir_all(&alpine).unwrap();
    std::os::unix::fs::symlink("alpine", world.destination()).unwrap();
    let words = ["`alpine` and `debian` have one destination", "out/default/debian", "symbolic link"];
    world.run(&["render"]).failed(2, &words);
    assert!(names(&alpine).is_empty());
    world.render(&[]).ok();
}

#[test]
fn what_a_kill_left_of_writing_the_lock_is_removed() {
    let world = World::with_site();
    // No process has a number above 2^22 (proc(5), pid_max).
    world.write("profiles/.default.lock.4194999.new", "half a l");
    world.render(&[]).ok();
    assert_eq!(names(&world.project().join("profiles")), ["default.lock", "default.toml"]);
}

#[test]
fn a_destination_that_is_refused_does_not_hold_up_the_others() {
    let world = World::with_site();
    world.run(&["render"]).ok();
    let edited = world.project().join("out/default/alpine/rootfs/etc/issue");
    fs::write(&edited, "by hand").unwrap();
    world.write_site("two");
    world
        .run(&["render"])
        .failed(1, &["out/default/alpine` was changed by hand", "rootfs/etc/issue", "wrote out/default/debian"]);
    assert_eq!(fs::read_to_string(&edited).unwrap(), "by hand");
    let rendered = fs::read_to_string(world.destination().join("rootfs/etc/app/copied")).unwrap();
    assert_eq!(rendered, "copied two\n");
}
