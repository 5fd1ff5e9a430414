//! A tree as an EROFS image (Linux, Documentation/filesystems/erofs.rst).
//!
//! Comes in: a tree, what the image is asked to be, a file. Goes out: the image in the file. Always holds: the same tree and
//! options give the same bytes, on any number of threads; what is written has the digest that the tree says: it is hashed
//! once more, unless its file has the stamp that it had when it was hashed for the tree; the target kernel reads the image,
//! and what it does not is an error before anything is written.
//!
//! # Layout
//!
//! ```text
//! superblock │ flat files │ compressed files │ packed inode │ inodes │ directories │ shared attributes
//! ```
//!
//! * Every chunk of a compressed file is compressed once and rounded up to blocks: nothing is searched for. The last one
//!   is up to twice as long, and so are the extents of the packed inode.
//! * Small files are concatenated into the packed inode, similar ones side by side, and compressed together (Linux 6.1).
//! * What ends a file stands behind its inode where there is room, as it is or compressed.
//! * Contents that are the same are stored once.
//! * The time that most inodes have stands in the superblock: those need half the space.
//!
//! Whiteouts are character devices 0:0, and opaque directories have `trusted.overlay.opaque`, as overlayfs has it.
//!
//! # Memory
//!
//! At most `threads` × 3 buffers of four chunks each, 256 KiB per thread for files that are not compressed, about 300 bytes
//! per node, 12 bytes per extent, 2 bytes per block of the largest compressed file while its index is written, and for
//! compressed files with extents of their own the ends that stand behind their inodes, less than a block each. Otherwise it
//! does not grow with what files hold.

mod attributes;
mod codec;
mod copy;
mod directory;
mod format;
mod index;
mod kernel;
mod metadata;
mod options;
mod output;
mod pipeline;
mod plan;
mod room;
mod source;

use std::fs::File;
use std::io;

use self::format::{BLOCK, Superblock, compatible, incompatible};
use self::kernel::Feature;
use self::metadata::{Layout, Located, Metadata};
use self::output::Output;
use self::plan::{Data, Place, Plan};
use crate::digest::Hasher;
use crate::fs;
use crate::spec::KernelVersion;
use crate::tree::{Tree, TreePath};

pub use options::{Codec, Compression, Options, Profile};

/// Stands first in what UUIDs are made from; a change of what images hold changes it.
pub const FORMAT: &[u8] = b"layerforge erofs 2";

/// An image that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its size in bytes: a multiple of 4096.
    pub size: u64,
    /// The UUID of the file system.
    pub uuid: [u8; 16],
    /// How many inodes it has, without the packed one.
    pub inodes: u64,
    /// How many chunks were to be compressed.
    pub chunks: u64,
    /// How many of them were found in the cache.
    pub cached: u64,
}

/// A tree that cannot be written as an EROFS image.
#[derive(Debug, thiserror::Error)]
pub enum ErofsError {
    /// The target kernel does not read what was asked for.
    #[error(
        "{what} needs Linux {since} or later, and the image is for {target}: choose another or a later target kernel"
    )]
    Unsupported {
        /// What was asked for.
        what: &'static str,
        /// The first kernel that reads it.
        since: KernelVersion,
        /// The kernel that the image is for.
        target: KernelVersion,
    },
    /// A setting that does not exist.
    #[error("the {what} cannot be {value}: expected {expected}")]
    Setting {
        /// Which setting.
        what: &'static str,
        /// What it was set to.
        value: String,
        /// What it can be.
        expected: String,
    },
    /// The tree says nothing about a directory that has something in it.
    #[error("cannot write the image: nothing is said about the directory `{path}`; complete the tree")]
    Incomplete {
        /// The directory.
        path: TreePath,
    },
    /// Something that no EROFS image can hold.
    #[error("cannot write `{path}` into the image: {reason}")]
    Unfit {
        /// The path in the tree.
        path: TreePath,
        /// Why not, and what to do.
        reason: &'static str,
    },
    /// An extended attribute that no EROFS image can hold.
    #[error("cannot write the extended attribute `{name}` of `{path}` into the image: {reason}")]
    Attribute {
        /// The path in the tree.
        path: TreePath,
        /// The full name of the attribute.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// The content of a file cannot be read.
    #[error("cannot write `{path}` into the image")]
    Content {
        /// The path in the tree.
        path: TreePath,
        /// What went wrong.
        #[source]
        source: fs::Error,
    },
    /// The content of a file is not what it was when the tree was made.
    #[error("cannot write `{path}` into the image: its content changed meanwhile; run again when nothing writes to it")]
    Changed {
        /// The path in the tree.
        path: TreePath,
    },
    /// The codec failed.
    #[error("cannot compress the content of the image")]
    Compress(#[source] io::Error),
    /// The image is larger than the format allows.
    #[error("the image would be larger than 16 TiB, which is the most that EROFS can hold")]
    TooLarge,
    /// The image cannot be written.
    #[error("cannot write the image")]
    Write(#[from] io::Error),
}

/// Writes the image of `tree` to `file`, from the byte `start` on, and ends the file where the image ends.
///
/// # Errors
/// When an option asks for what does not exist or what the target kernel does not read; when a directory is missing above
/// a path of the tree ([`Tree::complete`] adds them); when a node cannot stand in an image; when a content cannot be read or
/// is not what the tree says; when the file cannot be written. What is in the file then is no image.
pub fn write(tree: &Tree, options: &Options, file: &File, start: u64) -> Result<Image, ErofsError> {
    options.check()?;
    let plan = Plan::new(tree, options)?;
    let output = Output::new(file, start)?;
    let (mut located, next) = place_flat_files(&plan);
    let streams = compress_files(&plan, options, &output, &mut located, next)?;
    let (chunks, cached, next) = (streams.chunks, streams.cached, streams.end);
    let packed = streams.streams.into_iter().next();
    let algorithm = format::algorithm(options.compression.codec).unwrap_or(0);
    let metadata = Metadata { plan: &plan, located, packed, algorithm };
    let layout = metadata.lay_out(u32::try_from(next).map_err(|_| ErofsError::TooLarge)?);
    let blocks = u32::try_from(layout.end).map_err(|_| ErofsError::TooLarge)?;
    let size = u64::from(blocks) * BLOCK as u64;
    output.set_size(size)?;
    metadata.write(&layout, &output)?;
    let mut tails = metadata.tails(&layout);
    tails.sort_unstable();
    copy::copy(&plan, &metadata.located, &tails, &output, options.threads.get())?;
    let uuid = options.uuid.unwrap_or_else(|| uuid_of(tree, options));
    let superblock = superblock(&metadata, &layout, options, uuid);
    output.write_at(&superblock.to_block(options.compression.codec, plan.longest_chunk()), 0)?;
    Ok(Image { size, uuid, inodes: plan.inodes.len() as u64, chunks, cached })
}

/// Gives blocks to files that are not compressed, from the first block after the superblock on; returns where all files
/// are, the others not yet rightly, and the block after the last one.
fn place_flat_files(plan: &Plan<'_>) -> (Vec<Located>, u64) {
    let mut tail_blocks = vec![false; plan.files.len()];
    for inode in &plan.inodes {
        if let Data::File(file) = inode.data {
            let size = plan.files[file as usize].content.length;
            tail_blocks[file as usize] |= !metadata::tail_is_inline(plan, inode, size);
        }
    }
    let mut next = 1;
    let place = |(file, tail_block): (&plan::File<'_>, bool)| {
        let start = next as u32;
        if file.place == Place::Flat {
            let length = file.content.length;
            let blocks = if tail_block { length.div_ceil(BLOCK as u64) } else { length / BLOCK as u64 };
            next = u64::saturating_add(next, blocks);
        }
        Located::Flat { start, tail_block }
    };
    let located = plan.files.iter().zip(tail_blocks).map(place).collect();
    (located, next)
}

/// Compresses what is to be compressed, if anything is, and says in `located` where it is; what is left of the streams is
/// that of the packed inode.
fn compress_files(
    plan: &Plan<'_>,
    options: &Options,
    output: &Output<'_>,
    located: &mut [Located],
    start: u64,
) -> Result<pipeline::Streams, ErofsError> {
    if plan.files.iter().all(|file| file.place == Place::Flat) {
        return Ok(pipeline::Streams { streams: Vec::new(), end: start, chunks: 0, cached: 0 });
    }
    let mut compressed = pipeline::compress(plan, options, output, start)?;
    let mut streams = compressed.streams.into_iter();
    for (file, located) in plan.files.iter().zip(located) {
        match file.place {
            Place::Flat => {}
            Place::Chunked => *located = Located::Extents(streams.next().unwrap_or_default()),
            Place::Packed(begin) => *located = Located::Packed(begin),
        }
    }
    compressed.streams = streams.collect();
    Ok(compressed)
}

fn superblock(metadata: &Metadata<'_>, layout: &Layout, options: &Options, uuid: [u8; 16]) -> Superblock {
    let plan = metadata.plan;
    let attributes = plan.inodes.iter().any(|inode| plan.attributes.size(inode.node) > 0);
    let filter = attributes && Feature::AttributeFilter.is_in(options.target_kernel);
    let compressed = options.compression.codec != Codec::None;
    let inline = compressed && Feature::InlineTails.is_in(options.target_kernel);
    let shares = plan.files.iter().any(|file| file.inodes > 1 && file.place == Place::Chunked);
    let packs = metadata.packed.is_some();
    let flag = |set: bool, flag: u32| if set { flag } else { 0 };
    Superblock {
        compatible: compatible::CHECKSUM | compatible::MTIME | flag(filter, compatible::ATTRIBUTE_FILTER),
        incompatible: flag(compressed, incompatible::ZERO_PADDING | incompatible::CODEC_SETTINGS)
            | flag(inline, incompatible::INLINE_TAILS)
            | flag(packs || shares, incompatible::PACKING),
        root: layout.nids[0] as u16,
        inodes: layout.nids.len() as u64,
        epoch: plan.epoch,
        blocks: layout.end as u32,
        metadata: layout.start,
        attributes: layout.attributes,
        uuid,
        label: options.label.clone().into_bytes(),
        packed: if packs { layout.nids.last().copied().unwrap_or(0) } else { 0 },
    }
}

/// Returns a UUID that is the same for the same tree and options (RFC 9562, version 8).
fn uuid_of(tree: &Tree, options: &Options) -> [u8; 16] {
    let mut hasher = Hasher::new();
    hasher.field(FORMAT);
    hasher.field(tree.digest().as_bytes());
    let Compression { codec, level, chunk } = options.compression;
    hasher.field(format!("{codec} {level} {chunk} {} {}", options.packs(), options.target_kernel).as_bytes());
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&hasher.finish().0.as_bytes()[..16]);
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    uuid
}

#[cfg(test)]
mod tests;
