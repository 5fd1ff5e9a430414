//! Packages of distributions: from signed indexes to locked packages to trees.
//!
//! Comes in: the bytes of package indexes and packages, and what a profile asks for. Goes out: the exact packages to
//! install with the reason for each, their trees, and the database of the package manager. Always holds: nothing is parsed
//! before its signature or digest has been verified; a choice depends on indexes and requests only, never on the host.
//!
//! [`installed`] tells what an image of others has. [`model`] and [`solve`] know no distribution; [`apt`] is what Debian and its derivatives do their own way.

pub mod apt;
pub mod installed;
pub mod model;
mod reader;
pub mod solve;
