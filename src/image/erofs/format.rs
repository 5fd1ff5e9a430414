//! The fixed structures of EROFS as bytes.
//!
//! All numbers are little-endian (Linux, Documentation/filesystems/erofs.rst). Two units of place: the block of 4096
//! bytes, for data, and the slot of 32 bytes, for inodes.

use super::options::Codec;

/// Bytes of a block.
pub(super) const BLOCK: usize = 4096;
/// Bytes of a slot: an inode begins at a multiple of it.
pub(super) const SLOT: usize = 32;
/// Where the superblock stands, in bytes.
const SUPERBLOCK_OFFSET: usize = 1024;
const SUPERBLOCK_SIZE: usize = 128;
const MAGIC: u32 = 0xE0F5_E1E2;

/// Optional features that older kernels may overlook.
pub(super) mod compatible {
    /// The superblock has a checksum.
    pub(in super::super) const CHECKSUM: u32 = 0x1;
    /// Times are those of last change of content.
    pub(in super::super) const MTIME: u32 = 0x2;
    /// Inodes say which attributes they lack.
    pub(in super::super) const ATTRIBUTE_FILTER: u32 = 0x4;
}

/// Features that a reader has to know.
pub(super) mod incompatible {
    /// Compressed data stands at the end of its blocks, zeros before it.
    pub(in super::super) const ZERO_PADDING: u32 = 0x1;
    /// Codec settings stand behind the superblock; extents may have several blocks.
    pub(in super::super) const CODEC_SETTINGS: u32 = 0x2;
    /// The ends of compressed files may stand behind their inodes.
    pub(in super::super) const INLINE_TAILS: u32 = 0x10;
    /// There is a packed inode, or files share extents.
    pub(in super::super) const PACKING: u32 = 0x20;
}

/// How the data of an inode is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DataLayout {
    /// Contiguous blocks.
    Plain = 0,
    /// Compressed; here only for files that are wholly in the packed inode.
    CompressedFull = 1,
    /// Contiguous blocks, and the rest behind the inode.
    Inline = 2,
    /// Compressed, with a bit-packed index behind the inode.
    CompressedCompact = 3,
}

/// The superblock.
#[derive(Debug, Default)]
pub(super) struct Superblock {
    pub(super) compatible: u32,
    pub(super) incompatible: u32,
    pub(super) root: u16,
    pub(super) inodes: u64,
    /// The time of compact inodes.
    pub(super) epoch: i64,
    pub(super) blocks: u32,
    /// The block that inodes are counted from.
    pub(super) metadata: u32,
    /// The block that shared attributes are counted from.
    pub(super) attributes: u32,
    pub(super) uuid: [u8; 16],
    pub(super) label: Vec<u8>,
    /// The packed inode, or 0.
    pub(super) packed: u64,
}

impl Superblock {
    /// Returns the first block of the image.
    pub(super) fn to_block(&self, codec: Codec, chunk: usize) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let body = &mut block[SUPERBLOCK_OFFSET..];
        let mut put = |offset: usize, bytes: &[u8]| body[offset..offset + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC.to_le_bytes());
        put(8, &self.compatible.to_le_bytes());
        put(12, &[BLOCK.ilog2() as u8]);
        put(14, &self.root.to_le_bytes());
        put(16, &self.inodes.to_le_bytes());
        put(24, &self.epoch.to_le_bytes());
        put(36, &self.blocks.to_le_bytes());
        put(40, &self.metadata.to_le_bytes());
        put(44, &self.attributes.to_le_bytes());
        put(48, &self.uuid);
        put(64, &self.label);
        put(80, &self.incompatible.to_le_bytes());
        put(96, &self.packed.to_le_bytes());
        if let Some((algorithm, settings)) = codec_settings(codec, chunk) {
            put(84, &(1_u16 << algorithm).to_le_bytes());
            put(SUPERBLOCK_SIZE, &(settings.len() as u16).to_le_bytes());
            put(SUPERBLOCK_SIZE + 2, &settings);
        }
        // The format leaves out the final inversion of the checksum.
        let checksum = !crc32c::crc32c(&block[SUPERBLOCK_OFFSET..]);
        block[SUPERBLOCK_OFFSET + 4..SUPERBLOCK_OFFSET + 8].copy_from_slice(&checksum.to_le_bytes());
        block
    }
}

/// Returns the number of an algorithm and the settings that its decoder is given.
fn codec_settings(codec: Codec, chunk: usize) -> Option<(u8, Vec<u8>)> {
    let algorithm = algorithm(codec)?;
    Some(match codec {
        Codec::Zstd => {
            let window = chunk.next_power_of_two().ilog2() as u8;
            (algorithm, vec![0, window.max(10) - 10, 0, 0, 0, 0])
        }
        _ => {
            let mut settings = vec![0; 14];
            settings[0..2].copy_from_slice(&u16::MAX.to_le_bytes());
            settings[2..4].copy_from_slice(&((chunk / BLOCK) as u16).to_le_bytes());
            (algorithm, settings)
        }
    })
}

/// Returns the number of the algorithm that decodes what `codec` makes.
pub(super) fn algorithm(codec: Codec) -> Option<u8> {
    match codec {
        Codec::None => None,
        Codec::Lz4 | Codec::Lz4hc => Some(0),
        Codec::Zstd => Some(3),
    }
}

/// An inode without what follows it.
#[derive(Debug)]
pub(super) struct InodeRecord {
    /// Whether it takes 64 bytes instead of 32, for numbers that are too large or a time of its own.
    pub(super) extended: bool,
    pub(super) layout: DataLayout,
    /// Bytes of the attributes that follow.
    pub(super) attributes: usize,
    /// With the type of file.
    pub(super) mode: u16,
    pub(super) links: u32,
    pub(super) size: u64,
    /// The first block, the number of compressed blocks, or the device.
    pub(super) union: u32,
    /// Any unique number.
    pub(super) serial: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: i64,
}

impl InodeRecord {
    /// Appends the 32 or 64 bytes of the inode. A compact one loses what it has no room for: the caller chose it.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let format = u16::from(self.extended) | (self.layout as u16) << 1;
        // The count says 12 bytes and the first entry in one, then four bytes each.
        let attributes = if self.attributes == 0 { 0 } else { (self.attributes - 12) / 4 + 1 };
        for number in [format, attributes as u16, self.mode] {
            out.extend(number.to_le_bytes());
        }
        if self.extended {
            out.extend([0; 2]);
            out.extend(self.size.to_le_bytes());
            for number in [self.union, self.serial, self.uid, self.gid] {
                out.extend(number.to_le_bytes());
            }
            out.extend(self.mtime.to_le_bytes());
            out.extend(0_u32.to_le_bytes());
            out.extend(self.links.to_le_bytes());
            out.extend([0; 16]);
        } else {
            out.extend((self.links as u16).to_le_bytes());
            for number in [self.size as u32, 0, self.union, self.serial] {
                out.extend(number.to_le_bytes());
            }
            out.extend((self.uid as u16).to_le_bytes());
            out.extend((self.gid as u16).to_le_bytes());
            out.extend([0; 4]);
        }
    }
}
