//! Blobs in a repository (distribution-spec, "Pulling blobs", "Mounting a blob from another repository").

use std::path::PathBuf;

use super::RegistryError;
use super::client::Repository;
use crate::digest::{Digest, Hasher};
use crate::event::Reporter;
use crate::fetch::{Download, Headers, Method};
use crate::image::oci::{Descriptor, OciError};
use crate::store::Store;

/// The largest blob that is fetched, in bytes.
const BLOB_MAX: u64 = 64 << 30;
/// How many digits of a digest are enough to tell blobs apart in messages.
const SHORT: usize = 12;

impl Repository<'_> {
    /// Tells whether a blob is there.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub fn has_blob(&self, digest: &Digest) -> Result<bool, RegistryError> {
        let what = format!("blob {digest}");
        let response = self.call(&self.ask(Method::Head, &format!("blobs/{digest}"))?, &what)?;
        match response.status {
            200 => Ok(true),
            404 => Ok(false),
            _ => Err(self.refusal(response, &what)),
        }
    }

    /// Returns the file in the store that holds a blob, fetched when it is not there.
    ///
    /// # Errors
    /// When it cannot be had, or is not what the descriptor says.
    pub fn blob(&self, store: &Store, blob: &Descriptor, reporter: &dyn Reporter) -> Result<PathBuf, RegistryError> {
        if blob.size > BLOB_MAX {
            return Err(OciError::Limit { what: "bytes of a blob", limit: BLOB_MAX }.into());
        }
        if let Some(path) = store.downloaded(&blob.digest)? {
            return Ok(path);
        }
        let what = format!("blob {}", blob.digest);
        let url = self.url(&format!("blobs/{}", blob.digest))?;
        let scopes = self.scopes();
        let mut tried = None;
        loop {
            let shown = self.authorization(&scopes)?;
            let headers = Headers::new();
            let headers = match &shown {
                Some(shown) => headers.with_secret("authorization", shown.clone()),
                None => headers,
            };
            let download = Download {
                what: format!("{} of {}/{}", short(&blob.digest), self.endpoint.registry, self.endpoint.repository),
                mirrors: vec![(url.clone(), headers)],
                digest: blob.digest,
                length: Some(blob.size),
                limit: blob.size,
            };
            match self.client.fetcher.download(store, &download, reporter) {
                Ok(path) => {
                    self.remember(store, &blob.digest);
                    return Ok(path);
                }
                // A token that ended while others were fetched; or the first request to this registry.
                Err(error) if error.status() == Some(401) && tried.is_none() => {
                    self.renew(&scopes, shown.as_ref(), &url, &what)?;
                    tried = Some(());
                }
                Err(error) => return Err(self.failure(error, &what)),
            }
        }
    }

    /// Takes note that a blob is in this repository: another one of the registry may take it from here.
    pub(super) fn remember(&self, store: &Store, digest: &Digest) {
        let key = place(&self.endpoint.registry, digest);
        if store.note(&key).as_deref() != Some(&self.endpoint.repository) {
            // Without the note the blob is sent again.
            store.keep_note(&key, &self.endpoint.repository).ok();
        }
    }

    /// Returns another repository of the registry that had a blob when it was last looked for.
    pub(super) fn elsewhere(&self, store: &Store, digest: &Digest) -> Option<String> {
        store.note(&place(&self.endpoint.registry, digest)).filter(|repository| *repository != self.endpoint.repository)
    }
}

/// Returns what a note about the place of a blob is kept under.
fn place(registry: &str, digest: &Digest) -> Digest {
    let mut hasher = Hasher::new();
    for field in [b"place".as_slice(), registry.as_bytes(), digest.as_bytes()] {
        hasher.field(field);
    }
    hasher.finish().0
}

/// Returns the beginning of a digest, for messages.
pub(super) fn short(digest: &Digest) -> String {
    digest.to_string().chars().take("sha256:".len() + SHORT).collect()
}
