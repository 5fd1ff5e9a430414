//! What a render would write, and what would change.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use serde::Serialize;

use super::diff::{PathChange, path_changes};
use super::lock_file;
use super::render::{RenderRequest, kinds, targets};
use super::witness::{malformed, manifest_of};
use crate::build;
use crate::digest::Digest;
use crate::error::Error;
use crate::lock::{Difference, Lock};
use crate::plan::{OutputKind, Plan};
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
    /// What would change, for each output that is written.
    pub outputs: Vec<OutputPlan>,
}

/// What a render of one target would do to one output.
#[derive(Debug, Clone, Serialize)]
pub struct OutputPlan {
    /// The output.
    pub kind: OutputKind,
    /// Whether it has not been rendered there yet.
    pub fresh: bool,
    /// What would change in what it holds against the last render; every path when there is none.
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
    destination: &Path,
) -> Result<TargetPlan, Error> {
    let kinds = kinds(request, recipe);
    let plan = Plan::of(recipe, &kinds, request.image)?;
    let stacked = build::stack(recipe, &store.archives())?;
    let bytes = stacked.tree.iter().map(|(_, node)| match &node.kind {
        Kind::Regular(content) => content.length,
        _ => 0,
    });
    let trees = kinds.iter().filter(|kind| !kind.is_image()).map(|kind| (*kind, &stacked.tree));
    let images = build::image_trees(&plan, recipe, &stacked, store)?;
    let trees = trees.chain(images.iter().map(|(kind, tree)| (*kind, tree)));
    let outputs = trees.map(|(kind, tree)| output_plan(kind, tree, destination)).collect::<Result<_, _>>()?;
    Ok(TargetPlan {
        plan,
        destination: destination.to_owned(),
        paths: stacked.tree.len(),
        bytes: bytes.sum(),
        tree: stacked.tree.digest(),
        removed: stacked.removed.iter().map(ToString::to_string).collect(),
        lock: Vec::new(),
        outputs,
    })
}

fn output_plan(kind: OutputKind, tree: &Tree, destination: &Path) -> Result<OutputPlan, Error> {
    let (fresh, old) = match manifest_of(destination, kind)? {
        Some((path, manifest)) => (false, manifest.to_tree().map_err(malformed(&path))?),
        None => (true, Tree::new()),
    };
    Ok(OutputPlan { kind, fresh, changes: path_changes(&old, tree, true, true) })
}
