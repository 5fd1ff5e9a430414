//! Whatever an image of others holds: reading it never panics and ends, no path leaves the tree, every content is what its
//! digest says, and what is refused is refused with a reason.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::Write;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use layerforge::digest::Digest;
use layerforge::distro::Architecture;
use layerforge::image::oci::layer::{Codec, write_layer};
use layerforge::image::oci::{
    self, Annotations, Blobs, Descriptor, ImageConfig, Index, Layout, LayoutWriter, LocalImage, Manifest, Platform,
    RootFs, docker_files, layout_files, media_type,
};
use layerforge::image::write_tar;
use layerforge::tree::{Content, DeviceNumber, Kind, Meta, Node, Tree, TreePath, read_tar};
use proptest::prelude::*;
use proptest::sample::Index as Pick;
use proptest::test_runner::RngSeed;

/// The same cases every time: a failure is a failure for everyone.
fn cases(count: u32) -> ProptestConfig {
    ProptestConfig { cases: count, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() }
}

/// The unit of tar archives.
const BLOCK: usize = 512;

/// Names, links, numbers and records that mean harm or mean something.
const PIECES: [&[u8]; 22] = [
    b"../../etc/passwd",
    b"/etc/passwd",
    b"./../x",
    b".wh...",
    b".wh..",
    b".wh..wh..opq",
    b".wh.a",
    b"a/.wh.b",
    b"a/../../b",
    b"\0\0\0\0\0\0\0\0",
    b"77777777777",
    b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    b"99999999999999999999 path=a\n",
    b"11 path=../\n",
    b"30 GNU.sparse.realsize=99999999999\n",
    b"22 GNU.sparse.major=1\n",
    b"22 size=99999999999999\n",
    b"17 linkpath=/dev\n",
    b"ustar\x0000",
    b"ustar  \0",
    b"xgLKSVDNM0123456789",
];

/// A change of an archive.
#[derive(Debug, Clone)]
enum Change {
    /// Puts a piece over what is somewhere.
    Put(Pick, usize),
    /// Puts a piece at a place of a header, and makes its sum right.
    Field(Pick, usize, usize),
    /// Changes the type of a member.
    Type(Pick, u8),
    /// Cuts the rest off.
    Cut(Pick),
    /// Repeats some blocks somewhere else.
    Repeat(Pick, Pick, usize),
    /// Takes some blocks out.
    Remove(Pick, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let field = proptest::sample::select(&[0, 100, 108, 116, 124, 136, 157, 257, 329, 337, 345][..]);
    prop_oneof![
        1 => (any::<Pick>(), 0..PIECES.len()).prop_map(|(at, piece)| Change::Put(at, piece)),
        4 => (any::<Pick>(), field, 0..PIECES.len()).prop_map(|(at, field, piece)| Change::Field(at, field, piece)),
        2 => (any::<Pick>(), any::<u8>()).prop_map(|(at, kind)| Change::Type(at, kind)),
        1 => any::<Pick>().prop_map(Change::Cut),
        1 => (any::<Pick>(), any::<Pick>(), 1..6_usize).prop_map(|(from, to, count)| Change::Repeat(from, to, count)),
        1 => (any::<Pick>(), 1..6_usize).prop_map(|(at, count)| Change::Remove(at, count)),
    ]
}

fn changed(archive: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = archive.to_vec();
    for change in changes {
        let blocks = bytes.len() / BLOCK;
        if blocks == 0 {
            break;
        }
        match change {
            Change::Put(at, piece) => put(&mut bytes, at.index(blocks * BLOCK), PIECES[*piece]),
            Change::Field(at, field, piece) => {
                let start = at.index(blocks) * BLOCK;
                put(&mut bytes[..start + BLOCK], start + field, PIECES[*piece]);
                sum(&mut bytes[start..start + BLOCK]);
            }
            Change::Type(at, kind) => {
                let start = at.index(blocks) * BLOCK;
                let known = PIECES[PIECES.len() - 1];
                bytes[start + 156] = known[usize::from(*kind) % known.len()];
                sum(&mut bytes[start..start + BLOCK]);
            }
            Change::Cut(at) => bytes.truncate(at.index(bytes.len() + 1)),
            Change::Repeat(from, to, count) => {
                let (from, to) = (from.index(blocks) * BLOCK, to.index(blocks) * BLOCK);
                let copied = bytes[from..(from + count * BLOCK).min(blocks * BLOCK)].to_vec();
                bytes.splice(to..to, copied);
            }
            Change::Remove(at, count) => {
                let start = at.index(blocks) * BLOCK;
                bytes.drain(start..(start + count * BLOCK).min(blocks * BLOCK));
            }
        }
    }
    bytes
}

fn put(bytes: &mut [u8], at: usize, piece: &[u8]) {
    let end = (at + piece.len()).min(bytes.len());
    bytes[at..end].copy_from_slice(&piece[..end - at]);
}

/// Makes the sum of a header right.
fn sum(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn path(text: &str) -> TreePath {
    text.parse().unwrap()
}

/// A tree with everything that a layer may hold.
fn tree() -> Tree {
    let mut tree = Tree::new();
    let mut add = |name: &str, kind: Kind| {
        let mut meta = Meta::root_owned(0o755, 7);
        if name == "/a/big" {
            meta.xattrs.insert(b"user.name".as_slice().into(), b"value".as_slice().into());
            meta.uid = 4_000_000_000;
        }
        tree.insert(path(name), Node { kind, meta }).unwrap();
    };
    add("/a", Kind::directory());
    add("/a/big", Kind::Regular(Content::inline(vec![7; 3000])));
    add(&format!("/a/{}", "long".repeat(60)), Kind::Regular(Content::inline(b"x".as_slice())));
    add("/a/link", Kind::Symlink(b"/a/big".as_slice().into()));
    add("/b", Kind::Directory { opaque: true });
    add("/null", Kind::CharacterDevice(DeviceNumber { major: 1, minor: 3 }));
    add("/pipe", Kind::Fifo);
    tree.link(path("/hard"), &path("/a/big")).unwrap();
    tree.insert(path("/gone"), Node::whiteout()).unwrap();
    tree
}

fn archive_of(tree: &Tree) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_tar(tree, &mut bytes).unwrap();
    bytes
}

/// Returns the blobs and the manifest of an image of two layers.
fn image(codec: Codec) -> (Blobs, Manifest) {
    let mut blobs = Blobs::default();
    let (mut layers, mut diff_ids) = (Vec::new(), Vec::new());
    for tree in [tree(), tree()] {
        let mut bytes = Vec::new();
        diff_ids.push(write_layer(&tree, codec, NonZero::<usize>::MIN, &mut bytes).unwrap().diff_id);
        layers.push(blobs.add_bytes(codec.media_type(), bytes));
    }
    let config = ImageConfig {
        created: None,
        architecture: Architecture::host().oci_name().into(),
        os: "linux".into(),
        variant: None,
        config: None,
        rootfs: RootFs::layers(diff_ids),
        history: Vec::new(),
    };
    let config = blobs.add_bytes(media_type::CONFIG, config.to_bytes());
    let manifest = Manifest::image(config, layers, Annotations::new());
    blobs.add_manifest(&manifest);
    (blobs, manifest)
}

/// Reads an archive in every way in which images of others are read.
fn read_as_anything(folder: &Path, bytes: &[u8]) -> Result<Tree, String> {
    let file = folder.join("image.tar");
    fs::write(&file, bytes).unwrap();
    let unpacked = folder.join("unpacked");
    let platform = Platform::linux(Architecture::host());
    LocalImage::open(&file, &platform, &unpacked).map_err(|error| error.to_string()).err();
    if let Ok(layout) = Layout::open(&file, &unpacked) {
        oci::check(&layout).err();
        for root in layout.roots().unwrap_or_default() {
            layout.referrers(&root.digest).err();
        }
    }
    let tree = read_tar(&file, &unpacked).map_err(|error| error.to_string())?;
    if oci::recognise(&file, Some(&tree)).is_some() {
        oci::open(&file, Some(tree.clone()), &unpacked).err();
    }
    Ok(tree)
}

/// No path leaves the tree, and every content is there with its digest.
fn is_sound(tree: &Tree) {
    for (path, node) in tree.iter() {
        let text = path.to_string();
        assert!(text.starts_with('/') && !text.split('/').any(|name| name == ".." || name == "."), "{text}");
        if let Kind::Regular(content) = &node.kind
            && let Some(bytes) = content.read(1 << 24).unwrap()
        {
            assert_eq!((Digest::of(&bytes), bytes.len() as u64), (content.digest, content.length), "{text}");
        }
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn changed_archives_are_read_or_refused(changes in proptest::collection::vec(change(), 1..6)) {
        let folder = tempfile::tempdir().unwrap();
        match read_as_anything(folder.path(), &changed(&archive_of(&tree()), &changes)) {
            Ok(tree) => is_sound(&tree),
            Err(reason) => prop_assert!(!reason.is_empty()),
        }
    }

    #[test]
    fn bytes_are_no_archive_or_a_sound_one(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let folder = tempfile::tempdir().unwrap();
        for start in [&b""[..], b"\x1f\x8b\x08\0", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0"] {
            if let Ok(tree) = read_as_anything(folder.path(), &[start, &bytes].concat()) {
                is_sound(&tree);
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(120))]

    #[test]
    fn changed_images_are_read_or_refused(
        codec in proptest::sample::select(&[Codec::Plain, Codec::Gzip(1), Codec::Zstd(1)][..]),
        docker in any::<bool>(),
        changes in proptest::collection::vec(change(), 0..4),
    ) {
        let (blobs, manifest) = image(codec);
        let files = match docker {
            true => docker_files(&blobs, &manifest, &["x:1".to_owned()], 0).unwrap(),
            false => layout_files(&blobs, &Index::new(vec![manifest.descriptor()]), None, 0).unwrap(),
        };
        let folder = tempfile::tempdir().unwrap();
        if let Ok(tree) = read_as_anything(folder.path(), &changed(&archive_of(&files), &changes)) {
            is_sound(&tree);
        }
    }

    #[test]
    fn changed_documents_are_read_or_refused(places in proptest::collection::vec((any::<Pick>(), any::<u8>(), 0..24_usize), 1..8)) {
        let (blobs, manifest) = image(Codec::Plain);
        let config = blobs.get(&manifest.config.digest).unwrap().read(1 << 20).unwrap().unwrap();
        for document in [manifest.to_bytes(), Index::new(vec![manifest.descriptor()]).to_bytes(), config] {
            let mut bytes = document;
            for (at, byte, count) in &places {
                let at = at.index(bytes.len() + 1);
                match byte % 4 {
                    0 => drop(bytes.drain(at..(at + count).min(bytes.len()))),
                    1 => drop(bytes.splice(at..at, *b"99999999999999999999")),
                    2 => drop(bytes.splice(at..at, bytes.clone())),
                    _ if at < bytes.len() => bytes[at] = *byte,
                    _ => {}
                }
            }
            if let Err(error) = Manifest::read(&bytes) {
                prop_assert!(!error.to_string().is_empty());
            }
            Index::read(&bytes).err();
            ImageConfig::read(&bytes).err();
        }
    }
}

/// Writes a layout and returns the folder that holds it.
fn layout(write: impl FnOnce(&LayoutWriter) -> Vec<Descriptor>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("layout");
    let writer = LayoutWriter::create(&at).unwrap();
    let roots = write(&writer);
    writer.finish(&Index::new(roots)).unwrap();
    (folder, at)
}

fn refusal(at: &Path) -> String {
    let layout = Layout::open(at, at).unwrap();
    oci::check(&layout).unwrap_err().to_string()
}

#[test]
fn documents_with_a_hundred_thousand_entries_are_refused() {
    let blob = Descriptor::of(media_type::LAYER, b"x");
    let config = Descriptor::of(media_type::CONFIG, b"{}");
    let many = Manifest::image(config.clone(), vec![blob.clone(); 100_000], Annotations::new()).to_bytes();
    let error = Manifest::read(&many).unwrap_err().to_string();
    assert!(error.contains("more bytes of a document than 4194304"), "{error}");
    let (_folder, at) = layout(|writer| vec![writer.put_bytes(media_type::MANIFEST, &many).unwrap()]);
    assert!(refusal(&at).contains("more bytes of a document"), "{}", refusal(&at));
    // As many as fit into a document: layers first, then manifests that are not there, then the same one again and again.
    let fitting = Manifest::image(config, vec![blob; 25_000], Annotations::new()).to_bytes();
    let (_folder, at) = layout(|writer| vec![writer.put_bytes(media_type::MANIFEST, &fitting).unwrap()]);
    assert!(refusal(&at).contains("more layers than 512"), "{}", refusal(&at));
    let absent = |number: u32| Descriptor::of(media_type::MANIFEST, &number.to_le_bytes());
    let (_folder, at) = layout(|writer| {
        let index = Index::new((0..20_000).map(absent).collect());
        vec![writer.put_bytes(media_type::INDEX, &index.to_bytes()).unwrap()]
    });
    assert!(refusal(&at).contains("is not in the image"), "{}", refusal(&at));
    let (_folder, at) = layout(|writer| {
        let mut inner = writer.put_bytes(media_type::INDEX, &Index::new(Vec::new()).to_bytes()).unwrap();
        for _ in 0..3 {
            inner = writer.put_bytes(media_type::INDEX, &Index::new(vec![inner; 20_000]).to_bytes()).unwrap();
        }
        vec![inner]
    });
    assert_eq!(oci::check(&Layout::open(&at, &at).unwrap()).unwrap().images, [], "each is looked into once");
}

#[test]
fn an_archive_with_a_hundred_thousand_members_is_read() {
    let mut large = Tree::new();
    let node = Node { kind: Kind::Regular(Content::inline(b"x".as_slice())), meta: Meta::root_owned(0o644, 0) };
    for number in 0..100_000 {
        large.insert(path(&format!("/{number}")), node.clone()).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large.tar");
    fs::write(&file, archive_of(&large)).unwrap();
    assert_eq!(read_tar(&file, folder.path()).unwrap().len(), 100_000);
}

#[test]
fn blobs_that_lie_about_digest_or_size_are_refused() {
    let (blobs, manifest) = image(Codec::Gzip(6));
    let bytes = |digest: &Digest| blobs.get(digest).unwrap().read(1 << 20).unwrap().unwrap();
    let written = |change: &dyn Fn(&Path)| {
        let made = layout(|writer| {
            for blob in manifest.layers.iter().chain([&manifest.config]) {
                writer.put(blob, bytes(&blob.digest).as_slice()).unwrap();
            }
            vec![writer.put_bytes(media_type::MANIFEST, &manifest.to_bytes()).unwrap()]
        });
        change(&made.1.join("blobs/sha256").join(manifest.layers[0].digest.hex()));
        refusal(&made.1)
    };
    let other = written(&|blob| {
        let mut bytes = fs::read(blob).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(blob, bytes).unwrap();
    });
    assert!(other.contains("holds something else"), "{other}");
    let longer = written(&|blob| fs::File::options().append(true).open(blob).unwrap().write_all(b"x").unwrap());
    assert!(longer.contains("its descriptor says"), "{longer}");
    let gone = written(&|blob| fs::remove_file(blob).unwrap());
    assert!(gone.contains("is not in the image"), "{gone}");
}
