//! The bytes of a file, block by block.

use std::io::{self, Read};

use super::Squashfs;
use super::block::{MetadataReader, PLAIN_DATA, Reference};
use super::inode::{FileInode, Inode, InodeKind};
use super::table;
use crate::image::read::ImageFault;

/// Reads a file from its beginning to its end.
pub(super) struct FileReader<'image> {
    image: &'image Squashfs,
    file: FileInode,
    /// Stands before the size of the next block.
    sizes: MetadataReader<'image>,
    /// Where the next block begins.
    next: u64,
    /// Bytes that have not been decompressed yet.
    left: u64,
    block: Vec<u8>,
    position: usize,
}

impl<'image> FileReader<'image> {
    pub(super) fn open(image: &'image Squashfs, reference: Reference) -> Result<Self, ImageFault> {
        let mut sizes = image.metadata(image.superblock.inode_table, reference)?;
        let InodeKind::File(file) = Inode::read(&mut sizes)?.kind else {
            return Err(ImageFault::Malformed("a file is none"));
        };
        Ok(Self { image, file, sizes, next: file.start, left: file.length, block: Vec::new(), position: 0 })
    }

    fn advance(&mut self) -> Result<(), ImageFault> {
        let block_size = self.image.superblock.block_size;
        let wanted = self.left.min(block_size.into());
        self.block = match self.file.fragment {
            Some((fragment, offset)) if self.left < block_size.into() => {
                let (start, size) = table::fragment(&self.image.blocks, &self.image.superblock, fragment)?;
                let block = self.image.blocks.fragment(start, size, block_size)?;
                let start = offset as usize;
                let bytes = block.get(start..).and_then(|rest| rest.get(..wanted as usize));
                bytes.ok_or(ImageFault::Malformed("it ends outside of its fragment"))?.to_vec()
            }
            _ => {
                let size = self.sizes.u32()?;
                if size == 0 {
                    vec![0; wanted as usize]
                } else {
                    let block = self.image.blocks.data(self.next, size, block_size)?;
                    self.next = self.next.saturating_add(u64::from(size & !PLAIN_DATA));
                    block
                }
            }
        };
        if self.block.len() as u64 != wanted {
            return Err(ImageFault::Malformed("a block has not the length that it should"));
        }
        self.position = 0;
        self.left -= wanted;
        Ok(())
    }
}

impl Read for FileReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position == self.block.len() {
            if self.left == 0 {
                return Ok(0);
            }
            self.advance().map_err(io::Error::other)?;
        }
        let count = buffer.len().min(self.block.len() - self.position);
        buffer[..count].copy_from_slice(&self.block[self.position..self.position + count]);
        self.position += count;
        Ok(count)
    }
}
