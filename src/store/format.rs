//! The bytes of records and rendered texts on disk.
//!
//! All numbers are little-endian; a text is its length (u32) and its bytes:
//!
//! ```text
//! magic         8 bytes: "LFrecord"
//! version       u32
//! key           u8: 1 when it follows; 32 bytes
//! size          u32: the bytes of the next part, so that both can be read at once
//! inputs        a listing
//! count         u32; for each: kind (text), a listing
//! checksum      u32: CRC-32 of everything before it
//!
//! listing       count of directories u32; for each: complete u8, path (text), count of entries u32,
//!               entries
//! entry         flags u8 (1 stamp follows, 2 digest follows, 4 shared follows), name (text),
//!               [mode u32, inode u64, size u64, modified and changed: i64 seconds and u32 nanoseconds each],
//!               [digest: 32 bytes], [shared: u32]
//! ```
//!
//! Texts are:
//!
//! ```text
//! magic         8 bytes: "LFtexts1"
//! count         u32; for each: key (32 bytes), text, count of names u32, names (texts)
//! checksum      u32: CRC-32 of everything before it
//! ```

use std::collections::BTreeMap;

use super::{Directory, Entry, Listing, Record, RenderedText, Written};
use crate::digest::Digest;
use crate::fs::{Stamp, Timestamp};

const MAGIC: &[u8; 8] = b"LFrecord";
const TEXTS_MAGIC: &[u8; 8] = b"LFtexts1";
const VERSION: u32 = 1;
/// What an entry takes besides its name, about: to reserve memory once.
const ENTRY_SIZE: usize = 128;
const STAMP: u8 = 1;
const DIGEST: u8 = 2;
const SHARED: u8 = 4;

/// Returns the bytes of `record`.
pub(super) fn encode(record: &Record) -> Vec<u8> {
    let entries = record.inputs.len() + record.outputs.iter().map(|written| written.listing.len()).sum::<usize>();
    let mut bytes = Vec::with_capacity(entries * ENTRY_SIZE + 256);
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.push(u8::from(record.key.is_some()));
    bytes.extend(record.key.iter().flat_map(Digest::as_bytes));
    let start = bytes.len();
    put_count(&mut bytes, 0);
    put_listing(&mut bytes, &record.inputs);
    let size = u32::try_from(bytes.len() - start - 4).expect("a record is shorter than 4 GiB");
    bytes[start..start + 4].copy_from_slice(&size.to_le_bytes());
    put_count(&mut bytes, record.outputs.len());
    for written in &record.outputs {
        put_text(&mut bytes, written.kind.as_bytes());
        put_listing(&mut bytes, &written.listing);
    }
    let checksum = checksum(&bytes);
    bytes.extend(checksum.to_le_bytes());
    bytes
}

fn put_listing(bytes: &mut Vec<u8>, listing: &Listing) {
    put_count(bytes, listing.directories().len());
    for directory in listing.directories() {
        bytes.push(u8::from(directory.complete));
        put_text(bytes, &directory.path);
        put_count(bytes, directory.entries.len());
        directory.entries.iter().for_each(|entry| put_entry(bytes, entry));
    }
}

fn put_entry(bytes: &mut Vec<u8>, entry: &Entry) {
    let flag = |present, flag| if present { flag } else { 0 };
    bytes.push(
        flag(entry.stamp.is_some(), STAMP) | flag(entry.digest.is_some(), DIGEST) | flag(entry.shared > 0, SHARED),
    );
    put_text(bytes, &entry.name);
    if let Some(stamp) = &entry.stamp {
        bytes.extend(stamp.mode.to_le_bytes());
        bytes.extend(stamp.inode.to_le_bytes());
        bytes.extend(stamp.size.to_le_bytes());
        for time in [stamp.modified, stamp.changed] {
            bytes.extend(time.seconds.to_le_bytes());
            bytes.extend(time.nanoseconds.to_le_bytes());
        }
    }
    if let Some(digest) = &entry.digest {
        bytes.extend(digest.as_bytes());
    }
    if entry.shared > 0 {
        bytes.extend(entry.shared.to_le_bytes());
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &[u8]) {
    put_count(bytes, text.len());
    bytes.extend(text);
}

fn put_count(bytes: &mut Vec<u8>, count: usize) {
    bytes.extend(u32::try_from(count).expect("a record counts fewer than 2^32 things").to_le_bytes());
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut checksum = flate2::Crc::new();
    checksum.update(bytes);
    checksum.sum()
}

/// Returns the record that `bytes` hold, or nothing when they are damaged or of another version.
pub(super) fn decode(bytes: &[u8]) -> Option<Record> {
    let (body, sum) = bytes.split_last_chunk::<4>()?;
    let mut reader = Reader { bytes: body };
    if reader.array::<8>()? != *MAGIC || reader.number()? != VERSION || checksum(body) != u32::from_le_bytes(*sum) {
        return None;
    }
    let key = match reader.array::<1>()? {
        [0] => None,
        _ => Some(Digest::from_bytes(reader.array()?)),
    };
    let inputs = Reader { bytes: reader.text()? };
    let (inputs, outputs) = rayon::join(|| inputs.all(Reader::listing), || reader.all(Reader::outputs));
    Some(Record { key, inputs: inputs?, outputs: outputs? })
}

/// Returns the bytes of rendered texts.
pub(super) fn encode_texts(texts: &BTreeMap<Digest, RenderedText>) -> Vec<u8> {
    let mut bytes = TEXTS_MAGIC.to_vec();
    put_count(&mut bytes, texts.len());
    for (key, text) in texts {
        bytes.extend(key.as_bytes());
        put_text(&mut bytes, text.text.as_bytes());
        put_count(&mut bytes, text.used.len());
        text.used.iter().for_each(|name| put_text(&mut bytes, name.as_bytes()));
    }
    let checksum = checksum(&bytes);
    bytes.extend(checksum.to_le_bytes());
    bytes
}

/// Returns the rendered texts that `bytes` hold, or nothing when they are damaged or of another version.
pub(super) fn decode_texts(bytes: &[u8]) -> Option<BTreeMap<Digest, RenderedText>> {
    let (body, sum) = bytes.split_last_chunk::<4>()?;
    let mut reader = Reader { bytes: body };
    if reader.array::<8>()? != *TEXTS_MAGIC || checksum(body) != u32::from_le_bytes(*sum) {
        return None;
    }
    reader.all(|reader| {
        let count = reader.count(40)?;
        let texts = (0..count).map(|_| {
            let key = Digest::from_bytes(reader.array()?);
            let text = reader.string()?;
            let count = reader.count(4)?;
            let used = (0..count).map(|_| reader.string()).collect::<Option<_>>()?;
            Some((key, RenderedText { text, used }))
        });
        texts.collect()
    })
}

struct Reader<'bytes> {
    bytes: &'bytes [u8],
}

impl<'bytes> Reader<'bytes> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*array)
    }

    fn number(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn text(&mut self) -> Option<&'bytes [u8]> {
        let length = self.number()? as usize;
        let (text, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(text)
    }

    fn string(&mut self) -> Option<String> {
        String::from_utf8(self.text()?.to_vec()).ok()
    }

    /// Returns a count of things that take at least `size` bytes each, so that a wrong one reserves no memory.
    fn count(&mut self, size: usize) -> Option<usize> {
        let count = self.number()? as usize;
        (count <= self.bytes.len() / size).then_some(count)
    }

    /// Reads one thing that takes all bytes.
    fn all<T>(mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        read(&mut self).filter(|_| self.bytes.is_empty())
    }

    fn outputs(&mut self) -> Option<Vec<Written>> {
        let count = self.number()?;
        let outputs = (0..count).map(|_| {
            let kind = self.string()?;
            Some(Written { kind, listing: self.listing()? })
        });
        outputs.collect()
    }

    fn listing(&mut self) -> Option<Listing> {
        let count = self.count(9)?;
        let mut directories = Vec::with_capacity(count);
        for _ in 0..count {
            let [complete] = self.array()?;
            let path = self.text()?.into();
            let count = self.count(5)?;
            let mut entries = Vec::with_capacity(count);
            for _ in 0..count {
                entries.push(self.entry()?);
            }
            directories.push(Directory { path, entries, complete: complete != 0 });
        }
        Some(Listing::from_sorted(directories))
    }

    fn entry(&mut self) -> Option<Entry> {
        let [flags] = self.array()?;
        let name = self.text()?.into();
        let stamp = if flags & STAMP == 0 { None } else { Some(self.stamp()?) };
        let digest = if flags & DIGEST == 0 { None } else { Some(Digest::from_bytes(self.array()?)) };
        let shared = if flags & SHARED == 0 { 0 } else { self.number()? };
        Some(Entry { name, stamp, digest, shared })
    }

    fn stamp(&mut self) -> Option<Stamp> {
        Some(Stamp {
            mode: self.number()?,
            inode: u64::from_le_bytes(self.array()?),
            size: u64::from_le_bytes(self.array()?),
            modified: self.time()?,
            changed: self.time()?,
        })
    }

    fn time(&mut self) -> Option<Timestamp> {
        Some(Timestamp { seconds: i64::from_le_bytes(self.array()?), nanoseconds: self.number()? })
    }
}
