//! dm-verity hash trees, in the format of veritysetup(8): type 1, SHA-256, blocks of 4096 bytes.
//!
//! Comes in: data whose length is a multiple of 4096 bytes, a salt, an identity. Goes out: the hash area, which is a
//! superblock and the levels of the tree, the topmost first, and the root hash. Always holds: the same data, salt and
//! identity give the same bytes, with any number of threads; a thread works with half a MiB.
//!
//! A digest is SHA-256 of the salt and a block. A block of the tree holds 128 digests of the level below, the rest of the
//! last one is zero. The root hash is the digest of the only block of the top level, or of the data when it is one block.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::digest::Digest;

/// Bytes of a block, of the data and of the tree.
pub const BLOCK: u64 = 4096;

const BLOCK_LENGTH: usize = BLOCK as usize;
const DIGEST_LENGTH: usize = 32;
/// Digests in a block of the tree.
const FANOUT: u64 = BLOCK / DIGEST_LENGTH as u64;
const MAGIC: &[u8; 8] = b"verity\0\0";
const ALGORITHM: &[u8; 6] = b"sha256";
/// Bytes of salt that a superblock has room for.
const MOST_SALT: usize = 256;

/// A part of a file, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Region<'file> {
    /// The file.
    pub file: &'file File,
    /// Where the part begins.
    pub offset: u64,
    /// How long it is.
    pub length: u64,
}

/// What a hash tree is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    /// The identity of the tree.
    pub uuid: Uuid,
    /// Blocks of data.
    pub data_blocks: u64,
    /// What is hashed in front of every block, at most 256 bytes.
    pub salt: Vec<u8>,
}

/// Data or a tree that are not as they should be.
#[derive(Debug, thiserror::Error)]
pub enum VerityError {
    /// A file cannot be read or written.
    #[error("cannot read or write the data or its hash tree")]
    File(#[from] io::Error),
    /// The data cannot have a tree.
    #[error("{0} bytes cannot have a verity hash tree: it needs one or more blocks of {BLOCK} bytes; pad the data")]
    DataLength(u64),
    /// The salt is too long.
    #[error("a salt of {0} bytes is too long: a verity superblock has room for {MOST_SALT}")]
    Salt(usize),
    /// There is no superblock, or one that says what is not supported.
    #[error("{reason}: expected a verity superblock of version 1 and type 1 with sha256 and blocks of {BLOCK} bytes")]
    Superblock {
        /// What was found.
        reason: String,
    },
    /// A part is shorter than the superblock says.
    #[error("the {what} has {found} bytes, the superblock speaks of {expected}")]
    Short {
        /// `data` or `hash tree`.
        what: &'static str,
        /// Its bytes.
        found: u64,
        /// The bytes that it should have.
        expected: u64,
    },
    /// The top of the tree does not have the root hash.
    #[error("the hash tree has the root hash {}, expected {}", found.hex(), expected.hex())]
    RootHash {
        /// What it has.
        found: Digest,
        /// What it should have.
        expected: Digest,
    },
    /// A block of the tree was changed.
    #[error("block {block} of the hash tree does not have its digest")]
    TreeBlock {
        /// The first of them, counted from the superblock, which is block 0.
        block: u64,
    },
    /// A block of the data was changed.
    #[error("block {block} of the data does not have its digest (bytes {} to {})", block * BLOCK, (block + 1) * BLOCK)]
    DataBlock {
        /// The first of them, from 0.
        block: u64,
    },
}

type Result<T> = std::result::Result<T, VerityError>;

/// Returns the bytes that the superblock and the tree of `data_length` bytes take.
pub fn tree_length(data_length: u64) -> u64 {
    BLOCK * (1 + levels(data_length / BLOCK).iter().map(|level| level.blocks).sum::<u64>())
}

/// Writes superblock and tree of `data` to `tree`, which must be a part of [`tree_length`] bytes, and returns the root
/// hash.
///
/// # Errors
/// When the data is empty or does not consist of whole blocks, the salt is too long, or reading or writing fails.
pub fn format(data: Region<'_>, tree: Region<'_>, uuid: Uuid, salt: &[u8]) -> Result<Digest> {
    if data.length == 0 || !data.length.is_multiple_of(BLOCK) {
        return Err(VerityError::DataLength(data.length));
    }
    if salt.len() > MOST_SALT {
        return Err(VerityError::Salt(salt.len()));
    }
    let superblock = Superblock { uuid, data_blocks: data.length / BLOCK, salt: salt.to_vec() };
    fits("hash tree", tree.length, tree_length(data.length))?;
    tree.file.write_all_at(&superblock.to_bytes(), tree.offset)?;
    let hasher = salted(salt);
    let mut below = data;
    for level in levels(superblock.data_blocks).iter().rev() {
        let own = level.region(tree);
        (0..level.blocks).into_par_iter().try_for_each_init(Vec::new, |buffer, index| {
            let block = hash_block(&hasher, below, index, buffer)?;
            own.file.write_all_at(&block, own.offset + index * BLOCK)
        })?;
        below = own;
    }
    Ok(digest(&hasher, &read_block(below, 0)?))
}

/// Checks every block of `tree` and then of `data`, and returns the superblock. A tree that is longer than it must be, or
/// data that goes on behind what the tree covers, is fine: partitions may be larger than what is in them.
///
/// # Errors
/// When the superblock cannot be understood, and for the first block that does not have its digest.
pub fn verify(data: Region<'_>, tree: Region<'_>, root: &Digest) -> Result<Superblock> {
    let superblock = Superblock::read(tree)?;
    let covered = superblock.data_blocks.saturating_mul(BLOCK);
    fits("data", data.length, covered)?;
    fits("hash tree", tree.length, tree_length(covered))?;
    let found = superblock.root_hash(data, tree)?;
    if found != *root {
        return Err(VerityError::RootHash { found, expected: *root });
    }
    let hasher = salted(&superblock.salt);
    let levels = levels(superblock.data_blocks);
    for (depth, level) in levels.iter().enumerate() {
        let own = level.region(tree);
        let below = levels.get(depth + 1).map_or(Region { length: covered, ..data }, |level| level.region(tree));
        if let Some(block) = first_bad(&hasher, own, below, level.blocks)? {
            let tree_block = || below.offset.saturating_sub(tree.offset) / BLOCK + block;
            let in_tree = depth + 1 < levels.len();
            return Err(if in_tree {
                VerityError::TreeBlock { block: tree_block() }
            } else {
                VerityError::DataBlock { block }
            });
        }
    }
    Ok(superblock)
}

/// Returns the number of the first block of `below` that does not have the digest that `own` has for it.
fn first_bad(hasher: &Sha256, own: Region<'_>, below: Region<'_>, blocks: u64) -> Result<Option<u64>> {
    let found = (0..blocks).into_par_iter().map_init(Vec::new, |buffer, index| {
        let expected = read_block(own, index)?;
        let found = hash_block(hasher, below, index, buffer)?;
        let pairs = expected.chunks_exact(DIGEST_LENGTH).zip(found.chunks_exact(DIGEST_LENGTH));
        let bad = pairs.zip(0..).find(|((expected, found), _)| expected != found);
        // What is behind the last digest is zero.
        Ok::<_, io::Error>(bad.map(|(_, place)| (index * FANOUT + place).min(below.length / BLOCK - 1)))
    });
    let first = found.find_first(|found| !matches!(found, Ok(None)));
    Ok(first.transpose()?.flatten())
}

impl Superblock {
    /// Reads the superblock in front of a tree.
    ///
    /// # Errors
    /// When it cannot be read, is not there, or says what is not supported.
    pub fn read(tree: Region<'_>) -> Result<Self> {
        fits("hash tree", tree.length, BLOCK)?;
        Self::parse(&read_block(tree, 0)?)
    }

    fn parse(block: &[u8]) -> Result<Self> {
        let wrong = |reason: &str| VerityError::Superblock { reason: reason.to_owned() };
        let short =
            |start: usize| u32::from_le_bytes([block[start], block[start + 1], block[start + 2], block[start + 3]]);
        if !block.starts_with(MAGIC) {
            return Err(wrong("there is none"));
        }
        if (short(8), short(12)) != (1, 1) {
            return Err(wrong(&format!("version {}, type {}", short(8), short(12))));
        }
        let algorithm = block[32..64].split(|byte| *byte == 0).next().unwrap_or_default();
        if algorithm != ALGORITHM {
            return Err(wrong(&format!("algorithm `{}`", String::from_utf8_lossy(algorithm))));
        }
        if (short(64), short(68)) != (BLOCK as u32, BLOCK as u32) {
            return Err(wrong(&format!("blocks of {} and {} bytes", short(64), short(68))));
        }
        let data_blocks = u64::from(short(72)) | u64::from(short(76)) << 32;
        let salt = usize::from(u16::from_le_bytes([block[80], block[81]]));
        if salt > MOST_SALT || data_blocks == 0 || data_blocks > u64::MAX / BLOCK / 2 {
            return Err(wrong(&format!("{data_blocks} blocks of data, {salt} bytes of salt")));
        }
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&block[16..32]);
        Ok(Self { uuid: Uuid::from_bytes(uuid), data_blocks, salt: block[88..88 + salt].to_vec() })
    }

    /// Returns the root hash of a tree that has this superblock: the digest of its topmost block, which is the data itself
    /// when that is one block. Nothing below is looked at.
    ///
    /// # Errors
    /// When that block cannot be read.
    pub fn root_hash(&self, data: Region<'_>, tree: Region<'_>) -> Result<Digest> {
        let top = levels(self.data_blocks).first().map_or(data, |level| level.region(tree));
        Ok(digest(&salted(&self.salt), &read_block(top, 0)?))
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut block = Vec::with_capacity(BLOCK_LENGTH);
        block.extend(MAGIC);
        block.extend([1_u32, 1].map(u32::to_le_bytes).concat());
        block.extend(self.uuid.as_bytes());
        block.extend(ALGORITHM);
        block.resize(64, 0);
        block.extend([BLOCK as u32; 2].map(u32::to_le_bytes).concat());
        block.extend(self.data_blocks.to_le_bytes());
        block.extend((self.salt.len() as u16).to_le_bytes());
        block.resize(88, 0);
        block.extend(&self.salt);
        block.resize(BLOCK_LENGTH, 0);
        block
    }
}

/// One level of a tree.
#[derive(Debug, Clone, Copy)]
struct Level {
    /// Its first block, counted from the superblock.
    start: u64,
    blocks: u64,
}

impl Level {
    fn region(self, tree: Region<'_>) -> Region<'_> {
        Region { file: tree.file, offset: tree.offset + self.start * BLOCK, length: self.blocks * BLOCK }
    }
}

/// Returns the levels above `data_blocks` blocks, the topmost first.
fn levels(data_blocks: u64) -> Vec<Level> {
    let mut counts = Vec::new();
    let mut below = data_blocks;
    while below > 1 {
        below = below.div_ceil(FANOUT);
        counts.push(below);
    }
    let mut start = 1;
    let place = |blocks| {
        let level = Level { start, blocks };
        start += blocks;
        level
    };
    counts.into_iter().rev().map(place).collect()
}

/// Returns the block of the tree that stands for the blocks of `below` from `index` times [`FANOUT`] on.
fn hash_block(hasher: &Sha256, below: Region<'_>, index: u64, buffer: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let start = index * FANOUT * BLOCK;
    let length = below.length.saturating_sub(start).min(FANOUT * BLOCK);
    buffer.resize(length as usize, 0);
    below.file.read_exact_at(buffer, below.offset + start)?;
    let mut block = Vec::with_capacity(BLOCK_LENGTH);
    for piece in buffer.chunks_exact(BLOCK_LENGTH) {
        block.extend_from_slice(digest(hasher, piece).as_bytes());
    }
    block.resize(BLOCK_LENGTH, 0);
    Ok(block)
}

fn read_block(region: Region<'_>, index: u64) -> io::Result<Vec<u8>> {
    let mut block = vec![0; BLOCK_LENGTH];
    region.file.read_exact_at(&mut block, region.offset + index * BLOCK)?;
    Ok(block)
}

/// Returns a hasher that has taken the salt.
fn salted(salt: &[u8]) -> Sha256 {
    Sha256::new_with_prefix(salt)
}

fn digest(salted: &Sha256, block: &[u8]) -> Digest {
    Digest::from_bytes(salted.clone().chain_update(block).finalize().into())
}

fn fits(what: &'static str, found: u64, expected: u64) -> Result<()> {
    if found < expected { Err(VerityError::Short { what, found, expected }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
