//! What each version of Linux reads.

use crate::spec::KernelVersion;

/// A part of the format that not every kernel reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feature {
    /// Uncompressed files, inline tails, extended attributes.
    Core,
    /// Compressed extents of more than one block, and the record of codec settings that goes with them.
    BigClusters,
    /// The end of a compressed file behind its inode.
    InlineTails,
    /// Small files concatenated into the packed inode, and compressed extents that several files share.
    Packing,
    /// The filter that tells quickly that an inode lacks an attribute. Older kernels read past it.
    AttributeFilter,
    /// The codec.
    Zstd,
}

impl Feature {
    /// Returns the first kernel that reads it.
    pub(super) const fn since(self) -> KernelVersion {
        match self {
            Self::Core => KernelVersion::new(5, 4),
            Self::BigClusters => KernelVersion::new(5, 13),
            Self::InlineTails => KernelVersion::new(5, 17),
            Self::Packing => KernelVersion::new(6, 1),
            Self::AttributeFilter => KernelVersion::new(6, 6),
            Self::Zstd => KernelVersion::new(6, 10),
        }
    }

    pub(super) fn is_in(self, kernel: KernelVersion) -> bool {
        kernel >= self.since()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_numbers() {
        assert!(KernelVersion::new(6, 9) < KernelVersion::new(6, 10));
        assert!(!Feature::Zstd.is_in(KernelVersion::new(6, 9)) && Feature::Zstd.is_in(KernelVersion::new(7, 0)));
    }
}
