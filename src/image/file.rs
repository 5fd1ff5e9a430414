//! A tree as an image file: a file system, alone or in a partition table.
//!
//! Comes in: a complete tree, what the image is asked to be, who signs. Goes out: the bytes of the image in a file. Always
//! holds: the same tree, wishes and certificate give the same bytes.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};

use super::ddi::{self, DdiError, Draft};
use super::erofs::{self, ErofsError};
use super::gpt::{PartitionRole, Seed};
use super::signature::Signer;
use super::squashfs::{self, WriteSquashfsError};
use crate::distro::Architecture;
use crate::resolve::ImageOutput;
use crate::spec::{Filesystem, ImageCompression, ImageFormat, Verity};
use crate::store::ChunkCache;
use crate::tree::{Tree, TreePath};

/// An image that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteImageError {
    /// As EROFS.
    #[error(transparent)]
    Erofs(#[from] ErofsError),
    /// As squashfs.
    #[error(transparent)]
    Squashfs(#[from] WriteSquashfsError),
    /// As a disk image.
    #[error(transparent)]
    Ddi(#[from] DdiError),
    /// The file cannot be written.
    #[error("cannot write the file")]
    File(#[from] io::Error),
    /// There is nobody to sign.
    #[error("it is to be signed, and nobody is there to: give a key and its certificate with `--key FILE --cert FILE`")]
    NoSigner,
}

/// What helps to make an image.
#[derive(Debug, Clone, Copy)]
pub struct Makers<'run> {
    /// Who signs what is to be signed.
    pub signer: Option<&'run Signer>,
    /// Where chunks that took long to compress are kept.
    pub chunks: Option<&'run ChunkCache>,
}

/// Writes the image of `tree` to `file`, which is empty and can be read as well.
///
/// # Errors
/// When the tree has what the file system cannot hold, a content cannot be read, the target is too old for a setting,
/// signing fails, or the file cannot be written.
pub fn write_image(
    tree: &Tree,
    output: &ImageOutput,
    architecture: Architecture,
    makers: Makers<'_>,
    file: &File,
) -> Result<(), WriteImageError> {
    if output.format != ImageFormat::Ddi {
        return write_filesystem(tree, output, makers, (file, 0)).map(drop);
    }
    let verity = match (output.verity, makers.signer) {
        (Verity::None, _) => ddi::Verity::None,
        (Verity::Hash, _) => ddi::Verity::Hash,
        (Verity::Defer, _) => ddi::Verity::Defer,
        (Verity::Signed, Some(signer)) => ddi::Verity::Signed(signer),
        (Verity::Signed, None) => return Err(WriteImageError::NoSigner),
    };
    let seed = Seed::from_bytes(output.seed.unwrap_or_else(|| seed_of(tree)));
    let draft = Draft::new(file.try_clone()?);
    let length = write_filesystem(tree, output, makers, (draft.file(), Draft::OFFSET))?;
    // Extensions hold usr, opt and etc below their root, portable services a whole root.
    let options = ddi::Options { role: PartitionRole::Root, architecture, seed, verity };
    draft.seal(length, &options)?;
    Ok(())
}

/// Writes the file system to a place in a file and returns its length.
fn write_filesystem(
    tree: &Tree,
    output: &ImageOutput,
    makers: Makers<'_>,
    (file, start): (&File, u64),
) -> Result<u64, WriteImageError> {
    match output.filesystem {
        Filesystem::Erofs => {
            let profile = match output.compression {
                ImageCompression::None => erofs::Profile::None,
                ImageCompression::Fast => erofs::Profile::Fast,
                ImageCompression::Default => erofs::Profile::Default,
                ImageCompression::Small => erofs::Profile::Small,
            };
            let mut options = erofs::Options::new(profile, output.kernel);
            // Whatever is compressed faster than it is kept and found again is not worth keeping.
            options.cache = makers.chunks.filter(|_| output.compression == ImageCompression::Small).cloned();
            Ok(erofs::write(tree, &options, file, start)?.size)
        }
        Filesystem::Squashfs => {
            let (compression, block_size) = match output.compression {
                ImageCompression::Small => (squashfs::Compression::Xz, 1 << 20),
                _ => (squashfs::Compression::Zstd, 128 << 10),
            };
            let root = tree.get(&TreePath::root()).map_or(0, |root| root.meta.mtime);
            let created = u32::try_from(root).unwrap_or_default();
            let options = squashfs::Options { compression, block_size, created };
            Ok(squashfs::write(tree, &options, From { file, start })?)
        }
    }
}

/// Returns what identities are derived from when the profile names nothing: the content.
fn seed_of(tree: &Tree) -> [u8; 16] {
    let mut seed = [0; 16];
    seed.copy_from_slice(&tree.digest().as_bytes()[..16]);
    seed
}

/// A file from a place on, as if it began there.
struct From<'file> {
    file: &'file File,
    start: u64,
}

impl io::Write for From<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for From<'_> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        let position = match position {
            SeekFrom::Start(offset) => SeekFrom::Start(self.start + offset),
            relative => relative,
        };
        let reached = self.file.seek(position)?;
        reached.checked_sub(self.start).ok_or_else(|| io::Error::other("a place before the beginning"))
    }
}
