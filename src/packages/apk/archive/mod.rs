//! Packages of Alpine: a tar archive in three gzip members: signatures, control files, data.
//!
//! Comes in: a package file. Goes out: its identity, by which an index knows it ([`identify`]); then control files and
//! entries. Always holds: the data is that which the control files name by its digest.
//!
//! Beside the control files of the package there is one more, [`FILES`]: for every entry what the database tells of it and
//! entries themselves have no place for: the SHA-1 of its content, and its owners by name.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use base64ct::{Base64, Encoding as _};
use sha1::{Digest as _, Sha1};

use super::identity::Identity;
use super::info::Info;
use super::segment::{Segment, Segments, Watch};
use crate::digest::Digest;
use crate::fs;
use crate::packages::archive::{
    ArchiveError, ArchiveFault, CONTROL_BYTES, ControlFile, DATA_BYTES, Failure, Fetched, Form, Item, Pack, Unpacked,
    control_file, member,
};
use crate::tree::{Kind, StreamItem, TarStream, TreePath};

/// The name of the control file that is made when a package is unpacked. Its first line is the identity and the length of the
/// package; then there is a line for every entry: checksum as the database has it, or `-`; name of the owner; name of the
/// group.
pub const FILES: &str = ".FILES";
/// The most bytes of the archive with signatures.
const SIGNATURES: u64 = 1 << 20;

/// The form of packages of Alpine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Apk;

impl Form for Apk {
    fn read(&self, file: &File, fetched: &Fetched, _: u32, pack: &mut Pack) -> Result<Unpacked, Failure> {
        let mut package = Package::open(file)?;
        let mut control = package.control()?;
        let expected = data_hash(&control)?;
        let first = format!("{} {}\n", package.identity, fetched.size).into_bytes();
        let (entries, files) = package.data(|stream| {
            let (mut entries, mut files) = (Vec::new(), first);
            let mut last = TreePath::root();
            while let Some(found) = stream.next_member().map_err(|fault| member(DATA, &last, fault))? {
                last = found.path.clone();
                let (user, group) = found.owner.clone();
                let mut hasher = Sha1::new();
                let entry = pack.entry(stream, DATA, found, |bytes| hasher.update(bytes))?;
                let sum = match &entry.item {
                    Item::Node(Kind::Regular(_)) => Some(hasher.finalize()),
                    Item::Node(Kind::Symlink(target)) => Some(Sha1::digest(target)),
                    _ => None,
                };
                let sum = sum.map_or("-".to_owned(), |sum| format!("Q1{}", Base64::encode_string(&sum)));
                files.extend(format!("{sum} {} {}\n", word(&user), word(&group)).into_bytes());
                entries.push(entry);
            }
            Ok((entries, files))
        })?;
        package.finish(expected)?;
        control.push(ControlFile { name: FILES.to_owned(), mode: 0o644, mtime: 0, bytes: files });
        Ok(Unpacked { control, entries })
    }
}

const SIGNATURE: &str = "signatures";
const CONTROL: &str = "control files";
const DATA: &str = "data";

/// Returns a name of an account for a line; one that could not be one is none.
fn word(name: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'$');
    match std::str::from_utf8(name) {
        Ok(name) if !name.is_empty() && name.bytes().all(|byte| plain(&byte)) => name.to_owned(),
        _ => "-".to_owned(),
    }
}

/// What a package file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identified {
    /// What its index has to know it by.
    pub identity: Identity,
    /// Its length in bytes.
    pub size: u64,
    /// The digest of the whole file, by which a lock knows it.
    pub digest: Digest,
}

/// Returns what a package file is, and checks that its parts belong together: whoever trusts the identity may trust the rest.
///
/// # Errors
/// When it is no package, or its data is not that which its control files name.
pub fn identify(path: &Path) -> Result<Identified, ArchiveError> {
    let file = fs::open(path)?;
    let (digest, size) = Digest::of_stream(&file).map_err(fs::Error::on("read", path))?;
    std::io::Seek::rewind(&mut &file).map_err(fs::Error::on("read", path))?;
    let identity = identity(&file).map_err(|failure| match failure {
        Failure::Fault(fault) => ArchiveError::Fault { package: path.to_owned(), fault },
        Failure::Fs(error) => error.into(),
    })?;
    Ok(Identified { identity, size, digest })
}

fn identity(file: &File) -> Result<Identity, Failure> {
    let mut package = Package::open(file)?;
    let control = package.control()?;
    let expected = data_hash(&control)?;
    let identity = package.identity;
    package.data(|stream| {
        while stream.next_member().map_err(|fault| member(DATA, &TreePath::root(), fault))?.is_some() {}
        Ok(())
    })?;
    package.finish(expected)?;
    Ok(identity)
}

/// Returns the digest that the data has to have, when the package names one.
fn data_hash(control: &[ControlFile]) -> Result<Option<Digest>, Failure> {
    let file = control.iter().find(|file| file.name == ".PKGINFO").ok_or(ArchiveFault::Form("it has no `.PKGINFO`"))?;
    let info = Info::parse(&file.bytes).map_err(ArchiveFault::Info)?;
    Ok(info.data)
}

/// A package that is read part by part.
struct Package<'file> {
    segments: Segments<&'file File>,
    /// That of the control part that was read.
    identity: Identity,
    /// Whether there was a part with signatures.
    signed: bool,
}

impl<'file> Package<'file> {
    fn open(file: &'file File) -> Result<Self, ArchiveFault> {
        let mut start = [0; 4];
        std::os::unix::fs::FileExt::read_at(file, &mut start, 0).map_err(|error| ArchiveFault::Member {
            part: SIGNATURE,
            member: String::new(),
            fault: error.into(),
        })?;
        if start.starts_with(b"ADB") {
            return Err(ArchiveFault::Form("it is a package of the third format of apk (ADB), which is not supported"));
        }
        if !start.starts_with(b"\x1f\x8b") {
            return Err(ArchiveFault::Form("it is no package of Alpine: expected gzip members"));
        }
        Ok(Self { segments: Segments::new(file), identity: Identity::from_bytes([0; 20]), signed: false })
    }

    /// Reads signatures, which nobody looks at here, and control files.
    fn control(&mut self) -> Result<Vec<ControlFile>, ArchiveFault> {
        loop {
            let watch = Watch::Sha1(Sha1::new());
            let (files, signature) = control_files(self.segments.open(watch))?;
            self.identity = Identity::from_bytes(self.segments.sha1());
            if !signature {
                return Ok(files);
            }
            if std::mem::replace(&mut self.signed, true) {
                return Err(ArchiveFault::Form("it has two parts with signatures"));
            }
        }
    }

    fn data<T>(
        &mut self,
        read: impl FnOnce(&mut TarStream<Segment<'_, &'file File>>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let segment = self.segments.open(Watch::Sha256(Box::default()));
        let mut stream = TarStream::new(segment, DATA_BYTES).open_ended();
        read(&mut stream)
    }

    /// Checks the digest of the data, and that nothing follows it.
    fn finish(mut self, expected: Option<Digest>) -> Result<(), ArchiveFault> {
        let found = self.segments.sha256();
        match expected {
            Some(expected) if found != Some(expected) => {
                return Err(ArchiveFault::Info(format!(
                    "its data is not that which its `.PKGINFO` names: it has {}, expected {expected}",
                    found.map_or("no digest".into(), |found| found.to_string())
                )));
            }
            Some(_) => {}
            None => return Err(ArchiveFault::Form("its `.PKGINFO` has no `datahash`: nothing vouches for its data")),
        }
        match self.segments.is_at_end() {
            Ok(true) => Ok(()),
            Ok(false) => Err(ArchiveFault::Form("something follows its data")),
            Err(error) => Err(member(DATA, &TreePath::root(), error.into())),
        }
    }
}

/// Reads a part in front of the data; tells whether it has signatures and nothing else.
fn control_files<R: Read>(segment: Segment<'_, R>) -> Result<(Vec<ControlFile>, bool), ArchiveFault> {
    let root = TreePath::root();
    let mut stream = TarStream::new(segment, CONTROL_BYTES).open_ended();
    let mut files: Vec<ControlFile> = Vec::new();
    let mut signatures = false;
    while let Some(found) = stream.next_member().map_err(|fault| member(CONTROL, &root, fault))? {
        if found.path.as_bytes().starts_with(b".SIGN.") && files.is_empty() {
            if !matches!(found.item, StreamItem::File { length } if length <= SIGNATURES) {
                return Err(ArchiveFault::Form("a signature of it is no file, or too long"));
            }
            signatures = true;
            continue;
        }
        if signatures {
            return Err(ArchiveFault::Form("among its signatures is something else"));
        }
        if !found.path.as_bytes().starts_with(b".") {
            return Err(ArchiveFault::Form("its data does not stand in a part of its own"));
        }
        files.push(control_file(&mut stream, CONTROL, &found, &files)?);
    }
    Ok((files, signatures))
}

/// Unpacks packages into the directory `packs`: see [`archive::unpack_all`](crate::packages::archive::unpack_all).
///
/// # Errors
/// The first failure, in the order of the packages.
pub fn unpack_all(packages: &[Fetched], packs: &Path) -> Result<Vec<Unpacked>, ArchiveError> {
    crate::packages::archive::unpack_all(&Apk, packages, packs)
}

#[cfg(test)]
pub(super) mod tests;
