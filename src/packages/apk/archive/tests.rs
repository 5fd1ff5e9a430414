use std::io::Write as _;

use super::*;
use crate::packages::apk::key::{Algorithm, tests::sign};
use crate::packages::archive::made::{File as Member, open_tar, tar};
use crate::packages::archive::{Entry, unpack};

pub(in crate::packages::apk) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Puts a signature before what it is over.
pub(in crate::packages::apk) fn signed(algorithm: Algorithm, bytes: &[u8]) -> Vec<u8> {
    let kind = match algorithm {
        Algorithm::Sha1 => "RSA",
        Algorithm::Sha256 => "RSA256",
        Algorithm::Sha512 => "RSA512",
    };
    let name = format!(".SIGN.{kind}.test.rsa.pub");
    // Texts of members are strings; a signature is put in place of one of its length.
    let signature = sign(algorithm, bytes);
    let blank = "x".repeat(signature.len());
    let mut archive = open_tar(&[(&name, b'0', 0o644, "", &blank)]);
    archive[512..512 + signature.len()].copy_from_slice(&signature);
    [gzip(&archive), bytes.to_vec()].concat()
}

/// Makes a package of lines of its `.PKGINFO`, its scripts and its data.
pub(in crate::packages::apk) fn apk(info: &str, scripts: &[(&str, &str)], data: &[Member<'_>]) -> Vec<u8> {
    let data = gzip(&tar(data));
    let info = format!("{info}\ndatahash = {}\n", Digest::of(&data).hex());
    let mut control: Vec<Member<'_>> = vec![(".PKGINFO", b'0', 0o644, "", &info)];
    control.extend(scripts.iter().map(|(name, text)| (*name, b'0', 0o755, "", *text)));
    [gzip(&open_tar(&control)), data].concat()
}

pub(in crate::packages::apk) fn unpacked(bytes: &[u8], folder: &Path) -> Result<Unpacked, ArchiveError> {
    let digest = Digest::of(bytes);
    let path = folder.join(format!("{}.apk", digest.hex()));
    fs::write_atomic(&path, bytes).unwrap();
    unpack(&Apk, &Fetched { path, size: bytes.len() as u64, digest }, &folder.join("packs"))
}

const INFO: &str = "pkgname = a\npkgver = 1-r0\narch = noarch";
const DATA: &[Member<'_>] = &[
    ("usr|root", b'5', 0o755, "", ""),
    ("usr/tool|nginx", b'0', 0o4755, "", "content"),
    ("usr/again|nginx", b'1', 0o755, "usr/tool", ""),
    ("usr/link", b'2', 0o777, "tool", ""),
];

fn shown(unpacked: &Unpacked) -> Vec<String> {
    let line = |entry: &Entry| match &entry.item {
        Item::Node(kind) => format!("{} {} {:o}", entry.path, kind.word(), entry.meta.mode),
        Item::Link(target) => format!("{} = {target}", entry.path),
    };
    unpacked.entries.iter().map(line).collect()
}

#[test]
fn a_package_is_three_members() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = apk(INFO, &[(".post-install", "#!/bin/sh\n")], DATA);
    for bytes in [bytes.clone(), signed(Algorithm::Sha1, &bytes)] {
        let package = unpacked(&bytes, folder.path()).unwrap();
        assert_eq!(
            shown(&package),
            ["/usr directory 755", "/usr/tool file 4755", "/usr/again = /usr/tool", "/usr/link symlink 777"]
        );
        assert_eq!(package.control_file(".post-install").unwrap().mode, 0o755);
        let files = String::from_utf8(package.control_file(FILES).unwrap().bytes.clone()).unwrap();
        let identified = identify(&folder.path().join(format!("{}.apk", Digest::of(&bytes).hex()))).unwrap();
        assert_eq!((identified.digest, identified.size), (Digest::of(&bytes), bytes.len() as u64));
        let sum = |text: &str| format!("Q1{}", Base64::encode_string(&Sha1::digest(text)));
        assert_eq!(
            files,
            format!(
                "{} {}\n- root root\n{} nginx nginx\n- nginx nginx\n{} - -\n",
                identified.identity,
                bytes.len(),
                sum("content"),
                sum("tool")
            )
        );
        assert_eq!(unpacked(&bytes, folder.path()).unwrap(), package, "the pack is read again");
    }
    let identity = |bytes: &[u8]| {
        let path = folder.path().join("x.apk");
        fs::write_atomic(&path, bytes).unwrap();
        identify(&path).unwrap().identity
    };
    // Who signs it says nothing about what it is; what it contains does.
    assert_eq!(identity(&bytes), identity(&signed(Algorithm::Sha256, &bytes)));
    assert_ne!(identity(&bytes), identity(&apk(INFO, &[], DATA)));
}

#[test]
fn hostile_packages_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |bytes: &[u8], part: &str| {
        let error = unpacked(bytes, folder.path()).unwrap_err();
        let ArchiveError::Fault { fault, .. } = &error else { panic!("{error}") };
        let text = format!("{fault}: {:?}", std::error::Error::source(fault).map(ToString::to_string));
        assert!(text.contains(part), "{text}");
        let packs = folder.path().join("packs");
        assert!(!packs.exists() || fs::list(&packs).unwrap().is_empty(), "nothing is left");
    };
    let good = apk(INFO, &[], DATA);
    let data = |member: Member<'_>| apk(INFO, &[], &[member]);
    refused(&data(("../etc/passwd", b'0', 0o644, "", "x")), "..");
    refused(&data(("a", b'1', 0o644, "../../x", "")), "..");
    refused(&data(("a", b'Z', 0o644, "", "")), "type flag");
    refused(b"ADB.pckg", "third format");
    refused(b"ADBd....", "third format");
    refused(b"no package", "expected gzip members");
    refused(&[&good[..], b"more"].concat(), "something follows its data");
    refused(&[&good[..], &gzip(b"")[..]].concat(), "something follows its data");
    refused(&apk("pkgname = ../a\npkgver = 1", &[], DATA), "pkgname");
    // Data that the control part does not name.
    let other = gzip(&tar(&[("a", b'0', 0o644, "", "x")]));
    let end = good.len() - gzip(&tar(DATA)).len();
    refused(&[&good[..end], &other].concat(), "its data is not that");
    let control = |members: &[Member<'_>]| [gzip(&open_tar(members)), gzip(&tar(DATA))].concat();
    refused(&control(&[(".PKGINFO", b'0', 0o644, "", INFO)]), "nothing vouches");
    refused(&control(&[("usr", b'5', 0o755, "", "")]), "a part of its own");
    refused(&control(&[(".post-install", b'2', 0o777, "/bin/sh", "")]), "control files");
    refused(&control(&[(".pre-install", b'0', 0o644, "", "")]), "no `.PKGINFO`");
    refused(&signed(Algorithm::Sha1, &signed(Algorithm::Sha1, &good)), "two parts with signatures");
}

#[test]
fn cut_and_flipped_packages_are_refused_without_panic() {
    let folder = tempfile::tempdir().unwrap();
    let good = apk(INFO, &[(".trigger", "#!/bin/sh\n")], DATA);
    let path = folder.path().join("x.apk");
    for length in 0..good.len() {
        fs::write_atomic(&path, &good[..length]).unwrap();
        assert!(identify(&path).is_err(), "{length} bytes");
    }
    let identity = {
        fs::write_atomic(&path, &good).unwrap();
        identify(&path).unwrap().identity
    };
    for place in 0..good.len() {
        let mut bytes = good.clone();
        bytes[place] ^= 1;
        fs::write_atomic(&path, &bytes).unwrap();
        // Whatever is changed, it is not what the index names any more.
        assert!(identify(&path).map_or(true, |found| found.identity != identity), "byte {place}");
    }
}
