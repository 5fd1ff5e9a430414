//! The rule of tiers for trees that are taken as they are: resolving compared what tables and file trees say, but has not
//! looked into imports.

use std::collections::BTreeMap;

use super::BuildError;
use crate::resolve::Layer;
use crate::tree::{Kind, Node, StackLayer, TreePath};

/// Refuses two layers of one tier that give different content for a path, when an import has a part in it.
///
/// # Errors
/// The first such path, with both layers.
pub(super) fn check(layers: &[Layer], trees: &[StackLayer]) -> Result<(), BuildError> {
    let tiers: std::collections::BTreeSet<_> =
        layers.iter().filter(|layer| layer.tree.is_some()).map(|layer| layer.tier).collect();
    for tier in tiers {
        let mut seen: BTreeMap<&TreePath, (usize, &Node)> = BTreeMap::new();
        let members = layers.iter().enumerate().filter(|(_, layer)| layer.tier == tier && !layer.is_profile());
        for (index, layer) in members {
            for (path, node) in trees[index].tree.iter() {
                if let Some((other, first)) = seen.insert(path, (index, node))
                    && (layer.tree.is_some() || layers[other].tree.is_some())
                    && !agree(first, node)
                {
                    return Err(BuildError::Tier {
                        path: path.clone(),
                        tier: tier.word(),
                        one: layers[other].name.clone(),
                        other: layer.name.clone(),
                    });
                }
            }
        }
    }
    Ok(())
}

/// Tells whether order does not matter between two nodes of one path: it only does for the metadata of directories and
/// for removals.
fn agree(one: &Node, other: &Node) -> bool {
    match (&one.kind, &other.kind) {
        (Kind::Directory { .. }, Kind::Directory { .. }) | (Kind::Whiteout, _) | (_, Kind::Whiteout) => true,
        _ => one == other,
    }
}
