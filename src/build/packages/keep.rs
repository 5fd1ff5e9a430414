//! Trees of packages in the store.
//!
//! Contents of packages stay in their packs, by name; everything else is in the file itself. All numbers are little-endian; a
//! text is its length (u32) and its bytes:
//!
//! ```text
//! contents      one behind the other
//! table         description (JSON: packages, scripts that were skipped, log)
//!               count of packs u32; the 32 bytes of the digest that each is named by
//!               count of paths u32; for each: path, owner u32 (a package, or 2^32 - 1), kind u8, then
//!                 0..=5  mode u16, uid u32, gid u32, mtime i64, count of attributes u32, name and value of each, then by kind:
//!                 0 file         pack u32 (or 2^32 - 1: this file), offset u64, length u64, digest (32 bytes)
//!                 1 directory
//!                 2 symlink      target
//!                 3, 4 devices   major u32, minor u32 (character, block)
//!                 5 fifo
//!                 6 link         path of the first name
//! end           key (32 bytes), start of the table u64, CRC-32 of all before in the table and these u32, "LFtree01"
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{InstalledPackage, PackageTree, PackagesError, Skipped};
use crate::digest::{Digest, Hasher};
use crate::fs;
use crate::store::Store;
use crate::tree::{Content, ContentSource, DeviceNumber, Kind, Meta, Node, Tree, TreePath, Xattrs};

const MAGIC: &[u8; 8] = b"LFtree01";
const END: usize = 32 + 8 + 4 + MAGIC.len();
/// The most bytes of a table.
const TABLE_BYTES: u64 = 1 << 30;
/// Stands for no package, and for this file among packs.
const NONE: u32 = u32::MAX;

/// What is kept beside paths.
#[derive(Debug, Serialize, Deserialize)]
struct Description {
    packages: Vec<InstalledPackage>,
    skipped: Vec<Skipped>,
    log: String,
}

/// Keeps a tree, with every content that is not in a pack of the store.
pub(super) fn write(store: &Store, made: &PackageTree) -> Result<(), PackagesError> {
    let packs = store.packs();
    store.keep_package_tree(&made.key, |file| {
        let mut writer = Writer { file: BufWriter::with_capacity(256 * 1024, file), position: 0, own: BTreeMap::new() };
        let mut table = Vec::new();
        let description =
            Description { packages: made.packages.clone(), skipped: made.skipped.clone(), log: made.log.clone() };
        put_text(
            &mut table,
            &serde_json::to_vec(&description)
                .map_err(io::Error::from)
                .map_err(fs::Error::on("write", store.package_tree(&made.key)))?,
        );
        let mut names: BTreeMap<Digest, u32> = BTreeMap::new();
        for (_, node) in made.tree.iter() {
            let next = names.len() as u32;
            if let Some(pack) = pack_of(node, &packs) {
                names.entry(pack).or_insert(next);
            }
        }
        let mut sorted: Vec<(&u32, &Digest)> = names.iter().map(|(digest, number)| (number, digest)).collect();
        sorted.sort();
        put_number(&mut table, sorted.len());
        sorted.iter().for_each(|(_, digest)| table.extend(digest.as_bytes()));
        put_number(&mut table, made.tree.len());
        for (path, node, first) in made.tree.links() {
            put_text(&mut table, path.as_bytes());
            let owner = made.owners.get(path).map_or(NONE, |owner| *owner as u32);
            table.extend(owner.to_le_bytes());
            match first {
                Some(first) => {
                    table.push(6);
                    put_text(&mut table, first.as_bytes());
                }
                None => {
                    let pack = pack_of(node, &packs).map(|pack| names[&pack]);
                    writer.put_node(&mut table, node, pack)?;
                }
            }
        }
        writer.finish(&made.key, table)
    })?;
    Ok(())
}

/// Returns the digest that the pack is named by which the content of a node is in.
fn pack_of(node: &Node, packs: &Path) -> Option<Digest> {
    let Kind::Regular(Content { source: ContentSource::Slice { file, .. }, .. }) = &node.kind else { return None };
    if file.parent() != Some(packs) {
        return None;
    }
    format!("sha256:{}", file.file_name()?.to_str()?).parse().ok()
}

struct Writer<'file> {
    file: BufWriter<&'file File>,
    position: u64,
    /// Where contents stand that were written already.
    own: BTreeMap<Digest, u64>,
}

impl Writer<'_> {
    fn put_node(&mut self, table: &mut Vec<u8>, node: &Node, pack: Option<u32>) -> fs::Result<()> {
        table.push(match node.kind {
            Kind::Regular(_) => 0,
            Kind::Symlink(_) => 2,
            Kind::CharacterDevice(_) => 3,
            Kind::BlockDevice(_) => 4,
            Kind::Fifo => 5,
            // Packages have neither sockets nor whiteouts.
            _ => 1,
        });
        let Meta { mode, uid, gid, mtime, xattrs } = &node.meta;
        table.extend(mode.to_le_bytes());
        table.extend(uid.to_le_bytes());
        table.extend(gid.to_le_bytes());
        table.extend(mtime.to_le_bytes());
        put_number(table, xattrs.len());
        for (name, value) in xattrs {
            put_text(table, name);
            put_text(table, value);
        }
        match &node.kind {
            Kind::Regular(content) => {
                let offset = match (&content.source, pack) {
                    (ContentSource::Slice { offset, .. }, Some(_)) => *offset,
                    _ => self.put_content(content)?,
                };
                table.extend(pack.unwrap_or(NONE).to_le_bytes());
                table.extend(offset.to_le_bytes());
                table.extend(content.length.to_le_bytes());
                table.extend(content.digest.as_bytes());
            }
            Kind::Symlink(target) => put_text(table, target),
            Kind::CharacterDevice(number) | Kind::BlockDevice(number) => {
                table.extend(number.major.to_le_bytes());
                table.extend(number.minor.to_le_bytes());
            }
            _ => {}
        }
        Ok(())
    }

    fn put_content(&mut self, content: &Content) -> fs::Result<u64> {
        if let Some(offset) = self.own.get(&content.digest) {
            return Ok(*offset);
        }
        let (offset, path) = (self.position, content.source.path());
        let mut hasher = Hasher::new();
        let mut both = Both { file: &mut self.file, hasher: &mut hasher };
        self.position += io::copy(&mut content.open()?, &mut both).map_err(fs::Error::on("copy", path))?;
        if hasher.finish().0 != content.digest {
            let changed = io::Error::other("it changed while it was used");
            return Err(fs::Error::on("copy", path)(changed));
        }
        self.own.insert(content.digest, offset);
        Ok(offset)
    }

    fn finish(mut self, key: &Digest, mut table: Vec<u8>) -> Result<(), PackagesError> {
        let start = self.position;
        table.extend(key.as_bytes());
        table.extend(start.to_le_bytes());
        let checksum = crc32fast::hash(&table);
        table.extend(checksum.to_le_bytes());
        table.extend(MAGIC);
        let written = self.file.write_all(&table).and_then(|()| self.file.flush());
        Ok(written.map_err(fs::Error::on("write", "a tree of packages"))?)
    }
}

/// Writes to a file and hashes what is written.
struct Both<'run, 'file> {
    file: &'run mut BufWriter<&'file File>,
    hasher: &'run mut Hasher,
}

impl Write for Both<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn put_text(table: &mut Vec<u8>, text: &[u8]) {
    put_number(table, text.len());
    table.extend(text);
}

fn put_number(table: &mut Vec<u8>, number: usize) {
    table.extend(u32::try_from(number).expect("what packages hold is bounded below 4 GiB").to_le_bytes());
}

/// Returns the tree that `key` decides about; nothing when there is none, it is damaged, or one of its packs is gone.
pub(super) fn read(store: &Store, key: &Digest) -> Result<Option<PackageTree>, PackagesError> {
    let path = store.package_tree(key);
    let file = match fs::open(&path) {
        Err(error) if error.is_not_found() => return Ok(None),
        file => file?,
    };
    let failed = || fs::Error::on::<io::Error>("read", &*path);
    let length = file.metadata().map_err(failed())?.len();
    let Some(end) = length.checked_sub(END as u64) else { return Ok(None) };
    let mut last = [0; END];
    file.read_exact_at(&mut last, end).map_err(failed())?;
    let mut reader = Reader { bytes: &last[32..] };
    let (Some(start), Some(checksum)) = (reader.long(), reader.number()) else { return Ok(None) };
    let size = length.checked_sub(start).filter(|size| *size <= TABLE_BYTES && *size >= END as u64);
    let (Some(size), true) = (size, reader.bytes == MAGIC && last[..32] == *key.as_bytes()) else { return Ok(None) };
    let mut table = vec![0; size as usize];
    file.read_exact_at(&mut table, start).map_err(failed())?;
    let (checked, rest) = table.split_at(table.len() - 4 - MAGIC.len());
    if crc32fast::hash(checked) != checksum || rest.len() != 4 + MAGIC.len() {
        return Ok(None);
    }
    let mut reader = Reader { bytes: &checked[..checked.len() - 40] };
    let Some((made, packs)) = reader.tree(store, key, &path, start) else { return Ok(None) };
    for pack in &packs {
        if !fs::exists(pack)? {
            return Ok(None);
        }
    }
    // What was used last goes last; a cache folder that cannot be written still serves.
    fs::touch(&path).ok();
    packs.iter().for_each(|pack| drop(fs::touch(pack)));
    Ok(Some(made))
}

/// Reads from the front of bytes; nothing when there are too few.
struct Reader<'bytes> {
    bytes: &'bytes [u8],
}

impl<'bytes> Reader<'bytes> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*head)
    }

    fn number(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn long(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Option<&'bytes [u8]> {
        let length = self.number()? as usize;
        let (text, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(text)
    }

    fn path(&mut self) -> Option<TreePath> {
        TreePath::from_relative(self.text()?).ok()
    }

    fn tree(&mut self, store: &Store, key: &Digest, own: &Path, end: u64) -> Option<(PackageTree, Vec<Arc<Path>>)> {
        let Description { packages, skipped, log } = serde_json::from_slice(self.text()?).ok()?;
        let folder = store.packs();
        let mut packs: Vec<Arc<Path>> = Vec::new();
        for _ in 0..self.number()? {
            packs.push(folder.join(Digest::from_bytes(self.array()?).hex()).into());
        }
        let own: Arc<Path> = own.into();
        let (mut tree, mut owners) = (Tree::new(), BTreeMap::new());
        for _ in 0..self.number()? {
            let (path, owner, [kind]) = (self.path()?, self.number()?, self.array()?);
            if owner != NONE {
                owners.insert(path.clone(), usize::try_from(owner).ok().filter(|owner| *owner < packages.len())?);
            }
            if kind == 6 {
                tree.link(path, &self.path()?).ok()?;
                continue;
            }
            let node = self.node(kind, &packs, (&own, end))?;
            tree.insert(path, node).ok()?;
        }
        let made = PackageTree { key: *key, tree, packages, owners, skipped, log };
        self.bytes.is_empty().then_some((made, packs))
    }

    fn node(&mut self, kind: u8, packs: &[Arc<Path>], (own, end): (&Arc<Path>, u64)) -> Option<Node> {
        let mut meta = Meta {
            mode: u16::from_le_bytes(self.array()?),
            uid: self.number()?,
            gid: self.number()?,
            mtime: i64::from_le_bytes(self.array()?),
            xattrs: Xattrs::new(),
        };
        for _ in 0..self.number()? {
            meta.xattrs.insert(self.text()?.into(), self.text()?.into());
        }
        let kind = match kind {
            0 => {
                let (pack, offset, length) = (self.number()?, self.long()?, self.long()?);
                let digest = Digest::from_bytes(self.array()?);
                let file = if pack == NONE { own } else { packs.get(pack as usize)? };
                let inside = offset.checked_add(length)?;
                if pack == NONE && inside > end {
                    return None;
                }
                let source = match length {
                    0 => ContentSource::Inline(Arc::default()),
                    _ => ContentSource::Slice { file: file.clone(), offset },
                };
                Kind::Regular(Content { digest, length, source })
            }
            1 => Kind::directory(),
            2 => Kind::Symlink(self.text()?.into()),
            3 => Kind::CharacterDevice(self.device()?),
            4 => Kind::BlockDevice(self.device()?),
            5 => Kind::Fifo,
            _ => return None,
        };
        Some(Node { kind, meta })
    }

    fn device(&mut self) -> Option<DeviceNumber> {
        Some(DeviceNumber { major: self.number()?, minor: self.number()? })
    }
}
