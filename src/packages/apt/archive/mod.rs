//! Packages of Debian: fetched files as control files and packs.
//!
//! Comes in: a package file, with the length and digest that its index or lock has. Goes out: an [`Unpacked`]: control files,
//! what the package puts where, and the contents in one pack file. Always holds: nothing is looked at before length and digest are
//! those expected; a package is decompressed once, its pack appears whole by rename; what a package may take of memory and
//! disk is bounded.

mod ar;
mod pack;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::compression::Compression;
use super::control::ControlError;
use crate::digest::Digest;
use crate::fs;
use crate::tree::{Kind, Meta, StreamItem, TarFault, TarStream, TreePath};

/// Bytes read at a time.
const CHUNK: usize = 256 * 1024;
/// The most bytes of all control files of a package: the largest have some five million.
const CONTROL_BYTES: u64 = 64 << 20;
/// The most bytes that a package unpacks to.
const DATA_BYTES: u64 = 64 << 30;

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
        /// Which archive: `control.tar`, `data.tar`.
        part: &'static str,
        /// The member, as far as it is known.
        member: String,
        /// What is wrong with it.
        #[source]
        fault: TarFault,
    },
    /// Its control file is not written as it should be.
    #[error(transparent)]
    Control(#[from] ControlError),
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

/// One control file of a package: `control`, `postinst`, `conffiles`.
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
}

/// Unpacks packages into the directory `packs`, all at once as far as there are processors; those that are there already are
/// only read. The result has their order.
///
/// # Errors
/// The first failure, in the order of the packages.
pub fn unpack_all(packages: &[Fetched], packs: &Path) -> Result<Vec<Unpacked>, ArchiveError> {
    let total: u64 = packages.iter().map(|package| package.size).sum();
    let threads = rayon::current_num_threads() as u64;
    // The largest first: the last to end decides.
    let mut order: Vec<usize> = (0..packages.len()).collect();
    order.sort_by_key(|place| std::cmp::Reverse(packages[*place].size));
    let mut unpacked: Vec<(usize, Result<Unpacked, ArchiveError>)> = order
        .into_par_iter()
        .with_max_len(1)
        .map(|place| {
            let package = &packages[place];
            // One that takes longer than all others together is decompressed by several threads.
            let alone = package.size.saturating_mul(threads) > total;
            (place, unpack_with(package, packs, if alone { threads as u32 } else { 1 }))
        })
        .collect();
    unpacked.sort_by_key(|(place, _)| *place);
    unpacked.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Unpacks a package into the directory `packs`, or reads what is there of it already.
///
/// # Errors
/// When it is not the package that is expected, or not made as packages are.
pub fn unpack(package: &Fetched, packs: &Path) -> Result<Unpacked, ArchiveError> {
    unpack_with(package, packs, 1)
}

/// Reads the control files of a package and nothing else of it.
///
/// # Errors
/// When it is not the package that is expected, or not made as packages are.
pub fn control(package: &Fetched) -> Result<Vec<ControlFile>, ArchiveError> {
    let file = fs::open(&package.path)?;
    verify(package, &file)?;
    let read = || control_files(&file, &ar::parts(&file, package.size)?.control);
    read().map_err(|fault| ArchiveError::Fault { package: package.path.clone(), fault })
}

fn unpack_with(package: &Fetched, packs: &Path, threads: u32) -> Result<Unpacked, ArchiveError> {
    let path = packs.join(package.digest.hex());
    if let Some(known) = pack::read(&path)? {
        return Ok(known);
    }
    let file = fs::open(&package.path)?;
    verify(package, &file)?;
    let fault = |fault| ArchiveError::Fault { package: package.path.clone(), fault };
    let parts = ar::parts(&file, package.size).map_err(fault)?;
    let control = control_files(&file, &parts.control).map_err(fault)?;
    let mut writer = pack::Writer::create(packs, &path)?;
    let entries = entries(&file, &parts.data, threads, &mut writer);
    let entries = match entries {
        Ok(entries) => entries,
        Err(Failure::Fault(reason)) => return Err(fault(reason)),
        Err(Failure::Fs(error)) => return Err(error.into()),
    };
    let unpacked = Unpacked { control, entries };
    writer.finish(&unpacked)?;
    Ok(unpacked)
}

fn verify(package: &Fetched, file: &File) -> Result<(), ArchiveError> {
    let (digest, size) =
        Digest::of_stream(BufReader::with_capacity(CHUNK, file)).map_err(fs::Error::on("read", &*package.path))?;
    if (digest, size) == (package.digest, package.size) {
        return Ok(());
    }
    let (expected, expected_size) = (package.digest, package.size);
    Err(ArchiveError::Other { package: package.path.clone(), size, digest, expected_size, expected })
}

/// What keeps a package from being unpacked: the package, or the disk.
enum Failure {
    Fault(ArchiveFault),
    Fs(fs::Error),
}

fn member(part: &'static str, member: &TreePath, fault: TarFault) -> ArchiveFault {
    let member = if member.is_root() { String::new() } else { member.to_string() };
    ArchiveFault::Member { part, member, fault }
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
    let broken = |path: &TreePath, fault| member("control.tar", path, fault);
    let root = TreePath::root();
    if matches!(part.compression, Compression::Bzip2 | Compression::Lzma) {
        return Err(ArchiveFault::Form("its control files are compressed in a way that packages have not"));
    }
    let mut stream = stream(file, part, 1, CONTROL_BYTES).map_err(|fault| broken(&root, fault))?;
    let mut files: Vec<ControlFile> = Vec::new();
    while let Some(found) = stream.next_member().map_err(|fault| broken(&root, fault))? {
        if found.item == StreamItem::Node(Kind::directory()) && found.path.is_root() {
            continue;
        }
        let name = found.path.name().and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default();
        let flat = found.path.parent().is_some_and(|parent| parent.is_root());
        let clean = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        if !matches!(found.item, StreamItem::File { .. }) || !flat || !clean {
            return Err(ArchiveFault::Form("its control.tar holds something else than files beside each other"));
        }
        if files.iter().any(|file| file.name == name) {
            return Err(ArchiveFault::Form("a control file stands twice in it"));
        }
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).map_err(|error| broken(&found.path, error.into()))?;
        files.push(ControlFile { name: name.to_owned(), mode: found.meta.mode, mtime: found.meta.mtime, bytes });
    }
    if files.iter().any(|file| file.name == "control") {
        Ok(files)
    } else {
        Err(ArchiveFault::Form("it has no control file"))
    }
}

/// Reads what the package puts where, and writes the contents into the pack.
fn entries(file: &File, part: &ar::Member, threads: u32, pack: &mut pack::Writer) -> Result<Vec<Entry>, Failure> {
    let broken = |path: &TreePath, fault| Failure::Fault(member("data.tar", path, fault));
    let mut last = TreePath::root();
    let mut stream = stream(file, part, threads, DATA_BYTES).map_err(|fault| broken(&last, fault))?;
    let mut entries = Vec::new();
    let mut buffer = vec![0; CHUNK];
    while let Some(found) = stream.next_member().map_err(|fault| broken(&last, fault))? {
        last = found.path.clone();
        let item = match found.item {
            StreamItem::Node(kind) => Item::Node(kind),
            StreamItem::Link(target) => Item::Link(target),
            StreamItem::File { .. } => {
                let read = |buffer: &mut [u8]| stream.read(buffer).map_err(|error| broken(&last, error.into()));
                Item::Node(Kind::Regular(pack.put(&mut buffer, read)?))
            }
        };
        entries.push(Entry { path: found.path, item, meta: found.meta });
    }
    Ok(entries)
}

impl From<fs::Error> for Failure {
    fn from(error: fs::Error) -> Self {
        Self::Fs(error)
    }
}

#[cfg(test)]
pub(super) mod tests;
