//! The index of a compressed file: which bytes are in which blocks.
//!
//! A file is cut into extents that begin at multiples of a block; all blocks of a file are contiguous, in order. For every
//! block of the *decoded* file there is one record, and records are packed to 2 bytes each (to 4 where they do not fill a
//! pack), each pack with the address that its extents are counted from (Linux, `z_erofs_load_compact_lcluster`).

use super::format::BLOCK;

/// Records in a dense pack, which takes 32 bytes: 14 bits each, then the address.
const DENSE: usize = 16;
/// Records in a loose pack, which takes 8 bytes: 16 bits each, then the address.
const LOOSE: usize = 2;
/// Bits of a record below its type.
const LOW_BITS: u32 = 12;
/// Says that a record holds the number of blocks of its extent.
const BLOCK_COUNT: u16 = 0x800;
/// The largest distance that a record can hold.
const DISTANCE_MAX: usize = 0x7ff;

/// The types of records.
const PLAIN: u16 = 0;
const HEAD: u16 = 1;
const INSIDE: u16 = 2;

/// How the bytes of an extent are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// As they are.
    Raw,
    /// Compressed, in this number of blocks.
    Blocks(u16),
    /// Compressed, behind the index: only the last extent of a file, shorter than a block.
    Inline,
    /// As they are, behind the index.
    InlineRaw,
}

/// A run of bytes of a file that was compressed at once. All but the last of a file are multiples of a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    /// Its bytes when decoded.
    pub(super) length: u32,
    /// How they are stored.
    pub(super) stored: Stored,
}

impl Extent {
    /// Returns the number of blocks that it takes in the image.
    pub(super) fn blocks(self) -> u32 {
        match self.stored {
            Stored::Raw => self.length.div_ceil(BLOCK as u32),
            Stored::Blocks(count) => count.into(),
            Stored::Inline | Stored::InlineRaw => 0,
        }
    }
}

/// One record: what it holds, what it holds as the last of its pack, and how many blocks it counts.
#[derive(Debug, Clone, Copy)]
struct Record {
    bits: u16,
    last: u16,
    blocks: u32,
}

/// Returns the number of bytes that the index of a file of `size` bytes takes when it begins at `base`.
pub(super) fn size(size: u64, base: usize) -> usize {
    let (head, dense, tail) = packs(size.div_ceil(BLOCK as u64) as usize, base);
    (head.div_ceil(LOOSE) + tail.div_ceil(LOOSE)) * 8 + dense / DENSE * 32
}

/// Returns how many records stand in loose packs, then in dense ones, then in loose ones again.
fn packs(records: usize, base: usize) -> (usize, usize, usize) {
    // Dense packs are aligned to their size.
    let head = ((32 - base % 32) / 4) & 7;
    if records <= head {
        return (records, 0, 0);
    }
    let dense = (records - head) / DENSE * DENSE;
    (head, dense, records - head - dense)
}

/// Appends the index of a file whose `extents` stand one behind the other from block `start` on. `base` is where the index
/// begins, in bytes: only its place within 32 matters.
pub(super) fn encode(extents: &[Extent], start: u32, base: usize, out: &mut Vec<u8>) {
    let count = extents.iter().map(|extent| extent.length.div_ceil(BLOCK as u32) as usize).sum();
    let (head, dense, tail) = packs(count, base);
    let mut records = extents.iter().flat_map(|extent| records(*extent));
    let mut address = start;
    for (records_left, per_pack) in [(head, LOOSE), (dense, DENSE), (tail, LOOSE)] {
        for first in (0..records_left).step_by(per_pack) {
            let mut pack = [Record { bits: 0, last: 0, blocks: 0 }; DENSE];
            for place in &mut pack[..per_pack.min(records_left - first)] {
                *place = records.next().unwrap_or(*place);
            }
            encode_pack(&pack[..per_pack], address, out);
            address += pack.iter().map(|record| record.blocks).sum::<u32>();
        }
    }
}

fn encode_pack(pack: &[Record], address: u32, out: &mut Vec<u8>) {
    let bits = if pack.len() == DENSE { 14 } else { 16 };
    let (last, others) = pack.split_last().expect("a pack holds records");
    let (mut gathered, mut count) = (0_u32, 0);
    for value in others.iter().map(|record| record.bits).chain([last.last]) {
        gathered |= u32::from(value) << count;
        count += bits;
        while count >= 8 {
            out.push(gathered as u8);
            gathered >>= 8;
            count -= 8;
        }
    }
    out.extend(address.to_le_bytes());
}

/// Returns the records of an extent.
fn records(extent: Extent) -> impl Iterator<Item = Record> {
    let count = extent.length.div_ceil(BLOCK as u32) as usize;
    let whole = extent.length as usize / BLOCK;
    (0..count).map(move |place| {
        let same = |kind: u16, low: u16, blocks| {
            let bits = kind << LOW_BITS | low;
            Record { bits, last: bits, blocks }
        };
        let blocks = match extent.stored {
            Stored::Raw | Stored::InlineRaw => return same(PLAIN, 0, 1),
            Stored::Blocks(blocks) => blocks,
            Stored::Inline => 1,
        };
        match place {
            // The blocks of an extent are counted where their number stands: in its second record, if it has one.
            0 => same(HEAD, 0, u32::from(whole < 2) * u32::from(blocks)),
            // The block in which the file ends begins with the end of the extent.
            _ if place == whole => same(PLAIN, (extent.length as usize % BLOCK) as u16, 0),
            1 => same(INSIDE, BLOCK_COUNT | blocks, blocks.into()),
            _ => {
                let distance = |value: usize| INSIDE << LOW_BITS | value.min(DISTANCE_MAX) as u16;
                Record { bits: distance(place), last: distance(whole - place), blocks: 0 }
            }
        }
    })
}
