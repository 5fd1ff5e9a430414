//! Which package has which path.
//!
//! Comes in: the entries of packages and what their family says about paths that several have. Goes out: [`Claims`], and the
//! tree they make. Always holds: a directory may be of many packages, anything else is of one; names of one file that stay
//! stay names of one file.

use std::collections::{BTreeMap, BTreeSet};

use super::archive::{Entry, Item};
use crate::tree::{InvalidPath, Kind, Meta, Node, Tree, TreeError, TreePath};

/// A package as far as its paths are concerned.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'entries> {
    /// Its name.
    pub name: &'entries str,
    /// What it puts where.
    pub entries: &'entries [Entry],
}

/// Who keeps a path that two packages have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// The first of the two.
    First,
    /// The second.
    Second,
    /// Neither may take it from the other.
    Neither,
}

/// Packages whose paths cannot stand beside each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// Two packages have a file at one path.
    #[error(
        "both `{one}` and `{other}` have `{path}`, and neither may replace files of the other: exclude one of them"
    )]
    Conflict {
        /// The path.
        path: TreePath,
        /// One of the packages.
        one: String,
        /// The other.
        other: String,
    },
    /// A name of a file that is not there.
    #[error("in the package `{package}`: `{path}` is another name of `{target}`, which does not come before it")]
    Link {
        /// The package.
        package: String,
        /// The name.
        path: TreePath,
        /// The name that should come before it.
        target: TreePath,
    },
    /// A path cannot stand in the tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A path that packages lead to is none.
    #[error(transparent)]
    Path(#[from] InvalidPath),
}

/// What a family decides about the paths of packages, which it knows by their numbers.
pub trait Customs {
    /// Returns where an entry of a package really goes.
    ///
    /// # Errors
    /// When that is no path.
    fn place(&self, package: usize, entry: &Entry) -> Result<TreePath, ClaimError> {
        let _ = package;
        Ok(entry.path.clone())
    }

    /// Decides who keeps a path that two packages have, and that is no directory.
    fn right(&self, one: usize, other: usize) -> Right;
}

/// An entry of a package: the numbers of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    package: usize,
    entry: usize,
}

/// Who has what.
#[derive(Debug)]
pub struct Claims {
    /// The entry that stands at each path, and whether it is a directory.
    held: BTreeMap<TreePath, (Claim, bool)>,
    /// Entries that another package replaces.
    lost: BTreeSet<Claim>,
    /// For each package the entries that are other names of one file, with the entry of the first.
    links: Vec<BTreeMap<usize, usize>>,
}

impl Claims {
    /// Gives every path to a package. Where several have a directory, the first decides what it is like.
    ///
    /// # Errors
    /// When two packages have a path and neither has a right to it, or a name of a file comes before the file.
    pub fn of(packages: &[Holder<'_>], customs: &impl Customs) -> Result<Self, ClaimError> {
        let mut claims = Self { held: BTreeMap::new(), lost: BTreeSet::new(), links: Vec::new() };
        for (number, package) in packages.iter().enumerate() {
            claims.links.push(links(package)?);
            for (place, entry) in package.entries.iter().enumerate() {
                let path = customs.place(number, entry)?;
                claims.claim(packages, customs, path, Claim { package: number, entry: place }, entry.is_directory())?;
            }
        }
        Ok(claims)
    }

    /// Gives a path to the entry that has the better right to it.
    fn claim(
        &mut self,
        packages: &[Holder<'_>],
        customs: &impl Customs,
        path: TreePath,
        claim: Claim,
        directory: bool,
    ) -> Result<(), ClaimError> {
        let Some((other, other_directory)) = self.held.get(&path).copied() else {
            self.held.insert(path, (claim, directory));
            return Ok(());
        };
        let conflict = |path| ClaimError::Conflict {
            path,
            one: packages[other.package].name.to_owned(),
            other: packages[claim.package].name.to_owned(),
        };
        match (directory, other_directory) {
            // The first decides what the directory is like.
            (true, true) => return Ok(()),
            // The same package once more: the later member counts, as with tar.
            (false, false) if other.package == claim.package => {}
            (false, false) => match customs.right(other.package, claim.package) {
                Right::Neither => return Err(conflict(path)),
                Right::First => {
                    self.lost.insert(claim);
                    return Ok(());
                }
                Right::Second => drop(self.lost.insert(other)),
            },
            _ => return Err(conflict(path)),
        }
        self.held.insert(path, (claim, directory));
        Ok(())
    }

    /// Tells whether the path of an entry is its package's own: another package does not replace it.
    pub fn owns(&self, package: usize, entry: usize) -> bool {
        !self.lost.contains(&Claim { package, entry })
    }

    /// Returns the entry of the first name of the file that an entry is a name of.
    pub fn origin(&self, package: usize, entry: usize) -> usize {
        self.links[package].get(&entry).copied().unwrap_or(entry)
    }

    /// Puts what all packages have into a tree, but for files at paths that are `excluded`.
    ///
    /// # Errors
    /// When something above a path is no directory.
    pub fn put(
        &self,
        tree: &mut Tree,
        packages: &[Holder<'_>],
        excluded: impl Fn(&TreePath) -> bool,
    ) -> Result<(), ClaimError> {
        // The path of the first name of each file.
        let mut first: BTreeMap<Claim, &TreePath> = BTreeMap::new();
        for (path, (claim, directory)) in &self.held {
            if !directory && excluded(path) {
                continue;
            }
            let origin = self.origin(claim.package, claim.entry);
            let file = Claim { entry: origin, ..*claim };
            match first.get(&file) {
                Some(known) if !directory => tree.link(path.clone(), known)?,
                _ => {
                    let Entry { item: Item::Node(kind), meta, .. } = &packages[claim.package].entries[origin] else {
                        continue;
                    };
                    tree.insert(path.clone(), Node { kind: kind.clone(), meta: meta.clone() })?;
                    first.insert(file, path);
                }
            }
        }
        Ok(())
    }
}

/// Puts links into a tree that are there before any package.
///
/// # Errors
/// When something above one is no directory.
pub fn put_links(tree: &mut Tree, links: &[(TreePath, Box<[u8]>)], epoch: i64) -> Result<(), ClaimError> {
    for (path, target) in links {
        let meta = Meta::root_owned(0o777, epoch);
        tree.insert(path.clone(), Node { kind: Kind::Symlink(target.clone()), meta })?;
    }
    Ok(())
}

/// Returns the entries that are other names of a file, each with the entry of its first name.
fn links(package: &Holder<'_>) -> Result<BTreeMap<usize, usize>, ClaimError> {
    let mut links = BTreeMap::new();
    let mut files: BTreeMap<&TreePath, usize> = BTreeMap::new();
    for (place, entry) in package.entries.iter().enumerate() {
        let Item::Link(target) = &entry.item else {
            files.insert(&entry.path, place);
            continue;
        };
        let Some(first) = files.get(target).copied() else {
            let (path, target) = (entry.path.clone(), target.clone());
            return Err(ClaimError::Link { package: package.name.to_owned(), path, target });
        };
        links.insert(place, first);
        files.insert(&entry.path, first);
    }
    Ok(links)
}
