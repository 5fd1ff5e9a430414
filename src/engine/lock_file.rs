//! Keeps the lock file of a profile in step with what it asks for.

use std::path::PathBuf;

use super::select::Selection;
use crate::error::Error;
use crate::fs;
use crate::lock::{Lock, LockError};
use crate::resolve::{Library, ProfileSource, Recipe};
use crate::spec::Origin;

/// Returns where the lock of a profile stands: beside it, or in the project's root for a profile of the program.
pub(super) fn path(profile: &ProfileSource) -> PathBuf {
    match (&profile.source.path, profile.origin) {
        (Some(path), Origin::Project) => path.with_extension("lock"),
        _ => profile.project.root().join(format!("{}.lock", profile.name)),
    }
}

/// Compares the lock with what the profile asks for, for every distro it names and for `recipes`, and renews it.
///
/// # Errors
/// When it is stale and `locked` forbids to renew it, or it cannot be read or written.
pub(super) fn keep(library: &Library, selection: &Selection, recipes: &[Recipe], locked: bool) -> Result<(), Error> {
    let path = path(library);
    let declared = selection.declared_requirements(library)?;
    let wanted = Lock::of(&library.name, declared.into_iter().chain(recipes.iter().map(Recipe::requirements)));
    let old = Lock::read(&path)?;
    let renewed = match old {
        Some(lock) => {
            let differences = lock.differences(&wanted);
            if differences.is_empty() {
                None
            } else if locked {
                return Err(LockError::Stale { path, differences }.into());
            } else {
                let mut lock = lock;
                lock.renew(wanted);
                Some(lock)
            }
        }
        None if locked => return Err(LockError::Missing { path }.into()),
        None => Some(wanted),
    };
    fs::remove_abandoned(&path)?;
    if let Some(lock) = renewed {
        fs::write_atomic(&path, lock.to_text().as_bytes())?;
    }
    library.project.depends_on(&path)?;
    Ok(())
}
