//! Packages of distributions: from signed indexes to locked packages to trees.
//!
//! Comes in: the bytes of package indexes and packages, and what a profile asks for. Goes out: the exact packages to
//! install with the reason for each, their trees, and the database of the package manager. Always holds: nothing is parsed
//! before its signature or digest has been verified; a choice depends on indexes and requests only, never on the host.
//!
//! [`model`], [`solve`], [`archive`], [`claims`] and [`trust`] know no distribution; [`apt`], [`apk`] and [`pacman`] are what Debian,
//! Alpine and Arch with their derivatives do their own way.

pub mod accounts;
pub mod apk;
pub mod apt;
pub mod archive;
pub mod claims;
pub mod compression;
pub mod model;
mod order;
pub mod pacman;
mod reader;
pub mod solve;
pub mod step;
pub mod sysusers;
pub mod trust;
mod writer;
