//! What the last render into one destination saw and wrote.

use std::path::Path;

use super::Listing;
use crate::digest::Digest;
use crate::fs::Stamp;

/// What a render saw and wrote: the next one compares it with what is there now.
///
/// It saves work and witnesses edits by hand; without it everything still works, by reading all content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The digest of what decides the result and is no file: arguments, variables, the program's version. Nothing when
    /// only the outputs are known.
    pub key: Option<Digest>,
    /// Every file that was read, directory that was listed and path that was missing; absolute.
    pub inputs: Listing,
    /// What was written, by output kind.
    pub outputs: Vec<Written>,
}

/// What was written for one output kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The name of the output kind: `rootfs`.
    pub kind: String,
    /// Every path, relative to the destination. The entries of the destination itself are the artifacts.
    pub listing: Listing,
}

impl Record {
    /// Returns the digest of the input at `path` when it still has the `stamp` that it had when it was read.
    pub fn digest_of(&self, path: &Path, stamp: &Stamp) -> Option<Digest> {
        use std::os::unix::ffi::OsStrExt;
        self.inputs.get(path.as_os_str().as_bytes())?.digest_at(stamp)
    }
}
