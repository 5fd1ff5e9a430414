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
    names.filter(|name| is_manifest_name(name)).filter_map(|name| read(folder, name)).collect()
}

/// Tells whether a manifest may have this name: that of a rootfs, or of an archive.
pub(super) fn is_manifest_name(name: &str) -> bool {
    let archive = name.strip_suffix(".manifest.json");
    name == MANIFEST
        || archive.is_some_and(|name| [".tar", ".tar.gz", ".tar.zst"].iter().any(|ending| name.ends_with(ending)))
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
