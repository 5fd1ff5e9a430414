//! Writes or checks the lock of a profile, without rendering.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::base::{Bases, Given};
use super::containers::variants;
use super::lock_file::{self, Keep, Wanted};
use super::packages::Packages;
use super::select::{Selection, resolve_all};
use crate::error::Error;
use crate::event::Reporter;
use crate::lock::{Bundle, Difference, Lock, LockedPackage, target_of};
use crate::packages::{Network, Upgrade};
use crate::registry::Client;
use crate::resolve::{Library, Recipe, Request};
use crate::spec::Project;
use crate::store::Store;

/// What to lock, and how.
#[derive(Debug, Clone, Default)]
pub struct LockRequest {
    /// The profile, its distros, values of variables.
    pub selection: Selection,
    /// What of the lock is looked up again.
    pub upgrade: Upgrade,
    /// Whether the lock must not change.
    pub check: bool,
}

/// A lock that was written or found to be right.
#[derive(Debug, Clone, Serialize)]
pub struct LockReport {
    /// Where it is.
    pub path: PathBuf,
    /// What is different now.
    pub differences: Vec<Difference>,
}

/// How what is outside is reached.
#[derive(Debug, Clone, Copy)]
pub struct Outside<'run> {
    /// Registries.
    pub client: &'run Client,
    /// Repositories of packages.
    pub network: &'run Network,
}

/// Looks up what the profile stands on, chooses the packages that its outputs carry, and keeps the lock.
///
/// # Errors
/// When the profile is invalid, something is not there, or the lock is stale and must not change.
pub fn lock(
    project: &Arc<Project>,
    store: &Store,
    outside: Outside<'_>,
    request: &LockRequest,
    reporter: &dyn Reporter,
) -> Result<LockReport, Error> {
    let library = request.selection.library(project)?;
    let path = lock_file::path(&library);
    let requests = request.selection.requests(&library)?;
    let recipes = resolve_all(&library, &requests)?;
    let others = other_architectures(&library, &requests, &recipes)?;
    let mut requirements = request.selection.declared_requirements(&library)?;
    requirements.extend(recipes.iter().map(Recipe::requirements));
    let how = if request.check { Keep::Unchanged } else { Keep::Mended };
    let lock = if request.check { Lock::read(&path)? } else { Lock::read_edited(&path)? };
    let (lock, client, network) = (lock.as_ref(), Some(outside.client), Some(outside.network));
    let (locked, upgrade) = (request.check, request.upgrade == Upgrade::All);
    let bases = Bases { store, client, reporter, lock, path: &path, locked, upgrade };
    let mut given = Given::new();
    for recipe in &recipes {
        given.extend(bases.look_up(recipe)?.map(|ground| (target_of(&recipe.distro), ground.digest)));
    }
    let packages = Packages { store, network, reporter, lock, path: &path, locked, upgrade: &request.upgrade };
    let bundles = packages.look_up(&recipes.iter().chain(&others).collect::<Vec<_>>())?;
    let extensions = packages.extensions(&library, &recipes, &bases)?;
    let chosen = bundles.values().chain(extensions.values().map(|extended| &extended.bundle));
    refuse_unknown(&request.upgrade, chosen.flat_map(named), lock)?;
    let differences = lock_file::keep(&library, Wanted { requirements, given, bundles, extensions }, how)?;
    Ok(LockReport { path, differences })
}

/// Resolves what container images carry on the other architectures that they are for.
pub(super) fn other_architectures(
    library: &Library,
    requests: &[Request],
    recipes: &[Recipe],
) -> Result<Vec<Recipe>, Error> {
    let bundled = requests.iter().zip(recipes).filter(|(_, recipe)| recipe.outputs.bundled.oci);
    let others = bundled.filter_map(|(request, recipe)| {
        let output = recipe.outputs.oci.as_ref()?;
        Some(variants(request, recipe.distro.architecture, &output.architectures))
    });
    resolve_all(library, &others.flatten().collect::<Vec<_>>())
}

/// Returns the packages that a lock names for one output.
fn named(bundle: &Bundle) -> impl Iterator<Item = &LockedPackage> {
    bundle.packages.iter().chain(&bundle.below)
}

/// Refuses names of packages to upgrade that no output carries or carried: a slip of the pen would upgrade nothing.
fn refuse_unknown<'lock>(
    upgrade: &Upgrade,
    chosen: impl Iterator<Item = &'lock LockedPackage>,
    lock: Option<&'lock Lock>,
) -> Result<(), Error> {
    let Upgrade::Packages(names) = upgrade else { return Ok(()) };
    let targets = lock.into_iter().flat_map(|lock| lock.target.values());
    let bundles = targets.flat_map(|target| target.bundle.values().chain(target.extension.values()));
    let known: std::collections::BTreeSet<&str> =
        chosen.chain(bundles.flat_map(named)).map(|package| package.name.as_str()).collect();
    match names.iter().find(|name| !known.contains(name.as_str())) {
        Some(name) => Err(Error::usage(format!("`--upgrade={name}`: no output carries a package of this name"))),
        None => Ok(()),
    }
}
