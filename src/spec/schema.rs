//! JSON Schemas of the documents, for editors.

use serde_json::Value;

use super::{DistroDocument, LayerDocument, ProfileDocument};

/// A kind of document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentKind {
    /// `profiles/NAME.toml`.
    Profile,
    /// `layers/NAME/layer.toml`.
    Layer,
    /// `distros/NAME.toml`.
    Distro,
}

/// Returns the JSON Schema of a kind of document.
pub fn schema(kind: DocumentKind) -> Value {
    match kind {
        DocumentKind::Profile => schemars::schema_for!(ProfileDocument),
        DocumentKind::Layer => schemars::schema_for!(LayerDocument),
        DocumentKind::Distro => schemars::schema_for!(DistroDocument),
    }
    .to_value()
}
