//! Packages of Arch and its derivatives.
//!
//! Comes in: repository databases and packages as pacman has them. Goes out: a pool to choose from, package trees, and the
//! local database of pacman. Always holds: databases of Arch are signed by nobody, so that what is in one is only a claim;
//! a package is believed because a key signed it that master keys vouch for ([`Web`](super::trust::Web)).
//!
//! The formats are those of the ALPM specifications (alpm-repo-desc(5), alpm-pkginfo(5), alpm-db-desc(5), alpm-mtree(5),
//! alpm-hooks(5)).

pub mod archive;
pub mod database;
mod desc;
pub mod groups;
pub mod hooks;
pub(super) mod host;
pub mod index;
pub mod info;
pub mod relation;
pub(super) mod repository;
pub mod rules;
pub mod scripts;
pub mod skip;
pub mod version;
