//! What a render would write, and what would change.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use serde::Serialize;

use super::base::Bases;
use super::diff::{PathChange, path_changes};
use super::lock_file;
use super::packages::Packages;
use super::render::{RenderRequest, kinds, targets};
use super::witness::{malformed, manifest_of};
use crate::build;
use crate::digest::Digest;
use crate::error::Error;
use crate::event::Silent;
use crate::image::oci::BaseImage;
use crate::lock::{Difference, Lock, LockedPackage};
use crate::packages::Upgrade;
use crate::plan::{Action, OutputKind, Plan};
use crate::resolve::{Library, OverPackages, ProfileSource, Recipe};
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
    /// What a system extension adds to its host; nothing when none carries packages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extension: Option<ExtensionPlan>,
    /// What the profile asks for and the lock does not.
    pub lock: Vec<Difference>,
    /// What would change, for each output that is written.
    pub outputs: Vec<OutputPlan>,
    /// Outputs of which that is not known: they hold a base image that is not in the cache.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uncompared: Vec<OutputKind>,
}

/// What a system extension adds to its host.
#[derive(Debug, Clone, Serialize)]
pub struct ExtensionPlan {
    /// The host.
    pub over: OverPackages,
    /// The digest of the host, by the lock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Digest>,
    /// The packages that are added, with their versions; nothing when the lock does not name them yet.
    pub packages: Option<Vec<String>>,
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
    let differences = lock.as_ref().map(|lock| lock.differences(&wanted)).unwrap_or_default();
    let (path, client) = (lock_file::path(&library), request.client.as_deref());
    let (reporter, lock) = (&Silent, lock.as_ref());
    let bases = Bases { store, client, reporter, lock, path: &path, locked: true, upgrade: false };
    let (network, upgrade) = (None, &Upgrade::Nothing);
    let packages = Packages { store, network, reporter, lock, path: &path, locked: true, upgrade };
    let plans = targets.par_iter().zip(&recipes).map(|(target, recipe)| {
        let mut plan = target_plan((&bases, &packages), request, recipe, &target.path)?;
        plan.lock = differences.iter().filter(|difference| difference.target == target.name).cloned().collect();
        Ok(plan)
    });
    plans.collect()
}

fn target_plan(
    (bases, packages): (&Bases<'_>, &Packages<'_>),
    request: &RenderRequest,
    recipe: &Recipe,
    destination: &Path,
) -> Result<TargetPlan, Error> {
    let kinds = kinds(request, recipe);
    let plan = Plan::of(recipe, &kinds, request.image)?;
    let stands = recipe.base.is_some() && plan.actions.iter().any(|action| action.step.holds_base());
    // What cannot be had now is had, or told, by a render.
    let base = if stands { base(bases, recipe).ok().flatten() } else { None };
    let bundled = if plan.bundles() { packages.known_tree(recipe)? } else { None };
    let is_compared = |action: &Action| {
        (base.is_some() || !stands || !action.step.holds_base())
            && (bundled.is_some() || !action.bundled)
            && !action.step.extends()
    };
    let (compared, uncompared): (Vec<_>, Vec<_>) = kinds
        .into_iter()
        .partition(|kind| plan.actions.iter().all(|one| one.name != kind.to_string() || is_compared(one)));
    let mut stacked = build::stack(recipe, &bases.store.archives())?.standing_on(recipe, base)?;
    if let Some((tree, bundle)) = bundled {
        stacked = stacked.with_packages(tree, bundle, recipe.profile.epoch)?;
    }
    let bytes = stacked.tree.iter().map(|(_, node)| match &node.kind {
        Kind::Regular(content) => content.length,
        _ => 0,
    });
    let tree = |kind: OutputKind| {
        let action = plan.actions.iter().find(|one| one.name == kind.to_string());
        let holds = action.is_some_and(|action| action.step.holds_base());
        match stacked.over_packages.as_deref().filter(|_| action.is_some_and(|action| action.bundled)) {
            Some(whole) => &whole.tree,
            None if holds => stacked.whole(),
            None => &stacked.tree,
        }
    };
    let trees = compared.iter().filter(|kind| !kind.is_image()).map(|kind| (*kind, tree(*kind)));
    let known = Plan::of(recipe, &compared, request.image)?;
    let images = build::image_trees(&known, recipe, &stacked, bases.store)?;
    let trees = trees.chain(images.iter().map(|(kind, tree)| (*kind, tree)));
    let extends = plan.extends();
    let outputs = trees.map(|(kind, tree)| output_plan(kind, tree, destination)).collect::<Result<_, _>>()?;
    Ok(TargetPlan {
        plan,
        destination: destination.to_owned(),
        paths: stacked.tree.len(),
        bytes: bytes.sum(),
        tree: stacked.tree.digest(),
        extension: recipe.extension().filter(|_| extends).map(|asked| {
            let bundle = packages.lock.and_then(|lock| lock.extension(&recipe.requirements()));
            let shown = |package: &LockedPackage| format!("{} {}", package.name, package.version);
            ExtensionPlan {
                over: asked.over,
                host: bundle.and_then(|bundle| bundle.over),
                packages: bundle.map(|bundle| bundle.packages.iter().map(shown).collect()),
            }
        }),
        removed: stacked.removed.iter().map(ToString::to_string).collect(),
        lock: Vec::new(),
        outputs,
        uncompared,
    })
}

/// Returns what a recipe stands on, when the lock names it and it is at hand.
fn base(bases: &Bases<'_>, recipe: &Recipe) -> Result<Option<Arc<BaseImage>>, Error> {
    bases.look_up(recipe)?.map(|ground| bases.fetch(recipe, &ground)).transpose()
}

fn output_plan(kind: OutputKind, tree: &Tree, destination: &Path) -> Result<OutputPlan, Error> {
    let (fresh, old) = match manifest_of(destination, kind)? {
        Some((path, manifest)) => (false, manifest.to_tree().map_err(malformed(&path))?),
        None => (true, Tree::new()),
    };
    Ok(OutputPlan { kind, fresh, changes: path_changes(&old, tree, true, true) })
}
