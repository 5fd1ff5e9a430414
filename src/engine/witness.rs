//! Recognises what layerforge wrote into a folder by the manifests in it, when the store has no record.

use std::path::{Path, PathBuf};

use crate::build::{MANIFEST, ROOTFS};
use crate::digest::Digest;
use crate::error::Error;
use crate::fs;
use crate::image::{GENERATOR, Manifest, ManifestError, Witness};
use crate::plan::OutputKind;
use crate::tree::{Content, ContentSource, Kind, Meta, Node, Tree, TreePath};

/// Returns what the manifests in `folder` say was written there. A folder without manifests has no witness: somebody
/// else made it.
pub(super) fn witness(folder: &Path) -> Vec<Witness> {
    let names = fs::list(folder).unwrap_or_default();
    let names = names.iter().filter_map(|name| name.to_str());
    names.filter(|name| is_manifest_name(name)).filter_map(|name| read(folder, name)).collect()
}

/// Returns the manifest of a folder that layerforge rendered, with its path; nothing for other folders.
///
/// # Errors
/// When it cannot be read, or is damaged.
pub(super) fn manifest_in(folder: &Path) -> Result<Option<(PathBuf, Manifest)>, Error> {
    let names = match fs::list(folder) {
        Ok(names) => names,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut names: Vec<&str> =
        names.iter().filter_map(|name| name.to_str()).filter(|name| is_manifest_name(name)).collect();
    // What an extension carries is not the tree of the profile; a container image carries all of it.
    names.retain(|name| image_kind(name).is_none_or(|kind| kind == OutputKind::Oci.as_str()));
    // The others describe one tree; that of a rootfs is looked at first.
    names.sort_by_key(|name| *name != MANIFEST);
    for name in names {
        let path = folder.join(name);
        if let Some(manifest) = manifest(&path)? {
            return Ok(Some((path, manifest)));
        }
    }
    Ok(None)
}

/// Returns the manifest at `path`; nothing when there is none, or one that somebody else's program made.
pub(super) fn manifest(path: &Path) -> Result<Option<Manifest>, Error> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.is_unreachable() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match Manifest::read(&text) {
        Ok(manifest) => Ok(Some(manifest)),
        Err(source) if String::from_utf8_lossy(&text).contains(&format!("\"generator\": \"{GENERATOR}\"")) => {
            Err(malformed(path)(source))
        }
        Err(_) => Ok(None),
    }
}

pub(super) fn malformed(path: &Path) -> impl Fn(ManifestError) -> Error {
    move |source| Error::Manifest { path: path.display().to_string(), source }
}

/// Tells whether a manifest may have this name: that of a rootfs, of an archive, or of an image.
pub(super) fn is_manifest_name(name: &str) -> bool {
    let archive = name.strip_suffix(".manifest.json");
    name == MANIFEST
        || image_kind(name).is_some()
        || archive.is_some_and(|name| [".tar", ".tar.gz", ".tar.zst"].iter().any(|ending| name.ends_with(ending)))
}

/// Returns the output kind of the image whose manifest has this name.
fn image_kind(name: &str) -> Option<&str> {
    let kind = name.strip_suffix(".manifest.json")?;
    let images = [OutputKind::Sysext, OutputKind::Confext, OutputKind::Portable, OutputKind::Oci];
    images.iter().any(|image| image.as_str() == kind).then_some(kind)
}

fn read(folder: &Path, name: &str) -> Option<Witness> {
    let text = fs::read(&folder.join(name)).ok()?;
    let manifest = Manifest::read(&text).ok()?;
    let mut directories = Vec::new();
    let mut files: Vec<_> = manifest.files.iter().map(|(name, file)| (name.clone(), file.digest, file.size)).collect();
    let kind = match image_kind(name) {
        Some(kind) => {
            directories.push((kind.to_owned(), image_folder(kind, &manifest)?));
            files.clear();
            kind
        }
        None if name == MANIFEST => {
            directories.push((ROOTFS.to_owned(), manifest.to_tree().ok()?));
            "rootfs"
        }
        None => "tar",
    };
    files.push((name.to_owned(), Digest::of(&text), text.len() as u64));
    Some(Witness { kind: kind.into(), seconds: manifest.epoch, directories, files })
}

/// Returns what the folder of an image holds by its manifest: files, and the tree itself when it is a directory.
fn image_folder(kind: &str, manifest: &Manifest) -> Option<Tree> {
    let mut folder = Tree::new();
    let inside = |name: &str| TreePath::from_relative(name.strip_prefix(kind)?.strip_prefix('/')?.as_bytes()).ok();
    for (name, file) in &manifest.files {
        let source = ContentSource::File(Path::new("").into());
        let kind = Kind::Regular(Content { digest: file.digest, length: file.size, source });
        folder.insert(inside(name)?, Node { kind, meta: Meta::root_owned(0o644, manifest.epoch) }).ok()?;
    }
    if let Some(directory) = &manifest.directory {
        folder.graft(&inside(directory)?, &manifest.to_tree().ok()?).ok()?;
    }
    folder.complete(|_| Meta::root_owned(0o755, manifest.epoch));
    Some(folder)
}
