//! Files that go with units.

use super::DeployError;
use crate::tree::TreePath;

/// A file of the image that systemd reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitFile {
    /// Where it is: below `/usr/lib`.
    pub path: TreePath,
    /// Its permission bits.
    pub mode: u16,
    /// What it is.
    pub body: UnitBody,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitBody {
    /// Text.
    Text(String),
    /// A symbolic link: what it holds.
    Link(String),
}

impl UnitFile {
    /// Returns a file below `/usr/lib/systemd/system`.
    pub(super) fn unit(name: &str, text: String) -> Result<Self, DeployError> {
        Self::text(&format!("/usr/lib/systemd/system/{name}"), text)
    }

    /// Returns a file that anybody may read.
    pub(in crate::deploy) fn text(path: &str, text: String) -> Result<Self, DeployError> {
        let invalid = |_| DeployError::unit("the name of a file", path, "what a path cannot");
        Ok(Self { path: path.parse().map_err(invalid)?, mode: 0o644, body: UnitBody::Text(text) })
    }
}
