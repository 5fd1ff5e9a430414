//! The exact packages of a target, and where they come from.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// An index of packages that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedSource {
    /// Its name in the profile or the distro.
    pub name: String,
    /// The suite, branch or repository.
    pub suite: String,
    /// When it was made, in seconds since 1970; older ones are refused from then on. Not every family says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<i64>,
    /// The digest of what was signed: the release file, the index.
    pub digest: Digest,
    /// Whether nobody had to vouch for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trusted: bool,
}

/// One package, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture, by the family's name.
    pub architecture: String,
    /// The name of the source it comes from.
    pub source: String,
    /// Where it is, relative to the mirror of its source.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
    /// The digest of the whole file.
    pub sha256: Digest,
    /// Why it is there: `requested`, `variant`, `nginx depends on libssl3`.
    pub why: String,
}
