//! Which paths an extension carries.

use crate::tree::{Kind, Meta, Node, Tree, TreeError, TreePath};

/// What an extension carries of a tree.
#[derive(Debug, Default)]
pub struct Carried {
    /// The tree of the extension.
    pub tree: Tree,
    /// What systemd-tmpfiles has to put into /etc, sorted by path.
    pub factory: Vec<FactoryEntry>,
    /// Paths that it cannot carry, sorted; of a directory that is left out whole, only the directory.
    pub left_out: Vec<TreePath>,
}

/// A path of /etc that a system extension brings along in /usr/share/factory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactoryEntry {
    /// The path in /etc.
    pub path: TreePath,
    /// What has to stand there.
    pub node: Node,
}

/// Where a vendor keeps what belongs in /etc: tmpfiles.d(5).
const FACTORY: &str = "usr/share/factory";

/// Takes what belongs into a system extension: everything below /usr and /opt and, with `factory`, the content of /etc as
/// something to be copied. Of the rest, what `counts` is listed.
///
/// # Errors
/// When something stands where content of /etc has to go.
pub fn sysext(tree: &Tree, factory: bool, counts: impl Fn(&TreePath, &Node) -> bool) -> Result<Carried, TreeError> {
    let mut carried = Carried::default();
    for (path, node, first) in tree.links() {
        if is_in(path, b"usr") || is_in(path, b"opt") {
            carried.take(path, node, first)?;
        } else if factory && is_in(path, b"etc") {
            carried.take_into_factory(path, node)?;
        } else if counts(path, node) {
            carried.left_out.push(path.clone());
        }
    }
    carried.finish()
}

/// Takes what belongs into a configuration extension: everything below /etc. Of the rest, what `counts` is listed.
///
/// # Errors
/// Never for a tree in which everything above a path is a directory.
pub fn confext(tree: &Tree, counts: impl Fn(&TreePath, &Node) -> bool) -> Result<Carried, TreeError> {
    let mut carried = Carried::default();
    for (path, node, first) in tree.links() {
        if is_in(path, b"etc") {
            carried.take(path, node, first)?;
        } else if counts(path, node) {
            carried.left_out.push(path.clone());
        }
    }
    carried.finish()
}

/// Tells whether `path` is the directory `top` of the root, or stands below it.
fn is_in(path: &TreePath, top: &[u8]) -> bool {
    path.as_bytes().strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

impl Carried {
    fn take(&mut self, path: &TreePath, node: &Node, first: Option<&TreePath>) -> Result<(), TreeError> {
        match first.filter(|first| self.tree.get(first).is_some()) {
            Some(first) => self.tree.link(path.clone(), first),
            None => self.tree.insert(path.clone(), node.clone()).map(drop),
        }
    }

    /// Puts a node of /etc into the factory. There it is owned by root, as everything that an extension shares with its
    /// host; who owns it in /etc is written down.
    fn take_into_factory(&mut self, path: &TreePath, node: &Node) -> Result<(), TreeError> {
        // systemd-tmpfiles copies neither devices nor extended attributes.
        if !matches!(node.kind, Kind::Regular(_) | Kind::Directory { .. } | Kind::Symlink(_)) {
            self.left_out.push(path.clone());
            return Ok(());
        }
        if let Kind::Regular(_) = node.kind {
            let place = TreePath::from_relative(&[FACTORY.as_bytes(), path.as_bytes()].join(&b'/'));
            let Ok(place) = place else {
                // Too long for Linux with what comes before it.
                self.left_out.push(path.clone());
                return Ok(());
            };
            let meta = Meta { mode: 0o644, uid: 0, gid: 0, ..node.meta.clone() };
            self.tree.insert(place, Node { kind: node.kind.clone(), meta })?;
        }
        if path.as_bytes() != b"etc" {
            self.factory.push(FactoryEntry { path: path.clone(), node: node.clone() });
        }
        Ok(())
    }

    /// Completes the tree and tidies up what is listed: what stands below something that is listed says nothing.
    fn finish(mut self) -> Result<Self, TreeError> {
        let epoch = self.tree.iter().map(|(_, node)| node.meta.mtime).max().unwrap_or_default();
        self.tree.complete(|_| Meta::root_owned(0o755, epoch));
        let mut tops: Vec<TreePath> = Vec::new();
        for path in self.left_out {
            if !tops.last().is_some_and(|top| path.is_below(top)) {
                tops.push(path);
            }
        }
        self.left_out = tops;
        Ok(self)
    }
}
