//! What decides between packages of Debian.

use std::cmp::Ordering;

use super::version;
use crate::packages::model::{Candidate, Package, Pool, Qualifier, Rules};

/// The rules of apt and dpkg for a system of one architecture.
#[derive(Debug, Clone, Copy, Default)]
pub struct AptRules;

impl Rules for AptRules {
    fn compare(&self, one: &[u8], other: &[u8]) -> Ordering {
        version::compare(one, other)
    }

    fn serves(&self, _: &Package, qualifier: Qualifier) -> bool {
        // All packages of a pool are of one architecture or of none.
        qualifier != Qualifier::Foreign
    }

    /// Packages of the name itself come first; then the order of apt 3.0 among providers: what every system has first, then
    /// by priority, then by name.
    fn prefer(&self, pool: &Pool, one: Candidate, other: Candidate) -> Ordering {
        let key = |Candidate { package: id, own, .. }: Candidate| {
            let package = pool.package(id);
            (!own, !package.essential, !package.protected, package.priority, package.name, id)
        };
        key(one).cmp(&key(other))
    }
}
