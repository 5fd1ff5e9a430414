//! Symbolic links where they do not belong: nothing outside is read into a result, nothing outside is written.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::*;

/// Moves what stands at `name` in the project out of it and puts a link in its place.
fn move_out(world: &World, name: &str) {
    let outside = world.at("outside");
    fs::create_dir_all(&outside).unwrap();
    let place = world.project().join(name);
    let moved = outside.join(place.file_name().unwrap());
    fs::rename(&place, &moved).unwrap();
    symlink(&moved, &place).unwrap();
}

#[test]
fn what_leads_out_of_the_project_is_not_read() {
    for name in [
        "layers/app",
        "layers/app/layer.toml",
        "layers/app/source.txt",
        "layers/app/templates",
        "layers/app/templates/inner.j2",
        "layers/base/content",
        "profiles/default.toml",
        "profiles",
        "layers",
        "distros",
        "distros/debian.toml",
    ] {
        let world = World::with_site();
        world.write("layers/app/templates/inner.j2", "inner\n");
        world.write("layers/base/content/opt/inside", "inside\n");
        world.write("layers/base/layer.toml", "tier = \"base\"\ntree = \"content\"\n");
        world.write("distros/debian.toml", include_str!("../../src/distro/data/debian.toml"));
        let layer = fs::read_to_string(world.project().join("layers/app/layer.toml")).unwrap();
        world.write("layers/app/layer.toml", layer + "\n[file.\"/etc/inner\"]\ntemplate = \"inner.j2\"\n");
        world.render(&[]).ok();
        let before = snapshot(&world.destination());
        move_out(&world, name);
        let said = world.render(&[]);
        said.failed(3, &["lies outside the project"]);
        assert_same(&snapshot(&world.destination()), &before, name);
    }
}

#[test]
fn names_that_climb_out_are_not_read() {
    let world = World::with_site();
    write(&world.at("secret.txt"), "secret");
    write(&world.at("secret.j2"), "secret");
    for table in [
        "source = \"../../../secret.txt\"",
        "source = \"/etc/hostname\"",
        "template = \"../../../../secret.j2\"",
        "content = \"{% include '../../../secret.j2' %}\"",
        "content = \"{% include '/etc/hostname' %}\"",
    ] {
        world.write("layers/app/layer.toml", format!("tier = \"application\"\n[file.\"/etc/stolen\"]\n{table}\n"));
        let said = world.render(&[]);
        assert_eq!(said.code, Some(3), "{table}: {}", said.text);
        assert!(!said.text.contains("secret\n"), "{}", said.text);
    }
    world.write("layers/app/layer.toml", "tier = \"application\"\ntree = \"../../../\"\n");
    world.render(&[]).failed(3, &["lies outside the project"]);
}

#[test]
fn file_trees_are_real_directories() {
    for section in ["files", "files.debian"] {
        let world = World::with_site();
        let place = world.project().join("layers/app").join(section);
        fs::rename(&place, world.project().join("layers/app/moved")).unwrap();
        symlink("moved", &place).unwrap();
        world.render(&[]).failed(3, &["is not a directory", section, "symbolic links are not followed"]);
    }
}

#[test]
fn links_in_a_file_tree_are_content() {
    let world = World::with_site();
    write(&world.at("outside/file"), "outside");
    let tree = world.project().join("layers/app/files/opt");
    fs::create_dir_all(&tree).unwrap();
    let outside = world.at("outside");
    let targets = [
        ("absolute", Path::new("/etc/passwd")),
        ("climbing", Path::new("../../../../../../etc/passwd")),
        ("folder", outside.as_path()),
        ("dangling", Path::new("nowhere")),
        ("itself", Path::new("itself")),
        ("template.j2", Path::new("dangling")),
    ];
    for (name, target) in targets {
        symlink(target, tree.join(name)).unwrap();
    }
    world.render(&[]).ok();
    let rendered = world.destination().join("rootfs/opt");
    for (name, target) in targets {
        assert_eq!(fs::read_link(rendered.join(name)).unwrap(), target);
    }
    assert!(world.render(&[]).ok().is_up_to_date());
    // What a link of a tree leads to is no input.
    write(&world.at("outside/file"), "changed");
    assert!(world.render(&[]).ok().is_up_to_date());
}

#[test]
fn links_inside_the_project_are_followed_to_files() {
    let world = World::with_site();
    let place = world.project().join("layers/app/source.txt");
    fs::rename(&place, world.project().join("real.txt")).unwrap();
    symlink("../../real.txt", &place).unwrap();
    world.render(&[]).ok();
    assert_eq!(fs::read(world.destination().join("rootfs/etc/app/copied")).unwrap(), b"copied one\n");
    // What the link leads to is an input as well.
    std::thread::sleep(std::time::Duration::from_millis(40));
    assert!(world.render(&[]).ok().is_up_to_date());
    write(&world.project().join("real.txt"), "other\n");
    world.render(&[]).ok();
    assert_eq!(fs::read(world.destination().join("rootfs/etc/app/copied")).unwrap(), b"other\n");
}

/// Makes a folder whose content has to survive.
fn victim(world: &World) -> std::path::PathBuf {
    let victim = world.at("victim");
    for name in ["etc/issue", "rootfs/etc/issue", "issue", "manifest.json", "Dockerfile"] {
        write(&victim.join(name), "precious");
    }
    victim
}

#[test]
fn links_in_the_destination_are_never_written_through() {
    for (name, target) in [
        ("rootfs", "victim"),
        ("rootfs", "victim/rootfs"),
        ("rootfs/etc", "victim/etc"),
        ("rootfs/etc/issue", "victim/etc/issue"),
        ("Dockerfile", "victim/Dockerfile"),
        ("manifest.json", "victim/manifest.json"),
        ("rootfs.tar", "victim/none"),
    ] {
        for keep_store in [true, false] {
            let world = World::with_site();
            world.render(&[]).ok();
            let expected = snapshot(&world.destination());
            let victim = victim(&world);
            let before = (snapshot(&victim), stamps(&victim));
            let place = world.destination().join(name);
            if place.is_dir() {
                fs::remove_dir_all(&place).unwrap();
            } else {
                fs::remove_file(&place).unwrap();
            }
            symlink(world.at(target), &place).unwrap();
            if !keep_store {
                fs::remove_dir_all(world.store()).unwrap();
            }
            for arguments in [&[][..], &["--set", "word=two"]] {
                world.render(arguments).failed(1, &[name.split('/').next().unwrap(), "--force"]);
            }
            assert!(place.is_symlink(), "{name} stays until it is asked for");
            world.render(&["--force"]).ok();
            assert_same(&snapshot(&world.destination()), &expected, name);
            assert_eq!((snapshot(&victim), stamps(&victim)), before, "{name} → {target}");
        }
    }
}

#[test]
fn a_destination_that_is_a_link_is_what_it_leads_to() {
    let world = World::with_site();
    world.render(&[]).ok();
    let expected = snapshot(&world.destination());
    fs::create_dir(world.at("real")).unwrap();
    symlink("real", world.at("link")).unwrap();
    for word in ["word=two", "word=one"] {
        world.render(&["--dest", "../link", "--set", word]).ok();
    }
    assert!(world.at("link").is_symlink());
    assert_same(&snapshot(&world.at("real")), &expected, "through the link");
    assert!(world.render(&["--dest", "../real", "--set", "word=one"]).ok().is_up_to_date());
    symlink("nowhere", world.at("dangling")).unwrap();
    world.render(&["--dest", "../dangling"]).failed(1, &["dangling"]);
    assert!(!world.at("nowhere").exists());
    symlink("circle", world.at("circle")).unwrap();
    world.render(&["--dest", "../circle"]).failed(1, &["circle"]);
    write(&world.at("file"), "mine");
    world.render(&["--dest", "../file"]).failed(1, &["file", "is not a directory"]);
    world.render(&["--dest", "../file/below"]).failed(1, &["file/below"]);
    assert_eq!(fs::read(world.at("file")).unwrap(), b"mine");
}
