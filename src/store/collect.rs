//! Removing what is kept for folders that are gone.
//!
//! Every entry but those that are of no folder (archives, chunks, images, layers, downloads, pools, notes, packs, trees) ends with
//! the path that it is for and the length of that path (u32, little-endian).

use std::ffi::OsStr;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Bucket, Store};
use crate::fs::{self, Timestamp};

/// The longest path (limits.h, `PATH_MAX`) and its length.
const END: u64 = 4096 + 4;
/// For how long a note about what is elsewhere is worth keeping, in seconds.
const NOTED: i64 = 30 * 24 * 60 * 60;
/// How many entries one render looks at.
const LOOKED_AT: usize = 16;

/// What one part of the cache folder holds.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct BucketUse {
    /// The name of its folder.
    pub name: &'static str,
    /// How many entries it has.
    pub entries: usize,
    /// The bytes of all entries.
    pub bytes: u64,
}

/// What was removed, and what is left.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Collected {
    /// How many entries were removed.
    pub removed: usize,
    /// Their bytes.
    pub freed: u64,
    /// What is left.
    pub left: Vec<BucketUse>,
}

impl Store {
    /// Removes what is kept for folders that are gone, and tells what is left. Unpacked archives, chunks, images
    /// layers and downloads stay: they are of no folder. Notes about what is elsewhere go when they are old.
    ///
    /// # Errors
    /// When the cache folder cannot be read, or an entry not be removed.
    pub fn collect(&self) -> fs::Result<Collected> {
        let mut collected = Collected::default();
        for bucket in Bucket::ALL {
            let mut left = BucketUse { name: bucket.name(), entries: 0, bytes: 0 };
            for path in self.entries(bucket)? {
                let size = fs::lstat(&path)?.len();
                if is_abandoned(bucket, &path, self.opened) {
                    fs::remove_file(&path)?;
                    collected.removed += 1;
                    collected.freed += size;
                } else {
                    left.entries += 1;
                    left.bytes += size;
                }
            }
            collected.left.push(left);
        }
        Ok(collected)
    }

    /// Does the same to a few records, those that come after the one of `destination`: renders into many folders look at
    /// all of them in the end.
    ///
    /// # Errors
    /// When the cache folder cannot be read, or an entry not be removed.
    pub fn collect_some(&self, destination: &Path) -> fs::Result<()> {
        let own = self.entry(Bucket::Records, destination);
        let entries = self.entries(Bucket::Records)?;
        let first = entries.partition_point(|path| *path <= own);
        let looked_at = entries[first..].iter().chain(&entries[..first]).take(LOOKED_AT);
        let mut abandoned = looked_at.filter(|path| is_abandoned(Bucket::Records, path, self.opened));
        abandoned.try_for_each(|path| fs::remove_file(path))
    }

    fn entries(&self, bucket: Bucket) -> fs::Result<Vec<PathBuf>> {
        let folder = self.path.join(bucket.name());
        Ok(fs::list(&folder)?.into_iter().map(|name| folder.join(name)).collect())
    }
}

/// Tells whether the folder that an entry is for is certainly not there. A damaged entry is for nothing.
fn is_abandoned(bucket: Bucket, path: &Path, opened: Timestamp) -> bool {
    match bucket {
        Bucket::Archives
        | Bucket::Chunks
        | Bucket::Images
        | Bucket::Downloads
        | Bucket::Pools
        | Bucket::Layers
        | Bucket::Diffs
        | Bucket::Packs
        | Bucket::Trees => return false,
        Bucket::Notes => return fs::lstat(path).is_ok_and(|note| note.mtime() < opened.seconds - NOTED),
        Bucket::Records | Bucket::Sources | Bucket::Texts => {}
    }
    // One that went away meanwhile, or may not be read, is left to others.
    let Ok(end) = end_of(path) else { return false };
    without_owner(&end).is_none_or(|(_, owner)| matches!(fs::exists(owner), Ok(false)))
}

/// Returns the last bytes of an entry: its owner's path and what stands before that.
fn end_of(path: &Path) -> fs::Result<Vec<u8>> {
    let mut file = fs::open(path)?;
    let mut end = Vec::new();
    let size = file.metadata().map_err(fs::Error::on("look at", path))?.len();
    let read = file.seek(SeekFrom::Start(size.saturating_sub(END))).and_then(|_| file.read_to_end(&mut end));
    read.map_err(fs::Error::on("read", path))?;
    Ok(end)
}

/// Returns the bytes of an entry for `owner`.
pub(super) fn with_owner(bytes: &[u8], owner: &Path) -> Vec<u8> {
    let owner = owner.as_os_str().as_bytes();
    let length = u32::try_from(owner.len()).expect("a path is shorter than 4 GiB");
    [bytes, owner, &length.to_le_bytes()].concat()
}

/// Splits an entry into its bytes and the path that it is for.
pub(super) fn without_owner(bytes: &[u8]) -> Option<(&[u8], &Path)> {
    let (rest, length) = bytes.split_last_chunk::<4>()?;
    let end = rest.len().checked_sub(u32::from_le_bytes(*length) as usize)?;
    let (bytes, owner) = rest.split_at(end);
    Some((bytes, Path::new(OsStr::from_bytes(owner))))
}
