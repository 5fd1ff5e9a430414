//! Packages of Debian put together as dpkg would, with the database that dpkg would write (dpkg(1), deb-*(5)).
//!
//! Comes in: unpacked packages and what an administrator decides. Goes out: one [`Tree`] with all their files and
//! `var/lib/dpkg`. Always holds: the order in which packages are named does not matter; a path that two packages claim
//! without right is an error that names both; every file of the tree stands in the list of the one package that it is of.

mod claims;
mod files;
mod paths;
mod selection;

use std::collections::BTreeSet;

use super::archive::Unpacked;
use super::control::ControlError;
use crate::fs;
use crate::tree::{InvalidPath, Tree, TreeError, TreePath};

pub use selection::{Diversion, StatOverride};

use claims::Claims;
use paths::Aliases;
use selection::Package;

/// Packages that cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// A control file of a package is not written as it should be.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A control file of a package says something that cannot be.
    #[error("in the package `{package}`: {reason}")]
    Package {
        /// The package.
        package: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A package is there twice.
    #[error("the package `{0}` is there twice")]
    Twice(String),
    /// Two packages have a file at one path.
    #[error(
        "both `{one}` and `{other}` have `{path}`, and neither says that it replaces files of the other: exclude one of them"
    )]
    Conflict {
        /// The path.
        path: TreePath,
        /// One of the packages.
        one: String,
        /// The other.
        other: String,
    },
    /// A path cannot stand in the tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A path that packages lead to is none.
    #[error(transparent)]
    Path(#[from] InvalidPath),
    /// A file of a package cannot be read.
    #[error(transparent)]
    Fs(#[from] fs::Error),
}

/// What decides about files beside the packages themselves.
#[derive(Debug, Clone, Default)]
pub struct Decisions {
    /// The architecture, by Debian's name.
    pub architecture: String,
    /// Whether packages count as set up: their scripts have not been run and never will be.
    pub configured: bool,
    /// Links to directories that are there before any package: those of a merged `/usr`, where the suite does not bring
    /// them itself. Path and target.
    pub links: Vec<(TreePath, Box<[u8]>)>,
    /// The packages that nobody asked for by name: apt may remove them when nothing needs them any more.
    pub automatic: BTreeSet<String>,
    /// Files that are written elsewhere.
    pub diversions: Vec<Diversion>,
    /// Files whose owner and mode are decided by the administrator.
    pub overrides: Vec<StatOverride>,
    /// The time of what is made here, in seconds since 1970.
    pub epoch: i64,
}

/// Puts packages together. `excluded` tells which paths are left out; they stay in the lists of their packages, as with
/// `path-exclude` of dpkg.
///
/// # Errors
/// When two packages claim one path without right, or control files are not written as they should be.
pub fn install(
    packages: &[Unpacked],
    decisions: &Decisions,
    excluded: impl Fn(&TreePath) -> bool,
) -> Result<Tree, DatabaseError> {
    let mut packages: Vec<Package<'_>> = packages.iter().map(Package::of).collect::<Result<_, _>>()?;
    // Where packages have a directory in common the first decides: those that every system has, base-files before all.
    packages.sort_by(|one, other| one.rank().cmp(&other.rank()));
    let mut names = BTreeSet::new();
    if let Some(twice) = packages.iter().find(|package| !names.insert(&package.name)) {
        return Err(DatabaseError::Twice(twice.name.clone()));
    }
    let aliases = Aliases::of(&packages, decisions)?;
    let claims = Claims::of(&packages, decisions, &aliases)?;
    let mut tree = claims.tree(&packages, decisions, excluded)?;
    files::write(&mut tree, &packages, decisions, &claims)?;
    Ok(tree)
}

#[cfg(test)]
mod tests;
