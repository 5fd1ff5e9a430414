//! What decides between packages of Debian.

use std::cmp::Ordering;

use super::version;
use crate::packages::model::{Package, PackageId, Pool, Qualifier, Rules};

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

    /// The order of apt 3.0 among providers of a name: what every system has first, then by priority, then by name.
    fn prefer(&self, pool: &Pool, one: PackageId, other: PackageId) -> Ordering {
        let key = |id: PackageId| {
            let package = pool.package(id);
            (!package.essential, !package.protected, package.priority, package.name, id)
        };
        key(one).cmp(&key(other))
    }
}
