//! Images on the way to the disk.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt as _;

use super::sign::padded;
use super::{DdiError, Options, Result, SIGNATURE_LENGTH, Verity};
use crate::digest::Digest;
use crate::image::gpt::{ALIGNMENT, Partition, PartitionKind, PartitionType, Table};
use crate::image::verity::{self, Region};

/// Bytes moved at a time.
const CHUNK: usize = 1 << 20;

/// An image whose file system is being written.
///
/// The file system is written in place, from [`Draft::OFFSET`] on; [`Draft::seal`] puts everything else around it.
#[derive(Debug)]
pub struct Draft {
    file: File,
}

/// The place of the file system in a draft, as if it were a file of its own.
#[derive(Debug)]
pub struct Payload<'draft> {
    file: &'draft File,
    position: u64,
}

/// A finished image.
#[derive(Debug)]
pub struct Sealed {
    /// The file, which is not yet on the disk for certain.
    pub file: File,
    /// Its bytes.
    pub length: u64,
    /// The root hash of its verity hash tree, when it has one.
    pub root_hash: Option<Digest>,
}

/// Writes to `image`, an empty file that can be read and written, the image around the file system in `payload`, which is
/// copied once from where it stands.
///
/// # Errors
/// When the payload is empty, reading or writing fails, or signing does.
pub fn write(payload: &mut File, image: File, options: &Options<'_>) -> Result<Sealed> {
    let mut draft = &image;
    draft.seek(SeekFrom::Start(Draft::OFFSET))?;
    let length = io::copy(payload, &mut draft)?;
    Draft::new(image).seal(length, options)
}

impl Draft {
    /// Where the file system begins while it is written, in bytes. That of a small image is moved when it is sealed.
    pub const OFFSET: u64 = Table::LEAD;

    /// Takes an empty file that can be read and written.
    pub fn new(file: File) -> Self {
        Self { file }
    }

    /// Returns the file, for writers that write at places of their own: those of the file system begin at
    /// [`Draft::OFFSET`].
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Returns the place of the file system.
    pub fn payload(&self) -> Payload<'_> {
        Payload { file: &self.file, position: 0 }
    }

    /// Makes it an image, with a file system of `length` bytes; what was written behind them is dropped, what is missing
    /// up to a whole block is zero.
    ///
    /// # Errors
    /// When the file system is empty, reading or writing fails, or signing does.
    pub fn seal(self, length: u64, options: &Options<'_>) -> Result<Sealed> {
        if length == 0 {
            return Err(DdiError::Empty);
        }
        let data = length.next_multiple_of(ALIGNMENT);
        let tree = if matches!(options.verity, Verity::None) { 0 } else { verity::tree_length(data) };
        let room = if matches!(options.verity, Verity::Defer | Verity::Signed(_)) { SIGNATURE_LENGTH } else { 0 };
        let offset = Table::lead(data + tree + room);
        self.move_to(offset, length)?;
        // What is behind the file system becomes zero.
        self.file.set_len(offset + length)?;
        self.file.set_len(offset + data + tree + room)?;

        let region = |offset, length| Region { file: &self.file, offset, length };
        let root_hash = match options.verity {
            Verity::None => None,
            _ => {
                let (salt, uuid) = (options.seed.verity_salt(), options.seed.verity());
                Some(verity::format(region(offset, data), region(offset + data, tree), uuid, &salt)?)
            }
        };
        if let (Verity::Signed(signer), Some(root)) = (options.verity, &root_hash) {
            let record = padded(&signer.sign(root)?, SIGNATURE_LENGTH)?;
            self.file.write_all_at(&record, offset + data + tree)?;
        }
        let table = table(options, root_hash.as_ref(), data, tree);
        self.file.set_len(table.length)?;
        table.write_backup(&self.file)?;
        table.write_primary(&self.file)?;
        Ok(Sealed { length: table.length, file: self.file, root_hash })
    }

    /// Moves the file system towards the beginning.
    fn move_to(&self, offset: u64, length: u64) -> io::Result<()> {
        if offset == Self::OFFSET {
            return Ok(());
        }
        let mut buffer = vec![0; CHUNK];
        let mut moved = 0;
        while moved < length {
            let piece = usize::try_from(length - moved).unwrap_or(CHUNK).min(CHUNK);
            // The writer may have left the end out when it is zero.
            let mut filled = 0;
            while filled < piece {
                match self.file.read_at(&mut buffer[filled..piece], Self::OFFSET + moved + filled as u64)? {
                    0 => break,
                    count => filled += count,
                }
            }
            buffer[filled..piece].fill(0);
            self.file.write_all_at(&buffer[..piece], offset + moved)?;
            moved += piece as u64;
        }
        Ok(())
    }
}

/// Returns the table of an image whose data and hash tree take so many bytes.
fn table(options: &Options<'_>, root_hash: Option<&Digest>, data: u64, tree: u64) -> Table {
    let seed = options.seed;
    let kind = |kind| PartitionType { role: options.role, kind, architecture: options.architecture };
    let mut partitions = Vec::new();
    let mut add = |part, uuid, length| partitions.push(Partition::new(kind(part), uuid, 0, length));
    match root_hash {
        None => add(PartitionKind::Data, seed.partition(kind(PartitionKind::Data)), data),
        Some(root) => {
            let [data_uuid, tree_uuid] = super::read::halves(root);
            add(PartitionKind::Data, data_uuid, data);
            add(PartitionKind::Verity, tree_uuid, tree);
        }
    }
    if matches!(options.verity, Verity::Signed(_)) {
        add(PartitionKind::Signature, seed.partition(kind(PartitionKind::Signature)), SIGNATURE_LENGTH);
    }
    let room = if matches!(options.verity, Verity::Defer) { SIGNATURE_LENGTH } else { 0 };
    Table::tight(seed.disk(), room, partitions)
}

impl Read for Payload<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, Draft::OFFSET + self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Write for Payload<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write_at(bytes, Draft::OFFSET + self.position)?;
        self.position += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Payload<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(distance) => self.position.checked_add_signed(distance),
            SeekFrom::End(distance) => {
                let end = self.file.metadata()?.len().saturating_sub(Draft::OFFSET);
                end.checked_add_signed(distance)
            }
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
