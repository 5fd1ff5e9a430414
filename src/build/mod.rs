//! From a plan to artifacts.
//!
//! Comes in: a recipe and its plan. Goes out: the merged tree, and everything that is written for each output kind.
//! Always holds: the result depends on the recipe alone, whatever the number of threads.

mod artifacts;
mod base;
mod bundled;
mod contents;
mod extension;
mod images;
mod layer;
mod oci;
pub mod packages;
mod sbom;
mod tiers;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

pub use artifacts::{ArchiveWriter, Artifact, Body, MANIFEST, Product, ROOTFS, ROOTFS_TAR, Remark, artifacts};
pub use base::{check_base, check_host};
pub use contents::image_trees;
pub use extension::OverHost;
pub use images::Means;
pub use oci::Neutrals;

use crate::deploy::DeployError;
use crate::image::oci::{BaseImage, FilesError};
use crate::image::read::OpenError;
use crate::image::signature::SignatureError;
use crate::image::{Manifest, ManifestHead, PortableError, WriteImageError, WriteTarError};
use crate::lint::Finding;
use crate::lock::Bundle;
use crate::packages::installed::InstalledError;
use crate::plan::OutputKind;
use crate::resolve::Recipe;
use crate::spec::Mode;
use crate::tree::{InvalidPath, Meta, ScanError, Stack, StackError, StackLayer, TarError, Tree, TreeError, TreePath};

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
    /// The host that an extension is laid over cannot be read.
    #[error(transparent)]
    Base(Box<OpenError>),
    /// What an extension is laid over holds no file system.
    #[error("`{path}` holds no tree: `over.path` is a directory, tar archive or image with the tree of the host")]
    NoTree {
        /// Where it is.
        path: String,
    },
    /// A path does not fit into the tree of an image.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A path of an image would be none.
    #[error(transparent)]
    Path(#[from] InvalidPath),
    /// The tree of a portable service could not be completed.
    #[error(transparent)]
    Portable(#[from] PortableError),
    /// A portable service whose programs are not all in it.
    #[error(
        "the portable service `{name}` cannot be whole: {missing} is in no layer; bring it along, for example with a layer \
         whose `tree` is a directory or archive that has it, or render a sysext, whose programs may be on the host"
    )]
    Incomplete {
        /// The name of the image.
        name: String,
        /// What is missing, as a phrase.
        missing: String,
    },
    /// A tree that no directory of whoever renders can hold.
    #[error(
        "the {kind} `{name}` cannot be a directory: the owner, mode, attributes or kind of `{path}` would be lost; write \
         `format = \"raw\"` under `[output.{kind}]`"
    )]
    NotADirectoryImage {
        /// What it is.
        kind: OutputKind,
        /// The name of the image.
        name: String,
        /// The first such path.
        path: TreePath,
    },
    /// An image that would not work, or would harm its host.
    #[error("the {kind} of {title} would not work{}", findings.iter().map(|one| format!("\n  {}; {}", Told(one), one.mend)).collect::<String>())]
    Lint {
        /// What it is.
        kind: OutputKind,
        /// What is rendered.
        title: String,
        /// What is wrong with it.
        findings: Vec<Finding>,
    },
    /// An image cannot be written.
    #[error("cannot write the image `{name}`")]
    Image {
        /// Its name.
        name: String,
        /// Why not.
        source: Box<WriteImageError>,
    },
    /// The image that a profile stands on is of another distro.
    #[error(
        "the image `{name}` is {found}, and it is rendered for {wanted}: name another image under `[from]`, or render for \
         the distro and release of this one"
    )]
    BaseDistro {
        /// The image.
        name: String,
        /// What it is.
        found: String,
        /// What it should be.
        wanted: String,
    },
    /// The host that an extension with packages is laid over has no list of packages.
    #[error(
        "it is not known which packages the host `{name}` has: no package manager of {distro} has left a list in it; say what \
         it has with `over.packages` or `over.lock`"
    )]
    HostList {
        /// The tree or image of the host.
        name: String,
        /// The distro.
        distro: String,
    },
    /// The host that an extension with packages is laid over is of another distro.
    #[error(
        "the host `{name}` is {found}, and the extension is rendered for {wanted}: name another one under `over`, or render for \
         the distro and release of this one"
    )]
    HostDistro {
        /// The tree or image of the host.
        name: String,
        /// What it is.
        found: String,
        /// What it should be.
        wanted: String,
    },
    /// The image that a profile stands on has no list of packages to look into.
    #[error(
        "it is not known whether the image `{name}` has the packages of the profile ({wanted}): no package manager of the \
         distro has left a list in it; stand on an image that has one, or leave the packages out"
    )]
    BaseList {
        /// The image.
        name: String,
        /// What is looked for.
        wanted: String,
    },
    /// The image that a profile stands on lacks packages that nobody will install.
    #[error(
        "the image `{name}` does not have {missing}: stand on an image that does, or build one from `[output.rootfs]`, whose \
         Dockerfile installs packages"
    )]
    BasePackages {
        /// The image.
        name: String,
        /// What it lacks, in quotes.
        missing: String,
    },
    /// What is installed in an image cannot be read.
    #[error("cannot read which packages the image `{name}` has")]
    Installed {
        /// The image.
        name: String,
        /// Why not.
        source: InstalledError,
    },
    /// A container image cannot be written.
    #[error("cannot write the container image `{name}`")]
    Container {
        /// Its name.
        name: String,
        /// Why not.
        source: WriteTarError,
    },
    /// There is nobody to sign a container image.
    #[error(
        "the container image `{name}` is to be signed, and nobody is there to: give a key and its certificate with \
         `--key FILE --cert FILE`"
    )]
    NoSigner {
        /// Its name.
        name: String,
    },
    /// A container image cannot be signed.
    #[error("cannot sign the container image `{name}`")]
    Sign {
        /// Its name.
        name: String,
        /// Why not.
        source: SignatureError,
    },
    /// The files of a container image do not fit together.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// Packages are to be in an output, and are not there.
    #[error("an output is to hold packages that nobody has put together: lock the profile and render again")]
    NoPackages,
    /// The packages could not be put together.
    #[error(transparent)]
    Packages(Box<packages::PackagesError>),
    /// A file of the cache could not be read or written.
    #[error(transparent)]
    File(#[from] crate::fs::Error),
    /// A deployment file could not be written from the recipe.
    #[error(transparent)]
    Deploy(#[from] DeployError),
}

impl From<packages::PackagesError> for BuildError {
    fn from(error: packages::PackagesError) -> Self {
        Self::Packages(Box::new(error))
    }
}

/// A finding on one line: `SX13 /usr/lib: mode 0700`.
struct Told<'run>(&'run Finding);

impl std::fmt::Display for Told<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Finding { id, path, message, .. } = self.0;
        match path {
            Some(path) => write!(formatter, "{id} `{path}`: {message}"),
            None => write!(formatter, "{id} {message}"),
        }
    }
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
    /// The image below them.
    pub base: Option<Arc<BaseImage>>,
    /// What is seen from above when they are laid over it.
    whole: Option<Tree>,
    /// The packages below the layers, when `tree` has them.
    pub packages: Option<Arc<packages::PackageTree>>,
    /// What the lock says about the packages that an output made from this carries.
    pub bundle: Option<Arc<Bundle>>,
    /// The same layers over the packages, for outputs that bundle these ([`Stacked::with_packages`]).
    pub over_packages: Option<Box<Self>>,
    /// The same layers over the packages of a host and of a system extension, for one that carries packages
    /// ([`Stacked::with_host`]).
    pub over_host: Option<Box<OverHost>>,
}

impl Stacked {
    /// Puts an image below the layers of a recipe.
    ///
    /// # Errors
    /// When the layers do not fit over it, or a package of the recipe is in neither.
    pub fn standing_on(self, recipe: &Recipe, base: Option<Arc<BaseImage>>) -> Result<Self, BuildError> {
        let Some(base) = base else { return Ok(self) };
        let whole = self.over(&base.tree, recipe.profile.epoch)?;
        base::check_packages(recipe, &base, &whole)?;
        Ok(Self { base: Some(base), whole: Some(whole), ..self })
    }

    /// Returns what is seen from above: the layers, and the image below them when there is one.
    pub fn whole(&self) -> &Tree {
        self.whole.as_ref().unwrap_or(&self.tree)
    }

    /// Returns the tree of an image that has `base` below the layers.
    ///
    /// # Errors
    /// When the layers do not fit over it.
    fn over(&self, base: &Tree, epoch: i64) -> Result<Tree, TreeError> {
        let mut over = self.tree.clone();
        // A directory that only leads somewhere stays as it is below.
        let leads: Vec<TreePath> = self.tree.iter().map(|(path, _)| path.clone()).collect();
        for path in leads.iter().filter(|path| !self.origins.contains_key(*path)) {
            if let (Some(node), Some(below)) =
                (over.get_mut(path), base.get(path).filter(|below| below.kind.is_directory()))
            {
                node.meta = below.meta.clone();
            }
        }
        let mut whole = base.clone();
        for path in &self.removed {
            whole.remove(path);
        }
        crate::image::oci::lay(&mut whole, &over)?;
        whole.complete(|_| Meta::root_owned(0o755, epoch));
        Ok(whole)
    }
}

/// Makes the trees of all layers and lays them over each other. Decompressed archives are kept in `archives`.
///
/// # Errors
/// When a tree to import cannot be read, or the layers do not fit together.
pub fn stack(recipe: &Recipe, archives: &Path) -> Result<Stacked, BuildError> {
    let epoch = recipe.profile.epoch;
    let stack = layers(recipe, archives)?;
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
    Ok(Stacked {
        tree,
        origins: merged.origins,
        removed,
        stack,
        base: None,
        whole: None,
        packages: None,
        bundle: None,
        over_packages: None,
        over_host: None,
    })
}

/// Makes the trees of all layers. Decompressed archives are kept in `archives`.
///
/// # Errors
/// When a tree to import cannot be read, or an entry does not fit into its layer.
pub fn layers(recipe: &Recipe, archives: &Path) -> Result<Stack, BuildError> {
    let epoch = recipe.profile.epoch;
    let made: Vec<_> = recipe.layers.par_iter().map(|source| layer::layer(source, epoch, archives)).collect();
    let mut stack = Stack::default();
    for (source, tree) in recipe.layers.iter().zip(made) {
        stack.layers.push(StackLayer { name: source.name.clone(), tree: tree? });
    }
    Ok(stack)
}

/// Describes a tree made from `stacked` as `manifest.json` does.
fn manifest(recipe: &Recipe, tree: &Tree, stacked: &Stacked) -> Manifest {
    let head = ManifestHead {
        profile: recipe.profile.name.clone(),
        profile_version: recipe.profile.version.clone(),
        distro: recipe.distro.name.clone(),
        release: recipe.distro.release.clone(),
        architecture: recipe.distro.architecture.to_string(),
        epoch: recipe.profile.epoch,
        layers: recipe.layers.iter().map(|layer| layer.name.clone()).collect(),
        removed: stacked.removed.clone(),
        package_sources: bundled::sources_of(stacked),
        packages: bundled::packages_of(recipe, stacked),
    };
    Manifest::describe(tree, &stacked.origins, head)
}
