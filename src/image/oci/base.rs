//! Images that others stand on: their layers as they are, and the tree that the layers make.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::config::{ImageConfig, RootFs};
use super::descriptor::{Descriptor, media_type};
use super::layout::Layout;
use super::manifest::{DOCUMENT_MAX, LAYERS_MAX, Manifest, parse};
use super::read::{diff_id_of, unpacked_limit};
use super::sharing::lay_as_engines;
use super::{Annotations, DOCKER_MANIFEST, OciError, Platform};
use crate::digest::Digest;
use crate::fs;
use crate::tree::{Content, ContentSource, Kind, Meta, Tree, TreePath, read_tar, read_tar_within};

/// An image that others stand on.
#[derive(Debug, Clone)]
pub struct BaseImage {
    /// Its name, when it has one.
    pub name: Option<String>,
    /// The digest of its manifest.
    pub digest: Digest,
    /// Its configuration.
    pub config: ImageConfig,
    /// Its layers, the lowest first.
    pub layers: Vec<(Descriptor, Content)>,
    /// What the layers make.
    pub tree: Tree,
}

impl BaseImage {
    /// Makes the tree of an image whose blobs are files that have been checked: `blob` says where each is. Decompressed
    /// layers are kept in `archives`.
    ///
    /// # Errors
    /// When a blob is missing, a layer is none or cannot be unpacked, or is not what the configuration says.
    pub fn read(
        name: Option<String>,
        manifest: (&Manifest, Digest),
        blob: impl Fn(&Descriptor) -> Result<PathBuf, OciError>,
        archives: &Path,
    ) -> Result<Self, OciError> {
        let (manifest, digest) = manifest;
        let refuse = |reason: &str| OciError::Document { what: "base image", reason: reason.to_owned() };
        if !media_type::is_config(&manifest.config.media_type) {
            return Err(refuse("it is no image: its configuration is of another kind"));
        }
        let config = ImageConfig::read(&bytes(&blob(&manifest.config)?)?)?;
        if config.rootfs.diff_ids.len() != manifest.layers.len() {
            return Err(refuse("its manifest and its configuration have different numbers of layers"));
        }
        let (mut tree, mut layers) = (Tree::new(), Vec::new());
        for (descriptor, diff_id) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
            if !media_type::is_layer(&descriptor.media_type) {
                return Err(refuse(&format!("layers of the type `{}` are not understood", descriptor.media_type)));
            }
            let path = blob(descriptor)?;
            let source = ContentSource::File(path.clone().into());
            let content = Content { digest: descriptor.digest, length: descriptor.size, source };
            let found = diff_id_of(descriptor, &content)?;
            if found != *diff_id {
                return Err(OciError::DiffId { digest: descriptor.digest, expected: *diff_id, found });
            }
            let layer = read_tar_within(&path, archives, unpacked_limit(descriptor.size))?;
            lay_as_engines(&mut tree, &layer)
                .map_err(|source| OciError::Layer { digest: descriptor.digest, source })?;
            layers.push((Descriptor::new(&descriptor.media_type, descriptor.digest, descriptor.size), content));
        }
        tree.complete(|_| Meta::root_owned(0o755, 0));
        Ok(Self { name, digest, config, layers, tree })
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, OciError> {
    let mut bytes = Vec::new();
    let read = fs::open(path)?.take(DOCUMENT_MAX + 1).read_to_end(&mut bytes);
    read.map_err(fs::Error::on("read", path))?;
    Ok(bytes)
}

/// An image in a file or directory of this machine.
#[derive(Debug)]
pub struct LocalImage {
    /// Its manifest; that of an archive of another form is made up, the same each time.
    pub manifest: Manifest,
    /// The digest of the manifest.
    pub digest: Digest,
    /// Its configuration and layers.
    pub blobs: Vec<(Descriptor, Content)>,
}

/// One image of an archive that `docker save` wrote.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    #[serde(default)]
    layers: Vec<String>,
}

impl LocalImage {
    /// Opens the image at `path`: a layout or an archive of one, what `docker save` writes, or a tar archive of a root
    /// filesystem. Decompressed archives are kept in `archives`.
    ///
    /// # Errors
    /// When it is none of them, has no image for `platform`, or is damaged.
    pub fn open(path: &Path, platform: &Platform, archives: &Path) -> Result<Self, OciError> {
        if path.is_dir() {
            return Self::of_layout(&Layout::open(path, archives)?, platform);
        }
        let tree = read_tar(path, archives)?;
        let file = |name: &str| -> Option<Content> {
            match &tree.lookup(&TreePath::from_relative(name.as_bytes()).ok()?)?.kind {
                Kind::Regular(content) => Some(content.clone()),
                _ => None,
            }
        };
        if file(super::layout::MARK).is_some() {
            Self::of_layout(&Layout::of(path, Some(tree))?, platform)
        } else if let Some(list) = file(DOCKER_MANIFEST) {
            Self::of_docker(path, &list, file)
        } else {
            Self::of_root(path, platform, archives)
        }
    }

    fn of_layout(layout: &Layout, platform: &Platform) -> Result<Self, OciError> {
        let (descriptor, manifest) = layout.image(platform)?;
        let mut blobs = Vec::new();
        for blob in std::iter::once(&manifest.config).chain(&manifest.layers) {
            blobs.push((blob.clone(), layout.blob(blob)?));
        }
        Ok(Self { manifest, digest: descriptor.digest, blobs })
    }

    fn of_docker(path: &Path, list: &Content, file: impl Fn(&str) -> Option<Content>) -> Result<Self, OciError> {
        let refuse = |reason| OciError::NotALayout { path: path.to_owned(), reason };
        let text = list.read(DOCUMENT_MAX as usize)?.ok_or_else(|| refuse("its `manifest.json` is too large"))?;
        let images: Vec<DockerImage> = parse("file `manifest.json`", &text)?;
        let [image] = images.as_slice() else { return Err(refuse("it holds several images, or none: save one")) };
        if image.layers.len() > LAYERS_MAX {
            return Err(OciError::Limit { what: "layers", limit: LAYERS_MAX as u64 });
        }
        let find = |name: &str| file(name).ok_or_else(|| refuse("a file that its `manifest.json` names is missing"));
        let config = find(&image.config)?;
        let mut layers = Vec::new();
        for name in &image.layers {
            let content = find(name)?;
            layers.push((
                layer_type(&content)?.ok_or_else(|| refuse("a layer is compressed in an unknown way"))?,
                content,
            ));
        }
        Ok(Self::made_up(config, layers))
    }

    /// Takes an archive for the only layer of an image.
    fn of_root(path: &Path, platform: &Platform, archives: &Path) -> Result<Self, OciError> {
        let whole = Content::of_file(path.into())?;
        let unpacked = archives.join(format!("{}.tar", whole.digest.hex()));
        let plain = if fs::exists(&unpacked)? { Content::of_file(unpacked.into())? } else { whole.clone() };
        let diff_id = plain.digest;
        // What no engine understands is taken without its compression.
        let (kind, layer) = match layer_type(&whole)? {
            Some(kind) => (kind, whole),
            None => (media_type::LAYER, plain),
        };
        let config = ImageConfig {
            created: None,
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            variant: platform.variant.clone(),
            config: None,
            rootfs: RootFs::layers(vec![diff_id]),
            history: Vec::new(),
        };
        Ok(Self::made_up(Content::inline(config.to_bytes()), vec![(kind, layer)]))
    }

    fn made_up(config: Content, layers: Vec<(&str, Content)>) -> Self {
        let describe = |kind: &str, content: &Content| Descriptor::new(kind, content.digest, content.length);
        let mut blobs = vec![(describe(media_type::CONFIG, &config), config)];
        blobs.extend(layers.into_iter().map(|(kind, content)| (describe(kind, &content), content)));
        let descriptors = blobs[1..].iter().map(|(descriptor, _)| descriptor.clone()).collect();
        let manifest = Manifest::image(blobs[0].0.clone(), descriptors, Annotations::new());
        Self { digest: manifest.descriptor().digest, manifest, blobs }
    }
}

/// Returns the media type of an archive by its first bytes; nothing for compressions that layers do not have.
fn layer_type(content: &Content) -> Result<Option<&'static str>, OciError> {
    let mut start = Vec::new();
    let read = content.open()?.take(6).read_to_end(&mut start);
    read.map_err(fs::Error::on("read", content.source.path()))?;
    Ok(match start.as_slice() {
        [0x1f, 0x8b, ..] => Some(media_type::LAYER_GZIP),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(media_type::LAYER_ZSTD),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => None,
        _ => Some(media_type::LAYER),
    })
}
