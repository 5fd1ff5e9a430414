//! Manifests and indexes (image-spec, manifest.md and image-index.md).

use serde::{Deserialize, Serialize};

use super::OciError;
use super::descriptor::{Annotations, Descriptor, media_type, or_default};

/// The largest document that is read: what registries take (distribution-spec, "Pushing Manifests").
pub const DOCUMENT_MAX: u64 = 4 << 20;
/// The most layers an image may have; engines take 127 at most.
pub const LAYERS_MAX: usize = 512;

/// One image for one platform, or another artifact of several blobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// [`media_type::MANIFEST`], or Docker's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What it is, unless an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, the lowest first.
    #[serde(default, deserialize_with = "or_default")]
    pub layers: Vec<Descriptor>,
    /// The manifest that this one says something about (OCI 1.1, "referrers").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// What else is known about it.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
}

impl Manifest {
    /// Returns the manifest of an image.
    pub fn image(config: Descriptor, layers: Vec<Descriptor>, annotations: Annotations) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media_type::MANIFEST.into()),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations,
        }
    }

    /// Returns the manifest of what is attached to `subject`: blobs of a kind. Its configuration is [`EMPTY`].
    pub fn attached(
        artifact_type: &str,
        blobs: Vec<Descriptor>,
        subject: Descriptor,
        annotations: Annotations,
    ) -> Self {
        Self {
            artifact_type: Some(artifact_type.to_owned()),
            subject: Some(Descriptor { annotations: Annotations::new(), platform: None, ..subject }),
            ..Self::image(Descriptor::of(media_type::EMPTY, EMPTY), blobs, annotations)
        }
    }

    /// Reads a manifest of OCI or Docker; its blob has been checked.
    ///
    /// # Errors
    /// When it is no manifest, or has more than [`LAYERS_MAX`] layers.
    pub fn read(bytes: &[u8]) -> Result<Self, OciError> {
        let manifest: Self = parse("manifest", bytes)?;
        let kind = manifest.media_type.as_deref();
        if manifest.schema_version != 2 || kind.is_some_and(|kind| !media_type::is_manifest(kind)) {
            return Err(OciError::Document { what: "manifest", reason: "it is of another kind or version".into() });
        }
        if manifest.layers.len() > LAYERS_MAX {
            return Err(OciError::Limit { what: "layers", limit: LAYERS_MAX as u64 });
        }
        Ok(manifest)
    }

    /// Returns its bytes: the same for the same manifest.
    pub fn to_bytes(&self) -> Vec<u8> {
        to_bytes(self)
    }

    /// Returns its descriptor.
    pub fn descriptor(&self) -> Descriptor {
        let media_type = self.media_type.as_deref().unwrap_or(media_type::MANIFEST);
        Descriptor { artifact_type: self.artifact_type.clone(), ..Descriptor::of(media_type, &self.to_bytes()) }
    }
}

/// The bytes of a configuration that says nothing (image-spec, manifest.md, "Guidance for an Empty Descriptor").
pub const EMPTY: &[u8] = b"{}";

/// Manifests that belong together: the platforms of an image, or everything in a layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// [`media_type::INDEX`], or Docker's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What it is, unless an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The manifests.
    #[serde(default, deserialize_with = "or_default")]
    pub manifests: Vec<Descriptor>,
    /// What this index says something about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// What else is known about it.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
}

impl Index {
    /// Returns the index of these manifests.
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media_type::INDEX.into()),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: Annotations::new(),
        }
    }

    /// Reads an index of OCI or Docker.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, OciError> {
        let index: Self = parse("index", bytes)?;
        let kind = index.media_type.as_deref();
        if index.schema_version != 2 || kind.is_some_and(|kind| !media_type::is_index(kind)) {
            return Err(OciError::Document { what: "index", reason: "it is of another kind or version".into() });
        }
        Ok(index)
    }

    /// Returns its bytes: the same for the same index.
    pub fn to_bytes(&self) -> Vec<u8> {
        to_bytes(self)
    }

    /// Returns its descriptor.
    pub fn descriptor(&self) -> Descriptor {
        let media_type = self.media_type.as_deref().unwrap_or(media_type::INDEX);
        Descriptor { artifact_type: self.artifact_type.clone(), ..Descriptor::of(media_type, &self.to_bytes()) }
    }
}

/// Reads a JSON document of bounded size.
pub(super) fn parse<'de, T: Deserialize<'de>>(what: &'static str, bytes: &'de [u8]) -> Result<T, OciError> {
    if bytes.len() as u64 > DOCUMENT_MAX {
        return Err(OciError::Limit { what: "bytes of a document", limit: DOCUMENT_MAX });
    }
    serde_json::from_slice(bytes).map_err(|error| OciError::Document { what, reason: error.to_string() })
}

/// Writes a document without white space.
pub(super) fn to_bytes<T: Serialize>(document: &T) -> Vec<u8> {
    serde_json::to_vec(document).expect("a document is made of texts and numbers")
}
