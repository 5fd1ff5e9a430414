//! What is measured, and in which order.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use layerforge::image::oci::Layout;

use crate::Result;
use crate::debian;
use crate::measure::{self, Sample};
use crate::registry::Registry;

/// The names under which tasks are found again.
pub(crate) const ZSTD: &str = "layerforge layer, zstd 3";
pub(crate) const GZIP: &str = "layerforge layer, gzip 6";
pub(crate) const TAR_ZSTD: &str = "tar | zstd -3 -T0";
pub(crate) const TAR_GZIP: &str = "tar | gzip -6";
pub(crate) const IMAGE: &str = "layerforge render, gzip, new store";
pub(crate) const AGAIN: &str = "layerforge render, gzip, one file of the top layer changed";
pub(crate) const PUSHED: &str = "layerforge render and push, gzip, one file of the top layer changed";
pub(crate) const BUILDAH: &str = "buildah copy and commit, gzip";
pub(crate) const IMAGE_ZSTD: &str = "layerforge render, zstd, new store";
pub(crate) const IMAGE_PLAIN: &str = "layerforge render, no compression, new store";
pub(crate) const BUILDAH_PLAIN: &str = "buildah copy and commit, no compression";
pub(crate) const UMOCI: &str = "umoci insert, gzip";

const NAMES: [&str; 12] =
    [ZSTD, TAR_ZSTD, GZIP, TAR_GZIP, IMAGE, AGAIN, PUSHED, BUILDAH, UMOCI, IMAGE_ZSTD, IMAGE_PLAIN, BUILDAH_PLAIN];

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
    /// Method and path of each request of the last push.
    pub(crate) requests: Vec<String>,
}

/// The profile of an image with a Debian root; what is missing is how it is compressed.
const PROFILE: &str = "layers = ['root', 'top']\n[distro.debian]\n[output.oci]\ncompression = ";

/// Makes the input and runs every task once per round.
pub(crate) fn run(folder: &Path, rounds: usize) -> Result<Measured> {
    let root = folder.join("project/layers/root/tree");
    fs::create_dir_all(root.parent().unwrap_or(&root))?;
    // Packages that make it about as large as a root with an application is.
    debian::bootstrap(&root, "minbase", "python3,ca-certificates,curl,openssl")?;
    // Devices cannot be part of a layer.
    debian::done(
        Command::new("sh")
            .args(["-euc", "rm -rf \"$1\"/dev/* \"$1\"/var/cache/apt/* \"$1\"/var/lib/apt/lists/*", "sh"])
            .arg(&root),
    )?;
    write(folder, "layers/root/layer.toml", "tier = 'base'\ntree = 'tree'\n")?;
    write(folder, "layers/top/layer.toml", "tier = 'application'\n")?;
    let words = debian::said(Command::new("find").arg(&root).args(["-type", "f", "-printf", "%s\n"]))?;
    let bytes = words.lines().filter_map(|line| line.parse::<u64>().ok()).sum();
    let paths = debian::said(Command::new("find").arg(&root).args(["-printf", "x"]))?.len() as u64;
    let registry = Registry::start(&folder.join("registry"))?;
    let mut requests = Vec::new();
    let mut tasks: Vec<Task> = NAMES.map(|name| Task { name, samples: Vec::new(), size: 0 }).into();
    for round in 0..rounds {
        eprint!("\rround {} of {rounds} ", round + 1);
        for task in &mut tasks {
            let out = folder.join("out");
            match task.name {
                AGAIN => {}
                // The registry has what there was before the change.
                PUSHED => debian::done(push(&mut layerforge(folder), &registry))?,
                _ => {
                    fs::remove_dir_all(&out).ok();
                    fs::create_dir(&out)?;
                }
            }
            registry.requests()?;
            let mut command = command(folder, &root, task.name, round)?;
            if task.name == PUSHED {
                command.arg(registry.reference());
            }
            task.samples.push(measure::run(&command)?);
            if task.name == PUSHED {
                requests = registry.requests()?;
            }
            task.size = size(&out)?;
        }
    }
    eprint!("\r                    \r");
    Ok(Measured { paths, bytes, tasks, requests })
}

/// Returns the program, in the project, with a cache folder of its own.
fn layerforge(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_layerforge"));
    in_project(&mut command, folder);
    command
}

fn in_project(command: &mut Command, folder: &Path) {
    command.current_dir(folder.join("project")).env("XDG_CACHE_HOME", folder.join("cache"));
}

/// Makes it push what was rendered.
fn push<'command>(command: &'command mut Command, registry: &Registry) -> &'command mut Command {
    command.args(["push", "--quiet", "../out/rendered/oci/image"]).arg(registry.reference())
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
        BUILDAH | BUILDAH_PLAIN => Ok(shell(&format!(
            "set -- \"$1\" \"$2\" --root \"$3/graph\" --runroot \"$3/run\" --storage-driver overlay
             root=$1; out=$2; shift 2
             container=$(buildah \"$@\" from scratch)
             buildah \"$@\" copy --quiet \"$container\" \"$root\" / >\"$out/said\"
             buildah \"$@\" commit --quiet --rm --disable-compression={} \"$container\" \"oci:$out/image\" >\"$out/said\"",
            name == BUILDAH_PLAIN
        ))),
        UMOCI => Ok(shell(
            "umoci init --layout \"$2/image\"
             umoci new --image \"$2/image:latest\"
             umoci insert --image \"$2/image:latest\" \"$1\" /",
        )),
        _ => {
            let codec = match name {
                IMAGE_PLAIN => "none",
                IMAGE_ZSTD => "zstd",
                _ => "gzip",
            };
            write(folder, "profiles/image.toml", &format!("{PROFILE}'{codec}'\n"))?;
            if [IMAGE, IMAGE_ZSTD, IMAGE_PLAIN].contains(&name) {
                fs::remove_dir_all(folder.join("cache")).ok();
            }
            let text = format!("tier = 'application'\n[file.'/etc/motd']\ncontent = '{name} {round}'\n");
            write(folder, "layers/top/layer.toml", &text)?;
            if name == PUSHED {
                let script = "\"$1\" render image --quiet --dest ../out/rendered
                     \"$1\" push --quiet ../out/rendered/oci/image \"$2\" >../out/said";
                let mut command = Command::new("sh");
                in_project(&mut command, folder);
                command.args(["-euc", script, "sh", env!("CARGO_BIN_EXE_layerforge")]);
                return Ok(command);
            }
            let mut command = layerforge(folder);
            command.args(["render", "image", "--quiet", "--dest"]).arg(out.join("rendered"));
            Ok(command)
        }
    }
}

/// Returns how many bytes the layers of a profile take for all its distros: of each image on its own, and where what they
/// share is kept once.
pub(crate) fn shared(folder: &Path, profile: &str) -> Result<(u64, u64)> {
    let project = folder.join("empty");
    fs::create_dir_all(&project)?;
    let out = folder.join(format!("shared-{profile}"));
    let mut command = layerforge(folder);
    command.current_dir(&project).args(["render", profile, "--output", "oci", "--quiet", "--dest"]).arg(&out);
    debian::done(&mut command)?;
    let (mut all, mut once) = (0, BTreeMap::new());
    for distro in fs::read_dir(&out)? {
        let layout = Layout::open(&distro?.path().join("oci").join(profile), folder)?;
        for layer in layout.images()?.into_iter().flat_map(|(_, manifest)| manifest.layers) {
            all += layer.size;
            once.insert(layer.digest, layer.size);
        }
    }
    Ok((all, once.into_values().sum()))
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
