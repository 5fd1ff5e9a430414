use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;

use proptest::prelude::*;

use super::*;
use crate::image::gpt::{PartitionKind, PartitionType, SECTOR, Table};
use crate::image::signature::{Certificate, SigningKey};

const MIB: usize = 1 << 20;

fn signer(name: &str) -> Signer {
    let pem = |name: &str| crate::fs::read_to_string(format!("tests/keys/{name}").as_ref()).unwrap();
    let key = SigningKey::from_pem(&pem(&format!("{name}.pem")), None).unwrap();
    Signer::with_key(key, Certificate::from_pem(&pem(&format!("{name}.crt"))).unwrap()).unwrap()
}

fn options(verity: Verity<'_>) -> Options<'_> {
    let seed = Seed::from_bytes(*b"sixteen bytes !!");
    Options { role: PartitionRole::Usr, architecture: Architecture::Aarch64, seed, verity }
}

fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place / 4096 + place) as u8).collect()
}

/// Makes an image of a payload of so many bytes.
fn image(length: usize, verity: Verity<'_>) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&payload(length)).unwrap();
    file.rewind().unwrap();
    write(&mut file, tempfile::tempfile().unwrap(), &options(verity)).unwrap().file
}

fn bytes(mut file: &File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

fn read_back(file: &File) -> Ddi {
    read(file, file.metadata().unwrap().len()).unwrap()
}

#[test]
fn what_is_written_is_found_without_fault() {
    let signer = signer("rsa");
    for length in [1, 4096, 1_000_000, 3 * MIB, 5 * MIB + 1] {
        for verity in [Verity::None, Verity::Hash, Verity::Defer, Verity::Signed(&signer)] {
            let file = image(length, verity);
            let ddi = read_back(&file);
            assert_eq!(ddi.faults().collect::<Vec<_>>(), [""; 0], "{length} {verity:?}");
            let (data, kind) = ddi.data.clone().unwrap();
            assert_eq!((kind.role, kind.architecture), (PartitionRole::Usr, Architecture::Aarch64));
            let mut found = vec![0; data.length as usize];
            file.read_exact_at(&mut found, data.offset).unwrap();
            assert!(found[..length] == payload(length) && found[length..].iter().all(|byte| *byte == 0));
            assert_eq!(ddi.tree.is_some(), !matches!(verity, Verity::None));
            assert_eq!(ddi.signature.is_some(), matches!(verity, Verity::Signed(_)));
            let signed = ddi.verify(&file, Some(signer.certificate()));
            match verity {
                Verity::None => assert!(matches!(signed, Err(VerifyError::NoTree))),
                Verity::Hash | Verity::Defer => assert!(matches!(signed, Err(VerifyError::NoSignature))),
                Verity::Signed(_) => assert_eq!(Some(signed.unwrap()), ddi.named_root_hash()),
            }
        }
    }
}

#[test]
fn a_payload_may_be_written_in_place() {
    for length in [10_000, 5 * MIB] {
        let draft = Draft::new(tempfile::tempfile().unwrap());
        let mut place = draft.payload();
        let content = payload(length);
        place.seek(SeekFrom::Start(5000)).unwrap();
        place.write_all(&content[5000..]).unwrap();
        place.write_all(&[0xff; 100]).unwrap();
        place.rewind().unwrap();
        place.write_all(&content[..5000]).unwrap();
        place.seek(SeekFrom::Start(4998)).unwrap();
        let mut across = [0; 4];
        place.read_exact(&mut across).unwrap();
        assert_eq!(across, content[4998..5002]);
        let sealed = draft.seal(length as u64, &options(Verity::Hash)).unwrap();
        assert!(bytes(&sealed.file) == bytes(&image(length, Verity::Hash)), "{length}");
        assert_eq!(sealed.length, sealed.file.metadata().unwrap().len());
    }
    let empty = Draft::new(tempfile::tempfile().unwrap()).seal(0, &options(Verity::None));
    assert!(matches!(empty, Err(DdiError::Empty)));
}

#[test]
fn signed_later_is_signed_at_once() {
    let signer = signer("rsa");
    let seed = Some(options(Verity::None).seed);
    for length in [4096, 5 * MIB] {
        let whole = bytes(&image(length, Verity::Signed(&signer)));
        for verity in [Verity::Defer, Verity::Hash] {
            let file = image(length, verity);
            let signed = sign(&file, &signer, seed).unwrap();
            assert!(!signed.replaced && bytes(&file) == whole, "{length} {verity:?}");
            // And again, by somebody else and back.
            let other = super::tests::signer("p384");
            assert!(sign(&file, &other, None).unwrap().replaced);
            read_back(&file).verify(&file, Some(other.certificate())).unwrap();
            assert!(read_back(&file).verify(&file, Some(signer.certificate())).is_err());
            sign(&file, &signer, None).unwrap();
            assert!(bytes(&file) == whole);
        }
        let file = image(length, Verity::Defer);
        sign(&file, &signer, None).unwrap();
        read_back(&file).verify(&file, Some(signer.certificate())).unwrap();
    }
}

#[test]
fn only_whole_images_are_signed() {
    let signer = signer("p256");
    let refused = |verity, change: &dyn Fn(&File)| {
        let file = image(MIB, verity);
        change(&file);
        let before = bytes(&file);
        let error = sign(&file, &signer, None).unwrap_err();
        assert!(bytes(&file) == before, "nothing is written");
        error.to_string()
    };
    let data = 20480;
    let reasons = [
        refused(Verity::None, &|_| {}),
        refused(Verity::Defer, &|file| file.write_all_at(&[1], data + 70_000).unwrap()),
        refused(Verity::Hash, &|file| file.write_all_at(&[1], data + MIB as u64 + 4096 * 2 + 1).unwrap()),
        refused(Verity::Hash, &|file| file.write_all_at(&[1], data + MIB as u64 + 1).unwrap()),
        refused(Verity::Hash, &|file| file.write_all_at(&[9], SECTOR + 70).unwrap()),
        refused(Verity::Hash, &|file| file.set_len(file.metadata().unwrap().len() + 4096).unwrap()),
        refused(Verity::Hash, &|file| file.set_len(0).unwrap()),
    ];
    insta::assert_snapshot!(reasons.join("\n"));
}

#[test]
fn a_broken_signature_is_told_and_mended() {
    let signer = signer("rsa");
    let file = image(MIB, Verity::Signed(&signer));
    let whole = bytes(&file);
    let place = read_back(&file).signature.unwrap().partition.offset;
    file.write_all_at(b"{\"rootHash\":\"", place + 13).unwrap();
    let ddi = read_back(&file);
    assert!(matches!(ddi.faults[..], [Fault::Signature]) && ddi.signature.unwrap().record.is_err());
    assert!(sign(&file, &signer, None).unwrap().replaced);
    assert!(bytes(&file) == whole);
}

#[test]
fn every_flipped_byte_is_found() {
    let signer = signer("rsa");
    let file = image(300_000, Verity::Signed(&signer));
    let ddi = read_back(&file);
    let tree = ddi.tree.as_ref().unwrap().partition.clone();
    let (data, _) = ddi.data.clone().unwrap();
    for place in [data.offset, data.end() - 1, tree.offset + 100, tree.offset + 4096, tree.offset + 8192 + 40] {
        let mut byte = [0];
        file.read_exact_at(&mut byte, place).unwrap();
        file.write_all_at(&[byte[0] ^ 0x10], place).unwrap();
        let ddi = read_back(&file);
        assert!(ddi.verify(&file, Some(signer.certificate())).is_err(), "{place}");
        file.write_all_at(&byte, place).unwrap();
    }
    assert!(ddi.verify(&file, Some(signer.certificate())).is_ok());
}

/// A table whose checksums are right may say anything.
#[test]
fn partitions_beyond_everything_are_only_told() {
    let file = image(MIB, Verity::Hash);
    let mut head = vec![0; 17408];
    file.read_exact_at(&mut head, 0).unwrap();
    for first in [u64::MAX, u64::MAX / 512, 1 << 54, 3000] {
        for entry in [1024, 1024 + 128] {
            let mut head = head.clone();
            head[entry + 32..entry + 40].copy_from_slice(&first.to_le_bytes());
            head[entry + 40..entry + 48].copy_from_slice(&u64::MAX.to_le_bytes());
            let entries = crc32fast::hash(&head[1024..]);
            head[600..604].copy_from_slice(&entries.to_le_bytes());
            head[528..532].fill(0);
            let header = crc32fast::hash(&head[512..604]);
            head[528..532].copy_from_slice(&header.to_le_bytes());
            file.write_all_at(&head, 0).unwrap();
            let ddi = read_back(&file);
            assert!(ddi.verify(&file, None).is_err() && ddi.faults().next().is_some());
            assert!(sign(&file, &signer("p256"), None).is_err());
        }
    }
}

#[test]
fn flags_that_systemd_refuses_are_told() {
    let file = image(MIB, Verity::Hash);
    let mut table = read_back(&file).reading.table;
    table.partitions[0].flags = gpt::GROW_FILE_SYSTEM | gpt::READ_ONLY;
    table.partitions[1].flags = gpt::NO_AUTO;
    table.partitions[1].uuid = uuid::Uuid::nil();
    table.write_backup(&file).unwrap();
    table.write_primary(&file).unwrap();
    let faults: Vec<String> = read_back(&file).faults().collect();
    assert_eq!(faults.len(), 4, "{faults:?}");
    assert!(faults[3].starts_with("the root hash is "), "{faults:?}");
    assert_eq!(faults[0], "the partition `usr-arm64` is marked to be grown");
    table.partitions[1].type_uuid =
        PartitionType { role: PartitionRole::Root, kind: PartitionKind::Verity, ..kind(&table) }.uuid();
    table.write_backup(&file).unwrap();
    table.write_primary(&file).unwrap();
    let stray = read_back(&file).faults().last().unwrap();
    assert_eq!(stray, "the partition `root-arm64-verity` is not for the data partition `usr-arm64`");
}

fn kind(table: &Table) -> PartitionType {
    table.partitions[0].kind().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// Bytes of the table, the superblock, the tree and the signature are changed; checksums are made right again.
    #[test]
    fn nothing_makes_the_readers_panic(
        changes in prop::collection::vec((0_u64..80_000, any::<u8>()), 1..30),
        sum: bool,
        cut in prop::option::of(0_u64..80_000),
    ) {
        let whole = image(20_000, Verity::Signed(&signer("p256")));
        let length = whole.metadata().unwrap().len();
        for (place, value) in changes {
            whole.write_all_at(&[value], place % length).unwrap();
        }
        if sum {
            let mut head = vec![0; 17408];
            whole.read_exact_at(&mut head, 0).unwrap();
            let entries = crc32fast::hash(&head[1024..]);
            head[600..604].copy_from_slice(&entries.to_le_bytes());
            head[528..532].fill(0);
            let header = crc32fast::hash(&head[512..604]);
            head[528..532].copy_from_slice(&header.to_le_bytes());
            whole.write_all_at(&head, 0).unwrap();
        }
        if let Some(cut) = cut {
            whole.set_len(cut).unwrap();
        }
        let signer = signer("p256");
        if let Ok(ddi) = read(&whole, whole.metadata().unwrap().len()) {
            let _ = ddi.faults().count();
            let _ = ddi.verify(&whole, Some(signer.certificate()));
        }
        let _ = sign(&whole, &signer, None);
    }
}
