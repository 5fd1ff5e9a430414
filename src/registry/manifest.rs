//! Manifests and indexes in a repository (distribution-spec, "Pulling manifests", "Pushing Manifests").

use serde::Deserialize;

use super::RegistryError;
use super::access::Payload;
use super::client::Repository;
use crate::digest::Digest;
use crate::fetch::{Headers, Method};
use crate::image::oci::{DOCUMENT_MAX, Descriptor, media_type};

/// The media types that are understood, as an `Accept` field says it.
fn accepted() -> String {
    [media_type::INDEX, media_type::MANIFEST, media_type::DOCKER_LIST, media_type::DOCKER_MANIFEST].join(", ")
}

/// A manifest or an index as it is in a registry: its bytes have the digest of its descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What names it.
    pub descriptor: Descriptor,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    media_type: Option<String>,
}

impl Document {
    /// Takes the bytes of a document; `content_type` counts when they do not say themselves what they are.
    pub fn new(bytes: Vec<u8>, content_type: Option<&str>) -> Self {
        let own = serde_json::from_slice::<Kind>(&bytes).ok().and_then(|kind| kind.media_type);
        let content_type = content_type.and_then(|text| text.split(';').next()).map(|text| text.trim().to_owned());
        let media_type = own.or(content_type).unwrap_or_else(|| media_type::MANIFEST.to_owned());
        Self { descriptor: Descriptor::of(&media_type, &bytes), bytes }
    }

    /// Tells whether it is an index.
    pub fn is_index(&self) -> bool {
        media_type::is_index(&self.descriptor.media_type)
    }
}

impl Repository<'_> {
    /// Returns the manifest or index under a tag or digest.
    ///
    /// # Errors
    /// When there is none, or it is not what the digest says.
    pub fn manifest(&self, wanted: &str) -> Result<Document, RegistryError> {
        let what = format!("manifest `{wanted}`");
        let mut ask = self.ask(Method::Get, &format!("manifests/{wanted}"))?;
        ask.headers = Headers::new().with("accept", accepted());
        let document = self.client.fetcher.repeat(|_| {
            let mut response = self.once(&ask, &what)?;
            if response.status != 200 {
                return Err(self.refusal(response, &what));
            }
            let content_type = response.headers.get("content-type").map(str::to_owned);
            let announced = response.headers.get("docker-content-digest").map(str::to_owned);
            let bytes = response.bytes(DOCUMENT_MAX).map_err(|error| self.failure(error, &what))?;
            Ok((Document::new(bytes, content_type.as_deref()), announced))
        });
        let (document, announced) = document?;
        let found = document.descriptor.digest;
        // A digest of another algorithm cannot be compared; that which was asked for is always compared.
        let expected =
            [Some(wanted), announced.as_deref()].into_iter().flatten().filter_map(|text| text.parse::<Digest>().ok());
        for expected in expected {
            self.same(expected, found)?;
        }
        Ok(document)
    }

    /// Returns the digest of what is under a tag or digest; nothing when there is nothing.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub fn manifest_digest(&self, wanted: &str) -> Result<Option<Digest>, RegistryError> {
        let what = format!("manifest `{wanted}`");
        let mut ask = self.ask(Method::Head, &format!("manifests/{wanted}"))?;
        ask.headers = Headers::new().with("accept", accepted());
        let response = self.call(&ask, &what)?;
        match response.status {
            404 => return Ok(None),
            200 => {}
            _ => return Err(self.refusal(response, &what)),
        }
        match response.headers.get("docker-content-digest").and_then(|digest| digest.parse().ok()) {
            Some(digest) => Ok(Some(digest)),
            // Not every registry says it.
            None => Ok(Some(self.manifest(wanted)?.descriptor.digest)),
        }
    }

    /// Puts a manifest or index under a tag or its digest. Tells whether the registry takes note of the subject that it
    /// names (distribution-spec, "Pushing Manifests with Subject").
    ///
    /// # Errors
    /// When the registry does not take it.
    pub fn put_manifest(&self, under: &str, document: &Document) -> Result<bool, RegistryError> {
        let what = format!("manifest `{under}`");
        let mut ask = self.ask(Method::Put, &format!("manifests/{under}"))?;
        ask.headers = Headers::new().with("content-type", document.descriptor.media_type.clone());
        ask.payload = Payload::Bytes(&document.bytes);
        // What refuses a manifest may pass (see [`RegistryError::is_transient`]).
        let response = self.client.fetcher.repeat(|_| match self.once(&ask, &what)? {
            response if matches!(response.status, 200..=202) => Ok(response),
            response => Err(self.refusal(response, &what)),
        })?;
        if let Some(digest) = response.headers.get("docker-content-digest").and_then(|digest| digest.parse().ok()) {
            self.same(document.descriptor.digest, digest)?;
        }
        Ok(response.headers.get("oci-subject").is_some())
    }

    pub(super) fn same(&self, expected: Digest, found: Digest) -> Result<(), RegistryError> {
        if expected == found {
            return Ok(());
        }
        let name = format!("{}/{}", self.endpoint.registry, self.endpoint.repository);
        Err(RegistryError::Digest { name, expected, found })
    }
}
