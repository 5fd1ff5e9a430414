//! Random projects: what is rendered is what a naive reference says, whatever the order of files and the number of
//! threads.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use sha2::{Digest, Sha256};

use crate::random::{DISTROS, Site, site};
use crate::reference::{Expected, Kind, Node, expected};
use crate::support::{World, assert_same, names, snapshot, stamps};

/// The same cases every time: a failure is a failure for everyone.
fn runner(cases: u32, seed: u64) -> TestRunner {
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    };
    TestRunner::new(config)
}

#[test]
fn a_render_is_what_the_reference_says() {
    let (whole, refused, specials) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let result = runner(120, 1).run(&site(), |site| {
        let world = World::inside("/dev/shm");
        site.write(&world.project(), 1);
        let wanted: Result<Vec<_>, _> = DISTROS.iter().map(|distro| expected(&site, distro)).collect();
        let said = world.run(&["render", "web"]);
        match wanted {
            Err(why) => {
                refused.update(|count| count + 1);
                prop_assert_eq!(said.code, Some(3), "{}: {}", why, said.text);
                prop_assert!(snapshot(&world.project()).keys().all(|path| !path.ends_with("rootfs")), "{}", why);
                prop_assert!(!world.project().join("profiles/web.lock").exists(), "nothing is locked");
            }
            Ok(wanted) => {
                whole.update(|count| count + 1);
                prop_assert_eq!(said.code, Some(0), "{}", said.text);
                for (distro, wanted) in DISTROS.iter().zip(&wanted) {
                    let special = is_as_wanted(&site, distro, &world, wanted);
                    specials.update(|count| count + u32::from(special));
                }
            }
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    let (whole, refused, specials) = (whole.get(), refused.get(), specials.get());
    println!("{whole} rendered, {refused} refused, {specials} with an archive");
    assert!(whole >= 40 && refused >= 20 && specials >= 40, "{whole} rendered, {refused} refused, {specials} archives");
}

/// Compares what stands in the destination of `distro`; tells whether there is an archive.
fn is_as_wanted(site: &Site, distro: &str, world: &World, wanted: &Expected) -> bool {
    let destination = world.project().join("out/web").join(distro);
    let special = wanted.nodes.iter().any(|(path, node)| path != "/" && is_special(node));
    let mut files = vec![".dockerignore", "Dockerfile", "manifest.json", "rootfs"];
    files.extend(special.then_some("rootfs.tar"));
    assert_eq!(names(&destination), files, "{distro}");
    compare_directory(site, &destination.join("rootfs"), wanted);
    compare_manifest(site, distro, &destination, wanted);
    if special {
        compare_archive(site, &destination.join("rootfs.tar"), wanted, world);
    }
    special
}

/// Tells whether a plain copy cannot give a path its owner and mode.
fn is_special(node: &Node) -> bool {
    (node.uid, node.gid) != (0, 0) || on_disk(node) != node.mode
}

/// The mode on the disk of whoever renders: no setuid and setgid, and readable for the owner.
fn on_disk(node: &Node) -> u16 {
    match node.kind {
        Kind::File(_) => node.mode & 0o1777 | 0o400,
        Kind::Directory => node.mode & 0o1777 | 0o500,
        _ => node.mode,
    }
}

fn compare_directory(site: &Site, rootfs: &Path, wanted: &Expected) {
    let mut found = snapshot(rootfs);
    for (path, node) in wanted.nodes.iter().filter(|(path, _)| *path != "/") {
        let found = found.remove(Path::new(&path[1..])).unwrap_or_else(|| panic!("{path} is missing"));
        let (kind, content): (u32, &[u8]) = match &node.kind {
            Kind::File(bytes) => (0o100_000, bytes),
            Kind::Directory => (0o040_000, &[]),
            Kind::Link(target) => (0o120_000, target),
            Kind::Removal => panic!("a removal is left at {path}"),
        };
        assert_eq!(found.content, content, "{path}");
        assert_eq!(format!("{:o}", found.mode), format!("{:o}", kind | u32::from(on_disk(node))), "{path}");
        assert_eq!(found.time, (site.epoch, 0), "{path}");
    }
    assert!(found.is_empty(), "nobody asked for {:?}", found.keys());
}

fn compare_manifest(site: &Site, distro: &str, destination: &Path, wanted: &Expected) {
    let text = fs::read(destination.join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(manifest["distro"], distro);
    assert_eq!(manifest["epoch"], site.epoch);
    assert_eq!(manifest["layers"], serde_json::json!(wanted.layers));
    assert_eq!(manifest["removed"], serde_json::json!(wanted.removed));
    let entries = wanted.nodes.iter().map(|(path, node)| {
        let (kind, size, target) = match &node.kind {
            Kind::File(bytes) => ("file", Some(bytes.len()), None),
            Kind::Directory => ("directory", None, None),
            Kind::Link(target) => ("symlink", None, Some(String::from_utf8(target.clone()).unwrap())),
            Kind::Removal => panic!("a removal is left at {path}"),
        };
        let digest = match &node.kind {
            Kind::File(bytes) => Some(digest(bytes)),
            _ => None,
        };
        let mode = format!("{:04o}", node.mode);
        let all = serde_json::json!({
            "path": path, "kind": kind, "mode": mode, "uid": node.uid, "gid": node.gid,
            "size": size, "digest": digest, "target": target, "layer": node.layer,
        });
        let said = all.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
        said.map(|(key, value)| (key.clone(), value.clone())).collect::<serde_json::Map<_, _>>()
    });
    let mut entries: Vec<_> = entries.map(serde_json::Value::Object).collect();
    let mut found = manifest["entries"].as_array().unwrap().clone();
    let by_path = |entry: &serde_json::Value| entry["path"].as_str().unwrap().to_owned();
    entries.sort_by_key(by_path);
    found.sort_by_key(by_path);
    assert_eq!(found, entries);
    for (name, file) in manifest["files"].as_object().unwrap() {
        let bytes = fs::read(destination.join(name)).unwrap();
        assert_eq!((&file["size"], &file["digest"]), (&bytes.len().into(), &digest(&bytes).into()), "{name}");
    }
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// Asks GNU tar what is in the archive: owners and modes from its listing, content from its extraction.
fn compare_archive(site: &Site, archive: &Path, wanted: &Expected, world: &World) {
    let tar = |arguments: &[&str]| {
        let mut command = Command::new("tar");
        command.args(arguments).arg("-f").arg(archive).env("TZ", "UTC").env("LC_ALL", "C.UTF-8");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let listing = tar(&["--list", "--verbose", "--numeric-owner", "--full-time", "--quoting-style=literal"]);
    let mut found: BTreeMap<String, (String, String)> = BTreeMap::new();
    for line in listing.lines() {
        let words: Vec<&str> = line.split_whitespace().take(5).collect();
        assert_eq!(words[3..5], if site.epoch == 0 { ["1970-01-01", "00:00:00"] } else { ["2023-11-14", "22:13:20"] });
        let path = line.split_once(words[4]).unwrap().1.trim_start().split(" -> ").next().unwrap();
        found.insert(format!("/{}", path.trim_end_matches('/')), (words[0].into(), words[1].into()));
    }
    let opened = world.at("opened");
    fs::remove_dir_all(&opened).ok();
    fs::create_dir(&opened).unwrap();
    let to = format!("--directory={}", opened.display());
    tar(&["--extract", "--no-same-owner", "--no-same-permissions", &to]);
    for (path, node) in wanted.nodes.iter().filter(|(path, node)| *path != "/" && is_special(node)) {
        let (mode, owner) = found.remove(path).unwrap_or_else(|| panic!("{path} is not in the archive"));
        assert_eq!(owner, format!("{}/{}", node.uid, node.gid), "{path}");
        assert_eq!(mode, listed(node), "{path}");
        let place = opened.join(&path[1..]);
        match &node.kind {
            Kind::File(bytes) => {
                fs::set_permissions(&place, fs::Permissions::from_mode(0o600)).unwrap();
                assert_eq!(&fs::read(&place).unwrap(), bytes, "{path}");
            }
            // What is in it comes after it.
            Kind::Directory => fs::set_permissions(&place, fs::Permissions::from_mode(0o700)).unwrap(),
            Kind::Link(target) => assert_eq!(fs::read_link(&place).unwrap().as_os_str().as_bytes(), target, "{path}"),
            Kind::Removal => panic!("a removal is left at {path}"),
        }
    }
    assert!(found.is_empty(), "nobody asked for {found:?}");
}

/// Writes kind and mode as `ls` does.
fn listed(node: &Node) -> String {
    let kind = match node.kind {
        Kind::Directory => 'd',
        Kind::Link(_) => 'l',
        _ => '-',
    };
    let mut text = String::from(kind);
    for (shift, bit, letters) in [(6, 0o4000, ['S', 's']), (3, 0o2000, ['S', 's']), (0, 0o1000, ['T', 't'])] {
        let bits = node.mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        let executable = bits & 1 != 0;
        text.push(match (node.mode & bit != 0, executable) {
            (true, _) => letters[usize::from(executable)],
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

#[test]
fn nothing_but_the_project_matters() {
    let whole = Cell::new(0);
    let result = runner(60, 2).run(&site(), |site| {
        if DISTROS.iter().any(|distro| expected(&site, distro).is_err()) {
            return Ok(());
        }
        whole.update(|count| count + 1);
        let world = World::inside("/dev/shm");
        site.write(&world.project(), 1);
        world.run(&["render", "web", "--dest", "../first"]).ok();
        // The folders of the distros are no part of the result; they were made when they were.
        let result = |world: &World| {
            let mut found = snapshot(&world.at("first"));
            found.retain(|path, _| path.components().count() > 1);
            found
        };
        let first = result(&world);
        // The second render changes nothing, and says so.
        let before = stamps(&world.at("first"));
        let said = world.run(&["render", "web", "--dest", "../first"]).ok();
        prop_assert!(said.is_up_to_date(), "{}", said.text);
        prop_assert_eq!(stamps(&world.at("first")), before);
        // Neither the order in which files were made nor the number of threads can be seen.
        for (number, jobs) in ["1", "2", "8"].into_iter().enumerate() {
            let other = World::inside("/dev/shm");
            site.write(&other.project(), 0xabcd + number as u64);
            other.run(&["render", "web", "--dest", "../first", "--jobs", jobs]).ok();
            assert_same(&result(&other), &first, jobs);
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    let whole = whole.get();
    println!("{whole} rendered");
    assert!(whole >= 15, "{whole} rendered");
}
