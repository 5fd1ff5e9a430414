//! Tree → bytes.
mod manifest;
mod tar;
pub use manifest::{GENERATOR, Manifest, ManifestEntry, ManifestError, ManifestHead};
pub use tar::{WriteTarError, write_tar, write_tar_selected};
