//! The folder that a render writes into.
//!
//! Comes in: artifacts, by output kind. Goes out: the folder with these artifacts, and a record of them in the store.
//! Always holds, whatever happens to the process:
//!
//! - A reader finds the old result or the new one. The new one is made beside it, with hard links to what did not change,
//!   and exchanged in one step; the old one is removed later. Where the folder itself cannot be exchanged (it is a mount
//!   point, its parent may not be written, or it holds directories of others), its children are switched one after the
//!   other, each in one step, and an interrupted switch is completed by the next run.
//! - One process at a time works on a folder (flock(2) on the folder itself).
//! - What layerforge did not write is kept; what was changed by hand is replaced only when that is asked for.
//! - Links inside the folder are not followed. A destination that is a link to a folder is that folder.
//!
//! A power cut is not a kill: nothing is flushed to the device, the next render finds damaged files by their stamps.

mod artifact;
mod commit;
mod edit;
mod stage;
mod switch;

use std::fmt;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use self::edit::Judgement;
use crate::digest::Digest;
use crate::event::{Event, Reporter};
use crate::fs::{self, Folder, Stamp};
use crate::store::{Earlier, Entry, Listing, Record, Store, Written};
use crate::tree::{Meta, Tree};

use super::directory::{DirectoryError, Layout};

pub use commit::Committed;
pub use edit::{Edit, EditKind};

/// The permission bits of artifacts that are files.
const FILE_MODE: u32 = 0o644;
/// How many paths a message names.
const NAMED: usize = 10;

/// What is to be written for one output kind. Other kinds' artifacts in the destination stay as they are.
#[derive(Debug)]
pub struct Output<'run> {
    /// The name of the kind: `rootfs`.
    pub kind: &'run str,
    /// Its artifacts. Where children have to be switched one by one, this is the order.
    pub artifacts: Vec<Artifact<'run>>,
}

/// A child of the destination.
#[derive(Debug)]
pub struct Artifact<'run> {
    /// Its name: one name, not a path, not beginning with `.layerforge`.
    pub name: &'run str,
    /// What is in it.
    pub body: Body<'run>,
}

/// What is in an artifact.
pub enum Body<'run> {
    /// A directory made from a tree, which is complete.
    Directory(&'run Tree),
    /// A file with these bytes.
    Bytes(&'run [u8]),
    /// A file with what the function writes. It may be called twice and has to write the same then.
    Writer(&'run (dyn Fn(&mut dyn Write) -> std::io::Result<()> + Sync)),
    /// The same, when the function reads no file of the host.
    Text(&'run (dyn Fn(&mut dyn Write) -> std::io::Result<()> + Sync)),
}

impl fmt::Debug for Body<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Directory(_) => "Directory",
            Self::Bytes(_) => "Bytes",
            Self::Writer(_) => "Writer",
            Self::Text(_) => "Text",
        })
    }
}

/// The whole result of a render.
#[derive(Debug)]
pub struct Rendered<'run> {
    /// The digest of what decides the result and is no file: arguments, variables, the program's version.
    pub key: Digest,
    /// Every path that was read, listed or looked for.
    pub inputs: Listing,
    /// What is to be written.
    pub outputs: Vec<Output<'run>>,
    /// The modification time of artifacts that are files, in seconds since 1970-01-01 UTC.
    pub seconds: i64,
}

/// What a manifest in a destination says layerforge wrote there for one output kind; it stands in for a lost record.
#[derive(Debug)]
pub struct Witness {
    /// The name of the kind.
    pub kind: String,
    /// Artifacts that are directories.
    pub directories: Vec<(String, Tree)>,
    /// Artifacts that are files, the manifest included, each with the digest of its bytes and their number.
    pub files: Vec<(String, Digest, u64)>,
    /// The modification time of artifacts that are files, in seconds since 1970-01-01 UTC.
    pub seconds: i64,
}

/// How a destination is taken.
pub struct Options<'run> {
    /// Where records are kept.
    pub store: &'run Store,
    /// Whether what was changed by hand, or made by somebody else under an artifact's name, is replaced.
    pub force: bool,
    /// Reads the manifest of a destination, given the folder; asked when the store has no record.
    pub witness: &'run (dyn Fn(&Path) -> Vec<Witness> + Sync),
    /// Hears of waiting, and of what does not stop the work.
    pub reporter: &'run dyn Reporter,
}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Options")
            .field("store", &self.store)
            .field("force", &self.force)
            .finish_non_exhaustive()
    }
}

/// How a destination compares with what a render would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The last render had the same key and inputs, and its result is there untouched: there is nothing to do.
    Unchanged,
    /// Something is different; the first inputs that are, as far as that is the reason.
    Changed(Vec<PathBuf>),
}

/// A destination that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// The folder has children and none of them is known to be layerforge's.
    #[error(
        "`{}` holds files that layerforge did not write ({names}): choose another folder, or add its own with `--force`",
        path.display()
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// The first names in it, as a phrase.
        names: String,
    },
    /// Something was changed by hand since the last render.
    #[error("`{}` was changed by hand since the last render; `--force` restores it{}", path.display(), edit::Lines(edits))]
    Edited {
        /// The folder.
        path: PathBuf,
        /// What was changed, sorted.
        edits: Vec<Edit>,
    },
    /// The path is something else than a folder.
    #[error("`{}` is not a directory: choose another destination or move it away", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// The name that is needed for the work is taken.
    #[error("`{}` is in the way and layerforge did not make it: move it away", path.display())]
    InTheWay {
        /// The path.
        path: PathBuf,
    },
    /// A file that was copied is not the one that was read before.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The file system refused something.
    #[error(transparent)]
    File(#[from] fs::Error),
}

type Result<T> = std::result::Result<T, DestinationError>;

/// A destination folder that this process alone works on.
#[derive(Debug)]
pub struct Destination<'run> {
    path: PathBuf,
    folder: Folder,
    options: &'run Options<'run>,
    record: Option<Record>,
    /// What layerforge wrote here, by record or witness.
    known: Vec<Written>,
    judgement: OnceLock<Judgement>,
    /// The inputs of the last render that are different now.
    differing: OnceLock<Vec<PathBuf>>,
    /// The folders that were made for it; they go away unless something is committed.
    made: MadeFolders,
}

impl<'run> Destination<'run> {
    /// Takes the folder at `path`, creating it when it is missing, waiting when another render works on it, and cleaning
    /// up after one that was killed.
    ///
    /// # Errors
    /// When it is no folder, is somebody else's (without force), or the file system refuses.
    pub fn lock(path: &Path, options: &'run Options<'run>) -> Result<Self> {
        let (path, folder, made) = open_locked(path, options.reporter)?;
        stage::recover(&path, &folder, options)?;
        let mut record = options.store.record(&path);
        let names = fs::list(&path)?;
        let known = match &mut record {
            // Nothing can be changed in what is not there.
            _ if names.is_empty() => Vec::new(),
            Some(record) => std::mem::take(&mut record.outputs),
            None => (options.witness)(&path).into_iter().map(witnessed).collect(),
        };
        if known.is_empty() && !names.is_empty() && !options.force {
            let mut shown: Vec<_> = names.iter().take(3).map(|name| format!("`{}`", name.display())).collect();
            shown.extend((names.len() > 3).then(|| format!("{} more", names.len() - 3)));
            return Err(DestinationError::Foreign { path, names: shown.join(", ") });
        }
        Ok(Self { path, folder, options, record, known, judgement: OnceLock::new(), differing: OnceLock::new(), made })
    }

    /// Returns the real path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns what the last render saw, as far as [`Destination::standing`] found it to be so still.
    pub fn earlier(&mut self) -> Option<Earlier> {
        let differing = self.differing.take()?;
        let inputs = std::mem::take(&mut self.record.as_mut()?.inputs);
        Some(Earlier::new(inputs, differing))
    }

    /// Compares the folder and the inputs of its last render with what is there now, by their stamps.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn standing(&self, key: &Digest) -> Result<Standing> {
        let Some(record) = &self.record else { return Ok(Standing::Changed(Vec::new())) };
        let (inputs, outputs) = rayon::join(|| record.inputs.differences(&self.folder), || self.differences());
        let (inputs, outputs) = (inputs?, outputs?);
        let inputs = self.differing.get_or_init(|| inputs);
        let untouched = self.judge(outputs)?.is_untouched() && !self.known.is_empty();
        if record.key == Some(*key) && inputs.is_empty() && untouched {
            return Ok(Standing::Unchanged);
        }
        Ok(Standing::Changed(inputs.iter().take(NAMED).cloned().collect()))
    }

    /// Returns what was changed by hand in the folder since the last render, sorted.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn edits(&self) -> Result<&[Edit]> {
        Ok(&self.judgement()?.edits)
    }

    fn differences(&self) -> fs::Result<Vec<Vec<PathBuf>>> {
        self.known.iter().map(|written| written.listing.differences(&self.folder)).collect()
    }

    fn judgement(&self) -> Result<&Judgement> {
        match self.judgement.get() {
            Some(judgement) => Ok(judgement),
            None => self.judge(self.differences()?),
        }
    }

    fn judge(&self, differences: Vec<Vec<PathBuf>>) -> Result<&Judgement> {
        let judgement = edit::judge(&self.folder, &self.known, differences)?;
        Ok(self.judgement.get_or_init(|| judgement))
    }
}

/// Folders that were missing and were made, the deepest first. Those that are still empty are removed at the end of the
/// value: a render that is refused leaves nothing behind.
#[derive(Debug, Default)]
struct MadeFolders(Vec<PathBuf>);

impl MadeFolders {
    /// Returns what creating the folder at `path` is going to make.
    fn before(path: &Path) -> fs::Result<Self> {
        let mut missing = Vec::new();
        for folder in path.ancestors().filter(|folder| !folder.as_os_str().is_empty()) {
            if fs::exists(folder).unwrap_or(true) {
                break;
            }
            missing.push(std::path::absolute(folder).map_err(fs::Error::on("find", folder))?);
        }
        Ok(Self(missing))
    }

    /// Leaves all of them.
    fn keep(&mut self) {
        self.0.clear();
    }
}

impl Drop for MadeFolders {
    fn drop(&mut self) {
        // What is not empty holds something of somebody else's, and so do those above it.
        let _kept = self.0.iter().try_for_each(|folder| fs::remove_directory(folder));
    }
}

/// Opens and locks the folder that stands at `path` once the lock is held; returns its real path with it, and what was
/// made for it.
fn open_locked(path: &Path, reporter: &dyn Reporter) -> Result<(PathBuf, Folder, MadeFolders)> {
    loop {
        let made = MadeFolders::before(path)?;
        let path = real_path(path)?;
        let folder = Folder::open(&path)?;
        folder.lock(|| {
            let message = format!("another render works on `{}`: waiting for it", path.display());
            reporter.report(Event::Warning { message, hint: None });
        })?;
        // Whoever had the lock has put another folder in its place, most likely.
        match Folder::open(&path).and_then(|now| Ok(now.id()? == folder.id()?)) {
            Ok(true) => return Ok((path, folder, made)),
            Ok(false) => {}
            Err(error) if error.is_unreachable() => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Creates what is missing of `path` and returns it without symbolic links.
fn real_path(path: &Path) -> Result<PathBuf> {
    if let Err(error) = fs::create_directory(path) {
        let taken = fs::exists(path).unwrap_or(false) && Folder::open(path).is_err_and(|error| error.is_unreachable());
        return Err(if taken { DestinationError::NotADirectory { path: path.to_owned() } } else { error.into() });
    }
    Ok(std::fs::canonicalize(path).map_err(fs::Error::on("find", path))?)
}

/// Returns what a witness says was written. A manifest may be anybody's: names that are none are left out.
fn witnessed(witness: Witness) -> Written {
    let mut entries = Vec::new();
    let mut directories = Vec::new();
    for (name, mut tree) in witness.directories.into_iter().filter(|(name, _)| is_artifact_name(name)) {
        tree.complete(|_| Meta::root_owned(0o755, witness.seconds));
        let layout = Layout::of(&tree);
        entries.push(artifact_entry(&name, layout.root_stamp(), None));
        directories.extend(layout.listing(&name));
    }
    for (name, digest, size) in witness.files.into_iter().filter(|(name, ..)| is_artifact_name(name)) {
        let stamp = Stamp::expected(Stamp::REGULAR | FILE_MODE, size, witness.seconds);
        entries.push(artifact_entry(&name, stamp, Some(digest)));
    }
    directories.push(crate::store::Directory { path: Box::default(), entries, complete: false });
    Written { kind: witness.kind, listing: Listing::from_unsorted(directories) }
}

/// Tells whether an artifact can have this name. One that could leave the destination comes from a manifest or a stage
/// that layerforge did not write.
fn is_artifact_name(name: &str) -> bool {
    !["", ".", ".."].contains(&name) && !name.starts_with(stage::INSIDE) && !name.contains(['/', '\0'])
}

fn artifact_entry(name: &str, stamp: Stamp, digest: Option<Digest>) -> Entry {
    Entry { name: name.as_bytes().into(), stamp: Some(stamp), digest, shared: 0 }
}

/// Returns the names of the artifacts that were written for a kind.
fn artifacts(written: &Written) -> impl Iterator<Item = &[u8]> {
    written.listing.directory(b"").into_iter().flat_map(|root| root.entries.iter().map(|entry| &*entry.name))
}

/// Returns the first name of a path relative to the destination: the artifact that it belongs to.
fn artifact_of(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes().split(|&byte| byte == b'/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
