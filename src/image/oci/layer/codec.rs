//! How layers are compressed: chunk by chunk, each on its own.

use std::io;

use libdeflater::{CompressionLvl, Compressor as Deflater};
use zstd::bulk::Compressor as Zstd;
use zstd::zstd_safe::CParameter;

use crate::image::oci::media_type;

/// The form of what a codec writes; one that is changed gets another number, so that what was kept before is not taken
/// for the same.
const VERSION: u32 = 1;
/// The level of zstd where nobody says another: what `zstd` has.
pub const ZSTD_LEVEL: i32 = 3;
/// The level of gzip where nobody says another: what `gzip` has.
pub const GZIP_LEVEL: i32 = 6;

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Not at all.
    Plain,
    /// gzip (RFC 1952), several members, at a level of 1 to 12: beyond 9 it takes long for little.
    Gzip(i32),
    /// Zstandard (RFC 8878), several frames, at a level of 1 to 19.
    Zstd(i32),
}

impl Codec {
    /// Returns the media type of a layer compressed like that.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Plain => media_type::LAYER,
            Self::Gzip(_) => media_type::LAYER_GZIP,
            Self::Zstd(_) => media_type::LAYER_ZSTD,
        }
    }

    /// Returns everything that decides what a layer is compressed to, besides the layer.
    pub fn identity(self) -> String {
        match self {
            Self::Plain => format!("plain {VERSION}"),
            Self::Gzip(level) => format!("gzip {VERSION} level {level} chunk {} libdeflate 1.26", self.chunk()),
            Self::Zstd(level) => {
                format!(
                    "zstd {VERSION} level {level} chunk {} zstd {}",
                    self.chunk(),
                    zstd::zstd_safe::version_string()
                )
            }
        }
    }

    /// Returns how many bytes are compressed on their own: enough that what is repeated is found, few enough that
    /// several are worked on at once.
    pub(super) fn chunk(self) -> usize {
        match self {
            // No distance in deflate is longer than 32 KiB.
            Self::Plain | Self::Gzip(_) => 1 << 20,
            // Beyond the default level windows grow.
            Self::Zstd(level) if level > ZSTD_LEVEL => 8 << 20,
            Self::Zstd(_) => 4 << 20,
        }
    }
}

/// Compresses chunks.
pub(super) enum Compressor {
    Gzip(Box<Deflater>),
    Zstd(Zstd<'static>),
}

impl Compressor {
    /// Returns a compressor; nothing for a codec that does not compress.
    pub(super) fn new(codec: Codec) -> io::Result<Option<Self>> {
        Ok(match codec {
            Codec::Plain => None,
            Codec::Gzip(level) => {
                let level = CompressionLvl::new(level).map_err(|_| io::Error::other("gzip has no such level"))?;
                Some(Self::Gzip(Box::new(Deflater::new(level))))
            }
            Codec::Zstd(level) => {
                let mut zstd = Zstd::new(level)?;
                zstd.set_parameter(CParameter::ChecksumFlag(true))?;
                Some(Self::Zstd(zstd))
            }
        })
    }

    /// Compresses `input` as a whole member or frame into `output`, whose old content is lost.
    pub(super) fn compress(&mut self, input: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
        let bound = match self {
            Self::Gzip(deflater) => deflater.gzip_compress_bound(input.len()),
            Self::Zstd(_) => zstd::zstd_safe::compress_bound(input.len()),
        };
        // Buffers are used again: what is there needs no clearing.
        if output.len() < bound {
            output.resize(bound, 0);
        }
        let length = match self {
            Self::Gzip(deflater) => deflater.gzip_compress(input, output).map_err(io::Error::other)?,
            Self::Zstd(zstd) => zstd.compress_to_buffer(input, &mut output[..])?,
        };
        output.truncate(length);
        Ok(())
    }
}
