//! Packages of Alpine and its derivatives.
//!
//! Comes in: indexes and packages of the second format of apk, as Alpine has them. Goes out: a pool to choose from, package
//! trees, and the database of apk. Always holds: an index is believed because a key signed it; a package is believed
//! because the index names its control part, and its control part names its data; files of the third format (ADB) are
//! refused by name.

pub mod accounts;
pub mod archive;
pub mod database;
pub(super) mod host;
pub mod identity;
pub mod index;
pub mod info;
pub mod key;
pub mod relation;
pub(super) mod repository;
pub mod rules;
pub mod scripts;
mod segment;
pub mod skip;
pub mod version;
pub mod world;
