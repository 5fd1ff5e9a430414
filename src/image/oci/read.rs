//! Images of others, and our own, as trees: the layers of a layout or of an archive of Docker, laid over each other.
//!
//! Comes in: a directory or an archive. Goes out: the tree that a container of it sees, and what the image says. Always
//! holds: a blob of a layout is read only after it has been found to be what its digest says; no path leaves the tree; what
//! a layer decompresses to is bounded by its size.

use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::config::ImageConfig;
use super::descriptor::{Descriptor, Platform, media_type};
use super::layout::{Layout, MARK, annotation};
use super::manifest::{DOCUMENT_MAX, LAYERS_MAX, parse};
use super::sharing::lay_as_engines;
use super::{DOCKER_MANIFEST, OciError};
use crate::digest::Digest;
use crate::distro::Architecture;
use crate::fs;
use crate::tree::{Content, ContentSource, Kind, Meta, Tree, TreePath, read_tar_within};

/// How many bytes a layer may decompress to, for every byte of it and besides.
const UNPACKED: (u64, u64) = (64, 1 << 30);

/// Returns how many bytes a layer of `size` bytes may decompress to.
pub(super) fn unpacked_limit(size: u64) -> u64 {
    size.saturating_mul(UNPACKED.0).saturating_add(UNPACKED.1)
}

/// A container image, read.
#[derive(Debug, Clone, Serialize)]
pub struct Container {
    /// What it is called.
    pub references: Vec<String>,
    /// The digest of its manifest; an archive of Docker has none.
    pub manifest: Option<Digest>,
    /// What it says about itself.
    pub config: ImageConfig,
    /// Its layers, the lowest first.
    pub layers: Vec<Descriptor>,
    /// How many manifests are attached to it: signatures, lists of what is in it.
    pub attached: usize,
}

/// What a directory or archive is, as far as it is a container image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerFormat {
    /// An image layout.
    Layout,
    /// What `docker save` writes.
    DockerArchive,
}

/// One image of an archive of Docker.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// Tells whether the directory at `path`, or the members of an archive, are a container image.
pub fn recognise(path: &Path, archive: Option<&Tree>) -> Option<ContainerFormat> {
    let Some(tree) = archive else {
        return path.join(MARK).is_file().then_some(ContainerFormat::Layout);
    };
    if member(tree, MARK).is_some() {
        return Some(ContainerFormat::Layout);
    }
    let images: Vec<DockerImage> = docker_images(tree).ok()?;
    images.iter().all(|image| member(tree, &image.config).is_some()).then_some(ContainerFormat::DockerArchive)
}

/// Reads the image in the directory at `path`, or in the members of an archive there: the only one, or the one for the
/// processor of this machine. The directory `unpacked` takes what layers decompress to, see [`read_tar_within`].
///
/// # Errors
/// When there is none or it is not clear which, when it is damaged, or has what no tree can hold.
pub fn open(path: &Path, archive: Option<Tree>, unpacked: &Path) -> Result<(Container, Tree), OciError> {
    open_within(path, archive, unpacked, UNPACKED)
}

fn open_within(
    path: &Path,
    archive: Option<Tree>,
    unpacked: &Path,
    (factor, besides): (u64, u64),
) -> Result<(Container, Tree), OciError> {
    let (container, contents) = match (recognise(path, archive.as_ref()), archive) {
        (Some(ContainerFormat::DockerArchive), Some(tree)) => docker(path, &tree)?,
        (_, archive) => layout(&Layout::of(path, archive)?)?,
    };
    if container.config.rootfs.diff_ids.len() != container.layers.len() {
        let reason = "it names another number of layers than the manifest has".to_owned();
        return Err(OciError::Document { what: "image configuration", reason });
    }
    let mut state = Tree::new();
    for content in &contents {
        let limit = content.length.saturating_mul(factor).saturating_add(besides);
        let layer = read_tar_within(&file(content, unpacked)?, unpacked, limit)?;
        lay_as_engines(&mut state, &layer)
            .map_err(|error| OciError::Layer { digest: content.digest, source: error })?;
    }
    state.complete(|_| Meta::root_owned(0o755, 0));
    Ok((container, state))
}

fn layout(layout: &Layout) -> Result<(Container, Vec<Content>), OciError> {
    let (descriptor, manifest) = layout.image(&Platform::linux(Architecture::host()))?;
    let config = layout.config(&manifest)?;
    let mut contents = Vec::new();
    for layer in &manifest.layers {
        if !media_type::is_layer(&layer.media_type) {
            let reason = format!("a layer is `{}`, which is not read", layer.media_type.escape_debug());
            return Err(OciError::Document { what: "manifest", reason });
        }
        layout.check(layer)?;
        contents.push(layout.blob(layer)?);
    }
    let references = descriptor.annotations.get(annotation::REF_NAME).cloned().into_iter().collect();
    let attached = layout.referrers(&descriptor.digest)?.len();
    let manifest_digest = Some(descriptor.digest);
    Ok((Container { references, manifest: manifest_digest, config, layers: manifest.layers, attached }, contents))
}

fn docker(path: &Path, tree: &Tree) -> Result<(Container, Vec<Content>), OciError> {
    let refuse = |reason| OciError::NotALayout { path: path.to_owned(), reason };
    let mut images = docker_images(tree)?;
    if images.len() != 1 {
        return Err(refuse("there is not exactly one image in it"));
    }
    let image = images.remove(0);
    let missing = |name: &str| OciError::Document {
        what: "file `manifest.json`",
        reason: format!("`{}` is not in the archive", name.escape_debug()),
    };
    let config = member(tree, &image.config).ok_or_else(|| missing(&image.config))?;
    let bytes = config.read(DOCUMENT_MAX as usize)?;
    let config =
        ImageConfig::read(&bytes.ok_or(OciError::Limit { what: "bytes of a document", limit: DOCUMENT_MAX })?)?;
    let names = image.layers.unwrap_or_default();
    if names.len() > LAYERS_MAX {
        return Err(OciError::Limit { what: "layers", limit: LAYERS_MAX as u64 });
    }
    let contents: Vec<Content> =
        names.iter().map(|name| member(tree, name).ok_or_else(|| missing(name))).collect::<Result<_, _>>()?;
    let layer = |content: &Content| Descriptor::new(media_type::DOCKER_LAYER, content.digest, content.length);
    let layers = contents.iter().map(layer).collect();
    let references = image.repo_tags.unwrap_or_default();
    Ok((Container { references, manifest: None, config, layers, attached: 0 }, contents))
}

fn docker_images(tree: &Tree) -> Result<Vec<DockerImage>, OciError> {
    let manifest = member(tree, DOCKER_MANIFEST).filter(|content| content.length <= DOCUMENT_MAX);
    let bytes = manifest.map(|content| content.read(DOCUMENT_MAX as usize)).transpose()?.flatten();
    parse("file `manifest.json`", &bytes.unwrap_or_default())
}

/// Returns a file of an archive; links in it are followed inside.
fn member(tree: &Tree, name: &str) -> Option<Content> {
    let path = TreePath::from_relative(name.as_bytes()).ok()?;
    match &tree.lookup(&path)?.kind {
        Kind::Regular(content) => Some(content.clone()),
        _ => None,
    }
}

/// Returns a file of the host with the bytes of a layer: a part of an archive is copied into the directory `unpacked`.
fn file(content: &Content, unpacked: &Path) -> Result<PathBuf, OciError> {
    if let ContentSource::File(path) = &content.source {
        return Ok(path.to_path_buf());
    }
    fs::create_directory(unpacked)?;
    let path = unpacked.join(format!("{}.layer", content.digest.hex()));
    if fs::exists(&path)? {
        return Ok(path);
    }
    let temporary = unpacked.join(format!(".{}.{}.layer", content.digest.hex(), std::process::id()));
    let mut from = content.open()?;
    let copied = fs::create(&temporary)
        .and_then(|mut to| io::copy(&mut from, &mut to).map_err(fs::Error::on("write", &*temporary)))
        .and_then(|_| fs::rename(&temporary, &path));
    if copied.is_err() {
        // The first error is the one to report.
        fs::remove_file(&temporary).ok();
    }
    copied?;
    Ok(path)
}

/// What was checked of a layout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// The digests of the manifests of its images.
    pub images: Vec<Digest>,
    /// How many blobs were read.
    pub blobs: usize,
}

/// Checks a whole layout: every blob that its index leads to is what its digest says, and every layer decompresses to what
/// the configuration of its image says.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(layout: &Layout) -> Result<Checked, OciError> {
    let mut seen = std::collections::BTreeSet::new();
    for root in &layout.index().manifests {
        for blob in layout.blobs(root)? {
            if seen.insert(blob.digest) {
                layout.check(&blob)?;
            }
        }
    }
    let images = layout.images()?;
    for (_, manifest) in &images {
        let config = layout.config(manifest)?;
        if config.rootfs.diff_ids.len() != manifest.layers.len() {
            let reason = "it names another number of layers than the manifest has".to_owned();
            return Err(OciError::Document { what: "image configuration", reason });
        }
        for (layer, diff_id) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
            let found = diff_id_of(layer, &layout.blob(layer)?)?;
            if found != *diff_id {
                return Err(OciError::DiffId { digest: layer.digest, expected: *diff_id, found });
            }
        }
    }
    Ok(Checked { images: images.iter().map(|(descriptor, _)| descriptor.digest).collect(), blobs: seen.len() })
}

/// Returns the digest of what a layer decompresses to.
pub(super) fn diff_id_of(layer: &Descriptor, content: &Content) -> Result<Digest, OciError> {
    let damaged = |source| OciError::Decompress { digest: layer.digest, source };
    let bytes = BufReader::with_capacity(1 << 17, content.open()?);
    let plain: Box<dyn Read + '_> = match layer.media_type.as_str() {
        media_type::LAYER_GZIP | media_type::DOCKER_LAYER_GZIP => Box::new(flate2::bufread::MultiGzDecoder::new(bytes)),
        media_type::LAYER_ZSTD | media_type::DOCKER_LAYER_ZSTD => {
            Box::new(zstd::stream::read::Decoder::with_buffer(bytes).map_err(damaged)?)
        }
        _ => Box::new(bytes),
    };
    let limit = unpacked_limit(layer.size);
    let (digest, length) = Digest::of_stream(plain.take(limit.saturating_add(1))).map_err(damaged)?;
    if length > limit {
        return Err(OciError::Limit { what: "bytes in a decompressed layer", limit });
    }
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use std::num::NonZero;

    use super::*;
    use crate::image::oci::layer::{Codec, write_layer};
    use crate::image::oci::{Annotations, Blobs, Index, Manifest, RootFs, docker_files, layout_files};
    use crate::image::write_tar;
    use crate::tree::{DeviceNumber, Node, diff};

    fn path(text: &str) -> TreePath {
        text.parse().unwrap()
    }

    fn node(text: &str) -> Node {
        let kind = match text {
            "/" => Kind::directory(),
            "!" => Kind::Directory { opaque: true },
            "-" => return Node::whiteout(),
            "null" => Kind::CharacterDevice(DeviceNumber { major: 1, minor: 3 }),
            text if text.starts_with('>') => Kind::Symlink(text.as_bytes()[1..].into()),
            text => Kind::Regular(Content::inline(text.as_bytes())),
        };
        Node { kind, meta: Meta { uid: 5, ..Meta::root_owned(0o750, 9) } }
    }

    fn tree(items: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::new();
        for (name, text) in items {
            match text.strip_prefix('&') {
                Some(target) => tree.link(path(name), &path(target)).unwrap(),
                None => drop(tree.insert(path(name), node(text)).unwrap()),
            }
        }
        tree
    }

    /// Returns the blobs and the manifest of an image with these layers.
    fn image(layers: &[Tree], codec: Codec) -> (Blobs, Manifest) {
        let mut blobs = Blobs::default();
        let (mut descriptors, mut diff_ids) = (Vec::new(), Vec::new());
        for layer in layers {
            let mut bytes = Vec::new();
            let written = write_layer(layer, codec, NonZero::<usize>::MIN, &mut bytes).unwrap();
            descriptors.push(blobs.add_bytes(codec.media_type(), bytes));
            diff_ids.push(written.diff_id);
        }
        let config = ImageConfig {
            created: None,
            architecture: Architecture::host().oci_name().into(),
            os: "linux".into(),
            variant: None,
            config: None,
            rootfs: RootFs::layers(diff_ids),
            history: Vec::new(),
        };
        let config = blobs.add_bytes(media_type::CONFIG, config.to_bytes());
        let manifest = Manifest::image(config, descriptors, Annotations::new());
        blobs.add_manifest(&manifest);
        (blobs, manifest)
    }

    /// Writes the files of an image into an archive.
    fn archive(folder: &Path, files: &Tree) -> PathBuf {
        let (mut bytes, path) = (Vec::new(), folder.join("image.tar"));
        write_tar(files, &mut bytes).unwrap();
        fs::write_atomic(&path, &bytes).unwrap();
        path
    }

    fn read(folder: &Path, files: &Tree) -> Result<(Container, Tree), OciError> {
        let path = archive(folder, files);
        let tree = crate::tree::read_tar(&path, folder).unwrap();
        open_within(&path, Some(tree), folder, (64, 1 << 20))
    }

    #[test]
    fn layers_are_laid_over_each_other() {
        let layers = [
            tree(&[("/a", "/"), ("/a/b", "one"), ("/a/c", "&/a/b"), ("/d", "/"), ("/d/e", "gone"), ("/lib", ">a")]),
            tree(&[("/a/b", "-"), ("/d", "!"), ("/d/f", "new"), ("/null", "null"), ("/lib/x", "through no link")]),
        ];
        let mut expected = tree(&[
            ("/a", "/"),
            ("/a/c", "one"),
            ("/d", "/"),
            ("/d/f", "new"),
            ("/lib/x", "through no link"),
            ("/null", "null"),
        ]);
        expected.complete(|_| Meta::root_owned(0o755, 0));
        for codec in [Codec::Plain, Codec::Gzip(6), Codec::Zstd(3)] {
            let (blobs, manifest) = image(&layers, codec);
            let index = Index::new(vec![manifest.descriptor()]);
            let folder = tempfile::tempdir().unwrap();
            let (container, tree) = read(folder.path(), &layout_files(&blobs, &index, None, 0).unwrap()).unwrap();
            assert_eq!(diff(&tree, &expected), [], "{codec:?}");
            assert_eq!(container.layers.len(), 2);
            let tags = ["web:1".to_owned()];
            let (container, tree) = read(folder.path(), &docker_files(&blobs, &manifest, &tags, 0).unwrap()).unwrap();
            assert_eq!((diff(&tree, &expected).as_slice(), container.references), (&[][..], tags.to_vec()));
            let layout = archive(folder.path(), &layout_files(&blobs, &index, None, 0).unwrap());
            let checked = check(&Layout::open(&layout, folder.path()).unwrap()).unwrap();
            assert_eq!((checked.images.len(), checked.blobs), (1, 4));
        }
    }

    #[test]
    fn a_layer_that_is_not_what_the_configuration_says_is_found() {
        let (mut blobs, mut manifest) = image(&[tree(&[("/a", "one")])], Codec::Gzip(6));
        let mut other = Vec::new();
        write_layer(&tree(&[("/a", "two")]), Codec::Gzip(6), NonZero::<usize>::MIN, &mut other).unwrap();
        manifest.layers[0] = blobs.add_bytes(media_type::LAYER_GZIP, other);
        let folder = tempfile::tempdir().unwrap();
        let index = Index::new(vec![blobs.add_manifest(&manifest)]);
        let layout = archive(folder.path(), &layout_files(&blobs, &index, None, 0).unwrap());
        let layout = Layout::open(&layout, folder.path()).unwrap();
        assert!(matches!(check(&layout), Err(OciError::DiffId { .. })));
    }

    #[test]
    fn bombs_and_strange_images_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (mut blobs, mut manifest) = image(&[Tree::new()], Codec::Plain);
        // A zstd frame of 64 MiB of zeros: blocks of 128 KiB that repeat one byte (RFC 8878, 3.1.1.2).
        let mut bomb = b"\x28\xb5\x2f\xfd\x00\x58".to_vec();
        bomb.extend((0..512).flat_map(|_| [0x02, 0x00, 0x10, 0x00]));
        bomb.extend([0x03, 0x00, 0x00, 0x00]);
        manifest.layers[0] = blobs.add_bytes(media_type::LAYER_ZSTD, bomb);
        let files = |blobs: &Blobs, descriptor| layout_files(blobs, &Index::new(vec![descriptor]), None, 0).unwrap();
        let descriptor = blobs.add_manifest(&manifest);
        let error = read(folder.path(), &files(&blobs, descriptor)).unwrap_err();
        assert!(error.to_string().contains("more than 11"), "{error}");
        let mut strange = manifest.clone();
        strange.layers[0].media_type = "application/x-encrypted".into();
        let descriptor = blobs.add_manifest(&strange);
        let error = read(folder.path(), &files(&blobs, descriptor)).unwrap_err();
        assert!(error.to_string().contains("application/x-encrypted"), "{error}");
        strange.layers.clear();
        let descriptor = blobs.add_manifest(&strange);
        let error = read(folder.path(), &files(&blobs, descriptor)).unwrap_err();
        assert!(error.to_string().contains("another number of layers"), "{error}");
        let descriptor = blobs.add_manifest(&Manifest { layers: vec![manifest.layers[0].clone(); 513], ..manifest });
        assert!(matches!(read(folder.path(), &files(&blobs, descriptor)), Err(OciError::Limit { .. })));
        assert_eq!(recognise(folder.path(), None), None);
    }
}
