//! Packages of Arch put together as pacman would, with the local database that pacman would write (alpm-db(7)).
//!
//! Comes in: unpacked packages and what is known of why they are there. Goes out: one [`Tree`] with all their files and
//! `var/lib/pacman`. Always holds: the order in which packages are named does not matter; two packages have no file in
//! common; every file of the tree stands in the list of the one package that it is of.

mod files;

use std::collections::BTreeSet;

pub use crate::packages::database::DatabaseError;

use super::info::Info;
use crate::packages::archive::Unpacked;
use crate::packages::claims::{Claims, Customs, Holder, Right, put_links};
use crate::tree::{Meta, Tree, TreePath};

/// What decides about files beside the packages themselves.
#[derive(Debug, Clone, Default)]
pub struct Decisions {
    /// The packages that nobody asked for by name: they are there for others.
    pub automatic: BTreeSet<String>,
    /// The packages that no signature was asked of: their SHA-256 is all that says what they are.
    pub unsigned: BTreeSet<String>,
    /// Links to directories that are there before any package. Path and target.
    pub links: Vec<(TreePath, Box<[u8]>)>,
    /// The time of what is made here and of the installation, in seconds since 1970.
    pub epoch: i64,
}

/// A package to install.
#[derive(Debug)]
pub(super) struct Package<'unpacked> {
    pub(super) unpacked: &'unpacked Unpacked,
    pub(super) info: Info<'unpacked>,
}

/// Puts packages together. `excluded` tells which paths are left out; they stay in the lists of their packages, as with
/// `NoExtract` of pacman.
///
/// # Errors
/// When two packages claim one path, or say something about themselves that cannot be.
pub fn install(
    packages: &[Unpacked],
    decisions: &Decisions,
    excluded: impl Fn(&TreePath) -> bool,
) -> Result<Tree, DatabaseError> {
    let packages = sorted(packages)?;
    let holders: Vec<Holder<'_>> =
        packages.iter().map(|package| Holder { name: package.info.name, entries: &package.unpacked.entries }).collect();
    let claims = Claims::of(&holders, &Pacman)?;
    let mut tree = Tree::new();
    put_links(&mut tree, &decisions.links, decisions.epoch)?;
    claims.put(&mut tree, &holders, excluded)?;
    tree.complete(|_| Meta::root_owned(0o755, decisions.epoch));
    files::write(&mut tree, &packages, decisions)?;
    Ok(tree)
}

/// Returns the packages sorted: `filesystem`, which decides what directories are like, then by name.
pub(super) fn sorted(packages: &[Unpacked]) -> Result<Vec<Package<'_>>, DatabaseError> {
    let mut sorted = Vec::new();
    for unpacked in packages {
        let info = unpacked.control_bytes(".PKGINFO");
        let info = Info::parse(info).map_err(|reason| DatabaseError::Package { package: "?".into(), reason })?;
        sorted.push(Package { unpacked, info });
    }
    sorted.sort_by_key(|package| (package.info.name != "filesystem", package.info.name));
    let mut names = BTreeSet::new();
    match sorted.iter().find(|package| !names.insert(package.info.name)) {
        Some(twice) => Err(DatabaseError::Twice(twice.info.name.to_owned())),
        None => Ok(sorted),
    }
}

/// What pacman decides about paths: no package may have a file of another.
struct Pacman;

impl Customs for Pacman {
    fn right(&self, _: usize, _: usize) -> Right {
        Right::Neither
    }
}

#[cfg(test)]
mod tests;
