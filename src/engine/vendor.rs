//! Everything that a lock needs of repositories, in one folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::lock::other_architectures;
use super::lock_file;
use super::packages::Packages;
use super::select::{Selection, resolve_all};
use crate::error::Error;
use crate::event::Reporter;
use crate::lock::{Lock, LockError};
use crate::packages::{self, Network, Upgrade, Wanted};
use crate::spec::Project;
use crate::store::Store;

/// What was written into a folder.
#[derive(Debug, Clone, Serialize)]
pub struct VendorReport {
    /// The folder.
    pub folder: PathBuf,
    /// How many files it did not have before.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// Writes the packages of the lock, and the indexes that they were chosen from, into a folder that
/// [`crate::packages::Mirrors`] takes in place of every mirror.
///
/// # Errors
/// When the profile is invalid, the lock is not what it asks for, or something cannot be fetched or written.
pub fn vendor(
    project: &Arc<Project>,
    store: &Store,
    network: &Network,
    (selection, folder): (&Selection, &Path),
    reporter: &dyn Reporter,
) -> Result<VendorReport, Error> {
    let library = selection.library(project)?;
    let path = lock_file::path(&library);
    let lock = Lock::read(&path)?.ok_or_else(|| LockError::Missing { path: path.clone() })?;
    let requests = selection.requests(&library)?;
    let recipes = resolve_all(&library, &requests)?;
    let others = other_architectures(&library, &requests, &recipes)?;
    if recipes.iter().any(|recipe| recipe.extension().is_some()) {
        return Err(Error::usage(format!(
            "the profile `{}` has a sysext that carries packages, which cannot be vendored yet",
            library.name
        )));
    }
    let recipes: Vec<_> = recipes.iter().chain(&others).filter(|recipe| recipe.outputs.bundled.any()).collect();
    if recipes.is_empty() {
        return Err(Error::usage(format!("no output of the profile `{}` carries packages", library.name)));
    }
    let upgrade = Upgrade::Nothing;
    let packages = Packages {
        store,
        network: Some(network),
        reporter,
        lock: Some(&lock),
        path: &path,
        locked: true,
        upgrade: &upgrade,
    };
    let bundles = packages.look_up(&recipes)?;
    let mut report = VendorReport { folder: folder.to_owned(), files: 0, bytes: 0 };
    for recipe in recipes {
        let Some(bundled) = recipe.bundled() else { continue };
        let files = packages.locked(recipe, &bundles)?;
        let earlier = lock.earlier_bundle(&recipe.distro);
        let wanted = Wanted { distro: &recipe.distro, bundled: &bundled, earlier, upgrade: &upgrade };
        let (count, bytes) = packages::vendor(folder, &files, &wanted, &packages.means()?)?;
        report.files += count;
        report.bytes += bytes;
    }
    Ok(report)
}
