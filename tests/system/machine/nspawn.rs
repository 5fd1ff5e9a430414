//! Machines that are containers of systemd-nspawn.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::{HOME, Machine, Transcript, ends_within};
use crate::Outcome;
use crate::command::{explain, program, run};

/// How long a container may take, with all its scripts.
const PATIENCE: Duration = Duration::from_secs(300);

impl Machine<'_> {
    /// Boots a container, which has the kernel and the loop devices of the host, and runs the scripts in it.
    pub(crate) fn run_in_container(self) -> Outcome<Transcript> {
        let nodes = LoopNodes::remember();
        let outcome = self.boot_container();
        nodes.restore()?;
        outcome
    }

    fn boot_container(self) -> Outcome<Transcript> {
        let root = Overlay::mount(&[&self.additions(), &self.tree.root()], &self.folder)?;
        let console = self.folder.join("console");
        let ended = boot(&root.merged, &console)?;
        let results = root.merged.join(HOME).join("results");
        let transcript = Transcript::read(&results, &self.scripts, &console);
        root.unmount()?;
        match (ended, transcript) {
            (true, transcript) => transcript,
            (false, Ok(_)) => Err("the container did not power off".into()),
            (false, Err(message)) => Err(format!("not within {} s: {message}", PATIENCE.as_secs())),
        }
    }
}

/// Boots a container of `root` and returns whether it has ended by itself. In any case it has ended afterwards.
pub(crate) fn boot(root: &Path, console: &Path) -> Outcome<bool> {
    let log = File::create(console).map_err(explain("write the console of a container"))?;
    let errors = log.try_clone().map_err(explain("write the console of a container"))?;
    let mut container = program("systemd-nspawn")
        .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
        .args([
            "--boot",
            "--register=no",
            "--keep-unit",
            "--private-network",
            "--console=read-only",
            "--hostname=machine",
        ])
        .arg(format!("--machine=layerforge-tests-{}", std::process::id()))
        .arg("--directory")
        .arg(root)
        .args(["systemd.unit=layerforge-tests.target", "systemd.show_status=no"])
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map_err(explain("run systemd-nspawn"))?;
    let ended = ends_within(&mut container, PATIENCE)?;
    if !ended {
        stop(&mut container)?;
    }
    Ok(ended)
}

/// Kills the first process of a container, with which all others end, and then waits for systemd-nspawn to clear away.
fn stop(container: &mut Child) -> Outcome {
    let pid = container.id();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    for child in children.split_whitespace().filter_map(|number| Pid::from_raw(number.parse().ok()?)) {
        // It may have ended meanwhile.
        let _ = kill_process(child, Signal::KILL);
    }
    if !ends_within(container, Duration::from_secs(20))? {
        container.kill().map_err(explain("kill systemd-nspawn"))?;
        container.wait().map_err(explain("wait for systemd-nspawn"))?;
    }
    Ok(())
}

/// An overlay whose changes are kept in memory, and lost.
struct Overlay {
    memory: PathBuf,
    merged: PathBuf,
    mounted: bool,
}

impl Overlay {
    /// Mounts an overlay of `lower`, the uppermost first, at `folder/merged`.
    fn mount(lower: &[&Path], folder: &Path) -> Outcome<Self> {
        let this = Self { memory: folder.join("memory"), merged: folder.join("merged"), mounted: true };
        let (upper, work) = (this.memory.join("upper"), this.memory.join("work"));
        let make = |path: &Path| fs::create_dir_all(path).map_err(explain(format!("make {}", path.display())));
        make(&this.memory)?;
        make(&this.merged)?;
        run(program("mount").args(["-t", "tmpfs", "-o", "mode=0755", "tmpfs"]).arg(&this.memory))?;
        make(&upper)?;
        make(&work)?;
        let lower: Vec<_> = lower.iter().map(|path| path.display().to_string()).collect();
        let options = format!("lowerdir={},upperdir={},workdir={}", lower.join(":"), upper.display(), work.display());
        run(program("mount").args(["-t", "overlay", "-o", &options, "overlay"]).arg(&this.merged))?;
        Ok(this)
    }

    fn unmount(mut self) -> Outcome {
        self.mounted = false;
        run(program("umount").arg("--recursive").arg(&self.merged))?;
        run(program("umount").arg(&self.memory)).map(drop)
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        if self.mounted {
            let _ = run(program("umount").args(["--recursive", "--lazy"]).arg(&self.merged));
            let _ = run(program("umount").arg("--lazy").arg(&self.memory));
        }
    }
}

/// The nodes of loop devices of the host. systemd removes a loop device that it is done with, and with it the node that
/// the kernel made, which no udev may be there to make again.
struct LoopNodes(Vec<u32>);

impl LoopNodes {
    fn remember() -> Self {
        Self((0..32).filter(|number| node(*number).exists()).collect())
    }

    fn restore(&self) -> Outcome {
        for number in self.0.iter().filter(|number| !node(**number).exists()) {
            run(program("mknod").args(["--mode=0660"]).arg(node(*number)).args(["b", "7", &number.to_string()]))?;
        }
        Ok(())
    }
}

fn node(number: u32) -> PathBuf {
    format!("/dev/loop{number}").into()
}
