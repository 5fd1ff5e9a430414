//! What images are made of: a Debian root, and the libraries of this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
pub(crate) use crate::debian::done;
use crate::debian::{bootstrap, said};

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
    bootstrap(&root, "important", "erofs-utils")?;
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
