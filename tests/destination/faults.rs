//! Kills, full disks, and several renders at once.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use layerforge::tree::Tree;

use crate::support::*;

const PLACE: &str = "LAYERFORGE_TEST_PLACE";
const VERSION: &str = "LAYERFORGE_TEST_VERSION";

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Returns a command that runs one of the `child_` tests below in a process of its own.
pub(crate) fn child(test: &str, place: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("faults::{test}"), "--ignored", "--nocapture"]).env(PLACE, place);
    command
}

fn place() -> PathBuf {
    std::env::var_os(PLACE).expect("run by another test").into()
}

/// Renders into `PLACE/out/alpine` with the store `PLACE/cache`.
fn render_at(place: &Path, tree: &Tree) -> Said {
    let store = layerforge::store::Store::open(&place.join("cache")).unwrap();
    let heard = Heard::default();
    let options =
        layerforge::image::Options { store: &store, force: false, witness: &|_| Vec::new(), reporter: &heard };
    let outputs = [rootfs(tree, b"FROM scratch\n")];
    render_with(&options, &place.join("out/alpine"), &outputs, layerforge::store::Listing::new())
}

/// A larger tree, so that a render takes long enough to be killed in its middle.
fn large(version: &str) -> Tree {
    let mut tree = tree(version);
    for number in 0..600 {
        let text = format!("{number} of {}", if number % 3 == 0 { version } else { "both" });
        tree.insert(path(&format!("/opt/{}/{number}", number % 40)), file(&text, 0o644)).unwrap();
    }
    tree.complete(|_| layerforge::tree::Meta::root_owned(0o755, TIME));
    tree
}

#[test]
#[ignore = "run by other tests in a process of its own"]
fn child_renders_once() {
    let version = std::env::var(VERSION).unwrap();
    render_at(&place(), &tree(&version)).unwrap();
}

#[test]
#[ignore = "run by other tests in a process of its own"]
fn child_renders_forever() {
    let place = place();
    let trees = [large("one"), large("two")];
    println!("ready");
    for tree in trees.iter().cycle() {
        render_at(&place, tree).unwrap();
    }
}

/// Lets a child render in a loop, kills it after a while, again and again; `check` looks at what each kill left.
fn kill_renders(place: &Path, rounds: u64, seed: u64, mut check: impl FnMut(u64)) {
    let mut numbers = Numbers(seed);
    for round in 0..rounds {
        let mut running = child("child_renders_forever", place).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("ready")), "round {round}: the child began");
        std::thread::sleep(Duration::from_micros(numbers.below(60_000)));
        running.kill().unwrap();
        let status = running.wait().unwrap();
        assert!(status.code().is_none(), "round {round}: it was killed, it did not fail: {status}");
        check(round);
    }
}

#[test]
fn a_killed_render_leaves_the_old_result_or_the_new_one() {
    let project = Project::new();
    let place = project.folder.path();
    let trees = [large("one"), large("two")];
    let expected = [fresh(&trees[0]), fresh(&trees[1])];
    let mut interrupted = 0;
    kill_renders(place, 60, 0xdead, |round| {
        let destination = place.join("out/alpine");
        let found = if destination.exists() { snapshot(&destination) } else { Default::default() };
        assert!(expected.contains(&found) || found.is_empty() && round == 0, "round {round}: a mixture");
        // A very early kill comes before anything was made.
        interrupted += u64::from(place.join("out").exists() && names(&place.join("out")).len() > 1);
        // Whatever was left, the next render takes nothing of it for an edit and cleans up.
        render_at(place, &trees[round as usize % 2]).unwrap();
        assert_eq!(snapshot(&destination), expected[round as usize % 2], "round {round}");
        assert_eq!(names(&place.join("out")), ["alpine"], "round {round}");
    });
    assert!(interrupted > 10, "the kills came in the middle of the work: {interrupted}");
}

#[test]
fn a_killed_switch_of_children_is_completed_by_the_next_render() {
    let project = Project::new();
    let place = project.folder.path();
    let destination = place.join("out/alpine");
    let trees = [large("one"), large("two")];
    let expected = [fresh(&trees[0]), fresh(&trees[1])];
    render_at(place, &trees[0]).unwrap();
    // Somebody's directory keeps the folder from being exchanged as a whole.
    fs::create_dir(destination.join("mine")).unwrap();
    fs::write(destination.join("mine/file"), "mine").unwrap();
    let mut interrupted = 0;
    kill_renders(place, 30, 0xbeef, |round| {
        let rootfs = snapshot(&destination.join("rootfs"));
        let whole = |version: usize| {
            rootfs.iter().all(|(path, found)| {
                let wanted = &expected[version][&Path::new("rootfs").join(path)];
                (found.mode, found.time, &found.content) == (wanted.mode, wanted.time, &wanted.content)
            })
        };
        assert!(whole(0) || whole(1), "round {round}: a mixture");
        interrupted += u64::from(destination.join(".layerforge").exists());
        render_at(place, &trees[round as usize % 2]).unwrap();
        assert_eq!(names(&destination), ["Dockerfile", "manifest.json", "mine", "rootfs"], "round {round}");
        let mut found = snapshot(&destination);
        found.retain(|path, _| !path.starts_with("mine"));
        assert_eq!(found, expected[round as usize % 2], "round {round}");
        assert_eq!(fs::read(destination.join("mine/file")).unwrap(), b"mine");
    });
    assert!(interrupted > 5, "the kills came in the middle of the work: {interrupted}");
}

#[test]
fn several_renders_at_once_wait_for_each_other() {
    let project = Project::new();
    let place = project.folder.path();
    let versions = ["one", "two", "three"];
    let expected = versions.map(|version| fresh(&tree(version)));
    std::thread::scope(|scope| {
        for version in versions {
            scope.spawn(move || {
                for _ in 0..15 {
                    let output = child("child_renders_once", place).env(VERSION, version).output().unwrap();
                    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
                }
            });
        }
        // Threads of one process exclude each other as well.
        scope.spawn(|| (0..30).for_each(|_| drop(render_at(place, &tree("three")).unwrap())));
    });
    assert!(expected.contains(&snapshot(&place.join("out/alpine"))));
    assert_eq!(names(&place.join("out")), ["alpine"]);
}

#[test]
fn a_reader_never_sees_a_mixture() {
    let project = Project::new();
    let place = project.folder.path();
    let trees = [tree("one"), tree("two")];
    render_at(place, &trees[0]).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = std::collections::BTreeMap::<String, u64>::new();
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                // Whoever holds the folder open sees one result in it, until that is removed.
                let folder = layerforge::fs::Folder::open(&place.join("out/alpine")).unwrap();
                let read = |folder: &layerforge::fs::Folder, name: &[u8]| {
                    let mut text = String::new();
                    folder.open_file(name).ok()?.read_to_string(&mut text).ok()?;
                    Some(text)
                };
                let manifest = read(&folder, b"manifest.json");
                let etc = folder.descend(b"rootfs/etc").ok();
                let version = etc.and_then(|etc| read(&etc, b"version"));
                if let Some((manifest, version)) = manifest.zip(version) {
                    assert_eq!(manifest, layerforge::digest::Digest::of(&version).to_string());
                    *seen.entry(version).or_default() += 1;
                }
            }
            seen
        });
        (1..150).for_each(|round| drop(render_at(place, &trees[round % 2]).unwrap()));
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        reader.join().unwrap()
    });
    assert_eq!(seen.len(), 2, "{seen:?}");
}

/// A mounted file system, as long as the value lives.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// Mounts something at `target`. Returns nothing, and says so, when this user may not.
    pub(crate) fn new(arguments: &[&str], target: &Path) -> Option<Self> {
        if !is_root() {
            println!("skipped: only root can mount {}", arguments.join(" "));
            return None;
        }
        let output = Command::new("mount").args(arguments).arg(target).output().unwrap();
        assert!(output.status.success(), "root cannot mount: {}", String::from_utf8_lossy(&output.stderr));
        Some(Self(target.to_owned()))
    }

    pub(crate) fn tmpfs(target: &Path, size: &str) -> Option<Self> {
        Self::new(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"], target)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().unwrap();
    }
}

#[test]
fn a_full_disk_keeps_the_old_result() {
    for below in ["disk/alpine", "disk"] {
        let project = Project::new();
        let disk = project.folder.path().join("disk");
        fs::create_dir(&disk).unwrap();
        let Some(_mount) = Mount::tmpfs(&disk, "4m") else { return };
        let destination = project.folder.path().join(below);
        let render = |tree: &Tree| project.render_to(&destination, &[rootfs(tree, b"FROM scratch\n")]);
        let mut huge = tree("huge");
        huge.insert(path("/huge"), file(&"x".repeat(6 << 20), 0o644)).unwrap();
        let error = render(&huge).unwrap_err();
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("No space left"), "{error}");
        assert_eq!(names(&disk), [""; 0], "{below}: nothing stays of the first render");
        render(&tree("one")).unwrap();
        render(&huge).unwrap_err();
        assert_eq!(snapshot(&destination), fresh(&tree("one")), "{below}");
        assert_eq!(names(&disk).len(), if below == "disk" { 3 } else { 1 }, "{below}: no leftovers");
        render(&tree("two")).unwrap();
        assert_eq!(snapshot(&destination), fresh(&tree("two")), "{below}");
    }
}

#[test]
fn a_full_store_only_warns() {
    let project = Project::new();
    fs::create_dir(project.store_path()).unwrap();
    let Some(_mount) = Mount::tmpfs(&project.store_path(), "64k") else { return };
    fs::write(project.store_path().join("filler"), vec![0; 60 << 10]).unwrap();
    project.render(&large("one")).unwrap();
    assert!(project.heard.0.lock().unwrap()[0].contains("the next render has to read everything again"));
    assert!(project.destination().join("rootfs/etc/version").exists());
}
