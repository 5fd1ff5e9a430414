use super::*;
use crate::image::read;
use crate::tree::{Meta, diff};

fn node(kind: Kind, mode: u16) -> Node {
    let mut meta = Meta::root_owned(mode, 1_700_000_000);
    (meta.uid, meta.gid) = (u32::from(mode), 70_000);
    Node { kind, meta }
}

fn file(bytes: Vec<u8>) -> Kind {
    Kind::Regular(Content::inline(bytes))
}

/// Bytes that no codec makes smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(step).collect()
}

fn sample() -> Tree {
    let mut tree = Tree::new();
    let mut put = |path: &[u8], kind, mode| {
        tree.insert(TreePath::from_relative(path).unwrap(), node(kind, mode)).unwrap();
    };
    put(b"", Kind::directory(), 0o755);
    put(b"empty", Kind::directory(), 0o700);
    put(b"files", Kind::directory(), 0o755);
    for length in [0, 1, 4095, 4096, 4097, 8192, 131_071, 131_072, 131_073, 300_000] {
        put(format!("files/{length}").as_bytes(), file(noise(length)), 0o644);
        put(format!("files/{length}-zero").as_bytes(), file(vec![0; length]), 0o4755);
    }
    put(b"files/hole", file([noise(4096), vec![0; 500_000], noise(10)].concat()), 0o600);
    put(b"not\xffutf8", file(b"x".to_vec()), 0o644);
    put(&[b'n'; 255], Kind::Symlink(vec![b't'; 255].into()), 0o777);
    put(b"wide", Kind::directory(), 0o1777);
    for index in 0..1000 {
        put(format!("wide/{index}").as_bytes(), file(index.to_string().into_bytes()), 0o644);
    }
    put(b"wide/fifo", Kind::Fifo, 0o600);
    put(b"wide/socket", Kind::Socket, 0o600);
    put(b"wide/tty", Kind::CharacterDevice(DeviceNumber { major: 4095, minor: 0xfffff }), 0o600);
    put(b"wide/disk", Kind::BlockDevice(DeviceNumber { major: 8, minor: 1 }), 0o660);
    tree.get_mut(&TreePath::root()).unwrap().meta.mtime = 0;
    tree
}

fn written(tree: &Tree, options: &Options) -> Result<Vec<u8>, WriteSquashfsError> {
    let mut image = io::Cursor::new(Vec::new());
    write(tree, options, &mut image)?;
    Ok(image.into_inner())
}

fn read_back(image: &[u8]) -> read::Opened {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    fs::create(&path).unwrap().write_all(image).unwrap();
    let opened = read::open(&path, folder.path()).unwrap();
    // Contents are read when they are wanted: from the file that is open, not by its name.
    drop(folder);
    opened
}

#[test]
fn a_tree_comes_back_from_its_image() {
    for compression in [Compression::Zstd, Compression::Gzip, Compression::Xz] {
        for block_size in [4096, 128 * 1024] {
            let options = Options { compression, block_size, created: 7 };
            let opened = read_back(&written(&sample(), &options).unwrap());
            let tree = opened.tree.unwrap();
            assert_eq!(diff(&sample(), &tree), []);
            for (path, node) in tree.iter() {
                if let Kind::Regular(content) = &node.kind {
                    let bytes = content.read(1 << 20).unwrap().unwrap();
                    assert_eq!(Digest::of(&bytes), content.digest, "{path}");
                }
            }
            let system = opened.file_system.unwrap();
            assert_eq!((system.block_size, system.created), (block_size, Some(7)));
        }
    }
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    assert!(written(&sample(), &Options::default()).unwrap() == written(&sample(), &Options::default()).unwrap());
}

#[test]
fn what_the_image_cannot_hold_is_refused() {
    let refused = |path: &str, node: Node| {
        let mut tree = Tree::new();
        tree.insert(path.parse().unwrap(), node).unwrap();
        tree.complete(|_| Meta::root_owned(0o755, 0));
        written(&tree, &Options::default()).unwrap_err().to_string()
    };
    let mut attributes = node(file(Vec::new()), 0o644);
    attributes.meta.xattrs.insert((*b"user.k").into(), (*b"v").into());
    let mut old = node(Kind::Fifo, 0o644);
    old.meta.mtime = -1;
    insta::assert_snapshot!(
        [
            refused("/xattr", attributes),
            refused("/whiteout", Node::whiteout()),
            refused("/opaque", node(Kind::Directory { opaque: true }, 0o755)),
            refused("/device", node(Kind::BlockDevice(DeviceNumber { major: 4096, minor: 0 }), 0o600)),
            refused("/old", old),
            refused("/link", node(Kind::Symlink([b't'; 256].into()), 0o777)),
        ]
        .join("\n")
    );
}

#[test]
fn a_content_that_changed_is_refused_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::create(&path).unwrap().write_all(b"before").unwrap();
    let content = Content::of_file(path.as_path().into()).unwrap();
    fs::create(&path).unwrap().write_all(b"after!").unwrap();
    let mut tree = Tree::new();
    tree.insert("/etc/file".parse().unwrap(), node(Kind::Regular(content), 0o644)).unwrap();
    tree.complete(|_| Meta::root_owned(0o755, 0));
    let error = written(&tree, &Options::default()).unwrap_err();
    assert_eq!(error.to_string(), "cannot write `/etc/file` into the image");
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("changed meanwhile"));
}

#[test]
fn data_are_shared_only_where_no_hash_decides() {
    let mut tree = Tree::new();
    let mut put = |path: &str, bytes: Vec<u8>| {
        tree.insert(path.parse().unwrap(), node(file(bytes), 0o644)).unwrap();
    };
    put("/a", noise(200_000));
    put("/b", noise(200_000));
    assert!(may_share(&tree, 131_072));
    let mut put = |path: &str, bytes: Vec<u8>| {
        tree.insert(path.parse().unwrap(), node(file(bytes), 0o644)).unwrap();
    };
    put("/c", vec![1; 200_000]);
    assert!(!may_share(&tree, 131_072));
}
