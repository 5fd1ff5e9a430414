use std::io::Write as _;

use super::*;
use crate::digest::Digest;
use crate::fs;
use crate::packages::archive::made::{File as Member, tar};
use crate::packages::archive::{Item, unpack};

pub(in crate::packages::pacman) fn unpacked(bytes: &[u8], folder: &Path) -> Result<Unpacked, ArchiveError> {
    let digest = Digest::of(bytes);
    let path = folder.join(format!("{}.pkg", digest.hex()));
    fs::write_atomic(&path, bytes).unwrap();
    unpack(&Alpm, &Fetched { path, size: bytes.len() as u64, digest }, &folder.join("packs"))
}

const MEMBERS: &[Member<'_>] = &[
    (".PKGINFO", b'0', 0o644, "", "pkgname = a\npkgver = 1-1\n"),
    (".MTREE", b'0', 0o644, "", "mtree"),
    (".INSTALL", b'0', 0o644, "", "post_install() { :; }\n"),
    ("usr/", b'5', 0o755, "", ""),
    ("usr/tool", b'0', 0o4755, "", "content"),
    ("usr/again", b'1', 0o755, "usr/tool", ""),
    ("usr/link", b'2', 0o777, "tool", ""),
];

fn shown(unpacked: &Unpacked) -> Vec<String> {
    let word = |item: &Item| match item {
        Item::Node(kind) => kind.word().to_owned(),
        Item::Link(target) => format!("= {target}"),
    };
    unpacked.entries.iter().map(|entry| format!("{} {}", entry.path, word(&entry.item))).collect()
}

#[test]
fn every_compression_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let plain = tar(MEMBERS);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(&plain).unwrap();
    let zstd = zstd::encode_all(plain.as_slice(), 1).unwrap();
    for bytes in [gzip.finish().unwrap(), xz.finish().unwrap(), zstd, plain] {
        let package = unpacked(&bytes, folder.path()).unwrap();
        assert_eq!(
            shown(&package),
            ["/usr directory", "/usr/tool file", "/usr/again = /usr/tool", "/usr/link symlink"]
        );
        let control: Vec<&str> = package.control.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(control, [".PKGINFO", ".MTREE", ".INSTALL"]);
        for short in (0..bytes.len().saturating_sub(1024)).step_by(7) {
            assert!(unpacked(&bytes[..short], folder.path()).is_err(), "{short} bytes");
        }
        for place in (0..bytes.len()).step_by(5) {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            let _ = unpacked(&changed, folder.path());
        }
    }
}

#[test]
fn hostile_packages_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |members: &[Member<'_>]| {
        let error = unpacked(&tar(members), folder.path()).unwrap_err();
        assert!(matches!(error, ArchiveError::Fault { .. }), "{error}");
    };
    let info = MEMBERS[0];
    refused(&[]);
    refused(&[info, info]);
    refused(&[info, ("../x", b'0', 0o644, "", "x")]);
    refused(&[info, ("a", b'1', 0o644, "../../x", "")]);
    refused(&[info, (".INSTALL", b'2', 0o777, "/bin/sh", "")]);
    refused(&[info, (".hidden/x", b'0', 0o644, "", "x")]);
    refused(&[(".PKGINFO/x", b'0', 0o644, "", "x")]);
}
