//! Types of discoverable partitions (UAPI.2).

use uuid::{Uuid, uuid};

use crate::distro::Architecture;

/// What the data partition of an image holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PartitionRole {
    /// A root file system, or the root of an extension.
    Root,
    /// What belongs below `/usr`.
    Usr,
}

/// The part that a partition plays beside the others of its role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PartitionKind {
    /// The file system.
    Data,
    /// The verity hash tree.
    Verity,
    /// The signature of the root hash.
    Signature,
}

/// The type of a partition of a discoverable disk image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PartitionType {
    /// What the image holds.
    pub role: PartitionRole,
    /// The part that this partition plays.
    pub kind: PartitionKind,
    /// For which architecture.
    pub architecture: Architecture,
}

use Architecture::{Aarch64, Riscv64, X86_64};
use PartitionKind::{Data, Signature, Verity};
use PartitionRole::{Root, Usr};

/// Every known type.
const TYPES: [(PartitionRole, PartitionKind, Architecture, Uuid); 18] = [
    (Root, Data, X86_64, uuid!("4f68bce3-e8cd-4db1-96e7-fbcaf984b709")),
    (Root, Verity, X86_64, uuid!("2c7357ed-ebd2-46d9-aec1-23d437ec2bf5")),
    (Root, Signature, X86_64, uuid!("41092b05-9fc8-4523-994f-2def0408b176")),
    (Usr, Data, X86_64, uuid!("8484680c-9521-48c6-9c11-b0720656f69e")),
    (Usr, Verity, X86_64, uuid!("77ff5f63-e7b6-4633-acf4-1565b864c0e6")),
    (Usr, Signature, X86_64, uuid!("e7bb33fb-06cf-4e81-8273-e543b413e2e2")),
    (Root, Data, Aarch64, uuid!("b921b045-1df0-41c3-af44-4c6f280d3fae")),
    (Root, Verity, Aarch64, uuid!("df3300ce-d69f-4c92-978c-9bfb0f38d820")),
    (Root, Signature, Aarch64, uuid!("6db69de6-29f4-4758-a7a5-962190f00ce3")),
    (Usr, Data, Aarch64, uuid!("b0e01050-ee5f-4390-949a-9101b17104e9")),
    (Usr, Verity, Aarch64, uuid!("6e11a4e7-fbca-4ded-b9e9-e1a512bb664e")),
    (Usr, Signature, Aarch64, uuid!("c23ce4ff-44bd-4b00-b2d4-b41b3419e02a")),
    (Root, Data, Riscv64, uuid!("72ec70a6-cf74-40e6-bd49-4bda08e8f224")),
    (Root, Verity, Riscv64, uuid!("b6ed5582-440b-4209-b8da-5ff7c419ea3d")),
    (Root, Signature, Riscv64, uuid!("efe0f087-ea8d-4469-821a-4c2a96a8386a")),
    (Usr, Data, Riscv64, uuid!("beaec34b-8442-439b-a40b-984381ed097d")),
    (Usr, Verity, Riscv64, uuid!("8f1056be-9b05-47c4-81d6-be53128e5b54")),
    (Usr, Signature, Riscv64, uuid!("d2f9000a-7a18-453f-b5cd-4d32f77a7b32")),
];

impl PartitionType {
    /// Returns the UUID of the type.
    pub fn uuid(self) -> Uuid {
        let known = TYPES.iter().find(|(role, kind, architecture, _)| {
            (*role, *kind, *architecture) == (self.role, self.kind, self.architecture)
        });
        known.map_or(Uuid::nil(), |(.., uuid)| *uuid)
    }

    /// Returns the type with this UUID, when it is known.
    pub fn from_uuid(uuid: Uuid) -> Option<Self> {
        let (role, kind, architecture, _) = *TYPES.iter().find(|(.., known)| *known == uuid)?;
        Some(Self { role, kind, architecture })
    }

    /// Returns the name that systemd gives the type, which is the label of partitions that have no other:
    /// `root-x86-64-verity`.
    pub fn label(self) -> String {
        let role = match self.role {
            Root => "root",
            Usr => "usr",
        };
        let kind = match self.kind {
            Data => "",
            Verity => "-verity",
            Signature => "-verity-sig",
        };
        let architecture = match self.architecture {
            X86_64 => "x86-64",
            Aarch64 => "arm64",
            Riscv64 => "riscv64",
        };
        format!("{role}-{architecture}{kind}")
    }
}
