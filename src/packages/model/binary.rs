//! A pool as a file of the store: what an index is parsed into once.
//!
//! All numbers are little-endian. A text is its start and length in a block of text (u32 each), a range its first row
//! and the one after its last (u32 each). Three parts follow each other, each with a CRC-32 (u32) of its bytes at its end, so
//! that they are read at the same time; the first checksum begins with the name of the file, which says what the pool was made
//! from, so that a pool under the name of another is none:
//!
//! ```text
//! magic         8 bytes: "LFpool04"
//! counts        u32 each: bytes of text, bytes of shelved text, names, packages, relations, requirements, provides, number of
//!               the last source
//! text
//! names         text each
//! packages      name u32; version, architecture, section: text each; location, digest, origin, signature: shelved text each;
//!               size, installed size: u64 each; relations, provides: range each; provider priority i32; source u16; essential,
//!               protected, multi-arch, priority: u8 each; two zeros
//! provides      name u32, version text
//! checksum
//! relations     kind u32, range
//! requirements  name u32, comparison u16, qualifier u16, version text
//! checksum
//! shelved text
//! checksum
//! ```
//!
//! Shelved text is what only packages that were chosen are asked for: it is compared with its checksum and stays in the file.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use super::pool::{Pool, Range, Text};
use super::stored::{Kept, Shelf, Stored};
use super::{
    Comparison, MultiArch, NameId, Package, Priority, Provide, Qualifier, Relation, RelationKind, Requirement,
};
use crate::fs;
use crate::packages::reader::Reader;

const MAGIC: &[u8; 8] = b"LFpool04";
/// The magic number and the counts.
const HEADER: usize = MAGIC.len() + 8 * 4;
const NAME: usize = 8;
const PACKAGE: usize = 4 + 7 * 8 + 2 * 8 + 2 * 8 + 4 + 2 + 4 + 2;
const RELATION: usize = 4 + 8;
const REQUIREMENT: usize = 4 + 2 + 2 + 8;
const PROVIDE: usize = 4 + 8;
const SUM: usize = 4;
/// How many bytes are read at once, about: they are decoded while the processor still has them at hand.
const CHUNK: usize = 64 << 10;

/// Returns the bytes of a pool for a file at `path`.
fn encode(pool: &Pool, path: &Path) -> fs::Result<Vec<u8>> {
    let shelf = pool.shelf.clone().all()?;
    let counts = Counts {
        text: pool.text.len(),
        shelf: shelf.len(),
        names: pool.names.len(),
        packages: pool.packages.len(),
        relations: pool.relations.len(),
        requirements: pool.requirements.len(),
        provides: pool.provides.len(),
        last_source: pool.last_source.into(),
    };
    let mut bytes = Vec::with_capacity(counts.length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0));
    bytes.extend(MAGIC);
    counts.all().into_iter().for_each(|count| put(&mut bytes, count as u32));
    bytes.extend(&pool.text);
    pool.names.iter().for_each(|name| put_text(&mut bytes, *name));
    pool.packages.iter().for_each(|package| put_package(&mut bytes, package));
    for provide in &pool.provides {
        put(&mut bytes, provide.name.0);
        put_text(&mut bytes, provide.version);
    }
    let second = seal(&mut bytes, 0, named(path));
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
    let third = seal(&mut bytes, second, crc32fast::Hasher::new());
    bytes.extend(shelf);
    seal(&mut bytes, third, crc32fast::Hasher::new());
    Ok(bytes)
}

/// Adds the checksum of a part that begins at `start`; returns where the next one begins.
fn seal(bytes: &mut Vec<u8>, start: usize, mut sum: crc32fast::Hasher) -> usize {
    sum.update(&bytes[start..]);
    put(bytes, sum.finalize());
    bytes.len()
}

/// Returns a checksum that begins with the name of a file.
fn named(path: &Path) -> crc32fast::Hasher {
    let mut sum = crc32fast::Hasher::new();
    sum.update(path.file_name().unwrap_or_default().as_encoded_bytes());
    sum
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
    for text in [package.version, package.architecture, package.section] {
        put_text(bytes, text);
    }
    for Stored(text) in [package.location, package.digest, package.origin, package.signature] {
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

/// Returns the pool that is kept at `path`; makes it and keeps it there when there is none or it is damaged. The name has
/// to say all that the pool is made from: the digest of an index, and for which architecture it was read.
///
/// # Errors
/// When it cannot be made or written.
pub fn kept<E: From<fs::Error>>(path: &Path, make: impl FnOnce() -> Result<Pool, E>) -> Result<Pool, E> {
    let known = match fs::open(path) {
        Err(error) if error.is_not_found() => None,
        file => read(file?, path),
    };
    if let Some(pool) = known {
        return Ok(pool);
    }
    let pool = make()?;
    fs::write_atomic(path, &encode(&pool, path)?)?;
    Ok(pool)
}

/// Reads the pool that a file holds; nothing when it is damaged or of another version.
fn read(file: File, path: &Path) -> Option<Pool> {
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, 0).ok()?;
    let counts = Counts::read(Reader { bytes: header.strip_prefix(MAGIC)? })?;
    let [first, second, third] = counts.parts()?;
    if file.metadata().ok()?.len() != third.end || counts.last_source > usize::from(u16::MAX) {
        return None;
    }
    let part = |range| Part::new(&file, range);
    let (pool, others) = rayon::join(
        || tables(Part { sum: named(path), ..part(first) }, &counts).map(Pool::indexed),
        || {
            let asked = asked(part(second), &counts)?;
            let mut shelf = part(third.clone());
            shelf.skip(counts.shelf)?;
            shelf.end().map(|()| asked)
        },
    );
    let (mut pool, (relations, requirements)) = (pool?, others?);
    (pool.relations, pool.requirements) = (relations, requirements);
    let (path, length) = (path.into(), u32::try_from(counts.shelf).ok()?);
    pool.shelf = Shelf::File(Arc::new(Kept { file, path, start: third.start, length }));
    Some(pool)
}

/// Reads the first part: packages by all their names.
fn tables(mut part: Part<'_>, counts: &Counts) -> Option<Pool> {
    part.skip(HEADER)?;
    let pool = Pool {
        text: part.text(counts.text)?,
        last_source: counts.last_source as u16,
        names: part.rows::<_, NAME>(counts.names, |row| row.text_within(counts.text))?,
        packages: part.rows::<_, PACKAGE>(counts.packages, |row| row.package(counts))?,
        provides: part.rows::<_, PROVIDE>(counts.provides, |row| {
            Some(Provide { name: row.name(counts)?, version: row.text_within(counts.text)? })
        })?,
        ..Pool::default()
    };
    part.end()?;
    pool.packages.is_sorted_by_key(|package| package.name).then_some(pool)
}

/// Reads the second part: what packages ask of others.
fn asked(mut part: Part<'_>, counts: &Counts) -> Option<(Vec<Relation>, Vec<Requirement>)> {
    let relations = part.rows::<_, RELATION>(counts.relations, |row| {
        let kind = *RelationKind::ALL.get(row.number()? as usize)?;
        Some(Relation { kind, alternatives: row.range(counts.requirements)? })
    })?;
    let requirements = part.rows::<_, REQUIREMENT>(counts.requirements, |row| row.requirement(counts))?;
    part.end()?;
    Some((relations, requirements))
}

/// How many rows and bytes there are: what ids, ranges and texts may reach to.
struct Counts {
    text: usize,
    shelf: usize,
    names: usize,
    packages: usize,
    relations: usize,
    requirements: usize,
    provides: usize,
    last_source: usize,
}

impl Counts {
    fn all(&self) -> [usize; 8] {
        let Self { text, shelf, names, packages, relations, requirements, provides, last_source } = *self;
        [text, shelf, names, packages, relations, requirements, provides, last_source]
    }

    fn read(mut reader: Reader<'_>) -> Option<Self> {
        let mut count = || reader.number().map(|count| count as usize);
        let (text, shelf, names, packages) = (count()?, count()?, count()?, count()?);
        let (relations, requirements, provides, last_source) = (count()?, count()?, count()?, count()?);
        Some(Self { text, shelf, names, packages, relations, requirements, provides, last_source })
    }

    /// Returns where each part lies; nothing when no file is that long.
    fn parts(&self) -> Option<[std::ops::Range<u64>; 3]> {
        let rows = |count: usize, size: usize| (count as u64).checked_mul(size as u64);
        let own = (HEADER + SUM) as u64 + self.text as u64;
        let own = own.checked_add(rows(self.names, NAME)?)?.checked_add(rows(self.packages, PACKAGE)?)?;
        let second = own.checked_add(rows(self.provides, PROVIDE)?)?;
        let asked = rows(self.relations, RELATION)?.checked_add(rows(self.requirements, REQUIREMENT)?)?;
        let third = second.checked_add(asked)?.checked_add(SUM as u64)?;
        let end = third.checked_add((self.shelf + SUM) as u64)?;
        Some([0..second, second..third, third..end])
    }

    fn length(&self) -> Option<u64> {
        self.parts().map(|[.., last]| last.end)
    }
}

/// A part of a file, read from its beginning to its end.
struct Part<'file> {
    file: &'file File,
    next: u64,
    end: u64,
    sum: crc32fast::Hasher,
    buffer: Vec<u8>,
}

impl<'file> Part<'file> {
    fn new(file: &'file File, std::ops::Range { start, end }: std::ops::Range<u64>) -> Self {
        Self { file, next: start, end, sum: crc32fast::Hasher::new(), buffer: Vec::new() }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Option<()> {
        self.file.read_exact_at(bytes, self.next).ok()?;
        self.next += bytes.len() as u64;
        self.sum.update(bytes);
        Some(())
    }

    /// Reads bytes that are taken otherwise, or not at all.
    fn skip(&mut self, mut count: usize) -> Option<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(CHUNK, 0);
        while count > 0 {
            let length = count.min(CHUNK);
            self.fill(&mut buffer[..length])?;
            count -= length;
        }
        self.buffer = buffer;
        Some(())
    }

    fn text(&mut self, length: usize) -> Option<Vec<u8>> {
        let mut text = vec![0; length];
        for chunk in text.chunks_mut(CHUNK) {
            self.fill(chunk)?;
        }
        Some(text)
    }

    /// Reads a table of `count` rows of `SIZE` bytes.
    fn rows<T, const SIZE: usize>(
        &mut self,
        count: usize,
        row: impl Fn(&mut Reader<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut table = Vec::with_capacity(count);
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(CHUNK, 0);
        while table.len() < count {
            let bytes = &mut buffer[..(CHUNK / SIZE).min(count - table.len()) * SIZE];
            self.fill(bytes)?;
            for bytes in bytes.as_chunks::<SIZE>().0 {
                table.push(row(&mut Reader { bytes })?);
            }
        }
        self.buffer = buffer;
        Some(table)
    }

    /// Compares the checksum, which has to be all that is left.
    fn end(&mut self) -> Option<()> {
        let mut sum = [0; SUM];
        self.file.read_exact_at(&mut sum, self.next).ok()?;
        let expected = self.sum.clone().finalize();
        (self.next + SUM as u64 == self.end && u32::from_le_bytes(sum) == expected).then_some(())
    }
}

impl Reader<'_> {
    #[inline]
    fn text_within(&mut self, limit: usize) -> Option<Text> {
        let text = Text { start: self.number()?, length: self.number()? };
        (text.start as usize + text.length as usize <= limit).then_some(text)
    }

    #[inline]
    fn name(&mut self, counts: &Counts) -> Option<NameId> {
        let id = self.number()?;
        ((id as usize) < counts.names).then_some(NameId(id))
    }

    #[inline]
    fn range(&mut self, limit: usize) -> Option<Range> {
        let range = Range { start: self.number()?, end: self.number()? };
        (range.start <= range.end && range.end as usize <= limit).then_some(range)
    }

    #[inline]
    fn requirement(&mut self, counts: &Counts) -> Option<Requirement> {
        Some(Requirement {
            name: self.name(counts)?,
            comparison: *Comparison::ALL.get(usize::from(u16::from_le_bytes(self.array()?)))?,
            qualifier: *[Qualifier::Own, Qualifier::Any, Qualifier::Foreign]
                .get(usize::from(u16::from_le_bytes(self.array()?)))?,
            version: self.text_within(counts.text)?,
        })
    }

    #[inline]
    fn package(&mut self, counts: &Counts) -> Option<Package> {
        let name = self.name(counts)?;
        let mut text = || self.text_within(counts.text);
        let (version, architecture, section) = (text()?, text()?, text()?);
        let mut stored = || self.text_within(counts.shelf).map(Stored);
        let (location, digest, origin, signature) = (stored()?, stored()?, stored()?, stored()?);
        let (size, installed_size) = (self.long()?, self.long()?);
        let (relations, provides) = (self.range(counts.relations)?, self.range(counts.provides)?);
        let provider_priority = i32::from_le_bytes(self.array()?);
        let source = u16::from_le_bytes(self.array()?);
        if usize::from(source) > counts.last_source {
            return None;
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::model::{NewPackage, PoolBuilder, merge, shown};

    fn pool() -> Pool {
        let mut builder = PoolBuilder::new();
        builder.relation(RelationKind::Depends);
        builder.alternative(b"a", Qualifier::Own, Comparison::GreaterEqual, b"1");
        builder.alternative(b"c", Qualifier::Any, Comparison::Any, b"");
        builder.provide(b"x", b"1");
        builder.provide(b"y", b"");
        let digest = [7; 32];
        let new = NewPackage::new(b"b", b"2", b"amd64");
        builder.package(&NewPackage { location: b"pool/b.deb", digest: &digest, size: 12, section: b"net", ..new });
        let essential = NewPackage { essential: true, origin: b"source", ..NewPackage::new(b"a", b"1", b"all") };
        builder.package(&NewPackage { location: b"pool/a.deb", signature: b"signed", ..essential });
        builder.finish()
    }

    /// Writes everything that a pool holds.
    fn dump(pool: &Pool) -> Vec<String> {
        let line = |id| {
            let package = pool.package(id);
            let (relations, provides) = (shown::relations(pool, id), shown::provides(pool, id));
            let stored = |text| pool.stored(text).map(|bytes| bytes.escape_ascii().to_string());
            let place = (stored(package.location).unwrap(), stored(package.signature).unwrap());
            let rest = (stored(package.origin).unwrap(), pool.digest(id).unwrap(), package.size, package.source);
            let section = pool.shown(package.section);
            format!("{} {place:?} {rest:?} {section} {relations} {provides} {}", pool.label(id), package.essential)
        };
        pool.ids().map(line).collect()
    }

    fn encoded(pool: &Pool) -> Vec<u8> {
        encode(pool, Path::new("pool")).unwrap()
    }

    /// Reads a pool from a file of `bytes`.
    fn read_bytes(bytes: &[u8]) -> Option<Pool> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pool");
        fs::write_atomic(&path, bytes).unwrap();
        read(fs::open(&path).unwrap(), &path)
    }

    #[test]
    fn bytes_hold_the_whole_pool_and_nothing_else_is_one() {
        let bytes = encoded(&pool());
        let kept = read_bytes(&bytes).unwrap();
        assert_eq!(dump(&kept), dump(&pool()));
        assert_eq!(encoded(&kept), bytes, "what is in the file is taken from there");
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            assert!(read_bytes(&damaged).is_none(), "byte {place}");
            assert!(read_bytes(&bytes[..place]).is_none(), "{place} bytes");
        }
        assert!(read_bytes(&[&bytes[..], b"x"].concat()).is_none(), "one byte more");
    }

    #[test]
    fn a_pool_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pool");
        let made = std::cell::Cell::new(0);
        let get = || {
            let make = || {
                made.set(made.get() + 1);
                Ok::<_, fs::Error>(pool())
            };
            kept(&path, make).unwrap()
        };
        assert_eq!((dump(&get()), dump(&get()), made.get()), (dump(&get()), dump(&get()), 1));
        let good = fs::read(&path).unwrap();
        let foreign = encode(&PoolBuilder::new().finish(), Path::new("other")).unwrap();
        for (number, damaged) in [&b"damaged"[..], &good[..good.len() - 1], b"", &foreign].into_iter().enumerate() {
            fs::write_atomic(&path, damaged).unwrap();
            assert_eq!((dump(&get()), dump(&get()), made.get()), (dump(&pool()), dump(&pool()), number + 2));
        }
    }

    #[test]
    fn a_pool_that_is_replaced_or_removed_meanwhile_is_still_the_one_that_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pool");
        let get = || kept(&path, || Ok::<_, fs::Error>(pool())).unwrap();
        drop(get());
        let read = get();
        fs::write_atomic(&path, b"something else").unwrap();
        assert_eq!(dump(&read), dump(&pool()));
        fs::remove_file(&path).unwrap();
        assert_eq!(dump(&read), dump(&pool()));
    }

    #[test]
    fn pools_are_merged_wherever_their_texts_are() {
        let kept = || read_bytes(&encoded(&pool())).unwrap();
        let expected = merge(vec![pool(), pool(), pool()]).unwrap();
        let sources: Vec<_> = expected.ids().map(|id| expected.package(id).source).collect();
        assert_eq!(sources, [0, 1, 2, 0, 1, 2]);
        let two = merge(vec![kept(), pool()]).unwrap();
        let two = read_bytes(&encoded(&two)).unwrap();
        assert_eq!(dump(&merge(vec![two, kept()]).unwrap()), dump(&expected));
        let two = merge(vec![pool(), kept()]).unwrap();
        assert_eq!(dump(&merge(vec![kept(), two]).unwrap()), dump(&expected));
    }

    proptest::proptest! {
        #[test]
        fn bytes_with_right_checksums_are_no_panic(changes in proptest::collection::vec((0..900_usize, 0..=255_u8), 1..4)) {
            let mut bytes = encoded(&pool());
            let counts = Counts::read(Reader { bytes: &bytes[MAGIC.len()..] }).unwrap();
            let parts = counts.parts().unwrap().map(|part| part.start as usize..part.end as usize - SUM);
            for (place, byte) in changes {
                let place = place % bytes.len();
                bytes[place] = byte;
            }
            for part in parts {
                let mut sum = if part.start == 0 { named(Path::new("pool")) } else { crc32fast::Hasher::new() };
                sum.update(&bytes[part.clone()]);
                let sum = sum.finalize();
                bytes[part.end..][..SUM].copy_from_slice(&sum.to_le_bytes());
            }
            if let Some(pool) = read_bytes(&bytes) {
                dump(&pool);
            }
        }
    }
}
