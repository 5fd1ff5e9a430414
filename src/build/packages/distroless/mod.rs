//! A root filesystem without package manager and shells.
//!
//! Comes in: a tree that is set up. Goes out: the same without what installs packages and what runs commands; the lists of
//! packages that scanners read are where they look for them. Always holds: what stays is as it was; no link that scripts
//! made leads to what is gone.

mod alpine;
mod arch;
mod debian;

use std::collections::{BTreeMap, BTreeSet};

use super::{InstalledPackage, PackageSet, PackagesError};
use crate::packages::apt::control;
use crate::packages::archive::Unpacked;
use crate::packages::{apk, pacman};
use crate::spec::Family;
use crate::tree::{Kind, Meta, Node, NodeId, Tree, TreePath};

/// What a family leaves out.
struct Gone {
    /// The packages that go, with everything that is theirs alone.
    packages: &'static [&'static str],
    /// Directories that go, with everything in them.
    directories: &'static [&'static str],
}

impl Gone {
    fn has(&self, package: &str) -> bool {
        self.packages.contains(&package)
    }
}

/// Takes package manager and shells out of a tree.
pub(super) fn strip(
    set: &PackageSet,
    tree: &mut Tree,
    unpacked: &[Unpacked],
    owners: &BTreeMap<TreePath, usize>,
    packages: &[InstalledPackage],
) -> Result<(), PackagesError> {
    let gone = match set.family {
        Family::Apt => debian::GONE,
        Family::Apk => alpine::GONE,
        Family::Pacman => arch::GONE,
    };
    let is_gone = |number: &usize| gone.has(&packages[*number].name);
    // What scanners read is made of the lists as they are before these go.
    let lists = match set.family {
        Family::Apt => debian::lists(unpacked, set.epoch)?,
        Family::Apk => alpine::lists(tree)?,
        Family::Pacman => arch::lists(tree, packages)?,
    };
    let doomed = doomed(tree, owners, is_gone);
    let mut emptied: BTreeSet<TreePath> = BTreeSet::new();
    for path in &doomed {
        tree.remove(path);
        emptied.extend(path.parent());
    }
    for path in gone.directories {
        let path = path.parse()?;
        // A directory may be behind a link: `/lib` of a merged /usr.
        tree.remove(&tree.follow(&path).unwrap_or(path));
    }
    remove_empty(tree, emptied, &directories(set.family, tree, unpacked, &gone)?);
    remove_dangling_shells(tree)?;
    for (path, node) in lists {
        tree.insert(path, node)?;
    }
    tree.complete(|_| Meta::root_owned(0o755, set.epoch));
    Ok(())
}

/// Returns the paths of packages that go, and those that scripts have made for them: other names of their files, and links to
/// them, such as `/bin/ls` for `/bin/busybox`.
fn doomed(tree: &Tree, owners: &BTreeMap<TreePath, usize>, is_gone: impl Fn(&usize) -> bool) -> BTreeSet<TreePath> {
    let owned = owners.iter().filter(|(path, owner)| is_gone(owner) && !is_licence(path));
    let mut doomed: BTreeSet<TreePath> = owned.map(|(path, _)| path.clone()).collect();
    let regular = |path: &&TreePath| matches!(tree.get(path), Some(Node { kind: Kind::Regular(_), .. }));
    let nodes: BTreeSet<NodeId> = doomed.iter().filter(regular).filter_map(|path| tree.id(path)).collect();
    let mut made = BTreeSet::new();
    for (path, id) in tree.ids().filter(|(path, _)| !owners.contains_key(*path)) {
        let leads_there = || tree.follow(path).is_some_and(|target| doomed.contains(&target));
        let is_link = matches!(tree.node(id).kind, Kind::Symlink(_));
        if nodes.contains(&id) || is_link && leads_there() {
            made.insert(path.clone());
        }
    }
    doomed.append(&mut made);
    doomed
}

/// Tells whether a file is a licence: that of what is gone is nobody's worry, but costs little and is looked for.
fn is_licence(path: &TreePath) -> bool {
    path.as_bytes().ends_with(b"/copyright") || path.as_bytes().starts_with(b"usr/share/licenses/")
}

/// Returns the directories of packages that stay.
fn directories(
    family: Family,
    tree: &Tree,
    unpacked: &[Unpacked],
    gone: &Gone,
) -> Result<BTreeSet<TreePath>, PackagesError> {
    let mut directories = BTreeSet::new();
    for package in unpacked {
        if !gone.has(&name(family, package)?) {
            let own = package.entries.iter().filter(|entry| entry.is_directory());
            directories.extend(own.filter_map(|entry| tree.follow(&entry.path)));
        }
    }
    Ok(directories)
}

/// Returns the name of a package.
fn name(family: Family, package: &Unpacked) -> Result<String, PackagesError> {
    let bytes = |file: &str| package.control_bytes(file);
    Ok(match family {
        Family::Apt => {
            let control = control::single("control", bytes("control"))?;
            String::from_utf8_lossy(control.get("Package").unwrap_or_default()).into_owned()
        }
        Family::Apk => apk::info::Info::parse(bytes(".PKGINFO")).map_err(PackagesError::Info)?.name.to_owned(),
        Family::Pacman => pacman::info::Info::parse(bytes(".PKGINFO")).map_err(PackagesError::Info)?.name.to_owned(),
    })
}

/// Removes directories that are empty, and then those above them, but none that is `kept`.
fn remove_empty(tree: &mut Tree, directories: BTreeSet<TreePath>, kept: &BTreeSet<TreePath>) {
    // What is deeper comes later.
    for directory in directories.into_iter().rev() {
        let mut path = Some(directory);
        let is_empty = |path: &TreePath, tree: &Tree| !path.is_root() && tree.below(path).next().is_none();
        while let Some(empty) = path.take().filter(|path| !kept.contains(path) && is_empty(path, tree)) {
            tree.remove(&empty);
            path = empty.parent();
        }
    }
}

/// Removes the links to shells that are gone.
fn remove_dangling_shells(tree: &mut Tree) -> Result<(), PackagesError> {
    for path in ["/usr/bin/sh", "/bin/sh", "/usr/bin/rbash", "/bin/rbash"] {
        let path: TreePath = path.parse()?;
        if matches!(tree.get(&path), Some(Node { kind: Kind::Symlink(_), .. })) && tree.follow(&path).is_none() {
            tree.remove(&path);
        }
    }
    Ok(())
}

/// Files that scanners read, with their paths.
type Lists = Vec<(TreePath, Node)>;
