//! Which packages of a lock could be newer.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::base::Bases;
use super::lock::Outside;
use super::lock_file;
use super::packages::Packages;
use super::select::{Selection, resolve_all};
use crate::error::Error;
use crate::event::Reporter;
use crate::lock::{Lock, LockError, LockedPackage, target_of};
use crate::packages::Upgrade;
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

/// Chooses packages as `layerforge lock --upgrade` does, and tells what would be different. The lock stays what it is; so does
/// the image that is the host of an extension.
///
/// # Errors
/// When the profile is invalid, there is no lock, or packages cannot be chosen.
pub fn outdated(
    project: &Arc<Project>,
    store: &Store,
    outside: Outside<'_>,
    selection: &Selection,
    reporter: &dyn Reporter,
) -> Result<OutdatedReport, Error> {
    let library = selection.library(project)?;
    let path = lock_file::path(&library);
    let lock = Lock::read(&path)?.ok_or_else(|| LockError::Missing { path: path.clone() })?;
    let recipes = resolve_all(&library, &selection.requests(&library)?)?;
    let packages = Packages {
        store,
        network: Some(outside.network),
        reporter,
        lock: Some(&lock),
        path: &path,
        locked: false,
        upgrade: &Upgrade::All,
    };
    let client = Some(outside.client);
    let bases = Bases { store, client, reporter, lock: Some(&lock), path: &path, locked: false, upgrade: false };
    let extensions = packages.extensions(&library, &recipes, &bases)?;
    let mut found = Vec::new();
    for recipe in &recipes {
        let target = target_name(&recipe.distro);
        if let Some(extended) = extensions.get(&(target_of(&recipe.distro), recipe.distro.architecture)) {
            let locked = lock.earlier_extension(&recipe.distro).ok_or_else(|| packages.stale(recipe))?;
            let chosen = &extended.bundle;
            compare(&target, (&locked.packages, &chosen.packages), &mut found);
            compare(&target, (&locked.below, &chosen.below), &mut found);
        }
        let Some(bundled) = recipe.bundled() else { continue };
        let Some(locked) = lock.earlier_bundle(&recipe.distro) else { return Err(packages.stale(recipe)) };
        let chosen = packages.choose(recipe, &bundled, &Upgrade::All)?;
        compare(&target, (&locked.packages, &chosen.packages), &mut found);
    }
    Ok(OutdatedReport { path, packages: found })
}

/// Adds what is different between the packages of a lock and those that would be chosen now.
fn compare(target: &str, (locked, chosen): (&[LockedPackage], &[LockedPackage]), found: &mut Vec<OutdatedPackage>) {
    let names = locked.iter().chain(chosen).map(|package| package.name.as_str());
    for name in names.collect::<BTreeSet<_>>() {
        let version = |list: &[LockedPackage]| {
            list.iter().find(|package| package.name == name).map(|package| package.version.clone())
        };
        let (locked, available) = (version(locked), version(chosen));
        let outdated = OutdatedPackage { target: target.to_owned(), name: name.to_owned(), locked, available };
        // An output and an extension may have the same package.
        if outdated.locked != outdated.available && !found.contains(&outdated) {
            found.push(outdated);
        }
    }
}
