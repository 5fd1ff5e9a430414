//! Packages as one tree with a database of dpkg.
//!
//! Comes in: a set of packages. Goes out: their tree, before any script, and what each package says about itself. Always
//! holds: a package is looked at when its length and digest are those of the lock, and decompressed once.

use super::rules::Rules;
use super::{PackageSet, PackagesError, is_asked_for};
use crate::packages::apt::archive::{Fetched, Item, Unpacked, unpack_all};
use crate::packages::apt::database::{Decisions, install};
use crate::spec::Scripts;
use crate::store::Store;
use crate::tree::{Content, Kind, Meta, Node, Tree, TreePath};

/// What packages are before their scripts have run.
#[derive(Debug)]
pub(super) struct Together {
    pub(super) tree: Tree,
    pub(super) packages: Vec<Unpacked>,
}

/// The scripts that change a system that a package is installed into.
const SCRIPTS: [&str; 3] = ["preinst", "postinst", "config"];

/// Returns the first package that has a script, by the order of the packages.
pub(super) fn has_scripts(packages: &[Unpacked]) -> Option<&Unpacked> {
    packages.iter().find(|package| SCRIPTS.iter().any(|name| package.control_file(name).is_some()))
}

/// Unpacks a set and puts it together.
pub(super) fn together(set: &PackageSet, store: &Store) -> Result<Together, PackagesError> {
    let rules = Rules::of(&set.settings)?;
    let fetched: Vec<Fetched> = set
        .packages
        .iter()
        .map(|(package, path)| Fetched { path: path.clone(), size: package.size, digest: package.sha256 })
        .collect();
    let packs = store.packs();
    let packages = unpack_all(&fetched, &packs)?;
    let used: Vec<_> = fetched.iter().map(|package| packs.join(package.digest.hex())).collect();
    store.used_packs(used.iter().map(|path| &**path))?;
    let asked_for = |name: &str| set.packages.iter().any(|(package, _)| package.name == name && is_asked_for(package));
    let automatic = set.packages.iter().map(|(package, _)| package.name.clone()).filter(|name| !asked_for(name));
    let decisions = Decisions {
        architecture: set.architecture.clone(),
        configured: set.settings.scripts == Scripts::Skip || has_scripts(&packages).is_none(),
        links: links(set, &packages)?,
        automatic: automatic.collect(),
        epoch: set.epoch,
        ..Decisions::default()
    };
    let mut tree = install(&packages, &decisions, |path| rules.exclude(path))?;
    for (_, target) in &decisions.links {
        let target = TreePath::from_relative(target)?;
        if tree.get(&target).is_none() {
            tree.insert(target, Node { kind: Kind::directory(), meta: Meta::root_owned(0o755, set.epoch) })?;
        }
    }
    remove_empty(&mut tree, &rules);
    let settings = TreePath::from_absolute(b"/etc/dpkg/dpkg.cfg.d")?;
    if let Some(text) = rules.configuration().filter(|_| tree.get(&settings).is_some()) {
        let kind = Kind::Regular(Content::inline(text.into_bytes()));
        let path = settings.join(b"50layerforge")?;
        tree.insert(path, Node { kind, meta: Meta::root_owned(0o644, set.epoch) })?;
    }
    Ok(Together { tree, packages })
}

/// A path, and what a link there holds.
type Link = (TreePath, Box<[u8]>);

/// Returns the links of a merged `/usr` that no package has, as far as packages have something behind them.
fn links(set: &PackageSet, packages: &[Unpacked]) -> Result<Vec<Link>, PackagesError> {
    let mut links = Vec::new();
    for (path, target) in &set.links {
        let path: TreePath = path.parse()?;
        let behind = TreePath::from_relative(target.as_bytes())?;
        let entries = || packages.iter().flat_map(|package| &package.entries);
        let is_link = |item: &Item| matches!(item, Item::Node(Kind::Symlink(_)));
        let brought = entries().any(|entry| entry.path == path && is_link(&entry.item));
        let used = entries().any(|entry| entry.path.is_below(&path) || entry.path.is_below(&behind));
        if used && !brought {
            links.push((path, target.as_bytes().into()));
        }
    }
    Ok(links)
}

/// Removes the directories that rules leave out and that nothing was put into.
fn remove_empty(tree: &mut Tree, rules: &Rules) {
    let directories = tree.iter().filter(|(path, node)| node.kind.is_directory() && rules.exclude_empty(path));
    let directories: Vec<TreePath> = directories.map(|(path, _)| path.clone()).collect();
    // What is deeper comes later.
    for path in directories.into_iter().rev() {
        if tree.below(&path).next().is_none() {
            tree.remove(&path);
        }
    }
}
