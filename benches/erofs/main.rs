//! How fast and how small EROFS images are, beside `mkfs.erofs`, `mksquashfs` and `tar`.
//!
//! Comes in: the number of rounds. Goes out: tables, and `docs/benchmarks/erofs.json` with every sample. Always holds: all
//! tasks take turns within each round; every task is a whole process, ours with the reading of the directory that it
//! begins with; inputs and images lie in memory. Needs root, for `chroot` and `mount`.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is no part of the program"
)]

mod command;
mod debian;
mod image;
mod inputs;
#[path = "../render/measure.rs"]
mod measure;
mod readback;
mod report;
#[path = "../render/start.rs"]
mod start;
mod tasks;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

/// Fewer rounds are a quick look: their numbers are printed and not kept.
const ROUNDS: usize = 5;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let other = |words: &[&str]| match words {
        ["image", words @ ..] => Some(image::write(words)),
        ["read", directory] => Some(readback::all(Path::new(directory))),
        ["read-randomly", directory] => Some(readback::randomly(Path::new(directory))),
        _ => None,
    };
    start::start("erofs", ROUNDS, other, bench)
}

fn bench(rounds: usize) -> Result<()> {
    let folder = Path::new("/dev/shm").join(format!("layerforge-erofs-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let done = measured(&folder, rounds);
    fs::remove_dir_all(&folder)?;
    done
}

fn measured(folder: &Path, rounds: usize) -> Result<()> {
    let mut results = Vec::new();
    for (input, share) in inputs::prepare(folder)?.into_iter().zip([1, 3]) {
        results.push(tasks::run(folder, input, rounds.div_ceil(share))?);
    }
    print!("{}", report::tables(&results));
    if rounds >= ROUNDS { report::keep(&results) } else { Ok(()) }
}
