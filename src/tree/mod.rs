//! A root filesystem in memory.
//!
//! Comes in: entries of layers, directories of the host, tar archives. Goes out: a [`Tree`], which every output is
//! written from. Always holds: owners, modes, links and extended attributes are exact, whoever runs the program; what
//! stands above a path is a directory; the bytes of large files stay where they are.

mod canonical;
mod diff;
mod lookup;
mod node;
mod overlay;
mod path;
mod scan;
mod tar;
mod xattrs;

use std::collections::BTreeMap;

pub use diff::{Aspect, Change, ChangeKind, Difference, diff, diff_without_times};
pub use node::{Content, ContentReader, ContentSource, ContentStore, DeviceNumber, Kind, Meta, Node, Xattrs};
pub use overlay::{Merged, Stack, StackError, StackLayer};
pub use path::{InvalidPath, TreePath};
pub use scan::{Memory, ScanError, scan, scan_remembering};
pub use tar::{StreamItem, StreamMember, TarError, TarFault, TarStream, may_be_archive, read_tar, read_tar_within};
pub use xattrs::{Incomplete, Sorted};

/// The place of a node in its tree. Several paths with one id are hard links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

/// Paths and what stands at them.
///
/// The directories above a path may be missing (a layer says nothing about them), but where one stands it is a
/// directory. [`Tree::complete`] adds the missing ones.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    paths: BTreeMap<TreePath, NodeId>,
    nodes: Vec<Node>,
}

/// A path that cannot stand in a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// Something above the path is not a directory.
    #[error("`{path}` cannot exist: `{above}` is a {kind}, not a directory")]
    NotADirectory {
        /// The path that was to be added.
        path: TreePath,
        /// The path above it.
        above: TreePath,
        /// What stands there.
        kind: &'static str,
    },
    /// A path that is none where it was to be put.
    #[error(transparent)]
    Path(InvalidPath),
    /// A hard link to a path that does not hold a file.
    #[error("`{path}` cannot be a hard link to `{target}`: no file stands there")]
    NoLinkTarget {
        /// The path that was to be added.
        path: TreePath,
        /// The path it should be a link to.
        target: TreePath,
    },
}

impl Tree {
    /// Returns an empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the tree of paths that come sorted, each once, with their nodes.
    ///
    /// # Errors
    /// When something above a path is not a directory.
    pub fn from_sorted(nodes: impl IntoIterator<Item = (TreePath, Node)>) -> Result<Self, TreeError> {
        let mut tree = Self::new();
        let mut paths: Vec<(TreePath, NodeId)> = Vec::new();
        // The paths that the present one begins with, by bytes, and that are no directories.
        let mut leaves: Vec<usize> = Vec::new();
        for (path, node) in nodes {
            debug_assert!(paths.last().is_none_or(|(last, _)| *last < path), "`{path}` is not sorted");
            while leaves.pop_if(|leaf| !path.as_bytes().starts_with(paths[*leaf].0.as_bytes())).is_some() {}
            if let Some(leaf) = leaves.iter().find(|leaf| path.is_below(&paths[**leaf].0)) {
                let kind = tree.nodes[*leaf].kind.word();
                return Err(TreeError::NotADirectory { path, above: paths[*leaf].0.clone(), kind });
            }
            if !node.kind.is_directory() {
                leaves.push(paths.len());
            }
            paths.push((path, tree.add(node)));
        }
        tree.paths = paths.into_iter().collect();
        Ok(tree)
    }

    fn add(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId(u32::try_from(self.nodes.len() - 1).expect("a tree holds fewer than 2^32 nodes"))
    }

    /// Puts `node` at `path`. What stood there is replaced, with everything below it unless both are directories.
    ///
    /// # Errors
    /// When something above `path` is not a directory.
    pub fn insert(&mut self, path: TreePath, node: Node) -> Result<NodeId, TreeError> {
        self.check_above(&path)?;
        if !node.kind.is_directory() {
            self.remove_below(&path);
        }
        let id = self.add(node);
        self.paths.insert(path, id);
        Ok(id)
    }

    /// Makes `path` another name of the node at `target`; a second whiteout when that is one, for there is nothing to
    /// share.
    ///
    /// # Errors
    /// When no node stands at `target`, it is a directory, or something above `path` is not a directory.
    pub fn link(&mut self, path: TreePath, target: &TreePath) -> Result<(), TreeError> {
        self.check_above(&path)?;
        let node = self.paths.get(target).filter(|id| !self.node(**id).kind.is_directory()).copied();
        let Some(id) = node else {
            return Err(TreeError::NoLinkTarget { path, target: target.clone() });
        };
        if self.node(id).kind == Kind::Whiteout {
            return self.insert(path, Node::whiteout()).map(drop);
        }
        self.remove_below(&path);
        self.paths.insert(path, id);
        Ok(())
    }

    /// Puts a whole tree at `path`; its root replaces what stands there.
    ///
    /// # Errors
    /// When something above `path` is not a directory, or a path would be too long.
    pub fn graft(&mut self, path: &TreePath, other: &Self) -> Result<(), TreeError> {
        let below = |inner: &TreePath| {
            let whole = if inner.is_root() {
                path.as_bytes().to_vec()
            } else {
                [path.as_bytes(), inner.as_bytes()].join(&b'/')
            };
            TreePath::from_relative(whole.strip_prefix(b"/").unwrap_or(&whole)).map_err(TreeError::Path)
        };
        for (inner, node, first) in other.links() {
            match first {
                Some(first) => self.link(below(inner)?, &below(first)?)?,
                None => drop(self.insert(below(inner)?, node.clone())?),
            }
        }
        Ok(())
    }

    /// Removes `path` and everything below it; tells whether anything was there.
    pub fn remove(&mut self, path: &TreePath) -> bool {
        let below = self.remove_below(path);
        self.paths.remove(path).is_some() || below
    }

    /// Takes out what is said about the root itself; everything below it stays.
    pub fn forget_root(&mut self) {
        self.paths.remove(&TreePath::root());
    }

    /// Removes everything below `path`; tells whether anything was there.
    pub fn remove_below(&mut self, path: &TreePath) -> bool {
        let doomed: Vec<TreePath> = self.below(path).map(|(path, _)| path.clone()).collect();
        for path in &doomed {
            self.paths.remove(path);
        }
        !doomed.is_empty()
    }

    /// Returns the node at `path`.
    pub fn get(&self, path: &TreePath) -> Option<&Node> {
        self.paths.get(path).map(|id| self.node(*id))
    }

    /// Returns the node at `path` to be changed; all its hard links change with it.
    pub fn get_mut(&mut self, path: &TreePath) -> Option<&mut Node> {
        let id = self.paths.get(path)?;
        self.nodes.get_mut(id.0 as usize)
    }

    /// Returns the id of the node at `path`.
    pub fn id(&self, path: &TreePath) -> Option<NodeId> {
        self.paths.get(path).copied()
    }

    /// Returns the node with the given id of this tree.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// Returns every path with its node, sorted.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&TreePath, &Node)> {
        self.paths.iter().map(|(path, id)| (path, self.node(*id)))
    }

    /// Returns every path with the id of its node, sorted.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = (&TreePath, NodeId)> {
        self.paths.iter().map(|(path, id)| (path, *id))
    }

    /// Returns every path with its node, sorted; for a hard link also the first path of its node, when that is another.
    pub fn links(&self) -> impl ExactSizeIterator<Item = (&TreePath, &Node, Option<&TreePath>)> {
        let mut first: Vec<Option<&TreePath>> = vec![None; self.nodes.len()];
        self.paths.iter().map(move |(path, id)| {
            let earlier = first[id.0 as usize];
            first[id.0 as usize] = earlier.or(Some(path));
            (path, self.node(*id), earlier)
        })
    }

    /// Returns everything below `path`, sorted.
    pub fn below(&self, path: &TreePath) -> impl Iterator<Item = (&TreePath, &Node)> {
        let mut first = path.as_bytes().to_vec();
        if !path.is_root() {
            first.push(b'/');
        }
        let range = (std::ops::Bound::Excluded(first.as_slice()), std::ops::Bound::Unbounded);
        self.paths
            .range::<[u8], _>(range)
            .take_while(move |(path, _)| path.as_bytes().starts_with(&first))
            .map(|(path, id)| (path, self.node(*id)))
    }

    /// Returns the number of paths.
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// Tells whether the tree has no path at all.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Adds the root and every directory that is missing above a path, with the metadata that `meta` gives for it.
    pub fn complete(&mut self, meta: impl Fn(&TreePath) -> Meta) {
        let mut missing = std::collections::BTreeSet::from([TreePath::root()]);
        let mut last = None;
        for path in self.paths.keys() {
            // Paths come sorted: most have the directory of the one before.
            let directory = path.above().next();
            if directory == last {
                continue;
            }
            last = directory;
            // Nearest first: once one is known, those above it are known too.
            for above in path.ancestors() {
                if !missing.insert(above) {
                    break;
                }
            }
        }
        for path in missing {
            if !self.paths.contains_key(&path) {
                let id = self.add(Node { kind: Kind::directory(), meta: meta(&path) });
                self.paths.insert(path, id);
            }
        }
    }

    fn check_above(&self, path: &TreePath) -> Result<(), TreeError> {
        let Some((above, id)) = path.above().find_map(|above| self.paths.get_key_value(above)) else { return Ok(()) };
        let kind = &self.node(*id).kind;
        if kind.is_directory() {
            return Ok(());
        }
        Err(TreeError::NotADirectory { path: path.clone(), kind: kind.word(), above: above.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        text.parse().unwrap()
    }

    fn file(text: &str) -> Node {
        Node { kind: Kind::Regular(Content::inline(text.as_bytes())), meta: Meta::root_owned(0o644, 0) }
    }

    fn paths(tree: &Tree) -> Vec<String> {
        tree.iter().map(|(path, _)| path.to_string()).collect()
    }

    #[test]
    fn hard_links_are_one_node() {
        let mut tree = Tree::new();
        tree.insert(path("/a"), file("x")).unwrap();
        tree.link(path("/b/c"), &path("/a")).unwrap();
        tree.get_mut(&path("/b/c")).unwrap().meta.mode = 0o600;
        assert_eq!(tree.get(&path("/a")).unwrap().meta.mode, 0o600);
        assert_eq!(tree.id(&path("/a")), tree.id(&path("/b/c")));
    }

    #[test]
    fn nothing_stands_below_a_file() {
        let mut tree = Tree::new();
        tree.insert(path("/a"), file("x")).unwrap();
        let error = tree.insert(path("/a/b/c"), file("y")).unwrap_err();
        assert_eq!(error.to_string(), "`/a/b/c` cannot exist: `/a` is a file, not a directory");
        tree.insert(path("/d/e"), file("x")).unwrap();
        tree.insert(path("/d"), file("now a file")).unwrap();
        assert_eq!(paths(&tree), ["/a", "/d"]);
    }

    #[test]
    fn sorted_paths_make_the_same_tree() {
        let nodes = |texts: &[&str]| {
            let node = |text: &&str| (path(text.trim_end_matches('/')), file("x"), text.ends_with('/'));
            texts.iter().map(node).collect::<Vec<_>>()
        };
        let made = |texts: &[&str]| {
            let kind = |directory, file: Node| if directory { Node { kind: Kind::directory(), ..file } } else { file };
            Tree::from_sorted(nodes(texts).into_iter().map(|(path, file, directory)| (path, kind(directory, file))))
        };
        assert_eq!(
            paths(&made(&["/a/", "/a-b", "/a/b", "/a/b-c", "/d/e"]).unwrap()),
            ["/a", "/a-b", "/a/b", "/a/b-c", "/d/e"]
        );
        let error = made(&["/a", "/a-", "/a-b", "/a/b/c"]).unwrap_err();
        assert_eq!(error.to_string(), "`/a/b/c` cannot exist: `/a` is a file, not a directory");
        assert_eq!(error, {
            let mut tree = Tree::new();
            tree.insert(path("/a"), file("x")).unwrap();
            tree.insert(path("/a/b/c"), file("x")).unwrap_err()
        });
    }

    #[test]
    fn below_does_not_reach_into_siblings() {
        let mut tree = Tree::new();
        for text in ["/a", "/a-b", "/ab/c"] {
            tree.insert(path(text), Node { kind: Kind::directory(), meta: Meta::root_owned(0o755, 0) }).unwrap();
        }
        tree.insert(path("/a/b"), file("x")).unwrap();
        let below = |text| tree.below(&path(text)).map(|(path, _)| path.to_string()).collect::<Vec<_>>();
        assert_eq!(below("/a"), ["/a/b"]);
        assert_eq!(below("/").len(), 4);
    }

    #[test]
    fn completing_adds_what_is_missing_only() {
        let mut tree = Tree::new();
        tree.insert(path("/etc/nginx/nginx.conf"), file("x")).unwrap();
        let closed = Node { kind: Kind::directory(), meta: Meta::root_owned(0o700, 0) };
        tree.insert(path("/etc"), closed).unwrap();
        tree.complete(|_| Meta::root_owned(0o755, 0));
        assert_eq!(paths(&tree), ["/", "/etc", "/etc/nginx", "/etc/nginx/nginx.conf"]);
        assert_eq!(tree.get(&path("/etc")).unwrap().meta.mode, 0o700);
    }
}
