//! Several renders at once, and inputs that change while they are read.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::support::*;

fn start(world: &World, arguments: &[&str]) -> Child {
    let mut command = world.program(&[&["render", "--distro", "debian"], arguments].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn finish(started: Vec<Child>) {
    for child in started {
        Said::of(&child.wait_with_output().unwrap()).ok();
    }
}

/// Returns what a render of the small project gives with `word`.
fn expected(word: &str) -> BTreeMap<PathBuf, Found> {
    let world = World::with_site();
    world.render(&["--set", &format!("word={word}")]).ok();
    snapshot(&world.destination())
}

#[test]
fn several_renders_of_one_input_into_one_destination() {
    let wanted = expected("one");
    for count in [2, 4] {
        for _ in 0..4 {
            let world = World::with_site();
            finish((0..count).map(|_| start(&world, &[])).collect());
            assert_same(&snapshot(&world.destination()), &wanted, "at once");
            assert_eq!(names(&world.project().join("out/default")), ["debian"]);
            assert_eq!(names(&world.project().join("profiles")), ["default.lock", "default.toml"]);
            assert!(world.render(&[]).ok().is_up_to_date());
        }
    }
}

#[test]
fn several_renders_of_different_inputs_into_one_destination() {
    let words = ["one", "two", "three", "four"];
    let wanted = words.map(expected);
    for count in [2, 4] {
        let world = World::with_site();
        for _ in 0..6 {
            let settings = words.map(|word| format!("word={word}"));
            finish(settings[..count].iter().map(|setting| start(&world, &["--set", setting])).collect());
            let found = snapshot(&world.destination());
            let last = wanted.iter().position(|wanted| *wanted == found).expect("it is the result of one of them");
            assert_eq!(names(&world.project().join("out/default")), ["debian"]);
            assert!(world.render(&["--set", &settings[last]]).ok().is_up_to_date());
        }
    }
}

#[test]
fn several_renders_with_one_store() {
    let words = ["one", "two", "three", "four"];
    let wanted = words.map(expected);
    let world = World::with_site();
    let settings = words.map(|word| (format!("word={word}"), format!("../out-{word}")));
    for _ in 0..3 {
        let start =
            |(setting, destination): &(String, String)| start(&world, &["--set", setting, "--dest", destination]);
        finish(settings.iter().map(start).collect());
        for (word, wanted) in words.iter().zip(&wanted) {
            assert_same(&snapshot(&world.at(&format!("out-{word}"))), wanted, word);
        }
    }
    for (setting, destination) in &settings {
        assert!(world.render(&["--set", setting, "--dest", destination]).ok().is_up_to_date());
    }
    let left: Vec<_> = names(&world.store()).into_iter().filter(|name| name.starts_with('.')).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The length of the file that is rewritten: more than is copied in one piece.
const LENGTH: usize = 300_000;

/// Ends the rewriting also when what runs beside it panics.
struct Done<'flag>(&'flag AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Rewrites a file over and over while `render` runs.
fn while_rewriting(place: &Path, in_place: bool, render: impl FnOnce()) {
    let done = AtomicBool::new(false);
    let mut numbers = Numbers(0x71c7);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for byte in (b'a'..=b'z').cycle().take_while(|_| !done.load(Ordering::Relaxed)) {
                if in_place {
                    let file = fs::File::options().write(true).open(place).unwrap();
                    file.write_all_at(&vec![byte; LENGTH], 0).unwrap();
                } else {
                    let new = place.with_file_name(".rewritten");
                    fs::write(&new, vec![byte; LENGTH]).unwrap();
                    fs::rename(&new, place).unwrap();
                }
                std::thread::sleep(Duration::from_micros(numbers.below(40_000)));
            }
        });
        let _done = Done(&done);
        render();
    });
}

#[test]
fn inputs_that_change_meanwhile_give_no_mixture() {
    // Alone, and once more with an owner, so that it stands in `rootfs.tar` too, which is checked in another way.
    let plain = "tier = \"application\"\n[file.\"/opt/plain\"]\nsource = \"moving\"\n";
    let owned = format!("{plain}[file.\"/opt/owned\"]\nsource = \"moving\"\nowner = 70\n");
    for (in_place, tables) in [(false, plain), (true, plain), (false, &*owned), (true, &*owned)] {
        let world = World::with_site();
        world.write("layers/app/moving", vec![b'a'; LENGTH]);
        world.write("layers/app/layer.toml", tables);
        world.render(&[]).ok();
        let (mut whole, mut refused) = (0, 0);
        while_rewriting(&world.project().join("layers/app/moving"), in_place, || {
            for round in 0..50 {
                let said = world.render(&[]);
                match said.code {
                    Some(0) => whole += 1,
                    _ => {
                        assert!(
                            said.code == Some(1)
                                && (said.text.contains("layers/app/moving` was changed while it was used")
                                    || said.text.contains("its content changed meanwhile")),
                            "{}",
                            said.text
                        );
                        refused += 1;
                    }
                }
                assert_consistent(&world, in_place, &format!("round {round}, in place: {in_place}"));
            }
        });
        println!("in place: {in_place}, archive: {}: {whole} rendered, {refused} refused", tables == owned);
        // It has come to rest now.
        world.render(&[]).ok();
        let now = fs::read(world.project().join("layers/app/moving")).unwrap();
        assert!(fs::read(world.destination().join("rootfs/opt/plain")).unwrap() == now, "the last state is rendered");
        std::thread::sleep(Duration::from_millis(40));
        world.render(&[]).ok();
        assert!(world.render(&[]).ok().is_up_to_date());
    }
}

/// Asserts that everything in the destination is what the manifest says.
fn assert_consistent(world: &World, torn: bool, why: &str) {
    let destination = world.destination();
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(destination.join("manifest.json")).unwrap()).unwrap();
    let digest = |bytes: &[u8]| {
        let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256:{hex}")
    };
    for entry in manifest["entries"].as_array().unwrap().iter().filter(|entry| entry["kind"] == "file") {
        let path = entry["path"].as_str().unwrap();
        let bytes = fs::read(destination.join("rootfs").join(&path[1..])).unwrap();
        assert_eq!(entry["digest"], digest(&bytes), "{why}: {path}");
        // Whoever writes into a file shows others half of it; whoever renames does not.
        if path.starts_with("/opt/") && !torn {
            assert!(bytes.len() == LENGTH && bytes.iter().all(|byte| *byte == bytes[0]), "{why}: {path} is torn");
        }
    }
    for (name, file) in manifest["files"].as_object().unwrap() {
        let bytes = fs::read(destination.join(name)).unwrap();
        assert_eq!(file["digest"], digest(&bytes), "{why}: {name}");
    }
    assert_eq!(names(destination.parent().unwrap()), ["debian"], "{why}");
}
