//! What names a blob: media type, digest, size (image-spec, descriptor.md).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::digest::Digest;
use crate::distro::Architecture;

/// The media types of what images are made of (image-spec, media-types.md; distribution, "Image Manifest V 2, Schema 2").
pub mod media_type {
    /// An index.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// A manifest.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// A configuration.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// A layer as it is.
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// A layer compressed with gzip.
    pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// A layer compressed with zstd.
    pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// The empty object `{}`, which stands where a manifest has nothing to say.
    pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
    /// Docker's index.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker's manifest.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's configuration.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// Docker's layer as it is.
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
    /// Docker's layer, compressed with gzip.
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// Docker's layer, compressed with zstd.
    pub const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";

    /// Tells whether this is an index, of OCI or Docker.
    pub fn is_index(media_type: &str) -> bool {
        [INDEX, DOCKER_LIST].contains(&media_type)
    }

    /// Tells whether this is a manifest, of OCI or Docker.
    pub fn is_manifest(media_type: &str) -> bool {
        [MANIFEST, DOCKER_MANIFEST].contains(&media_type)
    }

    /// Tells whether this is the configuration of an image, of OCI or Docker.
    pub fn is_config(media_type: &str) -> bool {
        [CONFIG, DOCKER_CONFIG].contains(&media_type)
    }

    /// Tells whether this is a layer of an image, of OCI or Docker.
    pub fn is_layer(media_type: &str) -> bool {
        [LAYER, LAYER_GZIP, LAYER_ZSTD, DOCKER_LAYER, DOCKER_LAYER_GZIP, DOCKER_LAYER_ZSTD].contains(&media_type)
    }
}

/// Keys and values that say something about a descriptor, a manifest or an index.
pub type Annotations = BTreeMap<String, String>;

/// What a blob is, by media type, digest and size. What it does not know of another's descriptor it drops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob holds: one of [`media_type`], or any other.
    pub media_type: String,
    /// The digest of its bytes.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
    /// Where else it can be had; never looked at here.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// What else is known about it.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
    /// For a manifest that is no image: what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// What the image runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

impl Descriptor {
    /// Returns the descriptor of a blob.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            urls: Vec::new(),
            annotations: Annotations::new(),
            artifact_type: None,
            platform: None,
        }
    }

    /// Returns the descriptor of a blob with these bytes.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }
}

/// What an image runs on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// The processor, as Go names it: `amd64`.
    pub architecture: String,
    /// The system: `linux`.
    pub os: String,
    /// The variant of the processor: `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Returns Linux on an architecture.
    pub fn linux(architecture: Architecture) -> Self {
        Self { architecture: architecture.oci_name().to_owned(), os: "linux".into(), variant: None }
    }

    /// Tells whether what runs on `self` is meant when `wanted` is asked for: what is not said does not matter.
    pub fn fits(&self, wanted: &Self) -> bool {
        let variant = match (&self.variant, &wanted.variant) {
            (Some(own), Some(wanted)) => own == wanted,
            _ => true,
        };
        self.os == wanted.os && self.architecture == wanted.architecture && variant
    }
}

/// Reads `null`, which Go writes for what is empty, as nothing.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(reader: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(reader).map(Option::unwrap_or_default)
}
