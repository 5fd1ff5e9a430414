//! The tree of a host that an extension is laid over.

use std::path::Path;

use super::BuildError;
use crate::image::read;
use crate::tree::Tree;

/// Reads the tree at `path`: a directory, a tar archive or an image. Decompressed archives are kept in `archives`.
///
/// # Errors
/// When it cannot be read as a tree.
pub(super) fn tree(path: &Path, archives: &Path) -> Result<Tree, BuildError> {
    let opened = read::open(path, archives).map_err(|error| BuildError::Base(Box::new(error)))?;
    opened.tree.ok_or_else(|| BuildError::NoTree { path: path.display().to_string() })
}
