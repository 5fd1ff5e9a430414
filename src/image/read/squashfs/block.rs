//! Blocks of metadata and data, decompressed.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::{Arc, Mutex};

use crate::image::read::{ImageFault, Section};

/// The bytes that a block of metadata has when it is decompressed, but for the last.
const METADATA: usize = 8192;
/// The bit of a metadata header that says that the block is not compressed.
const PLAIN: u16 = 0x8000;
/// The bit of a block's size that says that it is not compressed.
pub(super) const PLAIN_DATA: u32 = 1 << 24;
/// The memory that an xz stream may ask for: its window is a block of 1 MiB, and a few MiB besides.
const XZ_MEMORY: u64 = 64 << 20;

/// A place in a table of metadata.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reference {
    /// Where its block begins, from the start of the table.
    pub(super) block: u64,
    /// Its place in the decompressed block.
    pub(super) offset: u16,
}

impl Reference {
    /// Takes the form that inodes have: the block, and the offset in the lowest 16 bits.
    pub(super) fn new(packed: u64) -> Self {
        Self { block: packed >> 16, offset: (packed & 0xffff) as u16 }
    }

    /// Returns that form again.
    pub(super) fn id(self) -> u64 {
        self.block << 16 | u64::from(self.offset)
    }
}

/// How blocks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Gzip,
    Xz,
    Lz4,
    Zstd,
}

impl Codec {
    /// Returns the codec of a number in the superblock.
    pub(super) fn of(number: u16) -> Result<Self, ImageFault> {
        Ok(match number {
            1 => Self::Gzip,
            4 => Self::Xz,
            5 => Self::Lz4,
            6 => Self::Zstd,
            2 => return Err(ImageFault::Unsupported("lzma compression".into())),
            3 => return Err(ImageFault::Unsupported("lzo compression".into())),
            other => return Err(ImageFault::Unsupported(format!("compression number {other}"))),
        })
    }

    /// Returns its name, as mksquashfs takes it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// Decompresses a block of at most `limit` bytes.
    pub(super) fn decompress(self, compressed: &[u8], limit: usize) -> io::Result<Vec<u8>> {
        let bounded = |decoder: &mut dyn Read| {
            let mut plain = Vec::new();
            decoder.take(limit as u64 + 1).read_to_end(&mut plain)?;
            Ok(plain)
        };
        let plain: io::Result<Vec<u8>> = match self {
            Self::Gzip => bounded(&mut flate2::read::ZlibDecoder::new(compressed)),
            Self::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, 0).map_err(io::Error::other)?;
                bounded(&mut liblzma::read::XzDecoder::new_stream(compressed, stream))
            }
            Self::Lz4 => {
                let mut plain = vec![0; limit];
                let length = lz4_flex::block::decompress_into(compressed, &mut plain).map_err(io::Error::other)?;
                plain.truncate(length);
                Ok(plain)
            }
            Self::Zstd => zstd::bulk::Decompressor::new()?.decompress(compressed, limit),
        };
        let plain = plain?;
        if plain.len() > limit {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a block is larger than the format allows"));
        }
        Ok(plain)
    }
}

/// How many decompressed blocks are kept: neighbours in a listing have their inodes, and their ends, in the same ones.
const KEPT: usize = 16;

/// A decompressed block, with its place and where the next one begins.
type Kept = (u64, Arc<[u8]>, u64);

/// The blocks of an image, decompressed, the last ones kept.
#[derive(Debug)]
pub(super) struct Blocks {
    pub(super) section: Section,
    pub(super) codec: Codec,
    kept: Mutex<VecDeque<Kept>>,
}

impl Blocks {
    pub(super) fn new(section: Section, codec: Codec) -> Self {
        Self { section, codec, kept: Mutex::new(VecDeque::with_capacity(KEPT)) }
    }

    /// Returns the block at a place, and where the next one begins; `read` is asked when it is not kept.
    fn get(
        &self,
        place: u64,
        read: impl FnOnce() -> Result<(Vec<u8>, u64), ImageFault>,
    ) -> Result<(Arc<[u8]>, u64), ImageFault> {
        // A thread that panicked cannot have left half a block: nothing is changed in place.
        let lock = || self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, block, next)) = lock().iter().find(|(kept, ..)| *kept == place) {
            return Ok((Arc::clone(block), *next));
        }
        let (block, next) = read()?;
        let block: Arc<[u8]> = block.into();
        let mut kept = lock();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back((place, Arc::clone(&block), next));
        Ok((block, next))
    }

    /// Returns the block of metadata at a place, and where the next one begins.
    fn metadata(&self, place: u64) -> Result<(Arc<[u8]>, u64), ImageFault> {
        self.get(place, || {
            let mut header = [0; 2];
            self.section.read_exact_at(&mut header, place)?;
            let header = u16::from_le_bytes(header);
            let size = usize::from(header & !PLAIN);
            if size == 0 || size > METADATA {
                return Err(ImageFault::Malformed("a block of metadata has no valid size"));
            }
            let bytes = self.section.read_at(place + 2, size)?;
            let block = if header & PLAIN != 0 { bytes } else { self.codec.decompress(&bytes, METADATA)? };
            if block.is_empty() {
                return Err(ImageFault::Malformed("a block of metadata is empty"));
            }
            Ok((block, place + 2 + size as u64))
        })
    }

    /// Returns the block of data at a place, whose size is as it is written before it, of at most `limit` bytes.
    pub(super) fn data(&self, place: u64, size: u32, limit: u32) -> Result<Vec<u8>, ImageFault> {
        let stored = size & !PLAIN_DATA;
        if stored > limit {
            return Err(ImageFault::Malformed("a block is larger than the format allows"));
        }
        let bytes = self.section.read_at(place, stored as usize)?;
        if size & PLAIN_DATA != 0 {
            return Ok(bytes);
        }
        Ok(self.codec.decompress(&bytes, limit as usize)?)
    }

    /// Returns the block of fragments at a place.
    pub(super) fn fragment(&self, place: u64, size: u32, limit: u32) -> Result<Arc<[u8]>, ImageFault> {
        Ok(self.get(place, || Ok((self.data(place, size, limit)?, 0)))?.0)
    }
}

/// Reads a table of metadata from a place on, across blocks.
#[derive(Debug)]
pub(super) struct MetadataReader<'image> {
    blocks: &'image Blocks,
    /// Where the next block begins in the image.
    next: u64,
    block: Arc<[u8]>,
    position: usize,
}

impl<'image> MetadataReader<'image> {
    pub(super) fn new(blocks: &'image Blocks, table: u64, reference: Reference) -> Result<Self, ImageFault> {
        let place = table.checked_add(reference.block).ok_or(ImageFault::Malformed("it names a place far outside"))?;
        let (block, next) = blocks.metadata(place)?;
        if usize::from(reference.offset) > block.len() {
            return Err(ImageFault::Malformed("it names a place outside of its block"));
        }
        Ok(Self { blocks, next, block, position: reference.offset.into() })
    }

    fn advance(&mut self) -> Result<(), ImageFault> {
        (self.block, self.next) = self.blocks.metadata(self.next)?;
        self.position = 0;
        Ok(())
    }

    /// Fills `buffer`.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<(), ImageFault> {
        let mut filled = 0;
        while filled < buffer.len() {
            if self.position == self.block.len() {
                self.advance()?;
            }
            let count = (buffer.len() - filled).min(self.block.len() - self.position);
            buffer[filled..filled + count].copy_from_slice(&self.block[self.position..self.position + count]);
            self.position += count;
            filled += count;
        }
        Ok(())
    }

    /// Returns the next `length` bytes; the caller has checked that it is not much.
    pub(super) fn bytes(&mut self, length: usize) -> Result<Vec<u8>, ImageFault> {
        let mut bytes = vec![0; length];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, ImageFault> {
        let mut bytes = [0; 2];
        self.fill(&mut bytes)?;
        Ok(u16::from_le_bytes(bytes))
    }

    pub(super) fn u32(&mut self) -> Result<u32, ImageFault> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    pub(super) fn u64(&mut self) -> Result<u64, ImageFault> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
}
