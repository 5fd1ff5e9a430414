//! Why a package is in the lock.

use std::sync::Arc;

use serde::Serialize;

use super::lock_file;
use super::packages::Packages;
use super::select::{Selection, resolve_all};
use crate::error::Error;
use crate::event::Silent;
use crate::lock::{Bundle, Lock, LockError, LockedPackage};
use crate::packages::Upgrade;
use crate::resolve::{Recipe, target_name};
use crate::spec::Project;
use crate::store::Store;

/// Why a target has a package.
#[derive(Debug, Clone, Serialize)]
pub struct WhyPackage {
    /// The target.
    pub target: String,
    /// From the package to the one that somebody asked for; empty when the target does not have it.
    pub chain: Vec<PackageLink>,
}

/// A package and why it is there.
#[derive(Debug, Clone, Serialize)]
pub struct PackageLink {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The source it comes from.
    pub source: String,
    /// The tag of the source, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Why it is there: `requested`, `variant`, `nginx depends on libssl3`.
    pub why: String,
    /// Where the profile or a layer asks for it, when one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<String>,
}

/// Explains from the lock why outputs carry the package `name`.
///
/// # Errors
/// When the profile is invalid, or there is no lock of what it asks for.
pub fn why_package(
    project: &Arc<Project>,
    store: &Store,
    selection: &Selection,
    name: &str,
) -> Result<Vec<WhyPackage>, Error> {
    let library = selection.library(project)?;
    let path = lock_file::path(&library);
    let lock = Lock::read(&path)?.ok_or_else(|| LockError::Missing { path: path.clone() })?;
    let recipes = resolve_all(&library, &selection.requests(&library)?)?;
    let upgrade = Upgrade::Nothing;
    let packages = Packages {
        store,
        network: None,
        reporter: &Silent,
        lock: Some(&lock),
        path: &path,
        locked: true,
        upgrade: &upgrade,
    };
    let mut answers = Vec::new();
    let carries = |recipe: &&Recipe| recipe.outputs.bundled.any() || recipe.extension().is_some();
    for recipe in recipes.iter().filter(carries) {
        let required = recipe.requirements();
        // What an extension adds is explained where no output has everything.
        let bundle = if recipe.outputs.bundled.any() { lock.bundle(&required) } else { lock.extension(&required) };
        let Some(bundle) = bundle else { return Err(packages.stale(recipe)) };
        let chain = links(recipe, bundle, name);
        answers.push(WhyPackage { target: target_name(&recipe.distro), chain });
    }
    if answers.is_empty() {
        return Err(Error::usage(format!("no output of the profile `{}` carries packages", library.name)));
    }
    Ok(answers)
}

/// Returns the chain from a package to the one that somebody asked for.
pub(super) fn links(recipe: &Recipe, bundle: &Bundle, name: &str) -> Vec<PackageLink> {
    let link = |package: &LockedPackage| PackageLink {
        name: package.name.clone(),
        version: package.version.clone(),
        source: package.source.clone(),
        tag: bundle.tag(package).map(str::to_owned),
        why: package.why.clone(),
        asked_at: asked_at(recipe, &package.name),
    };
    bundle.why(name).into_iter().map(link).collect()
}

fn asked_at(recipe: &Recipe, name: &str) -> Option<String> {
    let asked = recipe.packages.values().find(|package| package.names.iter().any(|own| own == name));
    asked.map(|package| package.place.to_string())
}
