//! Paths with their stamps: what was read, or what was written.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use crate::digest::Digest;
use crate::fs::{self, Folder, Stamp, Timestamp};

/// Paths grouped by the directory they stand in, with what was found there.
///
/// A listing is sorted: directories by the bytes of their path, entries by the bytes of their name, each at most once.
/// Its paths are either all absolute or all relative to a directory that every method takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    directories: Vec<Directory>,
}

/// The listed entries of one directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// The path of the directory; empty for the one that all paths are relative to.
    pub path: Box<[u8]>,
    /// What is known of its children.
    pub entries: Vec<Entry>,
    /// Whether these are all of its children: it was listed.
    pub complete: bool,
}

/// What was found at one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The last name of the path; copies of an entry share it.
    pub name: Arc<[u8]>,
    /// What the file system said of it, or nothing when the path was looked for and was not there.
    pub stamp: Option<Stamp>,
    /// The digest of a file's bytes or of a symbolic link's target, where it is known.
    pub digest: Option<Digest>,
    /// A number that all names of one file have, among hard links; zero for a file of one name.
    pub shared: u32,
}

impl Entry {
    /// Returns the digest of the file when it still has the `stamp` that it had when it was read.
    pub fn digest_at(&self, stamp: &Stamp) -> Option<Digest> {
        (self.stamp.as_ref() == Some(stamp)).then_some(self.digest).flatten()
    }

    /// Tells whether both have the same kind, mode, time and content, whatever file holds them.
    pub fn same_result(&self, other: &Self) -> bool {
        let same_stamp = match (&self.stamp, &other.stamp) {
            (Some(one), Some(two)) => one.same_result(two),
            (None, None) => true,
            _ => false,
        };
        same_stamp && self.digest == other.digest && self.shared == other.shared
    }
}

impl Listing {
    /// Returns a listing of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the listing of directories and entries that are sorted as a listing has to be.
    pub(super) fn from_sorted(directories: Vec<Directory>) -> Self {
        Self { directories }
    }

    /// Returns the listing of the given directories, which may come in any order and more than once. Of two entries for
    /// one path that differ, neither is trusted: the path changed in between.
    pub fn from_unsorted(mut directories: Vec<Directory>) -> Self {
        directories.sort_by(|one, two| one.path.cmp(&two.path));
        let mut merged: Vec<Directory> = Vec::with_capacity(directories.len());
        for directory in directories {
            match merged.last_mut().filter(|last| last.path == directory.path) {
                Some(last) => {
                    last.complete |= directory.complete;
                    last.entries.extend(directory.entries);
                }
                None => merged.push(directory),
            }
        }
        for directory in &mut merged {
            directory.entries.sort_by(|one, two| one.name.cmp(&two.name));
            directory.entries.dedup_by(|later, kept| {
                if later.name != kept.name {
                    return false;
                }
                if later.stamp != kept.stamp {
                    kept.stamp = kept.stamp.or(later.stamp).map(Stamp::untrusted);
                }
                kept.digest = kept.digest.or(later.digest);
                true
            });
        }
        Self { directories: merged }
    }

    /// Returns the directories, sorted.
    pub fn directories(&self) -> &[Directory] {
        &self.directories
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.directories.iter().map(|directory| directory.entries.len()).sum()
    }

    /// Tells whether nothing is listed.
    pub fn is_empty(&self) -> bool {
        self.directories.iter().all(|directory| directory.entries.is_empty())
    }

    /// Returns the entries listed for the directory at `path`.
    pub fn directory(&self, path: &[u8]) -> Option<&Directory> {
        let found = self.directories.binary_search_by(|directory| (*directory.path).cmp(path));
        found.ok().map(|index| &self.directories[index])
    }

    /// Returns the entry at `path`.
    pub fn get(&self, path: &[u8]) -> Option<&Entry> {
        let (directory, name) = split(path);
        self.directory(directory)?.get(name)
    }

    /// Returns every path with its entry, sorted by directory.
    pub fn iter(&self) -> impl Iterator<Item = (PathBuf, &Entry)> {
        self.directories.iter().flat_map(|directory| {
            directory.entries.iter().map(move |entry| (join(&directory.path, &entry.name), entry))
        })
    }

    /// Forgets what is at the paths that `doubtful` chooses; they stay listed, as something that nothing else equals.
    pub fn forget(&mut self, doubtful: impl Fn(&Path) -> bool) {
        for directory in &mut self.directories {
            let path = &directory.path;
            for entry in directory.entries.iter_mut().filter(|entry| doubtful(&join(path, &entry.name))) {
                (entry.stamp, entry.digest) = (None, None);
            }
        }
    }

    /// Returns the paths that are no longer what they were, as far as their stamps tell: a path that is returned may
    /// still hold the same content, one that is not returned certainly does.
    ///
    /// # Errors
    /// When a path cannot be looked at for another reason than being missing.
    pub fn differences(&self, base: &Folder) -> fs::Result<Vec<PathBuf>> {
        let differing: fs::Result<Vec<Vec<PathBuf>>> = self
            .directories
            .par_iter()
            .map(|directory| {
                let mut differing = Vec::new();
                directory.look(base, |entry, stamp| {
                    if entry.stamp != stamp {
                        differing.push(join(&directory.path, &entry.name));
                    }
                })?;
                Ok(differing)
            })
            .collect();
        Ok(differing?.into_iter().flatten().collect())
    }

    /// Takes over the stamps that the file system has now, where they show the result that the listing says.
    ///
    /// Where they do not, somebody changed the path meanwhile; its stamp is left as one that equals none.
    ///
    /// # Errors
    /// When a path cannot be looked at for another reason than being missing.
    pub fn stamp(&mut self, base: &Folder) -> fs::Result<()> {
        self.directories.par_iter_mut().try_for_each(|directory| {
            let mut found = Vec::with_capacity(directory.entries.len());
            directory.look(base, |_, stamp| found.push(stamp))?;
            for (entry, found) in directory.entries.iter_mut().zip(found) {
                entry.stamp = match (entry.stamp, found) {
                    (Some(expected), Some(found)) if expected.same_result(&found) => Some(found),
                    (expected, _) => expected.map(Stamp::untrusted),
                };
            }
            Ok(())
        })
    }

    /// Makes the stamps that changed at `moment` or later equal none: the clock of a file system ticks slowly, and a
    /// second change within one tick would not be seen.
    pub fn distrust_since(&mut self, moment: Timestamp) {
        for entry in self.directories.iter_mut().flat_map(|directory| &mut directory.entries) {
            if entry.stamp.is_some_and(|stamp| stamp.changed >= moment) {
                entry.stamp = entry.stamp.map(Stamp::untrusted);
            }
        }
    }
}

impl Directory {
    /// Returns the entry of the given name.
    pub fn get(&self, name: &[u8]) -> Option<&Entry> {
        let found = self.entries.binary_search_by(|entry| (*entry.name).cmp(name));
        found.ok().map(|index| &self.entries[index])
    }

    /// Calls `seen` with the present stamp of every entry. A directory that is gone, or is none any more, has no
    /// children.
    fn look(&self, base: &Folder, mut seen: impl FnMut(&Entry, Option<Stamp>)) -> fs::Result<()> {
        let absolute = self.path.first() == Some(&b'/');
        let opened =
            if absolute { Folder::open(Path::new(OsStr::from_bytes(&self.path))) } else { base.descend(&self.path) };
        let folder = match opened {
            Ok(folder) => folder,
            Err(error) if error.is_unreachable() => {
                self.entries.iter().for_each(|entry| seen(entry, None));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        for entry in &self.entries {
            seen(entry, folder.stamp(&entry.name)?);
        }
        Ok(())
    }
}

/// Splits a path into the directory and the last name.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(0) => (b"/", &path[1..]),
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

fn join(directory: &[u8], name: &[u8]) -> PathBuf {
    Path::new(OsStr::from_bytes(directory)).join(OsStr::from_bytes(name))
}
