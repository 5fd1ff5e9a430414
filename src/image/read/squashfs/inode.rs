//! Inodes and directories.

use super::block::{MetadataReader, Reference};
use crate::image::read::ImageFault;
use crate::image::read::assembly::SYMLINK;
use crate::tree::DeviceNumber;

/// The names that one header of a directory may stand before.
const HEADED: u32 = 256;
/// The number that says that there are no extended attributes, or no fragment.
const NONE: u32 = u32::MAX;

/// An inode.
#[derive(Debug)]
pub(super) struct Inode {
    pub(super) kind: InodeKind,
    pub(super) mode: u16,
    /// Indexes into the table of owners.
    pub(super) uid: u16,
    pub(super) gid: u16,
    pub(super) mtime: u32,
    /// Index into the table of extended attributes.
    pub(super) xattrs: Option<u32>,
}

/// What an inode is.
#[derive(Debug)]
pub(super) enum InodeKind {
    Directory { start: u32, offset: u16, size: u32 },
    File(FileInode),
    Symlink(Vec<u8>),
    BlockDevice(DeviceNumber),
    CharacterDevice(DeviceNumber),
    Fifo,
    Socket,
}

/// Where a file's bytes are. The sizes of its blocks follow in the metadata.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileInode {
    pub(super) start: u64,
    pub(super) length: u64,
    /// The fragment that holds the end, and the place in it.
    pub(super) fragment: Option<(u32, u32)>,
}

impl Inode {
    /// Reads an inode; for a file the reader then stands before the sizes of its blocks.
    pub(super) fn read(from: &mut MetadataReader<'_>) -> Result<Self, ImageFault> {
        let number = from.u16()?;
        let (mode, uid, gid, mtime) = (from.u16()?, from.u16()?, from.u16()?, from.u32()?);
        from.u32()?;
        let (kind, xattrs) = match number {
            1 => (directory(from)?, None),
            2 => (file(from)?, None),
            8 => extended_directory(from)?,
            9 => extended_file(from)?,
            // The extended forms end with the index of the extended attributes.
            3..=7 | 10..=14 => {
                let kind = other(from, if number > 7 { number - 7 } else { number })?;
                (kind, if number > 7 { index(from.u32()?) } else { None })
            }
            _ => return Err(ImageFault::Malformed("its inode is of no known type")),
        };
        Ok(Self { kind, mode, uid, gid, mtime, xattrs })
    }
}

fn index(number: u32) -> Option<u32> {
    (number != NONE).then_some(number)
}

fn directory(from: &mut MetadataReader<'_>) -> Result<InodeKind, ImageFault> {
    let start = from.u32()?;
    from.u32()?;
    let (size, offset) = (from.u16()?.into(), from.u16()?);
    from.u32()?;
    Ok(InodeKind::Directory { start, offset, size })
}

fn extended_directory(from: &mut MetadataReader<'_>) -> Result<(InodeKind, Option<u32>), ImageFault> {
    from.u32()?;
    let (size, start) = (from.u32()?, from.u32()?);
    from.u32()?;
    from.u16()?;
    let offset = from.u16()?;
    Ok((InodeKind::Directory { start, offset, size }, index(from.u32()?)))
}

fn file(from: &mut MetadataReader<'_>) -> Result<InodeKind, ImageFault> {
    let (start, fragment, offset, length) = (from.u32()?, from.u32()?, from.u32()?, from.u32()?);
    let fragment = index(fragment).map(|fragment| (fragment, offset));
    Ok(InodeKind::File(FileInode { start: start.into(), length: length.into(), fragment }))
}

fn extended_file(from: &mut MetadataReader<'_>) -> Result<(InodeKind, Option<u32>), ImageFault> {
    let (start, length) = (from.u64()?, from.u64()?);
    from.u64()?;
    from.u32()?;
    let (fragment, offset) = (from.u32()?, from.u32()?);
    let fragment = index(fragment).map(|fragment| (fragment, offset));
    Ok((InodeKind::File(FileInode { start, length, fragment }), index(from.u32()?)))
}

fn other(from: &mut MetadataReader<'_>, number: u16) -> Result<InodeKind, ImageFault> {
    from.u32()?;
    Ok(match number {
        3 => {
            let length = from.u32()?;
            if u64::from(length) > SYMLINK {
                return Err(ImageFault::Malformed("it is a symbolic link of more than 4095 bytes"));
            }
            InodeKind::Symlink(from.bytes(length as usize)?)
        }
        4 => InodeKind::BlockDevice(device(from.u32()?)),
        5 => InodeKind::CharacterDevice(device(from.u32()?)),
        6 => InodeKind::Fifo,
        _ => InodeKind::Socket,
    })
}

/// Takes a device number in the form that the kernel writes to disk: 12 bits of major between 8 and 12 of minor.
fn device(number: u32) -> DeviceNumber {
    DeviceNumber { major: number >> 8 & 0xfff, minor: number & 0xff | number >> 12 & 0xfff00 }
}

/// Reads the names of a directory whose listing has `size` bytes.
pub(super) fn read_directory(
    from: &mut MetadataReader<'_>,
    size: u32,
) -> Result<Vec<(Vec<u8>, Reference)>, ImageFault> {
    let mut names = Vec::new();
    let mut left = size;
    while left > 0 {
        left = spend(left, 12)?;
        let count = from.u32()?.checked_add(1).filter(|count| *count <= HEADED);
        let count = count.ok_or(ImageFault::Malformed("a listing has a header for too many names"))?;
        let block = from.u32()?;
        from.u32()?;
        for _ in 0..count {
            let offset = from.u16()?;
            from.u16()?;
            from.u16()?;
            let length = u32::from(from.u16()?) + 1;
            left = spend(left, 8 + length)?;
            // Names are at most 256 bytes by the format; whoever makes a path of one refuses more than 255.
            if length > 256 {
                return Err(ImageFault::Malformed("a name is longer than 256 bytes"));
            }
            names.push((from.bytes(length as usize)?, Reference { block: block.into(), offset }));
        }
    }
    Ok(names)
}

fn spend(left: u32, bytes: u32) -> Result<u32, ImageFault> {
    left.checked_sub(bytes).ok_or(ImageFault::Malformed("a listing ends in the middle of a name"))
}
