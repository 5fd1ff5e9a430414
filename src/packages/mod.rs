//! Packages of distributions: from signed indexes to locked packages to trees.
//!
//! Comes in: the bytes of package indexes and packages, and what a profile asks for. Goes out: the exact packages to
//! install with the reason for each, their files, their trees, and the database of the package manager. Always holds: nothing
//! is parsed before its signature or digest has been verified; a choice depends on indexes and requests only, never on the
//! host.
//!
//! [`choose`] makes what a lock says of what a profile asks for, [`fetch`] gets the files; [`installed`] tells what an image of
//! others has. [`model`], [`solve`], [`archive`], [`claims`] and [`trust`] know no distribution; [`apt`], [`apk`] and [`pacman`]
//! are what Debian, Alpine and Arch with their derivatives do their own way.

pub mod accounts;
pub mod apk;
pub mod apt;
pub mod archive;
mod choose;
pub mod claims;
pub mod compression;
pub mod database;
mod error;
mod fetch;
mod host;
pub mod installed;
mod means;
mod mirrors;
pub mod model;
pub(crate) mod order;
mod over;
pub mod pacman;
mod parts;
mod reader;
pub mod solve;
pub mod step;
pub mod sysusers;
pub mod trust;
mod vendor;
mod writer;

pub use apt::apt_sources;
pub use choose::{Upgrade, Wanted, choose};
pub use error::{PackageChange, PackageError};
pub use fetch::fetch;
pub use means::{Means, Network};
pub use mirrors::Mirrors;
pub use over::{Host, choose_over};
pub use vendor::vendor;

#[cfg(test)]
mod tests;
