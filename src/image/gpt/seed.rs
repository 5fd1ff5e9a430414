//! Identities and salts derived from a seed, in the way of systemd-repart(8).

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::{Builder, Uuid};

use super::PartitionType;

/// What identities and salts of an image are derived from: two images with one seed have the same ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed([u8; 16]);

impl Seed {
    /// Returns the seed with these bytes, in the order in which a UUID is written.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the identity of the disk.
    pub fn disk(self) -> Uuid {
        version_4(authenticate(&self.0, b"disk-uuid"))
    }

    /// Returns the identity of the first partition of a type.
    pub fn partition(self, kind: PartitionType) -> Uuid {
        version_4(authenticate(&self.0, kind.uuid().as_bytes()))
    }

    /// Returns the identity of the file system in the first partition of a type.
    pub fn file_system(self, kind: PartitionType) -> Uuid {
        version_4(authenticate(self.partition(kind).as_bytes(), b"file-system-uuid"))
    }

    /// Returns the salt of a verity hash tree.
    pub fn verity_salt(self) -> [u8; 32] {
        authenticate(&self.0, b"verity-salt")
    }

    /// Returns the identity of a verity hash tree.
    pub fn verity(self) -> Uuid {
        version_4(authenticate(&self.0, b"verity-uuid"))
    }
}

/// HMAC-SHA256 (RFC 2104).
fn authenticate(key: &[u8; 16], message: &[u8]) -> [u8; 32] {
    // HMAC takes keys of every length; this one is shorter than a block.
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let mut state = Hmac::<Sha256>::new(&block.into());
    state.update(message);
    state.finalize().into_bytes().into()
}

/// Makes random bytes a UUID of version 4 (RFC 9562, 5.4).
fn version_4(bytes: [u8; 32]) -> Uuid {
    let mut half = [0; 16];
    half.copy_from_slice(&bytes[..16]);
    Builder::from_random_bytes(half).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distro::Architecture;
    use crate::image::gpt::{PartitionKind, PartitionRole};

    /// What systemd-repart 257 derives.
    #[test]
    fn derives_what_systemd_repart_does() {
        let seed = Seed::from_bytes(Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff).into_bytes());
        let kind = PartitionType {
            role: PartitionRole::Root,
            kind: PartitionKind::Signature,
            architecture: Architecture::X86_64,
        };
        let found = [seed.disk(), seed.partition(kind), seed.verity(), seed.file_system(kind)];
        insta::assert_snapshot!(found.map(|uuid| uuid.to_string()).join("\n"), @r"
        cb0e21c2-5b52-46e4-a3d3-f2d2819576b9
        212a3948-aa09-4545-93a7-395503009e01
        3a460cbc-bf03-4660-bcd6-3cb9e9b0b168
        cddc8411-0246-47a5-bb87-249cde313be7
        ");
        assert_eq!(kind.label(), "root-x86-64-verity-sig");
    }
}
