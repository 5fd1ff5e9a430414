//! What keeps packages from becoming a tree with a database, for the families that say the same about it.

use super::claims::ClaimError;
use crate::fs;

/// Packages that cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// A package says something about itself that cannot be.
    #[error("in the package `{package}`: {reason}")]
    Package {
        /// The package, as far as it is known.
        package: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A package is there twice.
    #[error("the package `{0}` is there twice")]
    Twice(String),
    /// Packages have paths that cannot stand beside each other.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// A file of a package cannot be read.
    #[error(transparent)]
    Fs(#[from] fs::Error),
}
