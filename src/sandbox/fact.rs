//! What a path has that a disk of an unprivileged user cannot hold.
//!
//! Comes in: what a command did. Goes out: [`Fact`]s. Always holds: a path without a fact belongs to root and its group, is
//! what the disk says it is, and has no security attributes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::tree::TreePath;

/// The owner of a path, and what else of it is not on the disk as it is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// The path; every path of a hard-linked file has a fact of its own.
    #[serde(with = "path_bytes")]
    pub path: TreePath,
    /// Permission bits with setuid, setgid and sticky; of no meaning for a symbolic link.
    pub mode: u16,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// The device that it is meant to be; an empty regular file stands for it on disk.
    pub device: Option<Device>,
    /// Extended attributes `security.*` and access lists, by name. Capabilities are in the form without a root id.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// A device (makedev(3)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Device {
    /// Whether it is a block device; else it is a character device.
    pub block: bool,
    /// The driver.
    pub major: u32,
    /// The device of that driver.
    pub minor: u32,
}

impl Device {
    /// Returns the bits that tell its type in a mode (inode(7)).
    pub(super) fn type_bits(self) -> u32 {
        if self.block { libc::S_IFBLK } else { libc::S_IFCHR }
    }
}

mod path_bytes {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use crate::tree::TreePath;

    pub(super) fn serialize<S: Serializer>(path: &TreePath, serializer: S) -> Result<S::Ok, S::Error> {
        path.as_bytes().serialize(serializer)
    }

    pub(super) fn deserialize<'text, D: Deserializer<'text>>(deserializer: D) -> Result<TreePath, D::Error> {
        TreePath::from_relative(&Vec::<u8>::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
