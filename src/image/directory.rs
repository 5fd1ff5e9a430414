//! A tree as a directory of the host: what `COPY` takes its files from.
//!
//! Comes in: a tree. Goes out: files, directories, links of the host, and a listing of them. Always holds: the result
//! depends on the tree alone, not on umask, user or number of threads. What a directory of an ordinary user cannot or
//! should not hold is left out: owners, extended attributes, setuid and setgid bits (they would be live on the host),
//! devices, pipes, sockets and whiteouts.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::digest::Digest;
use crate::fs::{self, Folder, Stamp, Timestamp};
use crate::store::{self, Listing};
use crate::tree::{Content, ContentSource, Kind, Meta, Node, Tree, TreePath};

/// The latest modification time on disk: the end of what every Linux file system can hold.
const LAST_SECOND: i64 = i32::MAX as i64;
/// Bytes up to which a file is copied through memory; above, the kernel copies it.
const COPIED_IN_MEMORY: u64 = 128 * 1024;
/// Entries of one directory that one thread writes.
const SHARE: usize = 256;

/// A tree that cannot be written to a directory.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// A file of the host was changed between being read and being copied.
    #[error("`{}` was changed while it was used: render again", path.display())]
    SourceChanged {
        /// The file.
        path: PathBuf,
    },
    /// The file system refused something.
    #[error(transparent)]
    File(#[from] fs::Error),
}

/// Tells whether `COPY` of the form on disk gives the node exactly: owner and group 0, its mode, no extended attributes.
/// What it does not carry has to follow in an archive.
pub fn carried_by_copy(node: &Node) -> bool {
    let meta = &node.meta;
    let kept = match node.kind {
        Kind::Regular(_) | Kind::Directory { opaque: false } => mode_on_disk(node) == u32::from(meta.mode),
        Kind::Symlink(_) => true,
        _ => false,
    };
    kept && (meta.uid, meta.gid) == (0, 0) && meta.xattrs.is_empty()
}

/// Returns the permission bits on disk: without setuid and setgid, and readable for the owner.
fn mode_on_disk(node: &Node) -> u32 {
    match node.kind {
        Kind::Directory { .. } => u32::from(node.meta.mode) & 0o1777 | 0o500,
        Kind::Symlink(_) => 0o777,
        _ => u32::from(node.meta.mode) & 0o1777 | 0o400,
    }
}

fn seconds_on_disk(meta: &Meta) -> i64 {
    meta.mtime.clamp(0, LAST_SECOND)
}

/// The form of a tree on disk, ready to be compared with a listing or written.
#[derive(Debug)]
pub struct Layout<'tree> {
    root: Seal,
    directories: Vec<Directory<'tree>>,
}

/// A directory to be written; its path is relative to the root of the tree.
#[derive(Debug)]
struct Directory<'tree> {
    path: &'tree [u8],
    seal: Seal,
    children: Vec<Child<'tree>>,
}

/// What is set when everything in a directory is written.
#[derive(Debug, Clone, Copy)]
struct Seal {
    mode: u32,
    seconds: i64,
}

#[derive(Debug)]
struct Child<'tree> {
    form: Form<'tree>,
    expected: store::Entry,
}

#[derive(Debug, Clone, Copy)]
enum Form<'tree> {
    File(&'tree Content),
    Symlink(&'tree [u8]),
    Directory,
    /// Another name of the file at this path.
    Link(&'tree [u8]),
}

/// A directory that an earlier layout was written to, and what is certain to be in it.
#[derive(Debug, Clone, Copy)]
pub struct Old<'old> {
    /// The directory itself.
    pub root: &'old Folder,
    /// What is in it; only paths whose content is known.
    pub listing: &'old Listing,
    /// The path of the directory in the listing.
    pub prefix: &'old str,
}

impl<'tree> Layout<'tree> {
    /// Lays out `tree`, which has every directory above its paths ([`Tree::complete`]).
    pub fn of(tree: &'tree Tree) -> Self {
        let mut layout = Self { root: Seal { mode: 0o755, seconds: 0 }, directories: Vec::new() };
        let mut places: HashMap<&[u8], usize> = HashMap::new();
        let mut last = (&b""[..], 0);
        let mut groups = 0;
        for (path, node, first) in tree.links() {
            let seal = Seal { mode: mode_on_disk(node), seconds: seconds_on_disk(&node.meta) };
            let bytes = path.as_bytes();
            if let Some(name) = path.name() {
                let Some(form) = Form::of(&node.kind) else { continue };
                let above = parent(bytes);
                if last.0 != above {
                    last = (above, *places.get(above).expect("a complete tree has the directory above every path"));
                }
                let mut child = Child::new(name, form, seal, node);
                if let Some(first) = first {
                    let holder = places.get(parent(first.as_bytes())).copied().unwrap_or_default();
                    child.form = Form::Link(first.as_bytes());
                    child.expected.shared = layout.directories[holder].share(first, &mut groups);
                }
                layout.directories[last.1].children.push(child);
            } else {
                layout.root = seal;
            }
            if node.kind.is_directory() {
                places.insert(bytes, layout.directories.len());
                layout.directories.push(Directory { path: bytes, seal, children: Vec::new() });
            }
        }
        layout
    }

    /// Returns the stamp that the root is expected to have.
    pub fn root_stamp(&self) -> Stamp {
        Stamp::expected(Stamp::DIRECTORY | self.root.mode, 0, self.root.seconds)
    }

    /// Returns what is expected on disk below the root, as directories of a listing whose paths begin with `prefix`.
    pub fn listing<'layout>(
        &'layout self,
        prefix: &str,
    ) -> impl Iterator<Item = store::Directory> + use<'layout, 'tree> {
        let prefix = prefix.as_bytes().to_vec();
        self.directories.iter().map(move |directory| store::Directory {
            path: below(&prefix, directory.path),
            entries: directory.children.iter().map(|child| child.expected.clone()).collect(),
            complete: true,
        })
    }

    /// Tells whether `listing` shows exactly this layout at `prefix`, the root's own metadata included.
    pub fn is_listed(&self, listing: &Listing, prefix: &str) -> bool {
        let root = listing.get(prefix.as_bytes()).and_then(|entry| entry.stamp);
        let same_root = root.is_some_and(|stamp| stamp.same_result(&self.root_stamp()));
        same_root
            && self.directories.iter().all(|directory| {
                let listed = listing.directory(&below(prefix.as_bytes(), directory.path));
                let listed = listed.map(|listed| listed.entries.as_slice()).unwrap_or_default();
                listed.len() == directory.children.len()
                    && listed
                        .iter()
                        .zip(&directory.children)
                        .all(|(entry, child)| entry.name == child.expected.name && entry.same_result(&child.expected))
            })
    }

    /// Writes the layout to a new directory `name` in `parent`. Files that `old` has in the same form at the same path
    /// become hard links to it. A file of the host that is copied has to be the one that `inputs` lists.
    ///
    /// # Errors
    /// When something cannot be read or written, or a file is not the one that was read before; what is written stays for
    /// the caller to remove.
    pub fn write(
        &self,
        parent: &Folder,
        name: &str,
        old: Option<Old<'_>>,
        inputs: &Listing,
    ) -> Result<(), DirectoryError> {
        parent.create_folder(name.as_bytes(), 0o777)?;
        let root = parent.folder(name.as_bytes())?;
        // Also takes away a setgid bit that directories hand down to new ones.
        let mask = 0o777 & !u32::from(root.status()?.stx_mode);
        root.set_own_mode(0o700)?;
        for directory in self.directories.iter().skip(1) {
            root.create_folder(directory.path, directory.seal.mode | 0o700)?;
        }
        let writer = Writer { root: &root, old, inputs, mask };
        self.directories.par_iter().try_for_each(|directory| writer.fill(directory))?;
        for directory in self.directories.iter().filter(|directory| directory.has_links()) {
            writer.link(directory)?;
        }
        Ok(())
    }
}

impl<'tree> Form<'tree> {
    fn of(kind: &'tree Kind) -> Option<Self> {
        match kind {
            Kind::Regular(content) => Some(Self::File(content)),
            Kind::Directory { .. } => Some(Self::Directory),
            Kind::Symlink(target) => Some(Self::Symlink(target)),
            _ => None,
        }
    }
}

impl<'tree> Child<'tree> {
    fn new(name: &[u8], form: Form<'tree>, seal: Seal, node: &Node) -> Self {
        let (kind, size, digest) = match &node.kind {
            Kind::Regular(content) => (Stamp::REGULAR, content.length, Some(content.digest)),
            Kind::Symlink(target) => (Stamp::SYMLINK, target.len() as u64, Some(Digest::of(target))),
            _ => (Stamp::DIRECTORY, 0, None),
        };
        let stamp = Some(Stamp::expected(kind | seal.mode, size, seal.seconds));
        Self { form, expected: store::Entry { name: name.into(), stamp, digest, shared: 0 } }
    }

    fn stamp(&self) -> Stamp {
        self.expected.stamp.expect("a layout expects a stamp of everything in it")
    }
}

impl Directory<'_> {
    /// Returns the number of the file at `path`, which stands in this directory and has other names; a new one when none
    /// of them came before.
    fn share(&mut self, path: &TreePath, groups: &mut u32) -> u32 {
        let name = path.name().unwrap_or_default();
        let found = self.children.binary_search_by(|child| (*child.expected.name).cmp(name));
        let shared = &mut self.children[found.expect("an earlier path of the tree")].expected.shared;
        if *shared == 0 {
            *groups += 1;
            *shared = *groups;
        }
        *shared
    }

    fn has_links(&self) -> bool {
        self.children.iter().any(|child| matches!(child.form, Form::Link(_)))
    }
}

/// Fills directories that exist already, each on whatever thread comes.
struct Writer<'run> {
    root: &'run Folder,
    old: Option<Old<'run>>,
    inputs: &'run Listing,
    /// The bits that the process's umask, or a default access list of the directory, takes from new files.
    mask: u32,
}

impl Writer<'_> {
    fn fill(&self, directory: &Directory<'_>) -> Result<(), DirectoryError> {
        let folder = self.root.descend(directory.path)?;
        let old = self.old.and_then(|old| old.directory(directory.path));
        let old = old.as_ref();
        if directory.children.len() > SHARE {
            let shares = directory.children.par_chunks(SHARE);
            shares.try_for_each(|share| share.iter().try_for_each(|child| self.place(&folder, child, old)))?;
        } else {
            directory.children.iter().try_for_each(|child| self.place(&folder, child, old))?;
        }
        if directory.has_links() { Ok(()) } else { Ok(self.seal(&folder, directory.seal)?) }
    }

    /// Gives a directory that nothing more is written to its final mode and time.
    fn seal(&self, folder: &Folder, seal: Seal) -> fs::Result<()> {
        // The root was made with another mode.
        if folder.path() == self.root.path() || (seal.mode | 0o700) & !self.mask != seal.mode {
            folder.set_own_mode(seal.mode)?;
        }
        folder.set_own_time(Timestamp::from_seconds(seal.seconds))
    }

    fn place(&self, folder: &Folder, child: &Child<'_>, old: Option<&OldDirectory<'_>>) -> Result<(), DirectoryError> {
        if matches!(child.form, Form::Directory | Form::Link(_)) || old.is_some_and(|old| old.link(child, folder)) {
            return Ok(());
        }
        let name = &*child.expected.name;
        let stamp = child.stamp();
        match child.form {
            Form::File(content) => {
                let mode = stamp.mode & 0o7777;
                let mut file = folder.create_file(name, mode)?;
                self.copy(&mut file, content, || folder.path_of(name))?;
                let sealed = if mode & self.mask == 0 { Ok(()) } else { fs::set_file_mode(&file, mode) };
                let sealed = sealed.and_then(|()| fs::set_file_time(&file, stamp.modified));
                Ok(sealed.map_err(|source| fs::Error { action: "write", path: folder.path_of(name), source })?)
            }
            Form::Symlink(target) => {
                folder.create_symlink(name, target)?;
                Ok(folder.set_time(name, stamp.modified)?)
            }
            Form::Directory | Form::Link(_) => Ok(()),
        }
    }

    /// Writes the bytes of `content` to an empty file.
    fn copy(&self, file: &mut File, content: &Content, path: impl Fn() -> PathBuf) -> Result<(), DirectoryError> {
        let failed = |source| fs::Error { action: "write", path: path(), source };
        let (source, offset) = match &content.source {
            ContentSource::Inline(bytes) => return Ok(file.write_all(bytes).map_err(failed)?),
            ContentSource::File(source) | ContentSource::Stamped { file: source, .. } => (source, 0),
            ContentSource::Slice { file: source, offset } => (source, *offset),
            ContentSource::Image { .. } => {
                io::copy(&mut content.open()?, file).map_err(failed)?;
                return Ok(());
            }
        };
        let from = fs::open(source)?;
        if content.length <= COPIED_IN_MEMORY || !copy_in_kernel(file, &from, offset, content.length) {
            copy_in_memory(file, &from, offset, content.length, source).map_err(failed)?;
        }
        // Looked at last: what changes from here on was not copied.
        let absolute = std::path::absolute(source).map_err(fs::Error::on("find", &**source))?;
        let read = self.inputs.get(absolute.as_os_str().as_bytes()).and_then(|entry| entry.stamp);
        let read = read.filter(|stamp| stamp.kind() == Stamp::REGULAR);
        if read.is_some_and(|read| Stamp::of_file(&from, source).is_ok_and(|now| now != read)) {
            return Err(DirectoryError::SourceChanged { path: source.to_path_buf() });
        }
        Ok(())
    }

    /// Adds the hard links of a directory, when the files that they link to are there.
    fn link(&self, directory: &Directory<'_>) -> fs::Result<()> {
        let folder = self.root.descend(directory.path)?;
        for child in &directory.children {
            if let Form::Link(first) = child.form {
                self.root.link(first, &folder, &child.expected.name)?;
            }
        }
        self.seal(&folder, directory.seal)
    }
}

/// One directory of an earlier layout.
struct OldDirectory<'old> {
    folder: Folder,
    listed: &'old store::Directory,
}

impl<'old> Old<'old> {
    fn directory(&self, path: &[u8]) -> Option<OldDirectory<'old>> {
        let listed = self.listing.directory(&below(self.prefix.as_bytes(), path))?;
        // One that is gone has nothing to link to: its files are written anew.
        Some(OldDirectory { folder: self.root.descend(path).ok()?, listed })
    }
}

impl OldDirectory<'_> {
    /// Makes `child` a hard link to the same file here. What cannot be linked, for whatever reason, is written anew.
    fn link(&self, child: &Child<'_>, folder: &Folder) -> bool {
        // The number of its group says the same as well: two files that were one before cannot both match.
        let same = |entry: &&store::Entry| entry.same_result(&child.expected);
        let entry = self.listed.get(&child.expected.name).filter(same);
        entry.is_some_and(|entry| self.folder.link(&entry.name, folder, &entry.name).is_ok())
    }
}

fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|&byte| byte == b'/').map_or(b"", |slash| &path[..slash])
}

fn below(prefix: &[u8], path: &[u8]) -> Box<[u8]> {
    if path.is_empty() { prefix.into() } else { [prefix, path].join(&b'/').into() }
}

/// Copies bytes without taking them through this process; tells whether it did, which not every file system can. The
/// file's position stays, so that a copy in memory can follow.
fn copy_in_kernel(file: &File, source: &File, offset: u64, length: u64) -> bool {
    let (mut from, mut to) = (offset, 0);
    while to < length {
        let left = usize::try_from(length - to).unwrap_or(usize::MAX);
        match rustix::fs::copy_file_range(source, Some(&mut from), file, Some(&mut to), left) {
            Ok(0) => return false,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
    true
}

fn copy_in_memory(file: &mut File, source: &File, offset: u64, length: u64, path: &Path) -> io::Result<()> {
    let mut buffer = vec![0; usize::try_from(length.min(COPIED_IN_MEMORY)).unwrap_or_default()];
    let mut done = 0;
    while done < length {
        let piece = &mut buffer[..(length - done).min(COPIED_IN_MEMORY) as usize];
        source.read_exact_at(piece, offset + done).map_err(|error| {
            io::Error::new(error.kind(), format!("`{}`, which it is copied from: {error}", path.display()))
        })?;
        file.write_all(piece)?;
        done += piece.len() as u64;
    }
    Ok(())
}
