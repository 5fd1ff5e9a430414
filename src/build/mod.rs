//! From a plan to artifacts.
//!
//! Comes in: a recipe and its plan. Goes out: the merged tree, and everything that is written for each output kind.
//! Always holds: the result depends on the recipe alone, whatever the number of threads.

mod artifacts;
mod layer;
mod tiers;

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;

pub use artifacts::{ArchiveWriter, Artifact, Body, MANIFEST, Product, ROOTFS, ROOTFS_TAR, artifacts};

use crate::deploy::DeployError;
use crate::image::{Manifest, ManifestHead};
use crate::resolve::Recipe;
use crate::spec::Mode;
use crate::tree::{Meta, ScanError, Stack, StackError, StackLayer, TarError, Tree, TreeError, TreePath};

/// A failure to build.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// An entry does not fit into the tree of its layer.
    #[error("{at}: {source} (layer `{layer}`)")]
    Layer {
        /// The layer.
        layer: String,
        /// Where the entry was written.
        at: String,
        /// Why it does not fit.
        source: TreeError,
    },
    /// Two layers of one tier have different content for a path.
    #[error(
        "the layers `{one}` and `{other}` disagree about `{path}`: both are of the {tier} tier, where no layer may replace \
         a path of another; leave the path out of one tree, or move one layer to a higher tier"
    )]
    Tier {
        /// The path.
        path: TreePath,
        /// The tier of both.
        tier: &'static str,
        /// The lower layer.
        one: String,
        /// The upper layer.
        other: String,
    },
    /// The seed of a writable path is nowhere in the tree.
    #[error(
        "{at}: the seed `{seed}` of the writable `{writable}` is not in the tree: put the files there, or leave `seed` out \
         for a path that begins empty"
    )]
    Seed {
        /// The writable.
        writable: String,
        /// Its seed.
        seed: TreePath,
        /// Where the writable was written.
        at: String,
    },
    /// The layers do not fit over each other.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// A directory could not be read as a tree.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// An archive could not be read as a tree.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// An archive cannot be written.
    #[error("cannot write `{name}`")]
    Archive {
        /// Its name.
        name: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A deployment file could not be written from the recipe.
    #[error(transparent)]
    Deploy(#[from] DeployError),
}

/// The layers of a recipe, laid over each other.
#[derive(Debug)]
pub struct Stacked {
    /// What is seen from above, with every directory that is missing added.
    pub tree: Tree,
    /// The layer each path comes from, as an index into the recipe's layers; directories that were only added have none.
    pub origins: BTreeMap<TreePath, usize>,
    /// Paths that the base image must lose, sorted.
    pub removed: Vec<TreePath>,
    /// The trees of the layers, the lowest first.
    pub stack: Stack,
}

/// Makes the trees of all layers and lays them over each other. Decompressed archives are kept in `archives`.
///
/// # Errors
/// When a tree to import cannot be read, or the layers do not fit together.
pub fn stack(recipe: &Recipe, archives: &Path) -> Result<Stacked, BuildError> {
    let epoch = recipe.profile.epoch;
    let made: Vec<_> = recipe.layers.par_iter().map(|source| layer::layer(source, epoch, archives)).collect();
    let mut stack = Stack::default();
    for (source, tree) in recipe.layers.iter().zip(made) {
        stack.layers.push(StackLayer { name: source.name.clone(), tree: tree? });
    }
    tiers::check(&recipe.layers, &stack.layers)?;
    let merged = stack.merge()?;
    let mut tree = merged.tree;
    // A base image that is copied over takes the modes of the directories that only lead somewhere, too.
    tree.complete(|path| {
        let mode = recipe.distro.directories.get(&path.to_string()).map_or(0o755, |Mode(mode)| *mode);
        Meta::root_owned(mode, epoch)
    });
    for (name, writable) in &recipe.contract.writables {
        if let Some(seed) = writable.seed.as_ref().filter(|seed| tree.get(seed).is_none()) {
            let (writable, seed, at) = (name.clone(), seed.clone(), writable.place.to_string());
            return Err(BuildError::Seed { writable, seed, at });
        }
    }
    let removed = merged.removed.into_keys().filter(|path| tree.get(path).is_none()).collect();
    Ok(Stacked { tree, origins: merged.origins, removed, stack })
}

/// Describes a merged tree as `manifest.json` does.
pub fn manifest(recipe: &Recipe, stacked: &Stacked) -> Manifest {
    let head = ManifestHead {
        profile: recipe.profile.name.clone(),
        profile_version: recipe.profile.version.clone(),
        distro: recipe.distro.name.clone(),
        release: recipe.distro.release.clone(),
        architecture: recipe.distro.architecture.to_string(),
        epoch: recipe.profile.epoch,
        layers: recipe.layers.iter().map(|layer| layer.name.clone()).collect(),
        removed: stacked.removed.clone(),
    };
    Manifest::describe(&stacked.tree, &stacked.origins, head)
}
