use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::distro::Architecture;

const MIB: u64 = 1 << 20;

fn kinds(role: PartitionRole) -> [PartitionType; 3] {
    [PartitionKind::Data, PartitionKind::Verity, PartitionKind::Signature].map(|kind| PartitionType {
        role,
        kind,
        architecture: Architecture::Riscv64,
    })
}

/// A table of three partitions, the first of which has `length` bytes.
fn table(length: u64) -> Table {
    let lengths = [length, 8192, 16384];
    let parts = kinds(PartitionRole::Root).into_iter().zip(lengths).zip(1..);
    let partitions = parts.map(|((kind, length), number)| Partition::new(kind, Uuid::from_u128(number), 0, length));
    Table::tight(Uuid::from_u128(7), 0, partitions.collect())
}

fn image(table: &Table) -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(table.length).unwrap();
    table.write_backup(&file).unwrap();
    table.write_primary(&file).unwrap();
    assert!(table.is_written_in(&file).unwrap());
    file
}

fn faults(file: &File) -> Vec<Fault> {
    read(file, file.metadata().unwrap().len()).unwrap().faults
}

#[test]
fn what_is_written_is_read() {
    for length in [4096, 3 * MIB, 5 * MIB] {
        let table = table(length);
        let reading = read(&image(&table), table.length).unwrap();
        assert_eq!(reading, Reading { table, copy: Copy::Primary, faults: Vec::new() });
    }
}

#[test]
fn every_type_has_a_uuid_and_a_label_of_its_own() {
    let mut seen = std::collections::BTreeSet::new();
    for architecture in Architecture::ALL {
        for role in [PartitionRole::Root, PartitionRole::Usr] {
            for kind in kinds(role) {
                let kind = PartitionType { architecture, ..kind };
                assert_eq!(PartitionType::from_uuid(kind.uuid()), Some(kind));
                assert!(seen.insert(kind.uuid().to_string()) && seen.insert(kind.label()));
            }
        }
    }
    assert_eq!(seen.len(), 36);
    assert_eq!(PartitionType::from_uuid(Uuid::nil()), None);
}

#[test]
fn small_images_begin_right_behind_the_table() {
    let small = table(4 * MIB - 20480 - 20480 - 8192 - 16384);
    assert_eq!((small.partitions[0].offset, small.length), (20480, 4 * MIB));
    let large = table(small.partitions[0].length + 4096);
    assert_eq!((large.partitions[0].offset, large.first_usable), (MIB, MIB));
}

#[test]
fn the_backup_stands_in_for_a_broken_table() {
    let table = table(4096);
    let file = image(&table);
    file.write_all_at(&[5], 512 + 24).unwrap();
    let reading = read(&file, table.length).unwrap();
    assert_eq!((reading.copy, &reading.table), (Copy::Backup, &table));
    assert!(matches!(reading.faults[..], [Fault::HeaderChecksum { copy: Copy::Primary, .. }]), "{:?}", reading.faults);
    file.write_all_at(&[1], table.length - 1000).unwrap();
    let error = read(&file, table.length).unwrap_err().to_string();
    assert!(error.contains("primary header has the checksum") && error.contains("backup entries"), "{error}");
}

#[test]
fn faults_are_named() {
    let whole = table(4096);
    let broken = |change: &dyn Fn(&mut Table)| {
        let mut table = whole.clone();
        change(&mut table);
        faults(&image(&table))
    };
    let overlap = broken(&|table| table.partitions[1].offset = table.partitions[0].offset);
    assert_eq!(overlap, [Fault::Overlap(1, 2)]);
    let misaligned = broken(&|table| table.partitions[1].length -= 512);
    assert_eq!(misaligned, [Fault::Misaligned(2)]);
    let outside = broken(&|table| table.partitions[2].length += 16384);
    assert!(matches!(outside[..], [Fault::Outside { partition: 3, .. }]), "{outside:?}");
    let same = broken(&|table| table.partitions[2].uuid = table.partitions[0].uuid);
    assert_eq!(same, [Fault::SameUuid(1, 3)]);

    let file = image(&whole);
    file.write_all_at(&[0], 510).unwrap();
    assert_eq!(faults(&file), [Fault::ProtectiveMbr]);
    file.set_len(whole.length + 4096).unwrap();
    assert!(matches!(faults(&file)[0], Fault::BackupDisplaced { .. }));
    file.set_len(whole.length - 4096).unwrap();
    assert!(faults(&file).contains(&Fault::HeaderMissing(Copy::Backup)));
    assert!(matches!(read(&tempfile::tempfile().unwrap(), 0), Err(GptError::Missing(_))));
}

proptest! {
    /// Random bytes with right checksums, so that everything behind them is reached.
    #[test]
    fn nothing_makes_the_reader_panic(changes in prop::collection::vec((0_usize..16384 + 1024, any::<u8>()), 0..40), sum: bool) {
        let table = table(4096);
        let mut bytes = table.head();
        let length = bytes.len();
        for (place, value) in changes {
            bytes[place % length] = value;
        }
        if sum {
            let entries = crc32fast::hash(&bytes[1024..]);
            bytes[512 + 88..512 + 92].copy_from_slice(&entries.to_le_bytes());
            bytes[528..532].fill(0);
            let header = crc32fast::hash(&bytes[512..512 + 92]);
            bytes[528..532].copy_from_slice(&header.to_le_bytes());
        }
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        file.set_len(table.length).unwrap();
        if let Ok(reading) = read(&file, table.length) {
            prop_assert!(reading.table.partitions.len() <= 1024);
        }
    }
}
