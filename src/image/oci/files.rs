//! An image as the files it is written as: a tree, like everything else that is written.

use std::collections::BTreeMap;

use serde::Serialize;

use super::DOCKER_MANIFEST;
use super::descriptor::{Descriptor, media_type};
use super::layout::{BLOBS, INDEX, MARK, mark};
use super::manifest::{Index, Manifest, to_bytes};
use crate::digest::Digest;
use crate::tree::{Content, InvalidPath, Kind, Meta, Node, Tree, TreeError, TreePath};

/// The blobs of a layout that is written.
#[derive(Debug, Clone, Default)]
pub struct Blobs(BTreeMap<Digest, Content>);

impl Blobs {
    /// Takes a blob and returns its descriptor.
    pub fn add(&mut self, media_type: &str, content: Content) -> Descriptor {
        let descriptor = Descriptor::new(media_type, content.digest, content.length);
        self.0.insert(content.digest, content);
        descriptor
    }

    /// Takes a blob of these bytes and returns its descriptor.
    pub fn add_bytes(&mut self, media_type: &str, bytes: Vec<u8>) -> Descriptor {
        self.add(media_type, Content::inline(bytes))
    }

    /// Takes a manifest and returns its descriptor.
    pub fn add_manifest(&mut self, manifest: &Manifest) -> Descriptor {
        let descriptor = manifest.descriptor();
        self.add_bytes(media_type::MANIFEST, manifest.to_bytes());
        descriptor
    }

    /// Returns every blob, by its digest.
    pub fn iter(&self) -> impl Iterator<Item = (&Digest, &Content)> {
        self.0.iter()
    }

    /// Returns a blob.
    pub fn get(&self, digest: &Digest) -> Option<&Content> {
        self.0.get(digest)
    }
}

/// A file cannot stand where it should: only for names that no blob has.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// It is no path.
    #[error(transparent)]
    Path(#[from] InvalidPath),
    /// Something else stands there.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// One image of an archive that Docker loads (moby, image-spec v1.2, "Combined Image JSON + Filesystem Changeset Format").
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage<'run> {
    config: String,
    repo_tags: &'run [String],
    layers: Vec<String>,
}

/// Returns the files of a layout; every time is `epoch`. With `tags` it has the file that older engines look for, too.
///
/// # Errors
/// Never for digests.
pub fn layout_files(
    blobs: &Blobs,
    index: &Index,
    docker: Option<(&Manifest, &[String])>,
    epoch: i64,
) -> Result<Tree, FilesError> {
    let mut files = Files::new(epoch);
    files.add(MARK, Content::inline(mark()))?;
    files.add(INDEX, Content::inline(index.to_bytes()))?;
    for (digest, content) in &blobs.0 {
        files.add(&format!("{BLOBS}/{}", digest.hex()), content.clone())?;
    }
    if let Some((manifest, tags)) = docker {
        let name = |blob: &Descriptor| format!("{BLOBS}/{}", blob.digest.hex());
        let layers = manifest.layers.iter().map(name).collect();
        files.docker(&DockerImage { config: name(&manifest.config), repo_tags: tags, layers })?;
    }
    Ok(files.finish())
}

/// Returns the files of an archive as `docker save` writes it, for one image whose layers are not compressed.
///
/// # Errors
/// Never for digests.
pub fn docker_files(blobs: &Blobs, manifest: &Manifest, tags: &[String], epoch: i64) -> Result<Tree, FilesError> {
    let mut files = Files::new(epoch);
    let config = format!("{}.json", manifest.config.digest.hex());
    if let Some(content) = blobs.get(&manifest.config.digest) {
        files.add(&config, content.clone())?;
    }
    let mut layers = Vec::new();
    for layer in &manifest.layers {
        let name = format!("{}.tar", layer.digest.hex());
        if let Some(content) = blobs.get(&layer.digest) {
            files.add(&name, content.clone())?;
        }
        layers.push(name);
    }
    files.docker(&DockerImage { config, repo_tags: tags, layers })?;
    Ok(files.finish())
}

/// Returns the members of an archive of a layout with more blobs and another index. Everything else stays as it is.
///
/// # Errors
/// When something that is no folder stands where blobs do.
pub fn changed_files(archive: &Tree, blobs: &Blobs, index: &Index) -> Result<Tree, FilesError> {
    let path = TreePath::from_relative(INDEX.as_bytes())?;
    let epoch = archive.get(&path).map_or(0, |node| node.meta.mtime);
    let mut files = Files { tree: archive.clone(), epoch };
    files.add(INDEX, Content::inline(index.to_bytes()))?;
    for (digest, content) in blobs.iter() {
        files.add(&format!("{BLOBS}/{}", digest.hex()), content.clone())?;
    }
    Ok(files.finish())
}

/// Files that are gathered.
struct Files {
    tree: Tree,
    epoch: i64,
}

impl Files {
    fn new(epoch: i64) -> Self {
        Self { tree: Tree::new(), epoch }
    }

    fn add(&mut self, name: &str, content: Content) -> Result<(), FilesError> {
        let node = Node { kind: Kind::Regular(content), meta: Meta::root_owned(0o644, self.epoch) };
        self.tree.insert(TreePath::from_relative(name.as_bytes())?, node)?;
        Ok(())
    }

    fn docker(&mut self, image: &DockerImage<'_>) -> Result<(), FilesError> {
        self.add(DOCKER_MANIFEST, Content::inline(to_bytes(&[image])))
    }

    fn finish(mut self) -> Tree {
        self.tree.complete(|_| Meta::root_owned(0o755, self.epoch));
        self.tree
    }
}
