//! What the last render into one destination saw and wrote.

use std::collections::{HashMap, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::listing::split;
use super::{Entry, Listing};
use crate::digest::Digest;
use crate::fs::Stamp;

/// What a render saw and wrote: the next one compares it with what is there now.
///
/// It saves work and witnesses edits by hand; without it everything still works, by reading all content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The digest of what decides the result and is no file: arguments, variables, the program's version. Nothing when
    /// only the outputs are known.
    pub key: Option<Digest>,
    /// Every file that was read, directory that was listed and path that was missing; absolute.
    pub inputs: Listing,
    /// What was written, by output kind.
    pub outputs: Vec<Written>,
}

/// What was written for one output kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The name of the output kind: `rootfs`.
    pub kind: String,
    /// Every path, relative to the destination. The entries of the destination itself are the artifacts.
    pub listing: Listing,
}

/// What an earlier render saw, as far as it is still so: what is asked of it needs not be looked at again.
#[derive(Debug)]
pub struct Earlier {
    inputs: Listing,
    /// The names that are different now, by the directory they are in.
    differing: HashMap<Vec<u8>, HashSet<Vec<u8>>>,
}

impl Earlier {
    /// Takes the inputs of a record with those of its paths that [`Listing::differences`] returns.
    pub fn new(inputs: Listing, differing: impl IntoIterator<Item = PathBuf>) -> Self {
        let mut names: HashMap<Vec<u8>, HashSet<Vec<u8>>> = HashMap::new();
        for path in differing {
            let (directory, name) = split(path.as_os_str().as_bytes());
            names.entry(directory.to_vec()).or_default().insert(name.to_vec());
        }
        Self { inputs, differing: names }
    }

    /// Returns what stands at `path`, an absolute one, and the digest of its content where it was read. A path that was
    /// not there and still is not has no stamp.
    pub fn get(&self, path: &Path) -> Option<&Entry> {
        let entry = self.inputs.get(path.as_os_str().as_bytes())?;
        let (directory, name) = split(path.as_os_str().as_bytes());
        let differs = self.differing.get(directory).is_some_and(|names| names.contains(name));
        (!differs).then_some(entry)
    }

    /// Returns the children of a directory that was listed, sorted by name, each with whether it is still the same.
    pub fn children(&self, directory: &Path) -> Option<impl Iterator<Item = (&Entry, bool)>> {
        self.get(directory)?.stamp.filter(Stamp::is_directory)?;
        let listed = self.inputs.directory(directory.as_os_str().as_bytes()).filter(|listed| listed.complete)?;
        let differing = self.differing.get(directory.as_os_str().as_bytes());
        let there = listed.entries.iter().filter(|entry| entry.stamp.is_some());
        Some(there.map(move |entry| (entry, differing.is_none_or(|names| !names.contains(&*entry.name)))))
    }
}
