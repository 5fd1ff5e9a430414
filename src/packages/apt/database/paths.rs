//! Directories that are links to others: `/bin` of a merged `/usr`.
//!
//! dpkg never replaces a link to a directory by a directory, but writes through it. Here the order of packages does not
//! matter: a link to a directory counts as if it had been there first.

use std::collections::{BTreeMap, BTreeSet};

use super::Decisions;
use super::selection::Package;
use crate::packages::apt::archive::Item;
use crate::packages::claims::ClaimError;
use crate::tree::{Kind, TreePath};

/// Links that are followed one after the other, as on Linux.
const MOST_LINKS: usize = 40;

/// Links to directories, with the directories they lead to.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    links: BTreeMap<TreePath, TreePath>,
}

impl Aliases {
    pub(super) fn of(packages: &[Package<'_>], decisions: &Decisions) -> Result<Self, ClaimError> {
        let entries = || packages.iter().flat_map(|package| &package.unpacked.entries);
        let mut directories: BTreeSet<&[u8]> = BTreeSet::new();
        for entry in entries() {
            if matches!(&entry.item, Item::Node(kind) if kind.is_directory()) {
                directories.insert(entry.path.as_bytes());
            }
            // Most have the directory of the one before.
            let _known = entry.path.above().find(|above| !directories.insert(above));
        }
        let own = entries().filter_map(|entry| match &entry.item {
            Item::Node(Kind::Symlink(target)) => Some((&entry.path, target)),
            _ => None,
        });
        let given = decisions.links.iter().map(|(path, target)| (path, target));
        let mut links = BTreeMap::new();
        for (path, target) in own.chain(given) {
            // A link beside which nobody has a directory needs no care.
            if !directories.contains(path.as_bytes()) {
                continue;
            }
            let Some(target) = lead(path, target)? else { continue };
            if directories.contains(target.as_bytes()) || decisions.links.iter().any(|(link, _)| link == path) {
                links.insert(path.clone(), target);
            }
        }
        Ok(Self { links })
    }

    /// Returns where a path really is. The last name is followed only for a directory.
    pub(super) fn real(&self, path: &TreePath, directory: bool) -> Result<TreePath, ClaimError> {
        let mut path = path.clone();
        if self.links.is_empty() {
            return Ok(path);
        }
        for _ in 0..MOST_LINKS {
            let own = (directory && self.links.contains_key(&path)).then(|| path.clone());
            let above = || path.ancestors().find(|above| self.links.contains_key(above));
            let Some(link) = own.or_else(above) else { return Ok(path) };
            let rest = &path.as_bytes()[link.as_bytes().len()..];
            let whole = [self.links[&link].as_bytes(), rest].concat();
            path = TreePath::from_relative(whole.strip_prefix(b"/").unwrap_or(&whole))?;
        }
        Ok(path)
    }
}

/// Returns the path that a link leads to; nothing when it leaves the root.
fn lead(path: &TreePath, target: &[u8]) -> Result<Option<TreePath>, ClaimError> {
    let parent = path.parent().unwrap_or_else(TreePath::root);
    let start = if target.first() == Some(&b'/') { &b""[..] } else { parent.as_bytes() };
    let mut names: Vec<&[u8]> = start.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).collect();
    for name in target.split(|&byte| byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." if names.pop().is_none() => return Ok(None),
            b".." => {}
            name => names.push(name),
        }
    }
    Ok(Some(TreePath::from_relative(&names.join(&b'/'))?))
}
