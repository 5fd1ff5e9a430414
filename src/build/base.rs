//! The tree of a host that an extension is laid over.

use std::path::Path;

use super::BuildError;
use crate::tree::{Tree, read_tar, scan};

/// Reads the tree at `path`: a directory or a tar archive. Decompressed archives are kept in `archives`.
///
/// # Errors
/// When it cannot be read as a tree.
pub(super) fn tree(path: &Path, archives: &Path) -> Result<Tree, BuildError> {
    if path.is_dir() { Ok(scan(path)?) } else { Ok(read_tar(path, archives)?) }
}
