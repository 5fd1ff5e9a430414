use proptest::prelude::*;

use super::*;

const SALT: [u8; 32] = [0xa5; 32];
const ID: Uuid = Uuid::from_u128(0x0011_2233_4455_4677_8899_aabb_ccdd_eeff);

fn file(bytes: &[u8]) -> File {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

fn region(file: &File) -> Region<'_> {
    Region { file, offset: 0, length: file.metadata().unwrap().len() }
}

fn bytes(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; region(file).length as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// Data of so many blocks, all of them different, with its tree and root hash.
fn formatted(blocks: u64) -> (File, File, Digest) {
    let data: Vec<u8> = (0..blocks).flat_map(|block| block.to_le_bytes().repeat(BLOCK_LENGTH / 8)).collect();
    let (data, tree) = (file(&data), tempfile::tempfile().unwrap());
    tree.set_len(tree_length(blocks * BLOCK)).unwrap();
    let root = format(region(&data), region(&tree), ID, &SALT).unwrap();
    (data, tree, root)
}

#[test]
fn trees_verify_and_name_the_first_bad_block() {
    for blocks in [1, 2, 127, 128, 129, 128 * 128, 128 * 128 + 1] {
        let (data, tree, root) = formatted(blocks);
        let superblock = verify(region(&data), region(&tree), &root).unwrap();
        assert_eq!(superblock, Superblock { uuid: ID, data_blocks: blocks, salt: SALT.to_vec() });
        for block in [blocks - 1, blocks / 2] {
            data.write_all_at(&[0xff], block * BLOCK + 17).unwrap();
            let error = verify(region(&data), region(&tree), &root).unwrap_err();
            match error {
                VerityError::DataBlock { block: found } => assert_eq!((found, blocks > 1), (block, true)),
                VerityError::RootHash { .. } => assert_eq!(blocks, 1),
                other => panic!("{other}"),
            }
        }
    }
}

#[test]
fn a_changed_tree_is_no_tree() {
    let (data, tree, root) = formatted(128 * 128 + 1);
    let check = || verify(region(&data), region(&tree), &root).unwrap_err();
    let last = tree_length(region(&data).length) / BLOCK - 1;
    tree.write_all_at(&[1], last * BLOCK + 100).unwrap();
    assert!(matches!(check(), VerityError::TreeBlock { block } if block == last));
    tree.write_all_at(&[1], 2 * BLOCK + 33).unwrap();
    assert!(matches!(check(), VerityError::TreeBlock { block: 2 }));
    tree.write_all_at(&[1], BLOCK + 2000).unwrap();
    assert!(matches!(check(), VerityError::RootHash { .. }));
    tree.write_all_at(&[1], 8).unwrap();
    tree.write_all_at(b"sha1\0\0", 32).unwrap();
    assert_eq!(
        check().to_string(),
        "algorithm `sha1`: expected a verity superblock of version 1 and type 1 with sha256 and blocks of 4096 bytes"
    );
}

#[test]
fn what_is_no_whole_block_is_refused() {
    for length in [0, 1, 4097] {
        let (data, tree) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        data.set_len(length).unwrap();
        let error = format(region(&data), region(&tree), ID, &SALT).unwrap_err();
        assert!(matches!(error, VerityError::DataLength(found) if found == length));
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let three = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let [(_, first, _), (_, second, _)] = [one, three].map(|pool| pool.install(|| formatted(1000)));
    assert!(bytes(&first) == bytes(&second));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn nothing_makes_the_reader_panic(changes in prop::collection::vec((0_usize..512, any::<u8>()), 1..20), root: [u8; 32]) {
        let (data, tree, _) = formatted(130);
        for (place, value) in changes {
            tree.write_all_at(&[value], place as u64).unwrap();
        }
        let root = Digest::from_bytes(root);
        prop_assert!(verify(region(&data), region(&tree), &root).is_err());
    }
}
