//! From a recipe to deployment files.
//!
//! Comes in: a recipe and the tree it built. Goes out: texts. Always holds: no value of a profile can add an instruction.

use crate::resolve::Recipe;
use crate::tree::{Tree, TreePath};

/// What a Dockerfile needs to know about the tree beside it.
#[derive(Debug, Clone, Copy)]
pub struct ImageTree<'tree> {
    /// The tree, complete.
    pub tree: &'tree Tree,
    /// Paths that the base image must lose.
    pub removed: &'tree [TreePath],
    /// Whether a `rootfs.tar` stands beside `rootfs/`.
    pub special: bool,
    /// The process that the image starts.
    pub process: Option<&'tree str>,
}

/// A value that cannot be written into a deployment file.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// A placeholder until the writer of Dockerfiles stands.
    #[error("{0}")]
    Value(String),
}

/// Writes the Dockerfile.
///
/// # Errors
/// When a value cannot be written.
pub fn dockerfile(recipe: &Recipe, image: &ImageTree<'_>) -> Result<String, DeployError> {
    let _ = image;
    Ok(format!("FROM {}\n", recipe.image))
}
