//! The database of dpkg in a tree whose packages are not all set up yet.
//!
//! Comes in: a tree. Goes out: what stands in files of its database, and changed ones. Always holds: a file that is not there is
//! an empty one.

use std::collections::BTreeSet;

use super::PackagesError;
use crate::packages::accounts::Accounts;
use crate::packages::apt::database::{Diversion, StatOverride};
use crate::tree::{Content, Kind, Meta, Node, Tree, TreePath};

/// The most bytes of a file of a database.
const FILE_BYTES: usize = 256 << 20;
/// Where the database is.
const FOLDER: &str = "/var/lib/dpkg";

/// Returns the path of something in the database.
pub(super) fn path(name: &str) -> Result<TreePath, PackagesError> {
    Ok(format!("{FOLDER}/{name}").parse()?)
}

/// Tells whether a path is of the database, and what its rest is.
pub(super) fn name(path: &TreePath) -> Option<String> {
    let text = path.to_string();
    let rest = text.strip_prefix(FOLDER)?;
    if rest.is_empty() { Some(String::new()) } else { rest.strip_prefix('/').map(str::to_owned) }
}

/// Returns what stands in a file of the database.
pub(super) fn read(tree: &Tree, name: &str) -> Result<Vec<u8>, PackagesError> {
    match tree.lookup(&path(name)?) {
        Some(Node { kind: Kind::Regular(content), .. }) => Ok(content.read(FILE_BYTES)?.unwrap_or_default()),
        _ => Ok(Vec::new()),
    }
}

/// Returns the lines of a file of the database.
pub(super) fn lines(tree: &Tree, name: &str) -> Result<Vec<String>, PackagesError> {
    Ok(String::from_utf8_lossy(&read(tree, name)?).lines().map(str::to_owned).collect())
}

/// Writes a file of the database.
pub(super) fn write(tree: &mut Tree, name: &str, bytes: Vec<u8>, epoch: i64) -> Result<(), PackagesError> {
    let node = Node { kind: Kind::Regular(Content::inline(bytes)), meta: Meta::root_owned(0o644, epoch) };
    tree.insert(path(name)?, node)?;
    tree.complete(|_| Meta::root_owned(0o755, epoch));
    Ok(())
}

/// What a system has decided about files of packages, whatever these say.
#[derive(Debug, Default)]
pub(super) struct Decided {
    pub(super) diversions: Vec<Diversion>,
    pub(super) overrides: Vec<StatOverride>,
}

impl Decided {
    /// Reads what is decided in a tree.
    pub(super) fn of(tree: &Tree) -> Result<Self, PackagesError> {
        Ok(Self { diversions: diversions(tree)?, overrides: overrides(tree)? })
    }

    /// Tells whether nothing is decided.
    pub(super) fn is_empty(&self) -> bool {
        self.diversions.is_empty() && self.overrides.is_empty()
    }
}

/// Returns the diversions in a tree (dpkg-divert(1)): three lines each, the path, where files go, and whose it is.
fn diversions(tree: &Tree) -> Result<Vec<Diversion>, PackagesError> {
    let mut diversions = Vec::new();
    for three in lines(tree, "diversions")?.chunks_exact(3) {
        let package = Some(three[2].clone()).filter(|package| package != ":");
        diversions.push(Diversion { path: three[0].parse()?, to: three[1].parse()?, package });
    }
    Ok(diversions)
}

/// Returns owners and modes that the administrator of a system has decided (dpkg-statoverride(1)).
fn overrides(tree: &Tree) -> Result<Vec<StatOverride>, PackagesError> {
    let accounts = Accounts::of(tree)?;
    let number = |name: &str, known: Option<u32>| name.strip_prefix('#').map_or(known, |number| number.parse().ok());
    let mut overrides = Vec::new();
    for line in lines(tree, "statoverride")? {
        let fault = || PackagesError::Info(format!("in `statoverride`: cannot take `{}`", line.escape_debug()));
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let [user, group, mode, path] = words[..] else { return Err(fault()) };
        let (uid, gid) = (number(user, accounts.user(user)), number(group, accounts.group(group)));
        let (Some(uid), Some(gid), Ok(mode)) = (uid, gid, u16::from_str_radix(mode, 8)) else { return Err(fault()) };
        overrides.push(StatOverride { path: path.parse()?, uid, gid, mode });
    }
    Ok(overrides)
}

/// Returns the lines of `triggers/Unincorp` that tell packages of a tree about files that were unpacked since they were set
/// up (deb-triggers(5)): those of the paths that they want to hear of and at or below which `has` says that there is one.
pub(super) fn activated(tree: &Tree, has: impl Fn(&TreePath) -> bool) -> Result<Vec<u8>, PackagesError> {
    let interests = lines(tree, "triggers/File")?;
    let paths: BTreeSet<TreePath> = interests.iter().filter_map(|line| line.split(' ').next()?.parse().ok()).collect();
    let active = paths.iter().filter(|path| has(path) || tree.follow(path).is_some_and(|real| has(&real)));
    Ok(active.map(|path| format!("{path} -\n")).collect::<String>().into_bytes())
}
