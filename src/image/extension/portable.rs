//! A tree that portablectl(1) takes.

use std::io::Read;

use super::release::{ReleaseFile, quoted};
use crate::image::directory::carried_by_copy;
use crate::image::elf::Elf;
use crate::tree::{Content, Kind, Meta, Node, Tree, TreeError, TreePath};

/// Directories that systemd mounts something over; in a read-only image they have to be there.
const MOUNT_POINTS: [(&str, u16); 6] =
    [("/dev", 0o755), ("/proc", 0o555), ("/run", 0o755), ("/sys", 0o555), ("/tmp", 0o1777), ("/var/tmp", 0o1777)];
/// Files that systemd mounts the host's over.
const MOUNTED_FILES: [(&str, u16); 2] = [("/etc/machine-id", 0o444), ("/etc/resolv.conf", 0o644)];
/// The largest os-release file.
const TEXT_MAX: u64 = 64 * 1024;

/// A program that a unit starts and that the tree does not have whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededProgram {
    /// The program.
    pub program: String,
    /// What is missing: the program itself, or what runs it.
    pub missing: String,
}

/// A tree as it has to be for portablectl.
#[derive(Debug)]
pub struct Whole {
    /// The tree.
    pub tree: Tree,
    /// Programs that are missing.
    pub missing: Vec<NeededProgram>,
}

/// Completes `tree`: mount points, an os-release file, the prefixes of the units that may be attached. `release` is the
/// os-release of a tree that has none. `programs` are those that its units start.
///
/// # Errors
/// When something stands where a mount point has to be, or a file of the tree cannot be read.
pub fn portable<'run>(
    tree: &Tree,
    release: &ReleaseFile,
    prefixes: &[String],
    programs: impl IntoIterator<Item = &'run str>,
) -> Result<Whole, PortableError> {
    let mut tree = tree.clone();
    let epoch = tree.get(&TreePath::root()).map_or(0, |root| root.meta.mtime);
    for (path, mode) in MOUNT_POINTS {
        let path = known(path);
        if tree.lookup(&path).is_none() {
            tree.insert(path, Node { kind: Kind::directory(), meta: Meta::root_owned(mode, epoch) })?;
        }
    }
    for (path, mode) in MOUNTED_FILES {
        let path = known(path);
        // A link that leads to nothing can have nothing mounted over it.
        if tree.lookup(&path).is_none() {
            let kind = Kind::Regular(Content::inline(Vec::new()));
            tree.insert(path, Node { kind, meta: Meta::root_owned(mode, epoch) })?;
        }
    }
    add_release(&mut tree, release, prefixes, epoch)?;
    tree.complete(|_| Meta::root_owned(0o755, epoch));
    let mut missing = Vec::new();
    for program in programs {
        if let Some(what) = missing_for(&tree, program)? {
            missing.push(NeededProgram { program: program.to_owned(), missing: what });
        }
    }
    missing.dedup();
    Ok(Whole { tree, missing })
}

/// Gives directories at and below `mounts` to root where a copy of whoever copies the tree would not keep their owner and
/// mode. systemd mounts those of the host over them, with the owner and mode that the units name.
pub fn yield_mount_points(tree: &mut Tree, mounts: &[TreePath]) {
    let is_covered = |path: &TreePath| mounts.iter().any(|mount| path == mount || path.is_below(mount));
    let covered: Vec<TreePath> = tree
        .iter()
        .filter(|(path, node)| node.kind.is_directory() && is_covered(path) && !carried_by_copy(node))
        .map(|(path, _)| path.clone())
        .collect();
    for path in covered {
        if let Some(node) = tree.get_mut(&path) {
            node.meta = Meta::root_owned(0o755, node.meta.mtime);
        }
    }
}

/// A tree that cannot be made a portable service.
#[derive(Debug, thiserror::Error)]
pub enum PortableError {
    /// Something stands where something else has to.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A file of the tree cannot be read.
    #[error("cannot read `{path}` of the tree")]
    Read {
        /// The file.
        path: TreePath,
        /// Why not.
        source: std::io::Error,
    },
}

/// Makes sure that there is an os-release file and that it names the prefixes.
fn add_release(tree: &mut Tree, release: &ReleaseFile, prefixes: &[String], epoch: i64) -> Result<(), PortableError> {
    let (etc, usr) = (known("/etc/os-release"), known("/usr/lib/os-release"));
    let found = [&etc, &usr].into_iter().find_map(|path| tree.follow(path));
    let (path, mut text) = match found {
        Some(path) => {
            let text = text_of(tree, &path)?;
            (path, text)
        }
        None => (usr, release.to_string()),
    };
    if !text.lines().any(|line| line.starts_with("PORTABLE_PREFIXES=")) {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&format!("PORTABLE_PREFIXES={}\n", quoted(&prefixes.join(" "))));
    }
    let kind = Kind::Regular(Content::inline(text.into_bytes()));
    tree.insert(path, Node { kind, meta: Meta::root_owned(0o644, epoch) })?;
    if tree.lookup(&etc).is_none() {
        let kind = Kind::Symlink(b"../usr/lib/os-release".as_slice().into());
        tree.insert(etc, Node { kind, meta: Meta::root_owned(0o777, epoch) })?;
    }
    Ok(())
}

/// Returns what is missing for `program` to run; nothing when it is there with what runs it.
fn missing_for(tree: &Tree, program: &str) -> Result<Option<String>, PortableError> {
    let Ok(path) = program.parse::<TreePath>() else { return Ok(Some(program.to_owned())) };
    let Some(path) = tree.follow(&path) else { return Ok(Some(program.to_owned())) };
    let Some(Kind::Regular(content)) = tree.get(&path).map(|node| &node.kind) else {
        return Ok(Some(program.to_owned()));
    };
    let read = |source| PortableError::Read { path: path.clone(), source };
    let runner = match Elf::read(content).map_err(read)? {
        Some(elf) => elf.interpreter,
        None => script_runner(content).map_err(read)?,
    };
    let Some(runner) = runner else { return Ok(None) };
    let there = TreePath::from_absolute(&runner).is_ok_and(|runner| tree.lookup(&runner).is_some());
    Ok((!there).then(|| String::from_utf8_lossy(&runner).into_owned()))
}

/// Returns the program that a script names in its first line.
fn script_runner(content: &Content) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    content.open().map_err(std::io::Error::other)?.take(256).read_to_end(&mut line)?;
    let Some(rest) = line.strip_prefix(b"#!") else { return Ok(None) };
    let line = rest.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    Ok(words.next().map(<[u8]>::to_vec))
}

fn text_of(tree: &Tree, path: &TreePath) -> Result<String, PortableError> {
    let Some(Kind::Regular(content)) = tree.get(path).map(|node| &node.kind) else { return Ok(String::new()) };
    let mut bytes = Vec::new();
    let read = |source| PortableError::Read { path: path.clone(), source };
    if content.length > TEXT_MAX {
        return Err(read(std::io::Error::other("an os-release file is at most 64 KiB long")));
    }
    let reader = content.open().map_err(|error| read(std::io::Error::other(error)))?;
    reader.take(TEXT_MAX).read_to_end(&mut bytes).map_err(read)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns a path that this module knows to be one.
fn known(path: &str) -> TreePath {
    path.parse().expect("paths of this module are absolute and clean")
}
