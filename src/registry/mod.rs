//! Registries: images go there and come from there (OCI distribution-spec 1.1).
//!
//! Comes in: references, layouts, credentials as docker and podman keep them. Goes out: blobs and manifests in a registry, or
//! in the store. Always holds: everything is named by its digest once a tag has been looked up, so a tag that moves meanwhile
//! mixes nothing; a manifest is sent after all that it names; what is there is not sent; an upload that broke off goes on
//! where it stopped, in this run or the next; credentials go to their registry and its token server, and are never shown.
//!
//! The client is our own. `oci-client` needs an asynchronous runtime, begins an upload anew when it breaks off, cannot keep one
//! across runs, and counts neither on mirrors nor on credential helpers; what remains of the protocol is small.
//!
//! ```text
//! Client        credentials, tokens, mirrors; one for each run
//!   Repository  one repository of one registry
//! ```

mod access;
mod blob;
mod challenge;
mod client;
mod credentials;
mod helper;
mod manifest;
mod mirrors;
mod pull;
mod push;
mod reference;
mod referrers;
mod refusal;
mod token;
mod upload;

use std::path::PathBuf;

pub use client::{Client, ClientSettings, Repository};
pub use credentials::{Credential, CredentialFiles};
pub use manifest::Document;
pub use mirrors::{Endpoint, Mirrors};
pub use pull::{Pulled, Selected};
pub use push::{Pushed, PushedBlob, Sent};
pub use reference::{InvalidReference, Reference};

use crate::digest::Digest;
use crate::fetch::FetchError;
use crate::fs;
use crate::image::oci::OciError;

/// A registry that does not do what is asked of it.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A reference is none.
    #[error(transparent)]
    Reference(#[from] InvalidReference),
    /// A request failed.
    #[error("{registry}/{repository}: {source}")]
    Fetch {
        /// The registry.
        registry: String,
        /// The repository in it.
        repository: String,
        /// Why.
        source: Box<FetchError>,
    },
    /// The registry does not let this user do it.
    #[error(
        "the registry {registry} does not let {} {action} `{repository}`{}; log in with `podman login {registry}` or `docker login \
         {registry}` as a user who may, or check the name",
        if *anonymous { "somebody who has not logged in" } else { "the user who is logged in" },
        told(detail)
    )]
    Refused {
        /// The registry.
        registry: String,
        /// The repository in it.
        repository: String,
        /// What was tried: `push to`.
        action: &'static str,
        /// Whether no credentials were known.
        anonymous: bool,
        /// What the registry says.
        detail: String,
    },
    /// Something is not there.
    #[error(
        "the registry {registry} has no {what} in `{repository}`{}; check the name, the tag and the platform",
        told(detail)
    )]
    NotFound {
        /// The registry.
        registry: String,
        /// The repository in it.
        repository: String,
        /// What is missing.
        what: String,
        /// What the registry says.
        detail: String,
    },
    /// A registry answers otherwise than the specification says.
    #[error("the registry {registry} does not keep to the protocol about `{repository}`: {reason}")]
    Protocol {
        /// The registry.
        registry: String,
        /// The repository in it.
        repository: String,
        /// What it did.
        reason: String,
    },
    /// A registry hands out something else than what is asked for.
    #[error("`{name}` has something else under {expected}: {found}; it is not used")]
    Digest {
        /// The registry and the repository in it.
        name: String,
        /// What was asked for.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// No platform of an image is the one that is wanted.
    #[error("`{reference}` is not for {wanted}: it has {}", if has.is_empty() { "no platform" } else { has })]
    Platform {
        /// The image.
        reference: String,
        /// The platform that is wanted.
        wanted: String,
        /// Those that it has.
        has: String,
    },
    /// A file of credentials or mirrors cannot be used.
    #[error("`{}` cannot be used: {reason}", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A credential helper failed.
    #[error("`docker-credential-{name}`, which `{}` names for {registry}, failed: {reason}", path.display())]
    Helper {
        /// Its name.
        name: String,
        /// The file that names it.
        path: PathBuf,
        /// The registry it was asked about.
        registry: String,
        /// What is wrong.
        reason: String,
    },
    /// An image cannot be read or written.
    #[error(transparent)]
    Image(#[from] OciError),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] fs::Error),
}

fn told(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(" ({detail})") }
}

#[cfg(test)]
mod tests;
