//! How fast container images are written, beside `tar | zstd`, `tar | gzip`, buildah and umoci; what a
//! change costs until it is in a registry; what the images of several distros share.
//!
//! Comes in: the number of rounds. Goes out: tables, and `docs/benchmarks/oci.json` with every sample. Always holds: all tasks
//! take turns within each round; every task is a whole process; inputs and images lie in memory. Needs root, for buildah.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is no part of the program"
)]

#[path = "../erofs/command.rs"]
mod command;
#[path = "../erofs/debian.rs"]
mod debian;
#[path = "../render/measure.rs"]
mod measure;
mod registry;
mod report;
#[path = "../render/start.rs"]
mod start;
mod tasks;

use std::error::Error;
use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::process::ExitCode;

use layerforge::image::oci::layer::{Codec, write_layer};

/// Fewer rounds are a quick look: their numbers are printed and not kept.
const ROUNDS: usize = 5;

/// Profiles of the program itself whose images for four distros are compared.
const PROFILES: [&str; 2] = ["default", "discourse"];

/// All that is reported.
pub(crate) struct Results {
    pub(crate) measured: tasks::Measured,
    /// How many bytes the layers for all distros of a profile take: all together, and each kept once.
    pub(crate) shared: Vec<(&'static str, (u64, u64))>,
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let other = |words: &[&str]| match words {
        ["layer", directory, file, codec] => Some(layer(Path::new(directory), Path::new(file), codec)),
        _ => None,
    };
    start::start("oci", ROUNDS, other, bench)
}

/// Writes the layer of a directory, and tells when the directory has been read: a layer of a profile is in memory by then.
fn layer(directory: &Path, file: &Path, codec: &str) -> Result<()> {
    let tree = layerforge::tree::scan(directory)?;
    eprintln!("read");
    let codec = match codec.split_once(':') {
        Some(("gzip", level)) => Codec::Gzip(level.parse()?),
        Some(("zstd", level)) => Codec::Zstd(level.parse()?),
        _ => Codec::Plain,
    };
    let threads = std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
    write_layer(&tree, codec, threads, &mut fs::File::create(file)?)?;
    Ok(())
}

fn bench(rounds: usize) -> Result<()> {
    let folder = Path::new("/dev/shm").join(format!("layerforge-oci-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let done = measured(&folder, rounds);
    // What buildah has mounted there has to go first.
    std::process::Command::new("umount").arg(folder.join("graph/overlay")).output()?;
    fs::remove_dir_all(&folder)?;
    done
}

fn measured(folder: &Path, rounds: usize) -> Result<()> {
    let measured = tasks::run(folder, rounds)?;
    let shared =
        PROFILES.iter().map(|profile| Ok((*profile, tasks::shared(folder, profile)?))).collect::<Result<Vec<_>>>()?;
    let results = Results { measured, shared };
    print!("{}", report::tables(&results));
    if rounds >= ROUNDS { report::keep(&results) } else { Ok(()) }
}
