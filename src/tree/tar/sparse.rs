//! Sparse members: files of which an archive holds only what is not a hole.
//!
//! Comes in: the map of a member, in one of the four ways that GNU tar has written it. Goes out: the whole file, written
//! into the directory for unpacked files with holes again, named by its digest.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::TarFault;
use super::extended::decimal;
use super::header::{BLOCK, bounded};
use super::unpacked::NewFile;
use crate::digest::Digest;
use crate::fs;
use crate::tree::{Content, ContentSource};

/// Bytes copied at a time.
const CHUNK: u64 = 256 * 1024;

/// A part of a file that the archive holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// What the `GNU.sparse` records of an extended header say.
#[derive(Debug, Clone, Default)]
pub(super) struct SparseRecords {
    pub(super) name: Option<Vec<u8>>,
    pub(super) real_size: Option<u64>,
    pub(super) major: u64,
    pub(super) minor: u64,
    pub(super) extents: Vec<Extent>,
    /// An offset whose length has not come yet (version 0.0).
    pub(super) open_offset: Option<u64>,
}

/// A sparse file: the extents lie one after the other in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SparseFile {
    /// The length of the file with its holes.
    pub(super) length: u64,
    /// The parts that are no holes, in order.
    extents: Vec<Extent>,
    /// Where the first of them lies in the archive.
    data: u64,
}

impl SparseFile {
    /// Takes a map whose data stands at `data..end` of the archive.
    pub(super) fn new(length: u64, extents: Vec<Extent>, data: u64, end: u64) -> Result<Self, TarFault> {
        let mut reached = 0;
        let mut stored = 0;
        for extent in &extents {
            let extent_end = extent.offset.checked_add(extent.length).filter(|end| *end <= length);
            if extent.offset < reached || extent_end.is_none() {
                return Err(TarFault::Malformed("its sparse map is not in order or goes beyond the end of the file"));
            }
            reached = extent.offset + extent.length;
            stored += extent.length;
        }
        if stored != end.saturating_sub(data) {
            return Err(TarFault::Malformed("its sparse map is not of the bytes that follow"));
        }
        Ok(Self { length, extents, data })
    }

    /// Writes the file into the directory `unpacked` and returns it as content.
    pub(super) fn expand(&self, archive: &File, archive_path: &Path, unpacked: &Path) -> fs::Result<Content> {
        let new = NewFile::create(unpacked)?;
        new.file().set_len(self.length).map_err(fs::Error::on("write", unpacked))?;
        let mut buffer = vec![0; CHUNK as usize];
        let mut from = self.data;
        for extent in &self.extents {
            let mut done = 0;
            while done < extent.length {
                let count = CHUNK.min(extent.length - done);
                let piece = &mut buffer[..count as usize];
                archive.read_exact_at(piece, from).map_err(fs::Error::on("read", archive_path))?;
                new.file().write_all_at(piece, extent.offset + done).map_err(fs::Error::on("write", unpacked))?;
                done += count;
                from += count;
            }
        }
        let (digest, length) = Digest::of_stream(new.file()).map_err(fs::Error::on("read", unpacked))?;
        let path = new.keep(&format!("{}.expanded", digest.hex()))?;
        Ok(Content { digest, length, source: ContentSource::File(Arc::from(path)) })
    }
}

/// Returns the extents in an old GNU header or one of its extension blocks, and whether another block follows.
pub(super) fn old_gnu_extents(block: &[u8; BLOCK], first: bool) -> Result<(Vec<Extent>, bool), TarFault> {
    let (table, more) = if first { (&block[386..482], block[482]) } else { (&block[..504], block[504]) };
    let mut extents = Vec::new();
    for entry in table.chunks_exact(24).take_while(|entry| entry[12] != 0) {
        const NO_NUMBER: &str = "its sparse map has a part that is no number of 63 bits";
        extents.push(Extent { offset: bounded(&entry[..12], NO_NUMBER)?, length: bounded(&entry[12..], NO_NUMBER)? });
    }
    Ok((extents, more != 0))
}

/// Returns the real size that an old GNU header tells.
pub(super) fn old_gnu_real_size(block: &[u8; BLOCK]) -> Result<u64, TarFault> {
    bounded(&block[483..495], "its real size is no number of 63 bits")
}

/// Reads the map that version 1.0 puts before the data, a line for each number, block by block from `next_block`. Returns the
/// extents and the number of blocks the map takes.
pub(super) fn read_map(
    mut next_block: impl FnMut() -> Result<[u8; BLOCK], TarFault>,
    limit: u64,
) -> Result<(Vec<Extent>, u64), TarFault> {
    let mut pending: Vec<u8> = Vec::new();
    let mut numbers: Vec<u64> = Vec::new();
    let mut blocks = 0;
    loop {
        let block = next_block()?;
        blocks += 1;
        for &byte in &block {
            if byte != b'\n' {
                pending.push(byte);
                continue;
            }
            numbers.push(decimal(&pending, "its sparse map is no list of numbers")?);
            pending.clear();
            if numbers[0] > limit {
                return Err(TarFault::Limit("parts of a sparse file", limit));
            }
            if numbers.len() as u64 == 1 + 2 * numbers[0] {
                let (pairs, _) = numbers[1..].as_chunks::<2>();
                return Ok((pairs.iter().map(|&[offset, length]| Extent { offset, length }).collect(), blocks));
            }
        }
        if pending.len() > BLOCK {
            return Err(TarFault::Malformed("its sparse map is no list of numbers"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extents(pairs: &[(u64, u64)]) -> Vec<Extent> {
        pairs.iter().map(|&(offset, length)| Extent { offset, length }).collect()
    }

    #[test]
    fn maps_must_be_in_order_and_inside() {
        assert!(SparseFile::new(100, extents(&[(0, 10), (10, 0), (50, 50)]), 512, 572).is_ok());
        assert!(SparseFile::new(100, extents(&[(50, 50), (0, 10)]), 512, 572).is_err(), "out of order");
        assert!(SparseFile::new(100, extents(&[(0, 10), (5, 50)]), 512, 572).is_err(), "over each other");
        assert!(SparseFile::new(100, extents(&[(50, 51)]), 512, 563).is_err(), "beyond the end");
        assert!(SparseFile::new(100, extents(&[(u64::MAX, 2)]), 512, 514).is_err(), "beyond all numbers");
        assert!(SparseFile::new(100, extents(&[(0, 10)]), 512, 523).is_err(), "not of these bytes");
    }

    #[test]
    fn maps_before_the_data_are_read_over_block_borders() {
        let pairs: Vec<(u64, u64)> = (0..100).map(|n| (n * 1000, n)).collect();
        let mut text = format!("{}\n", pairs.len());
        pairs.iter().for_each(|(offset, length)| text += &format!("{offset}\n{length}\n"));
        let mut bytes = text.into_bytes();
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        let mut blocks = bytes.as_chunks::<BLOCK>().0.iter();
        let (read, count) = read_map(|| Ok(*blocks.next().unwrap()), 100).unwrap();
        assert_eq!((read, count), (extents(&pairs), (bytes.len() / BLOCK) as u64));
        assert!(read_map(|| Ok([b'7'; BLOCK]), 9).is_err());
        assert!(read_map(|| Ok([b'\n'; BLOCK]), 9).is_err());
        let mut huge = [0; BLOCK];
        huge[..3].copy_from_slice(b"10\n");
        assert!(matches!(read_map(|| Ok(huge), 9), Err(TarFault::Limit(..))));
    }
}
