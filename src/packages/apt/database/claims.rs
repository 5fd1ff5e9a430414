//! Which package has which path.

use std::collections::{BTreeMap, BTreeSet};

use super::paths::Aliases;
use super::selection::Package;
use super::{DatabaseError, Decisions};
use crate::packages::apt::archive::{Entry, Item};
use crate::tree::{Kind, Meta, Node, Tree, TreePath};

/// An entry of a package: the numbers of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    package: usize,
    entry: usize,
}

/// Who has what.
#[derive(Debug)]
pub(super) struct Claims {
    /// The entry that stands at each path, and whether it is a directory.
    held: BTreeMap<TreePath, (Claim, bool)>,
    /// Entries that another package replaces.
    lost: BTreeSet<Claim>,
    /// For each package the entries that are other names of one file, with the entry of the first.
    links: Vec<BTreeMap<usize, usize>>,
}

impl Claims {
    pub(super) fn of(
        packages: &[Package<'_>],
        decisions: &Decisions,
        aliases: &Aliases,
    ) -> Result<Self, DatabaseError> {
        let mut claims = Self { held: BTreeMap::new(), lost: BTreeSet::new(), links: Vec::new() };
        for (number, package) in packages.iter().enumerate() {
            claims.links.push(links(package)?);
            for (place, entry) in package.unpacked.entries.iter().enumerate() {
                let directory = matches!(&entry.item, Item::Node(kind) if kind.is_directory());
                let real = aliases.real(&entry.path, directory)?;
                let path = divert(decisions, package, &real).unwrap_or(real);
                let claim = Claim { package: number, entry: place };
                claims.claim(packages, path, claim, directory)?;
            }
        }
        Ok(claims)
    }

    /// Gives a path to the entry that has the better right to it.
    fn claim(
        &mut self,
        packages: &[Package<'_>],
        path: TreePath,
        claim: Claim,
        directory: bool,
    ) -> Result<(), DatabaseError> {
        let Some((other, other_directory)) = self.held.get(&path).copied() else {
            self.held.insert(path, (claim, directory));
            return Ok(());
        };
        match (directory, other_directory) {
            // The first decides what the directory is like.
            (true, true) => return Ok(()),
            // The same package once more: the later member counts, as with tar.
            (false, false) if other.package == claim.package => {}
            (false, false) => {
                let (one, two) = (&packages[other.package], &packages[claim.package]);
                match (one.replaces(two)?, two.replaces(one)?) {
                    (false, false) => return Err(conflict(path, one, two)),
                    (true, false) => {
                        self.lost.insert(claim);
                        return Ok(());
                    }
                    (_, true) => drop(self.lost.insert(other)),
                }
            }
            _ => return Err(conflict(path, &packages[other.package], &packages[claim.package])),
        }
        self.held.insert(path, (claim, directory));
        Ok(())
    }

    /// Returns the entries of a package whose paths are its own: all but those that others replace.
    pub(super) fn own<'own>(
        &'own self,
        number: usize,
        package: &'own Package<'_>,
    ) -> impl Iterator<Item = &'own Entry> {
        let entries = package.unpacked.entries.iter().enumerate();
        entries
            .filter(move |(entry, _)| !self.lost.contains(&Claim { package: number, entry: *entry }))
            .map(|(_, entry)| entry)
    }

    /// Makes the tree of all packages.
    pub(super) fn tree(
        &self,
        packages: &[Package<'_>],
        decisions: &Decisions,
        excluded: impl Fn(&TreePath) -> bool,
    ) -> Result<Tree, DatabaseError> {
        let mut tree = Tree::new();
        for (path, target) in &decisions.links {
            let meta = Meta::root_owned(0o777, decisions.epoch);
            tree.insert(path.clone(), Node { kind: Kind::Symlink(target.clone()), meta })?;
        }
        // The path of the first name of each file.
        let mut first: BTreeMap<Claim, &TreePath> = BTreeMap::new();
        for (path, (claim, directory)) in &self.held {
            if !directory && excluded(path) {
                continue;
            }
            let entries = &packages[claim.package].unpacked.entries;
            let origin = self.links[claim.package].get(&claim.entry).copied().unwrap_or(claim.entry);
            let file = Claim { entry: origin, ..*claim };
            match first.get(&file) {
                Some(known) if !directory => tree.link(path.clone(), known)?,
                _ => {
                    let Entry { item: Item::Node(kind), meta, .. } = &entries[origin] else { continue };
                    tree.insert(path.clone(), Node { kind: kind.clone(), meta: meta.clone() })?;
                    first.insert(file, path);
                }
            }
        }
        for change in &decisions.overrides {
            if let Some(node) = tree.get_mut(&change.path) {
                (node.meta.uid, node.meta.gid, node.meta.mode) = (change.uid, change.gid, change.mode);
            }
        }
        tree.complete(|_| Meta::root_owned(0o755, decisions.epoch));
        Ok(tree)
    }
}

fn conflict(path: TreePath, one: &Package<'_>, other: &Package<'_>) -> DatabaseError {
    DatabaseError::Conflict { path, one: one.name.clone(), other: other.name.clone() }
}

/// Returns where a file of a package goes that is diverted.
fn divert(decisions: &Decisions, package: &Package<'_>, path: &TreePath) -> Option<TreePath> {
    let diversion = decisions.diversions.iter().find(|diversion| diversion.path == *path)?;
    (diversion.package.as_ref() != Some(&package.name)).then(|| diversion.to.clone())
}

/// Returns the entries that are other names of a file, each with the entry of its first name.
fn links(package: &Package<'_>) -> Result<BTreeMap<usize, usize>, DatabaseError> {
    let mut links = BTreeMap::new();
    let mut files: BTreeMap<&TreePath, usize> = BTreeMap::new();
    for (place, entry) in package.unpacked.entries.iter().enumerate() {
        let Item::Link(target) = &entry.item else {
            files.insert(&entry.path, place);
            continue;
        };
        let Some(first) = files.get(target).copied() else {
            let reason = format!("`{}` is another name of `{target}`, which does not come before it", entry.path);
            return Err(DatabaseError::Package { package: package.name.clone(), reason });
        };
        links.insert(place, first);
        files.insert(&entry.path, first);
    }
    Ok(links)
}
