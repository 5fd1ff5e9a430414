//! One thread's compressor.

use std::io;

use lz4::block::{CompressionMode, compress_to_buffer};

use super::options::{Codec, Compression};
use crate::store::ChunkCache;

/// A compressor whose memory is used again for every chunk.
pub(super) struct Compressor<'a> {
    engine: Engine,
    /// Where to look first, and what the bytes depend on besides the chunk.
    cache: Option<(&'a ChunkCache, String)>,
}

enum Engine {
    Lz4(CompressionMode),
    Zstd(Box<zstd::bulk::Compressor<'static>>),
}

/// What a chunk was compressed to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    /// How many bytes it is; at least as many as the chunk has when it cannot be compressed, and then they are not there.
    pub(super) length: usize,
    /// Whether it was found in the cache.
    pub(super) cached: bool,
}

impl<'a> Compressor<'a> {
    pub(super) fn new(compression: Compression, cache: Option<&'a ChunkCache>) -> io::Result<Self> {
        let Compression { codec, level, .. } = compression;
        let engine = match codec {
            Codec::Zstd => Engine::Zstd(Box::new(zstd::bulk::Compressor::new(level)?)),
            Codec::Lz4hc => Engine::Lz4(CompressionMode::HIGHCOMPRESSION(level)),
            Codec::Lz4 | Codec::None => Engine::Lz4(CompressionMode::FAST(level)),
        };
        let maker = format!("{codec} {level} {}", version(codec));
        Ok(Self { engine, cache: cache.map(|cache| (cache, maker)) })
    }

    /// Compresses `bytes` to the beginning of `out`, which has room for [`bound`] bytes.
    pub(super) fn compress(&mut self, bytes: &[u8], out: &mut [u8]) -> io::Result<Outcome> {
        let Some((cache, maker)) = &self.cache else {
            return Ok(Outcome { length: self.engine.compress(bytes, out)?, cached: false });
        };
        let key = ChunkCache::key(bytes, maker);
        if let Some(found) = cache.get(&key).filter(|found| found.len() < bytes.len()) {
            out[..found.len()].copy_from_slice(&found);
            // Nothing stands for what cannot be compressed.
            let length = if found.is_empty() { bytes.len() } else { found.len() };
            return Ok(Outcome { length, cached: true });
        }
        let length = self.engine.compress(bytes, out)?;
        // What cannot be kept costs time the next time, and says nothing about the image.
        cache.put(&key, if length < bytes.len() { &out[..length] } else { &[] }).ok();
        Ok(Outcome { length, cached: false })
    }
}

impl Engine {
    fn compress(&mut self, bytes: &[u8], out: &mut [u8]) -> io::Result<usize> {
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
fn version(codec: Codec) -> u32 {
    match codec {
        Codec::None => 0,
        Codec::Lz4 | Codec::Lz4hc => lz4::version().unsigned_abs(),
        Codec::Zstd => zstd::zstd_safe::version_number(),
    }
}
