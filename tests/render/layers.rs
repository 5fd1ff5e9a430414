//! What layers of one project may do to each other, one rule a test; random projects try the rest.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::*;

/// Writes a project of three layers with the given documents, `one` to `three`, in this order; all of one tier unless the
/// document says otherwise.
fn with_layers(documents: [&str; 3]) -> World {
    let world = World::new();
    world.write("profiles/default.toml", "layers = [\"one\", \"two\", \"three\"]\n[distro.alpine]\n[distro.debian]\n");
    for (name, document) in ["one", "two", "three"].into_iter().zip(documents) {
        let tier = if document.starts_with("tier") { "" } else { "tier = \"application\"\n" };
        world.write(&format!("layers/{name}/layer.toml"), format!("{tier}{document}"));
    }
    world
}

#[test]
fn order_within_a_tier_hides_nothing() {
    let file = "[file.\"/srv/a\"]\ncontent = \"a file\"\n";
    let below = "[file.\"/srv/a/b\"]\ncontent = \"below it\"\n";
    let other = "[file.\"/srv/a\"]\ncontent = \"another\"\n";
    let removal = "[remove.\"/srv/a\"]\n";
    for documents in [[file, below, ""], [below, file, ""], [file, removal, other], [removal, file, other]] {
        with_layers(documents).render(&[]).failed(3, &["`/srv/a`"]);
    }
    // A higher tier may do all of it.
    let world = with_layers([below, "tier = \"overlay\"\n[file.\"/srv/a\"]\ncontent = \"a file\"\n", removal]);
    world.render(&[]).ok();
    assert_eq!(fs::read(world.destination().join("rootfs/srv/a")).unwrap(), b"a file");
}

#[test]
fn what_was_taken_away_is_in_nobodys_way() {
    for taken in ["[remove.\"/srv\"]\n", "[file.\"/srv\"]\ncontent = \"no directory\"\n"] {
        let world = with_layers([
            "tier = \"base\"\n[file.\"/srv/a\"]\ncontent = \"a file\"\n",
            &format!("tier = \"application\"\n{taken}"),
            "tier = \"overlay\"\n[directory.\"/srv\"]\n[file.\"/srv/a/b\"]\ncontent = \"below it\"\n",
        ]);
        world.render(&[]).ok();
        assert_eq!(fs::read(world.destination().join("rootfs/srv/a/b")).unwrap(), b"below it");
    }
}

#[test]
fn patterns_keep_what_tables_say() {
    let world = with_layers(["tier = \"base\"\n[directory.\"/srv/private\"]\nmode = \"0700\"\n", "", ""]);
    world.write("layers/two/files/srv/private/file", "");
    world.write("layers/two/files/srv/public/file", "");
    let profile = fs::read_to_string(world.project().join("profiles/default.toml")).unwrap();
    world.write("profiles/default.toml", format!("{profile}\n[directory.\"/srv/*\"]\nowner = 70\n"));
    world.render(&[]).ok();
    let mode = |name: &str| fs::metadata(world.destination().join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("rootfs/srv/private"), 0o700);
    assert_eq!(mode("rootfs/srv/public"), 0o755);
    let manifest = fs::read_to_string(world.destination().join("manifest.json")).unwrap();
    for path in ["private", "public"] {
        let line = manifest.lines().find(|line| line.contains(&format!("\"/srv/{path}\""))).unwrap();
        assert!(line.contains("\"uid\":70"), "{line}");
    }
}

#[test]
fn a_writable_path_stands_although_a_layer_removes_it() {
    let world = with_layers(["[remove.\"/var/lib/app\"]\n", "", ""]);
    let profile = fs::read_to_string(world.project().join("profiles/default.toml")).unwrap();
    let writable = "[writable.state]\npath = \"/var/lib/app\"\nkind = \"state\"\nowner = 70\n";
    world.write("profiles/default.toml", format!("{profile}\n{writable}"));
    world.render(&[]).ok();
    assert!(world.destination().join("rootfs/var/lib/app").is_dir());
}

#[test]
fn a_mistake_for_one_distro_leaves_the_others_as_they_are() {
    let world = with_layers(["", "", ""]);
    world.write("layers/one/files/srv/a/file", "a file\n");
    world.run(&["render"]).ok();
    let out = world.project().join("out/default");
    let before = (snapshot(&out.join("alpine")), stamps(&out.join("alpine")));
    let lock = fs::read(world.project().join("profiles/default.lock")).unwrap();
    world.write("layers/one/files/srv/a/file", "changed\n");
    // Found while layers are laid over each other: a removal below a file.
    let removal = "tier = \"overlay\"\n[package.curl]\n[remove.\"/srv/a/file/below\"]\nonly = [\"debian\"]\n";
    world.write("layers/three/layer.toml", removal);
    world.run(&["render"]).failed(3, &["/srv/a/file"]);
    assert_eq!((snapshot(&out.join("alpine")), stamps(&out.join("alpine"))), before);
    assert_eq!(fs::read(world.project().join("profiles/default.lock")).unwrap(), lock);
    assert_eq!(names(&out), ["alpine", "debian"]);
}
