//! A pool as bytes, to be kept in the store: what an index is parsed into once.
//!
//! All numbers are little-endian. A text is its start and length in the block of text (u32 each), a range its first row
//! and the one after its last (u32 each):
//!
//! ```text
//! magic         8 bytes: "LFpool03"
//! counts        u32 each: bytes of text, names, packages, relations, requirements, provides
//! text
//! names         text each
//! packages      name u32; version, architecture, location, digest, origin, section, signature: text each; size, installed size: u64
//!               each; relations, provides: range each; provider priority i32; source u16; essential, protected,
//!               multi-arch, priority: u8 each; two zeros
//! relations     kind u32, range
//! requirements  name u32, comparison u16, qualifier u16, version text
//! provides      name u32, version text
//! checksum      u32: CRC-32 of everything before it
//! ```

use std::path::Path;

use super::pool::{Pool, Range, Text};
use super::{
    Comparison, MultiArch, NameId, Package, Priority, Provide, Qualifier, Relation, RelationKind, Requirement,
};
use crate::fs;
use crate::packages::reader::Reader;

const MAGIC: &[u8; 8] = b"LFpool03";
/// The magic number and the counts.
const HEADER: usize = MAGIC.len() + 6 * 4;
const PACKAGE: usize = 4 + 7 * 8 + 2 * 8 + 2 * 8 + 4 + 2 + 4 + 2;

/// Returns the bytes of a pool.
pub fn encode(pool: &Pool) -> Vec<u8> {
    let rows = pool.names.len() * 8 + pool.packages.len() * PACKAGE + pool.relations.len() * 12;
    let mut bytes =
        Vec::with_capacity(64 + rows + pool.requirements.len() * 16 + pool.provides.len() * 12 + pool.text.len());
    bytes.extend(MAGIC);
    for count in [
        pool.text.len(),
        pool.names.len(),
        pool.packages.len(),
        pool.relations.len(),
        pool.requirements.len(),
        pool.provides.len(),
    ] {
        put(&mut bytes, count as u32);
    }
    bytes.extend(&pool.text);
    pool.names.iter().for_each(|name| put_text(&mut bytes, *name));
    pool.packages.iter().for_each(|package| put_package(&mut bytes, package));
    for relation in &pool.relations {
        put(&mut bytes, relation.kind as u32);
        put_range(&mut bytes, relation.alternatives);
    }
    for requirement in &pool.requirements {
        put(&mut bytes, requirement.name.0);
        bytes.extend((requirement.comparison as u16).to_le_bytes());
        bytes.extend((requirement.qualifier as u16).to_le_bytes());
        put_text(&mut bytes, requirement.version);
    }
    for provide in &pool.provides {
        put(&mut bytes, provide.name.0);
        put_text(&mut bytes, provide.version);
    }
    let checksum = crc32fast::hash(&bytes);
    put(&mut bytes, checksum);
    bytes
}

fn put(bytes: &mut Vec<u8>, number: u32) {
    bytes.extend(number.to_le_bytes());
}

fn put_text(bytes: &mut Vec<u8>, text: Text) {
    put(bytes, text.start);
    put(bytes, text.length);
}

fn put_range(bytes: &mut Vec<u8>, range: Range) {
    put(bytes, range.start);
    put(bytes, range.end);
}

fn put_package(bytes: &mut Vec<u8>, package: &Package) {
    put(bytes, package.name.0);
    for text in [
        package.version,
        package.architecture,
        package.location,
        package.digest,
        package.origin,
        package.section,
        package.signature,
    ] {
        put_text(bytes, text);
    }
    bytes.extend(package.size.to_le_bytes());
    bytes.extend(package.installed_size.to_le_bytes());
    put_range(bytes, package.relations);
    put_range(bytes, package.provides);
    bytes.extend(package.provider_priority.to_le_bytes());
    bytes.extend(package.source.to_le_bytes());
    let flags = [u8::from(package.essential), u8::from(package.protected)];
    bytes.extend([flags[0], flags[1], package.multi_arch as u8, package.priority as u8, 0, 0]);
}

/// Returns the pool that bytes of [`encode`] hold, or nothing when they are damaged or of another version.
pub fn decode(mut bytes: Vec<u8>) -> Option<Pool> {
    let (mut pool, text) = tables(&bytes)?;
    // Most of the bytes are text: they become that of the pool where they are.
    bytes.truncate(HEADER + text);
    bytes.drain(..HEADER);
    pool.text = bytes;
    Some(pool.indexed())
}

/// Reads all tables; returns them with the length of the text.
fn tables(bytes: &[u8]) -> Option<(Pool, usize)> {
    let (body, sum) = bytes.split_last_chunk::<4>()?;
    if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
        return None;
    }
    let mut reader = Reader { bytes: body.strip_prefix(MAGIC)? };
    let mut count = || reader.number().map(|count| count as usize);
    let (text, names, packages) = (count()?, count()?, count()?);
    let (relations, requirements, provides) = (count()?, count()?, count()?);
    let limits = Limits { text, names, relations, requirements, provides };
    reader.bytes = reader.bytes.get(text..)?;
    let pool = Pool {
        names: reader.rows(names, 8, |row| row.text_within(&limits))?,
        packages: reader.rows(packages, PACKAGE, |row| row.package(&limits))?,
        relations: reader.rows(relations, 12, |row| {
            let kind = *RelationKind::ALL.get(row.number()? as usize)?;
            Some(Relation { kind, alternatives: row.range(limits.requirements)? })
        })?,
        requirements: reader.rows(requirements, 16, |row| row.requirement(&limits))?,
        provides: reader
            .rows(provides, 12, |row| Some(Provide { name: row.name(&limits)?, version: row.text_within(&limits)? }))?,
        ..Pool::default()
    };
    let sorted = pool.packages.is_sorted_by_key(|package| package.name);
    (reader.bytes.is_empty() && sorted).then_some((pool, text))
}

/// Returns the pool that is kept at `path`; makes it and keeps it there when there is none or it is damaged. The name has
/// to say all that the pool is made from: the digest of an index, and for which architecture it was read.
///
/// # Errors
/// When it cannot be made or written.
pub fn kept<E: From<fs::Error>>(path: &Path, make: impl FnOnce() -> Result<Pool, E>) -> Result<Pool, E> {
    let known = match fs::read(path) {
        Err(error) if !error.is_not_found() => return Err(error.into()),
        bytes => bytes.ok().and_then(decode),
    };
    if let Some(pool) = known {
        return Ok(pool);
    }
    let pool = make()?;
    fs::write_atomic(path, &encode(&pool))?;
    Ok(pool)
}

/// What ids and ranges may reach to.
struct Limits {
    text: usize,
    names: usize,
    relations: usize,
    requirements: usize,
    provides: usize,
}

impl Reader<'_> {
    /// Reads a table of `count` rows of `size` bytes.
    fn rows<T>(&mut self, count: usize, size: usize, row: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let (rows, rest) = self.bytes.split_at_checked(count.checked_mul(size)?)?;
        self.bytes = rest;
        let mut table = Vec::with_capacity(count);
        for bytes in rows.chunks_exact(size) {
            table.push(row(&mut Reader { bytes })?);
        }
        Some(table)
    }

    fn text_within(&mut self, limits: &Limits) -> Option<Text> {
        let text = Text { start: self.number()?, length: self.number()? };
        (text.start as usize + text.length as usize <= limits.text).then_some(text)
    }

    fn name(&mut self, limits: &Limits) -> Option<NameId> {
        let id = self.number()?;
        ((id as usize) < limits.names).then_some(NameId(id))
    }

    fn range(&mut self, limit: usize) -> Option<Range> {
        let range = Range { start: self.number()?, end: self.number()? };
        (range.start <= range.end && range.end as usize <= limit).then_some(range)
    }

    fn requirement(&mut self, limits: &Limits) -> Option<Requirement> {
        Some(Requirement {
            name: self.name(limits)?,
            comparison: *Comparison::ALL.get(usize::from(u16::from_le_bytes(self.array()?)))?,
            qualifier: *[Qualifier::Own, Qualifier::Any, Qualifier::Foreign]
                .get(usize::from(u16::from_le_bytes(self.array()?)))?,
            version: self.text_within(limits)?,
        })
    }

    fn package(&mut self, limits: &Limits) -> Option<Package> {
        let name = self.name(limits)?;
        let mut text = || self.text_within(limits);
        let (version, architecture, location) = (text()?, text()?, text()?);
        let (digest, origin, section, signature) = (text()?, text()?, text()?, text()?);
        let (size, installed_size) = (self.long()?, self.long()?);
        let (relations, provides) = (self.range(limits.relations)?, self.range(limits.provides)?);
        let provider_priority = i32::from_le_bytes(self.array()?);
        let source = u16::from_le_bytes(self.array()?);
        let [essential, protected, multi_arch, priority] = self.array()?;
        Some(Package {
            name,
            version,
            architecture,
            source,
            essential: essential != 0,
            protected: protected != 0,
            multi_arch: *MultiArch::ALL.get(usize::from(multi_arch))?,
            priority: *Priority::ALL.get(usize::from(priority))?,
            provider_priority,
            relations,
            provides,
            location,
            digest,
            size,
            installed_size,
            origin,
            section,
            signature,
        })
    }
}
