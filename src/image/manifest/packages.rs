//! What a manifest says about packages.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// A source that packages of a tree come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestSource {
    /// Its name in the profile or the distro.
    pub name: String,
    /// The suite, branch or repository.
    pub suite: String,
    /// Whether nobody had to vouch for it (`trusted = true`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trusted: bool,
}

/// A package of the distribution in a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture, by the name of the distribution.
    pub architecture: String,
    /// Its package URL.
    pub purl: String,
    /// The digest of the whole package.
    pub sha256: Digest,
    /// The name of the source it comes from.
    pub source: String,
}
