//! The configuration of an image (image-spec, config.md).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::OciError;
use super::descriptor::or_default;
use super::manifest::{parse, to_bytes};
use crate::digest::Digest;

/// What an image runs on, how it is started, and what its layers hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// When it was made, by RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The processor, as Go names it.
    pub architecture: String,
    /// The system.
    pub os: String,
    /// The variant of the processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// How it is started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<RunConfig>,
    /// What its layers hold.
    pub rootfs: RootFs,
    /// How its layers came to be, in their order; entries without a layer are marked.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
}

impl ImageConfig {
    /// Reads a configuration of OCI or Docker.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, OciError> {
        parse("image configuration", bytes)
    }

    /// Returns its bytes: the same for the same configuration.
    pub fn to_bytes(&self) -> Vec<u8> {
        to_bytes(self)
    }
}

/// How the container of an image is started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RunConfig {
    /// As whom: `UID:GID`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Ports it listens on: `8080/tcp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposed_ports: Option<Set>,
    /// Environment variables: `NAME=VALUE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    /// The program and the arguments it always has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Arguments that a command line replaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Paths that are written to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volumes: Option<Set>,
    /// The directory it starts in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// What is known about the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// The signal that asks it to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// How its health is asked for: Docker's, which the specification reserves and engines read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<HealthCheck>,
}

/// A set as Go writes it: keys of an object whose values are empty objects.
pub type Set = BTreeMap<String, EmptyObject>;

/// `{}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmptyObject {}

/// How the health of a container is asked for (moby, image-spec v1.2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HealthCheck {
    /// `CMD` and the command.
    #[serde(deserialize_with = "or_default")]
    pub test: Vec<String>,
    /// Nanoseconds between two questions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<u64>,
    /// Nanoseconds for an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// Nanoseconds from the start during which failures do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_period: Option<u64>,
    /// Failures in a row that count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
}

/// What the layers hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The digests of the plain tar archives, the lowest first.
    #[serde(default, deserialize_with = "or_default")]
    pub diff_ids: Vec<Digest>,
}

impl RootFs {
    /// Returns the layers with these digests.
    pub fn layers(diff_ids: Vec<Digest>) -> Self {
        Self { kind: "layers".into(), diff_ids }
    }
}

/// How a layer came to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// When, by RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// By what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// What else is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether no layer belongs to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}
