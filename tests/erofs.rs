//! EROFS images: what is read back from one by another implementation is what was put into it.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::num::NonZeroUsize;

use erofs_rs::EroFS;
use erofs_rs::backend::SliceImage;
use erofs_rs::types::Inode;
use layerforge::image::erofs::{self, Codec, Compression, Image, Options, Profile};
use layerforge::spec::KernelVersion;
use layerforge::store::Store;
use layerforge::tree::{Content, DeviceNumber, Kind, Meta, Node, Tree, TreePath, Xattrs};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

const BLOCK: usize = 4096;
const CHUNK: usize = 16 << 10;
const NEWEST: KernelVersion = KernelVersion::new(6, 12);

/// The same cases every time: a failure is a failure for everyone.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(3), ..ProptestConfig::default() }
}

/// Every codec, with the smallest chunks, for kernels that read different features.
fn every_way() -> Vec<Options> {
    let ways = [
        (Codec::None, 0, KernelVersion::new(5, 4), false),
        (Codec::Lz4, 1, KernelVersion::new(5, 13), false),
        (Codec::Lz4hc, 9, KernelVersion::new(5, 17), false),
        (Codec::Lz4hc, 3, KernelVersion::new(6, 1), true),
        (Codec::Zstd, 1, NEWEST, false),
        (Codec::Zstd, 3, NEWEST, true),
    ];
    let options = |(codec, level, kernel, packing)| Options {
        compression: Compression { codec, level, chunk: CHUNK as u32 },
        packing,
        threads: NonZeroUsize::new(2).unwrap(),
        ..Options::new(Profile::None, kernel)
    };
    ways.into_iter().map(options).collect()
}

fn write(tree: &Tree, options: &Options) -> (Vec<u8>, Image) {
    let mut file = tempfile::tempfile().unwrap();
    let image = erofs::write(tree, options, &file, 0).unwrap();
    let mut bytes = Vec::new();
    std::io::Seek::rewind(&mut file).unwrap();
    file.read_to_end(&mut bytes).unwrap();
    assert_eq!(image.size, bytes.len() as u64);
    (bytes, image)
}

// Reading back.

fn expected_xattrs(node: &Node) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut all: BTreeMap<_, _> =
        node.meta.xattrs.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    if node.kind == (Kind::Directory { opaque: true }) {
        all.insert(b"trusted.overlay.opaque".to_vec(), b"y".to_vec());
    }
    all
}

fn file_type(kind: &Kind) -> u32 {
    match kind {
        Kind::Regular(_) => 0o100_000,
        Kind::Directory { .. } => 0o040_000,
        Kind::Symlink(_) => 0o120_000,
        Kind::CharacterDevice(_) | Kind::Whiteout => 0o020_000,
        Kind::BlockDevice(_) => 0o060_000,
        Kind::Fifo => 0o010_000,
        Kind::Socket => 0o140_000,
    }
}

fn bytes_of(content: &Content) -> Vec<u8> {
    let mut bytes = Vec::new();
    content.open().unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

fn assert_inode(fs: &EroFS<SliceImage<'_>>, path: &TreePath, node: &Node, links: u32, inode: Inode) {
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(inode.permissions().mode() & 0o7777, u32::from(node.meta.mode), "mode of {path}");
    assert_eq!((inode.uid(), inode.gid()), (node.meta.uid, node.meta.gid), "owner of {path}");
    assert_eq!(inode.modified_unix(), (node.meta.mtime, 0), "time of {path}");
    assert_eq!(inode.nlink(), links, "links of {path}");
    assert_eq!(fs.xattrs_inode(inode).unwrap(), expected_xattrs(node), "attributes of {path}");
    match &node.kind {
        Kind::Regular(content) => {
            assert!(inode.is_file(), "{path}");
            let mut bytes = Vec::new();
            fs.open_inode_file(inode).unwrap().read_to_end(&mut bytes).unwrap();
            assert!(bytes == bytes_of(content), "content of {path}");
        }
        Kind::Directory { .. } => assert!(inode.is_dir(), "{path}"),
        Kind::Symlink(target) => {
            assert_eq!(fs.read_link_inode(inode).unwrap().as_bytes(), &**target, "target of {path}");
        }
        Kind::CharacterDevice(number) | Kind::BlockDevice(number) => {
            assert_eq!(inode.device(), Some((number.major, number.minor)), "device {path}");
        }
        Kind::Whiteout => assert_eq!(inode.device(), Some((0, 0)), "whiteout {path}"),
        Kind::Fifo | Kind::Socket => assert_eq!(inode.data_size(), 0, "{path}"),
    }
}

/// Compares every path of an image with the tree, and nothing else is in it.
fn assert_holds(bytes: &[u8], tree: &Tree) {
    let fs = EroFS::new(SliceImage::new(bytes)).unwrap();
    let mut seen: BTreeMap<Vec<u8>, (Inode, u8)> = BTreeMap::new();
    let root = fs.get_inode(fs.super_block().root_inode_id()).unwrap();
    seen.insert(Vec::new(), (root, 2));
    for entry in fs.walk_dir("/").unwrap() {
        let entry = entry.unwrap();
        let path = entry.dir_entry.path().as_bytes().trim_ascii_start()[1..].to_vec();
        assert!(seen.insert(path, (entry.inode, entry.dir_entry.file_type() as u8)).is_none());
    }
    assert_eq!(seen.len(), tree.len(), "the same paths");
    let mut links: HashMap<_, u32> = HashMap::new();
    let mut inodes: HashMap<_, u64> = HashMap::new();
    for (path, id) in tree.ids() {
        let directory = tree.node(id).kind.is_directory();
        *links.entry(id).or_default() += if directory { 2 } else { 1 };
        if let (true, Some(parent)) = (directory, path.parent()) {
            *links.get_mut(&tree.id(&parent).unwrap()).unwrap() += 1;
        }
    }
    for (path, id) in tree.ids() {
        let (inode, entry_type) = seen.get(path.as_bytes()).unwrap_or_else(|| panic!("{path} is missing"));
        assert_eq!(*inodes.entry(id).or_insert(inode.id()), inode.id(), "hard link {path}");
        let node = tree.node(id);
        let types = [0o100_000, 0o040_000, 0o020_000, 0o060_000, 0o010_000, 0o140_000, 0o120_000];
        assert_eq!(types[usize::from(*entry_type) - 1], file_type(&node.kind), "type of {path}");
        assert_inode(&fs, path, node, links[&id], *inode);
    }
    let distinct: std::collections::HashSet<u64> = inodes.values().copied().collect();
    assert_eq!(distinct.len(), inodes.len(), "different nodes are different inodes");
}

fn assert_checksum(bytes: &[u8]) {
    let mut block = bytes[1024..BLOCK].to_vec();
    let written = u32::from_le_bytes(block[4..8].try_into().unwrap());
    block[4..8].fill(0);
    // Bit by bit, so that it is not the code that is tested.
    let mut crc = u32::MAX;
    for byte in block {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    assert_eq!(crc, written);
}

// Trees.

fn path(text: &str) -> TreePath {
    TreePath::from_absolute(text.as_bytes()).unwrap()
}

fn file(bytes: Vec<u8>) -> Node {
    Node { kind: Kind::Regular(Content::inline(bytes)), meta: Meta::root_owned(0o644, 7) }
}

fn node(kind: Kind) -> Node {
    Node { kind, meta: Meta::root_owned(0o755, 7) }
}

fn complete(mut tree: Tree) -> Tree {
    tree.complete(|_| Meta::root_owned(0o755, 7));
    tree
}

/// Bytes of which about `share` of 256 cannot be guessed.
fn noise(length: usize, share: u8, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    (0..length).map(|place| if (next() >> 8) as u8 <= share { next() as u8 } else { (place / 64) as u8 }).collect()
}

/// Sizes around every border: of an inode's room, of blocks, of chunks, of what is packed.
fn border_sizes() -> Vec<usize> {
    let around = |size: usize| (size.saturating_sub(1)..=size + 1).collect::<Vec<_>>();
    let borders = [
        0,
        1,
        BLOCK - 64,
        BLOCK - 32,
        BLOCK,
        2 * BLOCK,
        3 * BLOCK,
        CHUNK,
        CHUNK + BLOCK,
        2 * CHUNK,
        3 * CHUNK / 2,
        5 * CHUNK,
        17 * CHUNK,
    ];
    let mut sizes: Vec<usize> = borders.into_iter().flat_map(around).collect();
    sizes.dedup();
    sizes
}

#[test]
fn sizes_around_every_border() {
    for share in [0, 20, 255] {
        let mut tree = Tree::new();
        for (seed, size) in border_sizes().into_iter().enumerate() {
            tree.insert(path(&format!("/{size}")), file(noise(size, share, seed as u32))).unwrap();
        }
        let tree = complete(tree);
        for options in every_way() {
            let (bytes, _) = write(&tree, &options);
            assert_checksum(&bytes);
            assert_holds(&bytes, &tree);
        }
    }
}

#[test]
fn mixed_chunks_of_one_file() {
    // Chunks that can be compressed and chunks that cannot, in every order, with every kind of end.
    let mut tree = Tree::new();
    for pattern in 0..32_u32 {
        for end in [0, 1, 100, BLOCK, BLOCK + 1, CHUNK - 1] {
            let mut bytes = Vec::new();
            for place in 0..5 {
                let length = if place == 4 { end } else { CHUNK };
                bytes.extend(noise(length, if pattern >> place & 1 == 1 { 255 } else { 2 }, pattern * 8 + place));
            }
            tree.insert(path(&format!("/{pattern}-{end}")), file(bytes)).unwrap();
        }
    }
    let tree = complete(tree);
    for options in every_way() {
        assert_holds(&write(&tree, &options).0, &tree);
    }
}

#[test]
fn threads_do_not_matter() {
    let mut tree = Tree::new();
    for number in 0..200_u32 {
        let bytes = noise(number as usize * 997 % (4 * CHUNK), 40, number);
        tree.insert(path(&format!("/d{}/f{number}", number % 7)), file(bytes)).unwrap();
    }
    let tree = complete(tree);
    for options in every_way() {
        let with = |threads| write(&tree, &Options { threads: NonZeroUsize::new(threads).unwrap(), ..options.clone() });
        let one = with(1);
        assert!(one == with(2) && one == with(7), "{:?}", options.compression);
    }
}

#[test]
fn same_contents_are_stored_once() {
    let bytes = noise(20 * CHUNK, 255, 1);
    let tree = |count: usize| {
        let mut tree = Tree::new();
        for number in 0..count {
            tree.insert(path(&format!("/{number}")), file(bytes.clone())).unwrap();
        }
        complete(tree)
    };
    for options in every_way() {
        let shared = options.compression.codec == Codec::None || options.target_kernel >= KernelVersion::new(6, 1);
        let (one, three) = (write(&tree(1), &options).0, write(&tree(3), &options).0);
        assert_eq!(three.len() < one.len() + CHUNK, shared, "{:?}", options.compression);
        assert_holds(&three, &tree(3));
    }
}

#[test]
fn every_kind_of_node() {
    let mut tree = Tree::new();
    let number = |major, minor| DeviceNumber { major, minor };
    let nodes = [
        ("/character", Kind::CharacterDevice(number(4095, 1_048_575))),
        ("/block", Kind::BlockDevice(number(8, 255))),
        ("/block-256", Kind::BlockDevice(number(259, 256))),
        ("/fifo", Kind::Fifo),
        ("/socket", Kind::Socket),
        ("/link", Kind::Symlink((*b"target").into())),
        ("/long-link", Kind::Symlink(vec![b'x'; 4095].into())),
        ("/link-of-a-block", Kind::Symlink(vec![b'y'; BLOCK - 32].into())),
        ("/opaque", Kind::Directory { opaque: true }),
        ("/empty", Kind::directory()),
    ];
    for (name, kind) in nodes {
        tree.insert(path(name), node(kind)).unwrap();
    }
    tree.insert(path("/opaque/gone"), Node::whiteout()).unwrap();
    tree.insert(path("/file"), file(b"text".to_vec())).unwrap();
    for name in ["/.-before-the-dots", "/!", "/-x", "/a/b/c/link"] {
        tree.link(path(name), &path("/file")).unwrap();
    }
    tree.link(path("/fifo-link"), &path("/fifo")).unwrap();
    let large = Meta { uid: 70_000, gid: u32::MAX - 1, mode: 0o7777, mtime: -5, xattrs: Xattrs::new() };
    tree.insert(path("/large-numbers"), Node { kind: Kind::directory(), meta: large }).unwrap();
    let tree = complete(tree);
    for options in every_way() {
        assert_holds(&write(&tree, &options).0, &tree);
    }
}

#[test]
fn attributes_small_huge_and_shared() {
    let mut tree = Tree::new();
    let mut with = |name: &str, size: usize, xattrs: Vec<(String, Vec<u8>)>| {
        let mut node = file(noise(size, 255, 9));
        node.meta.xattrs = xattrs.into_iter().map(|(name, value)| (name.into_bytes().into(), value.into())).collect();
        tree.insert(path(name), node).unwrap();
    };
    let acl = vec![2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 4, 0, 4, 0, 255, 255, 255, 255];
    let capability = vec![1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for number in 0..5 {
        with(
            &format!("/shared-{number}"),
            100,
            vec![
                ("security.capability".into(), capability.clone()),
                ("system.posix_acl_access".into(), acl.clone()),
                (format!("user.own-{number}"), vec![number; 3]),
            ],
        );
    }
    with("/default-acl", 5000, vec![("system.posix_acl_default".into(), acl)]);
    with("/empty-value", 0, vec![("trusted.x".into(), Vec::new())]);
    with("/long-name", 10, vec![(format!("user.{}", "n".repeat(250)), b"v".to_vec())]);
    for size in [1, 4000, 4095, 4097, 3 * CHUNK + 5] {
        with(
            &format!("/huge-{size}"),
            size,
            vec![("user.huge".into(), vec![7; 65_535]), ("user.more".into(), vec![8; size])],
        );
    }
    with("/many", 3000, (0..400).map(|number| (format!("user.{number}"), vec![1; 20])).collect());
    with("/many-too", 3000, (0..400).map(|number| (format!("user.{number}"), vec![1; 20])).collect());
    let tree = complete(tree);
    for options in every_way() {
        assert_holds(&write(&tree, &options).0, &tree);
    }
}

#[test]
fn directories_dense_and_with_long_names() {
    let mut tree = Tree::new();
    for number in 0..110_000 {
        tree.insert(path(&format!("/dense/{number}")), node(Kind::Fifo)).unwrap();
    }
    for number in 0..100 {
        tree.insert(path(&format!("/long/{number:0>255}")), node(Kind::Socket)).unwrap();
    }
    for number in 0..70_000 {
        tree.link(path(&format!("/linked/{number}")), &path("/dense/0")).unwrap();
    }
    let tree = complete(tree);
    assert_holds(&write(&tree, &Options::new(Profile::Default, NEWEST)).0, &tree);
}

#[test]
fn the_cache_gives_the_same_image() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Store::open(folder.path()).unwrap().chunks(1 << 30);
    let tree = |changed: bool| {
        let mut tree = Tree::new();
        for number in 0..300_u32 {
            let share = if number % 3 == 0 { 255 } else { 30 };
            let mut bytes = noise(number as usize * 1009 % (3 * CHUNK) + 1, share, number);
            bytes[0] ^= u8::from(changed && number == 77);
            tree.insert(path(&format!("/f{number}")), file(bytes)).unwrap();
        }
        complete(tree)
    };
    for options in every_way().into_iter().filter(|options| options.compression.codec != Codec::None) {
        let with = Options { cache: Some(cache.clone()), ..options.clone() };
        let plain = write(&tree(false), &options).0;
        let (first, image) = write(&tree(false), &with);
        assert!(first == plain && image.cached < image.chunks / 10);
        let (second, image) = write(&tree(false), &with);
        assert!(second == plain && image.cached == image.chunks);
        let (changed, image) = write(&tree(true), &with);
        assert!(changed == write(&tree(true), &options).0);
        assert!(image.chunks - image.cached < 4, "{} of {} chunks are new", image.chunks - image.cached, image.chunks);
        // Damage: what is kept is checked, and made again.
        for entry in std::fs::read_dir(folder.path().join("chunks-1")).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = std::fs::read(&path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            std::fs::write(&path, bytes).unwrap();
        }
        let (damaged, image) = write(&tree(false), &with);
        assert!(damaged == plain && image.cached < image.chunks / 10);
    }
}

#[test]
fn what_the_target_cannot_read_is_refused() {
    let tree = complete(Tree::new());
    let refused = |change: &dyn Fn(&mut Options)| {
        let mut options = Options::new(Profile::Default, NEWEST);
        change(&mut options);
        erofs::write(&tree, &options, &tempfile::tempfile().unwrap(), 0).unwrap_err().to_string()
    };
    let old = refused(&|options| options.target_kernel = KernelVersion::new(6, 9));
    assert_eq!(
        old,
        "the codec `zstd` needs Linux 6.10 or later, and the image is for 6.9: choose another or a later target kernel"
    );
    let lz4 = Compression { codec: Codec::Lz4, level: 1, chunk: 65536 };
    let packing = refused(&|options| (options.target_kernel, options.compression) = (KernelVersion::new(6, 0), lz4));
    assert!(packing.starts_with("packing of small files needs Linux 6.1 "), "{packing}");
    let clusters = refused(&|options| {
        (options.target_kernel, options.compression, options.packing) = (KernelVersion::new(5, 12), lz4, false);
    });
    assert!(clusters.starts_with("EROFS with compressed files needs Linux 5.13 "), "{clusters}");
    let level = refused(&|options| options.compression.level = 23);
    assert_eq!(level, "the compression level cannot be 23: expected 1 to 22 for `zstd`");
    for chunk in [0, 4096, 100_000, 1 << 21] {
        assert!(refused(&|options| options.compression.chunk = chunk).contains("a power of two"));
    }
    assert!(refused(&|options| options.label = "longer than 15 b".into()).contains("at most 15 bytes"));
}

#[test]
fn what_cannot_stand_in_an_image_is_refused() {
    let options = Options::new(Profile::Default, NEWEST);
    let refused =
        |tree: &Tree| erofs::write(tree, &options, &tempfile::tempfile().unwrap(), 0).unwrap_err().to_string();
    let with = |name: &str, node: Node| {
        let mut tree = Tree::new();
        tree.insert(path(name), node).unwrap();
        tree
    };
    assert_eq!(
        refused(&Tree::new()),
        "cannot write the image: nothing is said about the directory `/`; complete the tree"
    );
    assert!(refused(&with("/a/b", node(Kind::Fifo))).contains("the directory `/a`"));
    for target in [&b""[..], b"a\0b", &[b'x'; 4096]] {
        assert!(refused(&complete(with("/link", node(Kind::Symlink(target.into()))))).contains("`/link`"));
    }
    let device = Kind::BlockDevice(DeviceNumber { major: 4096, minor: 0 });
    assert!(refused(&complete(with("/device", node(device)))).contains("4095:1048575"));
    for name in ["btrfs.x", "user.", "system.posix_acl_access.x"] {
        let mut odd = file(Vec::new());
        odd.meta.xattrs.insert(name.as_bytes().into(), (*b"v").into());
        assert!(refused(&complete(with("/odd", odd))).contains(name));
    }
    let folder = tempfile::tempdir().unwrap();
    let host = folder.path().join("file");
    for size in [10, 100_000, 1_000_000] {
        std::fs::write(&host, vec![1; size]).unwrap();
        let content = Content::of_file(host.clone().into()).unwrap();
        let tree = complete(with("/file", Node { kind: Kind::Regular(content), meta: Meta::root_owned(0o644, 0) }));
        let mut bytes = vec![1; size];
        bytes[size / 2] = 2;
        for changed in [bytes, vec![1; size - 1]] {
            std::fs::write(&host, changed).unwrap();
            assert!(refused(&tree).contains("`/file` into the image: its content changed meanwhile"));
        }
        std::fs::remove_file(&host).unwrap();
        assert!(refused(&tree).contains("cannot write `/file` into the image"));
    }
}

#[test]
fn files_of_the_host_are_copied_and_their_changes_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let sizes = [1, BLOCK - 1, BLOCK, (32 << 10) - 1, 32 << 10, (300 << 10) + 5, (1 << 20) - 1, (3 << 20) + BLOCK - 1];
    let host = |size: usize| folder.path().join(format!("f{size}"));
    let bytes = |size: usize| (0..size).map(|place| ((place * place) >> 7) as u8).collect::<Vec<u8>>();
    for size in sizes {
        std::fs::write(host(size), bytes(size)).unwrap();
    }
    // A file that has just been written may change once more and look the same.
    std::thread::sleep(std::time::Duration::from_millis(100));
    let tree = layerforge::tree::scan(folder.path()).unwrap();
    let plain = Options::new(Profile::None, NEWEST);
    let before = write(&tree, &plain);
    for options in every_way().iter().chain([&plain]) {
        assert_holds(&write(&tree, options).0, &tree);
    }
    for size in sizes {
        // Its stamp is another one now, and its content is not.
        let file = std::fs::File::options().write(true).open(host(size)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        assert!(before == write(&tree, &plain));
        let mut changed = bytes(size);
        changed[size / 2] ^= 1;
        let time = file.metadata().unwrap().modified().unwrap();
        std::fs::write(host(size), &changed).unwrap();
        file.set_modified(time).unwrap();
        let error = erofs::write(&tree, &plain, &tempfile::tempfile().unwrap(), 0).unwrap_err().to_string();
        assert!(error.contains(&format!("`/f{size}` into the image: its content changed meanwhile")), "{error}");
        std::fs::write(host(size), bytes(size)).unwrap();
    }
}

#[test]
fn uuids_come_from_content_and_labels_are_kept() {
    let tree = |text: &str| {
        let mut tree = Tree::new();
        tree.insert(path("/file"), file(text.into())).unwrap();
        complete(tree)
    };
    let options = Options { label: "fifteen-bytes-x".into(), ..Options::new(Profile::Default, NEWEST) };
    let (bytes, image) = write(&tree("a"), &options);
    assert_eq!(write(&tree("a"), &options).1.uuid, image.uuid);
    assert_ne!(write(&tree("b"), &options).1.uuid, image.uuid);
    assert_eq!((image.uuid[6] >> 4, image.uuid[8] >> 6), (8, 2), "a UUID of version 8");
    assert_eq!(bytes[1024 + 48..1024 + 64], image.uuid);
    assert_eq!(&bytes[1024 + 64..1024 + 80], b"fifteen-bytes-x\0");
    let given = Options { uuid: Some([9; 16]), ..options };
    assert_eq!(write(&tree("a"), &given).1.uuid, [9; 16]);
}

#[test]
fn an_image_may_begin_within_a_file() {
    let mut tree = Tree::new();
    tree.insert(path("/file"), file(noise(100_000, 90, 3))).unwrap();
    let tree = complete(tree);
    for options in every_way() {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, &vec![0xff; 1 << 21]).unwrap();
        let image = erofs::write(&tree, &options, &file, 1 << 20).unwrap();
        let mut bytes = Vec::new();
        std::io::Seek::rewind(&mut file).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, (1 << 20) + image.size);
        assert!(bytes[..1 << 20].iter().all(|byte| *byte == 0xff), "what stands before stays");
        assert!(bytes[1 << 20..] == write(&tree, &options).0, "what stood there before does not matter");
    }
}

// Random trees.

fn any_tree() -> impl Strategy<Value = Tree> {
    let name = prop_oneof![
        8 => prop::sample::select(vec!["a", "a-b", "b.so", "c.so", "ü", ".d", "-", "z z"]).prop_map(str::to_owned),
        1 => (1..256_usize).prop_map(|length| "n".repeat(length)),
    ];
    let any_path =
        || prop::collection::vec(name.clone(), 1..5).prop_map(|names| path(&format!("/{}", names.join("/"))));
    let size = prop_oneof![0..200_usize, prop::sample::select(border_sizes()), 0..6 * CHUNK];
    let content = (size, prop::sample::select(vec![0, 10, 100, 255_u8]), 0..40_u32)
        .prop_map(|(size, share, seed)| Kind::Regular(Content::inline(noise(size, share, seed))));
    let kind = prop_oneof![
        10 => content,
        3 => any::<bool>().prop_map(|opaque| Kind::Directory { opaque }),
        2 => (1..4096_usize).prop_map(|length| Kind::Symlink(vec![b't'; length].into())),
        1 => (0..4096_u32, 0..1_048_576_u32).prop_map(|(major, minor)| Kind::CharacterDevice(DeviceNumber { major, minor })),
        1 => Just(Kind::Fifo),
        1 => Just(Kind::Whiteout),
    ];
    let owner = prop::sample::select(vec![(0, 0), (1000, 100), (3_000_000, 4_000_000)]);
    let xattr_name =
        prop::sample::select(vec!["user.x", "security.capability", "trusted.long-name", "system.posix_acl_access"]);
    let value = prop_oneof![
        4 => prop::collection::vec(0..3_u8, 0..4),
        1 => (0..9000_usize).prop_map(|length| vec![5; length]),
    ];
    let xattrs = prop::collection::vec((xattr_name, value), 0..4);
    let time = prop_oneof![3 => Just(1_700_000_000_i64), 1 => any::<i32>().prop_map(i64::from)];
    let meta = (0..0o10000_u16, owner, time, xattrs).prop_map(|(mode, (uid, gid), mtime, xattrs)| {
        let xattrs = xattrs.into_iter().map(|(name, value)| (name.as_bytes().into(), value.into())).collect();
        Meta { mode, uid, gid, mtime, xattrs }
    });
    let step = (any_path(), kind, meta, prop::option::weighted(0.2, any_path()));
    prop::collection::vec(step, 0..60).prop_map(|steps| {
        let mut tree = Tree::new();
        for (path, kind, meta, target) in steps {
            let node = if kind == Kind::Whiteout { Node::whiteout() } else { Node { kind, meta } };
            match target {
                Some(target) => tree.link(path, &target).ok(),
                None => tree.insert(path, node).ok().map(drop),
            };
        }
        complete(tree)
    })
}

proptest! {
    #![proptest_config(cases(64))]
    #[test]
    fn random_trees_are_read_back(tree in any_tree()) {
        for options in every_way() {
            assert_holds(&write(&tree, &options).0, &tree);
        }
    }
}
