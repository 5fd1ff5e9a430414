//! What a render would write, and what would change.

use std::path::PathBuf;
use std::sync::Arc;

use rayon::prelude::*;
use serde::Serialize;

use super::diff::{PathChange, path_changes};
use super::lock_file;
use super::render::{RenderRequest, kinds, targets};
use super::witness::{malformed, manifest_in};
use crate::build;
use crate::digest::Digest;
use crate::error::Error;
use crate::lock::{Difference, Lock};
use crate::plan::Plan;
use crate::resolve::{Library, ProfileSource, Recipe};
use crate::spec::Project;
use crate::store::Store;
use crate::tree::{Kind, Tree};

/// What a render of one target would do.
#[derive(Debug, Clone, Serialize)]
pub struct TargetPlan {
    /// The actions.
    #[serde(flatten)]
    pub plan: Plan,
    /// The destination folder.
    pub destination: PathBuf,
    /// The number of paths in the tree.
    pub paths: usize,
    /// The bytes of its files.
    pub bytes: u64,
    /// Its digest.
    pub tree: Digest,
    /// Paths that the base image loses.
    pub removed: Vec<String>,
    /// What the profile asks for and the lock does not.
    pub lock: Vec<Difference>,
    /// Whether nothing has been rendered there yet.
    pub fresh: bool,
    /// What would change in the tree against the last render; every path when there is none.
    pub changes: Vec<PathChange>,
}

/// Plans every target of `request`. Nothing is written.
///
/// # Errors
/// When the profile is invalid or a file cannot be read.
pub fn plan(project: &Arc<Project>, store: &Store, request: &RenderRequest) -> Result<Vec<TargetPlan>, Error> {
    let head = ProfileSource::load(Arc::clone(project), request.selection.profile())?;
    let targets = targets(project, &head, request)?;
    let library = Library::of(head)?;
    let requests: Vec<_> = targets.iter().map(|target| target.request.clone()).collect();
    let recipes = super::select::resolve_all(&library, &requests)?;
    let wanted = Lock::of(&library.name, recipes.iter().map(Recipe::requirements));
    let lock = Lock::read(&lock_file::path(&library))?;
    let differences = lock.map(|lock| lock.differences(&wanted)).unwrap_or_default();
    let plans = targets.par_iter().zip(&recipes).map(|(target, recipe)| {
        let mut plan = target_plan(store, request, recipe, &target.path)?;
        plan.lock = differences.iter().filter(|difference| difference.target == target.name).cloned().collect();
        Ok(plan)
    });
    plans.collect()
}

fn target_plan(
    store: &Store,
    request: &RenderRequest,
    recipe: &Recipe,
    destination: &std::path::Path,
) -> Result<TargetPlan, Error> {
    let plan = Plan::of(recipe, &kinds(request, recipe), request.image)?;
    let stacked = build::stack(recipe, &store.archives())?;
    let bytes = stacked.tree.iter().map(|(_, node)| match &node.kind {
        Kind::Regular(content) => content.length,
        _ => 0,
    });
    let (fresh, old) = match manifest_in(destination)? {
        Some((path, manifest)) => (false, manifest.to_tree().map_err(malformed(&path))?),
        None => (true, Tree::new()),
    };
    Ok(TargetPlan {
        plan,
        destination: destination.to_owned(),
        paths: stacked.tree.len(),
        bytes: bytes.sum(),
        tree: stacked.tree.digest(),
        removed: stacked.removed.iter().map(ToString::to_string).collect(),
        lock: Vec::new(),
        fresh,
        changes: path_changes(&old, &stacked.tree, true, true),
    })
}
