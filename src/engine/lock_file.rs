//! Keeps the lock file of a profile in step with what it asks for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::extension::Extensions;
use super::packages::Bundles;
use crate::digest::Digest;
use crate::error::Error;
use crate::fs;
use crate::lock::{Difference, Lock, LockError};
use crate::resolve::{Library, ProfileSource, Requirements};
use crate::spec::Origin;

/// Returns where the lock of a profile stands: beside it, or in the project's root for a profile of the program.
pub(super) fn path(profile: &ProfileSource) -> PathBuf {
    match (&profile.source.path, profile.origin) {
        (Some(path), Origin::Project) => path.with_extension("lock"),
        _ => profile.project.root().join(format!("{}.lock", profile.name)),
    }
}

/// What a lock is to cover.
pub(super) struct Wanted {
    /// What the profile asks of the outside world, for every distro it names.
    pub(super) requirements: Vec<Requirements>,
    /// What was given for what layers stand on, by target.
    pub(super) given: BTreeMap<String, Digest>,
    /// The packages that outputs carry.
    pub(super) bundles: Bundles,
    /// The packages that system extensions add to their hosts.
    pub(super) extensions: Extensions,
}

/// What becomes of a lock that is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// Nothing: that is an error.
    Unchanged,
    /// It is renewed, unless somebody edited it by hand.
    Renewed,
    /// It is renewed, whatever somebody did to it.
    Mended,
}

/// Compares the lock with what the profile asks for, for every distro it names and for what is rendered, and renews it. Tells
/// what is different now.
///
/// # Errors
/// When it is stale and must not be renewed, or it cannot be read or written.
pub(super) fn keep(library: &Library, wanted: Wanted, how: Keep) -> Result<Vec<Difference>, Error> {
    let path = path(library);
    let mut lock = Lock::of(&library.name, wanted.requirements);
    wanted.given.iter().for_each(|(target, digest)| lock.give(target, *digest));
    for ((target, architecture), bundle) in wanted.bundles {
        lock.give_bundle(&target, architecture, bundle);
    }
    for ((target, architecture), extended) in wanted.extensions {
        lock.give_extension(&target, architecture, extended.bundle);
    }
    let locked = how == Keep::Unchanged;
    let old = if how == Keep::Mended { Lock::read_edited(&path)? } else { Lock::read(&path)? };
    let (renewed, differences) = match old {
        Some(mut old) => {
            let differences = old.differences(&lock);
            if !differences.is_empty() && locked {
                return Err(LockError::Stale { path, differences }.into());
            }
            let before = old.to_text();
            old.renew(lock);
            ((old.to_text() != before).then_some(old), differences)
        }
        None if locked => return Err(LockError::Missing { path }.into()),
        None => {
            let differences = Lock::of(&library.name, []).differences(&lock);
            (Some(lock), differences)
        }
    };
    fs::remove_abandoned(&path)?;
    if let Some(lock) = renewed {
        fs::write_atomic(&path, lock.to_text().as_bytes())?;
    }
    library.project.depends_on(&path)?;
    Ok(differences)
}
