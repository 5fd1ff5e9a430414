//! How a pool is made: package after package, as an index tells them.

use std::collections::HashMap;

use super::pool::{Pool, Range, Text};
use super::stored::{Shelf, Stored};
use super::{
    Comparison, MultiArch, NameId, Package, Priority, Provide, Qualifier, Relation, RelationKind, Requirement,
};

/// What an index says about a package besides its relations.
#[derive(Debug, Clone, Copy)]
pub struct NewPackage<'text> {
    /// Its name.
    pub name: &'text [u8],
    /// Its version.
    pub version: &'text [u8],
    /// Its architecture, by the family's name.
    pub architecture: &'text [u8],
    /// Whether every system has it.
    pub essential: bool,
    /// Whether a system that has it should not lose it.
    pub protected: bool,
    /// What it does beside other architectures.
    pub multi_arch: MultiArch,
    /// How much a system needs it.
    pub priority: Priority,
    /// Which of several providers is taken first.
    pub provider_priority: i32,
    /// Where it is, relative to its source.
    pub location: &'text [u8],
    /// Its SHA-256, 32 bytes; empty when the index has no digest, other bytes when it has another one.
    pub digest: &'text [u8],
    /// Its length in bytes.
    pub size: u64,
    /// What it takes when installed, in bytes.
    pub installed_size: u64,
    /// The source package, when that has another name or version.
    pub origin: &'text [u8],
    /// What it is for.
    pub section: &'text [u8],
    /// A signature over it.
    pub signature: &'text [u8],
}

impl<'text> NewPackage<'text> {
    /// Returns a package of which nothing else is known.
    pub fn new(name: &'text [u8], version: &'text [u8], architecture: &'text [u8]) -> Self {
        Self {
            name,
            version,
            architecture,
            essential: false,
            protected: false,
            multi_arch: MultiArch::No,
            priority: Priority::Unknown,
            provider_priority: 0,
            location: b"",
            digest: b"",
            size: 0,
            installed_size: 0,
            origin: b"",
            section: b"",
            signature: b"",
        }
    }
}

/// The most bytes of text that one pool holds: what ids of 32 bits reach. The largest index has some ten million.
const TEXT_MAX: usize = u32::MAX as usize;

/// Takes packages and makes a [`Pool`] of them.
///
/// Relations and provides are given first and belong to the next [`PoolBuilder::package`].
#[derive(Debug, Default)]
pub struct PoolBuilder {
    pool: Pool,
    known: HashMap<Box<[u8]>, u32>,
    versions: HashMap<Box<[u8]>, Text>,
    shelf: Vec<u8>,
    origins: HashMap<Box<[u8]>, Stored>,
    /// Where relations and provides of the next package begin.
    relations: u32,
    provides: u32,
}

impl PoolBuilder {
    /// Returns a builder without packages.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a relation of the next package; its alternatives follow.
    pub fn relation(&mut self, kind: RelationKind) {
        let place = row(self.pool.requirements.len());
        self.pool.relations.push(Relation { kind, alternatives: Range { start: place, end: place } });
    }

    /// Adds an alternative to the relation begun last.
    pub fn alternative(&mut self, name: &[u8], qualifier: Qualifier, comparison: Comparison, version: &[u8]) {
        let requirement = Requirement { name: self.name(name), comparison, qualifier, version: self.version(version) };
        self.pool.requirements.push(requirement);
        if let Some(relation) = self.pool.relations.last_mut() {
            relation.alternatives.end += 1;
        }
    }

    /// Adds a name that the next package provides, in a version when it is not empty.
    pub fn provide(&mut self, name: &[u8], version: &[u8]) {
        let provide = Provide { name: self.name(name), version: self.version(version) };
        self.pool.provides.push(provide);
    }

    /// Adds a package with the relations and provides given since the last one.
    pub fn package(&mut self, new: &NewPackage<'_>) {
        let relations = Range { start: self.relations, end: row(self.pool.relations.len()) };
        let provides = Range { start: self.provides, end: row(self.pool.provides.len()) };
        (self.relations, self.provides) = (relations.end, provides.end);
        let package = Package {
            name: self.name(new.name),
            version: self.version(new.version),
            architecture: self.version(new.architecture),
            source: 0,
            essential: new.essential,
            protected: new.protected,
            multi_arch: new.multi_arch,
            priority: new.priority,
            provider_priority: new.provider_priority,
            relations,
            provides,
            location: self.shelve(new.location),
            digest: self.shelve(new.digest),
            size: new.size,
            installed_size: new.installed_size,
            origin: self.origin(new.origin),
            section: self.version(new.section),
            signature: self.shelve(new.signature),
        };
        self.pool.packages.push(package);
    }

    /// Returns the pool of what was added. Relations that no package followed are dropped.
    pub fn finish(mut self) -> Pool {
        let pool = &mut self.pool;
        pool.relations.truncate(self.relations as usize);
        pool.provides.truncate(self.provides as usize);
        let mut order: Vec<(u64, u32)> =
            pool.names.iter().enumerate().map(|(id, text)| (prefix(pool.text(*text)), id as u32)).collect();
        order.sort_unstable_by(|one, other| {
            let text = |id: u32| pool.text(pool.names[id as usize]);
            one.0.cmp(&other.0).then_with(|| text(one.1).cmp(text(other.1)))
        });
        let mut ids = vec![0; order.len()];
        for (new, (_, old)) in order.iter().enumerate() {
            ids[*old as usize] = new as u32;
        }
        pool.names = order.iter().map(|(_, old)| pool.names[*old as usize]).collect();
        pool.rename(|name| NameId(ids[name.index()]));
        // Stable: packages of one name keep the order in which they were added.
        pool.packages.sort_by_key(|package| package.name);
        pool.shelf = Shelf::Here(self.shelf);
        self.pool.indexed()
    }

    fn name(&mut self, name: &[u8]) -> NameId {
        if let Some(id) = self.known.get(name) {
            return NameId(*id);
        }
        let text = self.put(name);
        let id = row(self.pool.names.len());
        self.pool.names.push(text);
        self.known.insert(name.into(), id);
        NameId(id)
    }

    /// Keeps a text that many packages have once.
    fn version(&mut self, version: &[u8]) -> Text {
        if version.is_empty() {
            return Text::default();
        }
        if let Some(text) = self.versions.get(version) {
            return *text;
        }
        let text = self.put(version);
        self.versions.insert(version.into(), text);
        text
    }

    /// Keeps the source of a package once for all that are built from it.
    fn origin(&mut self, origin: &[u8]) -> Stored {
        if origin.is_empty() {
            return Stored::default();
        }
        if let Some(stored) = self.origins.get(origin) {
            return *stored;
        }
        let stored = self.shelve(origin);
        self.origins.insert(origin.into(), stored);
        stored
    }

    fn put(&mut self, bytes: &[u8]) -> Text {
        append(&mut self.pool.text, bytes)
    }

    /// Keeps a text that is looked up when it is asked for.
    fn shelve(&mut self, bytes: &[u8]) -> Stored {
        Stored(append(&mut self.shelf, bytes))
    }
}

/// Adds a text to others.
fn append(texts: &mut Vec<u8>, bytes: &[u8]) -> Text {
    let start = texts.len();
    assert!(start + bytes.len() <= TEXT_MAX, "readers of indexes bound what they take far below that");
    texts.extend(bytes);
    Text { start: start as u32, length: bytes.len() as u32 }
}

impl Pool {
    /// Gives every name another id.
    pub(super) fn rename(&mut self, id: impl Fn(NameId) -> NameId) {
        self.packages.iter_mut().for_each(|package| package.name = id(package.name));
        self.requirements.iter_mut().for_each(|requirement| requirement.name = id(requirement.name));
        self.provides.iter_mut().for_each(|provide| provide.name = id(provide.name));
    }
}

/// Returns a length as the number of a row: tables are bounded by the text that they are made from.
fn row(length: usize) -> u32 {
    u32::try_from(length).expect("an index shorter than 4 GiB has fewer than 2^32 rows")
}

/// Returns the first bytes of a text as a number that sorts like them.
fn prefix(text: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let length = text.len().min(8);
    bytes[..length].copy_from_slice(&text[..length]);
    u64::from_be_bytes(bytes)
}
