//! Directories as bytes.
//!
//! A directory is a sequence of blocks, each with its entries of 12 bytes and then their names. Names are in the order of
//! their bytes over the whole directory, `.` and `..` among them: the kernel searches by halves.

use super::format::BLOCK;
use super::plan::{Directory, Inode};
use crate::tree::Kind;

/// Bytes of an entry without its name.
const ENTRY: usize = 12;

/// A name, its inode, and nothing else.
type Name<'name> = (&'name [u8], u32);

/// Returns all names of a directory, sorted.
fn names<'dir>(directory: &'dir Directory<'_>) -> Vec<Name<'dir>> {
    let mut names: Vec<Name<'dir>> = Vec::with_capacity(directory.entries.len() + 2);
    names.extend(directory.entries.iter().map(|entry| (entry.name, entry.inode)));
    for own in [(b".".as_slice(), directory.inode), (b"..".as_slice(), directory.parent)] {
        names.insert(names.partition_point(|name| name.0 < own.0), own);
    }
    names
}

/// Returns the names that go into each block.
fn blocks<'names, 'dir>(names: &'names [Name<'dir>]) -> impl Iterator<Item = &'names [Name<'dir>]> {
    let mut rest = names;
    std::iter::from_fn(move || {
        let mut room = BLOCK;
        let fits = |name: &&Name<'_>| {
            let left = room.checked_sub(ENTRY + name.0.len());
            room = left.unwrap_or(room);
            left.is_some()
        };
        let count = rest.iter().take_while(fits).count();
        let (block, others) = rest.split_at(count);
        rest = others;
        (count > 0).then_some(block)
    })
}

fn used(block: &[Name<'_>]) -> usize {
    block.iter().map(|(name, _)| ENTRY + name.len()).sum()
}

/// Returns the size of a directory in bytes.
pub(super) fn size(directory: &Directory<'_>) -> u64 {
    let names = names(directory);
    let (count, last) = blocks(&names).fold((0, 0), |(count, _), block| (count + 1, used(block)));
    ((count - 1) * BLOCK + last) as u64
}

/// Appends a directory, whose inodes have the numbers `nids`.
pub(super) fn encode(directory: &Directory<'_>, inodes: &[Inode<'_>], nids: &[u64], out: &mut Vec<u8>) {
    for block in blocks(&names(directory)) {
        out.resize(out.len().next_multiple_of(BLOCK), 0);
        let mut offset = block.len() * ENTRY;
        for (name, inode) in block {
            out.extend(nids[*inode as usize].to_le_bytes());
            out.extend((offset as u16).to_le_bytes());
            out.extend([file_type(&inodes[*inode as usize].node.kind), 0]);
            offset += name.len();
        }
        block.iter().for_each(|(name, _)| out.extend(*name));
    }
}

fn file_type(kind: &Kind) -> u8 {
    match kind {
        Kind::Regular(_) => 1,
        Kind::Directory { .. } => 2,
        Kind::CharacterDevice(_) | Kind::Whiteout => 3,
        Kind::BlockDevice(_) => 4,
        Kind::Fifo => 5,
        Kind::Socket => 6,
        Kind::Symlink(_) => 7,
    }
}
