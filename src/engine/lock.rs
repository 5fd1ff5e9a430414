//! Writes or checks the lock of a profile, without rendering.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::base::{Bases, Given};
use super::lock_file::{self, Wanted};
use super::select::{Selection, resolve_all};
use crate::error::Error;
use crate::event::Reporter;
use crate::lock::{Difference, Lock, target_of};
use crate::registry::Client;
use crate::resolve::Recipe;
use crate::spec::Project;
use crate::store::Store;

/// What to lock, and how.
#[derive(Debug, Clone, Default)]
pub struct LockRequest {
    /// The profile, its distros, values of variables.
    pub selection: Selection,
    /// Whether what is in the lock is looked up again.
    pub upgrade: bool,
    /// Whether the lock must not change.
    pub check: bool,
}

/// A lock that was written or found to be right.
#[derive(Debug, Clone, Serialize)]
pub struct LockReport {
    /// Where it is.
    pub path: PathBuf,
    /// What is different now.
    pub differences: Vec<Difference>,
}

/// Looks up what the profile stands on and keeps the lock.
///
/// # Errors
/// When the profile is invalid, something is not there, or the lock is stale and must not change.
pub fn lock(
    project: &Arc<Project>,
    store: &Store,
    client: &Client,
    request: &LockRequest,
    reporter: &dyn Reporter,
) -> Result<LockReport, Error> {
    let library = request.selection.library(project)?;
    let path = lock_file::path(&library);
    let recipes = resolve_all(&library, &request.selection.requests(&library)?)?;
    let mut requirements = request.selection.declared_requirements(&library)?;
    requirements.extend(recipes.iter().map(Recipe::requirements));
    let lock = Lock::read(&path)?;
    let (lock, client) = (lock.as_ref(), Some(client));
    let (locked, upgrade) = (request.check, request.upgrade);
    let bases = Bases { store, client, reporter, lock, path: &path, locked, upgrade };
    let mut given = Given::new();
    for recipe in &recipes {
        given.extend(bases.look_up(recipe)?.map(|ground| (target_of(&recipe.distro), ground.digest)));
    }
    let differences = lock_file::keep(&library, Wanted { requirements, given }, request.check)?;
    Ok(LockReport { path, differences })
}
