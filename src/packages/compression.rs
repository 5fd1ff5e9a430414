//! How indexes and members of packages are compressed.

use std::fmt;
use std::io::{self, BufRead, Read};

use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, IGNORE_CHECK, MtStreamBuilder, Stream};

/// The memory that one decoder may take: xz -9 takes 65 MiB, and a window may be of 1.5 GiB.
const XZ_MEMORY: u64 = 256 << 20;
/// The largest window of zstd that is taken, as a power of two: that of `--ultra -22`.
const ZSTD_WINDOW: u32 = 27;
/// Streams may follow one another. Their checksums take a tenth of the time and say nothing that the digest of the whole file
/// has not said.
const XZ_FLAGS: u32 = CONCATENATED | IGNORE_CHECK;

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

    /// Returns a reader of what `input` holds compressed, whose digest is known to be right: checksums of xz need not
    /// be looked at. With `threads` of two or more the blocks of an xz file that has several are decompressed at once.
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
            Self::Xz => Box::new(XzDecoder::new_stream(input, Stream::new_stream_decoder(XZ_MEMORY, XZ_FLAGS)?)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
                decoder.window_log_max(ZSTD_WINDOW)?;
                Box::new(decoder)
            }
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
            Self::Lzma => Box::new(XzDecoder::new_stream(input, Stream::new_lzma_decoder(XZ_MEMORY)?)),
        })
    }

    /// Returns a reader as [`Compression::decoder`] does, of something whose digest nobody knows.
    ///
    /// # Errors
    /// When the decoder cannot be made.
    pub fn checked_decoder<'input>(
        self,
        input: impl BufRead + Send + 'input,
    ) -> io::Result<Box<dyn Read + Send + 'input>> {
        match self {
            Self::Xz => {
                let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)?;
                Ok(Box::new(XzDecoder::new_stream(input, stream)))
            }
            other => other.decoder(input, 1),
        }
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn checksums_are_looked_at_where_no_digest_is_known() {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
        encoder.write_all(&[7; 5_000]).unwrap();
        let mut xz = encoder.finish().unwrap();
        // The checksum of the block stands before the index and the end, of 12 and 12 bytes.
        let place = xz.len() - 12 - 12 - 1;
        xz[place] ^= 1;
        let read = |decoder: io::Result<Box<dyn Read + Send + '_>>| io::copy(&mut decoder.unwrap(), &mut io::sink());
        assert!(read(Compression::Xz.checked_decoder(&xz[..])).is_err());
        assert_eq!(read(Compression::Xz.decoder(&xz[..], 1)).unwrap(), 5_000);
    }
}
