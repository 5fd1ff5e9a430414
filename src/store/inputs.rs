//! Gathering what a render reads.

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::listing::split;
use super::{Directory, Entry, Listing};
use crate::digest::Digest;
use crate::fs::Stamp;

/// Takes every path that a render depends on, from several threads.
///
/// A relative path is one of the working directory. A stamp has to be taken before the file is read or the directory listed, so that a change in
/// between is seen the next time. Of a symbolic link that is followed, both the link and what it leads to are inputs.
#[derive(Debug, Default)]
pub struct Inputs {
    seen: Mutex<Vec<Directory>>,
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

    /// Takes all children of a directory, whose own stamp is taken by itself.
    pub fn children<'name>(&self, directory: &Path, children: impl IntoIterator<Item = (&'name [u8], Stamp)>) {
        let Ok(path) = absolute(directory) else { return };
        let entry =
            |(name, stamp): (&[u8], _)| Entry { name: name.into(), stamp: Some(stamp), digest: None, shared: 0 };
        let entries = children.into_iter().map(entry).collect();
        let directory = Directory { path: path.as_os_str().as_bytes().into(), entries, complete: true };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(directory);
    }

    /// Takes a path that was looked for and was not there.
    pub fn absent(&self, path: &Path) {
        self.take(path, None, None);
    }

    /// Returns all that was taken so far.
    pub fn listing(&self) -> Listing {
        Listing::from_unsorted(self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn take(&self, path: &Path, stamp: Option<Stamp>, digest: Option<Digest>) {
        // Only an empty path, or a working directory that is gone, has no absolute form: neither is an input.
        let Ok(path) = absolute(path) else { return };
        let (directory, name) = split(path.as_os_str().as_bytes());
        // The root has no name; it always exists.
        if name.is_empty() {
            return;
        }
        let entry = Entry { name: name.into(), stamp, digest, shared: 0 };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.last_mut().filter(|last| &*last.path == directory) {
            Some(last) => last.entries.push(entry),
            None => seen.push(Directory { path: directory.into(), entries: vec![entry], complete: false }),
        }
    }
}

fn absolute(path: &Path) -> std::io::Result<Cow<'_, Path>> {
    if path.is_absolute() { Ok(Cow::Borrowed(path)) } else { std::path::absolute(path).map(Cow::Owned) }
}
