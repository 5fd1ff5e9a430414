//! Packages of Debian put together as dpkg would, with the database that dpkg would write (dpkg(1), deb-*(5)).
//!
//! Comes in: unpacked packages and what an administrator decides. Goes out: one [`Tree`] with all their files and
//! `var/lib/dpkg`. Always holds: the order in which packages are named does not matter; a path that two packages claim
//! without right is an error that names both; every file of the tree stands in the list of the one package that it is of.

mod checksums;
mod files;
mod paths;
mod selection;

use std::collections::BTreeSet;

use super::archive::Unpacked;
use super::control::ControlError;
use super::relation::Alternative;
use super::version;
use crate::fs;
use crate::packages::archive::Entry;
use crate::packages::claims::{ClaimError, Claims, Customs, Holder, Right, put_links};
use crate::packages::model::Comparison;
use crate::tree::{InvalidPath, Meta, Tree, TreePath};

pub use selection::{Diversion, StatOverride};

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
    /// Packages have paths that cannot stand beside each other.
    #[error(transparent)]
    Claim(#[from] ClaimError),
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
    let holders: Vec<Holder<'_>> =
        packages.iter().map(|package| Holder { name: &package.name, entries: &package.unpacked.entries }).collect();
    let aliases = Aliases::of(&packages, decisions)?;
    let replaced = packages.iter().map(Package::replaced).collect::<Result<_, _>>()?;
    let dpkg = Dpkg { packages: &packages, decisions, aliases, replaced };
    let claims = Claims::of(&holders, &dpkg)?;
    let mut tree = Tree::new();
    put_links(&mut tree, &decisions.links, decisions.epoch)?;
    claims.put(&mut tree, &holders, excluded)?;
    for change in &decisions.overrides {
        if let Some(node) = tree.get_mut(&change.path) {
            (node.meta.uid, node.meta.gid, node.meta.mode) = (change.uid, change.gid, change.mode);
        }
    }
    tree.complete(|_| Meta::root_owned(0o755, decisions.epoch));
    files::write(&mut tree, &packages, decisions, &claims)?;
    Ok(tree)
}

/// What dpkg decides about paths.
struct Dpkg<'packages> {
    packages: &'packages [Package<'packages>],
    decisions: &'packages Decisions,
    aliases: Aliases,
    /// What each package says that it replaces.
    replaced: Vec<Vec<Alternative<'packages>>>,
}

impl Dpkg<'_> {
    /// Tells whether one package may overwrite files of another.
    fn replaces(&self, one: usize, other: usize) -> bool {
        let other = &self.packages[other];
        self.replaced[one].iter().any(|alternative| {
            alternative.name == other.name.as_bytes()
                && (alternative.comparison == Comparison::Any
                    || alternative.comparison.allows(version::compare(other.version, alternative.version)))
        })
    }
}

impl Customs for Dpkg<'_> {
    fn place(&self, package: usize, entry: &Entry) -> Result<TreePath, ClaimError> {
        let real = self.aliases.real(&entry.path, entry.is_directory())?;
        let diverted = self.decisions.diversions.iter().find(|diversion| diversion.path == real);
        let diverted = diverted.filter(|diversion| diversion.package.as_ref() != Some(&self.packages[package].name));
        Ok(diverted.map_or(real, |diversion| diversion.to.clone()))
    }

    fn right(&self, one: usize, other: usize) -> Right {
        match (self.replaces(one, other), self.replaces(other, one)) {
            (false, false) => Right::Neither,
            (true, false) => Right::First,
            (_, true) => Right::Second,
        }
    }
}

#[cfg(test)]
mod tests;
