//! A tree as a layer: a tar archive (image-spec, layer.md), compressed or not.
//!
//! Comes in: a tree; whiteouts in it remove what lower layers have. Goes out: the blob, its digest, and that of the plain
//! archive (DiffID). Always holds: the same tree and codec give the same bytes on any number of threads.
//!
//! # Memory
//!
//! `threads` × 2 + 2 buffers of a chunk (1 MiB; for zstd 4 MiB, and 8 MiB above level 3) and of what it is compressed to,
//! 1 MiB for copying, and what the codec itself takes: some MiB for each thread.

mod codec;
mod pipeline;

use std::io::{self, Write};
use std::num::NonZero;

pub use codec::{Codec, GZIP_LEVEL, ZSTD_LEVEL};

use crate::digest::Digest;
use crate::image::tar::{WriteTarError, write_tar};
use crate::tree::Tree;

/// The form of the archives; one that is changed gets another number, so that what was kept before is not taken for the
/// same.
pub const ARCHIVER: &str = "layer archive 1";

/// A layer that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrittenLayer {
    /// The digest of the plain archive.
    pub diff_id: Digest,
    /// Its bytes.
    pub plain_size: u64,
    /// The digest of the blob.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
}

/// Writes the layer that `tree` is to `out`. `threads` compress; three more read, hash and write.
///
/// # Errors
/// When a content cannot be read or is not what the tree says, when no tar archive can hold a node, and when `out` fails.
pub fn write_layer(
    tree: &Tree,
    codec: Codec,
    threads: NonZero<usize>,
    out: &mut dyn Write,
) -> Result<WrittenLayer, WriteTarError> {
    let make = |to: &mut dyn Write| write_tar(tree, to);
    let passed = pipeline::pass(codec, threads.get(), make, out, |error: io::Error| WriteTarError::Write(error))?;
    let ((diff_id, plain_size), (digest, size)) = (passed.plain, passed.written);
    Ok(WrittenLayer { diff_id, plain_size, digest, size })
}

#[cfg(test)]
mod tests;
