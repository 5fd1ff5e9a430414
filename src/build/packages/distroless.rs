//! A root filesystem without package manager and shells.
//!
//! Comes in: a tree that is set up. Goes out: the same without what installs packages and what runs commands; what scanners
//! read of packages stands in `var/lib/dpkg/status.d`, one file for each, as distroless images have it.

use std::collections::{BTreeMap, BTreeSet};

use super::{InstalledPackage, PackagesError};
use crate::packages::apt::archive::Unpacked;
use crate::packages::apt::control;
use crate::tree::{Content, Kind, Meta, Node, Tree, TreePath};

/// The packages that go, with everything that is theirs alone.
const PACKAGES: [&str; 14] = [
    "apt",
    "bash",
    "busybox",
    "dash",
    "debconf",
    "debian-archive-keyring",
    "dpkg",
    "ksh",
    "mksh",
    "perl-base",
    "sqv",
    "ubuntu-keyring",
    "zsh",
    "zsh-common",
];
/// Directories that go, with everything in them.
const DIRECTORIES: [&str; 9] = [
    "/etc/apt",
    "/etc/dpkg",
    "/usr/lib/apt",
    "/usr/lib/dpkg",
    "/usr/share/dpkg",
    "/var/cache/apt",
    "/var/cache/debconf",
    "/var/lib/apt",
    "/var/lib/dpkg",
];
/// Where scanners look.
const STATUS: &str = "/var/lib/dpkg/status.d";

/// Takes package manager and shells out of a tree.
pub(super) fn strip(
    tree: &mut Tree,
    unpacked: &[Unpacked],
    owners: &BTreeMap<TreePath, usize>,
    packages: &[InstalledPackage],
    epoch: i64,
) -> Result<(), PackagesError> {
    let is_gone = |number: &usize| PACKAGES.contains(&packages[*number].name.as_str());
    let doomed: Vec<&TreePath> = owners.iter().filter(|(_, owner)| is_gone(owner)).map(|(path, _)| path).collect();
    let mut emptied: BTreeSet<TreePath> = BTreeSet::new();
    for path in doomed {
        // The licence of what is gone is nobody's worry, but its file costs little and is looked for.
        if !path.as_bytes().ends_with(b"/copyright") {
            tree.remove(path);
            emptied.extend(path.parent());
        }
    }
    for path in DIRECTORIES {
        tree.remove(&path.parse()?);
    }
    remove_empty(tree, emptied);
    remove_dangling_shells(tree)?;
    let folder: TreePath = STATUS.parse()?;
    for package in unpacked {
        let bytes = package.control_file("control").map_or(&b""[..], |file| &file.bytes);
        let name = control::single("control", bytes)?.get("Package").unwrap_or_default().to_vec();
        if PACKAGES.iter().any(|gone| gone.as_bytes() == name) {
            continue;
        }
        let mut put = |name: Vec<u8>, bytes: Vec<u8>| -> Result<(), PackagesError> {
            let kind = Kind::Regular(Content::inline(bytes));
            tree.insert(folder.join(&name)?, Node { kind, meta: Meta::root_owned(0o644, epoch) })?;
            Ok(())
        };
        let sums = package.control_file("md5sums").map(|file| file.bytes.clone());
        put(name.clone(), bytes.to_vec())?;
        if let Some(sums) = sums {
            put([&name[..], b".md5sums"].concat(), sums)?;
        }
    }
    tree.complete(|_| Meta::root_owned(0o755, epoch));
    Ok(())
}

fn remove_empty(tree: &mut Tree, directories: BTreeSet<TreePath>) {
    // What is deeper comes later.
    for directory in directories.into_iter().rev() {
        let mut path = Some(directory);
        while let Some(empty) = path.take().filter(|path| !path.is_root() && tree.below(path).next().is_none()) {
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
