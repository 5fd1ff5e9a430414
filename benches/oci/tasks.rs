//! What is measured, and in which order.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Result;
use crate::debian;
use crate::measure::{self, Sample};

/// The names under which tasks are found again.
pub(crate) const ZSTD: &str = "layerforge layer, zstd 3";
pub(crate) const GZIP: &str = "layerforge layer, gzip 6";
pub(crate) const TAR_ZSTD: &str = "tar | zstd -3 -T0";
pub(crate) const TAR_GZIP: &str = "tar | gzip -6";
pub(crate) const IMAGE: &str = "layerforge render, gzip, new store";
pub(crate) const AGAIN: &str = "layerforge render, gzip, one file of the top layer changed";
pub(crate) const BUILDAH: &str = "buildah copy and commit, gzip";

const NAMES: [&str; 7] = [ZSTD, TAR_ZSTD, GZIP, TAR_GZIP, IMAGE, AGAIN, BUILDAH];

/// One thing that was measured.
pub(crate) struct Task {
    pub(crate) name: &'static str,
    pub(crate) samples: Vec<Sample>,
    /// The size of what was written in bytes; nothing for a change.
    pub(crate) size: u64,
}

/// Everything that was measured.
pub(crate) struct Measured {
    pub(crate) paths: u64,
    pub(crate) bytes: u64,
    pub(crate) tasks: Vec<Task>,
}

/// The profile of an image with a Debian root.
const PROFILE: &str = "layers = ['root', 'top']\n[distro.debian]\n[output.oci]\ncompression = 'gzip'\n";

/// Makes the input and runs every task once per round.
pub(crate) fn run(folder: &Path, rounds: usize) -> Result<Measured> {
    let root = folder.join("project/layers/root/tree");
    fs::create_dir_all(root.parent().unwrap_or(&root))?;
    // Packages that make it about as large as a root with an application is.
    debian::bootstrap(&root, "minbase", "python3,git,ca-certificates,curl")?;
    // Devices cannot be part of a layer.
    debian::done(
        Command::new("sh")
            .args(["-euc", "rm -rf \"$1\"/dev/* \"$1\"/var/cache/apt/* \"$1\"/var/lib/apt/lists/*", "sh"])
            .arg(&root),
    )?;
    write(folder, "profiles/image.toml", PROFILE)?;
    write(folder, "layers/root/layer.toml", "tier = 'base'\ntree = 'tree'\n")?;
    write(folder, "layers/top/layer.toml", "tier = 'application'\n")?;
    let words = debian::said(Command::new("find").arg(&root).args(["-type", "f", "-printf", "%s\n"]))?;
    let bytes = words.lines().filter_map(|line| line.parse::<u64>().ok()).sum();
    let paths = debian::said(Command::new("find").arg(&root).args(["-printf", "x"]))?.len() as u64;
    let mut tasks: Vec<Task> = NAMES.map(|name| Task { name, samples: Vec::new(), size: 0 }).into();
    for round in 0..rounds {
        eprint!("\rround {} of {rounds} ", round + 1);
        for task in &mut tasks {
            let out = folder.join("out");
            if task.name != AGAIN {
                fs::remove_dir_all(&out).ok();
                fs::create_dir(&out)?;
            }
            task.samples.push(measure::run(&command(folder, &root, task.name, round)?)?);
            task.size = size(&out)?;
        }
    }
    eprint!("\r                    \r");
    Ok(Measured { paths, bytes, tasks })
}

fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path = folder.join("project").join(name);
    fs::create_dir_all(path.parent().unwrap_or(folder))?;
    Ok(fs::write(path, text)?)
}

fn command(folder: &Path, root: &Path, name: &str, round: usize) -> Result<Command> {
    let out = folder.join("out");
    let layer = |codec: &str| {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("layer").arg(root).arg(out.join("layer")).arg(codec);
        Ok(command)
    };
    let shell = |script: &str| {
        let mut command = Command::new("sh");
        command.args(["-euc", script, "sh"]).arg(root).arg(&out).arg(folder);
        command
    };
    match name {
        ZSTD => layer("zstd:3"),
        GZIP => layer("gzip:6"),
        TAR_ZSTD => Ok(shell("tar -C \"$1\" -cf - . | zstd -3 -T0 -q -o \"$2/layer\"")),
        TAR_GZIP => Ok(shell("tar -C \"$1\" -cf - . | gzip -6 >\"$2/layer\"")),
        BUILDAH => Ok(shell(
            "set -- \"$1\" \"$2\" --root \"$3/graph\" --runroot \"$3/run\" --storage-driver overlay
             root=$1; out=$2; shift 2
             container=$(buildah \"$@\" from scratch)
             buildah \"$@\" copy --quiet \"$container\" \"$root\" / >\"$out/said\"
             buildah \"$@\" commit --quiet --rm \"$container\" \"oci:$out/image\" >\"$out/said\"",
        )),
        _ => {
            if name == IMAGE {
                fs::remove_dir_all(folder.join("cache")).ok();
            }
            let text = format!("tier = 'application'\n[file.'/etc/motd']\ncontent = '{name} {round}'\n");
            write(folder, "layers/top/layer.toml", &text)?;
            let mut command = Command::new(env!("CARGO_BIN_EXE_layerforge"));
            command.current_dir(folder.join("project")).env("XDG_CACHE_HOME", folder.join("cache"));
            command.args(["render", "image", "--quiet", "--dest"]).arg(out.join("rendered"));
            Ok(command)
        }
    }
}

/// Returns the bytes of all files in a folder.
fn size(folder: &Path) -> Result<u64> {
    let sizes = debian::said(Command::new("find").arg(folder).args([
        "-type",
        "f",
        "-not",
        "-name",
        "*.manifest.json",
        "-printf",
        "%s\n",
    ]))?;
    Ok(sizes.lines().filter_map(|line| line.parse::<u64>().ok()).sum())
}
