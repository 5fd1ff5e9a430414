//! Versions of Linux, and what each reads.

use std::fmt;
use std::str::FromStr;

/// A version of Linux, such as 6.12; an image is written so that this one and all later ones read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KernelVersion {
    /// The number before the dot.
    pub major: u16,
    /// The number after the dot.
    pub minor: u16,
}

/// A text that is no version of Linux.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no Linux version: expected two numbers and a dot, such as `6.12`")]
pub struct InvalidKernelVersion(String);

impl KernelVersion {
    /// Returns the version MAJOR.MINOR.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for KernelVersion {
    type Err = InvalidKernelVersion;

    fn from_str(text: &str) -> Result<Self, InvalidKernelVersion> {
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            if plain { digits.parse().ok() } else { None }
        };
        let (major, minor) = text.split_once('.').ok_or_else(|| InvalidKernelVersion(text.to_owned()))?;
        match (number(major), number(minor)) {
            (Some(major), Some(minor)) => Ok(Self { major, minor }),
            _ => Err(InvalidKernelVersion(text.to_owned())),
        }
    }
}

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
    fn versions_are_two_numbers() {
        assert_eq!("6.12".parse(), Ok(KernelVersion::new(6, 12)));
        assert_eq!(KernelVersion::new(5, 4).to_string(), "5.4");
        for text in ["", "6", "6.", ".1", "6.12.1", "+6.1", "6.-1", "6. 1", "99999.1", "six.one"] {
            let error = text.parse::<KernelVersion>().unwrap_err();
            assert!(error.to_string().contains("such as `6.12`"), "{error}");
        }
    }

    #[test]
    fn versions_are_ordered_as_numbers() {
        assert!(KernelVersion::new(6, 9) < KernelVersion::new(6, 10));
        assert!(!Feature::Zstd.is_in(KernelVersion::new(6, 9)) && Feature::Zstd.is_in(KernelVersion::new(7, 0)));
    }
}
