//! Repositories that are one index with packages beside it, as those of Alpine and Arch are.
//!
//! Comes in: the parts of the sources of a profile, and how their family reads an index. Goes out: the pool of every index,
//! and what the lock says about each. Always holds: an index that its family does not believe is as good as none, and the
//! next mirror is asked.

use std::path::PathBuf;

use url::Url;

use super::choose::{Index, Loaded, USUAL, Wanted};
use super::error::PackageError;
use super::fetch::{asked, latest};
use super::means::{Means, Together};
use super::mirrors::file_of;
use super::model::{Pool, kept};
use super::vendor::Exported;
use crate::digest::{Digest, Hasher};
use crate::fetch::parallel;
use crate::fs;
use crate::lock::LockedSource;
use crate::resolve::PackageSource;

/// How many indexes are fetched at once.
const AT_ONCE: usize = 8;

/// One repository of a source.
pub(super) struct Part<'run> {
    /// The source.
    pub(super) source: &'run PackageSource,
    /// What the lock calls it beside the name of the source: `v3.23/main`, `core`; may be empty.
    pub(super) suite: String,
    /// What the paths of its packages begin with, as seen from a mirror: empty, or with a slash at its end.
    pub(super) folder: String,
    /// The path of its index, as seen from a mirror.
    pub(super) index: String,
    /// Its addresses.
    pub(super) mirrors: Vec<Url>,
}

impl Part<'_> {
    /// Returns what messages call it.
    pub(super) fn label(&self) -> String {
        format!("{} {}", self.source.name, self.suite).trim_end().to_owned()
    }
}

/// Who reads the indexes of a family.
pub(super) trait Reader: Sync {
    /// Stands first in what a pool is kept by: whatever else decides what is read, such as the keys that are trusted.
    fn key(&self, part: &Part<'_>) -> Result<Vec<u8>, PackageError>;

    /// Reads an index that messages call `file`, and believes it or not.
    fn read(&self, part: &Part<'_>, file: &str, bytes: &[u8]) -> Result<Pool, PackageError>;
}

/// Reads the index of every part, the first preferred.
pub(super) fn load(
    parts: &[Part<'_>],
    reader: &impl Reader,
    wanted: &Wanted<'_>,
    means: &Means<'_>,
) -> Result<Loaded, PackageError> {
    let work = format!("read the package indexes for {}", crate::resolve::target_name(wanted.distro));
    let together = Together::new(means.reporter, work, 0);
    let means = Means { reporter: &together, ..*means };
    let read = parallel(parts, AT_ONCE, |part| open(part, reader, &means))?;
    together.finish();
    let (indexes, sources) = read.into_iter().unzip();
    Ok(Loaded { indexes, sources })
}

/// Reads the index of a part from the first mirror that has a good one.
fn open(part: &Part<'_>, reader: &impl Reader, means: &Means<'_>) -> Result<(Index, LockedSource), PackageError> {
    let source = part.source;
    let key = reader.key(part)?;
    let mut failures = Vec::new();
    for (mirror, others) in asked(&part.mirrors, means) {
        let taken = latest(&file_of(mirror, &part.index), others, means).and_then(|(digest, bytes)| {
            let mut hasher = Hasher::new();
            hasher.field(&key);
            hasher.field(digest.as_bytes());
            let file = format!("{} {}", source.name, part.index);
            let at = means.store.pool(&hasher.finish().0)?;
            Ok((kept(&at, || reader.read(part, &file, &bytes))?, digest))
        });
        match taken {
            Ok((pool, digest)) => {
                let trusted = source.keys == crate::resolve::Keys::None;
                let locked = LockedSource {
                    name: source.name.clone(),
                    suite: part.suite.clone(),
                    date: None,
                    digest,
                    trusted,
                    tag: source.tag.clone(),
                };
                let priority = source.priority.unwrap_or(USUAL);
                let (tag, source, folder) = (source.tag.clone(), source.name.clone(), part.folder.clone());
                return Ok((Index { pool, source, folder, priority, tag }, locked));
            }
            Err(error @ PackageError::File(_)) => return Err(error),
            Err(error) => failures.push(error),
        }
    }
    Err(PackageError::of_source(&part.label(), failures))
}

/// Returns the indexes that the packages of a lock were chosen from, and a sentence about each that cannot be had any more.
pub(super) fn export(
    parts: &[Part<'_>],
    wanted: &Wanted<'_>,
    means: &Means<'_>,
) -> Result<(Vec<Exported>, Vec<String>), PackageError> {
    let locked = wanted.earlier.map(|bundle| bundle.sources.as_slice()).unwrap_or_default();
    let (mut files, mut missing) = (Vec::new(), Vec::new());
    for part in parts {
        let locked = locked.iter().find(|source| source.name == part.source.name && source.suite == part.suite);
        match locked.map(|locked| find(part, &locked.digest, means)).transpose()?.flatten() {
            Some(file) => files.push(Exported { source: part.source.name.clone(), path: part.index.clone(), file }),
            None => missing.push(format!("the index of {} that the lock names cannot be had any more", part.label())),
        }
    }
    Ok((files, missing))
}

/// Returns the index of a digest, as the store or a mirror has it; nothing when there is another one now.
fn find(part: &Part<'_>, locked: &Digest, means: &Means<'_>) -> Result<Option<(PathBuf, Digest)>, fs::Error> {
    let there = |locked: &Digest| Ok(means.store.downloaded(locked)?.map(|path| (path, *locked)));
    if let Some(known) = there(locked)? {
        return Ok(Some(known));
    }
    for (mirror, others) in asked(&part.mirrors, means) {
        if latest(&file_of(mirror, &part.index), others, means).is_ok_and(|(digest, _)| digest == *locked) {
            return there(locked);
        }
    }
    Ok(None)
}
