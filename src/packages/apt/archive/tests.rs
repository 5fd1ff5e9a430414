use std::io::Write;
use std::path::Path;

use super::*;
use crate::digest::Digest;
use crate::fs;
pub(in crate::packages::apt) use crate::packages::archive::made::File;
use crate::packages::archive::made::tar;
use crate::packages::archive::unpack;

fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        writeln!(bytes, "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 0, 100_644, content.len()).unwrap();
        bytes.extend(*content);
        bytes.resize(bytes.len().next_multiple_of(2), b'\n');
    }
    bytes
}

/// Makes a package.
pub(in crate::packages::apt) fn deb(control: &[File<'_>], data: &[File<'_>]) -> Vec<u8> {
    ar(&[("debian-binary", b"2.0\n"), ("control.tar", &tar(control)), ("data.tar", &tar(data))])
}

const CONTROL: File<'_> = ("./control", b'0', 0o644, "", "Package: a\nVersion: 1\n");
const DATA: &[File<'_>] = &[
    ("./", b'5', 0o755, "", ""),
    ("./usr/", b'5', 0o755, "", ""),
    ("./usr/tool", b'0', 0o4755, "", "content"),
    ("./usr/again", b'1', 0o755, "./usr/tool", ""),
    ("./usr/link", b'2', 0o777, "tool", ""),
    ("./usr/empty", b'0', 0o644, "", ""),
];

/// Unpacks the package that `bytes` are.
pub(in crate::packages::apt) fn unpacked(bytes: &[u8], folder: &Path) -> Result<Unpacked, ArchiveError> {
    let digest = Digest::of(bytes);
    let path = folder.join(format!("{}.deb", digest.hex()));
    fs::write_atomic(&path, bytes).unwrap();
    unpack(&Deb, &Fetched { path, size: bytes.len() as u64, digest }, &folder.join("packs"))
}

fn shown(unpacked: &Unpacked) -> Vec<String> {
    let line = |entry: &Entry| match &entry.item {
        Item::Node(Kind::Regular(content)) => {
            let text = String::from_utf8(content.read(100).unwrap().unwrap()).unwrap();
            format!("{} {:o} {text}", entry.path, entry.meta.mode)
        }
        Item::Node(kind) => format!("{} {}", entry.path, kind.word()),
        Item::Link(target) => format!("{} = {target}", entry.path),
    };
    unpacked.entries.iter().map(line).collect()
}

const EXPECTED: [&str; 6] = [
    "/ directory",
    "/usr directory",
    "/usr/tool 4755 content",
    "/usr/again = /usr/tool",
    "/usr/link symlink",
    "/usr/empty 644 ",
];

#[test]
fn a_package_becomes_a_pack_once() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = deb(&[("./", b'5', 0o755, "", ""), CONTROL, ("./postinst", b'0', 0o755, "", "#!")], DATA);
    let first = unpacked(&bytes, folder.path()).unwrap();
    assert_eq!(shown(&first), EXPECTED);
    assert_eq!(first.control_file("postinst").unwrap().mode, 0o755);
    let pack = folder.path().join("packs").join(Digest::of(&bytes).hex());
    let before = std::fs::metadata(&pack).unwrap().modified().unwrap();
    let second = unpacked(&bytes, folder.path()).unwrap();
    assert_eq!((&first, shown(&second)), (&second, EXPECTED.map(str::to_owned).to_vec()));
    assert_eq!(std::fs::metadata(&pack).unwrap().modified().unwrap(), before);
    assert_eq!(fs::list(pack.parent().unwrap()).unwrap().len(), 1, "nothing unfinished stays");
}

#[test]
fn every_compression_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (control, data) = (tar(&[CONTROL]), tar(DATA));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&control).unwrap();
    let control = gzip.finish().unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(&data).unwrap();
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(&data).unwrap();
    for (name, data) in [
        ("data.tar.xz", xz.finish().unwrap()),
        ("data.tar.bz2", bzip2.finish().unwrap()),
        ("data.tar.zst", zstd::encode_all(data.as_slice(), 1).unwrap()),
        ("data.tar", data),
    ] {
        let bytes = ar(&[("debian-binary", b"2.0\n"), ("_extra", b"x"), ("control.tar.gz/", &control), (name, &data)]);
        assert_eq!(shown(&unpacked(&bytes, folder.path()).unwrap()), EXPECTED, "{name}");
        for short in [bytes.len() - 20, bytes.len() / 2, 100, 8, 0] {
            assert!(unpacked(&bytes[..short], folder.path()).is_err(), "{name}: {short} bytes");
        }
    }
}

#[test]
fn another_file_is_refused_before_it_is_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = deb(&[CONTROL], DATA);
    let path = folder.path().join("a.deb");
    fs::write_atomic(&path, &bytes).unwrap();
    let fetched = |size, digest| Fetched { path: path.clone(), size, digest };
    for wrong in [fetched(bytes.len() as u64 + 1, Digest::of(&bytes)), fetched(bytes.len() as u64, Digest::of(b""))] {
        let error = unpack(&Deb, &wrong, folder.path()).unwrap_err();
        assert!(matches!(error, ArchiveError::Other { .. }), "{error}");
    }
}

#[test]
fn hostile_packages_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |bytes: &[u8]| {
        let error = unpacked(bytes, folder.path()).unwrap_err();
        assert!(matches!(error, ArchiveError::Fault { .. }), "{error}");
        let packs = folder.path().join("packs");
        assert!(!packs.exists() || fs::list(&packs).unwrap().is_empty(), "nothing is left");
    };
    let data = |file: File<'_>| deb(&[CONTROL], &[file]);
    refused(&data(("./../etc/passwd", b'0', 0o644, "", "x")));
    refused(&data(("usr/../../etc/passwd", b'0', 0o644, "", "x")));
    refused(&data(("./a", b'1', 0o644, "../../etc/passwd", "")));
    refused(&data(("./a", b'S', 0o644, "", "")));
    refused(&data(("./a", b'Z', 0o644, "", "")));
    refused(&data(("./", b'2', 0o777, "/etc", "")));
    let control = |file: File<'_>| deb(&[CONTROL, file], DATA);
    refused(&control(("./postinst", b'2', 0o777, "/bin/sh", "")));
    refused(&control(("./sub/postinst", b'0', 0o755, "", "")));
    refused(&control(CONTROL));
    refused(&deb(&[], DATA));
    let (tar_control, tar_data) = (tar(&[CONTROL]), tar(DATA));
    refused(&ar(&[("control.tar", &tar_control), ("data.tar", &tar_data)]));
    refused(&ar(&[("debian-binary", b"3.0\n"), ("control.tar", &tar_control), ("data.tar", &tar_data)]));
    refused(&ar(&[("debian-binary", b"2.0\n"), ("data.tar", &tar_data), ("control.tar", &tar_control)]));
    refused(&ar(&[("debian-binary", b"2.0\n"), ("control.tar", &tar_control), ("data.tar.lz", &tar_data)]));
    refused(&ar(&[("debian-binary", b"2.0\n"), ("control.tar", &tar_control)]));
    refused(b"!<arch>\n");
    refused(b"no archive at all");
}

#[test]
fn a_damaged_pack_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = deb(&[CONTROL], DATA);
    unpacked(&bytes, folder.path()).unwrap();
    let pack = folder.path().join("packs").join(Digest::of(&bytes).hex());
    let whole = fs::read(&pack).unwrap();
    let contents = "content".len();
    for place in contents..whole.len() {
        let mut damaged = whole.clone();
        damaged[place] ^= 1;
        fs::write_atomic(&pack, &damaged).unwrap();
        assert_eq!(shown(&unpacked(&bytes, folder.path()).unwrap()), EXPECTED, "byte {place}");
        assert_eq!(fs::read(&pack).unwrap(), whole);
    }
    fs::write_atomic(&pack, b"").unwrap();
    assert_eq!(shown(&unpacked(&bytes, folder.path()).unwrap()), EXPECTED);
}

#[test]
fn many_packages_keep_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let packages: Vec<Fetched> = (0..20_usize)
        .map(|number| {
            let text = "x".repeat(number * 100);
            let bytes = deb(&[CONTROL], &[("./file", b'0', 0o644, "", &text)]);
            let path = folder.path().join(format!("{number}.deb"));
            fs::write_atomic(&path, &bytes).unwrap();
            Fetched { path, size: bytes.len() as u64, digest: Digest::of(&bytes) }
        })
        .collect();
    let unpacked = unpack_all(&packages, &folder.path().join("packs")).unwrap();
    for (number, package) in unpacked.iter().enumerate() {
        let Item::Node(Kind::Regular(content)) = &package.entries[0].item else { panic!("it is a file") };
        assert_eq!(content.length, number as u64 * 100);
    }
}
