//! What a system extension adds to the packages of its host.
//!
//! Comes in: the packages of the host as a tree, those with what the extension adds, the layers. Goes out: [`Added`], the paths
//! that are new or different. Always holds: nothing of a package manager is among them, and nothing that every host makes of
//! all its packages together; what no extension can carry is told.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::packages::{InstalledPackage, PackageTree};
use super::{BuildError, Stacked};
use crate::image::{self, Subtracted};
use crate::lock::Bundle;
use crate::tree::{Kind, Meta, Node, Tree, TreePath};

/// The most bytes of a list of accounts.
const ACCOUNTS: usize = 4 << 20;

/// What a system extension with packages is made from.
#[derive(Debug)]
pub struct OverHost {
    /// The packages of the host.
    pub(super) host: Arc<PackageTree>,
    /// The layers, over the packages of the host and those of the extension.
    pub(super) stacked: Stacked,
}

/// What is new or different over a host.
#[derive(Debug)]
pub(super) struct Added {
    /// Its tree.
    pub(super) tree: Tree,
    /// Paths of packages that no extension can carry, and those of the host that packages would change and cannot; of a
    /// directory that is left out whole, only the directory.
    pub(super) left_out: Vec<TreePath>,
    /// Paths of the host that it hides.
    pub(super) hides: Vec<TreePath>,
    /// Accounts that packages made and the host does not have, sorted.
    pub(super) accounts: BTreeSet<String>,
}

impl Stacked {
    /// Lays the layers over the packages of a host and those of an extension as well: a system extension with packages is
    /// made from that. `whole` has both; `bundle` is what the lock says about those of the extension.
    ///
    /// # Errors
    /// When the layers do not fit over the packages.
    pub fn with_host(
        mut self,
        host: Arc<PackageTree>,
        whole: Arc<PackageTree>,
        bundle: Arc<Bundle>,
        epoch: i64,
    ) -> Result<Self, BuildError> {
        let stacked = Self {
            tree: self.over(&whole.tree, epoch)?,
            origins: self.origins.clone(),
            removed: self.removed.clone(),
            stack: self.stack.clone(),
            base: None,
            whole: None,
            packages: Some(whole),
            bundle: Some(bundle),
            over_packages: None,
            over_host: None,
        };
        self.over_host = Some(Box::new(OverHost { host, stacked }));
        Ok(self)
    }
}

impl OverHost {
    /// Returns the packages that the extension adds to those of its host, sorted by name.
    pub(super) fn packages(&self) -> Vec<&InstalledPackage> {
        let whole = self.stacked.packages.iter().flat_map(|whole| &whole.packages);
        let is_of_host = |package: &&InstalledPackage| {
            self.host.packages.binary_search_by(|known| known.name.cmp(&package.name)).is_ok()
        };
        whole.filter(|package| !is_of_host(package)).collect()
    }

    /// Returns what the extension adds to its host.
    ///
    /// # Errors
    /// When a list of accounts cannot be read.
    pub(super) fn added(&self) -> Result<Added, BuildError> {
        let Self { host, stacked } = self;
        let mut seen = stacked.tree.clone();
        settle_alternatives(&mut seen, &host.tree)?;
        let Subtracted { tree: different, changed } = image::subtract(&seen, &host.tree)?;
        let changed: BTreeSet<TreePath> = changed.into_iter().collect();
        let mut added = Added {
            tree: Tree::new(),
            left_out: Vec::new(),
            hides: Vec::new(),
            accounts: new_accounts(&seen, &host.tree)?,
        };
        for (path, node, first) in different.links() {
            let is_led_through = node.kind.is_directory() && !changed.contains(path) && host.tree.get(path).is_some();
            if is_led_through {
                continue;
            }
            let of_layer = stacked.origins.contains_key(path);
            if !of_layer && (is_shared(path) || is_of_package_manager(path)) {
                continue;
            }
            // In /etc the host keeps what it has.
            let is_carried = is_in(path, "usr") || is_in(path, "opt") || is_in(path, "etc") && !changed.contains(path);
            if !of_layer && !is_carried {
                let told = added.left_out.last().is_some_and(|top: &TreePath| path.is_below(top));
                let is_of_host = node.kind.is_directory() && changed.contains(path);
                if !(told || is_of_host || is_account_list(path)) {
                    added.left_out.push(path.clone());
                }
                continue;
            }
            if changed.contains(path) && !node.kind.is_directory() {
                added.hides.push(path.clone());
            }
            match first.filter(|first| added.tree.get(first).is_some()) {
                Some(first) => added.tree.link(path.clone(), first)?,
                None => drop(added.tree.insert(path.clone(), node.clone())?),
            }
        }
        added.tree.complete(|path| seen.get(path).map_or_else(|| Meta::root_owned(0o755, 0), |node| node.meta.clone()));
        Ok(added)
    }
}

/// Makes links of the packages to `/etc/alternatives` that the host does not have lead to where those lead: it has nothing
/// there, and a merge puts nothing there (systemd-sysext(8)).
fn settle_alternatives(tree: &mut Tree, host: &Tree) -> Result<(), BuildError> {
    let alternatives: TreePath = "/etc/alternatives".parse()?;
    let mut settled = Vec::new();
    for (path, node) in tree.iter().filter(|(path, _)| host.get(path).is_none()) {
        let Kind::Symlink(target) = &node.kind else { continue };
        let Ok(target) = TreePath::from_absolute(target) else { continue };
        if !target.is_below(&alternatives) || host.get(&target).is_some() {
            continue;
        }
        if let Some(Node { kind: Kind::Symlink(real), .. }) = tree.get(&target)
            && real.starts_with(b"/")
        {
            settled.push((path.clone(), real.clone()));
        }
    }
    for (path, real) in settled {
        if let Some(node) = tree.get_mut(&path) {
            node.kind = Kind::Symlink(real);
        }
    }
    let links: Vec<TreePath> = tree.below(&alternatives).map(|(path, _)| path.clone()).collect();
    for link in links.iter().filter(|link| host.get(link).is_none()) {
        tree.remove(link);
    }
    if host.get(&alternatives).is_none() && tree.below(&alternatives).next().is_none() {
        tree.remove(&alternatives);
    }
    Ok(())
}

/// Tells whether a file is made from all that is installed: that of an extension would replace that of its host.
fn is_shared(path: &TreePath) -> bool {
    const FILES: [&str; 10] = [
        "etc/ld.so.cache",
        "usr/lib/locale/locale-archive",
        "usr/lib/udev/hwdb.bin",
        "etc/udev/hwdb.bin",
        "usr/share/applications/mimeinfo.cache",
        "usr/share/glib-2.0/schemas/gschemas.compiled",
        "usr/share/info/dir",
        "usr/share/info/dir.old",
        "usr/share/mime/mime.cache",
        "usr/lib/systemd/catalog/database",
    ];
    const MIME: [&str; 10] = [
        "XMLnamespaces",
        "aliases",
        "generic-icons",
        "globs",
        "globs2",
        "icons",
        "magic",
        "subclasses",
        "treemagic",
        "types",
    ];
    let Ok(text) = std::str::from_utf8(path.as_bytes()) else { return false };
    let (folder, name) = text.rsplit_once('/').unwrap_or(("", text));
    FILES.contains(&text)
        || folder == "usr/share/mime" && MIME.contains(&name)
        || folder.starts_with("usr/share/icons/") && name == "icon-theme.cache"
        || folder.starts_with("usr/lib/modules/") && name.starts_with("modules.")
        || name == "giomodule.cache"
        || name == "loaders.cache" && folder.contains("/gdk-pixbuf-2.0/")
}

/// Tells whether a path is of the database or the caches of a package manager.
fn is_of_package_manager(path: &TreePath) -> bool {
    const TOPS: [&str; 17] = [
        "var/lib/dpkg",
        "var/lib/apt",
        "var/cache/apt",
        "var/log",
        "var/cache/debconf",
        "var/cache/ldconfig",
        // apk, whose database was in /lib/apk before version 3.
        "lib/apk",
        "usr/lib/apk/db",
        "etc/apk/arch",
        "etc/apk/repositories",
        "etc/apk/world",
        "var/lib/apk",
        "var/cache/apk",
        "var/cache/misc",
        // pacman
        "var/lib/pacman",
        "var/cache/pacman",
        "etc/pacman.d/gnupg",
    ];
    TOPS.iter().any(|top| is_in(path, top))
}

/// Tells whether a path is a list of accounts; what is new in those is told by name.
fn is_account_list(path: &TreePath) -> bool {
    const LISTS: [&[u8]; 6] =
        [b"etc/passwd", b"etc/group", b"etc/shadow", b"etc/gshadow", b"etc/subuid", b"etc/subgid"];
    let path = path.as_bytes();
    LISTS.iter().any(|list| path == *list || path.strip_suffix(b"-").is_some_and(|path| path == *list))
}

/// Returns the users and groups that only the first tree has.
fn new_accounts(tree: &Tree, host: &Tree) -> Result<BTreeSet<String>, BuildError> {
    let names = |tree: &Tree| -> Result<BTreeSet<String>, BuildError> {
        let mut names = BTreeSet::new();
        for list in ["/etc/passwd", "/etc/group"] {
            let Some(Node { kind: Kind::Regular(content), .. }) = tree.get(&list.parse()?) else { continue };
            let text = content.read(ACCOUNTS)?.unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            names.extend(text.lines().filter_map(|line| Some(line.split_once(':')?.0.to_owned())));
        }
        Ok(names)
    };
    let known = names(host)?;
    Ok(names(tree)?.into_iter().filter(|name| !known.contains(name)).collect())
}

fn is_in(path: &TreePath, top: &str) -> bool {
    path.as_bytes().strip_prefix(top.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}
