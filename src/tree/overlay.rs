//! Trees laid over each other.
//!
//! Comes in: a [`Stack`] of named trees, the lowest first. Goes out: the one tree that is seen from above, with the
//! layer every path came from. Always holds: no whiteout is left in the merged tree; what the layers removed is listed
//! beside it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Bound;

use super::path::parent;
use super::{Kind, NodeId, Tree, TreePath};

/// Ordered trees, the lowest first.
#[derive(Debug, Clone, Default)]
pub struct Stack {
    /// The trees, the lowest first.
    pub layers: Vec<StackLayer>,
}

/// One tree of a stack.
#[derive(Debug, Clone)]
pub struct StackLayer {
    /// The name it has in messages.
    pub name: String,
    /// What it holds.
    pub tree: Tree,
}

/// What is seen when a stack is looked at from above.
#[derive(Debug, Clone)]
pub struct Merged {
    /// The merged tree, without whiteouts. A directory is opaque when one of its layers' was: it still hides what a base
    /// image has in it.
    pub tree: Tree,
    /// The index of the layer whose node stands at each path of the tree.
    pub origins: BTreeMap<TreePath, usize>,
    /// Every whiteout, with the index of the highest layer that has it: what a base image below the stack must lose
    /// before the tree is laid over it.
    pub removed: BTreeMap<TreePath, usize>,
    /// The whiteouts that found nothing to remove in the layers below theirs, sorted.
    pub unmatched: Vec<TreePath>,
}

/// Layers that cannot be laid over each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StackError {
    /// A path of an upper layer lies below something of a lower layer that is not a directory.
    #[error(
        "layer `{upper}` has `{path}`, but `{above}` is a {kind} of layer `{lower}`: give the path below a directory, \
         or put a directory at `{above}` in layer `{upper}` to replace the {kind}"
    )]
    NotADirectory {
        /// The name of the upper layer.
        upper: String,
        /// The path it has.
        path: TreePath,
        /// The path above it.
        above: TreePath,
        /// What stands there.
        kind: &'static str,
        /// The name of the lower layer that put it there.
        lower: String,
    },
}

impl Stack {
    /// Merges the layers, each over those below it.
    ///
    /// A directory over a directory keeps the lower one's entries, unless it is opaque, and takes its own metadata.
    /// Anything else replaces what stood at its path with all that was below. A whiteout removes its path. Hard links
    /// of one layer stay one node; a name that an upper layer replaces leaves them.
    ///
    /// # Errors
    /// When a path of a layer lies below a symbolic link or file of a lower layer.
    pub fn merge(&self) -> Result<Merged, StackError> {
        let mut view = View::of(&self.layers);
        for index in 0..self.layers.len() {
            view.lay(index)?;
        }
        Ok(view.finish())
    }
}

/// The merged paths of the layers laid so far, borrowed from them.
struct View<'stack> {
    layers: &'stack [StackLayer],
    places: BTreeMap<&'stack [u8], Place<'stack>>,
    /// Every directory above a place, and perhaps some above none any more.
    holders: HashSet<&'stack [u8]>,
    removed: BTreeMap<TreePath, usize>,
    unmatched: BTreeSet<TreePath>,
}

/// The node that is seen at a path.
#[derive(Clone, Copy)]
struct Place<'stack> {
    path: &'stack TreePath,
    layer: usize,
    id: NodeId,
    directory: bool,
    opaque: bool,
}

impl<'stack> View<'stack> {
    fn of(layers: &'stack [StackLayer]) -> Self {
        Self {
            layers,
            places: BTreeMap::new(),
            holders: HashSet::new(),
            removed: BTreeMap::new(),
            unmatched: BTreeSet::new(),
        }
    }

    /// Lays one layer over what is there. Its paths come sorted: a directory before what is in it.
    fn lay(&mut self, layer: usize) -> Result<(), StackError> {
        let tree = &self.layers[layer].tree;
        let mut known_parent = None;
        for (path, id) in tree.ids() {
            let parent = parent(path.as_bytes());
            if parent != known_parent {
                self.check_above(layer, path)?;
                // Nearest first: once one is known, those above it are known too.
                let _known = path.above().find(|above| !self.holders.insert(above));
                known_parent = parent;
            }
            let key = path.as_bytes();
            let place = Place { path, layer, id, directory: false, opaque: false };
            match tree.node(id).kind {
                Kind::Whiteout => self.remove(path, layer),
                Kind::Directory { opaque } => {
                    if opaque {
                        self.remove_below(path);
                    }
                    let lower = self.places.insert(key, Place { directory: true, opaque, ..place });
                    if lower.is_some_and(|lower| lower.opaque) {
                        self.places.insert(key, Place { directory: true, opaque: true, ..place });
                    }
                }
                _ => {
                    let lower = self.places.insert(key, place);
                    // Where a file stands nothing is below; where nothing stands there may be, its directory implied.
                    if lower.is_none_or(|lower| lower.directory) && self.holders.contains(key) {
                        self.remove_below(path);
                    }
                }
            }
        }
        Ok(())
    }

    fn check_above(&self, layer: usize, path: &TreePath) -> Result<(), StackError> {
        let mut above = parent(path.as_bytes());
        while let Some(directory) = above {
            match self.places.get(directory) {
                Some(place) if place.directory => return Ok(()),
                Some(place) => {
                    return Err(StackError::NotADirectory {
                        upper: self.layers[layer].name.clone(),
                        path: path.clone(),
                        above: place.path.clone(),
                        kind: self.layers[place.layer].tree.node(place.id).kind.word(),
                        lower: self.layers[place.layer].name.clone(),
                    });
                }
                None => above = parent(directory),
            }
        }
        Ok(())
    }

    fn remove(&mut self, path: &TreePath, layer: usize) {
        let below = self.remove_below(path);
        let here = self.places.remove(path.as_bytes()).is_some();
        if !below && !here {
            self.unmatched.insert(path.clone());
        }
        self.removed.insert(path.clone(), layer);
    }

    fn remove_below(&mut self, path: &TreePath) -> bool {
        let mut first = path.as_bytes().to_vec();
        if !path.is_root() {
            first.push(b'/');
        }
        let range = (Bound::Excluded(first.as_slice()), Bound::Unbounded);
        let below = self.places.range::<[u8], _>(range).take_while(|(key, _)| key.starts_with(&first));
        let doomed: Vec<&[u8]> = below.map(|(key, _)| *key).collect();
        for key in &doomed {
            self.places.remove(key);
        }
        !doomed.is_empty()
    }

    fn finish(self) -> Merged {
        let mut merged_ids: Vec<Vec<Option<NodeId>>> =
            self.layers.iter().map(|layer| vec![None; layer.tree.nodes.len()]).collect();
        let mut nodes = Vec::with_capacity(self.places.len());
        let mut paths = Vec::with_capacity(self.places.len());
        for place in self.places.values() {
            let merged_id = &mut merged_ids[place.layer][place.id.0 as usize];
            let id = *merged_id.get_or_insert_with(|| {
                let mut node = self.layers[place.layer].tree.node(place.id).clone();
                if place.directory {
                    node.kind = Kind::Directory { opaque: place.opaque };
                }
                nodes.push(node);
                NodeId(u32::try_from(nodes.len() - 1).expect("a stack holds fewer than 2^32 nodes"))
            });
            paths.push((place.path.clone(), id));
        }
        Merged {
            tree: Tree { paths: paths.into_iter().collect(), nodes },
            origins: self.places.values().map(|place| (place.path.clone(), place.layer)).collect(),
            removed: self.removed,
            unmatched: self.unmatched.into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Content, Meta, Node};

    fn path(text: &str) -> TreePath {
        text.parse().unwrap()
    }

    /// Makes a tree of `/directory/`, `/opaque/!`, `/file=text`, `/link>target`, `/removed-` and `/name&other name`.
    fn tree(items: &[&str]) -> Tree {
        let mut tree = Tree::new();
        for item in items {
            let meta = Meta::root_owned(0o644, 0);
            if let Some((name, target)) = item.split_once('&') {
                tree.link(path(name), &path(target)).unwrap();
                continue;
            }
            let (name, kind) = if let Some((name, text)) = item.split_once('=') {
                (name, Kind::Regular(Content::inline(text.as_bytes())))
            } else if let Some((name, target)) = item.split_once('>') {
                (name, Kind::Symlink(target.as_bytes().into()))
            } else if let Some(name) = item.strip_suffix('-') {
                (name, Kind::Whiteout)
            } else if let Some(name) = item.strip_suffix("/!") {
                (name, Kind::Directory { opaque: true })
            } else {
                (item.trim_end_matches('/'), Kind::directory())
            };
            let name = if name.is_empty() { TreePath::root() } else { path(name) };
            tree.insert(name, Node { kind, meta }).unwrap();
        }
        tree
    }

    fn stack(layers: &[&[&str]]) -> Stack {
        let layers = layers.iter().enumerate();
        Stack { layers: layers.map(|(n, items)| StackLayer { name: format!("l{n}"), tree: tree(items) }).collect() }
    }

    fn merge(layers: &[&[&str]]) -> Merged {
        stack(layers).merge().unwrap()
    }

    fn seen(merged: &Merged) -> Vec<String> {
        merged.origins.iter().map(|(path, layer)| format!("{path} {layer}")).collect()
    }

    #[test]
    fn directories_merge_and_the_upper_metadata_wins() {
        let mut stack = stack(&[&["/etc/", "/etc/a=1", "/etc/b=1"], &["/etc/", "/etc/b=2", "/etc/c=2"]]);
        stack.layers[1].tree.get_mut(&path("/etc")).unwrap().meta.mode = 0o700;
        let merged = stack.merge().unwrap();
        assert_eq!(seen(&merged), ["/etc 1", "/etc/a 0", "/etc/b 1", "/etc/c 1"]);
        assert_eq!(merged.tree.get(&path("/etc")).unwrap().meta.mode, 0o700);
        assert_eq!(merged.tree.get(&path("/etc/b")).unwrap().kind, Kind::Regular(Content::inline(&b"2"[..])));
    }

    #[test]
    fn anything_else_replaces_what_is_there_and_below() {
        assert_eq!(seen(&merge(&[&["/d/", "/d/a=1", "/d-e=1"], &["/d>x"]])), ["/d 1", "/d-e 0"]);
        assert_eq!(seen(&merge(&[&["/d/a=1", "/d/b/c=1"], &["/d=file"]])), ["/d 1"], "the directory is implied");
        assert_eq!(seen(&merge(&[&["/d>x"], &["/d/", "/d/a=1"]])), ["/d 1", "/d/a 1"]);
    }

    #[test]
    fn whiteouts_remove_and_are_told() {
        let merged = merge(&[&["/d/", "/d/a=1", "/d-e=1"], &["/d-", "/x/y-"], &["/d/b=2"]]);
        assert_eq!(seen(&merged), ["/d-e 0", "/d/b 2"]);
        assert_eq!(merged.removed, BTreeMap::from([(path("/d"), 1), (path("/x/y"), 1)]));
        assert_eq!(merged.unmatched, [path("/x/y")]);
    }

    #[test]
    fn opaque_directories_hide_lower_entries() {
        let merged = merge(&[&["/d/", "/d/a=1", "/d-e=1"], &["/d/!", "/d/b=1"], &["/d/", "/d/c=1"]]);
        assert_eq!(seen(&merged), ["/d 2", "/d-e 0", "/d/b 1", "/d/c 2"]);
        assert_eq!(merged.tree.get(&path("/d")).unwrap().kind, Kind::Directory { opaque: true });
        assert_eq!(seen(&merge(&[&["/a=1"], &["/!", "/b=1"]])), ["/ 1", "/b 1"], "the root hides all");
    }

    #[test]
    fn a_replaced_name_leaves_its_hard_links() {
        let merged = merge(&[&["/a=1", "/b&/a", "/c&/a"], &["/b=2"], &["/d=1", "/e&/d"]]);
        let id = |text| merged.tree.id(&path(text)).unwrap();
        assert_eq!(id("/a"), id("/c"));
        assert_eq!(id("/d"), id("/e"));
        assert!(id("/a") != id("/b") && id("/a") != id("/d"));
    }

    #[test]
    fn nothing_goes_through_a_lower_symlink() {
        let error = stack(&[&["/lib>usr/lib"], &["/etc/"], &["/lib/x/y=1"]]).merge().unwrap_err();
        assert_eq!(
            error.to_string(),
            "layer `l2` has `/lib/x/y`, but `/lib` is a symlink of layer `l0`: give the path below a directory, or put a \
             directory at `/lib` in layer `l2` to replace the symlink"
        );
        assert!(stack(&[&["/lib>usr/lib"], &["/lib/x-"]]).merge().is_err(), "nor does a removal");
        assert!(stack(&[&["/lib>usr/lib"], &["/lib-"], &["/lib/x=1"]]).merge().is_ok());
    }

    #[test]
    fn an_empty_stack_is_an_empty_tree() {
        assert!(merge(&[]).tree.is_empty());
    }
}
