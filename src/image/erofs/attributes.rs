//! Extended attributes: what stands behind an inode, and what many inodes share.
//!
//! An attribute that several inodes have stands once in the shared area, and its inodes hold a number of four bytes.

use std::collections::BTreeMap;

use xxhash_rust::xxh32::xxh32;

use super::ErofsError;
use crate::tree::{Kind, Node, TreePath};

/// Bytes before the first attribute of an inode.
const HEADER: usize = 12;
/// The most attributes that an inode can share.
const SHARED_MAX: usize = u8::MAX as usize;
/// The most bytes that the attributes of an inode can take: the count of them in units of four bytes has 16 bits.
const BODY_MAX: usize = HEADER + 4 * (u16::MAX as usize - 1);
/// What the filter's hash begins with; the namespace is added to it.
const FILTER_SEED: u32 = 0x25BB_E08F;
/// Marks an opaque directory to overlayfs.
const OPAQUE: (&[u8], &[u8]) = (b"trusted.overlay.opaque", b"y");
/// The namespaces: the number that stands for each, and what its names begin with.
const NAMESPACES: [(u8, &[u8]); 5] = [
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (1, b"user."),
    (4, b"trusted."),
    (6, b"security."),
];

/// An attribute: full name and value.
type Attribute<'tree> = (&'tree [u8], &'tree [u8]);

/// The attributes that inodes share.
#[derive(Debug, Default)]
pub(super) struct SharedAttributes<'tree> {
    numbers: BTreeMap<Attribute<'tree>, u32>,
    area: Vec<u8>,
}

/// Returns the attributes of a node, sorted.
fn attributes(node: &Node) -> Vec<Attribute<'_>> {
    let opaque = node.kind == (Kind::Directory { opaque: true });
    let own = node.meta.xattrs.iter().map(|(name, value)| (&**name, &**value));
    let mut all: Vec<Attribute<'_>> = own.filter(|(name, _)| !(opaque && *name == OPAQUE.0)).collect();
    if opaque {
        let place = all.partition_point(|attribute| *attribute < OPAQUE);
        all.insert(place, OPAQUE);
    }
    all
}

impl<'tree> SharedAttributes<'tree> {
    /// Finds out what `nodes` share.
    ///
    /// # Errors
    /// When an attribute cannot stand in an image, or the attributes of one node are too large.
    pub(super) fn find(nodes: impl Iterator<Item = (&'tree TreePath, &'tree Node)>) -> Result<Self, ErofsError> {
        let mut counts: BTreeMap<Attribute<'tree>, usize> = BTreeMap::new();
        for (path, node) in nodes {
            for (name, value) in attributes(node) {
                if split(name).is_none() {
                    return Err(ErofsError::Attribute {
                        path: path.clone(),
                        name: lossy(name),
                        reason: "its name cannot stand in an image: it must begin with `user.`, `trusted.` or `security.` and go on with 1 to 255 bytes",
                    });
                }
                if value.len() > usize::from(u16::MAX) {
                    return Err(ErofsError::Attribute {
                        path: path.clone(),
                        name: lossy(name),
                        reason: "its value is longer than 65535 bytes",
                    });
                }
                *counts.entry((name, value)).or_default() += 1;
            }
            if body_size(&attributes(node), |_| false) > BODY_MAX {
                let name = attributes(node).first().map(|(name, _)| lossy(name)).unwrap_or_default();
                return Err(ErofsError::Attribute {
                    path: path.clone(),
                    name,
                    reason: "all attributes of the file together are longer than 256 KiB",
                });
            }
        }
        let mut shared = Self::default();
        for (attribute, count) in counts {
            let size = entry_size(attribute);
            if (count - 1) * size > 4 * count {
                shared.numbers.insert(attribute, (shared.area.len() / 4) as u32);
                encode_entry(attribute, &mut shared.area);
            }
        }
        Ok(shared)
    }

    /// Returns the shared area.
    pub(super) fn area(&self) -> &[u8] {
        &self.area
    }

    /// Returns the number of bytes that the attributes of `node` take behind its inode.
    pub(super) fn size(&self, node: &Node) -> usize {
        if node.meta.xattrs.is_empty() && !matches!(node.kind, Kind::Directory { opaque: true }) {
            return 0;
        }
        body_size(&attributes(node), |attribute| self.numbers.contains_key(&attribute))
    }

    /// Appends what stands behind the inode of `node`.
    pub(super) fn encode(&self, node: &Node, out: &mut Vec<u8>) {
        let all = attributes(node);
        if all.is_empty() {
            return;
        }
        let numbers = all.iter().map(|attribute| self.numbers.get(attribute).copied());
        let shared: Vec<u32> = numbers.clone().flatten().take(SHARED_MAX).collect();
        let filter = all.iter().fold(0, |bits, (name, _)| bits | filter_bit(name));
        out.extend((!filter).to_le_bytes());
        out.push(shared.len() as u8);
        out.extend([0; 7]);
        shared.iter().for_each(|number| out.extend(number.to_le_bytes()));
        let mut left = SHARED_MAX;
        for (attribute, number) in all.iter().zip(numbers) {
            match number {
                Some(_) if left > 0 => left -= 1,
                _ => encode_entry(*attribute, out),
            }
        }
    }
}

fn body_size(all: &[Attribute<'_>], is_shared: impl Fn(Attribute<'_>) -> bool) -> usize {
    if all.is_empty() {
        return 0;
    }
    let mut left = SHARED_MAX;
    let size = |attribute: &Attribute<'_>| {
        if left > 0 && is_shared(*attribute) {
            left -= 1;
            return 4;
        }
        entry_size(*attribute)
    };
    HEADER + all.iter().map(size).sum::<usize>()
}

/// Returns the namespace of a name and the rest of it.
fn split(name: &[u8]) -> Option<(u8, &[u8])> {
    let (index, prefix) = NAMESPACES.iter().find(|(_, prefix)| name.starts_with(prefix))?;
    let rest = &name[prefix.len()..];
    let whole = !prefix.ends_with(b".");
    (rest.is_empty() == whole && rest.len() <= usize::from(u8::MAX) && !rest.contains(&0)).then_some((*index, rest))
}

fn entry_size((name, value): Attribute<'_>) -> usize {
    let rest = split(name).map_or(0, |(_, rest)| rest.len());
    (4 + rest + value.len()).next_multiple_of(4)
}

fn encode_entry((name, value): Attribute<'_>, out: &mut Vec<u8>) {
    let (index, rest) = split(name).unwrap_or_default();
    out.extend([rest.len() as u8, index]);
    out.extend((value.len() as u16).to_le_bytes());
    out.extend(rest);
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

fn filter_bit(name: &[u8]) -> u32 {
    let (index, rest) = split(name).unwrap_or_default();
    1 << (xxh32(rest, FILTER_SEED + u32::from(index)) & 31)
}

fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
