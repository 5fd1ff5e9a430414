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
    // What an extension carries is not the tree of the profile; a container image carries all of it.
    first_manifest(folder, |name| kind_of(name).is_some_and(|kind| !kind.is_image()))
}

/// Returns the manifest of one output in a folder that layerforge rendered, with its path; nothing when there is none.
///
/// # Errors
/// As [`manifest_in`].
pub(super) fn manifest_of(folder: &Path, kind: OutputKind) -> Result<Option<(PathBuf, Manifest)>, Error> {
    first_manifest(folder, |name| kind_of(name) == Some(kind))
}

fn first_manifest(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<Option<(PathBuf, Manifest)>, Error> {
    let names = match fs::list(folder) {
        Ok(names) => names,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let names = names.iter().filter_map(|name| name.to_str());
    let mut names: Vec<&str> = names.filter(|name| wanted(name)).collect();
    // Those that describe the whole tree describe the same one; that of a rootfs is looked at first.
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

/// Tells whether a manifest may have this name.
pub(super) fn is_manifest_name(name: &str) -> bool {
    kind_of(name).is_some()
}

/// Returns the output whose manifest has this name: that of a rootfs, of an archive, or of an image.
fn kind_of(name: &str) -> Option<OutputKind> {
    if name == MANIFEST {
        return Some(OutputKind::Rootfs);
    }
    let described = name.strip_suffix(".manifest.json")?;
    if [".tar", ".tar.gz", ".tar.zst"].iter().any(|ending| described.ends_with(ending)) {
        return Some(OutputKind::Tar);
    }
    OutputKind::ALL.into_iter().find(|kind| has_folder(*kind) && kind.as_str() == described)
}

/// Returns the kind of the image whose manifest has this name.
fn image_kind(name: &str) -> Option<OutputKind> {
    kind_of(name).filter(|kind| has_folder(*kind))
}

/// Tells whether an output has a folder of its own, and a manifest beside that.
fn has_folder(kind: OutputKind) -> bool {
    kind.is_image() || kind == OutputKind::Oci
}

fn read(folder: &Path, name: &str) -> Option<Witness> {
    let text = fs::read(&folder.join(name)).ok()?;
    let manifest = Manifest::read(&text).ok()?;
    let mut directories = Vec::new();
    let mut files: Vec<_> = manifest.files.iter().map(|(name, file)| (name.clone(), file.digest, file.size)).collect();
    let kind = match image_kind(name) {
        Some(kind) => {
            directories.push((kind.to_string(), image_folder(kind.as_str(), &manifest)?));
            files.clear();
            kind.as_str()
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
