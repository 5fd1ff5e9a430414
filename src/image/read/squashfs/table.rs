//! The tables beside inodes and directories: owners, fragments, extended attributes.

use super::block::{Blocks, MetadataReader, Reference};
use super::{NONE, Superblock};
use crate::image::read::ImageFault;
use crate::image::read::assembly::RawXattr;

/// Owners in one block of their table.
const IDS: u64 = 8192 / 4;
/// Fragments, or sets of extended attributes, in one block of their tables.
const RECORDS: u64 = 8192 / 16;
/// The most bytes of the extended attributes of one node.
const XATTRS: usize = 1 << 20;
/// The longest value of an extended attribute (xattr(7)).
const VALUE: u32 = 64 << 10;
/// The flag of a type that says that the value stands elsewhere.
const ELSEWHERE: u16 = 0x100;
const PREFIXES: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];

/// Returns a reader that stands before record `index` of a table whose blocks are listed at `list`.
fn record(blocks: &Blocks, list: u64, index: u64, in_block: u64) -> Result<MetadataReader<'_>, ImageFault> {
    let mut place = [0; 8];
    let entry = list.checked_add(index / in_block * 8).ok_or(ImageFault::Malformed("a table lies far outside"))?;
    blocks.section.read_exact_at(&mut place, entry)?;
    let offset = (index % in_block * (8192 / in_block)) as u16;
    MetadataReader::new(blocks, u64::from_le_bytes(place), Reference { block: 0, offset })
}

/// Reads the table of owners.
pub(super) fn read_ids(blocks: &Blocks, superblock: &Superblock) -> Result<Vec<u32>, ImageFault> {
    let mut ids = Vec::new();
    let count = u64::from(superblock.ids);
    while (ids.len() as u64) < count {
        let from = ids.len() as u64;
        let mut reader = record(blocks, superblock.id_table, from, IDS)?;
        for _ in from..count.min(from + IDS) {
            ids.push(reader.u32()?);
        }
    }
    Ok(ids)
}

/// Returns where a fragment block is, and its size as it is written before blocks of data.
pub(super) fn fragment(blocks: &Blocks, superblock: &Superblock, index: u32) -> Result<(u64, u32), ImageFault> {
    if superblock.fragment_table == NONE || index >= superblock.fragments {
        return Err(ImageFault::Malformed("its fragment is not in the table of fragments"));
    }
    let mut reader = record(blocks, superblock.fragment_table, index.into(), RECORDS)?;
    Ok((reader.u64()?, reader.u32()?))
}

/// The table of extended attributes.
#[derive(Debug)]
pub(super) struct XattrTable {
    /// Where names and values begin.
    values: u64,
    /// Where the blocks of sets are listed.
    list: u64,
    count: u32,
}

impl XattrTable {
    pub(super) fn open(blocks: &Blocks, start: u64) -> Result<Self, ImageFault> {
        let mut header = [0; 16];
        blocks.section.read_exact_at(&mut header, start)?;
        let values = u64::from_le_bytes(std::array::from_fn(|index| header[index]));
        let count = u32::from_le_bytes(std::array::from_fn(|index| header[8 + index]));
        Ok(Self { values, list: start.saturating_add(16), count })
    }

    /// Reads a set of extended attributes.
    pub(super) fn read(&self, blocks: &Blocks, index: u32) -> Result<Vec<RawXattr>, ImageFault> {
        if index >= self.count {
            return Err(ImageFault::Malformed("its extended attributes are not in their table"));
        }
        let mut set = record(blocks, self.list, index.into(), RECORDS)?;
        let (place, count) = (Reference::new(set.u64()?), set.u32()?);
        let mut reader = MetadataReader::new(blocks, self.values, place)?;
        let mut xattrs = Vec::new();
        let mut total = 0;
        for _ in 0..count {
            let (kind, length) = (reader.u16()?, reader.u16()?);
            let prefix = PREFIXES.get(usize::from(kind & 0xff));
            let prefix = *prefix.ok_or(ImageFault::Malformed("an extended attribute is of no known type"))?;
            if length > 255 {
                return Err(ImageFault::Malformed("the name of an extended attribute is longer than 255 bytes"));
            }
            let name = [prefix, &reader.bytes(length.into())?].concat();
            let value = if kind & ELSEWHERE == 0 {
                value(&mut reader)?
            } else {
                reader.u32()?;
                let place = Reference::new(reader.u64()?);
                value(&mut MetadataReader::new(blocks, self.values, place)?)?
            };
            total += name.len() + value.len();
            if total > XATTRS {
                return Err(ImageFault::Limit("bytes of extended attributes of one node", XATTRS as u64));
            }
            xattrs.push((name, value));
        }
        Ok(xattrs)
    }
}

fn value(reader: &mut MetadataReader<'_>) -> Result<Vec<u8>, ImageFault> {
    let length = reader.u32()?;
    if length > VALUE {
        return Err(ImageFault::Malformed("the value of an extended attribute is longer than 64 KiB"));
    }
    reader.bytes(length as usize)
}
