//! Packages of Alpine as one tree: put together, set up, and told about.
//!
//! Comes in: a set of packages. Goes out: their tree with a database of apk. Always holds: files have the owners that their
//! packages name, made by the scripts that run before an installation.

use std::collections::{BTreeMap, BTreeSet};

use super::host;
use super::rules::Rules;
use super::scripts::{self, Folder};
use super::skip::Skipped;
use super::steps;
use super::unpack::{self, Together};
use super::{InstalledPackage, PackageMaker, PackageSet, PackagesError, accounts};
use crate::packages::apk::archive::unpack_all;
use crate::packages::apk::database::{Decisions, Tool, install, mark_broken, settle};
use crate::packages::apk::info::Info;
use crate::packages::apk::scripts::steps as steps_of;
use crate::packages::apk::skip::{link_busybox, skip_scripts};
use crate::packages::archive::Unpacked;
use crate::store::Store;
use crate::tree::{Kind, Meta, Tree, TreePath};

/// The most bytes of the list of what is installed.
const LIST_BYTES: usize = 256 << 20;

fn decisions(set: &PackageSet, packages: &[Unpacked]) -> Result<Decisions, PackagesError> {
    let old = set.packages.iter().any(|(package, _)| package.name == "apk-tools" && package.version.starts_with("2."));
    Ok(Decisions {
        architecture: set.architecture.clone(),
        world: if set.world.is_empty() { set.asked_for() } else { set.world.clone() },
        tags: set.tags.clone(),
        repositories: set.repositories.clone(),
        keys: set.keys.clone().into_iter().collect(),
        tool: if old { Tool::Two } else { Tool::Three },
        links: unpack::links(set, packages)?,
        epoch: set.epoch,
    })
}

/// Unpacks a set and puts it together.
pub(super) fn together(set: &PackageSet, store: &Store) -> Result<Together, PackagesError> {
    let rules = Rules::of(&set.settings)?;
    let packages = unpack::unpacked(set, store, unpack_all)?;
    let decisions = decisions(set, &packages)?;
    let mut tree = install(&packages, &decisions, |path| rules.exclude(path))?;
    unpack::finish(&mut tree, &decisions.links, &rules, set.epoch)?;
    Ok(Together { tree: host::lay(set, tree, &packages)?, packages })
}

/// Runs the scripts of all packages: those that make accounts, then, with the owners that files have now, the others.
pub(super) fn run(
    maker: &PackageMaker<'_>,
    set: &PackageSet,
    together: &mut Together,
) -> Result<(String, Vec<Folder>), PackagesError> {
    let Together { tree, packages } = together;
    let decisions = decisions(set, packages)?;
    accounts::put(tree, set)?;
    // Scripts call `adduser`, a name that busybox gets only when its own script runs.
    link_busybox(tree, set.epoch)?;
    let steps_of = steps_of(packages, &decisions.world)?;
    let (mut log, mut folders, mut broken) = (String::new(), Vec::new(), BTreeSet::new());
    for (number, all) in [&steps_of.before, &steps_of.after].into_iter().enumerate() {
        if let Some(ran) = steps::run(maker, set, tree, all)? {
            let scripts::Ran { tree: ran, log: text, folder, failed } = ran;
            *tree = ran;
            broken.extend(failed);
            log.push_str(&text);
            folders.push(folder);
        }
        if number == 0 {
            settle(tree, packages, &decisions)?;
        }
    }
    mark_broken(tree, &broken)?;
    Ok((log, folders))
}

/// Does what it can in place of the scripts.
pub(super) fn skip(set: &PackageSet, together: &mut Together) -> Result<Vec<Skipped>, PackagesError> {
    let decisions = decisions(set, &together.packages)?;
    accounts::put(&mut together.tree, set)?;
    let left = skip_scripts(&mut together.tree, &together.packages, &decisions)?;
    together.tree.complete(|_| Meta::root_owned(0o755, set.epoch));
    Ok(Skipped::of(left))
}

/// Returns what the packages say about themselves, sorted by name.
pub(super) fn packages(unpacked: &[Unpacked]) -> Result<Vec<InstalledPackage>, PackagesError> {
    let mut packages = Vec::new();
    for one in unpacked {
        let bytes = one.control_bytes(".PKGINFO");
        let info = Info::parse(bytes).map_err(PackagesError::Info)?;
        let source = if info.origin.is_empty() { info.name } else { info.origin };
        packages.push(InstalledPackage {
            name: info.name.to_owned(),
            version: info.version.to_owned(),
            architecture: info.architecture.to_owned(),
            source: (source.to_owned(), info.version.to_owned()),
            licences: Some(info.licence.to_owned()).filter(|licence| !licence.is_empty()).into_iter().collect(),
            file_name: info.name.to_owned(),
            kind: "apk".to_owned(),
        });
    }
    packages.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(packages)
}

/// Returns which package each path is of that is no directory, by the list of apk.
pub(super) fn owners(
    tree: &Tree,
    unpacked: &[Unpacked],
    packages: &[InstalledPackage],
    set: &PackageSet,
) -> Result<BTreeMap<TreePath, usize>, PackagesError> {
    let mut owners = BTreeMap::new();
    if set.host.is_some() {
        // The list is that of the host.
        for one in unpacked {
            let bytes = one.control_bytes(".PKGINFO");
            let name = Info::parse(bytes).map_err(PackagesError::Info)?.name;
            let Some(number) = packages.iter().position(|package| package.name == name) else { continue };
            owners.extend(unpack::paths(tree, one).map(|path| (path, number)));
        }
        return Ok(owners);
    }
    let list = tree.lookup(&"/lib/apk/db/installed".parse()?).map(|node| &node.kind);
    let Some(Kind::Regular(content)) = list else { return Ok(owners) };
    let bytes = content.read(LIST_BYTES)?.unwrap_or_default();
    let (mut package, mut folder) = (None, None);
    for line in bytes.split(|&byte| byte == b'\n') {
        match line {
            [b'P', b':', name @ ..] => {
                package = packages.iter().position(|package| package.name.as_bytes() == name);
            }
            [b'F', b':', path @ ..] => {
                folder = TreePath::from_relative(path).ok().and_then(|path| tree.follow(&path));
            }
            [b'R', b':', name @ ..] => {
                let path = folder.as_ref().and_then(|folder: &TreePath| folder.join(name).ok());
                if let (Some(package), Some(path)) = (package, path.filter(|path| tree.get(path).is_some())) {
                    owners.insert(path, package);
                }
            }
            _ => {}
        }
    }
    Ok(owners)
}
