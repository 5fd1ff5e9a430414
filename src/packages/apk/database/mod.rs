//! Packages of Alpine put together as apk would, with the database that apk would write.
//!
//! Comes in: unpacked packages and what the system is to ask for. Goes out: one [`Tree`] with all their files,
//! `lib/apk/db` and `etc/apk`. Always holds: the order in which packages are named does not matter; a path that two packages
//! claim without right is an error that names both; every file of the tree stands in the record of the one package that it
//! is of.

mod files;
mod package;

use std::collections::{BTreeMap, BTreeSet};

use crate::packages::accounts::Accounts;
use crate::packages::archive::Unpacked;
use crate::packages::claims::{Claims, Customs, Holder, Right, put_links};
use crate::tree::{Meta, Tree, TreePath};

pub use crate::packages::database::DatabaseError;
pub(super) use package::Package;

/// Which program the database is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tool {
    /// apk 2: Alpine until 3.22. Scripts are in `scripts.tar`.
    Two,
    /// apk 3: Alpine from 3.23 on. Scripts are in `scripts.tar.gz`.
    #[default]
    Three,
}

/// What decides about files beside the packages themselves.
#[derive(Debug, Clone, Default)]
pub struct Decisions {
    /// The architecture, by Alpine's name.
    pub architecture: String,
    /// What the system asks for: the lines of `etc/apk/world`, in any order.
    pub world: Vec<String>,
    /// The tags of the repositories that packages come from, by their names.
    pub tags: BTreeMap<String, String>,
    /// The lines of `etc/apk/repositories`, in their order.
    pub repositories: Vec<String>,
    /// Keys that no package brings: name and bytes of their files in `etc/apk/keys`.
    pub keys: Vec<(String, Vec<u8>)>,
    /// Which program the database is for.
    pub tool: Tool,
    /// Links to directories that are there before any package. Path and target.
    pub links: Vec<(TreePath, Box<[u8]>)>,
    /// The time of what is made here, in seconds since 1970.
    pub epoch: i64,
}

/// Puts packages together. `excluded` tells which paths are left out; they stay in the records of their packages.
///
/// # Errors
/// When two packages claim one path without right, or say something about themselves that cannot be.
pub fn install(
    packages: &[Unpacked],
    decisions: &Decisions,
    excluded: impl Fn(&TreePath) -> bool,
) -> Result<Tree, DatabaseError> {
    let packages = sorted(packages)?;
    let holders = holders(&packages);
    let claims = Claims::of(&holders, &Apk(&packages))?;
    let mut tree = Tree::new();
    put_links(&mut tree, &decisions.links, decisions.epoch)?;
    claims.put(&mut tree, &holders, excluded)?;
    tree.complete(|_| Meta::root_owned(0o755, decisions.epoch));
    own(&mut tree, &packages, &claims)?;
    files::write(&mut tree, &packages, decisions, &claims)?;
    Ok(tree)
}

/// Gives every path of the packages the owners that it has by name, now that scripts have made accounts; writes the records of
/// the packages anew. To be called when all scripts that run before an installation have run, and no other.
///
/// # Errors
/// As [`install`].
pub fn settle(tree: &mut Tree, packages: &[Unpacked], decisions: &Decisions) -> Result<(), DatabaseError> {
    let packages = sorted(packages)?;
    let claims = Claims::of(&holders(&packages), &Apk(&packages))?;
    own(tree, &packages, &claims)?;
    files::write(tree, &packages, decisions, &claims)
}

/// Writes into the records of packages that a script of theirs failed, as apk does when it goes on after that: `apk fix` runs
/// it again.
///
/// # Errors
/// When the records cannot be read or written.
pub fn mark_broken(tree: &mut Tree, packages: &BTreeSet<String>) -> Result<(), DatabaseError> {
    if packages.is_empty() { Ok(()) } else { files::mark_broken(tree, packages) }
}

pub(super) fn sorted(packages: &[Unpacked]) -> Result<Vec<Package<'_>>, DatabaseError> {
    let mut packages: Vec<Package<'_>> = packages.iter().map(Package::of).collect::<Result<_, _>>()?;
    packages.sort_by_key(|package| package.info.name);
    let mut names = BTreeSet::new();
    match packages.iter().find(|package| !names.insert(package.info.name)) {
        Some(twice) => Err(DatabaseError::Twice(twice.info.name.to_owned())),
        None => Ok(packages),
    }
}

fn holders<'own>(packages: &'own [Package<'_>]) -> Vec<Holder<'own>> {
    packages.iter().map(|package| Holder { name: package.info.name, entries: &package.unpacked.entries }).collect()
}

/// Gives paths the owners that their packages name, as far as there are such accounts.
fn own(tree: &mut Tree, packages: &[Package<'_>], claims: &Claims) -> Result<(), DatabaseError> {
    let accounts = Accounts::of(tree)?;
    // Of directories that several have the first decides, here as everywhere.
    for (number, package) in packages.iter().enumerate().rev() {
        for (place, entry) in package.unpacked.entries.iter().enumerate() {
            if claims.owns(number, place)
                && let Some(node) = tree.get_mut(&entry.path)
            {
                (node.meta.uid, node.meta.gid) = package.owner(claims.origin(number, place), &accounts);
            }
        }
    }
    Ok(())
}

/// What apk decides about paths.
struct Apk<'packages>(&'packages [Package<'packages>]);

impl Customs for Apk<'_> {
    /// A package may overwrite files of those that it replaces; of two that replace each other the one with the higher
    /// priority keeps the file; packages from one source may overwrite each other's, and the later name keeps them.
    fn right(&self, one: usize, other: usize) -> Right {
        let (first, second) = (&self.0[one], &self.0[other]);
        match (first.replaces(second), second.replaces(first)) {
            (true, true) if first.info.replaces_priority > second.info.replaces_priority => Right::First,
            (true, false) => Right::First,
            (_, true) => Right::Second,
            (false, false) if !first.info.origin.is_empty() && first.info.origin == second.info.origin => Right::Second,
            (false, false) => Right::Neither,
        }
    }
}

#[cfg(test)]
mod tests;
