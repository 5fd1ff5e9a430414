//! What is attached to a manifest (distribution-spec, "Listing Referrers", "Referrers Tag Schema").

use super::RegistryError;
use super::client::Repository;
use super::manifest::Document;
use crate::digest::Digest;
use crate::fetch::{Headers, Method};
use crate::image::oci::{DOCUMENT_MAX, Descriptor, Index, Manifest, media_type};

/// How many pages of a list are read.
const PAGES: usize = 64;
/// How often the list under a tag is written when somebody else writes it at the same time.
const ATTEMPTS: u32 = 5;

impl Repository<'_> {
    /// Returns the descriptors of what is attached to a manifest.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, RegistryError> {
        let mut found = Vec::new();
        let mut next = Some(self.url(&format!("referrers/{subject}"))?);
        for page in 0..PAGES {
            let Some(url) = next.take() else { break };
            let mut ask = self.ask_at(Method::Get, url);
            ask.headers = Headers::new().with("accept", media_type::INDEX);
            let mut response = self.call(&ask, "list of referrers")?;
            // Registries that do not know the interface answer as if there was no such path, or refuse it.
            if response.status != 200 && page == 0 {
                return Ok(self.tagged(subject)?.map(|index| index.manifests).unwrap_or_default());
            }
            if response.status != 200 {
                return Err(self.refusal(response, "list of referrers"));
            }
            next = match response.headers.get("link").and_then(next_of) {
                Some(link) => Some(self.location(&ask.url, link)?).filter(|url| self.is_home(url)),
                None => None,
            };
            let bytes = response.bytes(DOCUMENT_MAX).map_err(|error| self.failure(error, "list of referrers"))?;
            found.extend(Index::read(&bytes)?.manifests);
        }
        Ok(found)
    }

    /// Puts a manifest that is attached to another one. A registry that takes no note of that gets a list under a tag.
    ///
    /// # Errors
    /// When the registry does not take it.
    pub fn attach(&self, document: &Document) -> Result<(), RegistryError> {
        let manifest = Manifest::read(&document.bytes)?;
        let noted = self.put_manifest(&document.descriptor.digest.to_string(), document)?;
        let Some(subject) = manifest.subject.as_ref().filter(|_| !noted) else { return Ok(()) };
        let kind = manifest.artifact_type.clone().unwrap_or_else(|| manifest.config.media_type.clone());
        let entry = Descriptor {
            artifact_type: Some(kind),
            annotations: manifest.annotations.clone(),
            ..Descriptor::of(&document.descriptor.media_type, &document.bytes)
        };
        let tag = tag_of(&subject.digest);
        for _ in 0..ATTEMPTS {
            let mut index = self.tagged(&subject.digest)?.unwrap_or_else(|| Index::new(Vec::new()));
            if index.manifests.iter().any(|known| known.digest == entry.digest) {
                return Ok(());
            }
            index.manifests.push(entry.clone());
            self.put_manifest(&tag, &Document::new(index.to_bytes(), Some(media_type::INDEX)))?;
            // Somebody else may have replaced it meanwhile: the next turn looks.
        }
        Err(self.protocol(format!("the tag `{tag}` is changed by somebody else again and again")))
    }

    /// Returns the list under the tag of a manifest.
    fn tagged(&self, subject: &Digest) -> Result<Option<Index>, RegistryError> {
        match self.manifest(&tag_of(subject)) {
            Ok(document) => Ok(Some(Index::read(&document.bytes)?)),
            Err(RegistryError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Returns the tag that lists what is attached to a manifest.
fn tag_of(subject: &Digest) -> String {
    format!("sha256-{}", subject.hex())
}

/// Reads `<ADDRESS>; rel="next"` (RFC 8288).
fn next_of(link: &str) -> Option<&str> {
    let (address, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    parameters.replace([' ', '"'], "").to_ascii_lowercase().contains("rel=next").then_some(address)
}
