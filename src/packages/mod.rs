//! Packages of distributions: from signed indexes to locked packages to trees.
//!
//! Comes in: the bytes of package indexes and packages, and what a profile asks for. Goes out: the exact packages to
//! install with the reason for each, their files, their trees, and the database of the package manager. Always holds: nothing
//! is parsed before its signature or digest has been verified; a choice depends on indexes and requests only, never on the
//! host.
//!
//! [`choose`] makes what a lock says of what a profile asks for, [`fetch`] gets the files. [`model`] and [`solve`] know no
//! distribution; [`apt`] is what Debian and its derivatives do their own way.

pub mod apt;
mod choose;
mod error;
mod fetch;
mod means;
mod mirrors;
pub mod model;
mod reader;
pub mod solve;
mod vendor;

pub use choose::{Upgrade, Wanted, choose};
pub use error::PackageError;
pub use fetch::fetch;
pub use means::{Means, Network};
pub use mirrors::Mirrors;
pub use vendor::vendor;

#[cfg(test)]
mod tests;
