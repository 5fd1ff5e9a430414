//! Images that layerforge renders from the project in `tests/system/project`, of the content that scenarios know.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::command::{explain, program, run};
use crate::world::{World, layerforge, repository};

/// A copy of the project, which has a profile for each image.
pub(crate) struct Project {
    folder: PathBuf,
}

/// What a host is, for which an image is rendered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Host {
    release: &'static str,
    systemd: &'static str,
}

/// Debian 13.
pub(crate) const TRIXIE: Host = Host { release: "trixie", systemd: "257" };
/// Debian 12, the oldest that layerforge writes images for.
pub(crate) const BOOKWORM: Host = Host { release: "bookworm", systemd: "252" };

/// Keys of an image that is a directory.
pub(crate) const DIRECTORY: &str = "format = 'directory'";

/// A rendered image that lint has nothing against.
pub(crate) struct Image {
    /// The directory or file.
    pub(crate) path: PathBuf,
    /// What it holds, as layerforge says.
    pub(crate) manifest: PathBuf,
}

impl Project {
    /// Makes the copy in a folder called `name`.
    pub(crate) fn unpack(world: &World, name: &str) -> Outcome<Self> {
        let folder = world.folder(&format!("{name}-project"))?;
        run(program("cp").args(["--recursive", "--no-target-directory"]).arg(template()).arg(&folder))?;
        let programs = folder.join("layers/judged/content/usr/libexec/judged");
        make(&programs)?;
        run(program("install").arg("--mode=0755").arg(world.emulator()?.busybox).arg(programs.join("busybox")))?;
        let odd = folder.join("layers/odd/content/usr/share/odd");
        make(&odd)?;
        run(program("sh").current_dir(&odd).args(["-euc", ODD]))?;
        Ok(Self { folder })
    }

    /// Renders the image `name` for Debian 13: `kind` is `sysext`, `confext` or `portable`, `keys` are those of its
    /// output beside the defaults.
    pub(crate) fn render(&self, kind: &str, name: &str, keys: &str) -> Outcome<Image> {
        self.render_for(TRIXIE, kind, name, keys)
    }

    /// Renders the image `name` as [`Self::render`] does, for another host.
    pub(crate) fn render_for(&self, host: Host, kind: &str, name: &str, keys: &str) -> Outcome<Image> {
        let mut output = format!("[output.{kind}]\nsystemd = {}\n{keys}\n", host.systemd);
        if keys == DIRECTORY && kind != "sysext" {
            // A directory holds nothing that is not root's.
            output += &format!("[file.'/etc/{name}/note']\nowner = 'root'\n");
        }
        self.write(name, &["judged"], host, &output)?;
        self.make(name, kind, host, &[])
    }

    /// Writes the profile `name` of the given layers with the given outputs.
    pub(crate) fn write(&self, name: &str, layers: &[&str], host: Host, outputs: &str) -> Outcome {
        let text = format!("layers = {layers:?}\n[distro.debian]\nrelease = {:?}\n{outputs}", host.release);
        let place = self.folder.join(format!("profiles/{name}.toml"));
        make(&self.folder.join("profiles"))?;
        fs::write(&place, text).map_err(explain(format!("write {}", place.display())))
    }

    /// Renders one output of a profile that was written before, and lets lint judge it.
    pub(crate) fn make(&self, name: &str, kind: &str, host: Host, arguments: &[&str]) -> Outcome<Image> {
        let target = self.folder.join(format!("rendered/{name}"));
        let mut command = layerforge(&self.folder, name);
        run(command.args(["--output", kind]).arg("--dest").arg(&target).args(arguments))?;
        let file = target.join(kind).join(format!("{name}.raw"));
        let path = if file.exists() { file } else { target.join(kind).join(name) };
        let mut lint = tool("lint");
        run(lint.args(["--class", kind, "--target-systemd", host.systemd]).arg(&path))?;
        Ok(Image { path, manifest: target.join(format!("{kind}.manifest.json")) })
    }
}

/// Returns a command of layerforge that is about files, not about a project.
pub(crate) fn tool(name: &str) -> std::process::Command {
    let mut command = program(env!("CARGO_BIN_EXE_layerforge"));
    command.arg(name);
    command
}

/// What fills the layer `odd`.
const ODD: &str = "
printf one >file
ln file hard-link
ln -s /nowhere/at/all symbolic-link
mkdir -m 2750 directory
chown 1234:5678 directory
printf two >directory/set-user
chown 65532:4294967294 directory/set-user
chmod 4711 directory/set-user
: >empty
chmod 0000 empty
mkfifo -m 0620 pipe
setfattr -n user.note -v 'a value' file
setfattr -n user.note -v 'another value' directory
head -c 5000000 /dev/zero >zeros
seq 300000 >numbers
";

fn template() -> PathBuf {
    repository().join("tests/system/project")
}

fn make(folder: &Path) -> Outcome {
    fs::create_dir_all(folder).map_err(explain(format!("make {}", folder.display())))
}
