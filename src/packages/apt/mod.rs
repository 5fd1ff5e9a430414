//! Packages of Debian and its derivatives.
//!
//! Comes in: Release files, indexes and packages as apt repositories have them. Goes out: a pool to choose from, package
//! trees, and the dpkg database. Always holds: fields and relations mean what Debian Policy says; what it does not allow
//! is an error that names file, package and field.

pub mod archive;
pub mod control;
pub mod database;
pub(super) mod folder;
pub mod host;
pub mod index;
pub mod relation;
pub mod release;
pub(super) mod repository;
pub mod rules;
mod sources;
pub mod version;

pub use super::{compression, trust};
pub use sources::apt_sources;
