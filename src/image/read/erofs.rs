//! An EROFS image as a tree, through `erofs-rs`.
//!
//! Comes in: the section of a file that holds the image. Goes out: its tree and what the superblock says. Always holds:
//! contents are read from the image when they are wanted, one extent at a time.

use std::future::Future;
use std::io::{self, Read};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use erofs_rs::r#async::{EroFS, File};
use erofs_rs::backend::AsyncImage;
use erofs_rs::types::{Inode, SuperBlock};

use super::assembly::{Assembly, Entry, EntryKind, SYMLINK};
use super::{FileSystem, FileSystemKind, ImageFault, OpenError, Section};
use crate::tree::{ContentStore, DeviceNumber, Tree, TreePath};

/// Where the superblock begins, in bytes.
pub(super) const SUPERBLOCK: u64 = 1024;
/// The first four bytes of the superblock.
pub(super) const MAGIC: [u8; 4] = [0xe2, 0xe1, 0xf5, 0xe0];

/// Names of codecs by bit of the superblock (`available_compr_algs`).
const CODECS: [&str; 4] = ["lz4", "lzma", "deflate", "zstd"];
/// The compatible feature that a checksum of the superblock is there.
const CHECKSUM: u32 = 1;
/// Names of incompatible features by bit (`feature_incompat`) as mkfs.erofs calls them.
const FEATURES: [(u32, &str); 9] = [
    (0x01, "lz4-0padding"),
    (0x02, "big-pcluster"),
    (0x04, "chunked-file"),
    (0x08, "device-table"),
    (0x10, "ztailpacking"),
    (0x20, "fragments"),
    (0x40, "xattr-prefixes"),
    (0x80, "48bit"),
    (0x100, "metabox"),
];

/// Reads the image in `section`, whose files may have `limit` bytes.
pub(super) fn read(section: &Section, limit: u64) -> Result<(FileSystem, Tree), OpenError> {
    let damaged = |fault: ImageFault| OpenError::Damaged { image: section.path().to_owned(), at: None, fault };
    let system = ready(EroFS::new(section.clone())).map_err(|error| damaged(error.into()))?;
    let image = Arc::new(ErofsImage { system, path: section.path().into() });
    let mut assembly = Assembly::new(section, limit);
    let root = image.system.super_block().root_inode_id();
    let root = ready(image.system.get_inode(root)).map_err(|error| damaged(error.into()))?;
    assembly.place(TreePath::root(), image.entry(&root).map_err(damaged)?)?;
    let mut walk = ready(image.system.walk_dir("/")).map_err(|error| damaged(error.into()))?;
    while let Some(found) = ready(walk.next_entry()) {
        let found = found.map_err(|error| damaged(error.into()))?;
        let path = found.dir_entry.path();
        let bytes = path.as_bytes();
        let path = TreePath::from_absolute(bytes).map_err(|error| damaged(error.into()))?;
        if !assembly.link(&path, found.inode.id())? {
            let entry = image.entry(&found.inode).map_err(|fault| assembly.fault(&path, fault))?;
            assembly.place(path, entry)?;
        }
    }
    let mut system = describe(image.system.super_block());
    let store: Arc<dyn ContentStore> = image;
    let (tree, labelled) = assembly.finish(&store)?;
    system.labelled = labelled;
    Ok((system, tree))
}

fn describe(superblock: &SuperBlock) -> FileSystem {
    let bits = superblock.feature_incompat;
    // The same bit says that a codec configuration is there and that clusters may be larger than a block.
    let configured = bits & 0x02 != 0;
    let mut codecs: Vec<&str> = Vec::new();
    for (index, name) in CODECS.iter().enumerate() {
        if configured && superblock.compr_algs & (1 << index) != 0 {
            codecs.push(name);
        }
    }
    if codecs.is_empty() && bits & 0x01 != 0 {
        codecs.push("lz4");
    }
    let mut features: Vec<&str> = FEATURES.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect();
    if superblock.feature_compat & CHECKSUM != 0 {
        features.push("checksum");
    }
    let block_size = 1u32.checked_shl(superblock.blk_size_bits.into()).unwrap_or(0);
    FileSystem {
        kind: FileSystemKind::Erofs,
        block_size,
        size: superblock.block_count().saturating_mul(block_size.into()),
        codecs,
        features,
        uuid: Some(superblock.uuid),
        created: superblock.created_unix().map(|(seconds, _)| seconds),
        labelled: false,
    }
}

/// An open image.
#[derive(Debug)]
struct ErofsImage {
    system: EroFS<Section>,
    path: Box<Path>,
}

impl ErofsImage {
    fn entry(&self, inode: &Inode) -> Result<Entry, ImageFault> {
        let number = || inode.device().map(|(major, minor)| DeviceNumber { major, minor });
        let device = || number().ok_or(ImageFault::Malformed("it is a device without a number"));
        let kind = inode.file_type();
        let kind = if kind.is_dir() {
            EntryKind::Directory
        } else if kind.is_file() {
            EntryKind::File(inode.data_size())
        } else if kind.is_symlink() {
            if inode.data_size() > SYMLINK {
                return Err(ImageFault::Malformed("it is a symbolic link of more than 4095 bytes"));
            }
            EntryKind::Symlink(ready(self.system.read_link_inode(*inode))?.as_bytes().to_vec())
        } else if kind.is_char_device() {
            EntryKind::CharacterDevice(device()?)
        } else if kind.is_block_device() {
            EntryKind::BlockDevice(device()?)
        } else if kind.is_fifo() {
            EntryKind::Fifo
        } else {
            EntryKind::Socket
        };
        let xattrs = ready(self.system.xattrs_inode(*inode))?.into_iter().collect();
        let mode = u16::try_from(std::os::unix::fs::PermissionsExt::mode(&inode.permissions()) & 0o7777);
        Ok(Entry {
            id: inode.id(),
            kind,
            mode: mode.unwrap_or_default(),
            owner: (inode.uid(), inode.gid()),
            mtime: inode.modified_unix().0,
            xattrs,
        })
    }
}

impl ContentStore for ErofsImage {
    fn open(&self, id: u64) -> io::Result<Box<dyn Read + Send + '_>> {
        let inode = ready(self.system.get_inode(id)).map_err(io::Error::other)?;
        let file = self.system.open_inode_file(inode).map_err(io::Error::other)?;
        Ok(Box::new(Reader(file)))
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

struct Reader<'image>(File<'image, Section>);

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        ready(self.0.read(buffer)).map_err(io::Error::other)
    }
}

impl AsyncImage for Section {
    async fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> erofs_rs::Result<()> {
        Ok(self.read_exact_at(buffer, offset)?)
    }
}

/// Returns what a future gives that never waits: reading a section blocks instead. (The crate's blocking interface wants
/// the whole image as one slice of memory.)
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}
