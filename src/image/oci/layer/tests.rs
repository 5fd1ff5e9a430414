//! Judged by decoders other than the encoders that write, and by the reader of archives.

use std::io::Read;

use super::*;
use crate::tree::{Content, Kind, Meta, Node, diff, read_tar};

const CODECS: [Codec; 5] = [Codec::Plain, Codec::Gzip(1), Codec::Gzip(6), Codec::Zstd(1), Codec::Zstd(3)];

/// A tree of some files, one of them larger than any chunk.
fn tree() -> Tree {
    let mut tree = Tree::new();
    let mut add = |name: &str, bytes: Vec<u8>| {
        let node = Node { kind: Kind::Regular(Content::inline(bytes)), meta: Meta::root_owned(0o644, 7) };
        tree.insert(name.parse().unwrap(), node).unwrap();
    };
    add("/large", (0..4_500_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8 & 15).collect());
    add("/small", b"text".to_vec());
    add("/zeros", vec![0; 1 << 20]);
    tree.insert("/gone".parse().unwrap(), Node::whiteout()).unwrap();
    tree
}

fn write(codec: Codec, threads: usize) -> (WrittenLayer, Vec<u8>) {
    let mut bytes = Vec::new();
    let written = write_layer(&tree(), codec, NonZero::new(threads).unwrap(), &mut bytes).unwrap();
    (written, bytes)
}

fn plain(codec: Codec, bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match codec {
        Codec::Plain => plain.extend(bytes),
        Codec::Gzip(_) => drop(flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut plain).unwrap()),
        Codec::Zstd(_) => drop(zstd::stream::read::Decoder::new(bytes).unwrap().read_to_end(&mut plain).unwrap()),
    }
    plain
}

#[test]
fn a_layer_is_what_its_digests_say() {
    let mut archive = Vec::new();
    write_tar(&tree(), &mut archive).unwrap();
    for codec in CODECS {
        let (written, bytes) = write(codec, 2);
        assert_eq!((written.digest, written.size), (Digest::of(&bytes), bytes.len() as u64), "{codec:?}");
        assert_eq!((written.diff_id, written.plain_size), (Digest::of(&archive), archive.len() as u64), "{codec:?}");
        assert!(plain(codec, &bytes) == archive, "{codec:?}");
        assert!(codec == Codec::Plain || bytes.len() * 3 < archive.len() * 2, "{codec:?}: {}", bytes.len());
    }
}

#[test]
fn the_number_of_threads_does_not_matter() {
    for codec in CODECS {
        let (first, bytes) = write(codec, 1);
        for threads in [2, 5] {
            let (written, other) = write(codec, threads);
            assert!(written == first && other == bytes, "{codec:?} with {threads} threads");
        }
    }
}

#[test]
fn an_empty_tree_is_an_empty_archive() {
    for codec in CODECS {
        let mut bytes = Vec::new();
        write_layer(&Tree::new(), codec, NonZero::<usize>::MIN, &mut bytes).unwrap();
        assert_eq!(plain(codec, &bytes), [0; 1024], "{codec:?}");
    }
}

#[test]
fn the_reader_of_archives_returns_the_tree() {
    let folder = tempfile::tempdir().unwrap();
    for codec in CODECS {
        let file = folder.path().join("layer");
        crate::fs::write_atomic(&file, &write(codec, 2).1).unwrap();
        assert_eq!(diff(&tree(), &read_tar(&file, folder.path()).unwrap()), [], "{codec:?}");
    }
}

#[test]
fn what_cannot_be_read_or_written_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    crate::fs::write_atomic(&file, &[7; 100]).unwrap();
    let mut broken = tree();
    let kind = Kind::Regular(Content::of_file(file.as_path().into()).unwrap());
    broken.insert("/m".parse().unwrap(), Node { kind, meta: Meta::root_owned(0o644, 0) }).unwrap();
    crate::fs::write_atomic(&file, &[8; 100]).unwrap();
    let threads = NonZero::<usize>::MIN;
    for codec in CODECS {
        let error = write_layer(&broken, codec, threads, &mut Vec::new()).unwrap_err();
        assert!(matches!(&error, WriteTarError::Changed { path } if path.to_string() == "/m"), "{codec:?}: {error}");
        let mut little = [0; 1000];
        let error = write_layer(&tree(), codec, threads, &mut &mut little[..]).unwrap_err();
        assert!(matches!(&error, WriteTarError::Write(error) if error.kind() == io::ErrorKind::WriteZero), "{codec:?}");
    }
}
