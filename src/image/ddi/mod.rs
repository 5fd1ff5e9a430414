//! Discoverable disk images (UAPI.2, UAPI.3): a file system in a partition table, with verity and a signature.
//!
//! Comes in: the image of a file system, copied once or written straight into place; what it holds, a seed, and whether it
//! is hashed and signed. Goes out: an image that systemd-repart(8) would have written byte for byte; or what an image that
//! may hold anything turns out to be. Always holds: partitions lie tight one behind the other, data, hash tree, signature;
//! all are read-only, none is grown; the halves of the root hash are the UUIDs of data and hash tree.

mod draft;
mod read;
mod sign;

#[cfg(test)]
mod tests;

use std::io;

use super::gpt::{self, PartitionRole, Seed};
use super::signature::{SignatureError, Signer};
use super::verity::VerityError;
use crate::distro::Architecture;

pub use draft::{Draft, Payload, Sealed, write};
pub use read::{Ddi, Fault, HashTree, SignaturePartition, VerifyError, read};
pub use sign::{Signed, sign};

/// Bytes of a signature partition, as systemd-repart makes it.
const SIGNATURE_LENGTH: u64 = 16 << 10;
/// Longer signature partitions than this are not read, by systemd neither.
const MOST_SIGNATURE: u64 = 4 << 20;

/// What an image becomes.
#[derive(Debug, Clone, Copy)]
pub struct Options<'signer> {
    /// What the payload is.
    pub role: PartitionRole,
    /// For which architecture.
    pub architecture: Architecture,
    /// What identities and the salt are derived from.
    pub seed: Seed,
    /// How its content is protected.
    pub verity: Verity<'signer>,
}

/// How the content of an image is protected.
#[derive(Debug, Clone, Copy)]
pub enum Verity<'signer> {
    /// Not at all.
    None,
    /// By a hash tree.
    Hash,
    /// By a hash tree, with room for a signature that [`sign()`] adds later.
    Defer,
    /// By a hash tree whose root hash is signed.
    Signed(&'signer Signer),
}

/// An image that cannot be written or signed.
#[derive(Debug, thiserror::Error)]
pub enum DdiError {
    /// It cannot be read or written.
    #[error("cannot read or write the image")]
    File(#[from] io::Error),
    /// There is nothing to put into it.
    #[error("the file system of the image is empty")]
    Empty,
    /// There is no table of partitions.
    #[error(transparent)]
    Gpt(#[from] gpt::GptError),
    /// Something is wrong with an image that is to be signed.
    #[error("the image is not signed, because it is faulty: {0}")]
    Faulty(String),
    /// The hash tree cannot be made or is wrong.
    #[error(transparent)]
    Verity(#[from] VerityError),
    /// Signing failed.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// There is nothing that could be signed.
    #[error("the image has no verity hash tree, so there is nothing to sign: render it with `verity = \"defer\"`")]
    NoTree,
    /// There is no room for a signature partition.
    #[error("there is no room for a signature partition: {reason}")]
    NoRoom {
        /// Why, and what to do.
        reason: &'static str,
    },
    /// The signature does not fit.
    #[error("the signature takes {length} bytes, the signature partition has {room}; sign with a shorter certificate")]
    TooLong {
        /// Its bytes as JSON, with a zero byte behind.
        length: u64,
        /// Those of the partition.
        room: u64,
    },
    /// Somebody else works on the image.
    #[error("the image is in use by another program; try again when it is not")]
    Busy,
}

type Result<T> = std::result::Result<T, DdiError>;
