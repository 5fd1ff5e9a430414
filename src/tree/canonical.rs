//! The digest of a whole tree.

use super::{Kind, Meta, Tree};
use crate::digest::{Digest, Hasher};

/// Stands first in what is hashed; a change of the format changes it.
const FORMAT: &[u8] = b"layerforge tree 1";

impl Tree {
    /// Returns the canonical digest: the same for equal trees, however they were made and wherever their bytes are.
    ///
    /// It is the SHA-256 of a sequence of fields, each its length as eight little-endian bytes followed by its bytes
    /// ([`Hasher::field`]). First the field `layerforge tree 1`, then for every path, in the order of the paths:
    ///
    /// 1. the path without its leading slash;
    /// 2. `hard-link` when an earlier path has the same node: then one field with the first such path ends the record;
    ///    otherwise the word of the kind ([`Kind::word`]);
    /// 3. 20 bytes: mode, uid and gid as four bytes each, mtime as eight bytes, all little-endian, mtime signed;
    /// 4. the number of extended attributes as eight little-endian bytes, then a field for the name and one for the value
    ///    of each, in the order of the names;
    /// 5. by kind. `file`: the 32 bytes of the SHA-256, then the length as eight little-endian bytes, two fields.
    ///    `directory`: one byte, 1 when opaque and 0 when not. `symlink`: what it holds. `character-device` and
    ///    `block-device`: eight bytes, major and minor as four little-endian bytes each. `fifo`, `socket` and `whiteout`:
    ///    no field.
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::new();
        hasher.field(FORMAT);
        for (path, node, first) in self.links() {
            hasher.field(path.as_bytes());
            if let Some(first) = first {
                hasher.field(b"hard-link");
                hasher.field(first.as_bytes());
                continue;
            }
            hasher.field(node.kind.word().as_bytes());
            hash_meta(&mut hasher, &node.meta);
            hash_kind(&mut hasher, &node.kind);
        }
        hasher.finish().0
    }
}

fn hash_meta(hasher: &mut Hasher, meta: &Meta) {
    let mut fixed = [0; 20];
    fixed[0..4].copy_from_slice(&u32::from(meta.mode).to_le_bytes());
    fixed[4..8].copy_from_slice(&meta.uid.to_le_bytes());
    fixed[8..12].copy_from_slice(&meta.gid.to_le_bytes());
    fixed[12..20].copy_from_slice(&meta.mtime.to_le_bytes());
    hasher.field(&fixed);
    hasher.field(&(meta.xattrs.len() as u64).to_le_bytes());
    for (name, value) in &meta.xattrs {
        hasher.field(name);
        hasher.field(value);
    }
}

fn hash_kind(hasher: &mut Hasher, kind: &Kind) {
    match kind {
        Kind::Regular(content) => {
            hasher.field(content.digest.as_bytes());
            hasher.field(&content.length.to_le_bytes());
        }
        Kind::Directory { opaque } => hasher.field(&[u8::from(*opaque)]),
        Kind::Symlink(target) => hasher.field(target),
        Kind::CharacterDevice(number) | Kind::BlockDevice(number) => {
            let mut bytes = [0; 8];
            bytes[0..4].copy_from_slice(&number.major.to_le_bytes());
            bytes[4..8].copy_from_slice(&number.minor.to_le_bytes());
            hasher.field(&bytes);
        }
        Kind::Fifo | Kind::Socket | Kind::Whiteout => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Content, DeviceNumber, Node, TreePath};

    fn path(text: &str) -> TreePath {
        text.parse().unwrap()
    }

    fn node(kind: Kind) -> Node {
        Node { kind, meta: Meta::root_owned(0o755, 1) }
    }

    fn file(text: &str) -> Node {
        node(Kind::Regular(Content::inline(text.as_bytes())))
    }

    /// What the documentation says, written down by hand: a second opinion about every byte.
    #[test]
    fn the_format_is_the_documented_one() {
        let mut tree = Tree::new();
        tree.insert(path("/f"), file("x")).unwrap();
        tree.link(path("/g"), &path("/f")).unwrap();
        tree.get_mut(&path("/f")).unwrap().meta.xattrs.insert((*b"user.k").into(), (*b"v").into());
        let mut bytes = Vec::new();
        let mut field = |content: &[u8]| {
            bytes.extend((content.len() as u64).to_le_bytes());
            bytes.extend(content);
        };
        field(b"layerforge tree 1");
        field(b"f");
        field(b"file");
        field(b"\xed\x01\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0");
        field(b"\x01\0\0\0\0\0\0\0");
        field(b"user.k");
        field(b"v");
        field(Digest::of(b"x").as_bytes());
        field(b"\x01\0\0\0\0\0\0\0");
        field(b"g");
        field(b"hard-link");
        field(b"f");
        assert_eq!(tree.digest(), Digest::of(&bytes));
    }

    #[test]
    fn the_order_of_making_does_not_matter() {
        let mut one = Tree::new();
        one.insert(path("/b"), file("x")).unwrap();
        one.link(path("/a"), &path("/b")).unwrap();
        let mut other = Tree::new();
        other.insert(path("/c"), file("gone")).unwrap();
        other.insert(path("/a"), file("x")).unwrap();
        other.link(path("/b"), &path("/a")).unwrap();
        assert_ne!(one.digest(), other.digest());
        other.remove(&path("/c"));
        assert_eq!(one.digest(), other.digest());
    }

    #[test]
    fn everything_counts() {
        type Edit = fn(&mut Tree);
        let edits: [Edit; 11] = [
            |_| {},
            |tree| tree.get_mut(&path("/f")).unwrap().meta.mode = 0o644,
            |tree| tree.get_mut(&path("/f")).unwrap().meta.uid = 1,
            |tree| tree.get_mut(&path("/f")).unwrap().meta.gid = 1,
            |tree| tree.get_mut(&path("/f")).unwrap().meta.mtime = -1,
            |tree| tree.get_mut(&path("/f")).unwrap().kind = file("y").kind,
            |tree| tree.get_mut(&path("/d")).unwrap().kind = Kind::Directory { opaque: true },
            |tree| tree.get_mut(&path("/s")).unwrap().kind = Kind::Symlink((*b"other").into()),
            |tree| tree.get_mut(&path("/n")).unwrap().kind = Kind::CharacterDevice(DeviceNumber { major: 3, minor: 1 }),
            |tree| tree.get_mut(&path("/n")).unwrap().kind = Kind::BlockDevice(DeviceNumber { major: 1, minor: 3 }),
            |tree| drop(tree.insert(path("/g"), file("x"))),
        ];
        let digest = |edit: &Edit| {
            let mut tree = Tree::new();
            tree.insert(path("/f"), file("x")).unwrap();
            tree.link(path("/g"), &path("/f")).unwrap();
            tree.insert(path("/d"), node(Kind::directory())).unwrap();
            tree.insert(path("/s"), node(Kind::Symlink((*b"target").into()))).unwrap();
            let number = DeviceNumber { major: 1, minor: 3 };
            tree.insert(path("/n"), node(Kind::CharacterDevice(number))).unwrap();
            edit(&mut tree);
            tree.digest()
        };
        let digests: std::collections::BTreeSet<Digest> = edits.iter().map(digest).collect();
        assert_eq!(digests.len(), edits.len());
    }
}
