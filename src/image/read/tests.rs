use std::io::Write;

use super::*;
use crate::tree::Kind;

/// Made by mkfs.erofs and mksquashfs from one folder: see `fixtures/make`.
const FIXTURES: [(&str, &[u8]); 6] = [
    ("plain.erofs", include_bytes!("fixtures/plain.erofs.xz")),
    ("lz4hc.erofs", include_bytes!("fixtures/lz4hc.erofs.xz")),
    ("packed.erofs", include_bytes!("fixtures/packed.erofs.xz")),
    ("gzip.squashfs", include_bytes!("fixtures/gzip.squashfs.xz")),
    ("zstd.squashfs", include_bytes!("fixtures/zstd.squashfs.xz")),
    ("lz4.squashfs", include_bytes!("fixtures/lz4.squashfs.xz")),
];

fn put(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create(path).unwrap().write_all(bytes.as_ref()).unwrap();
}

fn unpacked(compressed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut liblzma::read::XzDecoder::new(compressed), &mut bytes).unwrap();
    bytes
}

fn opened(image: &[u8]) -> Result<Opened, OpenError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    put(&path, image);
    open(&path, folder.path())
}

#[test]
fn images_of_other_tools_are_one_tree() {
    let trees: Vec<Tree> = FIXTURES.iter().map(|(_, image)| opened(&unpacked(image)).unwrap().tree.unwrap()).collect();
    let archive = opened(&unpacked(include_bytes!("fixtures/tree.tar.xz"))).unwrap();
    assert_eq!(archive.format, Format::Tar);
    let archive = archive.tree.unwrap();
    for ((name, _), tree) in FIXTURES.iter().zip(&trees) {
        let changes = crate::tree::diff(&archive, tree);
        assert!(changes.is_empty(), "{name}: {changes:?}");
    }
    assert_eq!(archive.len(), 24);
    let linked = archive.id(&"/usr/bin/tool".parse().unwrap());
    assert!(linked.is_some() && linked == archive.id(&"/usr/bin/hard".parse().unwrap()));
}

#[test]
fn facts_come_from_the_superblock() {
    let facts = FIXTURES.map(|(name, image)| {
        let system = opened(&unpacked(image)).unwrap().file_system.unwrap();
        format!("{name}: {} {} {:?} {:?}", system.kind.name(), system.block_size, system.codecs, system.features)
    });
    insta::assert_snapshot!(facts.join("\n"));
}

#[test]
fn damaged_images_are_errors_or_trees_but_never_panics() {
    let mut state = 0x1234_5678_9abc_def1_u64;
    let mut next = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % limit as u64) as usize
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    for (_, image) in FIXTURES {
        let image = unpacked(image);
        for round in 0..150 {
            let mut damaged = image.clone();
            // Structures stand at the beginning of EROFS and at the end of squashfs: half of the damage goes there.
            for _ in 0..=next(4) {
                let window = if round % 2 == 0 { damaged.len() } else { damaged.len().min(4096) };
                let at = next(window);
                let at = if round % 4 == 1 { damaged.len() - 1 - at } else { at };
                damaged[at] = [0, 1, 0x7f, 0x80, 0xff, damaged[at] ^ 1 << next(8)][next(6)];
            }
            if round % 7 == 0 {
                damaged.truncate(next(image.len()));
            }
            put(&path, &damaged);
            if let Ok(Opened { tree: Some(tree), .. }) = open_within(&path, folder.path(), (64, 1 << 20)) {
                let _ = tree.digest();
            }
        }
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let mut ext4 = vec![0; 4096];
    ext4[1024 + 56..1024 + 58].copy_from_slice(b"\x53\xef");
    ext4[1024 + 96] = 0x40;
    let opened = opened(&ext4).unwrap();
    assert_eq!(opened.file_system.map(|system| system.kind), Some(FileSystemKind::Ext4));
    assert!(opened.tree.is_none());
    let fifo = tempfile::tempdir().unwrap();
    let error = open(std::path::Path::new("/dev/null"), fifo.path()).unwrap_err();
    assert!(error.to_string().contains("neither a file nor a directory"), "{error}");
}

#[test]
fn a_section_does_not_reach_beyond_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    put(&path, "0123456789");
    let whole = Section::open(&path).unwrap();
    let part = whole.part(2, 4);
    assert_eq!(part.read_at(1, 3).unwrap(), b"345");
    assert!(part.read_at(1, 4).is_err());
    assert!(part.read_at(u64::MAX, 1).is_err());
    assert_eq!(whole.part(8, 100).length(), 2);
    assert_eq!(whole.part(100, 1).length(), 0);
}

#[test]
fn contents_stay_readable_in_the_image() {
    let tree = opened(&unpacked(FIXTURES[2].1)).unwrap().tree.unwrap();
    let node = tree.get(&"/usr/share/text".parse().unwrap()).unwrap();
    let Kind::Regular(content) = &node.kind else { panic!("no file") };
    let bytes = content.read(1 << 20).unwrap().unwrap();
    assert_eq!(crate::digest::Digest::of(&bytes), content.digest);
    assert_eq!(content.read(10).unwrap(), None);
}
