use super::index::{Extent, Stored};
use super::room::Rooms;
use super::*;
use crate::tree::{Content, Kind, Meta, Node};

fn extent(length: usize, stored: Stored) -> Extent {
    Extent { length: length as u32, stored }
}

/// Returns the index of `extents` as its packs of 16-bit words or bits would be read: type and low bits per block, by the
/// rules of the kernel.
fn decode(bytes: &[u8], base: usize, count: usize) -> Vec<(u16, u16, u32)> {
    let head = (((32 - base % 32) / 4) & 7).min(count);
    let dense = (count - head) / 16 * 16;
    let mut records = Vec::new();
    let mut place = 0;
    while records.len() < count {
        let at = records.len();
        let (per_pack, size, bits) = if at >= head && at < head + dense { (16, 32, 14) } else { (2, 8, 16) };
        let pack = &bytes[place..place + size];
        let address = u32::from_le_bytes(pack[size - 4..].try_into().unwrap());
        for record in 0..per_pack {
            let bit = record * bits;
            let word = (0..3).map(|byte| u32::from(pack[bit / 8 + byte]) << (8 * byte)).sum::<u32>() >> (bit % 8);
            records.push(((word >> 12 & 3) as u16, (word & 0xfff) as u16, address));
        }
        place += size;
    }
    assert_eq!(place, bytes.len(), "nothing stands behind the last pack");
    records.truncate(count);
    records
}

#[test]
fn an_index_says_where_extents_are() {
    let chunk = 8 * BLOCK;
    let extents = [
        extent(chunk, Stored::Blocks(3)),
        extent(chunk, Stored::Raw),
        extent(2 * BLOCK, Stored::Blocks(1)),
        extent(chunk, Stored::Blocks(7)),
        extent(chunk + 5, Stored::Blocks(2)),
    ];
    let size: u64 = extents.iter().map(|extent| u64::from(extent.length)).sum();
    for base in [0, 8, 16, 24, 40] {
        let mut bytes = Vec::new();
        index::encode(&extents, 100, base, &mut bytes);
        assert_eq!(bytes.len(), index::size(size, base));
        let records = decode(&bytes, base, size.div_ceil(BLOCK as u64) as usize);
        let kinds: Vec<u16> = records.iter().map(|record| record.0).collect();
        let inside = |count| std::iter::repeat_n(2, count);
        let expected: Vec<u16> = std::iter::once(1)
            .chain(inside(7))
            .chain([0; 8])
            .chain([1, 2, 1])
            .chain(inside(7))
            .chain([1])
            .chain(inside(7))
            .chain([0])
            .collect();
        assert_eq!(kinds, expected);
        assert_eq!(records.last().map(|record| record.1), Some(5), "where the last extent ends");
        for (place, blocks) in [(1, 3), (17, 1), (19, 7), (27, 2)] {
            assert_eq!(records[place].1, 0x800 | blocks, "the number of blocks of an extent");
        }
        assert_eq!(records[0].2, 100, "the first extent begins at the first block");
    }
}

#[test]
fn the_size_of_an_index_is_known_beforehand() {
    for blocks in 1..80 {
        for base in (0..32).step_by(8) {
            let mut bytes = Vec::new();
            index::encode(&[extent(blocks * BLOCK, Stored::Raw)], 1, base, &mut bytes);
            assert_eq!(bytes.len(), index::size((blocks * BLOCK) as u64, base), "{blocks} blocks at {base}");
        }
    }
}

#[test]
fn places_do_not_overlap_and_small_ones_lie_in_one_block() {
    let mut rooms = Rooms::new();
    let mut taken = vec![(0, 32)];
    for number in 0..3000_usize {
        let size = [32, 48, 64, 100, 1000, 4000, 4096, 5000, 20_000][number * 7 % 9] + number % 13;
        let place = rooms.place(size);
        assert!(place.is_multiple_of(32));
        if size <= BLOCK {
            assert_eq!(place / BLOCK as u64, (place + size as u64 - 1) / BLOCK as u64, "within one block");
        } else {
            assert!(place.is_multiple_of(BLOCK as u64), "from the beginning of a block on");
        }
        assert!(place + size as u64 <= rooms.blocks() * BLOCK as u64);
        taken.push((place, size as u64));
    }
    taken.sort_unstable();
    assert!(taken.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0));
}

#[test]
fn the_end_of_a_file_goes_with_the_chunk_before_it() {
    let cut = |chunk: u32, size: u64| {
        let mut tree = Tree::new();
        tree.complete(|_| Meta::root_owned(0o755, 0));
        tree.insert(TreePath::root(), Node { kind: Kind::directory(), meta: Meta::root_owned(0o755, 0) }).unwrap();
        let mut options = Options::new(Profile::Default, KernelVersion::new(6, 12));
        options.compression.chunk = chunk << 10;
        let plan = Plan::new(&tree, &options).unwrap();
        let mut left = size << 10;
        let mut pieces = Vec::new();
        while left > 0 {
            let piece = plan.chunk.of(left);
            assert!(piece <= plan.longest_chunk());
            pieces.push(piece >> 10);
            left -= piece as u64;
        }
        pieces
    };
    assert_eq!(cut(128, 256), [256]);
    assert_eq!(cut(128, 257), [128, 129]);
    assert_eq!(cut(128, 700), [128, 128, 128, 128, 188]);
    // No extent is longer than 1 MiB.
    assert_eq!(cut(512, 1025), [512, 513]);
    assert_eq!(cut(1024, 2049), [1024, 1024, 1]);
}

#[test]
fn a_changed_small_file_moves_few_extents() {
    let tree = |changed: Option<u32>| {
        let mut tree = Tree::new();
        for number in 0..4000_u32 {
            let length = 500 + number as usize * 37 % 9000 + usize::from(changed == Some(number)) * 3000;
            let bytes: Vec<u8> = (0..length).map(|place| (place as u32 * number) as u8).collect();
            let path = TreePath::from_relative(format!("f{number}").as_bytes()).unwrap();
            let node = Node { kind: Kind::Regular(Content::inline(bytes)), meta: Meta::root_owned(0o644, 0) };
            tree.insert(path, node).unwrap();
        }
        tree.complete(|_| Meta::root_owned(0o755, 0));
        tree
    };
    let mut options = Options::new(Profile::Default, KernelVersion::new(6, 12));
    options.compression.chunk = 128 << 10;
    // What each extent holds: the digests of the files that begin in it.
    let extents = |tree: &Tree| {
        let plan = Plan::new(tree, &options).unwrap();
        assert!(plan.packed.cuts.iter().rev().skip(1).all(|cut| cut.is_multiple_of(BLOCK as u64)));
        assert!(plan.packed.longest() <= 256 << 10);
        let begin = |index: &u32| match plan.files[*index as usize].place {
            Place::Packed(begin) => begin,
            _ => panic!("all files are small"),
        };
        let files = |cut: &[u64]| {
            let inside = plan.packed.files.iter().filter(|index| (cut[0]..cut[1]).contains(&begin(index)));
            inside.map(|index| plan.files[*index as usize].content.digest).collect::<Vec<_>>()
        };
        plan.packed.cuts.windows(2).map(files).collect::<std::collections::BTreeSet<_>>()
    };
    let before = extents(&tree(None));
    for number in [0, 1234, 3999] {
        let after = extents(&tree(Some(number)));
        assert!(before.len() > 40);
        let new = after.difference(&before).count();
        assert!(new <= 6, "{new} of {} extents are new", after.len());
    }
}
