//! How fast packages are chosen, beside apt-get, and what it brings to make four distributions at once.
//!
//! Comes in: the number of rounds. Goes out: tables, and `docs/benchmarks/families.json` with every sample. Always holds: all
//! tasks take turns within each round; every task is a whole process; nobody uses the network while the clock runs; before a
//! number counts, apt-get has chosen the same packages. Needs root, for a Debian tree in which apt-get runs.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is no part of the program"
)]

mod choice;
#[path = "../erofs/command.rs"]
mod command;
#[path = "../render/measure.rs"]
mod measure;
mod report;
#[path = "../render/start.rs"]
mod start;
mod repositories;
mod together;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use measure::Sample;

/// Fewer rounds are a quick look: their numbers are printed and not kept.
const ROUNDS: usize = 5;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// One thing that is measured.
struct Task {
    name: &'static str,
    samples: Vec<Sample>,
}

impl Task {
    fn all(names: &[&'static str]) -> Vec<Self> {
        names.iter().map(|name| Self { name, samples: Vec::new() }).collect()
    }
}

/// A folder in memory that goes away with the value.
struct Place(PathBuf);

impl Place {
    fn new() -> Result<Self> {
        let folder = Path::new("/dev/shm").join(format!("layerforge-families-{}", std::process::id()));
        fs::create_dir(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn main() -> ExitCode {
    start::start("families", ROUNDS, |_| None, bench)
}

fn bench(rounds: usize) -> Result<()> {
    let place = Place::new()?;
    let (chosen, choices) = choice::run(&place.0.join("choice"), rounds)?;
    let (made, bytes) = together::run(&place.0.join("together"), rounds)?;
    let text = report::text(&chosen, choices, &made, bytes);
    print!("{text}");
    if rounds >= ROUNDS { report::keep(&text, &[&chosen, &made]) } else { Ok(()) }
}

/// Returns the program, in a project, with a cache folder beside that.
fn layerforge(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_layerforge"));
    command.current_dir(folder.join("project")).env("LAYERFORGE_STORE", folder.join("store"));
    command
}

/// Writes a file of the project in a folder.
fn file(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path = folder.join("project").join(name);
    fs::create_dir_all(path.parent().unwrap_or(folder))?;
    Ok(fs::write(path, text)?)
}
