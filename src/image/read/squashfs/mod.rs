//! A squashfs 4.0 image as a tree.
//!
//! Comes in: the section of a file that holds the image. Goes out: its tree and what the superblock says. Always holds:
//! every length and place that the image names is checked before it is used, no block comes out larger than the format
//! allows, and contents are read from the image block by block when they are wanted.
//!
//! This is a reader of its own because the library that the writer uses leaves out extended attributes and hard links, and
//! panics on some damaged images.

mod block;
mod content;
mod inode;
mod table;

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use self::block::{Blocks, Codec, MetadataReader, Reference};
use self::content::FileReader;
use self::inode::{Inode, InodeKind};
use super::assembly::{Assembly, Entry, EntryKind};
use super::{FileSystem, FileSystemKind, ImageFault, OpenError, Section};
use crate::tree::{ContentStore, Tree, TreePath};

/// The first four bytes of the superblock of a little-endian image.
pub(super) const MAGIC: &[u8] = b"hsqs";
/// Bytes of the superblock.
const SUPERBLOCK: usize = 96;
/// The largest block of data, in bytes.
const BLOCK_MAX: u32 = 1 << 20;
/// What stands for a table that is not there.
const NONE: u64 = u64::MAX;

/// Names of features by flag.
const FEATURES: [(u16, &str); 6] = [
    (0x0010, "no-fragments"),
    (0x0020, "always-fragments"),
    (0x0040, "duplicates-removed"),
    (0x0080, "exportable"),
    (0x0200, "no-xattrs"),
    (0x0400, "compressor-options"),
];

/// Reads the image in `section`, whose files may have `limit` bytes.
pub(super) fn read(section: &Section, limit: u64) -> Result<(FileSystem, Tree), OpenError> {
    let damaged = |fault: ImageFault| OpenError::Damaged { image: section.path().to_owned(), at: None, fault };
    let image = Arc::new(Squashfs::open(section).map_err(damaged)?);
    let mut assembly = Assembly::new(section, limit);
    let root = image.inode(image.superblock.root).map_err(damaged)?;
    let entry = image.entry(image.superblock.root, &root).map_err(damaged)?;
    assembly.place(TreePath::root(), entry)?;
    // A list and not recursion: a hostile depth costs memory, not stack.
    let mut directories = vec![(TreePath::root(), root)];
    while let Some((directory, inode)) = directories.pop() {
        let names = image.list(&inode).map_err(|fault| assembly.fault(&directory, fault))?;
        for (name, reference) in names {
            let path = directory.join(&name).map_err(|error| assembly.fault(&directory, error.into()))?;
            if assembly.link(&path, reference.id())? {
                continue;
            }
            let inode = image.inode(reference).map_err(|fault| assembly.fault(&path, fault))?;
            let entry = image.entry(reference, &inode).map_err(|fault| assembly.fault(&path, fault))?;
            assembly.place(path.clone(), entry)?;
            if matches!(inode.kind, InodeKind::Directory { .. }) {
                directories.push((path, inode));
            }
        }
    }
    let mut system = image.superblock.describe();
    let store: Arc<dyn ContentStore> = image;
    let (tree, labelled) = assembly.finish(&store)?;
    system.labelled = labelled;
    Ok((system, tree))
}

/// What stands first in an image.
#[derive(Debug)]
struct Superblock {
    created: u32,
    block_size: u32,
    fragments: u32,
    codec: Codec,
    flags: u16,
    ids: u16,
    root: Reference,
    size: u64,
    id_table: u64,
    xattr_table: u64,
    inode_table: u64,
    directory_table: u64,
    fragment_table: u64,
}

impl Superblock {
    fn parse(bytes: &[u8; SUPERBLOCK]) -> Result<Self, ImageFault> {
        let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|index| bytes[at + index]));
        let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| bytes[at + index]));
        if (u16_at(28), u16_at(30)) != (4, 0) {
            return Err(ImageFault::Unsupported(format!("squashfs version {}.{}", u16_at(28), u16_at(30))));
        }
        let block_size = u32_at(12);
        if !block_size.is_power_of_two() || !(4096..=BLOCK_MAX).contains(&block_size) {
            return Err(ImageFault::Malformed("its block size is no power of two from 4 KiB to 1 MiB"));
        }
        Ok(Self {
            created: u32_at(8),
            block_size,
            fragments: u32_at(16),
            codec: Codec::of(u16_at(20))?,
            flags: u16_at(24),
            ids: u16_at(26),
            root: Reference::new(u64_at(32)),
            size: u64_at(40),
            id_table: u64_at(48),
            xattr_table: u64_at(56),
            inode_table: u64_at(64),
            directory_table: u64_at(72),
            fragment_table: u64_at(80),
        })
    }

    fn describe(&self) -> FileSystem {
        let features = FEATURES.iter().filter(|(flag, _)| self.flags & flag != 0);
        FileSystem {
            kind: FileSystemKind::Squashfs,
            block_size: self.block_size,
            size: self.size,
            codecs: vec![self.codec.name()],
            features: features.map(|(_, name)| *name).collect(),
            uuid: None,
            created: Some(self.created.into()),
            labelled: false,
        }
    }
}

/// An open image.
#[derive(Debug)]
struct Squashfs {
    blocks: Blocks,
    superblock: Superblock,
    ids: Vec<u32>,
    xattrs: Option<table::XattrTable>,
}

impl Squashfs {
    fn open(section: &Section) -> Result<Self, ImageFault> {
        let mut bytes = [0; SUPERBLOCK];
        section.read_exact_at(&mut bytes, 0)?;
        let superblock = Superblock::parse(&bytes)?;
        if superblock.size > section.length() {
            return Err(ImageFault::Malformed("it is cut short"));
        }
        let blocks = Blocks::new(section.part(0, superblock.size), superblock.codec);
        let ids = table::read_ids(&blocks, &superblock)?;
        let xattrs = match superblock.xattr_table {
            NONE => None,
            start => Some(table::XattrTable::open(&blocks, start)?),
        };
        Ok(Self { blocks, superblock, ids, xattrs })
    }

    /// Returns a reader of metadata that begins at a place of the table that begins at `table`.
    fn metadata(&self, table: u64, reference: Reference) -> Result<MetadataReader<'_>, ImageFault> {
        MetadataReader::new(&self.blocks, table, reference)
    }

    fn inode(&self, reference: Reference) -> Result<Inode, ImageFault> {
        Inode::read(&mut self.metadata(self.superblock.inode_table, reference)?)
    }

    fn list(&self, directory: &Inode) -> Result<Vec<(Vec<u8>, Reference)>, ImageFault> {
        let InodeKind::Directory { start, offset, size } = directory.kind else { return Ok(Vec::new()) };
        // An empty directory has the size 3, for `.` and `..`, which are not written.
        let Some(size) = size.checked_sub(3).filter(|size| *size > 0) else { return Ok(Vec::new()) };
        let reference = Reference { block: start.into(), offset };
        inode::read_directory(&mut self.metadata(self.superblock.directory_table, reference)?, size)
    }

    fn entry(&self, reference: Reference, inode: &Inode) -> Result<Entry, ImageFault> {
        let kind = match &inode.kind {
            InodeKind::File(file) => EntryKind::File(file.length),
            InodeKind::Directory { .. } => EntryKind::Directory,
            InodeKind::Symlink(target) => EntryKind::Symlink(target.clone()),
            InodeKind::CharacterDevice(number) => EntryKind::CharacterDevice(*number),
            InodeKind::BlockDevice(number) => EntryKind::BlockDevice(*number),
            InodeKind::Fifo => EntryKind::Fifo,
            InodeKind::Socket => EntryKind::Socket,
        };
        let id = |index: u16| self.ids.get(usize::from(index)).copied();
        let owner = id(inode.uid).zip(id(inode.gid));
        let owner = owner.ok_or(ImageFault::Malformed("its owner is not in the table of owners"))?;
        let xattrs = match (&self.xattrs, inode.xattrs) {
            (_, None) => Vec::new(),
            (Some(table), Some(index)) => table.read(&self.blocks, index)?,
            (None, Some(_)) => return Err(ImageFault::Malformed("it has extended attributes without a table of them")),
        };
        let mtime = inode.mtime.into();
        Ok(Entry { id: reference.id(), kind, mode: inode.mode, owner, mtime, xattrs })
    }
}

impl ContentStore for Squashfs {
    fn open(&self, id: u64) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(FileReader::open(self, Reference::new(id)).map_err(io::Error::other)?))
    }

    fn path(&self) -> &Path {
        self.blocks.section.path()
    }
}
