//! From the entries of a file system to a tree.
//!
//! Comes in: paths with the nodes of an image, in the order it has them. Goes out: a [`Tree`]. Always holds: what an image
//! may take of memory and time is bounded, and a directory has one name.

use std::collections::HashMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::{ImageFault, OpenError, Section};
use crate::digest::Digest;
use crate::tree::{Content, ContentSource, ContentStore, DeviceNumber, Kind, Meta, Node, Sorted, Tree, TreePath};

/// How many paths an image may have; the largest root file systems have about a million.
const PATHS: usize = 2_000_000;
/// How many bytes all paths, extended attributes and symbolic links may take.
const METADATA: usize = 512 << 20;
/// The longest symbolic link of Linux, in bytes.
pub(super) const SYMLINK: u64 = 4095;

/// The name and the value of an extended attribute.
pub(super) type RawXattr = (Vec<u8>, Vec<u8>);

/// What an image says about one node.
#[derive(Debug)]
pub(super) struct Entry {
    /// The same for all names of a node.
    pub(super) id: u64,
    /// What it is.
    pub(super) kind: EntryKind,
    /// Permission bits.
    pub(super) mode: u16,
    /// Owner and group.
    pub(super) owner: (u32, u32),
    /// Time of last change, in seconds since 1970-01-01 UTC.
    pub(super) mtime: i64,
    /// Extended attributes as they stand in the image.
    pub(super) xattrs: Vec<RawXattr>,
}

/// What kind of thing an entry is.
#[derive(Debug)]
pub(super) enum EntryKind {
    /// A regular file with its length.
    File(u64),
    Directory,
    Symlink(Vec<u8>),
    CharacterDevice(DeviceNumber),
    BlockDevice(DeviceNumber),
    Fifo,
    Socket,
}

/// What has been read of an image so far.
pub(super) struct Assembly<'section> {
    section: &'section Section,
    tree: Tree,
    first_names: HashMap<u64, TreePath>,
    /// Files that have not been hashed yet: first name and length.
    files: Vec<(TreePath, u64, u64)>,
    metadata: usize,
    contents: u64,
    /// How many bytes all files may have, holes included.
    limit: u64,
    /// Whether a node has an SELinux label.
    labelled: bool,
}

impl<'section> Assembly<'section> {
    /// Begins with the image in `section`, whose files may have `limit` bytes.
    pub(super) fn new(section: &'section Section, limit: u64) -> Self {
        Self {
            section,
            tree: Tree::new(),
            first_names: HashMap::new(),
            files: Vec::new(),
            metadata: 0,
            contents: 0,
            limit,
            labelled: false,
        }
    }

    /// Tells whether a node is known already, and makes `path` another name of it.
    pub(super) fn link(&mut self, path: &TreePath, id: u64) -> Result<bool, OpenError> {
        let Some(first) = self.first_names.get(&id).cloned() else { return Ok(false) };
        self.count(path, 0)?;
        if self.tree.get(&first).is_some_and(|node| node.kind.is_directory()) {
            return Err(self.fault(path, ImageFault::Malformed("it is a directory with a second name")));
        }
        let linked = self.tree.link(path.clone(), &first);
        linked.map_err(|error| self.fault(path, error.into()))?;
        Ok(true)
    }

    /// Takes a node that is seen for the first time.
    pub(super) fn place(&mut self, path: TreePath, entry: Entry) -> Result<(), OpenError> {
        let mut sorted = Sorted::default();
        let mut size = 0;
        for (name, value) in &entry.xattrs {
            self.labelled |= name == b"security.selinux";
            size += name.len() + value.len();
            sorted.take(name, value).map_err(|error| self.fault(&path, error.into()))?;
        }
        if let EntryKind::Symlink(target) = &entry.kind {
            size += target.len();
        }
        self.count(&path, size)?;
        let kind = match entry.kind {
            EntryKind::File(0) if sorted.whiteout => Kind::Whiteout,
            EntryKind::File(length) => {
                self.contents = self.contents.saturating_add(length);
                if self.contents > self.limit {
                    return Err(self.fault(&path, ImageFault::Limit("bytes of files", self.limit)));
                }
                if length > 0 {
                    self.files.push((path.clone(), entry.id, length));
                }
                Kind::Regular(Content::inline([]))
            }
            EntryKind::Directory => Kind::Directory { opaque: sorted.opaque },
            EntryKind::Symlink(target) => Kind::Symlink(target.into()),
            EntryKind::CharacterDevice(DeviceNumber::WHITEOUT) => Kind::Whiteout,
            EntryKind::CharacterDevice(number) => Kind::CharacterDevice(number),
            EntryKind::BlockDevice(number) => Kind::BlockDevice(number),
            EntryKind::Fifo => Kind::Fifo,
            EntryKind::Socket => Kind::Socket,
        };
        let (uid, gid) = entry.owner;
        let meta = Meta { mode: entry.mode & 0o7777, uid, gid, mtime: entry.mtime, xattrs: sorted.xattrs };
        let node = if kind == Kind::Whiteout { Node::whiteout() } else { Node { kind, meta } };
        self.first_names.insert(entry.id, path.clone());
        let placed = self.tree.insert(path.clone(), node);
        placed.map(drop).map_err(|error| self.fault(&path, error.into()))
    }

    fn count(&mut self, path: &TreePath, size: usize) -> Result<(), OpenError> {
        self.metadata += path.as_bytes().len() + size;
        if self.tree.len() >= PATHS {
            return Err(self.fault(path, ImageFault::Limit("paths", PATHS as u64)));
        }
        if self.metadata > METADATA {
            return Err(self.fault(path, ImageFault::Limit("bytes of paths and attributes", METADATA as u64)));
        }
        Ok(())
    }

    /// Hashes every file of the image, which is `store`, and returns the tree, and whether it has SELinux labels.
    pub(super) fn finish(mut self, store: &Arc<dyn ContentStore>) -> Result<(Tree, bool), OpenError> {
        let hash = |(path, id, length): &(TreePath, u64, u64)| -> Result<Content, OpenError> {
            let hashed = store.open(*id).and_then(Digest::of_stream);
            let (digest, found) = hashed.map_err(|error| self.fault(path, error.into()))?;
            if found != *length {
                return Err(self.fault(path, ImageFault::Malformed("it is shorter or longer than its inode says")));
            }
            let source = ContentSource::Image { image: Arc::clone(store), id: *id };
            Ok(Content { digest, length: *length, source })
        };
        // Collected before the first error is picked: which one it is must not depend on threads.
        let hashed: Vec<_> = self.files.par_iter().map(hash).collect();
        for ((path, ..), content) in std::mem::take(&mut self.files).iter().zip(hashed) {
            let content = content?;
            if let Some(node) = self.tree.get_mut(path) {
                node.kind = Kind::Regular(content);
            }
        }
        Ok((self.tree, self.labelled))
    }

    /// Returns what is wrong with the image, at a path of it.
    pub(super) fn fault(&self, path: &TreePath, fault: ImageFault) -> OpenError {
        OpenError::Damaged { image: self.section.path().to_owned(), at: Some(path.clone()), fault }
    }
}
