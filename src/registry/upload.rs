//! Uploads of blobs (distribution-spec, "Pushing blobs"): in chunks, from where an earlier one stopped.
//!
//! The registry names an address for each upload, and a new one after each chunk. It is kept in the store, so that the next
//! run asks there how far the upload has come.

use url::Url;

use super::RegistryError;
use super::access::Payload;
use super::blob::short;
use super::client::Repository;
use crate::digest::{Digest, Hasher};
use crate::event::{Event, Reporter};
use crate::fetch::{Headers, Method, Response, Transient};
use crate::image::oci::{Descriptor, Layout};
use crate::store::Store;
use crate::tree::Content;

/// How often an upload is begun anew after the registry has forgotten it or holds other bytes.
const BEGINNINGS: u32 = 3;

/// How a blob came to be in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sent {
    /// It was there.
    Present,
    /// It was in another repository of the registry, and taken from there.
    Mounted,
    /// It was sent; from a byte on when an earlier upload had stopped there.
    Uploaded,
}

/// How many chunks in a row may bring an upload no further than it was before.
const CHUNKS_LOST: u32 = 4096;

/// An upload that goes on.
#[derive(Debug, Clone)]
struct Session {
    location: Url,
    /// How many bytes the registry has.
    offset: u64,
    /// How many bytes a chunk has at least, but for the last one (`OCI-Chunk-Min-Length`).
    chunk: u64,
}

/// A blob to send.
pub(super) struct Blob<'run> {
    pub(super) descriptor: &'run Descriptor,
    pub(super) content: &'run Content,
    pub(super) layout: &'run Layout,
}

impl Repository<'_> {
    /// Brings a blob into the repository, unless it is there: from another repository of the registry, or by sending it.
    ///
    /// # Errors
    /// When the registry does not take it.
    pub(super) fn send_blob(
        &self,
        store: &Store,
        blob: &Blob<'_>,
        reporter: &dyn Reporter,
    ) -> Result<Sent, RegistryError> {
        let digest = &blob.descriptor.digest;
        let sent = if self.has_blob(digest)? {
            Sent::Present
        } else if self.mount(store, digest)? {
            Sent::Mounted
        } else {
            // What is damaged is found here, and not after all of it has been sent.
            blob.layout.check(blob.descriptor)?;
            let work = format!("send {} to {}/{}", short(digest), self.endpoint.registry, self.endpoint.repository);
            reporter.report(Event::Started { work: work.clone(), total: blob.descriptor.size });
            let uploaded = self.upload(store, blob, &mut |steps| {
                reporter.report(Event::Advanced { work: work.clone(), steps });
            });
            reporter.report(Event::Finished { work: work.clone() });
            uploaded?
        };
        self.remember(store, digest);
        Ok(sent)
    }

    /// Takes a blob from another repository of the registry that is known to have had it. Tells whether that was done: a
    /// registry that does not, or does not let this user, begins an upload instead, which is left to it.
    fn mount(&self, store: &Store, digest: &Digest) -> Result<bool, RegistryError> {
        let Some(from) = self.elsewhere(store, digest) else { return Ok(false) };
        let mut ask = self.ask(Method::Post, "blobs/uploads/")?;
        ask.url.query_pairs_mut().append_pair("mount", &digest.to_string()).append_pair("from", &from);
        ask.scopes = self.scopes_with(&from);
        let response = match self.call(&ask, &format!("blob {digest}")) {
            // A token server may hand out nothing for the other repository.
            Err(RegistryError::Refused { .. }) => return Ok(false),
            response => response?,
        };
        match response {
            response if response.status == 201 => Ok(true),
            response if response.status == 202 => {
                // The upload that was begun serves as well.
                let session = self.session(&ask.url, &response, 0)?;
                self.keep(store, digest, &session);
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    fn upload(&self, store: &Store, blob: &Blob<'_>, told: &mut dyn FnMut(u64)) -> Result<Sent, RegistryError> {
        let digest = &blob.descriptor.digest;
        let mut session = self.kept(store, digest, blob.descriptor.size)?;
        let (mut failures, mut beginnings, mut reached) = (0, 0, 0);
        // Not every registry takes a blob in several chunks.
        let mut whole = false;
        loop {
            let current = match session.take() {
                Some(session) => session,
                None => {
                    beginnings += 1;
                    let begun = self.begin(digest)?;
                    if whole { Session { chunk: u64::MAX, ..begun } } else { begun }
                }
            };
            self.keep(store, digest, &current);
            let error = match self.advance(&current, blob) {
                Ok(None) => {
                    told(blob.descriptor.size - current.offset);
                    store.forget_note(&self.upload_key(digest));
                    return Ok(Sent::Uploaded);
                }
                Ok(Some(next)) => {
                    told(next.offset.saturating_sub(current.offset));
                    // Who gets further than ever before has not failed; a registry that keeps nothing of what is sent has.
                    failures = if next.offset > reached { 0 } else { failures + 1 };
                    reached = reached.max(next.offset);
                    session = Some(next);
                    if failures < CHUNKS_LOST {
                        continue;
                    }
                    return Err(self.protocol("it takes chunks of a blob, but keeps nothing of them"));
                }
                Err(error) => error,
            };
            if error.is_transient() {
                failures += 1;
                if !self.client.fetcher.wait(failures, &error) {
                    return Err(error);
                }
            } else if beginnings >= BEGINNINGS || !is_forgotten(&error) {
                store.forget_note(&self.upload_key(digest));
                return Err(error);
            } else {
                whole = true;
            }
            // The answer may have been lost after all had been taken.
            if self.has_blob(digest)? {
                store.forget_note(&self.upload_key(digest));
                return Ok(Sent::Uploaded);
            }
            session = if error.is_transient() { self.status(&current, blob.descriptor.size)? } else { None };
        }
    }

    /// Begins an upload.
    fn begin(&self, digest: &Digest) -> Result<Session, RegistryError> {
        let ask = self.ask(Method::Post, "blobs/uploads/")?;
        let what = format!("place for the blob {digest}");
        let response = self.call(&ask, &what)?;
        if response.status != 202 {
            return Err(self.refusal(response, &what));
        }
        self.session(&ask.url, &response, 0)
    }

    /// Sends the next chunk and returns how it goes on; nothing when the blob is whole.
    fn advance(&self, session: &Session, blob: &Blob<'_>) -> Result<Option<Session>, RegistryError> {
        let Descriptor { digest, size, .. } = blob.descriptor;
        let rest = size.saturating_sub(session.offset);
        let what = format!("upload of the blob {digest}");
        let (first, last) = (session.offset, session.offset + rest.min(session.chunk));
        let part = Payload::Part { content: blob.content, offset: first, length: last - first };
        let mut headers = Headers::new().with("content-type", "application/octet-stream");
        if last > first && (first > 0 || last < *size) {
            headers = headers.with("content-range", format!("{first}-{}", last - 1));
        }
        if last < *size {
            let mut ask = self.ask_at(Method::Patch, session.location.clone());
            (ask.headers, ask.payload) = (headers, part);
            let response = self.once(&ask, &what)?;
            return match response.status {
                202 => Ok(Some(self.session(&ask.url, &response, last)?)),
                _ => Err(self.refusal(response, &what)),
            };
        }
        let mut ask = self.ask_at(Method::Put, session.location.clone());
        ask.url.query_pairs_mut().append_pair("digest", &digest.to_string());
        (ask.headers, ask.payload) = (headers, part);
        let response = self.once(&ask, &what)?;
        match response.status {
            201 => Ok(None),
            _ => Err(self.refusal(response, &what)),
        }
    }

    /// Asks how far an upload has come; nothing when the registry has forgotten it or does not say.
    fn status(&self, session: &Session, size: u64) -> Result<Option<Session>, RegistryError> {
        let ask = self.ask_at(Method::Get, session.location.clone());
        let response = self.call(&ask, "upload")?;
        let offset = response.headers.get("range").and_then(offset_of);
        let known = matches!(response.status, 200 | 204);
        match offset.filter(|offset| known && *offset <= size) {
            Some(offset) => {
                let next = response.headers.get("location").map(|to| self.location(&ask.url, to)).transpose()?;
                Ok(Some(Session { location: next.unwrap_or(ask.url), offset, chunk: session.chunk }))
            }
            None => Ok(None),
        }
    }

    /// Reads what the registry says about an upload; `offset` counts when it does not say how far it has come.
    fn session(&self, from: &Url, response: &Response, offset: u64) -> Result<Session, RegistryError> {
        let location =
            response.headers.get("location").ok_or_else(|| self.protocol("it names no address to upload to"))?;
        let least = response.headers.get("oci-chunk-min-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let said = response.headers.get("range").and_then(offset_of).filter(|_| offset > 0);
        let offset = said.map_or(offset, |said| said.min(offset));
        Ok(Session { location: self.location(from, location)?, offset, chunk: self.client.chunk.max(least) })
    }

    /// Returns the upload that an earlier run began, as far as it has come.
    fn kept(&self, store: &Store, digest: &Digest, size: u64) -> Result<Option<Session>, RegistryError> {
        let Some(note) = store.note(&self.upload_key(digest)) else { return Ok(None) };
        let kept =
            note.split_once(' ').and_then(|(chunk, location)| Some((chunk.parse().ok()?, Url::parse(location).ok()?)));
        match kept.filter(|(_, location)| self.is_home(location)) {
            Some((chunk, location)) => self.status(&Session { location, offset: 0, chunk }, size),
            None => Ok(None),
        }
    }

    fn keep(&self, store: &Store, digest: &Digest, session: &Session) {
        // Without the note the next run begins anew.
        store.keep_note(&self.upload_key(digest), &format!("{} {}", session.chunk, session.location)).ok();
    }

    fn upload_key(&self, digest: &Digest) -> Digest {
        let mut hasher = Hasher::new();
        for field in [b"upload".as_slice(), self.url_text().as_bytes(), digest.as_bytes()] {
            hasher.field(field);
        }
        hasher.finish().0
    }
}

/// Tells whether a registry has forgotten an upload, holds other bytes than were sent, or takes no chunks.
fn is_forgotten(error: &RegistryError) -> bool {
    match error {
        RegistryError::NotFound { .. } => true,
        RegistryError::Fetch { source, .. } => matches!(source.status(), Some(400 | 405 | 409 | 416 | 501)),
        _ => false,
    }
}

/// Reads `0-LAST`, which comes with `bytes=` from some registries. Nothing at all is `0-0`.
fn offset_of(range: &str) -> Option<u64> {
    let range = range.trim();
    let last: u64 = range.strip_prefix("bytes=").unwrap_or(range).strip_prefix("0-")?.parse().ok()?;
    Some(if last == 0 { 0 } else { last.checked_add(1)? })
}
