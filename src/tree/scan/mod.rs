//! A directory of the host as a tree.
//!
//! Comes in: a directory. Goes out: its [`Tree`] with itself as the root: owners, modes, times, extended attributes,
//! hard links, devices and overlayfs whiteouts as they are. Always holds: no symbolic link below the directory is
//! followed; file content is hashed, not kept; the result and the error do not depend on the order of anything on disk.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use rustix::fs::{CWD, Mode, OFlags};

use super::node::digest_slice;
use super::xattrs::{Incomplete, Sorted, is_foreign};
use super::{Content, ContentSource, DeviceNumber, InvalidPath, Kind, Meta, Node, Tree, TreePath};
use crate::digest::Digest;
use crate::fs::{self, Stamp, Timestamp};

/// The most bytes that Linux gives for the names of a file's extended attributes, or for one value (xattr(7)).
const XATTR_MAX: usize = 64 * 1024;
/// Room for names or a value that is enough nearly always.
const XATTR_USUAL: usize = 512;

/// A directory that cannot be taken as a tree.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// Something in it cannot be read.
    #[error(transparent)]
    Fs(#[from] fs::Error),
    /// A path in it is too long for a tree.
    #[error("cannot take `{}` into a tree", directory.display())]
    Path {
        /// The directory it stands in.
        directory: PathBuf,
        /// What is wrong with the path.
        #[source]
        source: InvalidPath,
    },
    /// Part of something in it lies in a lower layer of an overlay mount.
    #[error("cannot take `{}` into a tree", path.display())]
    Incomplete {
        /// Its path on the host.
        path: PathBuf,
        /// How that is known.
        #[source]
        source: Incomplete,
    },
    /// A file was written or exchanged while it was read.
    #[error("`{}` changed while it was read: try again when nothing writes to it", path.display())]
    Changed {
        /// Its path on the host.
        path: PathBuf,
    },
}

/// Returns what stands in `directory`; a symbolic link given as `directory` itself is followed.
///
/// Extended attributes that belong to the machine, such as `security.selinux`, are left out. A character device with the
/// number 0:0 is a whiteout, and a directory with the overlayfs attribute `opaque` is opaque, as in the upper directory
/// of an overlay mount.
///
/// # Errors
/// When something cannot be read or changes meanwhile; of several errors always the same one.
pub fn scan(directory: &Path) -> Result<Tree, ScanError> {
    scan_remembering(directory, &Nothing)
}

/// What is known of files from an earlier time, by their stamps.
pub trait Memory: Sync {
    /// Returns the digest of the file at `host` when that is known for this stamp.
    fn recall(&self, host: &Path, stamp: &Stamp) -> Option<Digest>;
    /// Takes the digest of the file that was read at `host` and had this stamp before and afterwards.
    fn learn(&self, host: &Path, stamp: &Stamp, digest: Digest);
}

/// Knows nothing.
struct Nothing;

impl Memory for Nothing {
    fn recall(&self, _: &Path, _: &Stamp) -> Option<Digest> {
        None
    }

    fn learn(&self, _: &Path, _: &Stamp, _: Digest) {}
}

/// Does what [`scan`] does, but reads no file whose digest `memory` knows.
///
/// # Errors
/// As [`scan`].
pub fn scan_remembering(directory: &Path, memory: &dyn Memory) -> Result<Tree, ScanError> {
    let settled = Timestamp::settled();
    let found = walk(directory)?;
    let mut first_names: HashMap<(u64, u64), usize> = HashMap::new();
    let first_name = |(index, found): (usize, &Found)| {
        let linked = found.stat.nlink() > 1 && !found.stat.is_dir();
        if linked { *first_names.entry((found.stat.dev(), found.stat.ino())).or_insert(index) } else { index }
    };
    let first_names: Vec<usize> = found.iter().enumerate().map(first_name).collect();
    let nodes: Vec<Option<Result<Node, ScanError>>> = found
        .par_iter()
        .enumerate()
        .map(|(index, found)| {
            (first_names[index] == index).then(|| read_node(&found.host, &found.stat, (settled, memory)))
        })
        .collect();
    let mut tree = Tree::new();
    for ((found_here, node), first) in found.iter().zip(nodes).zip(first_names) {
        let path = found_here.path.clone();
        match node {
            Some(node) => drop(tree.insert(path, node?).expect("only directories are walked into")),
            None => tree.link(path, &found[first].path).expect("a hard link comes after the first name"),
        }
    }
    Ok(tree)
}

/// One path that was found.
struct Found {
    path: TreePath,
    host: PathBuf,
    stat: Metadata,
}

/// Returns everything in `directory` and itself, sorted by path, not looking into files yet.
fn walk(directory: &Path) -> Result<Vec<Found>, ScanError> {
    fs::list(directory)?;
    // The dot follows a symbolic link that is given as the directory itself.
    let root = Found { path: TreePath::root(), host: directory.to_owned(), stat: fs::lstat(&directory.join("."))? };
    let mut all = Vec::new();
    // Level by level and not by recursion: a hostile depth costs memory, not stack.
    let mut level = vec![root];
    while !level.is_empty() {
        let directories = level.par_iter().filter(|found| found.stat.is_dir());
        let below: Vec<Result<Vec<Found>, ScanError>> = directories.map(list).collect();
        all.append(&mut level);
        for found in below {
            level.extend(found?);
        }
    }
    all.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(all)
}

fn list(directory: &Found) -> Result<Vec<Found>, ScanError> {
    let entry = |name: std::ffi::OsString| {
        let path = directory.path.join(name.as_bytes());
        let path = path.map_err(|source| ScanError::Path { directory: directory.host.clone(), source })?;
        let host = directory.host.join(name);
        let stat = fs::lstat(&host)?;
        Ok(Found { path, host, stat })
    };
    fs::list(&directory.host)?.into_iter().map(entry).collect()
}

fn read_node(host: &Path, stat: &Metadata, trust: (Timestamp, &dyn Memory)) -> Result<Node, ScanError> {
    let sorted = read_xattrs(host)?;
    let number = DeviceNumber { major: rustix::fs::major(stat.rdev()), minor: rustix::fs::minor(stat.rdev()) };
    let kind = stat.file_type();
    let kind = if kind.is_file() && !(sorted.whiteout && stat.len() == 0) {
        Kind::Regular(read_content(host, stat, trust)?)
    } else if kind.is_dir() {
        Kind::Directory { opaque: sorted.opaque }
    } else if kind.is_symlink() {
        let target = rustix::fs::readlinkat(CWD, host, Vec::new()).map_err(fs::Error::on("read the link", host))?;
        Kind::Symlink(target.into_bytes().into())
    } else if kind.is_fifo() {
        Kind::Fifo
    } else if kind.is_socket() {
        Kind::Socket
    } else if kind.is_block_device() {
        Kind::BlockDevice(number)
    } else if kind.is_char_device() && number != DeviceNumber::WHITEOUT {
        Kind::CharacterDevice(number)
    } else {
        return Ok(Node::whiteout());
    };
    let mode = u16::try_from(stat.mode() & 0o7777).expect("twelve bits fit into sixteen");
    let meta = Meta { mode, uid: stat.uid(), gid: stat.gid(), mtime: stat.mtime(), xattrs: sorted.xattrs };
    Ok(Node { kind, meta })
}

/// Hashes the file that `stat` is of: not what a symbolic link points to that has taken its place, nor a mixture of
/// what was there before and after a write. When it was last changed before `settled`, its stamp tells from now on whether
/// it is still the same. One that `memory` knows is not even opened.
fn read_content(
    host: &Path,
    stat: &Metadata,
    (settled, memory): (Timestamp, &dyn Memory),
) -> Result<Content, ScanError> {
    let content = |digest, stamp: Stamp| {
        let file = Arc::from(host);
        let trusted = stamp.changed < settled;
        let source = if trusted { ContentSource::Stamped { file, stamp } } else { ContentSource::File(file) };
        Content { digest, length: stamp.size, source }
    };
    let before = Stamp::from(stat);
    if let Some(digest) = memory.recall(host, &before) {
        return Ok(content(digest, before));
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(host, flags, Mode::empty()).map(File::from);
    let file = file.map_err(fs::Error::on("open", host))?;
    let length = stat.len();
    let digest = digest_slice(&file, 0, length);
    let after = file.metadata().map_err(fs::Error::on("look at", host))?;
    let version = |stat: &Metadata| (stat.dev(), stat.ino(), stat.len(), stat.mtime(), stat.mtime_nsec());
    if version(&after) != version(stat) {
        return Err(ScanError::Changed { path: host.to_owned() });
    }
    let digest = digest.map_err(fs::Error::on("read", host))?;
    let stamp = Stamp::from(&after);
    if stamp == before {
        memory.learn(host, &stamp, digest);
    }
    Ok(content(digest, stamp))
}

fn read_xattrs(host: &Path) -> Result<Sorted, ScanError> {
    let fail = || fs::Error::on::<io::Error>("read the extended attributes of", host);
    let names = match with_room(|buffer| rustix::fs::llistxattr(host, buffer)) {
        Ok(names) => names,
        Err(rustix::io::Errno::OPNOTSUPP) => Vec::new(),
        Err(error) => return Err(fail()(error.into()).into()),
    };
    let mut sorted = Sorted::default();
    for name in names.split(|&byte| byte == 0).filter(|name| !name.is_empty() && !is_foreign(name)) {
        let value = with_room(|buffer| rustix::fs::lgetxattr(host, name, buffer));
        let value = value.map_err(|error| fail()(error.into()))?;
        let incomplete = |source| ScanError::Incomplete { path: host.to_owned(), source };
        sorted.take(name, &value).map_err(incomplete)?;
    }
    Ok(sorted)
}

/// Calls `read` with a buffer of the usual size, and again with the largest when that is too small.
fn with_room(read: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut usual = [0; XATTR_USUAL];
    match read(&mut usual) {
        Ok(length) => Ok(usual[..length].to_vec()),
        Err(rustix::io::Errno::RANGE) => {
            let mut largest = vec![0; XATTR_MAX];
            let length = read(&mut largest)?;
            largest.truncate(length);
            Ok(largest)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
