//! Recognises what layerforge wrote into a folder by the manifests in it, when the store has no record.

use std::path::Path;

use crate::build::{MANIFEST, ROOTFS};
use crate::digest::Digest;
use crate::fs;
use crate::image::{Manifest, Witness};

/// Returns what the manifests in `folder` say was written there. A folder without manifests has no witness: somebody
/// else made it.
pub(super) fn witness(folder: &Path) -> Vec<Witness> {
    let names = fs::list(folder).unwrap_or_default();
    let names = names.iter().filter_map(|name| name.to_str());
    names
        .filter(|name| {
            *name == MANIFEST
                || name.ends_with(".tar.manifest.json")
                || name.ends_with(".tar.gz.manifest.json")
                || name.ends_with(".tar.zst.manifest.json")
        })
        .filter_map(|name| read(folder, name))
        .collect()
}

fn read(folder: &Path, name: &str) -> Option<Witness> {
    let text = fs::read(&folder.join(name)).ok()?;
    let manifest = Manifest::read(&text).ok()?;
    let mut directories = Vec::new();
    let rootfs = name == MANIFEST;
    if rootfs {
        directories.push((ROOTFS.to_owned(), manifest.to_tree().ok()?));
    }
    let mut files: Vec<_> = manifest.files.iter().map(|(name, file)| (name.clone(), file.digest, file.size)).collect();
    files.push((name.to_owned(), Digest::of(&text), text.len() as u64));
    let kind = if rootfs { "rootfs" } else { "tar" };
    Some(Witness { kind: kind.into(), seconds: manifest.epoch, directories, files })
}
