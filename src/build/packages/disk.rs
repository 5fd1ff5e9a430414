//! A tree as a folder that scripts can run in, and the folder as a tree again.
//!
//! Comes in: a tree; afterwards the folder, and the facts that a sandbox returned. Goes out: the tree as it is then. Always
//! holds: on disk everything belongs to the caller; what a disk of the caller cannot hold is a fact; a file is read again
//! only when its stamp is another one.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use rustix::fs::{CWD, Mode};

use super::PackagesError;
use crate::fs::{self, Folder, Stamp, Timestamp};
use crate::sandbox::{Device, Fact};
use crate::tree::{Content, ContentSource, DeviceNumber, Kind, Meta, Node, Tree, TreePath};

/// Entries of one directory that one thread writes.
const SHARE: usize = 128;
/// Bytes up to which a file is copied through memory; above, the kernel copies it.
const COPIED_IN_MEMORY: u64 = 128 * 1024;

/// A tree that was written to a folder.
#[derive(Debug)]
pub(super) struct Written {
    /// What stands at each path that is no directory.
    stamps: HashMap<TreePath, Stamp>,
    /// When everything was written, by the clock of the file system.
    since: Timestamp,
}

/// Returns what of a tree a folder of the caller cannot hold.
pub(super) fn facts(tree: &Tree) -> Vec<Fact> {
    let special = |node: &Node| {
        let meta = &node.meta;
        let device = device(&node.kind);
        let unreadable = meta.mode != mode_on_disk(node) && !matches!(node.kind, Kind::Symlink(_));
        (meta.uid != 0 || meta.gid != 0 || device.is_some() || unreadable || !meta.xattrs.is_empty()).then_some(device)
    };
    let fact = |(path, node): (&TreePath, &Node)| {
        let device = special(node)?;
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        let xattrs = node.meta.xattrs.iter().filter(|(name, _)| is_fact(name));
        let xattrs = xattrs.map(|(name, value)| (text(name), value.to_vec()));
        let Meta { mode, uid, gid, .. } = node.meta;
        Some(Fact { path: path.clone(), mode, uid, gid, device, xattrs: xattrs.collect() })
    };
    tree.iter().filter_map(fact).collect()
}

/// Tells whether a sandbox knows of an extended attribute; no script looks at others.
fn is_fact(name: &[u8]) -> bool {
    name == b"security.capability" || name.starts_with(b"system.posix_acl_")
}

fn device(kind: &Kind) -> Option<Device> {
    match kind {
        Kind::CharacterDevice(number) => Some(Device { block: false, major: number.major, minor: number.minor }),
        Kind::BlockDevice(number) => Some(Device { block: true, major: number.major, minor: number.minor }),
        _ => None,
    }
}

/// Returns the permission bits on disk: those that the caller needs are there.
fn mode_on_disk(node: &Node) -> u16 {
    node.meta.mode | if node.kind.is_directory() { 0o700 } else { 0o400 }
}

/// Writes `tree`, which has every directory above its paths, to the folder `root`, which must not exist.
pub(super) fn write(tree: &Tree, root: &Path) -> fs::Result<Written> {
    let mut directories: Vec<(&TreePath, &Node)> = Vec::new();
    let mut children: HashMap<&[u8], Vec<(&TreePath, &Node)>> = HashMap::new();
    let mut links = Vec::new();
    for (path, node, first) in tree.links() {
        match (first, path.above().next()) {
            (Some(first), _) => links.push((path, first)),
            _ if node.kind.is_directory() => directories.push((path, node)),
            (None, above) => children.entry(above.unwrap_or_default()).or_default().push((path, node)),
        }
    }
    for (path, _) in &directories {
        rustix::fs::mkdir(root.join(path.as_path()), Mode::RWXU)
            .map_err(fs::Error::on("create", root.join(path.as_path())))?;
    }
    let shares: Vec<_> = directories
        .iter()
        .filter_map(|(path, _)| Some((*path, children.remove(path.as_bytes())?)))
        .flat_map(|(path, mut entries)| {
            // Those of one package lie beside each other in its pack.
            entries.sort_by(|(_, one), (_, other)| place(one).cmp(&place(other)));
            let shares: Vec<_> = entries.chunks(SHARE).map(<[_]>::to_vec).collect();
            shares.into_iter().map(move |share| (path, share))
        })
        .collect();
    let stamps: fs::Result<Vec<Vec<(TreePath, Stamp)>>> =
        shares.into_par_iter().map(|(path, share)| write_share(&root.join(path.as_path()), &share)).collect();
    let mut stamps: HashMap<TreePath, Stamp> = stamps?.into_iter().flatten().collect();
    for (path, first) in links {
        let (from, to) = (root.join(first.as_path()), root.join(path.as_path()));
        rustix::fs::linkat(CWD, &from, CWD, &to, rustix::fs::AtFlags::empty())
            .map_err(fs::Error::on("create", &*to))?;
        let stamp = Stamp::of(&to)?;
        stamps.insert(first.clone(), stamp);
        stamps.insert(path.clone(), stamp);
    }
    // What is in a directory changes its time: it is set last, from within to without.
    let mut since = Timestamp::NEVER;
    for (path, node) in directories.into_iter().rev() {
        let folder = Folder::open(&root.join(path.as_path()))?;
        folder.set_own_mode(u32::from(mode_on_disk(node)))?;
        folder.set_own_time(Timestamp::from_seconds(node.meta.mtime))?;
        since = folder.status().map(Stamp::from)?.changed;
    }
    Ok(Written { stamps, since })
}

fn place(node: &Node) -> (Option<&Path>, u64) {
    match &node.kind {
        Kind::Regular(Content { source: ContentSource::Slice { file, offset }, .. }) => (Some(file), *offset),
        _ => (None, 0),
    }
}

fn write_share(directory: &Path, share: &[(&TreePath, &Node)]) -> fs::Result<Vec<(TreePath, Stamp)>> {
    let folder = Folder::open(directory)?;
    let mut source = Source { open: None, buffer: Vec::new() };
    let mut stamps = Vec::with_capacity(share.len());
    for (path, node) in share {
        let name = path.name().unwrap_or_default();
        match &node.kind {
            Kind::Regular(content) => {
                let file = folder.create_file(name, 0o600)?;
                let at = folder.path_of(name);
                source.copy(content, &file, &at)?;
                let mode = u32::from(mode_on_disk(node));
                fs::set_file_mode(&file, mode).map_err(fs::Error::on("set the mode of", &*at))?;
                let time = Timestamp::from_seconds(node.meta.mtime);
                fs::set_file_time(&file, time).map_err(fs::Error::on("set the time of", &*at))?;
                stamps.push(((*path).clone(), Stamp::of_file(&file, &at)?));
                continue;
            }
            Kind::Symlink(target) => folder.create_symlink(name, target)?,
            Kind::Fifo => {
                let mode = Mode::from_raw_mode(u32::from(node.meta.mode));
                rustix::fs::mknodat(&folder, name, rustix::fs::FileType::Fifo, mode, 0)
                    .map_err(fs::Error::on("create", folder.path_of(name)))?;
                folder.set_mode(name, u32::from(mode_on_disk(node)))?;
            }
            // A sandbox puts an empty file there for a device; packages have nothing else.
            _ => continue,
        }
        if let Some(stamp) = folder.stamp(name)? {
            stamps.push(((*path).clone(), stamp));
        }
    }
    Ok(stamps)
}

/// Copies contents; packs stay open between files.
struct Source {
    open: Option<(Arc<Path>, File)>,
    buffer: Vec<u8>,
}

impl Source {
    fn copy(&mut self, content: &Content, target: &File, at: &Path) -> fs::Result<()> {
        if let ContentSource::Slice { file, offset } = &content.source
            && content.length <= COPIED_IN_MEMORY
        {
            if self.open.as_ref().is_none_or(|(path, _)| path != file) {
                self.open = Some((file.clone(), fs::open(file)?));
            }
            if let Some((path, pack)) = &self.open {
                self.buffer.resize(content.length as usize, 0);
                pack.read_exact_at(&mut self.buffer, *offset).map_err(fs::Error::on("read", &**path))?;
                return (&*target).write_all(&self.buffer).map_err(fs::Error::on("write", at));
            }
        }
        let mut reader = content.open()?;
        let copied = reader.copy_in_kernel(target, 0, content.length);
        let rest = io::copy(&mut reader.take(content.length - copied), &mut OffsetWriter { file: target, at: copied });
        rest.map(drop).map_err(fs::Error::on("write", at))
    }
}

/// Writes from a place in a file on.
struct OffsetWriter<'file> {
    file: &'file File,
    at: u64,
}

impl Write for OffsetWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write_at(bytes, self.at)?;
        self.at += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One path that is there after the scripts.
struct Found {
    path: TreePath,
    stamp: Stamp,
}

/// Reads the folder `root` after scripts have run in it. What they made has the time `epoch`.
pub(super) fn read(root: &Path, before: (&Tree, &Written), facts: &[Fact], epoch: i64) -> Result<Tree, PackagesError> {
    let (tree, written) = before;
    let facts: HashMap<&TreePath, &Fact> = facts.iter().map(|fact| (&fact.path, fact)).collect();
    let found = walk(root)?;
    // Changed in the moment when writing ended, or later: it may have been changed once more without being seen.
    let trusted = written.since.before(20);
    let kinds: Vec<Result<Option<Kind>, PackagesError>> = found
        .par_iter()
        .map(|found| {
            let same = written.stamps.get(&found.path) == Some(&found.stamp) && found.stamp.changed < trusted;
            let known = tree.get(&found.path).filter(|_| same);
            match known {
                Some(node) => Ok(Some(node.kind.clone())),
                None => kind(root, found, facts.get(&found.path).copied(), tree.get(&found.path)),
            }
        })
        .collect();
    let mut read = Tree::new();
    let mut first: HashMap<u64, &TreePath> = HashMap::new();
    for (found, kind) in found.iter().zip(kinds) {
        // What is neither file nor link nor fifo is of a program that has ended.
        let Some(kind) = kind? else { continue };
        if !kind.is_directory()
            && let Some(known) = first.get(&found.stamp.inode)
        {
            read.link(found.path.clone(), known)?;
            continue;
        }
        let meta = meta(found, facts.get(&found.path).copied(), written, tree.get(&found.path), epoch);
        first.insert(found.stamp.inode, &found.path);
        read.insert(found.path.clone(), Node { kind, meta })?;
    }
    Ok(read)
}

fn meta(found: &Found, fact: Option<&Fact>, written: &Written, before: Option<&Node>, epoch: i64) -> Meta {
    let link = found.stamp.kind() == Stamp::SYMLINK;
    let same = written.stamps.get(&found.path) == Some(&found.stamp);
    let mtime = match before {
        // Links have no time of their own on disk.
        Some(node) if link && same => node.meta.mtime,
        _ if found.stamp.modified < written.since.before(20) => found.stamp.modified.seconds,
        _ => epoch,
    };
    let mode = u16::try_from(found.stamp.mode & 0o7777).unwrap_or_default();
    let mut meta = Meta::root_owned(if link { 0o777 } else { mode }, mtime);
    let file = written.stamps.get(&found.path).is_some_and(|stamp| stamp.inode == found.stamp.inode);
    if let Some(before) = before.filter(|_| file) {
        // They were never on disk.
        meta.xattrs = before.meta.xattrs.clone();
        meta.xattrs.retain(|name, _| !is_fact(name));
    }
    if let Some(fact) = fact {
        (meta.uid, meta.gid) = (fact.uid, fact.gid);
        if !link {
            meta.mode = fact.mode;
        }
        let xattrs = fact.xattrs.iter();
        meta.xattrs.extend(xattrs.map(|(name, value)| (name.as_bytes().into(), value.as_slice().into())));
    }
    meta
}

/// Returns what stands at a path that is not known any more; nothing when it has no place in a tree.
fn kind(root: &Path, found: &Found, fact: Option<&Fact>, before: Option<&Node>) -> Result<Option<Kind>, PackagesError> {
    if let Some(device) = fact.and_then(|fact| fact.device) {
        let number = DeviceNumber { major: device.major, minor: device.minor };
        return Ok(Some(if device.block { Kind::BlockDevice(number) } else { Kind::CharacterDevice(number) }));
    }
    let at = root.join(found.path.as_path());
    Ok(match found.stamp.kind() {
        Stamp::DIRECTORY => Some(Kind::directory()),
        Stamp::SYMLINK => {
            let target = rustix::fs::readlinkat(CWD, &at, Vec::new()).map_err(fs::Error::on("read the link", &*at))?;
            Some(Kind::Symlink(target.into_bytes().into()))
        }
        Stamp::REGULAR => {
            let content = Content::of_file(at.as_path().into())?;
            let same = before.and_then(|node| match &node.kind {
                Kind::Regular(known) if *known == content => Some(known.clone()),
                _ => None,
            });
            Some(Kind::Regular(same.unwrap_or(content)))
        }
        kind if kind == libc::S_IFIFO => Some(Kind::Fifo),
        _ => None,
    })
}

/// Returns everything in `root` and itself, sorted by path.
fn walk(root: &Path) -> Result<Vec<Found>, PackagesError> {
    let mut all = vec![Found { path: TreePath::root(), stamp: Stamp::of(root)? }];
    // Level by level and not by recursion: a hostile depth costs memory, not stack.
    let mut level = vec![TreePath::root()];
    while !level.is_empty() {
        let below: Vec<Result<Vec<Found>, PackagesError>> =
            level.par_iter().map(|directory| list(root, directory)).collect();
        level.clear();
        for found in below {
            let found = found?;
            level.extend(found.iter().filter(|one| one.stamp.is_directory()).map(|one| one.path.clone()));
            all.extend(found);
        }
    }
    all.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(all)
}

fn list(root: &Path, directory: &TreePath) -> Result<Vec<Found>, PackagesError> {
    let folder = Folder::open(&root.join(directory.as_path()))?;
    let mut found = Vec::new();
    for (name, _) in folder.children()? {
        if let Some(stamp) = folder.stamp(&name)? {
            found.push(Found { path: directory.join(&name)?, stamp });
        }
    }
    Ok(found)
}
