//! How fast root filesystems are made of packages, beside mmdebstrap.
//!
//! Comes in: the number of rounds, and whether to work in memory or on a fresh ext4 with a journal. Goes out: tables, and
//! `docs/benchmarks/packages.json` with every sample. Always holds: all tasks take turns within each round; every task is a
//! whole process; nobody uses the network while the clock runs: mmdebstrap takes packages from a vendored folder, with the
//! indexes of the whole repositories, layerforge from its store; before a number counts, both have written the same `status` of dpkg. Needs root, for mmdebstrap.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is no part of the program"
)]

#[path = "../erofs/command.rs"]
mod command;
#[path = "../render/measure.rs"]
mod measure;
mod place;
mod project;
mod report;
#[path = "../render/start.rs"]
mod start;
mod tasks;

use std::error::Error;
use std::process::ExitCode;

use place::{Place, System};

/// Fewer rounds are a quick look: their numbers are printed and not kept.
const ROUNDS: usize = 3;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let other = |words: &[&str]| match words {
        ["unpack", packs, packages @ ..] => Some(tasks::unpack(packs.as_ref(), packages)),
        _ => None,
    };
    start::start("packages", ROUNDS, other, bench)
}

fn bench(rounds: usize) -> Result<()> {
    let mut measured = Vec::new();
    for system in [System::Memory, System::Ext4] {
        let place = Place::new(system)?;
        measured.push((system, tasks::run(place.path(), rounds, system == System::Memory)?));
    }
    print!("{}", report::tables(&measured));
    if rounds >= ROUNDS { report::keep(&measured) } else { Ok(()) }
}
