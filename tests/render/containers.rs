//! `--output oci`: the same bytes everywhere, blobs that distros share, and nothing written twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::*;

const OCI: &str = "\n[output.oci]\nsbom = [\"spdx\", \"cyclonedx\"]\nprovenance = true\n";

fn world(keys: &str) -> World {
    let world = World::with_site();
    let profile = fs::read_to_string(world.project().join("profiles/default.toml")).unwrap();
    world.write("profiles/default.toml", format!("{profile}{OCI}{keys}\n"));
    world
}

fn layout(world: &World, distro: &str) -> PathBuf {
    world.project().join(format!("out/default/{distro}/oci/default"))
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn blob(layout: &Path, descriptor: &Value) -> PathBuf {
    layout.join("blobs/sha256").join(descriptor["digest"].as_str().unwrap().trim_start_matches("sha256:"))
}

/// Returns the digests of the layers of the image in a layout, and what its history says about each.
fn layers(layout: &Path) -> Vec<(String, String)> {
    let manifest = json(&blob(layout, &json(&layout.join("index.json"))["manifests"][0]));
    let config = json(&blob(layout, &manifest["config"]));
    let digests =
        manifest["layers"].as_array().unwrap().iter().map(|layer| layer["digest"].as_str().unwrap().to_owned());
    let comments = config["history"].as_array().unwrap().iter().map(|one| one["comment"].as_str().unwrap().to_owned());
    digests.zip(comments).collect()
}

#[test]
fn distros_share_what_is_the_same() {
    let world = world("");
    world.run(&["render"]).ok();
    let [alpine, debian] = ["alpine", "debian"].map(|distro| layers(&layout(&world, distro)));
    let comments: Vec<&str> = debian.iter().map(|(_, comment)| comment.as_str()).collect();
    assert_eq!(comments, ["base: the same for every distro", "app: the same for every distro", "app: for this distro"]);
    assert_eq!(alpine[..2], debian[..2]);
    assert_ne!(alpine[2].0, debian[2].0);
    // Whatever is rendered at the same time, and wherever to.
    let alone = world.at("alone");
    world.render(&["--dest", alone.to_str().unwrap()]).ok();
    assert_same(&snapshot(&alone), &snapshot(&world.destination()), "rendered alone");
}

/// Returns what is in the destinations of both distros.
fn destinations(world: &World) -> BTreeMap<PathBuf, Found> {
    let of = |distro: &str| {
        let found = snapshot(&world.project().join("out/default").join(distro));
        found.into_iter().map(|(path, found)| (Path::new(distro).join(path), found)).collect::<Vec<_>>()
    };
    [of("alpine"), of("debian")].into_iter().flatten().collect()
}

#[test]
fn threads_and_caches_do_not_matter() {
    let expected = {
        let world = world("");
        world.run(&["render"]).ok();
        destinations(&world)
    };
    for arguments in [&["render", "-j", "1"][..], &["render", "-j", "5"]] {
        let world = world("");
        world.run(arguments).ok();
        assert_same(&destinations(&world), &expected, &arguments.join(" "));
        assert!(world.run(&["render"]).ok().is_up_to_date());
        fs::remove_dir_all(world.store()).unwrap();
        assert!(world.run(&["render"]).ok().text.contains("is up to date"), "a lost cache changes nothing");
        assert_same(&destinations(&world), &expected, "a lost cache");
    }
}

#[test]
fn an_edit_writes_what_is_new() {
    let world = world("");
    world.run(&["render"]).ok();
    let before = stamps(&layout(&world, "debian"));
    world.write("layers/app/files/usr/share/app/0/0", "changed\n");
    world.run(&["render"]).ok();
    let after = stamps(&layout(&world, "debian"));
    let inodes: BTreeSet<u64> = before.values().map(|stamp| stamp.0).collect();
    let kept = after.iter().filter(|(path, stamp)| path.starts_with("blobs/sha256") && inodes.contains(&stamp.0));
    assert_eq!(kept.count(), 3, "the base, what is only for this distro, and the empty object");
    let said = world.run(&["verify", layout(&world, "debian").to_str().unwrap()]).ok();
    assert!(said.text.contains("every blob is right"), "{}", said.text);
}

#[test]
fn every_form_holds_the_tree() {
    for keys in [
        "compression = 'gzip'\nlevel = 9",
        "compression = 'none'",
        "format = 'tar'",
        "max_layers = 1",
        "max_layers = 2",
    ] {
        let world = world(keys);
        world.run(&["render"]).ok();
        for distro in ["alpine", "debian"] {
            let folder = world.project().join(format!("out/default/{distro}"));
            let image = if keys.contains("tar") { folder.join("oci/default.tar") } else { folder.join("oci/default") };
            let manifest = folder.join("oci.manifest.json");
            world.run(&["diff", "--times", manifest.to_str().unwrap(), image.to_str().unwrap()]).ok();
            world.run(&["verify", image.to_str().unwrap()]).ok();
        }
    }
}

#[test]
fn an_image_for_several_architectures_is_an_index() {
    let world = world("architectures = ['aarch64', 'x86_64']");
    world.write("layers/app/files/etc/app/machine.j2", "{{ distro.architecture }}\n");
    world.run(&["render"]).ok();
    let layout = layout(&world, "debian");
    let index = json(&blob(&layout, &json(&layout.join("index.json"))["manifests"][0]));
    let images = index["manifests"].as_array().unwrap();
    let platforms: Vec<_> = images.iter().map(|image| image["platform"]["architecture"].as_str().unwrap()).collect();
    assert_eq!(platforms, ["amd64", "arm64"]);
    let [one, other] = [0, 1].map(|at| json(&blob(&layout, &images[at]))["layers"].as_array().unwrap().clone());
    assert_eq!(one[..2], other[..2], "what does not know the architecture is shared");
    assert_ne!(one[2], other[2]);
    world.run(&["verify", layout.to_str().unwrap()]).ok();
    let manifest = world.destination().join("oci.manifest.json");
    world.run(&["diff", "--times", manifest.to_str().unwrap(), layout.to_str().unwrap()]).ok();
}

#[test]
fn what_cannot_be_is_told() {
    for (keys, words) in [
        ("format = 'docker-archive'", "nothing can be attached"),
        ("architectures = ['vax']", "unknown architecture"),
        ("sign = true", "nobody is there to"),
        ("from = 'debian:13'", "`from` is `scratch`"),
        ("reference = 'Not/A:Name:x'", "cannot be the name of an image"),
        ("max_layers = 0", "from 1 to 127"),
        ("level = 20", "from 1 to 19"),
        ("compression = 'none'\nlevel = 1", "says nothing here"),
    ] {
        let said = world(keys).run(&["render"]);
        assert!(said.code != Some(0) && said.text.contains(words), "{keys}: {}", said.text);
    }
}
