//! A folder of all that a lock needs of repositories, from which everything works without a network.
//!
//! Comes in: packages of a lock as files, and where they come from. Goes out: below the folder, for each source a part of its
//! repository: `SOURCE/dists/…` and `SOURCE/pool/…`. Always holds: what stands there is what the source serves, signatures
//! included, so that whoever reads it checks the same.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::choose::Wanted;
use super::error::PackageError;
use super::means::Means;
use super::{apk, apt, pacman};
use crate::digest::Digest;
use crate::event::Event;
use crate::fs;
use crate::lock::LockedPackage;
use crate::resolve::SourceContent;
use crate::spec::Family;

/// A file of a repository.
pub(super) struct Exported {
    /// The source.
    pub(super) source: String,
    /// Its path, as seen from the mirror.
    pub(super) path: String,
    /// Where its bytes are, and their digest.
    pub(super) file: (PathBuf, Digest),
}

/// Writes packages, and the indexes that they were chosen from, below `folder`. What stands there already is not written
/// again, and nothing is removed. Returns how many files and bytes were written.
///
/// # Errors
/// When something cannot be fetched or written.
pub fn vendor(
    folder: &Path,
    packages: &[(LockedPackage, PathBuf)],
    wanted: &Wanted<'_>,
    means: &Means<'_>,
) -> Result<(usize, u64), PackageError> {
    let directories: Vec<&str> = wanted
        .bundled
        .sources
        .iter()
        .filter(|source| matches!(source.content, SourceContent::Directory { .. }))
        .map(|source| source.name.as_str())
        .collect();
    // A folder of packages is part of the project already.
    let packages = packages.iter().filter(|(package, _)| !directories.contains(&package.source.as_str()));
    let mut files: Vec<Exported> = packages
        .map(|(package, file)| Exported {
            source: package.source.clone(),
            path: package.path.clone(),
            file: (file.clone(), package.sha256),
        })
        .collect();
    let (indexes, missing) = match wanted.distro.family {
        Family::Apt => apt::repository::export(wanted, means)?,
        Family::Apk => apk::repository::export(wanted, means)?,
        Family::Pacman => pacman::repository::export(wanted, means)?,
    };
    files.extend(indexes);
    for message in missing {
        let hint = "packages can be rendered from the folder, but not chosen anew; `layerforge lock --upgrade` takes the \
                    present indexes";
        means.reporter.report(Event::Warning { message, hint: Some(hint.into()) });
    }
    let (mut count, mut bytes) = (0, 0);
    for file in files {
        let written = copy(folder, &file)?;
        count += usize::from(written.is_some());
        bytes += written.unwrap_or(0);
    }
    Ok((count, bytes))
}

/// Copies a file unless it is there; returns its length when it was not.
fn copy(folder: &Path, exported: &Exported) -> Result<Option<u64>, PackageError> {
    let (from, digest) = &exported.file;
    let mut to = folder.join(&exported.source);
    // Index and lock are checked where they are read: this only makes sure.
    to.extend(exported.path.split('/').filter(|name| !matches!(*name, "" | "." | "..")));
    if let Ok(file) = fs::open(&to)
        && Digest::of_stream(std::io::BufReader::new(file)).is_ok_and(|(there, _)| there == *digest)
    {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    fs::open(from)?.read_to_end(&mut bytes).map_err(fs::Error::on("read", &**from))?;
    if let Some(parent) = to.parent() {
        fs::create_directory(parent)?;
    }
    fs::write_atomic(&to, &bytes)?;
    Ok(Some(bytes.len() as u64))
}
