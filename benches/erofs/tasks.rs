//! What is measured, and in which order.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Result;
use crate::inputs::{Input, done, tools};
use crate::measure::{self, Sample};

/// How an image is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Maker {
    /// The library: codec, level and chunk.
    Ours(&'static str),
    /// The same with chunks kept from one run to the next; whether the store is new.
    Cached(&'static str, bool),
    /// `mkfs.erofs` with these options.
    Mkfs(&'static [&'static str]),
    /// `mksquashfs` with these options.
    Squash(&'static [&'static str]),
    /// `tar`.
    Tar,
}

/// The names under which tasks are found again.
pub(crate) const NONE: &str = "layerforge none";
pub(crate) const LZ4HC: &str = "layerforge lz4hc 6";
pub(crate) const DEFAULT: &str = "layerforge default (zstd 3)";
pub(crate) const FIRST: &str = "layerforge zstd 15, new store";
pub(crate) const AGAIN: &str = "layerforge zstd 15, one file changed";
pub(crate) const MKFS_NONE: &str = "mkfs.erofs";
pub(crate) const MKFS_LZ4HC: &str = "mkfs.erofs -zlz4hc -C65536";
pub(crate) const MKFS_FRAGMENTS: &str = "mkfs.erofs -zzstd,3 -C65536 -Eall-fragments,dedupe";
pub(crate) const SQUASH: &str = "mksquashfs zstd 3";
pub(crate) const TAR: &str = "tar cf";

const TASKS: [(&str, Maker); 14] = [
    (NONE, Maker::Ours("none:0:256")),
    ("layerforge lz4", Maker::Ours("lz4-packed:1:128")),
    (LZ4HC, Maker::Ours("lz4hc-packed:6:128")),
    ("layerforge fast (zstd 1)", Maker::Ours("zstd-packed:1:256")),
    (DEFAULT, Maker::Ours("zstd-packed:3:512")),
    (FIRST, Maker::Cached("zstd-packed:15:1024", true)),
    (AGAIN, Maker::Cached("zstd-packed:15:1024", false)),
    (MKFS_NONE, Maker::Mkfs(&[])),
    ("mkfs.erofs -zlz4 -C65536", Maker::Mkfs(&["-zlz4", "-C65536"])),
    (MKFS_LZ4HC, Maker::Mkfs(&["-zlz4hc", "-C65536"])),
    ("mkfs.erofs -zzstd,3 -C65536", Maker::Mkfs(&["-zzstd,level=3", "-C65536"])),
    (MKFS_FRAGMENTS, Maker::Mkfs(&["-zzstd,level=3", "-C65536", "-Eall-fragments,dedupe"])),
    (SQUASH, Maker::Squash(&["-comp", "zstd", "-Xcompression-level", "3"])),
    (TAR, Maker::Tar),
];

/// What the kernel reads back: whose image, and how it is mounted.
const READ: [(&str, &str); 2] = [(DEFAULT, "erofs"), (SQUASH, "squashfs")];

/// One thing that was measured.
pub(crate) struct Task {
    pub(crate) name: String,
    pub(crate) samples: Vec<Sample>,
    /// The size of the image in bytes.
    pub(crate) size: u64,
}

/// Everything that was measured on one input.
pub(crate) struct Measured {
    pub(crate) input: Input,
    pub(crate) tasks: Vec<Task>,
}

/// Runs every task once per round.
pub(crate) fn run(folder: &Path, input: Input, rounds: usize) -> Result<Measured> {
    let new = |name: String| Task { name, samples: Vec::new(), size: 0 };
    let mut tasks: Vec<Task> = TASKS.iter().map(|(name, _)| new((*name).to_owned())).collect();
    let reads =
        READ.iter().flat_map(|(name, _)| ["all files", "4 KiB at random"].map(|what| format!("{what} from {name}")));
    tasks.extend(reads.map(new));
    for round in 0..rounds {
        eprint!("\r{}: round {} of {rounds} ", input.name, round + 1);
        for (index, (name, maker)) in TASKS.iter().enumerate() {
            let image = tools(folder).join("out/image");
            fs::remove_file(&image).ok();
            tasks[index].samples.push(made(folder, &input, *maker, round)?);
            tasks[index].size = fs::metadata(&image)?.len();
            if READ.iter().any(|(read, _)| read == name) {
                fs::rename(&image, tools(folder).join("out").join(name))?;
            }
        }
        for (index, (name, kind)) in READ.iter().enumerate() {
            let image = tools(folder).join("out").join(name);
            for (part, how) in ["read", "read-randomly"].into_iter().enumerate() {
                tasks[TASKS.len() + 2 * index + part].samples.push(read(folder, &image, kind, how)?);
            }
        }
    }
    eprint!("\r                                                            \r");
    Ok(Measured { input, tasks })
}

fn made(folder: &Path, input: &Input, maker: Maker, round: usize) -> Result<Sample> {
    let image = tools(folder).join("out/image");
    let own = std::env::current_exe()?;
    let inside = |path: &Path| Path::new("/").join(path.strip_prefix(tools(folder)).unwrap_or(path));
    let mut command = match maker {
        Maker::Ours(_) | Maker::Cached(..) => Command::new(&own),
        Maker::Mkfs(_) => Command::new("chroot"),
        Maker::Squash(_) => Command::new("mksquashfs"),
        Maker::Tar => Command::new("tar"),
    };
    match maker {
        Maker::Ours(spec) => drop(command.arg("image").arg(&input.path).arg(&image).args([spec, "6.12"])),
        Maker::Cached(spec, first) => {
            let store = folder.join("store");
            if first {
                fs::remove_dir_all(&store).ok();
            } else {
                fs::write(input.path.join("changed"), format!("round {round}\n").repeat(1000))?;
            }
            command.arg("image").arg(&input.path).arg(&image).args([spec, "6.12"]).arg(store);
        }
        Maker::Mkfs(options) => {
            command.arg(tools(folder)).args(["mkfs.erofs", "--quiet", "-T0"]).args(options);
            command.arg(inside(&image)).arg(inside(&input.path));
        }
        Maker::Squash(options) => {
            command.arg(&input.path).arg(&image).args(["-noappend", "-no-progress", "-quiet"]).args(options);
        }
        Maker::Tar => drop(command.arg("-C").arg(&input.path).arg("-cf").arg(&image).arg(".")),
    }
    measure::run(&command)
}

/// Mounts an image anew, so that nothing of it is in the page cache, and reads from it.
fn read(folder: &Path, image: &Path, kind: &str, how: &str) -> Result<Sample> {
    let place = folder.join("mount");
    fs::create_dir_all(&place)?;
    done(Command::new("mount").args(["-t", kind, "-o", "ro,loop"]).arg(image).arg(&place))?;
    let sample = measure::run(Command::new(std::env::current_exe()?).arg(how).arg(&place));
    done(Command::new("umount").arg(&place))?;
    sample
}
