//! What scripts and hooks of packages of Arch do for images, done without running them.
//!
//! Comes in: a tree of installed packages. Goes out: the tree with the accounts that packages declare. Always holds: what is
//! there already stays. Whoever calls this makes the cache of ldconfig.

use super::database::DatabaseError;
use super::scripts::steps;
use crate::packages::archive::Unpacked;
use crate::packages::step::Left;
use crate::packages::sysusers::{self, SysusersError};
use crate::tree::Tree;

/// The shell of accounts that nobody logs in to.
const NOLOGIN: &str = "/usr/bin/nologin";
/// Hooks and scripts whose work is done here, or is not needed in an image: what systemd does when it starts, and what a
/// running one would be told.
const DONE: [&str; 8] = [
    "20-systemd-sysusers.hook",
    "30-systemd-binfmt.hook",
    "30-systemd-daemon-reload-system.hook",
    "30-systemd-daemon-reload-user.hook",
    "30-systemd-restart-marked.hook",
    "30-systemd-sysctl.hook",
    "30-systemd-udev-reload.hook",
    "ldconfig",
];

/// Scripts that cannot be done without.
#[derive(Debug, thiserror::Error)]
pub enum SkipError {
    /// Packages say something about themselves that cannot be.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Accounts cannot be made.
    #[error(transparent)]
    Sysusers(#[from] SysusersError),
}

/// Does what is known of what scripts and hooks do. Returns what was left.
///
/// # Errors
/// When packages say something about themselves that cannot be, or something in the tree is in the way.
pub fn skip_scripts(tree: &mut Tree, packages: &[Unpacked], epoch: i64) -> Result<Vec<Left>, SkipError> {
    let steps = steps(tree, packages)?;
    sysusers::make_accounts(tree, NOLOGIN, epoch)?;
    let left = steps.into_iter().filter(|step| !DONE.contains(&step.name.as_str()));
    Ok(left.map(|step| Left { package: step.package, what: step.name }).collect())
}
