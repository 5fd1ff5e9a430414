//! Files that a package manager writes beside those of packages.

use super::claims::ClaimError;
use crate::tree::{Content, Kind, Meta, Node, Tree, TreePath};

/// Puts files of a database into a tree, owned by root, with one time.
#[derive(Debug)]
pub(super) struct Writer<'tree> {
    pub(super) tree: &'tree mut Tree,
    /// The time of what is made here, in seconds since 1970.
    pub(super) epoch: i64,
}

impl Writer<'_> {
    /// Puts a node at a path, and the directories above it that are missing.
    pub(super) fn node(&mut self, path: &str, node: Node) -> Result<(), ClaimError> {
        let path: TreePath = path.parse()?;
        for above in path.ancestors().collect::<Vec<_>>().into_iter().rev() {
            if self.tree.get(&above).is_none() {
                let meta = Meta::root_owned(0o755, self.epoch);
                self.tree.insert(above, Node { kind: Kind::directory(), meta })?;
            }
        }
        self.tree.insert(path, node)?;
        Ok(())
    }

    /// Puts a directory where there is none.
    pub(super) fn directory(&mut self, path: &str) -> Result<(), ClaimError> {
        if self.tree.get(&path.parse()?).is_some_and(|node| node.kind.is_directory()) {
            return Ok(());
        }
        self.node(path, Node { kind: Kind::directory(), meta: Meta::root_owned(0o755, self.epoch) })
    }

    /// Puts a file.
    pub(super) fn file(&mut self, path: &str, mode: u16, bytes: impl Into<Vec<u8>>) -> Result<(), ClaimError> {
        let kind = Kind::Regular(Content::inline(bytes.into()));
        self.node(path, Node { kind, meta: Meta::root_owned(mode, self.epoch) })
    }
}
