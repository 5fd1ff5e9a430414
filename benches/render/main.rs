//! How fast a project of 10,000 files is rendered, beside `cp` and `rsync` of the result.
//!
//! Comes in: the program, the number of rounds. Goes out: a table, and `docs/benchmarks/render.json` with every sample.
//! Always holds: all tasks take turns within each round, so that whatever else the machine does meets all of them; every
//! task is a whole process measured from outside; before anything is told, the copies and the render are compared.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is no part of the program"
)]

mod compare;
mod measure;
mod project;
mod report;
mod start;
mod walk;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use measure::Sample;
use report::Task;

/// Fewer rounds are a quick look: their numbers are printed and not kept.
const ROUNDS: usize = 11;
/// What lies between a change of a file and the next run: changes right before a run are not trusted to be seen whole.
const PAUSE: Duration = Duration::from_millis(60);

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let other = |words: &[&str]| match words {
        ["walk", directories @ ..] => Some(walk::walk(directories)),
        // To look at the project, or to profile the program with it.
        ["generate", directory] => Some(project::generate(Path::new(directory)).map(drop)),
        _ => None,
    };
    start::start("render", ROUNDS, other, bench)
}

fn bench(rounds: usize) -> Result<()> {
    let (place, file_system) = report::place();
    let folder = place.join(format!("layerforge-bench-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let done = Bench::prepare(&folder).and_then(|bench| {
        let tasks = bench.run(rounds)?;
        let result = report::Benchmark { tasks, project: bench.facts, file_system: file_system.clone() };
        print!("{}", result.table());
        if rounds >= ROUNDS { result.keep() } else { Ok(()) }
    });
    fs::remove_dir_all(&folder)?;
    done
}

/// The folders that the tasks work on.
struct Bench {
    facts: project::Facts,
    project: PathBuf,
    store: PathBuf,
    cold: PathBuf,
    out: PathBuf,
    copy: PathBuf,
}

impl Bench {
    fn prepare(folder: &Path) -> Result<Self> {
        let project = folder.join("project");
        let facts = project::generate(&project)?;
        let bench = Self {
            facts,
            out: project.join("out/bench/alpine"),
            project,
            store: folder.join("store"),
            cold: folder.join("cold"),
            copy: folder.join("copy"),
        };
        bench.render(&bench.store)?;
        let seen = compare::count(&bench.rootfs())?;
        if seen.files != bench.facts.files {
            return Err(format!("{} files were rendered instead of {}", seen.files, bench.facts.files).into());
        }
        Ok(bench)
    }

    /// Runs every task once per round.
    fn run(&self, rounds: usize) -> Result<Vec<Task>> {
        let names = [
            "cp -a",
            "cp -al",
            "rsync -a",
            "first render",
            "first render, cold store",
            "one file edited",
            "unchanged",
            "lstat walk, two threads",
            "check",
            "--version",
        ];
        let mut tasks: Vec<Task> = names.iter().map(|name| Task::new(name)).collect();
        for round in 0..rounds {
            eprint!("\rround {} of {rounds} ", round + 1);
            for (task, sample) in tasks.iter_mut().zip(self.round(round)?) {
                task.samples.push(sample);
            }
        }
        eprint!("\r                          \r");
        Ok(tasks)
    }

    fn round(&self, round: usize) -> Result<[Sample; 10]> {
        let copies = [("cp", "-a"), ("cp", "-al"), ("rsync", "-a")].map(|(tool, option)| self.copied(tool, option));
        let [copied, linked, synchronised] = copies;
        remove(&self.out)?;
        let first = self.render(&self.store)?;
        remove(&self.out)?;
        remove(&self.cold)?;
        let cold = self.render(&self.cold)?;
        // The record of the cold run lies in its own store: the other one has to see the folder again.
        remove(&self.out)?;
        self.render(&self.store)?;
        fs::write(self.project.join(&self.facts.edited), format!("edited in round {round}\n"))?;
        let edited = self.render(&self.store)?;
        let unchanged = self.render(&self.store)?;
        let walked = measure::run(Command::new(std::env::current_exe()?).arg("walk").args([&self.project, &self.out]))?;
        let checked = self.layerforge(&["check"], &self.store)?;
        let version = self.layerforge(&["--version"], &self.store)?;
        Ok([copied?, linked?, synchronised?, first, cold, edited, unchanged, walked, checked, version])
    }

    fn rootfs(&self) -> PathBuf {
        self.out.join("rootfs")
    }

    /// Copies the rendered tree, and compares the copy with it.
    fn copied(&self, tool: &str, option: &str) -> Result<Sample> {
        let mut source = self.rootfs().into_os_string();
        if tool == "rsync" {
            source.push("/");
        }
        let sample = measure::run(Command::new(tool).arg(option).arg(source).arg(&self.copy))?;
        compare::same(&self.rootfs(), &self.copy)?;
        remove(&self.copy)?;
        Ok(sample)
    }

    fn render(&self, store: &Path) -> Result<Sample> {
        self.layerforge(&["render", "bench", "--distro", "alpine"], store)
    }

    fn layerforge(&self, arguments: &[&str], store: &Path) -> Result<Sample> {
        std::thread::sleep(PAUSE);
        let mut command = Command::new(env!("CARGO_BIN_EXE_layerforge"));
        command.args(arguments).current_dir(&self.project).env("LAYERFORGE_STORE", store);
        measure::run(&command)
    }
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
