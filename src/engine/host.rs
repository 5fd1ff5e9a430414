//! The hosts of system extensions that are there as a tree or image: found, read, known by their digest.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::base::{Bases, Ground};
use crate::build::packages::HostTree;
use crate::build::{self, BuildError};
use crate::digest::Digest;
use crate::error::Error;
use crate::image::oci::LocalImage;
use crate::image::read::{self, Format};
use crate::packages::installed::Installed;
use crate::registry::{Reference, RegistryError};
use crate::resolve::Recipe;
use crate::tree::Tree;

/// Where the tree of a host is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// In a directory, an archive or an image that is here.
    Path {
        /// Where it is.
        path: PathBuf,
        /// As the profile names it.
        name: String,
    },
    /// In a container image of a registry, with its digest.
    Image(Reference),
}

impl Bases<'_> {
    /// Reads the tree of a host that is here.
    ///
    /// # Errors
    /// When it cannot be read, is of another distro, or has no list of packages.
    pub(super) fn host(&self, recipe: &Recipe, place: &Place) -> Result<HostTree, Error> {
        let (tree, of, name) = match place {
            Place::Path { path, name } => {
                let (tree, digest) = self.tree_at(recipe, path, name)?;
                (Arc::new(tree), digest, name.clone())
            }
            Place::Image(reference) => {
                let digest = reference.digest.ok_or_else(|| Error::usage("the image of the host has no digest"))?;
                let ground = Ground { digest, reference: Some(reference.clone()) };
                (Arc::new(self.image(recipe, None, &ground)?.tree), digest, reference.to_string())
            }
        };
        build::check_host(recipe, &name, &tree)?;
        let (family, architecture) = (recipe.distro.family, &recipe.distro.native_architecture);
        let installed = Installed::read(&tree, of, family, architecture);
        let installed = installed.map_err(|source| BuildError::Installed { name: name.clone(), source })?;
        match installed {
            Some(installed) => Ok(HostTree { tree, installed: Arc::new(installed) }),
            None => Err(BuildError::HostList { name, distro: recipe.distro.name.clone() }.into()),
        }
    }

    /// Returns the image of a registry that a host is made from, with its digest: as it was `known`, or looked up.
    ///
    /// # Errors
    /// When it is not there.
    pub(super) fn host_image(&self, name: &str, known: Option<Digest>) -> Result<Reference, Error> {
        let reference: Reference = name.parse().map_err(RegistryError::Reference)?;
        let digest = match reference.digest.or(known) {
            Some(digest) => digest,
            None => self.client()?.digest(self.store, &reference, self.reporter)?,
        };
        Ok(reference.pinned(digest))
    }

    /// Reads a tree, and the digest that it is known by: that of the manifest of a container image, or its own.
    fn tree_at(&self, recipe: &Recipe, path: &Path, name: &str) -> Result<(Tree, Digest), Error> {
        let archives = self.store.archives();
        let opened = read::open(path, &archives).map_err(|error| BuildError::Base(Box::new(error)))?;
        if matches!(opened.format, Format::Oci | Format::DockerArchive) {
            let platform = super::base::platform(recipe);
            let digest = LocalImage::open(path, &platform, &archives).map_err(RegistryError::from)?.digest;
            let image = self.image(recipe, Some(path), &Ground { digest, reference: None })?;
            return Ok((image.tree, digest));
        }
        let tree = opened.tree.ok_or_else(|| BuildError::NoTree { path: name.to_owned() })?;
        let digest = tree.digest();
        Ok((tree, digest))
    }
}
