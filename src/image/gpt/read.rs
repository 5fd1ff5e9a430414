//! Tables from images that may hold anything.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use uuid::Uuid;

use super::{ALIGNMENT, ENTRY, HEADER, NAME, Partition, REVISION, SIGNATURE, Table};

/// The sectors that a table may be written for.
const SECTORS: [u64; 2] = [512, 4096];
/// More entries than this are not read.
const MOST_ENTRIES: u32 = 1024;
/// Larger entries than this are not read.
const LARGEST_ENTRY: u32 = 4096;

/// An image without a table that could be understood.
#[derive(Debug, thiserror::Error)]
pub enum GptError {
    /// The image cannot be read.
    #[error("cannot read the partition table")]
    Read(#[from] io::Error),
    /// There is neither a table nor its backup.
    #[error("there is no GUID partition table{}", list(.0))]
    Missing(Vec<Fault>),
}

/// One of the two copies of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copy {
    /// The one at the beginning.
    Primary,
    /// The one at the end.
    Backup,
}

impl fmt::Display for Copy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Primary => "primary",
            Self::Backup => "backup",
        })
    }
}

/// Something wrong with a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The first sector does not protect the disk.
    #[error("there is no protective MBR in the first sector")]
    ProtectiveMbr,
    /// A copy of the table is not there.
    #[error("there is no {0} header where it belongs")]
    HeaderMissing(Copy),
    /// A copy of the header was changed or never finished.
    #[error("the {copy} header has the checksum {computed:08x}, it says {stored:08x}")]
    HeaderChecksum {
        /// Which copy.
        copy: Copy,
        /// What it says.
        stored: u32,
        /// What it has.
        computed: u32,
    },
    /// A copy of the header says what cannot be.
    #[error("the {copy} header says {what} {value}")]
    HeaderField {
        /// Which copy.
        copy: Copy,
        /// The field.
        what: &'static str,
        /// Its value.
        value: u64,
    },
    /// Entries were changed or never finished.
    #[error("the {copy} entries have the checksum {computed:08x}, the header says {stored:08x}")]
    EntriesChecksum {
        /// Which copy.
        copy: Copy,
        /// What the header says.
        stored: u32,
        /// What they have.
        computed: u32,
    },
    /// The image was grown or cut after the table was written.
    #[error("the primary header says that the backup is in sector {found}, the last sector is {last}")]
    BackupDisplaced {
        /// Where it is said to be.
        found: u64,
        /// Where it belongs.
        last: u64,
    },
    /// The copies say different things.
    #[error("the primary and the backup table differ")]
    CopiesDiffer,
    /// A partition reaches out of what partitions may use.
    #[error("partition {partition} reaches from byte {offset} to {end}, partitions may use {first} to {last}")]
    Outside {
        /// Its number among the entries in use, from 1.
        partition: usize,
        /// Where it begins.
        offset: u64,
        /// Where it ends.
        end: u64,
        /// The first byte that may be used.
        first: u64,
        /// The first byte behind.
        last: u64,
    },
    /// A partition ends before it begins.
    #[error("partition {0} ends before it begins")]
    Backwards(usize),
    /// Two partitions share sectors.
    #[error("the partitions {0} and {1} overlap")]
    Overlap(usize, usize),
    /// A partition does not begin or end on 4096 bytes.
    #[error("partition {0} does not begin and end on a multiple of {ALIGNMENT} bytes")]
    Misaligned(usize),
    /// Two partitions have one identity.
    #[error("the partitions {0} and {1} have the same UUID")]
    SameUuid(usize, usize),
}

/// A table as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// What it says.
    pub table: Table,
    /// The copy it was taken from.
    pub copy: Copy,
    /// Everything wrong with it.
    pub faults: Vec<Fault>,
}

/// Reads the table of an image of `length` bytes: the primary copy, or the backup when that is broken.
///
/// # Errors
/// When the image cannot be read or has no copy whose checksums are right.
pub fn read(image: &File, length: u64) -> Result<Reading, GptError> {
    let mut faults = Vec::new();
    let sector = sector_size(image, length)?;
    let sectors = length / sector;
    let first = Found::at(image, sector, sectors, Copy::Primary, 1, &mut faults)?;
    // The backup belongs into the last sector; where the primary says it is, it is looked for when it is not there.
    let last = sectors.saturating_sub(1);
    let named = first.as_ref().map_or(last, |found| found.other);
    if named != last {
        faults.push(Fault::BackupDisplaced { found: named, last });
    }
    let at = if named < last && named > 1 { named } else { last };
    let second = Found::at(image, sector, sectors, Copy::Backup, at, &mut faults)?;
    let differ = first.as_ref().zip(second.as_ref()).is_some_and(|(first, second)| !first.same(second));
    if differ {
        faults.push(Fault::CopiesDiffer);
    }
    let (copy, found) = match (first, second) {
        (Some(found), _) => (Copy::Primary, found),
        (None, Some(found)) => (Copy::Backup, found),
        (None, None) => return Err(GptError::Missing(faults)),
    };
    if !protected(image, length)? {
        faults.push(Fault::ProtectiveMbr);
    }
    let partitions = found.partitions(sector, &mut faults);
    let table =
        Table { disk: found.disk, length, sector, first_usable: found.usable.0.saturating_mul(sector), partitions };
    inspect(&table, found.usable.1.saturating_add(1).saturating_mul(sector), &mut faults);
    Ok(Reading { table, copy, faults })
}

/// Returns the size of the sectors that the table is written for.
fn sector_size(image: &File, length: u64) -> io::Result<u64> {
    for sector in SECTORS {
        for place in [Some(sector), length.checked_sub(sector)].into_iter().flatten() {
            let mut signature = [0; SIGNATURE.len()];
            if place.saturating_add(sector) <= length {
                image.read_exact_at(&mut signature, place)?;
            }
            if signature == *SIGNATURE {
                return Ok(sector);
            }
        }
    }
    Ok(SECTORS[0])
}

fn protected(image: &File, length: u64) -> io::Result<bool> {
    let mut sector = [0; 512];
    if length < 512 {
        return Ok(false);
    }
    image.read_exact_at(&mut sector, 0)?;
    let types = [446, 462, 478, 494].map(|start| sector[start + 4]);
    Ok(sector[510..] == [0x55, 0xaa] && types.contains(&0xee))
}

/// A copy whose checksums are right.
struct Found {
    disk: Uuid,
    /// The sector of the other copy.
    other: u64,
    /// The first and the last sector that partitions may use.
    usable: (u64, u64),
    entry: usize,
    entries: Vec<u8>,
}

impl Found {
    /// Reads the copy whose header is in the sector `at`; what is wrong with it goes to `faults`.
    fn at(
        image: &File,
        sector: u64,
        sectors: u64,
        copy: Copy,
        at: u64,
        faults: &mut Vec<Fault>,
    ) -> io::Result<Option<Self>> {
        let mut header = vec![0; usize::try_from(sector).unwrap_or(HEADER)];
        if at < sectors {
            image.read_exact_at(&mut header, at * sector)?;
        }
        if !header.starts_with(SIGNATURE) {
            faults.push(Fault::HeaderMissing(copy));
            return Ok(None);
        }
        let header = match Header::parse(&header, copy) {
            Ok(header) => header,
            Err(fault) => {
                faults.push(fault);
                return Ok(None);
            }
        };
        if header.own != at {
            faults.push(Fault::HeaderField { copy, what: "that it is in sector", value: header.own });
        }
        let Some(start) = header.entries_start(sector, sectors) else {
            faults.push(Fault::HeaderField {
                copy,
                what: "that its entries begin in sector",
                value: header.entries_at,
            });
            return Ok(None);
        };
        let mut entries = vec![0; header.entries_length()];
        image.read_exact_at(&mut entries, start)?;
        let computed = crc32fast::hash(&entries);
        if computed != header.entries_checksum {
            faults.push(Fault::EntriesChecksum { copy, stored: header.entries_checksum, computed });
            return Ok(None);
        }
        let Header { disk, other, usable, entry, .. } = header;
        Ok(Some(Self { disk, other, usable, entry: entry as usize, entries }))
    }

    fn same(&self, other: &Self) -> bool {
        (self.disk, self.usable, &self.entries) == (other.disk, other.usable, &other.entries)
    }

    /// Returns the entries in use.
    fn partitions(&self, sector: u64, faults: &mut Vec<Fault>) -> Vec<Partition> {
        let mut partitions = Vec::new();
        for entry in self.entries.chunks_exact(self.entry) {
            let type_uuid = Uuid::from_bytes_le(array(entry, 0));
            if type_uuid.is_nil() {
                continue;
            }
            let number = |start| u64::from_le_bytes(array(entry, start));
            let (first, last) = (number(32), number(40));
            if last < first {
                faults.push(Fault::Backwards(partitions.len() + 1));
            }
            let units = entry[56..ENTRY].chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
            let units: Vec<u16> = units.take(NAME).take_while(|unit| *unit != 0).collect();
            partitions.push(Partition {
                type_uuid,
                uuid: Uuid::from_bytes_le(array(entry, 16)),
                offset: first.saturating_mul(sector),
                length: last.saturating_add(1).saturating_sub(first).saturating_mul(sector),
                flags: number(48),
                label: String::from_utf16_lossy(&units),
            });
        }
        partitions
    }
}

/// The fields of a header (UEFI 5.3.2, table 5.5).
struct Header {
    own: u64,
    other: u64,
    usable: (u64, u64),
    disk: Uuid,
    entries_at: u64,
    count: u32,
    entry: u32,
    entries_checksum: u32,
}

impl Header {
    fn parse(sector: &[u8], copy: Copy) -> Result<Self, Fault> {
        let short = |start| u32::from_le_bytes(array(sector, start));
        let long = |start| u64::from_le_bytes(array(sector, start));
        let field = |what, value: u32| Fault::HeaderField { copy, what, value: value.into() };
        let (revision, size, stored) = (short(8), short(12), short(16));
        let length = size as usize;
        if !(HEADER..=sector.len()).contains(&length) {
            return Err(field("that its length is", size));
        }
        let mut summed = sector[..length].to_vec();
        summed[16..20].fill(0);
        let computed = crc32fast::hash(&summed);
        if computed != stored {
            return Err(Fault::HeaderChecksum { copy, stored, computed });
        }
        if revision != REVISION {
            return Err(field("that its revision is", revision));
        }
        let (count, entry) = (short(80), short(84));
        if count == 0 || count > MOST_ENTRIES {
            return Err(field("that the number of its entries is", count));
        }
        if !(ENTRY as u32..=LARGEST_ENTRY).contains(&entry) || !entry.is_power_of_two() {
            return Err(field("that the length of its entries is", entry));
        }
        Ok(Self {
            own: long(24),
            other: long(32),
            usable: (long(40), long(48)),
            disk: Uuid::from_bytes_le(array(sector, 56)),
            entries_at: long(72),
            count,
            entry,
            entries_checksum: short(88),
        })
    }

    fn entries_length(&self) -> usize {
        self.count as usize * self.entry as usize
    }

    /// Returns the byte at which the entries begin, when they are inside the image.
    fn entries_start(&self, sector: u64, sectors: u64) -> Option<u64> {
        let start = self.entries_at.checked_mul(sector)?;
        let end = start.checked_add(self.entries_length() as u64)?;
        (self.entries_at > 1 && end <= sectors * sector).then_some(start)
    }
}

/// Looks at how the partitions lie.
fn inspect(table: &Table, usable_end: u64, faults: &mut Vec<Fault>) {
    let usable_end = usable_end.min(table.length);
    let numbered = || (1..).zip(&table.partitions);
    for (number, partition) in numbered() {
        if partition.offset < table.first_usable || partition.end() > usable_end {
            let (offset, end, first) = (partition.offset, partition.end(), table.first_usable);
            faults.push(Fault::Outside { partition: number, offset, end, first, last: usable_end });
        }
        if !partition.offset.is_multiple_of(ALIGNMENT) || !partition.length.is_multiple_of(ALIGNMENT) {
            faults.push(Fault::Misaligned(number));
        }
    }
    // Neighbours are enough: where any two share something, two that follow each other do.
    let neighbours = |key: fn(&Partition) -> (u64, Uuid), touch: fn(&Partition, &Partition) -> bool| {
        let mut sorted: Vec<(usize, &Partition)> = numbered().collect();
        sorted.sort_by_key(|(_, partition)| key(partition));
        let pairs: Vec<(usize, usize)> =
            sorted.windows(2).filter(|pair| touch(pair[0].1, pair[1].1)).map(|pair| (pair[0].0, pair[1].0)).collect();
        pairs
    };
    let overlaps = neighbours(|partition| (partition.offset, Uuid::nil()), |one, other| one.end() > other.offset);
    faults.extend(overlaps.into_iter().map(|(one, other)| Fault::Overlap(one.min(other), one.max(other))));
    let same = neighbours(|partition| (0, partition.uuid), |one, other| one.uuid == other.uuid);
    faults.extend(same.into_iter().map(|(one, other)| Fault::SameUuid(one, other)));
}

/// Returns the bytes of a buffer from `start`, which is inside it.
fn array<const N: usize>(bytes: &[u8], start: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[start..start + N]);
    array
}

/// Returns the faults as the rest of a sentence.
fn list(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("; {fault}")).collect()
}
