//! Packages of Debian: two tar archives in an `ar` archive (deb(5)).
//!
//! Comes in: a verified package file. Goes out: control files and entries. Always holds: the version of the format comes
//! first, then control files, then data.

mod ar;

use std::fs::File;
use std::io::{BufReader, Read};

use crate::packages::archive::{self, CHUNK, CONTROL_BYTES, DATA_BYTES, Failure, Form, Pack, control_file, member};
pub use crate::packages::archive::{ArchiveError, ArchiveFault, ControlFile, Entry, Fetched, Item, Unpacked};
use crate::packages::compression::Compression;
use crate::tree::{Kind, StreamItem, TarFault, TarStream, TreePath};

/// The form of packages of Debian.
#[derive(Debug, Clone, Copy, Default)]
pub struct Deb;

impl Form for Deb {
    fn read(&self, file: &File, package: &Fetched, threads: u32, pack: &mut Pack) -> Result<Unpacked, Failure> {
        let parts = ar::parts(file, package.size)?;
        let control = control_files(file, &parts.control)?;
        let entries = entries(file, &parts.data, threads, pack)?;
        Ok(Unpacked { control, entries })
    }
}

fn stream<'file>(
    file: &'file File,
    part: &ar::Member,
    threads: u32,
    limit: u64,
) -> Result<TarStream<Box<dyn Read + Send + 'file>>, TarFault> {
    let input = BufReader::with_capacity(CHUNK, part.open(file));
    Ok(TarStream::new(part.compression.decoder(input, threads)?, limit))
}

/// Reads the control files: plain files of the root, nothing else.
fn control_files(file: &File, part: &ar::Member) -> Result<Vec<ControlFile>, ArchiveFault> {
    const PART: &str = "control.tar";
    let root = TreePath::root();
    if matches!(part.compression, Compression::Bzip2 | Compression::Lzma) {
        return Err(ArchiveFault::Form("its control files are compressed in a way that packages have not"));
    }
    let mut stream = stream(file, part, 1, CONTROL_BYTES).map_err(|fault| member(PART, &root, fault))?;
    let mut files: Vec<ControlFile> = Vec::new();
    while let Some(found) = stream.next_member().map_err(|fault| member(PART, &root, fault))? {
        if found.item == StreamItem::Node(Kind::directory()) && found.path.is_root() {
            continue;
        }
        files.push(control_file(&mut stream, PART, &found, &files)?);
    }
    if files.iter().any(|file| file.name == "control") {
        Ok(files)
    } else {
        Err(ArchiveFault::Form("it has no control file"))
    }
}

/// Reads what the package puts where, and writes the contents into the pack.
fn entries(file: &File, part: &ar::Member, threads: u32, pack: &mut Pack) -> Result<Vec<Entry>, Failure> {
    const PART: &str = "data.tar";
    let mut last = TreePath::root();
    let mut stream = stream(file, part, threads, DATA_BYTES).map_err(|fault| member(PART, &last, fault))?;
    let mut entries = Vec::new();
    while let Some(found) = stream.next_member().map_err(|fault| member(PART, &last, fault))? {
        last = found.path.clone();
        entries.push(pack.entry(&mut stream, PART, found, |_| {})?);
    }
    Ok(entries)
}

/// Unpacks packages into the directory `packs`: see [`archive::unpack_all`](crate::packages::archive::unpack_all).
///
/// # Errors
/// The first failure, in the order of the packages.
pub fn unpack_all(packages: &[Fetched], packs: &std::path::Path) -> Result<Vec<Unpacked>, ArchiveError> {
    archive::unpack_all(&Deb, packages, packs)
}

/// Reads the control files of a package and nothing else of it.
///
/// # Errors
/// When it is not the package that is expected, or not made as packages are.
pub fn control(package: &Fetched) -> Result<Vec<ControlFile>, ArchiveError> {
    let file = archive::open(package)?;
    let read = || control_files(&file, &ar::parts(&file, package.size)?.control);
    read().map_err(|fault| ArchiveError::Fault { package: package.path.clone(), fault })
}

#[cfg(test)]
pub(super) mod tests;
