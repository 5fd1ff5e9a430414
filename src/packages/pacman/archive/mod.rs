//! Packages of Arch: one compressed tar archive, control files first (alpm-package(7)).
//!
//! Comes in: a verified package file. Goes out: control files (`.PKGINFO`, `.MTREE`, `.INSTALL`, `.BUILDINFO`, `.CHANGELOG`)
//! and entries. Always holds: nothing whose name begins with a dot lies in the root but control files.

use std::fs::File;
use std::io::BufReader;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::packages::archive::{
    ArchiveError, ArchiveFault, CHUNK, CONTROL_BYTES, DATA_BYTES, Failure, Fetched, Form, Pack, Unpacked, control_file,
    member,
};
use crate::packages::compression::Compression;
use crate::tree::{StreamItem, TarStream, TreePath};

const PART: &str = "archive";

/// The form of packages of Arch.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alpm;

impl Form for Alpm {
    fn read(&self, file: &File, _: &Fetched, threads: u32, pack: &mut Pack) -> Result<Unpacked, Failure> {
        let mut last = TreePath::root();
        let mut start = [0; 6];
        let count = file.read_at(&mut start, 0).map_err(|error| member(PART, &last, error.into()))?;
        let compression = Compression::of_start(&start[..count]);
        let decoder = compression.decoder(BufReader::with_capacity(CHUNK, file), threads);
        let decoder = decoder.map_err(|error| member(PART, &last, error.into()))?;
        let mut stream = TarStream::new(decoder, DATA_BYTES);
        let mut unpacked = Unpacked { control: Vec::new(), entries: Vec::new() };
        let mut control_bytes = 0;
        while let Some(found) = stream.next_member().map_err(|fault| member(PART, &last, fault))? {
            last = found.path.clone();
            if found.path.as_bytes().starts_with(b".") && !found.path.as_bytes().contains(&b'/') {
                if let StreamItem::File { length } = found.item {
                    control_bytes += length;
                }
                if control_bytes > CONTROL_BYTES {
                    return Err(ArchiveFault::Form("its control files are longer than any").into());
                }
                let file = control_file(&mut stream, PART, &found, &unpacked.control)?;
                unpacked.control.push(file);
            } else if found.path.as_bytes().starts_with(b".") {
                return Err(ArchiveFault::Form("a directory in its root has a name that begins with a dot").into());
            } else {
                unpacked.entries.push(pack.entry(&mut stream, PART, found, |_| {})?);
            }
        }
        if unpacked.control_file(".PKGINFO").is_none() {
            return Err(ArchiveFault::Form("it has no `.PKGINFO`").into());
        }
        Ok(unpacked)
    }
}

/// Unpacks packages into the directory `packs`: see [`archive::unpack_all`](crate::packages::archive::unpack_all).
///
/// # Errors
/// The first failure, in the order of the packages.
pub fn unpack_all(packages: &[Fetched], packs: &Path) -> Result<Vec<Unpacked>, ArchiveError> {
    crate::packages::archive::unpack_all(&Alpm, packages, packs)
}

#[cfg(test)]
pub(super) mod tests;
