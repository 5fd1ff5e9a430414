//! Compares two trees, wherever they stand.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::witness::{malformed, manifest, manifest_in};
use crate::build::{BuildError, MANIFEST, ROOTFS, ROOTFS_TAR};
use crate::error::Error;
use crate::fs;
use crate::image::Manifest;
use crate::image::oci;
use crate::image::read::{self as image, Format, Opened};
use crate::store::Store;
use crate::tree::{
    Aspect, Change, ChangeKind, Kind, Meta, Node, Stack, StackLayer, Tree, TreePath, diff as compare,
    diff_without_times, read_tar, scan,
};

/// What to compare, and how.
#[derive(Debug, Clone, Default)]
pub struct DiffRequest {
    /// A directory, tar archive, image, rendered folder, the `rootfs/` of one, or a manifest.
    pub old: PathBuf,
    /// Another one.
    pub new: PathBuf,
    /// Whether times are compared.
    pub times: bool,
    /// Whether owners are compared even when they are only those of whoever wrote a directory.
    pub owners: bool,
}

/// What differs.
#[derive(Debug, Clone, Serialize)]
pub struct DiffReport {
    /// The old side.
    pub old: Side,
    /// The new side.
    pub new: Side,
    /// Whether owners were compared.
    pub owners: bool,
    /// Whether times were compared.
    pub times: bool,
    /// Every path that differs, sorted; nothing when the trees are equal.
    pub changes: Vec<PathChange>,
}

/// One side of a comparison.
#[derive(Debug, Clone, Serialize)]
pub struct Side {
    /// Where it was read.
    pub path: PathBuf,
    /// What it was taken for.
    pub form: Form,
    /// The number of its paths.
    pub paths: usize,
    #[serde(skip)]
    tree: Tree,
    /// What a base image must lose, where that is known.
    #[serde(skip)]
    removed: Option<Vec<TreePath>>,
}

/// What one side of a comparison is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Any directory. Its owners are those of whoever wrote it.
    Directory,
    /// A tar archive.
    Archive,
    /// A file system, a disk image that holds one, or a container image.
    Image,
    /// A folder that layerforge rendered, or the manifest in it: the tree as it was rendered.
    Rendered,
    /// The `rootfs/` of such a folder, as it stands on disk now, owned by root as a COPY makes it, under the `rootfs.tar`
    /// beside it: the tree as an image gets it.
    Rootfs,
}

/// One path that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PathChange {
    /// What differs.
    #[serde(flatten)]
    pub change: Change,
    /// What stands there, when only one side has the path: `file 0644 0:0 12 bytes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

/// Compares two trees. Directories that one side only implies are as the other side has them, and modes of symbolic
/// links, which Linux does not have, are not compared. What a base image must lose is compared when both sides know it.
///
/// # Errors
/// When a side cannot be read as a tree.
pub fn diff(store: &Store, request: &DiffRequest) -> Result<DiffReport, Error> {
    let (mut old, mut new) = (read(store, &request.old)?, read(store, &request.new)?);
    if let (Some(olds), Some(news)) = (&old.removed, &new.removed) {
        add_removals(&mut old.tree, olds);
        add_removals(&mut new.tree, news);
    }
    complete(&mut old.tree, &new.tree);
    complete(&mut new.tree, &old.tree);
    let owners = request.owners || ![old.form, new.form].contains(&Form::Directory);
    let changes = path_changes(&old.tree, &new.tree, request.times, owners);
    Ok(DiffReport { old, new, owners, times: request.times, changes })
}

/// Returns what differs between two trees, with what stands at the paths that only one has.
pub(super) fn path_changes(old: &Tree, new: &Tree, times: bool, owners: bool) -> Vec<PathChange> {
    let mut changes = Vec::new();
    for mut change in if times { compare(old, new) } else { diff_without_times(old, new) } {
        change.differences.retain(|difference| owners || difference.aspect != Aspect::Owner);
        let node = match change.change {
            ChangeKind::Added => new.get(&change.path),
            ChangeKind::Removed => old.get(&change.path),
            ChangeKind::Changed if change.differences.is_empty() => continue,
            ChangeKind::Changed => None,
        };
        let node = node.map(|node| describe(node, owners));
        changes.push(PathChange { change, node });
    }
    changes
}

fn read(store: &Store, path: &Path) -> Result<Side, Error> {
    // As `ls` does it, a symbolic link that is given stands for what it leads to.
    let real = path.canonicalize().map_err(fs::Error::on("find", path))?;
    let mut side = if fs::lstat(&real)?.is_dir() { directory(store, path, &real)? } else { file(store, path)? };
    let links: Vec<TreePath> = side
        .tree
        .iter()
        .filter(|(_, node)| matches!(node.kind, Kind::Symlink(_)) && node.meta.mode != SYMLINK_MODE)
        .map(|(path, _)| path.clone())
        .collect();
    for link in links {
        if let Some(node) = side.tree.get_mut(&link) {
            node.meta.mode = SYMLINK_MODE;
        }
    }
    path.clone_into(&mut side.path);
    Ok(side)
}

impl Side {
    fn new(path: &Path, form: Form, tree: Tree, removed: Option<Vec<TreePath>>) -> Self {
        Self { path: path.to_owned(), form, paths: tree.len(), tree, removed }
    }
}

/// The mode that Linux shows for every symbolic link (symlink(7)).
const SYMLINK_MODE: u16 = 0o777;

fn directory(store: &Store, path: &Path, real: &Path) -> Result<Side, Error> {
    if let Some((path, manifest)) = manifest_in(path)? {
        return rendered(&path, &manifest);
    }
    if oci::recognise(path, None).is_some() {
        return opened(path, image::open(path, &store.archives())?);
    }
    let tree = scan(path).map_err(BuildError::from)?;
    if let Some(folder) = real.parent().filter(|_| real.file_name().is_some_and(|name| name == ROOTFS))
        && let Some(manifest) = manifest(&folder.join(MANIFEST))?
    {
        let removed = removed(&folder.join(MANIFEST), &manifest)?;
        return Ok(Side::new(path, Form::Rootfs, as_in_an_image(store, tree, folder)?, Some(removed)));
    }
    Ok(Side::new(path, Form::Directory, tree, None))
}

/// Returns the tree that the manifest at `path` describes.
fn rendered(path: &Path, manifest: &Manifest) -> Result<Side, Error> {
    let tree = manifest.to_tree().map_err(malformed(path))?;
    Ok(Side::new(path, Form::Rendered, tree, Some(removed(path, manifest)?)))
}

fn removed(path: &Path, manifest: &Manifest) -> Result<Vec<TreePath>, Error> {
    manifest.removed_paths().map_err(malformed(path))
}

/// Returns what an image gets from a `rootfs/` that a Dockerfile copies and an archive that it adds after it.
fn as_in_an_image(store: &Store, mut copied: Tree, folder: &Path) -> Result<Tree, Error> {
    let paths: Vec<TreePath> = copied.iter().map(|(path, _)| path.clone()).collect();
    for path in paths {
        if let Some(node) = copied.get_mut(&path) {
            (node.meta.uid, node.meta.gid) = (0, 0);
        }
    }
    let added = folder.join(ROOTFS_TAR);
    if !fs::exists(&added)? {
        return Ok(copied);
    }
    let added = read_tar(&added, &store.archives()).map_err(BuildError::from)?;
    let layer = |name: &str, tree| StackLayer { name: name.into(), tree };
    let stack = Stack { layers: vec![layer(ROOTFS, copied), layer(ROOTFS_TAR, added)] };
    Ok(stack.merge().map_err(BuildError::from)?.tree)
}

fn file(store: &Store, path: &Path) -> Result<Side, Error> {
    if begins_with_brace(path)? {
        let manifest = Manifest::read(&fs::read(path)?).map_err(malformed(path))?;
        return rendered(path, &manifest);
    }
    opened(path, image::open(path, &store.archives())?)
}

fn opened(path: &Path, opened: Opened) -> Result<Side, Error> {
    let form = if opened.format == Format::Tar { Form::Archive } else { Form::Image };
    let Some(tree) = opened.tree else {
        let kind = opened.file_system.map_or("no file system that is known", |system| system.kind.name());
        return Err(Error::usage(format!("cannot compare `{}`: it holds {kind}, which is not read", path.display())));
    };
    Ok(Side::new(path, form, tree, None))
}

/// Tells a manifest from an archive: no archive that holds anything begins with a brace and white space.
fn begins_with_brace(path: &Path) -> Result<bool, Error> {
    let mut first = Vec::new();
    fs::open(path)?.take(2).read_to_end(&mut first).map_err(fs::Error::on("read", path))?;
    Ok(matches!(first[..], [b'{', next] if next.is_ascii_whitespace() || next == b'"'))
}

fn add_removals(tree: &mut Tree, removed: &[TreePath]) {
    for path in removed {
        // Below something that is no directory there is nothing that a base image could have.
        tree.insert(path.clone(), Node::whiteout()).ok();
    }
}

/// Adds the directories that stand above a path of `tree` without being in it.
fn complete(tree: &mut Tree, other: &Tree) {
    tree.complete(|path| match other.get(path) {
        Some(node) if node.kind.is_directory() => node.meta.clone(),
        _ => Meta::root_owned(0o755, 0),
    });
}

/// Describes a node in one line: `file 0644 0:0 12 bytes`, `symlink to ../x`.
pub(super) fn describe(node: &Node, owner: bool) -> String {
    let meta = &node.meta;
    let mode = match owner {
        true => format!("{:04o} {}:{}", meta.mode, meta.uid, meta.gid),
        false => format!("{:04o}", meta.mode),
    };
    match &node.kind {
        Kind::Regular(content) => format!("file {mode} {} bytes", content.length),
        Kind::Symlink(target) => format!("symlink to {}", String::from_utf8_lossy(target)),
        Kind::CharacterDevice(number) | Kind::BlockDevice(number) => {
            format!("{} {}:{} {mode}", node.kind.word(), number.major, number.minor)
        }
        Kind::Whiteout => "removed from the base image".into(),
        Kind::Directory { .. } | Kind::Fifo | Kind::Socket => format!("{} {mode}", node.kind.word()),
    }
}
