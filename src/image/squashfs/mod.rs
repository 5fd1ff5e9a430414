//! A tree as a squashfs 4.0 image, through `backhand`.
//!
//! Comes in: a complete tree, and how to compress it. Goes out: one image, padded to 4 KiB. Always holds: the same tree
//! gives the same bytes; nothing is left out in silence; every content that is written has the digest that the tree says.
//!
//! The library writes no extended attributes, so that a tree that has some is refused. It knows no hard links either:
//! each name becomes a file of its own, whose data are shared where that is safe. The time of the root itself is 0.

use std::collections::HashMap;
use std::io::{self, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use backhand::compression::Compressor;
use backhand::{BackhandError, CompressionExtra, ExtraXz, FilesystemCompressor, FilesystemWriter, NodeHeader};

use crate::digest::{Digest, Hasher};
use crate::fs;
use crate::tree::{Content, ContentReader, DeviceNumber, Kind, Node, Tree, TreePath};

/// How an image is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// zstd, which kernels take since 4.14.
    #[default]
    Zstd,
    /// xz, which is smaller and slower to read.
    Xz,
    /// gzip, which every kernel takes.
    Gzip,
}

/// How to write an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How it is compressed.
    pub compression: Compression,
    /// The bytes that are compressed together: a power of two from 4 KiB to 1 MiB.
    pub block_size: u32,
    /// When it was made, in seconds since 1970-01-01 UTC.
    pub created: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { compression: Compression::default(), block_size: 128 * 1024, created: 0 }
    }
}

/// A tree that cannot be written as a squashfs image.
#[derive(Debug, thiserror::Error)]
pub enum WriteSquashfsError {
    /// Something that no such image can hold.
    #[error("cannot write `{path}` into a squashfs image: {reason}")]
    Unfit {
        /// The path in the tree.
        path: TreePath,
        /// Why not, and what to do.
        reason: &'static str,
    },
    /// The content of a file cannot be read, or is not what it was when the tree was made.
    #[error("cannot write `{path}` into the image")]
    Content {
        /// The path in the tree.
        path: TreePath,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The options ask for a block size that there is not.
    #[error("a squashfs block of {0} bytes: expected a power of two from 4096 to 1048576")]
    BlockSize(u32),
    /// The image cannot be written.
    #[error("cannot write the squashfs image")]
    Write(#[source] BackhandError),
}

/// Writes the image of `tree` to `sink`, from its beginning on, and returns the number of its bytes.
///
/// # Errors
/// When `sink` does, when a content cannot be read or is not what the tree says, and when the tree has what the image
/// cannot hold: an extended attribute, a whiteout, an opaque directory, a time before 1970 or after 2106, or a device
/// number of more than 12 bits of major or 20 of minor.
pub fn write<W: Write + Seek>(tree: &Tree, options: &Options, sink: W) -> Result<u64, WriteSquashfsError> {
    if !options.block_size.is_power_of_two() || !(4096..=1 << 20).contains(&options.block_size) {
        return Err(WriteSquashfsError::BlockSize(options.block_size));
    }
    let failed = Failed::default();
    let mut writer = FilesystemWriter::default();
    writer.set_block_size(options.block_size);
    writer.set_time(options.created);
    writer.set_compressor(compressor(options).map_err(WriteSquashfsError::Write)?);
    writer.set_no_duplicate_files(may_share(tree, options.block_size));
    for (path, node) in tree.iter() {
        push(&mut writer, path, node, &failed)?;
    }
    let written = writer.write(sink);
    drop(writer);
    if let Some((path, source)) = failed.into_inner().ok().flatten() {
        return Err(WriteSquashfsError::Content { path, source });
    }
    written.map(|(_, length)| length).map_err(WriteSquashfsError::Write)
}

fn compressor(options: &Options) -> Result<FilesystemCompressor, BackhandError> {
    match options.compression {
        Compression::Zstd => FilesystemCompressor::new(Compressor::Zstd, None),
        Compression::Gzip => FilesystemCompressor::new(Compressor::Gzip, None),
        Compression::Xz => {
            let mut extra = ExtraXz::default();
            extra.level(6)?;
            let mut compressor = FilesystemCompressor::new(Compressor::Xz, None)?;
            compressor.extra(CompressionExtra::Xz(extra))?;
            Ok(compressor)
        }
    }
}

/// Tells whether files may share their data. The library takes two files for one when their lengths and 64 bits of a hash
/// are equal that anybody can find collisions of; so only where different files have different lengths. Files
/// shorter than a block are never shared.
fn may_share(tree: &Tree, block_size: u32) -> bool {
    let mut lengths: HashMap<u64, Digest> = HashMap::new();
    tree.iter().all(|(_, node)| match &node.kind {
        Kind::Regular(content) if content.length >= block_size.into() => {
            *lengths.entry(content.length).or_insert(content.digest) == content.digest
        }
        _ => true,
    })
}

/// The longest symbolic link that the library writes, in bytes.
const SYMLINK: usize = 255;

/// The first content that could not be read, where the writer's own error has no path.
type Failed = std::sync::Mutex<Option<(TreePath, io::Error)>>;

fn push<'tree>(
    writer: &mut FilesystemWriter<'_, '_, 'tree>,
    path: &'tree TreePath,
    node: &'tree Node,
    failed: &'tree Failed,
) -> Result<(), WriteSquashfsError> {
    let header = header(path, node)?;
    let unfit = |reason| WriteSquashfsError::Unfit { path: path.clone(), reason };
    if path.is_root() {
        if !node.kind.is_directory() {
            return Err(unfit("the root of a tree must be a directory"));
        }
        writer.set_root_mode(header.permissions);
        writer.set_root_uid(header.uid);
        writer.set_root_gid(header.gid);
        return Ok(());
    }
    let name = PathBuf::from("/").join(path.as_path());
    let number = |number: DeviceNumber| {
        encode(number).ok_or_else(|| unfit("its device number has more than 12 bits of major or 20 of minor"))
    };
    let pushed = match &node.kind {
        Kind::Regular(content) => writer.push_file(Checked::new(path, content, failed), name, header),
        Kind::Directory { opaque: false } => writer.push_dir(name, header),
        Kind::Directory { opaque: true } => {
            return Err(unfit("an opaque directory needs an extended attribute; use erofs"));
        }
        Kind::Symlink(target) if target.len() > SYMLINK => {
            return Err(unfit(
                "it is a symbolic link of more than 255 bytes, which the library does not write; use erofs",
            ));
        }
        Kind::Symlink(target) => writer.push_symlink(std::ffi::OsStr::from_bytes(target), name, header),
        Kind::CharacterDevice(device) => writer.push_char_device(number(*device)?, name, header),
        Kind::BlockDevice(device) => writer.push_block_device(number(*device)?, name, header),
        Kind::Fifo => writer.push_fifo(name, header),
        Kind::Socket => writer.push_socket(name, header),
        Kind::Whiteout => return Err(unfit("a removal says nothing in an image of its own; take it out of the tree")),
    };
    pushed.map_err(WriteSquashfsError::Write)
}

fn header(path: &TreePath, node: &Node) -> Result<NodeHeader, WriteSquashfsError> {
    let unfit = |reason| WriteSquashfsError::Unfit { path: path.clone(), reason };
    if !node.meta.xattrs.is_empty() {
        return Err(unfit("it has extended attributes, which are not written there; use erofs"));
    }
    let mtime = u32::try_from(node.meta.mtime);
    let mtime = mtime.map_err(|_| unfit("its time is before 1970 or after 2106; set an epoch, or use erofs"))?;
    Ok(NodeHeader::new(node.meta.mode, node.meta.uid, node.meta.gid, mtime))
}

/// Returns a device number in the form that the kernel reads from disk: 12 bits of major between 8 and 12 of minor.
fn encode(DeviceNumber { major, minor }: DeviceNumber) -> Option<u32> {
    (major < 1 << 12 && minor < 1 << 20).then_some(minor & 0xff | major << 8 | (minor & !0xff) << 12)
}

/// Reads a content, opened when it is its turn, and makes sure that it is what the tree says.
struct Checked<'tree> {
    path: &'tree TreePath,
    content: &'tree Content,
    failed: &'tree Failed,
    state: State<'tree>,
}

enum State<'tree> {
    Closed,
    Open(ContentReader<'tree>, Hasher),
    Done,
}

impl<'tree> Checked<'tree> {
    fn new(path: &'tree TreePath, content: &'tree Content, failed: &'tree Failed) -> Self {
        Self { path, content, failed, state: State::Closed }
    }

    fn step(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if matches!(self.state, State::Closed) {
            self.state = State::Open(self.content.open().map_err(whole)?, Hasher::new());
        }
        let State::Open(reader, hasher) = &mut self.state else { return Ok(0) };
        let count = reader.read(buffer)?;
        hasher.update(&buffer[..count]);
        if count > 0 || buffer.is_empty() {
            return Ok(count);
        }
        // The library asks again behind the end, and the file need not stay open until the image is written.
        if let State::Open(_, hasher) = std::mem::replace(&mut self.state, State::Done)
            && hasher.finish() != (self.content.digest, self.content.length)
        {
            return Err(io::Error::other("its content changed meanwhile; run again when nothing writes to it"));
        }
        Ok(0)
    }
}

/// Keeps the path that could not be opened in the message.
fn whole(error: fs::Error) -> io::Error {
    let kind = error.source.kind();
    io::Error::new(kind, format!("{error}: {}", error.source))
}

impl Read for Checked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.step(buffer).map_err(|error| {
            let told = io::Error::new(error.kind(), error.to_string());
            if let Ok(mut failed) = self.failed.lock() {
                failed.get_or_insert((self.path.clone(), error));
            }
            told
        })
    }
}

#[cfg(test)]
mod tests;
