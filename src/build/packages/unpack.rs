//! Packages as one tree with a database of dpkg.
//!
//! Comes in: a set of packages. Goes out: their tree, before any script, and what each package says about itself. Always
//! holds: a package is looked at when its length and digest are those of the lock, and decompressed once.

use std::path::Path;

use super::dpkg::Decided;
use super::host;
use super::rules::Rules;
use super::{PackageSet, PackagesError, is_asked_for};
use crate::packages::apt::archive::unpack_all;
use crate::packages::apt::database::{Decisions, install};
use crate::packages::archive::{ArchiveError, Fetched, Item, Unpacked};
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

/// Tells whether a package has scripts.
pub(super) fn has_scripts(package: &Unpacked) -> bool {
    SCRIPTS.iter().any(|name| package.control_file(name).is_some())
}

/// Unpacks the packages of a set with what its family has for that.
pub(super) fn unpacked(
    set: &PackageSet,
    store: &Store,
    unpack_all: impl Fn(&[Fetched], &Path) -> Result<Vec<Unpacked>, ArchiveError>,
) -> Result<Vec<Unpacked>, PackagesError> {
    let fetched: Vec<Fetched> = set
        .packages
        .iter()
        .map(|(package, path)| Fetched { path: path.clone(), size: package.size, digest: package.sha256 })
        .collect();
    let packs = store.packs();
    let packages = unpack_all(&fetched, &packs)?;
    let used: Vec<_> = fetched.iter().map(|package| packs.join(package.digest.hex())).collect();
    store.used_packs(used.iter().map(|path| &**path))?;
    Ok(packages)
}

/// Unpacks the packages of a set as those of Debian are.
pub(super) fn packages(set: &PackageSet, store: &Store) -> Result<Vec<Unpacked>, PackagesError> {
    unpacked(set, store, unpack_all)
}

/// Unpacks a set and puts it together; what is decided before is in force.
pub(super) fn together(set: &PackageSet, store: &Store, decided: Decided) -> Result<Together, PackagesError> {
    let packages = packages(set, store)?;
    Ok(Together { tree: over(set, &packages, decided)?, packages })
}

/// Puts packages of a set together. Over a host that one has decided.
pub(super) fn over(set: &PackageSet, packages: &[Unpacked], decided: Decided) -> Result<Tree, PackagesError> {
    let rules = Rules::of(&set.settings)?;
    let Decided { diversions, overrides } = match &set.host {
        Some(host) => Decided::of(&host.tree)?,
        None => decided,
    };
    let asked_for = |name: &str| set.packages.iter().any(|(package, _)| package.name == name && is_asked_for(package));
    let automatic = set.packages.iter().map(|(package, _)| package.name.clone()).filter(|name| !asked_for(name));
    let decisions = Decisions {
        architecture: set.architecture.clone(),
        configured: set.settings.scripts == Scripts::Skip || !packages.iter().any(has_scripts),
        links: links(set, packages)?,
        automatic: automatic.collect(),
        diversions,
        overrides,
        epoch: set.epoch,
    };
    let mut tree = install(packages, &decisions, |path| rules.exclude(path))?;
    finish(&mut tree, &decisions.links, &rules, set.epoch)?;
    let settings = TreePath::from_absolute(b"/etc/dpkg/dpkg.cfg.d")?;
    if let Some(text) = rules.configuration().filter(|_| tree.get(&settings).is_some()) {
        let kind = Kind::Regular(Content::inline(text.into_bytes()));
        let path = settings.join(b"50layerforge")?;
        tree.insert(path, Node { kind, meta: Meta::root_owned(0o644, set.epoch) })?;
    }
    put_sources(&mut tree, set)?;
    host::lay(set, tree, packages)
}

/// Tells apt where packages come from, where no package does.
fn put_sources(tree: &mut Tree, set: &PackageSet) -> Result<(), PackagesError> {
    let sources = set.sources.iter().filter(|_| !set.settings.distroless);
    for (path, bytes) in sources {
        let path: TreePath = path.parse()?;
        if tree.lookup(&path).is_some() {
            continue;
        }
        let kind = Kind::Regular(Content::inline(bytes.clone()));
        tree.insert(path, Node { kind, meta: Meta::root_owned(0o644, set.epoch) })?;
    }
    tree.complete(|_| Meta::root_owned(0o755, set.epoch));
    Ok(())
}

/// Makes what links lead to, and removes what rules have emptied.
pub(super) fn finish(tree: &mut Tree, links: &[Link], rules: &Rules, epoch: i64) -> Result<(), PackagesError> {
    for (_, target) in links {
        let target = TreePath::from_relative(target)?;
        if tree.get(&target).is_none() {
            tree.insert(target, Node { kind: Kind::directory(), meta: Meta::root_owned(0o755, epoch) })?;
        }
    }
    remove_empty(tree, rules);
    Ok(())
}

/// Returns where what a package has is in a tree, but for directories.
pub(super) fn paths<'run>(tree: &'run Tree, package: &'run Unpacked) -> impl Iterator<Item = TreePath> + 'run {
    package.entries.iter().filter(|entry| !entry.is_directory()).filter_map(|entry| {
        let real = tree.follow(&entry.path.parent()?)?;
        real.join(entry.path.name()?).ok().filter(|path| tree.get(path).is_some())
    })
}

/// A path, and what a link there holds.
pub(super) type Link = (TreePath, Box<[u8]>);

/// Returns the links of a merged `/usr` that no package has, as far as packages have something behind them.
pub(super) fn links(set: &PackageSet, packages: &[Unpacked]) -> Result<Vec<Link>, PackagesError> {
    if let Some(host) = &set.host {
        return Ok(host::links(host, packages));
    }
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
