//! What images are made of: a Debian root, and the libraries of this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// A directory to make images of.
pub(crate) struct Input {
    /// What it is.
    pub(crate) name: &'static str,
    /// Its path, below the root that has the tools.
    pub(crate) path: PathBuf,
    /// How many paths it has.
    pub(crate) paths: u64,
    /// How many bytes its files have.
    pub(crate) bytes: u64,
}

/// The root that has the tools of Debian 13.
pub(crate) fn tools(folder: &Path) -> PathBuf {
    folder.join("tools")
}

/// Makes the root with the tools, and the inputs in it.
pub(crate) fn prepare(folder: &Path) -> Result<Vec<Input>> {
    let root = tools(folder);
    let mut debian = Command::new("mmdebstrap");
    debian.args(["--quiet", "--mode=root", "--variant=important", "--include=erofs-utils"]);
    for line in said(Command::new("apt-config").arg("dump"))?.lines() {
        if line.starts_with("Acquire::http") && line.contains("::Proxy ") {
            debian.arg(format!("--aptopt={line}"));
        }
    }
    done(debian.arg("trixie").arg(&root).arg(source()?))?;
    let small = root.join("small");
    let large = root.join("large");
    done(Command::new("mkdir").arg(&small).arg(root.join("out")))?;
    for part in ["usr", "etc", "var"] {
        done(Command::new("cp").arg("-a").arg(root.join(part)).arg(&small))?;
    }
    copy_libraries(&large)?;
    [("Debian 13, important packages", small), ("from /usr/lib of a development machine", large)]
        .into_iter()
        .map(|(name, path)| {
            let words = said(Command::new("find").arg(&path).args(["-type", "f", "-printf", "%s\n"]))?;
            let bytes = words.lines().filter_map(|line| line.parse::<u64>().ok()).sum();
            let paths = said(Command::new("find").arg(&path).args(["-printf", "x"]))?.len() as u64;
            Ok(Input { name, path, paths, bytes })
        })
        .collect()
}

/// Copies what stands in /usr/lib, in the order of the names, until that is as much as an operating system has there.
fn copy_libraries(target: &Path) -> Result<()> {
    const ENOUGH: u64 = 1_500_000_000;
    std::fs::create_dir(target)?;
    let mut names: Vec<PathBuf> =
        std::fs::read_dir("/usr/lib")?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    names.sort();
    for name in names {
        done(Command::new("cp").arg("-a").arg(name).arg(target))?;
        let size = said(Command::new("du").args(["--summarize", "--block-size=1"]).arg(target))?;
        if size
            .split_whitespace()
            .next()
            .and_then(|bytes| bytes.parse::<u64>().ok())
            .is_some_and(|bytes| bytes >= ENOUGH)
        {
            return Ok(());
        }
    }
    Err("/usr/lib has less than 1.5 GB".into())
}

/// Returns where the packages come from: the mirror that the host itself uses.
fn source() -> Result<String> {
    let format = "$(LABEL)|$(COMPONENT)|$(REPO_URI)";
    let targets = said(Command::new("apt-get").args(["indextargets", "--format", format, "Created-By: Packages"]))?;
    let mirror =
        targets.lines().find_map(|line| line.strip_prefix("Debian|main|")).ok_or("the host has no Debian mirror")?;
    Ok(format!("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {mirror} trixie main"))
}

/// Runs a command that must succeed.
pub(crate) fn done(command: &mut Command) -> Result<()> {
    said(command).map(drop)
}

/// Runs a command that must succeed, and returns what it says.
pub(crate) fn said(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
