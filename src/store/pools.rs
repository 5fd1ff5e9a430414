//! What package indexes were parsed into.

use std::path::PathBuf;

use super::{Bucket, Store};
use crate::digest::Digest;
use crate::fs;

/// How many bytes of them are kept: that of Debian has some thirty million.
const KEPT: u64 = 1 << 30;

impl Store {
    /// Returns where the pool of an index is kept, or is to be. `of` is the digest of all that it is made from.
    ///
    /// # Errors
    /// When the cache folder cannot be read.
    pub fn pool(&self, of: &Digest) -> fs::Result<PathBuf> {
        let folder = self.path.join(Bucket::Pools.name());
        let path = folder.join(of.hex());
        // What was used last goes last; a cache folder that cannot be written still serves.
        if fs::touch(&path).is_err() {
            self.collect_files(&folder, KEPT)?;
        }
        Ok(path)
    }
}
