//! What is below: the tree of a host that an extension is laid over, and the image that a profile stands on.

use std::collections::BTreeSet;
use std::path::Path;

use super::BuildError;
use crate::image::oci::BaseImage;
use crate::image::read::{self, Format};
use crate::lint::{Class, Subject, Target};
use crate::packages::installed;
use crate::resolve::{Base, Recipe};
use crate::tree::Tree;

/// Reads the tree at `path`: a directory, a tar archive or an image. Decompressed archives are kept in `archives`.
///
/// # Errors
/// When it cannot be read as a tree.
pub(super) fn tree(path: &Path, archives: &Path) -> Result<Tree, BuildError> {
    let opened = read::open(path, archives).map_err(|error| BuildError::Base(Box::new(error)))?;
    opened.tree.ok_or_else(|| BuildError::NoTree { path: path.display().to_string() })
}

/// Refuses an image to stand on that is of another distro than the recipe, or of another release or architecture (os-release(5)).
///
/// # Errors
/// When it is, or does not say what it is.
pub fn check_base(recipe: &Recipe, base: &BaseImage) -> Result<(), BuildError> {
    let distro = &recipe.distro;
    let refuse =
        |found: String| Err(BuildError::BaseDistro { name: name_of(recipe, base), found, wanted: wanted(recipe) });
    if base.config.os != "linux" || base.config.architecture != distro.architecture.oci_name() {
        return refuse(format!("for {}/{}", base.config.os, base.config.architecture));
    }
    other_release(recipe, &base.tree).map_or(Ok(()), refuse)
}

/// Refuses the tree of a host that is of another distro than the recipe, or of another release.
///
/// # Errors
/// When it is, or does not say what it is.
pub fn check_host(recipe: &Recipe, name: &str, tree: &Tree) -> Result<(), BuildError> {
    let refuse = |found: String| Err(BuildError::HostDistro { name: name.to_owned(), found, wanted: wanted(recipe) });
    other_release(recipe, tree).map_or(Ok(()), refuse)
}

/// Returns what a recipe is for, as a phrase.
fn wanted(recipe: &Recipe) -> String {
    let distro = &recipe.distro;
    match &distro.version_id {
        Some(version) => format!("{} {version} for {}", distro.id, distro.architecture),
        None => format!("{} for {}", distro.id, distro.architecture),
    }
}

/// Returns of what distro and release a tree is when that is not the one of the recipe (os-release(5)).
fn other_release(recipe: &Recipe, tree: &Tree) -> Option<String> {
    let distro = &recipe.distro;
    let target = Target::default();
    let mut subject = Subject::new(Class::Portable, "", Format::Directory, &target);
    subject.tree = Some(tree);
    let fields = subject.release_fields().into_values().next().unwrap_or_default();
    let get = |key: &str| fields.get(key).filter(|value| !value.is_empty());
    let Some(id) = get("ID") else { return Some("something that does not say: it has no os-release".into()) };
    let version = get("VERSION_ID");
    // A rolling release has no number, and a testing one has none yet.
    let other = matches!((version, &distro.version_id), (Some(found), Some(wanted)) if !same_release(found, wanted));
    (*id != distro.id || other).then(|| version.map_or_else(|| id.clone(), |version| format!("{id} {version}")))
}

/// Returns what an image to stand on is called: its name, or that of the file that it is.
fn name_of(recipe: &Recipe, base: &BaseImage) -> String {
    let file = || match &recipe.base {
        Some(Base::Path { name, .. }) => name.clone(),
        _ => String::new(),
    };
    base.name.clone().unwrap_or_else(file)
}

/// Refuses an image to stand on without the packages of the recipe: nobody installs them into what holds the image. The
/// tree is that of the image with the layers over it.
///
/// # Errors
/// When a package is missing, or it cannot be known.
pub(super) fn check_packages(recipe: &Recipe, base: &BaseImage, tree: &Tree) -> Result<(), BuildError> {
    let wanted: BTreeSet<&str> =
        recipe.packages.values().flat_map(|package| &package.names).map(String::as_str).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let name = name_of(recipe, base);
    let quoted = |names: Vec<&str>| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match installed::missing(tree, recipe.distro.family, wanted.iter().copied()) {
        Ok(Some(missing)) if missing.is_empty() => Ok(()),
        Ok(Some(missing)) => Err(BuildError::BasePackages { name, missing: quoted(missing) }),
        Ok(None) => Err(BuildError::BaseList { name, wanted: quoted(wanted.into_iter().collect()) }),
        Err(source) => Err(BuildError::Installed { name, source }),
    }
}

/// Tells whether a version is of a release: `3.22.1` is of `3.22`.
fn same_release(found: &str, wanted: &str) -> bool {
    found.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
