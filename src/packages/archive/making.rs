//! Packs that are being made at this moment, so that a package that several targets share is unpacked once when they are
//! rendered at the same time. Who finds that somebody else makes one has other packages to unpack first.
//!
//! Other processes are not asked: they would do the same work twice, and the pack is whole all the same.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

static BUSY: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
static FREED: Condvar = Condvar::new();

/// The right to make the pack at a path; dropping it lets others look for the pack.
#[derive(Debug)]
pub(super) struct Making(PathBuf);

impl Making {
    /// Begins to make a pack, unless another thread does.
    pub(super) fn attempt(path: &Path) -> Option<Self> {
        busy().insert(path.to_owned()).then(|| Self(path.to_owned()))
    }

    /// Begins to make a pack once no other thread does. Nobody who makes one waits for another.
    pub(super) fn wait(path: &Path) -> Self {
        let free = FREED.wait_while(busy(), |busy| busy.contains(path));
        free.unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
        Self(path.to_owned())
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        busy().remove(&self.0);
        FREED.notify_all();
    }
}

fn busy() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    BUSY.lock().unwrap_or_else(PoisonError::into_inner)
}
