//! A tar archive as a tree.
//!
//! Comes in: an archive as GNU tar, libarchive and container engines write it, plain or compressed with gzip, zstd or xz.
//! Goes out: its [`Tree`], whose file contents are slices of the plain archive. Always holds: no path and no hard link
//! leaves the tree; what an archive may take of memory and disk is bounded; whatever is not understood is an error that
//! names archive, member and byte, never a guess.
//!
//! Formats: ustar and pax (POSIX.1-2017, pax), GNU long names, base-256 numbers and sparse files, the extended
//! attributes of star (`SCHILY.xattr.`) and libarchive, OCI whiteouts (image-spec, layer.md).

mod extended;
mod header;
mod member;
mod sparse;
mod stream;
mod unpacked;

pub use self::unpacked::may_be_archive;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use self::member::{Data, Item, Member, read_members};
pub use self::stream::{StreamItem, StreamMember, TarStream};
use super::xattrs::Incomplete;
use super::{Content, ContentSource, InvalidPath, Kind, Meta, Node, Tree, TreeError, TreePath, node};
use crate::fs;

/// How much of everything an archive may have: it comes from outside, and a small one can claim anything.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Members.
    members: u64,
    /// Bytes that a compressed archive decompresses to, and bytes of all sparse files with their holes.
    unpacked: u64,
    /// Bytes of one extended header or long name.
    extended: u64,
    /// Bytes of all of them, most of which are kept in memory.
    extended_total: u64,
    /// Parts of one sparse file that are no holes.
    extents: u64,
    /// Whether the end of the file after a whole member is the end of the archive, too.
    open_end: bool,
}

/// The largest container images have some ten GiB and a million files, each of which costs some hundred bytes of memory. One
/// extended header holds a path of 4 KiB and sixteen attributes of 64 KiB; usual are 256 bytes for each member. Half a
/// million extents are a file of 4 GiB in which every other block of 4 KiB is a hole.
const LIMITS: Limits = Limits {
    members: 2_000_000,
    unpacked: 64 << 30,
    extended: 1 << 20,
    extended_total: 512 << 20,
    extents: 512 * 1024,
    open_end: false,
};

/// The characters of a hostile name that a message shows.
const SHOWN_NAME: usize = 200;

/// An archive that cannot be taken as a tree.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// A file cannot be read or written.
    #[error(transparent)]
    Fs(#[from] fs::Error),
    /// The archive is compressed in a way that is not supported.
    #[error("cannot read `{}`: it is a {name} file; expected tar, plain or compressed with gzip, zstd or xz", archive.display())]
    Compression {
        /// The archive.
        archive: PathBuf,
        /// How it is compressed.
        name: &'static str,
    },
    /// The archive cannot be decompressed.
    #[error("cannot decompress `{}`", archive.display())]
    Damaged {
        /// The archive.
        archive: PathBuf,
        /// What the decoder says.
        #[source]
        source: std::io::Error,
    },
    /// The archive decompresses to more than is allowed.
    #[error("cannot decompress `{}`: more than {limit} bytes come out", archive.display())]
    TooLarge {
        /// The archive.
        archive: PathBuf,
        /// The bytes that are allowed.
        limit: u64,
    },
    /// A member cannot be taken.
    #[error("cannot take {} at byte {offset} of `{}`{}", words(member), archive.display(), if *compressed { ", decompressed" } else { "" })]
    Member {
        /// The archive.
        archive: PathBuf,
        /// Whether the offset counts in the decompressed archive.
        compressed: bool,
        /// The name of the member, as far as it is known.
        member: String,
        /// Where its first header begins.
        offset: u64,
        /// What is wrong with it.
        #[source]
        fault: TarFault,
    },
}

/// Names a member in a message, also one that has no name, or none that could be read.
fn words(member: &str) -> String {
    if member.is_empty() { "the member".into() } else { format!("`{member}`") }
}

/// What is wrong with a member.
#[derive(Debug, thiserror::Error)]
pub enum TarFault {
    /// The checksum does not fit the header.
    #[error("its header checksum is wrong: the file is damaged or no tar archive")]
    Checksum,
    /// The archive ends too early.
    #[error("the archive ends at byte {length}, but byte {needed} is needed: the file is cut short")]
    Truncated {
        /// The end that would be needed, in bytes.
        needed: u64,
        /// The end of the archive, in bytes.
        length: u64,
    },
    /// A part of it is not written as the format says.
    #[error("{0}")]
    Malformed(&'static str),
    /// Its type is unknown.
    #[error("its type flag `{}` is not supported", .0.escape_ascii())]
    Type(u8),
    /// It has something that trees do not take.
    #[error("it has {0}, which is not supported")]
    Unsupported(&'static str),
    /// There is too much of something.
    #[error("there are more {0} than {1}, the most that is taken")]
    Limit(&'static str, u64),
    /// Its name or the target of its hard link is no path of a tree.
    #[error(transparent)]
    Path(#[from] InvalidPath),
    /// Its path cannot stand in the tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Part of it lies in a lower layer of an overlay mount.
    #[error(transparent)]
    Incomplete(#[from] Incomplete),
    /// Reading failed.
    #[error("it cannot be read")]
    Read(#[from] std::io::Error),
}

/// Reads the archive at `archive`. The directory `unpacked` takes what does not stand in the archive byte by byte: the
/// decompressed copy of a compressed archive (`DIGEST.tar`, named by the compressed file and found again next time) and
/// sparse files in full (`DIGEST.expanded`, named by their own bytes). It is created when it is needed; the
/// files must stay as long as the tree is used.
///
/// Of several members with one path the last counts. A `.wh.NAME` becomes a whiteout, unless `NAME` itself is in the
/// archive: then a directory is opaque, and a file simply replaces. `.wh..wh..opq` makes its directory opaque. Overlayfs
/// whiteouts (character devices 0:0) and opaque attributes are understood too. Leading slashes of names are dropped;
/// owners are taken by number.
///
/// # Errors
/// When the archive cannot be read, is damaged or cut short, or has a member that no tree can hold.
pub fn read_tar(archive: &Path, unpacked: &Path) -> Result<Tree, TarError> {
    read_within(archive, unpacked, LIMITS)
}

/// Reads an archive as [`read_tar`] does, of which at most `limit` bytes may be unpacked: what a compressed one holds, and
/// what sparse files are in full.
/// Programs leave out the two empty blocks that end an archive (umoci does): an archive that is known by its digest is whole
/// where it ends.
///
/// # Errors
/// As [`read_tar`], and when there is more.
pub fn read_tar_within(archive: &Path, unpacked: &Path, limit: u64) -> Result<Tree, TarError> {
    read_within(archive, unpacked, Limits { unpacked: limit.min(LIMITS.unpacked), open_end: true, ..LIMITS })
}

fn read_within(archive: &Path, unpacked: &Path, limits: Limits) -> Result<Tree, TarError> {
    let plain: Arc<Path> = unpacked::plain(archive, unpacked, limits.unpacked)?.into();
    let source = Source { archive, file: fs::open(&plain)?, compressed: *plain != *archive, plain, limits };
    let members = read_members(&source)?;
    let contents = source.contents(&members, unpacked)?;
    let mut assembly = Assembly::default();
    for (member, content) in members.into_iter().zip(contents) {
        let (name, offset) = (member.path.clone(), member.offset);
        assembly.place(member, content).map_err(|fault| source.fault(&name.to_string(), offset, fault))?;
    }
    assembly.finish().map_err(|(path, offset, fault)| source.fault(&path.to_string(), offset, fault))
}

/// An open archive.
struct Source<'archive> {
    /// The archive as it was given, for messages.
    archive: &'archive Path,
    /// Its plain bytes.
    plain: Arc<Path>,
    file: File,
    compressed: bool,
    limits: Limits,
}

impl Source<'_> {
    fn fault(&self, member: &str, offset: u64, fault: TarFault) -> TarError {
        let archive = self.archive.to_owned();
        let member = match member.char_indices().nth(SHOWN_NAME) {
            Some((end, _)) => format!("{}…", &member[..end]),
            None => member.to_owned(),
        };
        TarError::Member { archive, compressed: self.compressed, member, offset, fault }
    }

    /// Hashes the content of every regular file.
    fn contents(&self, members: &[Member], unpacked: &Path) -> Result<Vec<Option<Content>>, TarError> {
        let content = |member: &Member| -> Result<Option<Content>, TarError> {
            match &member.item {
                Item::File(Data::Slice { length: 0, .. }) => Ok(Some(Content::inline([]))),
                Item::File(Data::Slice { offset, length }) => {
                    let digest = node::digest_slice(&self.file, *offset, *length);
                    let digest = digest.map_err(fs::Error::on("read", &*self.plain))?;
                    let source = ContentSource::Slice { file: self.plain.clone(), offset: *offset };
                    Ok(Some(Content { digest, length: *length, source }))
                }
                Item::File(Data::Sparse(sparse)) => Ok(Some(sparse.expand(&self.file, &self.plain, unpacked)?)),
                _ => Ok(None),
            }
        };
        // Collected before the first error is picked: which one it is must not depend on threads.
        let contents: Vec<_> = members.par_iter().map(content).collect();
        contents.into_iter().collect()
    }
}

/// The tree as far as members have been placed.
#[derive(Default)]
struct Assembly {
    tree: Tree,
    /// OCI removals, which say nothing about the other members and are placed after them all.
    marks: Vec<Mark>,
}

/// What an OCI marker file says about a path.
struct Mark {
    path: TreePath,
    opaque: bool,
    offset: u64,
    mtime: i64,
}

impl Assembly {
    fn place(&mut self, member: Member, content: Option<Content>) -> Result<(), TarFault> {
        let Member { path, item, meta, offset, .. } = member;
        let kind = match item {
            Item::File(_) => Kind::Regular(content.expect("every file has been hashed")),
            Item::Node(Kind::Whiteout) => {
                self.tree.insert(path, Node::whiteout())?;
                return Ok(());
            }
            Item::Node(kind) => kind,
            Item::Link(target) => return Ok(self.tree.link(path, &target)?),
            Item::Whiteout | Item::Opaque => {
                let opaque = matches!(item, Item::Opaque);
                self.marks.push(Mark { path, opaque, offset, mtime: meta.mtime });
                return Ok(());
            }
        };
        self.tree.insert(path, Node { kind, meta })?;
        Ok(())
    }

    fn finish(mut self) -> Result<Tree, (TreePath, u64, TarFault)> {
        for Mark { path, opaque, offset, mtime } in std::mem::take(&mut self.marks) {
            let kind = match self.tree.get(&path).map(|node| &node.kind) {
                Some(Kind::Directory { .. }) => {
                    let node = self.tree.get_mut(&path).expect("it was there just now");
                    node.kind = Kind::Directory { opaque: true };
                    continue;
                }
                Some(_) if !opaque => continue,
                Some(_) => {
                    let fault = TarFault::Malformed("it makes something opaque that is no directory");
                    return Err((path, offset, fault));
                }
                None if opaque || self.tree.below(&path).next().is_some() => Kind::Directory { opaque: true },
                None => Kind::Whiteout,
            };
            let meta = Meta::root_owned(0o755, mtime);
            let node = if kind == Kind::Whiteout { Node::whiteout() } else { Node { kind, meta } };
            self.tree.insert(path.clone(), node).map_err(|error| (path, offset, error.into()))?;
        }
        Ok(self.tree)
    }
}

#[cfg(test)]
mod tests;
