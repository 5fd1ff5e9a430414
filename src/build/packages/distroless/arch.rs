//! What goes of Arch and its derivatives: pacman with libalpm and its keys and hooks, shells. The local database stays, without
//! what is gone and without the scripts of packages.

use super::{Gone, Lists};
use crate::build::packages::{InstalledPackage, PackagesError};
use crate::tree::{Tree, TreePath};

pub(super) const GONE: Gone = Gone {
    packages: &[
        "archlinux-keyring",
        "bash",
        "busybox",
        "dash",
        "elvish",
        "fish",
        "ksh",
        "mksh",
        "nushell",
        "pacman",
        "pacman-contrib",
        "pacman-mirrorlist",
        "tcsh",
        "yash",
        "zsh",
    ],
    directories: &["/etc/pacman.d", "/usr/share/libalpm", "/usr/share/pacman", "/var/cache/pacman", "/var/lib/pacman"],
};
/// Where scanners look.
const LOCAL: &str = "/var/lib/pacman/local";

/// Returns what the database says about each package that stays.
pub(super) fn lists(tree: &Tree, packages: &[InstalledPackage]) -> Result<Lists, PackagesError> {
    let local: TreePath = LOCAL.parse()?;
    let gone = packages.iter().filter(|package| GONE.has(&package.name));
    let gone: Vec<TreePath> = gone
        .map(|package| local.join(format!("{}-{}", package.name, package.version).as_bytes()))
        .collect::<Result<_, _>>()?;
    let stays = |path: &TreePath| {
        path.name() != Some(b"install") && !gone.iter().any(|directory| path == directory || path.is_below(directory))
    };
    Ok(tree.below(&local).filter(|(path, _)| stays(path)).map(|(path, node)| (path.clone(), node.clone())).collect())
}
