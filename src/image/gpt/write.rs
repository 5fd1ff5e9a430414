//! Tables as bytes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::{ALIGNMENT, ENTRIES, ENTRY, HEADER, NAME, Partition, REVISION, SECTOR, SIGNATURE, Table};
use uuid::Uuid;

/// Images of at most this many bytes begin right behind the table, as libfdisk lays them out; larger ones at 1 MiB.
const SMALL: u64 = 4 << 20;
/// Bytes in front of the first partition of a small image: protective MBR, header and entries, aligned.
const SMALL_LEAD: u64 = 20 << 10;
/// Bytes in front of the first partition of any other image.
pub(super) const LEAD: u64 = 1 << 20;
/// Bytes behind the last partition: entries and header, aligned.
const TAIL: u64 = 20 << 10;
/// Bytes that the entries take.
const ENTRIES_LENGTH: u64 = (ENTRIES * ENTRY) as u64;

impl Table {
    /// Bytes in front of the first partition of an image that is larger than 4 MiB.
    pub const LEAD: u64 = LEAD;

    /// Returns where the first partition begins when all of them take `partitions` bytes and nothing else is between
    /// them.
    pub fn lead(partitions: u64) -> u64 {
        if SMALL_LEAD.saturating_add(partitions).saturating_add(TAIL) > SMALL { LEAD } else { SMALL_LEAD }
    }

    /// Returns the table of an image in which partitions of these lengths, multiples of [`ALIGNMENT`], lie one behind the
    /// other; `room` more bytes are left behind them.
    pub fn tight(disk: Uuid, room: u64, partitions: Vec<Partition>) -> Self {
        let used = partitions.iter().map(|partition| partition.length).sum::<u64>() + room;
        let lead = Self::lead(used);
        let mut offset = lead;
        let placed = partitions.into_iter().map(|partition| {
            let placed = Partition { offset, ..partition };
            offset = placed.end();
            placed
        });
        let partitions = placed.collect();
        // What libfdisk writes down: the first sector behind the entries when the image is small.
        let first_usable = if lead == LEAD { LEAD } else { 2 * SECTOR + ENTRIES_LENGTH };
        Self { disk, length: lead + used + TAIL, sector: SECTOR, first_usable, partitions }
    }

    /// Returns the first byte behind what a partition may use.
    pub fn usable_end(&self) -> u64 {
        self.length.saturating_sub(self.sector + ENTRIES_LENGTH) / ALIGNMENT * ALIGNMENT
    }

    /// Returns the first byte behind all partitions.
    pub fn end(&self) -> u64 {
        self.partitions.iter().map(Partition::end).max().unwrap_or(self.first_usable)
    }

    /// Returns what stands at the beginning of the image: protective MBR, header, entries.
    pub fn head(&self) -> Vec<u8> {
        let entries = self.entries();
        let mut bytes = vec![0; to_index(2 * self.sector)];
        protective_mbr(&mut bytes, self.length / self.sector);
        let header = self.header(1, self.length / self.sector - 1, 2, &entries);
        let start = to_index(self.sector);
        bytes[start..start + HEADER].copy_from_slice(&header);
        bytes.extend(entries);
        bytes
    }

    /// Returns what stands at the end of the image: entries, header.
    pub fn tail(&self) -> Vec<u8> {
        let mut bytes = self.entries();
        let last = self.length / self.sector - 1;
        let header = self.header(last, 1, last - ENTRIES_LENGTH / self.sector, &bytes);
        bytes.extend(header);
        bytes.resize(to_index(ENTRIES_LENGTH + self.sector), 0);
        bytes
    }

    /// Writes the copy at the end of an image that has the length of the table.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_backup(&self, image: &File) -> io::Result<()> {
        let tail = self.tail();
        image.write_all_at(&tail, self.length - tail.len() as u64)
    }

    /// Writes the copy at the beginning. Where a table is replaced, the backup must be on the disk before, so that at every
    /// moment one of them is whole.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_primary(&self, image: &File) -> io::Result<()> {
        image.write_all_at(&self.head(), 0)
    }

    /// Tells whether an image holds exactly this table, both copies, as it would be written.
    ///
    /// # Errors
    /// When the image cannot be read.
    pub fn is_written_in(&self, image: &File) -> io::Result<bool> {
        let (head, tail) = (self.head(), self.tail());
        if self.length < (head.len() + tail.len()) as u64 || !self.length.is_multiple_of(self.sector) {
            return Ok(false);
        }
        let [mut first, mut last] = [vec![0; head.len()], vec![0; tail.len()]];
        image.read_exact_at(&mut first, 0)?;
        image.read_exact_at(&mut last, self.length - tail.len() as u64)?;
        // Code may stand in the protective MBR.
        Ok(first[446..] == head[446..] && last == tail)
    }

    fn header(&self, own: u64, other: u64, entries_at: u64, entries: &[u8]) -> Vec<u8> {
        let last = self.length / self.sector - 1;
        let usable = [self.first_usable / self.sector, last - ENTRIES_LENGTH / self.sector - 1];
        let mut bytes = Vec::with_capacity(HEADER);
        bytes.extend(SIGNATURE);
        bytes.extend(REVISION.to_le_bytes());
        bytes.extend((HEADER as u32).to_le_bytes());
        bytes.extend([0; 8]);
        for sector in [own, other, usable[0], usable[1]] {
            bytes.extend(sector.to_le_bytes());
        }
        bytes.extend(self.disk.to_bytes_le());
        bytes.extend(entries_at.to_le_bytes());
        for number in [ENTRIES as u32, ENTRY as u32, crc32fast::hash(entries)] {
            bytes.extend(number.to_le_bytes());
        }
        let checksum = crc32fast::hash(&bytes);
        bytes[16..20].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn entries(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(ENTRIES * ENTRY);
        for partition in &self.partitions {
            bytes.extend(partition.type_uuid.to_bytes_le());
            bytes.extend(partition.uuid.to_bytes_le());
            let (first, end) = (partition.offset / self.sector, partition.end() / self.sector);
            for number in [first, end - 1, partition.flags] {
                bytes.extend(number.to_le_bytes());
            }
            let units: Vec<u16> = partition.label.encode_utf16().take(NAME).collect();
            bytes.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
            bytes.resize(bytes.len().next_multiple_of(ENTRY), 0);
        }
        bytes.resize(ENTRIES * ENTRY, 0);
        bytes
    }
}

/// Writes one partition over the whole disk, for programs that know no other table (UEFI 5.2.3).
fn protective_mbr(sector: &mut [u8], sectors: u64) {
    let length = u32::try_from(sectors - 1).unwrap_or(u32::MAX);
    sector[446..454].copy_from_slice(&[0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff]);
    sector[454..458].copy_from_slice(&1_u32.to_le_bytes());
    sector[458..462].copy_from_slice(&length.to_le_bytes());
    sector[510..512].copy_from_slice(&[0x55, 0xaa]);
}

/// Small numbers of this module, as places in a buffer.
fn to_index(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
