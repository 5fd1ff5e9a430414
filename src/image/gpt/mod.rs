//! GUID partition tables (UEFI specification 2.10, chapter 5) of disk images.
//!
//! Comes in: partitions to describe, or an image that may hold anything. Goes out: the table as bytes, or the table that
//! was found with every fault in it. Always holds: reading takes bounded time and memory and never panics; what is
//! written has 512-byte sectors and is found without fault by the reader.

mod read;
mod seed;
mod types;
mod write;

#[cfg(test)]
mod tests;

use uuid::Uuid;

pub use read::{Copy, Fault, GptError, Reading, read};
pub use seed::Seed;
pub use types::{PartitionKind, PartitionRole, PartitionType};

/// Bytes of a sector in images that are written.
pub const SECTOR: u64 = 512;
/// What partitions begin and end on, in bytes: the block of verity and of most file systems.
pub const ALIGNMENT: u64 = 4096;
/// The flag of a partition that must not be written to (UAPI.2, discoverable partitions).
pub const READ_ONLY: u64 = 1 << 60;
/// The flag of a partition whose file system is grown to fill it (UAPI.2).
pub const GROW_FILE_SYSTEM: u64 = 1 << 59;
/// The flag of a partition that is not discovered (UAPI.2).
pub const NO_AUTO: u64 = 1 << 63;

/// Bytes of one entry, and how many there are in tables that are written (UEFI 5.3.2 asks for 16 KiB at least).
const ENTRY: usize = 128;
const ENTRIES: usize = 128;
/// Bytes of a header, without the rest of its sector.
const HEADER: usize = 92;
/// UTF-16 units of a name.
const NAME: usize = 36;
const SIGNATURE: &[u8; 8] = b"EFI PART";
/// Revision 1.0.
const REVISION: u32 = 0x0001_0000;

/// A partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The identity of the disk.
    pub disk: Uuid,
    /// Bytes of the whole image.
    pub length: u64,
    /// Bytes of a sector: 512 or 4096.
    pub sector: u64,
    /// The first byte that a partition may use.
    pub first_usable: u64,
    /// The entries in use, in the order of the table.
    pub partitions: Vec<Partition>,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// What the partition is for: a known meaning has a [`PartitionType`].
    pub type_uuid: Uuid,
    /// Its identity.
    pub uuid: Uuid,
    /// Where it begins in the image, in bytes.
    pub offset: u64,
    /// Its bytes.
    pub length: u64,
    /// Attributes: [`READ_ONLY`] and others.
    pub flags: u64,
    /// Its label, of at most 36 UTF-16 units.
    pub label: String,
}

impl Partition {
    /// Returns the partition of a known type, read-only and labelled as systemd-repart does.
    pub fn new(kind: PartitionType, uuid: Uuid, offset: u64, length: u64) -> Self {
        Self { type_uuid: kind.uuid(), uuid, offset, length, flags: READ_ONLY, label: kind.label() }
    }

    /// Returns what the partition is for, when that is known.
    pub fn kind(&self) -> Option<PartitionType> {
        PartitionType::from_uuid(self.type_uuid)
    }

    /// Returns the first byte behind the partition.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.length)
    }
}
