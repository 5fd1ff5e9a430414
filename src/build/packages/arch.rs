//! Packages of Arch as one tree: put together, set up, and told about.
//!
//! Comes in: a set of packages. Goes out: their tree with the local database of pacman. Always holds: no two packages have one
//! file.

use std::collections::BTreeMap;

use super::host;
use super::rules::Rules;
use super::scripts::Folder;
use super::skip::Skipped;
use super::steps;
use super::unpack::{self, Together};
use super::{InstalledPackage, PackageMaker, PackageSet, PackagesError, accounts, loader};
use crate::packages::archive::Unpacked;
use crate::packages::pacman::archive::unpack_all;
use crate::packages::pacman::database::{Decisions, install};
use crate::packages::pacman::info::Info;
use crate::packages::pacman::scripts::steps as steps_of;
use crate::packages::pacman::skip::skip_scripts;
use crate::store::Store;
use crate::tree::{Meta, Tree, TreePath};

/// Unpacks a set and puts it together.
pub(super) fn together(set: &PackageSet, store: &Store) -> Result<Together, PackagesError> {
    let rules = Rules::of(&set.settings)?;
    let packages = unpack::unpacked(set, store, unpack_all)?;
    let asked_for = set.asked_for();
    let automatic = set.packages.iter().map(|(package, _)| package.name.clone());
    let decisions = Decisions {
        automatic: automatic.filter(|name| !asked_for.contains(name)).collect(),
        unsigned: set.unsigned.clone(),
        links: unpack::links(set, &packages)?,
        epoch: set.epoch,
    };
    let mut tree = install(&packages, &decisions, |path| rules.exclude(path))?;
    unpack::finish(&mut tree, &decisions.links, &rules, set.epoch)?;
    Ok(Together { tree: host::lay(set, tree, &packages)?, packages })
}

/// Runs the scripts of all packages, then the hooks that their installation triggers.
pub(super) fn run(
    maker: &PackageMaker<'_>,
    set: &PackageSet,
    together: &mut Together,
) -> Result<(String, Vec<Folder>), PackagesError> {
    accounts::put(&mut together.tree, set)?;
    let all = steps_of(&together.tree, &together.packages)?;
    let Some(ran) = steps::run(maker, set, &together.tree, &all)? else { return Ok((String::new(), Vec::new())) };
    together.tree = ran.tree;
    Ok((ran.log, vec![ran.folder]))
}

/// Does what it can in place of scripts and hooks.
pub(super) fn skip(set: &PackageSet, together: &mut Together) -> Result<Vec<Skipped>, PackagesError> {
    accounts::put(&mut together.tree, set)?;
    let left = skip_scripts(&mut together.tree, &together.packages, set.epoch)?;
    loader::make_cache(&mut together.tree, set.epoch)?;
    together.tree.complete(|_| Meta::root_owned(0o755, set.epoch));
    Ok(Skipped::of(left))
}

fn info(unpacked: &Unpacked) -> Result<Info<'_>, PackagesError> {
    let bytes = unpacked.control_bytes(".PKGINFO");
    Info::parse(bytes).map_err(PackagesError::Info)
}

/// Returns what the packages say about themselves, sorted by name.
pub(super) fn packages(unpacked: &[Unpacked]) -> Result<Vec<InstalledPackage>, PackagesError> {
    let mut packages = Vec::new();
    for one in unpacked {
        let info = info(one)?;
        let source = if info.base.is_empty() { info.name } else { info.base };
        packages.push(InstalledPackage {
            name: info.name.to_owned(),
            version: info.version.to_owned(),
            architecture: info.architecture.to_owned(),
            source: (source.to_owned(), info.version.to_owned()),
            licences: info.licences.iter().map(|licence| (*licence).to_owned()).collect(),
            file_name: info.name.to_owned(),
            kind: "alpm".to_owned(),
        });
    }
    packages.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(packages)
}

/// Returns which package each path is of that is no directory.
pub(super) fn owners(
    tree: &Tree,
    unpacked: &[Unpacked],
    packages: &[InstalledPackage],
) -> Result<BTreeMap<TreePath, usize>, PackagesError> {
    let mut owners = BTreeMap::new();
    for one in unpacked {
        let name = info(one)?.name;
        let Some(number) = packages.iter().position(|package| package.name == name) else { continue };
        owners.extend(unpack::paths(tree, one).map(|path| (path, number)));
    }
    Ok(owners)
}
