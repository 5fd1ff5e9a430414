//! Compressed chunks of images, so that what was compressed once is copied the next time.
//!
//! An entry is a file named by its key: a magic number, the SHA-256 of key and bytes, the bytes. It appears by rename and is
//! checked when it is read, so that neither a killed run nor a failing disk puts wrong bytes into an image.

use std::io::Write;
use std::path::PathBuf;

use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};

use super::unique;
use crate::digest::{Digest, Hasher};
use crate::fs;

/// What an entry begins with.
const MAGIC: &[u8; 8] = b"lfchunk1";
const HEADER: usize = MAGIC.len() + 32;

/// The compressed chunks of a [`Store`](super::Store). Any number of threads and processes may use them at once.
#[derive(Debug, Clone)]
pub struct ChunkCache {
    /// Where entries are.
    directory: PathBuf,
    /// Where unfinished entries are: on the same file system, cleared by the store.
    unfinished: PathBuf,
    /// The most bytes that [`ChunkCache::collect`] leaves.
    limit: u64,
}

impl ChunkCache {
    pub(super) fn new(directory: PathBuf, unfinished: PathBuf, limit: u64) -> Self {
        Self { directory, unfinished, limit }
    }

    /// Returns the key of what a chunk is made into: `maker` says by what, with everything that the bytes depend on.
    pub fn key(chunk: &[u8], maker: &str) -> Digest {
        let mut hasher = Hasher::new();
        hasher.field(Digest::of(chunk).as_bytes());
        hasher.field(maker.as_bytes());
        hasher.finish().0
    }

    /// Returns the bytes kept under `key`, and counts that as a use. A damaged entry is removed.
    pub fn get(&self, key: &Digest) -> Option<Vec<u8>> {
        let path = self.directory.join(key.hex());
        let mut bytes = fs::read(&path).ok()?;
        if bytes.get(..MAGIC.len()) != Some(MAGIC)
            || bytes.get(MAGIC.len()..HEADER) != Some(seal(key, bytes.get(HEADER..)?).as_bytes())
        {
            // If it cannot be removed, it is noticed again.
            fs::remove_file(&path).ok();
            return None;
        }
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let same = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let used = Timestamps { last_access: same, last_modification: now };
        // An entry that looks unused goes earlier: that costs time only.
        rustix::fs::utimensat(rustix::fs::CWD, &path, &used, rustix::fs::AtFlags::empty()).ok();
        Some(bytes.split_off(HEADER))
    }

    /// Keeps `bytes` under `key`.
    ///
    /// # Errors
    /// When they cannot be written; nothing is kept then.
    pub fn put(&self, key: &Digest, bytes: &[u8]) -> fs::Result<()> {
        let temporary = self.unfinished.join(format!(".new.{}", unique()));
        let written = fs::create(&temporary).and_then(|mut file| {
            let seal = seal(key, bytes);
            let parts = [MAGIC, seal.as_bytes().as_slice(), bytes];
            parts.iter().try_for_each(|part| file.write_all(part)).map_err(fs::Error::on("write", &*temporary))
        });
        let kept = written.and_then(|()| fs::rename(&temporary, &self.directory.join(key.hex())));
        if kept.is_err() {
            // The first error is the one to report; what could not be written may not be removable either.
            fs::remove_file(&temporary).ok();
        }
        kept
    }

    /// Removes the entries that were used longest ago until the rest is not larger than the limit; returns how many bytes
    /// were removed.
    ///
    /// # Errors
    /// When the entries cannot be listed or removed.
    pub fn collect(&self) -> fs::Result<u64> {
        let mut entries = Vec::new();
        for name in fs::list(&self.directory)? {
            let path = self.directory.join(name);
            match fs::lstat(&path) {
                Ok(stat) => entries.push((stat.modified().ok(), stat.len(), path)),
                // Another process collects at the same time.
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        entries.sort();
        let total: u64 = entries.iter().map(|(_, size, _)| size).sum();
        let mut removed = 0;
        for (_, size, path) in entries {
            if total - removed <= self.limit {
                break;
            }
            match fs::remove_file(&path) {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => removed += size,
            }
        }
        Ok(removed)
    }
}

fn seal(key: &Digest, bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(key.as_bytes());
    hasher.update(bytes);
    hasher.finish().0
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::*;

    #[test]
    fn what_was_kept_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Store::open(folder.path()).unwrap().chunks(1 << 20);
        let key = ChunkCache::key(b"chunk", "zstd 3");
        assert_eq!(cache.get(&key), None);
        cache.put(&key, b"bytes").unwrap();
        cache.put(&key, b"bytes").unwrap();
        assert_eq!(cache.get(&key).as_deref(), Some(b"bytes".as_slice()));
        for other in [ChunkCache::key(b"chunk", "zstd 4"), ChunkCache::key(b"other", "zstd 3")] {
            assert_eq!(cache.get(&other), None);
        }
        let empty = ChunkCache::key(b"", "");
        cache.put(&empty, b"").unwrap();
        assert_eq!(cache.get(&empty).as_deref(), Some(b"".as_slice()));
        let hidden = |name: &std::ffi::OsString| name.to_string_lossy().starts_with('.');
        assert!(!fs::list(folder.path()).unwrap().iter().any(hidden), "no temporary file stays");
    }

    #[test]
    fn damaged_and_exchanged_entries_are_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Store::open(folder.path()).unwrap().chunks(1 << 20);
        let (key, other) = (ChunkCache::key(b"one", "x"), ChunkCache::key(b"two", "x"));
        let path = |key: &Digest| cache.directory.join(key.hex());
        cache.put(&key, b"bytes").unwrap();
        let whole = fs::read(&path(&key)).unwrap();
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            fs::write_atomic(&path(&key), &bytes).unwrap();
            assert_eq!(cache.get(&key), None, "byte {place}");
            assert!(!fs::exists(&path(&key)).unwrap());
        }
        for length in 0..whole.len() {
            fs::write_atomic(&path(&key), &whole[..length]).unwrap();
            assert_eq!(cache.get(&key), None, "{length} bytes");
        }
        cache.put(&key, b"bytes").unwrap();
        fs::rename(&path(&key), &path(&other)).unwrap();
        assert_eq!(cache.get(&other), None);
    }

    #[test]
    fn the_least_recently_used_go_first() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Store::open(folder.path()).unwrap().chunks(2 * (HEADER as u64 + 100));
        let keys: Vec<Digest> = (0..4_u8).map(|number| ChunkCache::key(&[number], "x")).collect();
        for (age, key) in keys.iter().enumerate() {
            cache.put(key, &[0; 100]).unwrap();
            let file = fs::open(&cache.directory.join(key.hex())).unwrap();
            file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(age as u64)).unwrap();
        }
        cache.get(&keys[0]).unwrap();
        assert_eq!(cache.collect().unwrap(), 2 * (HEADER as u64 + 100));
        let left: Vec<bool> = keys.iter().map(|key| cache.get(key).is_some()).collect();
        assert_eq!(left, [true, false, false, true]);
        assert_eq!(cache.collect().unwrap(), 0);
    }
}
