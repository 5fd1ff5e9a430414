//! What is below: the tree of a host that an extension is laid over, and the image that a profile stands on.

use std::path::Path;

use super::BuildError;
use crate::image::oci::BaseImage;
use crate::image::read::{self, Format};
use crate::lint::{Class, Subject, Target};
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
    let name = base.name.clone().or_else(|| match &recipe.base {
        Some(Base::Path { name, .. }) => Some(name.clone()),
        _ => None,
    });
    let refuse = |found: String| {
        let wanted = match &distro.version_id {
            Some(version) => format!("{} {version}", distro.id),
            None => distro.id.clone(),
        };
        let name = name.clone().unwrap_or_default();
        Err(BuildError::BaseDistro { name, found, wanted: format!("{wanted} for {}", distro.architecture) })
    };
    if base.config.os != "linux" || base.config.architecture != distro.architecture.oci_name() {
        return refuse(format!("for {}/{}", base.config.os, base.config.architecture));
    }
    let target = Target::default();
    let mut subject = Subject::new(Class::Portable, "", Format::Directory, &target);
    subject.tree = Some(&base.tree);
    let fields = subject.release_fields().into_values().next().unwrap_or_default();
    let get = |key: &str| fields.get(key).filter(|value| !value.is_empty());
    let Some(id) = get("ID") else { return refuse("something that does not say: it has no os-release".into()) };
    let version = get("VERSION_ID");
    // A rolling release has no number, and a testing one has none yet.
    let other = matches!((version, &distro.version_id), (Some(found), Some(wanted)) if !same_release(found, wanted));
    if *id != distro.id || other {
        return refuse(version.map_or_else(|| id.clone(), |version| format!("{id} {version}")));
    }
    Ok(())
}

/// Tells whether a version is of a release: `3.22.1` is of `3.22`.
fn same_release(found: &str, wanted: &str) -> bool {
    found.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
