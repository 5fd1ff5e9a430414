//! `[packages]`: how the packages of a distribution become part of a tree.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is there before anything is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PackageVariant {
    /// Nothing.
    None,
    /// What every system has.
    Essential,
    /// Also what a system does not work without.
    #[default]
    Minbase,
    /// Also what people expect of a system.
    Standard,
}

/// What is done with the scripts of packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scripts {
    /// They run in a sandbox.
    #[default]
    Run,
    /// They do not; what most of them do for images is done instead.
    Skip,
}
