//! What was changed by hand in a destination.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{NAMED, artifact_of};
use crate::digest::Digest;
use crate::fs::{self, Folder, Stamp};
use crate::store::{Entry, Listing, Written};

/// One path that was changed by hand.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edit {
    /// The path, relative to the destination.
    pub path: PathBuf,
    /// What was done to it.
    pub kind: EditKind,
}

/// What was done to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EditKind {
    /// Content, kind, mode or modification time are different.
    Changed,
    /// It is there and was not written.
    Added,
    /// It was written and is not there.
    Removed,
}

impl fmt::Display for EditKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Changed => "changed",
            Self::Added => "added",
            Self::Removed => "removed",
        })
    }
}

/// Shows the first edits on a line each, and how many more there are.
pub(super) struct Lines<'edits>(pub(super) &'edits [Edit]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Edit { path, kind } in self.0.iter().take(NAMED) {
            write!(formatter, "\n  {kind:7} `{}`", path.display())?;
        }
        match self.0.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(formatter, "\n  and {more} more"),
        }
    }
}

/// What became of the paths whose stamps are not what they were.
#[derive(Debug, Default)]
pub(super) struct Judgement {
    /// What was changed by hand, sorted.
    pub(super) edits: Vec<Edit>,
    /// Directories that only have another time: something was made in them and is gone again.
    drifted: Vec<PathBuf>,
}

impl Judgement {
    /// Tells whether everything is as it was written.
    pub(super) fn is_untouched(&self) -> bool {
        self.edits.is_empty() && self.drifted.is_empty()
    }

    /// Tells whether the artifact of this name is as it was written.
    pub(super) fn is_artifact_untouched(&self, name: &[u8]) -> bool {
        let paths = self.edits.iter().map(|edit| &edit.path).chain(&self.drifted);
        paths.into_iter().all(|path| artifact_of(path) != name)
    }
}

/// What became of one path.
enum Verdict {
    Same,
    Drifted(PathBuf),
    Edits(Vec<Edit>),
}

/// Looks closely at the paths whose stamps differ, given by kind: a file that was linked, moved or restored from a backup
/// has another stamp and is the same nevertheless.
pub(super) fn judge(folder: &Folder, known: &[Written], differing: Vec<Vec<PathBuf>>) -> fs::Result<Judgement> {
    let mut judgement = Judgement::default();
    for (written, paths) in known.iter().zip(differing) {
        let verdicts = paths.into_par_iter().map(|path| judge_path(folder, &written.listing, path));
        for verdict in verdicts.collect::<fs::Result<Vec<_>>>()? {
            match verdict {
                Verdict::Same => {}
                Verdict::Drifted(path) => judgement.drifted.push(path),
                Verdict::Edits(edits) => judgement.edits.extend(edits),
            }
        }
    }
    judgement.edits.sort();
    judgement.edits.dedup();
    // What is below a path that is told needs no telling.
    let mut told: Option<PathBuf> = None;
    judgement.edits.retain(|edit| {
        let below = told.as_ref().is_some_and(|above| edit.path != *above && edit.path.starts_with(above));
        if !below {
            told = Some(edit.path.clone());
        }
        !below
    });
    Ok(judgement)
}

fn judge_path(folder: &Folder, listing: &Listing, path: PathBuf) -> fs::Result<Verdict> {
    let one = |path, kind| Ok(Verdict::Edits(vec![Edit { path, kind }]));
    let bytes = path.as_os_str().as_bytes();
    let Some((entry, expected)) = listing.get(bytes).and_then(|entry| Some((entry, entry.stamp?))) else {
        return Ok(Verdict::Same);
    };
    let parent = match folder.descend(path.parent().unwrap_or(Path::new("")).as_os_str().as_bytes()) {
        Ok(parent) => parent,
        Err(error) if error.is_unreachable() => return one(path, EditKind::Removed),
        Err(error) => return Err(error),
    };
    let Some(found) = parent.stamp(&entry.name)? else { return one(path, EditKind::Removed) };
    if expected.is_directory() && found.is_directory() {
        let added = added(&parent, listing, &path, entry)?;
        return match () {
            () if found.mode != expected.mode => one(path, EditKind::Changed),
            () if !added.is_empty() => Ok(Verdict::Edits(added)),
            () if found.modified != expected.modified => Ok(Verdict::Drifted(path)),
            () => Ok(Verdict::Same),
        };
    }
    if !found.same_result(&expected) {
        return one(path, EditKind::Changed);
    }
    let digest = match found.kind() {
        Stamp::SYMLINK => Digest::of(parent.read_link(&entry.name)?),
        _ => match Digest::of_stream(parent.open_file(&entry.name)?) {
            Ok((digest, _)) => digest,
            Err(error) => return Err(fs::Error::on("read", path)(error)),
        },
    };
    if entry.digest == Some(digest) { Ok(Verdict::Same) } else { one(path, EditKind::Changed) }
}

/// Returns what is in a directory and is not listed.
fn added(parent: &Folder, listing: &Listing, path: &Path, entry: &Entry) -> fs::Result<Vec<Edit>> {
    let listed = listing.directory(path.as_os_str().as_bytes());
    let mut added = Vec::new();
    for (name, _) in parent.folder(&entry.name)?.children()? {
        if listed.is_none_or(|listed| listed.get(&name).is_none()) {
            let path = path.join(std::ffi::OsStr::from_bytes(&name));
            added.push(Edit { path, kind: EditKind::Added });
        }
    }
    Ok(added)
}
