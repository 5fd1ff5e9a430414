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
use crate::tree::{Content, ContentSource, Kind, Meta, Tree, TreePath, read_tar_within};

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
        let length = std::fs::metadata(path).map_err(fs::Error::on("look at", path))?.len();
        let tree = read_tar_within(path, archives, unpacked_limit(length))?;
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

#[cfg(test)]
mod tests {
    use std::num::NonZero;

    use super::*;
    use crate::image::oci::layer::{Codec, write_layer};
    use crate::image::oci::{Blobs, Index, docker_files, layout_files};
    use crate::image::write_tar;
    use crate::tree::{Node, diff};

    fn platform() -> Platform {
        Platform { architecture: "amd64".into(), os: "linux".into(), variant: None }
    }

    fn tree(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::new();
        for (path, text) in files {
            let kind = match *text {
                "gone" => Kind::Whiteout,
                text => Kind::Regular(Content::inline(text.as_bytes())),
            };
            let node =
                if kind == Kind::Whiteout { Node::whiteout() } else { Node { kind, meta: Meta::root_owned(0o640, 7) } };
            tree.insert(path.parse().unwrap(), node).unwrap();
        }
        tree.complete(|_| Meta::root_owned(0o755, 7));
        tree
    }

    /// Returns an image of two layers, of which the upper one replaces and removes what is in the lower one.
    fn image(codec: Codec) -> (Blobs, Manifest) {
        let mut blobs = Blobs::default();
        let (mut layers, mut diff_ids) = (Vec::new(), Vec::new());
        for files in [&[("/etc/a", "one"), ("/etc/b", "two")][..], &[("/etc/a", "gone"), ("/etc/b", "three")]] {
            let mut bytes = Vec::new();
            diff_ids.push(write_layer(&tree(files), codec, NonZero::<usize>::MIN, &mut bytes).unwrap().diff_id);
            layers.push(blobs.add_bytes(codec.media_type(), bytes));
        }
        let config = ImageConfig {
            created: None,
            architecture: "amd64".into(),
            os: "linux".into(),
            variant: None,
            config: None,
            rootfs: RootFs::layers(diff_ids),
            history: Vec::new(),
        };
        let config = blobs.add_bytes(media_type::CONFIG, config.to_bytes());
        let manifest = Manifest::image(config, layers, Annotations::new());
        (blobs, manifest)
    }

    fn archive(folder: &Path, files: &Tree) -> PathBuf {
        let mut bytes = Vec::new();
        write_tar(files, &mut bytes).unwrap();
        let path = folder.join(format!("{}.tar", Digest::of(&bytes).hex()));
        fs::write_atomic(&path, &bytes).unwrap();
        path
    }

    fn read(path: &Path, folder: &Path) -> Result<BaseImage, OciError> {
        let local = LocalImage::open(path, &platform(), &folder.join("archives"))?;
        for (descriptor, content) in &local.blobs {
            let bytes = content.read(1 << 20)?.unwrap();
            fs::write_atomic(&folder.join(descriptor.digest.hex()), &bytes)?;
        }
        let blob = |blob: &Descriptor| Ok(folder.join(blob.digest.hex()));
        BaseImage::read(None, (&local.manifest, local.digest), blob, &folder.join("archives"))
    }

    #[test]
    fn images_of_every_form_are_read() {
        let folder = tempfile::tempdir().unwrap();
        for codec in [Codec::Plain, Codec::Gzip(6), Codec::Zstd(3)] {
            let (mut blobs, manifest) = image(codec);
            let index = Index::new(vec![blobs.add_manifest(&manifest)]);
            let docker = docker_files(&blobs, &manifest, &["web:1".to_owned()], 0).unwrap();
            for files in [layout_files(&blobs, &index, None, 0).unwrap(), docker] {
                let base = read(&archive(folder.path(), &files), folder.path()).unwrap();
                let expected = tree(&[("/etc/b", "three")]);
                assert_eq!(diff(&base.tree, &expected), [], "{codec:?}");
                let digests: Vec<_> = base.layers.iter().map(|(layer, _)| (layer.digest, &*layer.media_type)).collect();
                let own: Vec<_> = manifest.layers.iter().map(|layer| (layer.digest, &*layer.media_type)).collect();
                assert_eq!(digests, own, "layers stay as they are");
            }
        }
    }

    #[test]
    fn an_archive_of_a_root_is_one_layer() {
        let folder = tempfile::tempdir().unwrap();
        let plain = archive(folder.path(), &tree(&[("/etc/b", "three")]));
        for (program, kind) in
            [(None, media_type::LAYER), (Some("gzip"), media_type::LAYER_GZIP), (Some("xz"), media_type::LAYER)]
        {
            let path = folder.path().join("root.tar");
            match program {
                None => drop(std::fs::copy(&plain, &path).unwrap()),
                Some(program) => {
                    let packed = std::process::Command::new(program).arg("-c").arg(&plain).output().unwrap();
                    fs::write_atomic(&path, &packed.stdout).unwrap();
                }
            }
            let base = read(&path, folder.path()).unwrap();
            assert_eq!(diff(&base.tree, &tree(&[("/etc/b", "three")])), []);
            assert_eq!((base.layers.len(), &*base.layers[0].0.media_type), (1, kind), "{program:?}");
            assert_eq!(base.config.architecture, "amd64");
        }
    }

    #[test]
    fn what_is_no_image_to_stand_on_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |change: &dyn Fn(&mut Blobs, &mut Manifest)| {
            let (mut blobs, mut manifest) = image(Codec::Gzip(6));
            change(&mut blobs, &mut manifest);
            let index = Index::new(vec![blobs.add_manifest(&manifest)]);
            let files = layout_files(&blobs, &index, None, 0).unwrap();
            read(&archive(folder.path(), &files), folder.path()).unwrap_err().to_string()
        };
        let swapped = refused(&|_, manifest| manifest.layers.reverse());
        assert!(swapped.contains("the configuration says"), "{swapped}");
        let fewer = refused(&|_, manifest| drop(manifest.layers.pop()));
        assert!(fewer.contains("different numbers of layers"), "{fewer}");
        let kind = refused(&|_, manifest| manifest.layers[0].media_type = "application/x-encrypted".into());
        assert!(kind.contains("`application/x-encrypted` are not understood"), "{kind}");
        let size = refused(&|_, manifest| manifest.layers[0].size += 1);
        assert!(size.contains("its descriptor says"), "{size}");
        let text =
            refused(&|blobs, manifest| manifest.layers[0] = blobs.add_bytes(media_type::LAYER_GZIP, b"text".to_vec()));
        assert!(text.contains("decompress"), "{text}");
    }
}
