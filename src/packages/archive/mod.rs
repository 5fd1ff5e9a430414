//! Packages of every family: fetched files as control files and packs.
//!
//! Comes in: a package file, with the length and digest that its lock has, and the [`Form`] of its family. Goes out: an
//! [`Unpacked`]: control files, what the package puts where, and the contents in one pack file. Always holds: nothing is
//! looked at before length and digest are those expected; a package is decompressed once, its pack appears whole by rename;
//! what a package may take of memory and disk is bounded.

#[cfg(test)]
pub(super) mod made;
mod making;
mod pack;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use making::Making;
use pack::Writer;
use rayon::prelude::*;

use crate::digest::Digest;
use crate::fs;
use crate::tree::{Kind, Meta, StreamItem, StreamMember, TarFault, TarStream, TreePath};

/// Bytes read at a time.
pub(super) const CHUNK: usize = 256 * 1024;
/// The most bytes of all control files of a package: the largest have some five million.
pub(super) const CONTROL_BYTES: u64 = 64 << 20;
/// The most bytes that a package unpacks to.
pub(super) const DATA_BYTES: u64 = 64 << 30;

/// A package that cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A file cannot be read or written.
    #[error(transparent)]
    Fs(#[from] fs::Error),
    /// It is not the file that was expected.
    #[error("`{}` is not the package that was locked: it has {size} bytes and {digest}, expected {expected_size} bytes and {expected}", package.display())]
    Other {
        /// The package.
        package: PathBuf,
        /// Its length in bytes.
        size: u64,
        /// Its digest.
        digest: Digest,
        /// The length that was expected.
        expected_size: u64,
        /// The digest that was expected.
        expected: Digest,
    },
    /// It is not made as packages are.
    #[error("cannot unpack `{}`", package.display())]
    Fault {
        /// The package.
        package: PathBuf,
        /// What is wrong with it.
        #[source]
        fault: ArchiveFault,
    },
}

/// What is wrong with a package.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveFault {
    /// It has not the form of a package.
    #[error("{0}")]
    Form(&'static str),
    /// One of its tar archives has a member that cannot be taken.
    #[error("cannot take {} of its {part}", if member.is_empty() { "a member".into() } else { format!("`{member}`") })]
    Member {
        /// Which archive: `control.tar`, `data.tar`, `data`.
        part: &'static str,
        /// The member, as far as it is known.
        member: String,
        /// What is wrong with it.
        #[source]
        fault: TarFault,
    },
    /// What it says about itself is not written as it should be, or is not true.
    #[error("{0}")]
    Info(String),
}

/// A package to unpack.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The file.
    pub path: PathBuf,
    /// The length it must have.
    pub size: u64,
    /// The digest it must have.
    pub digest: Digest,
}

/// One control file of a package: `control`, `.PKGINFO`, `postinst`, `.post-install`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlFile {
    /// Its name.
    pub name: String,
    /// Its permission bits.
    pub mode: u16,
    /// When it was changed, in seconds since 1970.
    pub mtime: i64,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What a package puts at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path as the package has it.
    pub path: TreePath,
    /// What stands there.
    pub item: Item,
    /// Its metadata; for another name of a file, of no use.
    pub meta: Meta,
}

impl Entry {
    /// Tells whether it is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(&self.item, Item::Node(kind) if kind.is_directory())
    }
}

/// What stands at a path of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A node.
    Node(Kind),
    /// Another name of the file at an earlier path of the package.
    Link(TreePath),
}

/// A package that was unpacked into the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// Its control files, in their order.
    pub control: Vec<ControlFile>,
    /// What it puts where, in its order.
    pub entries: Vec<Entry>,
}

impl Unpacked {
    /// Returns a control file.
    pub fn control_file(&self, name: &str) -> Option<&ControlFile> {
        self.control.iter().find(|file| file.name == name)
    }

    /// Returns what stands in a control file; nothing when there is none.
    pub fn control_bytes(&self, name: &str) -> &[u8] {
        self.control_file(name).map_or(&[], |file| &file.bytes)
    }
}

/// How the packages of a family are made.
pub trait Form: Sync {
    /// Reads a package whose length and digest are right; the contents go into `pack`. With `threads` of two or more it may
    /// be decompressed by several.
    ///
    /// # Errors
    /// When it is not made as packages are, or the pack cannot be written.
    fn read(&self, file: &File, package: &Fetched, threads: u32, pack: &mut Pack) -> Result<Unpacked, Failure>;
}

/// Where the contents of a package go.
#[derive(Debug)]
pub struct Pack(Writer);

/// What keeps a package from being unpacked: the package, or the disk.
#[derive(Debug)]
pub enum Failure {
    /// The package.
    Fault(ArchiveFault),
    /// The disk.
    Fs(fs::Error),
}

impl From<fs::Error> for Failure {
    fn from(error: fs::Error) -> Self {
        Self::Fs(error)
    }
}

impl From<ArchiveFault> for Failure {
    fn from(fault: ArchiveFault) -> Self {
        Self::Fault(fault)
    }
}

/// Unpacks packages into the directory `packs`, all at once as far as there are processors; those that are there already are
/// only read, and those that are unpacked elsewhere in this program are waited for in the end. The result has their order.
///
/// # Errors
/// The first failure, in the order of the packages.
pub fn unpack_all(form: &impl Form, packages: &[Fetched], packs: &Path) -> Result<Vec<Unpacked>, ArchiveError> {
    let total: u64 = packages.iter().map(|package| package.size).sum();
    let threads = rayon::current_num_threads() as u64;
    // One that takes longer than all others together is decompressed by several threads.
    let threads_of = |package: &Fetched| match package.size.saturating_mul(threads) > total {
        true => threads as u32,
        false => 1,
    };
    // The largest first: the last to end decides.
    let mut order: Vec<usize> = (0..packages.len()).collect();
    order.sort_by_key(|place| std::cmp::Reverse(packages[*place].size));
    let mut unpacked: Vec<(usize, Result<Option<Unpacked>, ArchiveError>)> = order
        .into_par_iter()
        .with_max_len(1)
        .map(|place| {
            let package = &packages[place];
            (place, unpack_when(form, package, packs, threads_of(package), Making::attempt))
        })
        .collect();
    unpacked.sort_by_key(|(place, _)| *place);
    let rest = unpacked.into_iter().map(|(place, outcome)| match outcome? {
        Some(unpacked) => Ok(unpacked),
        None => unpack_with(form, &packages[place], packs, threads_of(&packages[place])),
    });
    rest.collect()
}

/// Unpacks a package into the directory `packs`, or reads what is there of it already.
///
/// # Errors
/// When it is not the package that is expected, or not made as packages are.
pub fn unpack(form: &impl Form, package: &Fetched, packs: &Path) -> Result<Unpacked, ArchiveError> {
    unpack_with(form, package, packs, 1)
}

fn unpack_with(form: &impl Form, package: &Fetched, packs: &Path, threads: u32) -> Result<Unpacked, ArchiveError> {
    loop {
        if let Some(unpacked) = unpack_when(form, package, packs, threads, |path| Some(Making::wait(path)))? {
            return Ok(unpacked);
        }
    }
}

/// Does the same when `making` gives the right to; nothing when it does not and the pack is not there.
fn unpack_when(
    form: &impl Form,
    package: &Fetched,
    packs: &Path,
    threads: u32,
    making: impl Fn(&Path) -> Option<Making>,
) -> Result<Option<Unpacked>, ArchiveError> {
    let path = packs.join(package.digest.hex());
    if let Some(known) = pack::read(&path)? {
        return Ok(Some(known));
    }
    let Some(_alone) = making(&path) else { return Ok(None) };
    // Whoever made it until now has it ready.
    if let Some(known) = pack::read(&path)? {
        return Ok(Some(known));
    }
    let file = open(package)?;
    let mut pack = Pack(Writer::create(packs, &path)?);
    let unpacked = match form.read(&file, package, threads, &mut pack) {
        Ok(unpacked) => unpacked,
        Err(Failure::Fault(fault)) => return Err(ArchiveError::Fault { package: package.path.clone(), fault }),
        Err(Failure::Fs(error)) => return Err(error.into()),
    };
    pack.0.finish(&unpacked)?;
    Ok(Some(unpacked))
}

/// Opens a package whose length and digest are right.
pub(super) fn open(package: &Fetched) -> Result<File, ArchiveError> {
    let file = fs::open(&package.path)?;
    let (digest, size) =
        Digest::of_stream(BufReader::with_capacity(CHUNK, &file)).map_err(fs::Error::on("read", &*package.path))?;
    if (digest, size) == (package.digest, package.size) {
        std::io::Seek::rewind(&mut &file).map_err(fs::Error::on("read", &*package.path))?;
        return Ok(file);
    }
    let (expected, expected_size) = (package.digest, package.size);
    Err(ArchiveError::Other { package: package.path.clone(), size, digest, expected_size, expected })
}

/// Returns a fault of a member of the archive `part` of a package.
pub(super) fn member(part: &'static str, member: &TreePath, fault: TarFault) -> ArchiveFault {
    let member = if member.is_root() { String::new() } else { member.to_string() };
    ArchiveFault::Member { part, member, fault }
}

/// Reads the control file that a stream has come to: a plain file of the root, nothing else.
pub(super) fn control_file<R: Read>(
    stream: &mut TarStream<R>,
    part: &'static str,
    found: &StreamMember,
    known: &[ControlFile],
) -> Result<ControlFile, ArchiveFault> {
    let name = found.path.name().and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default();
    let flat = found.path.parent().is_some_and(|parent| parent.is_root());
    let clean = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    if !matches!(found.item, StreamItem::File { .. }) || !flat || !clean {
        return Err(ArchiveFault::Form("among its control files is something else than files beside each other"));
    }
    if known.iter().any(|file| file.name == name) {
        return Err(ArchiveFault::Form("a control file stands twice in it"));
    }
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map_err(|error| member(part, &found.path, error.into()))?;
    Ok(ControlFile { name: name.to_owned(), mode: found.meta.mode, mtime: found.meta.mtime, bytes })
}

impl Pack {
    /// Takes what a stream has come to; a content goes into the pack, and `seen` sees it, too.
    pub(super) fn entry<R: Read>(
        &mut self,
        stream: &mut TarStream<R>,
        part: &'static str,
        found: StreamMember,
        mut seen: impl FnMut(&[u8]),
    ) -> Result<Entry, Failure> {
        let item = match found.item {
            StreamItem::Node(kind) => Item::Node(kind),
            StreamItem::Link(target) => Item::Link(target),
            StreamItem::File { length } => {
                let mut buffer = vec![0; length.clamp(1, CHUNK as u64) as usize];
                let read = |buffer: &mut [u8]| -> Result<usize, Failure> {
                    let count = stream.read(buffer);
                    let count = count.map_err(|error| member(part, &found.path, error.into()))?;
                    seen(&buffer[..count]);
                    Ok(count)
                };
                Item::Node(Kind::Regular(self.0.put(&mut buffer, read)?))
            }
        };
        Ok(Entry { path: found.path, item, meta: found.meta })
    }
}
