//! How indexes and members of packages are compressed.

use std::fmt;
use std::io::{self, BufRead, Read};

use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, MtStreamBuilder, Stream};

/// The memory that one decoder may take: xz -9 takes 65 MiB, and a window may be of 1.5 GiB.
const XZ_MEMORY: u64 = 256 << 20;
/// The largest window of zstd that is taken, as a power of two: that of `--ultra -22`.
const ZSTD_WINDOW: u32 = 27;

/// A way to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// xz.
    Xz,
    /// zstd (RFC 8878).
    Zstd,
    /// bzip2.
    Bzip2,
    /// The format that xz followed (`.lzma`).
    Lzma,
}

impl Compression {
    /// Every way, those that are read fastest for their size first.
    pub const ALL: [Self; 6] = [Self::Zstd, Self::Xz, Self::Gzip, Self::Bzip2, Self::Lzma, Self::None];

    /// Returns the end of a file's name, with its dot.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Xz => ".xz",
            Self::Zstd => ".zst",
            Self::Bzip2 => ".bz2",
            Self::Lzma => ".lzma",
        }
    }

    /// Returns the way by the first bytes of what is compressed.
    pub fn of_start(bytes: &[u8]) -> Self {
        const MAGICS: [(&[u8], Compression); 4] = [
            (b"\x28\xb5\x2f\xfd", Compression::Zstd),
            (b"\xfd7zXZ\0", Compression::Xz),
            (b"\x1f\x8b", Compression::Gzip),
            (b"BZh", Compression::Bzip2),
        ];
        MAGICS.iter().find(|(magic, _)| bytes.starts_with(magic)).map_or(Self::None, |(_, compression)| *compression)
    }

    /// Returns the way that the end of a file's name names, behind `base`.
    pub fn of_name(name: &str, base: &str) -> Option<Self> {
        let suffix = name.strip_prefix(base)?;
        Self::ALL.into_iter().find(|compression| compression.suffix() == suffix)
    }

    /// Returns a reader of what `input` holds compressed. With `threads` of two or more the blocks of an xz file that has
    /// several are decompressed at once.
    ///
    /// # Errors
    /// When the decoder cannot be made.
    pub fn decoder<'input>(
        self,
        input: impl BufRead + Send + 'input,
        threads: u32,
    ) -> io::Result<Box<dyn Read + Send + 'input>> {
        Ok(match self {
            Self::None => Box::new(input),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
            Self::Xz if threads > 1 => {
                let mut builder = MtStreamBuilder::new();
                // Beyond the first limit blocks are decompressed one by one, beyond the second not at all.
                builder.threads(threads).memlimit_threading(XZ_MEMORY).memlimit_stop(XZ_MEMORY);
                Box::new(XzDecoder::new_stream(input, builder.decoder()?))
            }
            Self::Xz => Box::new(XzDecoder::new_stream(input, Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)?)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
                decoder.window_log_max(ZSTD_WINDOW)?;
                Box::new(decoder)
            }
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
            Self::Lzma => Box::new(XzDecoder::new_stream(input, Stream::new_lzma_decoder(XZ_MEMORY)?)),
        })
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "none",
            other => &other.suffix()[1..],
        })
    }
}
