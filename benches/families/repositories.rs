//! Repositories of the same packages for every family.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use base64ct::{Base64, Encoding as _};
use layerforge::digest::Digest;
use layerforge::image::write_tar;
use layerforge::tree::{Content, Kind, Meta, Node, Tree};
use sha1::{Digest as _, Sha1};

use crate::Result;

/// How many packages a repository has.
pub(crate) const PACKAGES: usize = 60;
/// How many files a package has, and how many lines a file.
const FILES: usize = 60;
const LINES: usize = 150;

/// Makes a folder of packages of Debian, and repositories of Alpine and Arch. Returns how many bytes a tree of all packages
/// has.
pub(crate) fn make(folder: &Path) -> Result<u64> {
    let (debs, alpine, arch) = (folder.join("debs"), folder.join("alpine/x86_64"), folder.join("arch"));
    for folder in [&debs, &alpine, &arch] {
        fs::create_dir_all(folder)?;
    }
    let (mut index, mut database, mut total) = (String::new(), Vec::new(), 0);
    for number in 0..PACKAGES {
        let name = format!("p{number:03}");
        let files: Vec<(String, String)> = (0..FILES).map(|file| content(number, file)).collect();
        total += files.iter().map(|(_, text)| text.len() as u64).sum::<u64>();
        fs::write(debs.join(format!("{name}_1_all.deb")), deb(&name, &files)?)?;
        let package = Apk::of(&name, &files)?;
        index += &package.record;
        fs::write(alpine.join(format!("{name}-1-r0.apk")), package.bytes)?;
        let (bytes, description) = pacman(&name, &files)?;
        fs::write(arch.join(format!("{name}-1-1-any.pkg.tar.zst")), bytes)?;
        database.push((format!("/{name}-1-1/desc"), description));
    }
    fs::write(alpine.join("APKINDEX.tar.gz"), gzip(&tar(&[("/APKINDEX".into(), index)])?)?)?;
    fs::write(arch.join("arch-own.db"), gzip(&tar(&database)?)?)?;
    Ok(total)
}

/// Returns a file of a package: text that compresses as programs and their data do, to about a third.
fn content(package: usize, file: usize) -> (String, String) {
    let mut state = (package * FILES + file) as u64 + 1;
    let mut next = || {
        // Knuth's generator: the same files on every machine.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let line = |_| format!("{:08x} the value of field {} is {:016x}\n", next(), next() % 1000, next() * next());
    (format!("/usr/lib/p{package:03}/f{file:02}"), (0..LINES).map(line).collect())
}

fn tar(files: &[(String, String)]) -> Result<Vec<u8>> {
    let (mut tree, mut bytes) = (Tree::new(), Vec::new());
    for (path, text) in files {
        let kind = Kind::Regular(Content::inline(text.as_bytes()));
        tree.insert(path.parse()?, Node { kind, meta: Meta::root_owned(0o644, 0) })?;
    }
    tree.complete(|_| Meta::root_owned(0o755, 0));
    write_tar(&tree, &mut bytes)?;
    Ok(bytes)
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// Makes a package of Debian: an ar archive of two tar archives.
fn deb(name: &str, files: &[(String, String)]) -> Result<Vec<u8>> {
    let control = format!("Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: none\nDescription: {name}\n");
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
    xz.write_all(&tar(files)?)?;
    let members = [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.gz", gzip(&tar(&[("/control".into(), control)])?)?),
        ("data.tar.xz", xz.finish()?),
    ];
    let mut bytes = b"!<arch>\n".to_vec();
    for (member, content) in members {
        writeln!(bytes, "{member:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 0, 100_644, content.len())?;
        bytes.extend(&content);
        bytes.extend((content.len() % 2 == 1).then_some(b'\n'));
    }
    Ok(bytes)
}

/// Makes one member of a tar archive: the control part of a package of Alpine has no end, it goes on where the data begin.
fn member(name: &str, text: &str) -> Vec<u8> {
    let mut header = [0; 512];
    let mut put = |place: usize, text: &str| header[place..place + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644");
    put(124, &format!("{:011o}", text.len()));
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut bytes = [&header, text.as_bytes()].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// A package of Alpine, and what the index says of it.
struct Apk {
    bytes: Vec<u8>,
    record: String,
}

impl Apk {
    fn of(name: &str, files: &[(String, String)]) -> Result<Self> {
        let data = gzip(&tar(files)?)?;
        let hash = Digest::of(&data).hex();
        let info = format!("pkgname = {name}\npkgver = 1-r0\narch = x86_64\nlicense = MIT\ndatahash = {hash}\n");
        let control = member(".PKGINFO", &info);
        let control = gzip(&control)?;
        let identity = Base64::encode_string(&Sha1::digest(&control));
        let bytes = [control, data].concat();
        let record = format!("C:Q1{identity}\nP:{name}\nV:1-r0\nA:x86_64\nS:{}\nI:1\nT:{name}\nL:MIT\n\n", bytes.len());
        Ok(Self { bytes, record })
    }
}

/// Makes a package of Arch, and what the database says of it.
fn pacman(name: &str, files: &[(String, String)]) -> Result<(Vec<u8>, String)> {
    let info = format!(
        "pkgname = {name}\npkgbase = {name}\npkgver = 1-1\narch = any\nlicense = MIT\nsize = 1\nbuilddate = 1\n"
    );
    let files: Vec<_> = [("/.PKGINFO".to_owned(), info)].into_iter().chain(files.iter().cloned()).collect();
    let bytes = zstd::bulk::compress(&tar(&files)?, 19)?;
    let description = format!(
        "%FILENAME%\n{name}-1-1-any.pkg.tar.zst\n\n%NAME%\n{name}\n\n%VERSION%\n1-1\n\n%CSIZE%\n{}\n\n%ISIZE%\n1\n\n\
         %SHA256SUM%\n{}\n\n%ARCH%\nany\n\n",
        bytes.len(),
        Digest::of(&bytes).hex()
    );
    Ok((bytes, description))
}
