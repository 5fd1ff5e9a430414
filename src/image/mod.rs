//! Tree → bytes.
mod manifest;
pub use manifest::{GENERATOR, Manifest, ManifestEntry, ManifestError, ManifestHead};
