//! Gathering what a render reads.

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::listing::split;
use super::{Directory, Entry, Listing};
use crate::digest::Digest;
use crate::fs::Stamp;

/// A regular file that a render may read: found once, hashed at most once, however many distros use it.
#[derive(Debug)]
pub struct InputFile {
    path: Arc<Path>,
    stamp: Stamp,
    digest: OnceLock<Digest>,
}

impl InputFile {
    /// Returns the file at an absolute path, with the stamp it has before anything is read of it, and its digest when
    /// that is known for this stamp.
    pub fn new(path: Arc<Path>, stamp: Stamp, known: Option<Digest>) -> Self {
        Self { path, stamp, digest: known.map(OnceLock::from).unwrap_or_default() }
    }

    /// Returns where it is, as an absolute path.
    pub fn path(&self) -> &Arc<Path> {
        &self.path
    }

    /// Returns its stamp from before it was read.
    pub fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// Returns the digest of what it holds, when that is known.
    pub fn digest(&self) -> Option<Digest> {
        self.digest.get().copied()
    }

    /// Takes the digest of what was read. The first one counts.
    pub fn is_read(&self, digest: Digest) {
        self.digest.get_or_init(|| digest);
    }
}

/// Takes every path that a render depends on, from several threads.
///
/// A relative path is one of the working directory. A stamp has to be taken before the file is read or the directory
/// listed, so that a change in between is seen the next time. Of a symbolic link that is followed, both the link and what it leads to are inputs.
#[derive(Debug, Default)]
pub struct Inputs {
    seen: Mutex<Vec<Directory>>,
    files: Mutex<Vec<Arc<InputFile>>>,
}

impl Inputs {
    /// Returns a collection of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a file that was read, with the digest of what it held.
    pub fn file(&self, path: &Path, stamp: Stamp, digest: Digest) {
        self.take(path, Some(stamp), Some(digest));
    }

    /// Takes something of which no content matters but that it is there as it is: a directory that was listed, or a
    /// symbolic link that was followed.
    pub fn seen(&self, path: &Path, stamp: Stamp) {
        self.take(path, Some(stamp), None);
    }

    /// Takes what a directory of the given absolute path was found to hold: what is no regular file, and the files.
    pub fn listed(&self, directory: Directory, files: impl IntoIterator<Item = Arc<InputFile>>) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(directory);
        self.files.lock().unwrap_or_else(PoisonError::into_inner).extend(files);
    }

    /// Takes a file that may be read.
    pub fn found(&self, file: &Arc<InputFile>) {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(file));
    }

    /// Takes a path that was looked for and was not there.
    pub fn absent(&self, path: &Path) {
        self.take(path, None, None);
    }

    /// Returns all that was taken so far.
    pub fn listing(&self) -> Listing {
        let mut directories = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for file in self.files.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            add(&mut directories, &file.path, Some(file.stamp), file.digest());
        }
        Listing::from_unsorted(directories)
    }

    fn take(&self, path: &Path, stamp: Option<Stamp>, digest: Option<Digest>) {
        let path = match path.is_absolute() {
            true => Cow::Borrowed(path),
            // Only an empty path, or a working directory that is gone, has no absolute form: neither is an input.
            false => match std::path::absolute(path) {
                Ok(path) => Cow::Owned(path),
                Err(_) => return,
            },
        };
        add(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner), &path, stamp, digest);
    }
}

/// Adds an entry to the last of the directories, when it is of that one, or to a new one.
fn add(directories: &mut Vec<Directory>, path: &Path, stamp: Option<Stamp>, digest: Option<Digest>) {
    let (directory, name) = split(path.as_os_str().as_bytes());
    // The root has no name; it always exists.
    if name.is_empty() {
        return;
    }
    let entry = Entry { name: name.into(), stamp, digest, shared: 0 };
    match directories.last_mut().filter(|last| &*last.path == directory) {
        Some(last) => last.entries.push(entry),
        None => directories.push(Directory { path: directory.into(), entries: vec![entry], complete: false }),
    }
}
