//! One thread's compressor.

use std::io;

use lz4::block::{CompressionMode, compress_to_buffer};

use super::options::{Codec, Compression};

/// A compressor whose memory is used again for every chunk.
pub(super) enum Compressor {
    Lz4(CompressionMode),
    Zstd(Box<zstd::bulk::Compressor<'static>>),
}

impl Compressor {
    pub(super) fn new(compression: Compression) -> io::Result<Self> {
        Ok(match compression.codec {
            Codec::Zstd => Self::Zstd(Box::new(zstd::bulk::Compressor::new(compression.level)?)),
            Codec::Lz4hc => Self::Lz4(CompressionMode::HIGHCOMPRESSION(compression.level)),
            Codec::Lz4 | Codec::None => Self::Lz4(CompressionMode::FAST(compression.level)),
        })
    }

    /// Compresses `bytes` to the beginning of `out`, which has room for [`bound`] bytes; returns how many they are.
    pub(super) fn compress(&mut self, bytes: &[u8], out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Lz4(mode) => compress_to_buffer(bytes, Some(*mode), false, out),
            Self::Zstd(compressor) => compressor.compress_to_buffer(bytes, out),
        }
    }
}

/// Returns the most bytes that `length` bytes are compressed to.
pub(super) fn bound(length: usize) -> usize {
    // zstd: one 256th and at most 64 bytes more; LZ4: one 255th and 16 bytes more.
    length + length / 255 + 128
}

/// Returns the version of the library behind a codec: another version may give other bytes.
pub(super) fn version(codec: Codec) -> u32 {
    match codec {
        Codec::None => 0,
        Codec::Lz4 | Codec::Lz4hc => lz4::version().unsigned_abs(),
        Codec::Zstd => zstd::zstd_safe::version_number(),
    }
}
