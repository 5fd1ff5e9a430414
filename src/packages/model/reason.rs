//! What is asked for, and why a package is there.

use super::{Comparison, PackageId, Relation};

/// What somebody asks for by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The name of a package, or one that packages provide.
    pub name: String,
    /// How the version has to compare.
    pub comparison: Comparison,
    /// The version to compare with; empty for [`Comparison::Any`].
    pub version: String,
}

impl Request {
    /// Returns a request for any version of `name`.
    pub fn any(name: impl Into<String>) -> Self {
        Self { name: name.into(), comparison: Comparison::Any, version: String::new() }
    }

    /// Writes it as people do: `name >= 1.2`.
    pub fn label(&self) -> String {
        match self.comparison {
            Comparison::Any => self.name.clone(),
            comparison => format!("{} {} {}", self.name, comparison.sign(), self.version),
        }
    }
}

/// Why a package is installed: one link of the chain that leads from what was asked for to the package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Somebody asked for it: the request with this number.
    Requested(usize),
    /// The variant of the system has it.
    Variant,
    /// It is there already.
    Installed,
    /// Another package asks for it. A relation of [`InstallIf`](super::RelationKind::InstallIf) is the package's own: it is
    /// installed because the other is.
    Relation {
        /// The other package.
        by: PackageId,
        /// What it asks.
        relation: Relation,
    },
}
