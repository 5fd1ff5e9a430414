//! What a host has already need not be carried.

use crate::tree::{Kind, Meta, Node, Tree, TreeError, TreePath};

/// A tree without what its base has.
#[derive(Debug)]
pub struct Subtracted {
    /// What is left, with the directories above it.
    pub tree: Tree,
    /// Paths that the base has with other content or metadata, sorted: they hide those of the base.
    pub changed: Vec<TreePath>,
}

/// Takes out of `tree` what `base` has at the same path with the same content, owner, mode and attributes. Times do not
/// count. Directories stay only for what is left in them, and with the metadata of `tree`.
///
/// # Errors
/// Never for a tree in which everything above a path is a directory.
pub fn subtract(tree: &Tree, base: &Tree) -> Result<Subtracted, TreeError> {
    let mut left = Tree::new();
    let mut changed = Vec::new();
    for (path, node, first) in tree.links() {
        let known = base.get(path);
        if known.is_some_and(|known| is_same(known, node)) {
            continue;
        }
        if known.is_some() && !path.is_root() {
            changed.push(path.clone());
        }
        match first.filter(|first| left.get(first).is_some()) {
            Some(first) => left.link(path.clone(), first)?,
            None => drop(left.insert(path.clone(), node.clone())?),
        }
    }
    // A directory that is as the base has it is still needed above what is not.
    left.complete(|path| tree.get(path).map_or_else(|| Meta::root_owned(0o755, 0), |node| node.meta.clone()));
    Ok(Subtracted { tree: left, changed })
}

fn is_same(one: &Node, other: &Node) -> bool {
    let without_time = |meta: &Meta| Meta { mtime: 0, ..meta.clone() };
    let same_kind = match (&one.kind, &other.kind) {
        (Kind::Directory { .. }, Kind::Directory { opaque }) => !opaque,
        (one, other) => one == other,
    };
    same_kind && (matches!(one.kind, Kind::Symlink(_)) || without_time(&one.meta) == without_time(&other.meta))
}
