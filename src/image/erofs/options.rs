//! What an image is asked to be.

use std::fmt;
use std::num::NonZeroUsize;

use super::ErofsError;
use super::format::BLOCK;
use super::kernel::Feature;
use crate::spec::KernelVersion;
use crate::store::ChunkCache;

/// The fewest bytes that are compressed at once.
const CHUNK_MIN: u32 = 4 * BLOCK as u32;
/// The most bytes that are compressed at once: the kernel's largest window for zstd.
pub(super) const CHUNK_MAX: u32 = 1 << 20;
/// The longest label, in bytes; a zero byte follows it.
const LABEL_MAX: usize = 15;

/// How file content is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Not at all.
    None,
    /// LZ4, fast: the level is its acceleration, 1 to 65537, where more is faster and larger.
    Lz4,
    /// LZ4 with a thorough search: levels 3 to 12. It is read as fast as any LZ4.
    Lz4hc,
    /// Zstandard: levels 1 to 22. Linux 6.10 or later.
    Zstd,
}

impl Codec {
    /// Returns its name: `zstd`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
            Self::Lz4hc => "lz4hc",
            Self::Zstd => "zstd",
        }
    }

    fn levels(self) -> std::ops::RangeInclusive<i32> {
        match self {
            Self::None => 0..=0,
            Self::Lz4 => 1..=65537,
            Self::Lz4hc => 3..=12,
            Self::Zstd => 1..=22,
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A codec and its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Compression {
    /// How content is compressed.
    pub codec: Codec,
    /// How hard the codec tries: its own scale.
    pub level: i32,
    /// How many bytes are compressed at once: a power of two from 16 KiB to 1 MiB, and up to twice as many, at most 1 MiB,
    /// where that saves a remainder. More makes smaller images and slower random reads.
    pub chunk: u32,
}

impl Compression {
    /// No compression.
    pub const NONE: Self = Self { codec: Codec::None, level: 0, chunk: 256 << 10 };
}

/// A word for how to compress, which means what suits the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// `none`: not compressed.
    None,
    /// `fast`: for images that are built over and over.
    Fast,
    /// `default`: much smaller for little time.
    Default,
    /// `small`: for images that are built once and carried far.
    Small,
}

impl Profile {
    /// Every profile, by its word.
    pub const ALL: [(&'static str, Self); 4] =
        [("none", Self::None), ("fast", Self::Fast), ("default", Self::Default), ("small", Self::Small)];

    /// Returns the compression that it means for images that `kernel` reads.
    pub fn compression(self, kernel: KernelVersion) -> Compression {
        let zstd = Feature::Zstd.is_in(kernel);
        let (codec, level, chunk) = match self {
            Self::None => return Compression::NONE,
            Self::Fast if zstd => (Codec::Zstd, 1, 256 << 10),
            // Before a byte of an LZ4 extent can be read, all bytes of the extent before it are decoded, each time anew.
            Self::Fast => (Codec::Lz4, 1, 128 << 10),
            // What the kernel decodes of a zstd extent stays in its cache: twice as much costs single reads little.
            Self::Default if zstd => (Codec::Zstd, 3, 512 << 10),
            // Level 9 takes half as long again for one 300th less.
            Self::Default => (Codec::Lz4hc, 6, 128 << 10),
            Self::Small if zstd => (Codec::Zstd, 15, 1 << 20),
            Self::Small => (Codec::Lz4hc, 12, 128 << 10),
        };
        Compression { codec, level, chunk }
    }
}

/// What an image is asked to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// How file content is compressed.
    pub compression: Compression,
    /// The oldest kernel that has to read the image.
    pub target_kernel: KernelVersion,
    /// Whether small files are concatenated and compressed together. Linux 6.1 or later; says nothing without compression.
    pub packing: bool,
    /// The UUID of the file system; otherwise one made from the content.
    pub uuid: Option<[u8; 16]>,
    /// The name of the volume: at most 15 bytes.
    pub label: String,
    /// How many threads compress. The image does not depend on it.
    pub threads: NonZeroUsize,
    /// Where compressed chunks are kept for the next image. The image does not depend on it.
    pub cache: Option<ChunkCache>,
}

impl Options {
    /// Returns what suits `target_kernel` best, compressed as `profile` says, with a thread for every processor.
    pub fn new(profile: Profile, target_kernel: KernelVersion) -> Self {
        Self {
            compression: profile.compression(target_kernel),
            target_kernel,
            packing: Feature::Packing.is_in(target_kernel),
            uuid: None,
            label: String::new(),
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            cache: None,
        }
    }

    /// Checks that the settings exist and that the target reads what is asked for.
    pub(super) fn check(&self) -> Result<(), ErofsError> {
        let Compression { codec, level, chunk } = self.compression;
        self.require("EROFS", Feature::Core)?;
        if codec != Codec::None {
            self.require("EROFS with compressed files", Feature::BigClusters)?;
            if self.packing {
                self.require("packing of small files", Feature::Packing)?;
            }
        }
        if codec == Codec::Zstd {
            self.require("the codec `zstd`", Feature::Zstd)?;
        }
        let refuse = |what, value: String, expected: String| Err(ErofsError::Setting { what, value, expected });
        if !codec.levels().contains(&level) {
            let (least, most) = codec.levels().into_inner();
            return refuse("compression level", level.to_string(), format!("{least} to {most} for `{codec}`"));
        }
        if !chunk.is_power_of_two() || !(CHUNK_MIN..=CHUNK_MAX).contains(&chunk) {
            return refuse("chunk", chunk.to_string(), "a power of two from 16384 to 1048576 bytes".into());
        }
        if self.label.len() > LABEL_MAX || self.label.contains('\0') {
            return refuse("label", format!("{:?}", self.label), "at most 15 bytes, none of them zero".into());
        }
        Ok(())
    }

    fn require(&self, what: &'static str, feature: Feature) -> Result<(), ErofsError> {
        if feature.is_in(self.target_kernel) {
            return Ok(());
        }
        Err(ErofsError::Unsupported { what, since: feature.since(), target: self.target_kernel })
    }

    /// Tells whether small files go into the packed inode.
    pub(super) fn packs(&self) -> bool {
        self.packing && self.compression.codec != Codec::None
    }

    /// Tells whether files of the same content may share it.
    pub(super) fn shares(&self) -> bool {
        self.compression.codec == Codec::None || Feature::Packing.is_in(self.target_kernel)
    }
}
