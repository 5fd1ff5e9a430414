//! Directories for writable paths: something to mount on, and what gives a new volume its owner.

use std::collections::BTreeSet;

use super::recipe::{Action, Contract, Entry, Layer, Origin, OriginPlace, Writable};
use super::template::Used;
use crate::distro::Distro;
use crate::tree::TreePath;

/// Directories whose content never comes from an image.
const VOLATILE: [&str; 4] = ["/dev", "/proc", "/run", "/sys"];

/// Adds a directory to `entries` for each writable path and each of its subdirectories that neither a layer nor the base
/// image has.
pub(super) fn add(contract: &Contract, distro: &Distro, layers: &[Layer], entries: &mut Vec<Entry>) {
    let layers = layers.iter().map(|layer| layer.entries.as_slice());
    let described: BTreeSet<TreePath> = entries.iter().map(|entry| entry.path.clone()).collect();
    let is_in_layer = |path: &TreePath| {
        layers.clone().any(|entries| {
            let found = entries.binary_search_by(|entry| entry.path.cmp(path));
            found.is_ok_and(|index| !matches!(entries[index].action, Action::Remove))
        })
    };
    for writable in contract.writables.values() {
        for path in directories(writable) {
            let in_base = distro.directories.contains_key(&path.to_string());
            if !described.contains(&path) && !is_in_layer(&path) && !in_base && !is_volatile(&path) {
                entries.push(entry(path, writable));
            }
        }
    }
    entries.sort_by(|one, other| one.path.cmp(&other.path));
}

/// Returns a writable path with its subdirectories.
fn directories(writable: &Writable) -> impl Iterator<Item = TreePath> {
    let subdirectory = |name: &String| format!("{}/{name}", writable.path).parse().ok();
    std::iter::once(writable.path.clone()).chain(writable.subdirectories.iter().filter_map(subdirectory))
}

fn is_volatile(path: &TreePath) -> bool {
    let below = |top: TreePath| *path == top || path.is_below(&top);
    VOLATILE.iter().any(|top| top.parse().is_ok_and(below))
}

fn entry(path: TreePath, writable: &Writable) -> Entry {
    Entry {
        path,
        action: Action::Directory,
        mode: writable.mode,
        uid: writable.owner.uid,
        gid: writable.owner.gid,
        origin: Origin { place: OriginPlace::Text(writable.place.clone()), section: None, template: None },
        used: Used::new(),
    }
}
