//! From the entries of a layer to its tree.

use std::path::Path;

use super::BuildError;
use crate::resolve::{Action, Entry, Layer};
use crate::spec::Import;
use crate::tree::{Kind, Meta, Node, Tree, TreeError, TreePath, read_tar, scan_remembering};

/// Makes the tree of `layer`: what it imports, and its entries over that. Every time becomes `epoch`; a time inside an
/// archive stays when it is earlier. Decompressed archives are kept in `archives`.
pub(super) fn layer(layer: &Layer, epoch: i64, archives: &Path) -> Result<Tree, BuildError> {
    let misfit = |source: TreeError| {
        let path = match &source {
            TreeError::NotADirectory { path, .. } | TreeError::NoLinkTarget { path, .. } => path.to_string(),
            TreeError::Path(invalid) => invalid.path.clone(),
        };
        let entry = layer.entries.iter().find(|entry| entry.path.to_string() == path);
        let at = entry.map_or_else(|| path.clone(), |entry| entry.origin.place.to_string());
        BuildError::Layer { layer: layer.name.clone(), at, source }
    };
    let Some(imported) = &layer.tree else {
        let nodes = layer.entries.iter().map(|entry| (entry.path.clone(), node(entry, epoch, false)));
        return Tree::from_sorted(nodes).map_err(misfit);
    };
    let mut tree = import(imported, epoch, archives)?;
    for entry in &layer.entries {
        // An import may have made the directory opaque; saying its mode does not take that back.
        let opaque = matches!(tree.get(&entry.path).map(|node| &node.kind), Some(Kind::Directory { opaque: true }));
        tree.insert(entry.path.clone(), node(entry, epoch, opaque)).map_err(misfit)?;
    }
    Ok(tree)
}

fn import(imported: &Import, epoch: i64, archives: &Path) -> Result<Tree, BuildError> {
    let path = &imported.path;
    let directory = path.is_dir();
    let mut tree = if directory { scan_remembering(path, imported)? } else { read_tar(path, archives)? };
    // The root of an import is the root of the image, which has its own owner and mode.
    tree.forget_root();
    let paths: Vec<TreePath> = tree.iter().map(|(path, _)| path.clone()).collect();
    for path in paths {
        if let Some(node) = tree.get_mut(&path) {
            // Files on disk have the time of their checkout, which says nothing; those of an archive are part of it.
            node.meta.mtime = if directory { epoch } else { node.meta.mtime.min(epoch) };
        }
    }
    Ok(tree)
}

fn node(entry: &Entry, epoch: i64, opaque: bool) -> Node {
    let mut meta = Meta::root_owned(entry.mode, epoch);
    (meta.uid, meta.gid) = (entry.uid, entry.gid);
    let kind = match &entry.action {
        Action::File(content) => Kind::Regular(content.clone()),
        Action::Link(target) => Kind::Symlink(target.clone()),
        Action::Remove => return Node::whiteout(),
        Action::Directory => Kind::Directory { opaque },
    };
    Node { kind, meta }
}
