//! Which packages of a lock could be newer.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::lock_file;
use super::packages::Packages;
use super::select::{Selection, resolve_all};
use crate::error::Error;
use crate::event::Reporter;
use crate::lock::{Lock, LockError};
use crate::packages::{Network, Upgrade};
use crate::resolve::target_name;
use crate::spec::Project;
use crate::store::Store;

/// What `layerforge lock --upgrade` would change.
#[derive(Debug, Clone, Serialize)]
pub struct OutdatedReport {
    /// The lock.
    pub path: PathBuf,
    /// The packages that would be others, by target and name.
    pub packages: Vec<OutdatedPackage>,
}

/// A package that would be another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutdatedPackage {
    /// The target.
    pub target: String,
    /// Its name.
    pub name: String,
    /// The version in the lock; nothing for one that would be added.
    pub locked: Option<String>,
    /// The version that there is; nothing for one that would go.
    pub available: Option<String>,
}

/// Chooses packages as `layerforge lock --upgrade` does, and tells what would be different. The lock stays what it is.
///
/// # Errors
/// When the profile is invalid, there is no lock, or packages cannot be chosen.
pub fn outdated(
    project: &Arc<Project>,
    store: &Store,
    network: &Network,
    selection: &Selection,
    reporter: &dyn Reporter,
) -> Result<OutdatedReport, Error> {
    let library = selection.library(project)?;
    let path = lock_file::path(&library);
    let lock = Lock::read(&path)?.ok_or_else(|| LockError::Missing { path: path.clone() })?;
    let recipes = resolve_all(&library, &selection.requests(&library)?)?;
    let packages = Packages {
        store,
        network: Some(network),
        reporter,
        lock: Some(&lock),
        path: &path,
        locked: false,
        upgrade: &Upgrade::All,
    };
    let mut found = Vec::new();
    for recipe in &recipes {
        if recipe.extension().is_some() {
            return Err(Error::usage(format!(
                "the profile `{}` has a sysext that carries packages, of which it cannot be told yet what is outdated: \
                 `layerforge lock --upgrade` tells what it changes",
                library.name
            )));
        }
        let Some(bundled) = recipe.bundled() else { continue };
        let Some(locked) = lock.earlier_bundle(&recipe.distro) else { return Err(packages.stale(recipe)) };
        let chosen = packages.choose(recipe, &bundled, &Upgrade::All)?;
        let target = target_name(&recipe.distro);
        let names = locked.packages.iter().chain(&chosen.packages).map(|package| package.name.as_str());
        for name in names.collect::<std::collections::BTreeSet<_>>() {
            let version = |bundle: &crate::lock::Bundle| Some(bundle.package(name)?.version.clone());
            let (locked, available) = (version(locked), version(&chosen));
            if locked != available {
                found.push(OutdatedPackage { target: target.clone(), name: name.to_owned(), locked, available });
            }
        }
    }
    Ok(OutdatedReport { path, packages: found })
}
