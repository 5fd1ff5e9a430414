//! Content from elsewhere, by its digest, and what there is of it so far.

use std::fs::{File, TryLockError};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Bucket, Store};
use crate::digest::{Digest, Hasher};
use crate::fs;

/// How many bytes of downloads are kept.
const KEPT: u64 = 16 << 30;

/// A download that begins.
#[derive(Debug)]
pub enum Begun {
    /// All of it is there.
    Whole(PathBuf),
    /// It is to be fetched, from where an earlier run stopped.
    Partial(Partial),
}

/// A download that is not whole yet. One process at a time has it; dropping it keeps what is there.
#[derive(Debug)]
pub struct Partial {
    file: File,
    path: PathBuf,
    hasher: Hasher,
    length: u64,
}

impl Store {
    /// Returns the file of a download that is there. It was verified when it was fetched.
    ///
    /// # Errors
    /// When the cache folder cannot be read.
    pub fn downloaded(&self, digest: &Digest) -> fs::Result<Option<PathBuf>> {
        let path = self.path.join(Bucket::Downloads.name()).join(digest.hex());
        if !fs::exists(&path)? {
            return Ok(None);
        }
        // What was used last goes last; a cache folder that cannot be written still serves.
        fs::touch(&path).ok();
        Ok(Some(path))
    }

    /// Keeps bytes from elsewhere that were verified otherwise, and returns their digest.
    ///
    /// # Errors
    /// When the cache folder cannot be written.
    pub fn keep_download(&self, bytes: &[u8]) -> fs::Result<Digest> {
        let digest = Digest::of(bytes);
        if let Begun::Partial(mut partial) = self.begin_download(&digest)? {
            partial.restart()?;
            partial.write(bytes)?;
            partial.keep()?;
        }
        Ok(digest)
    }

    /// Begins a download, or goes on with one. Waits for another process that fetches the same.
    ///
    /// # Errors
    /// When the cache folder cannot be written.
    pub fn begin_download(&self, digest: &Digest) -> fs::Result<Begun> {
        let path = self.path.join(Bucket::Downloads.name()).join(format!("{}.part", digest.hex()));
        loop {
            if let Some(whole) = self.downloaded(digest)? {
                return Ok(Begun::Whole(whole));
            }
            let mut options = File::options();
            let file = options.read(true).write(true).create(true).truncate(false).open(&path);
            let mut file = file.map_err(fs::Error::on("create", &*path))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => file.lock().map_err(fs::Error::on("lock", &*path))?,
                Err(TryLockError::Error(error)) => return Err(fs::Error::on("lock", &*path)(error)),
            }
            // Whoever had it before may have completed or removed it meanwhile.
            if !is_file_at(&file, &path)? {
                continue;
            }
            let (hasher, length) = hash(&mut file).map_err(fs::Error::on("read", &*path))?;
            self.collect_files(&self.path.join(Bucket::Downloads.name()), KEPT)?;
            return Ok(Begun::Partial(Partial { file, path, hasher, length }));
        }
    }
}

fn is_file_at(file: &File, path: &Path) -> fs::Result<bool> {
    let held = file.metadata().map_err(fs::Error::on("look at", path))?;
    match fs::lstat(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (held.dev(), held.ino())),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

fn hash(file: &mut File) -> std::io::Result<(Hasher, u64)> {
    let mut hasher = Hasher::new();
    file.seek(SeekFrom::Start(0))?;
    let length = std::io::copy(file, &mut hasher)?;
    Ok((hasher, length))
}

impl Partial {
    /// Returns how many bytes are there.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Returns the digest of the bytes that are there.
    pub fn digest(&self) -> Digest {
        self.hasher.clone().finish().0
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> fs::Result<()> {
        self.file.write_all(bytes).map_err(fs::Error::on("write", &*self.path))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Drops every byte.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn restart(&mut self) -> fs::Result<()> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
        emptied.map_err(fs::Error::on("empty", &*self.path))?;
        (self.hasher, self.length) = (Hasher::new(), 0);
        Ok(())
    }

    /// Keeps the bytes, under the name of their digest, whatever that is, and returns their file.
    ///
    /// # Errors
    /// When the file cannot be written or renamed.
    pub fn keep(self) -> fs::Result<PathBuf> {
        let whole = self.path.with_file_name(self.digest().hex());
        self.file.sync_data().map_err(fs::Error::on("write", &*self.path))?;
        fs::rename(&self.path, &whole)?;
        Ok(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(store: &Store, digest: &Digest) -> Partial {
        match store.begin_download(digest).unwrap() {
            Begun::Partial(partial) => partial,
            Begun::Whole(path) => panic!("{} is there", path.display()),
        }
    }

    #[test]
    fn a_download_goes_on_where_it_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let digest = Digest::of(b"one two");
        begin(&store, &digest).write(b"one ").unwrap();
        let mut partial = begin(&store, &digest);
        assert_eq!((partial.length(), partial.digest()), (4, Digest::of(b"one ")));
        assert_eq!(store.downloaded(&digest).unwrap(), None);
        partial.write(b"two").unwrap();
        let path = partial.keep().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one two");
        assert!(matches!(store.begin_download(&digest).unwrap(), Begun::Whole(whole) if whole == path));
    }

    #[test]
    fn bytes_are_kept_under_their_own_digest_only() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let wanted = Digest::of(b"wanted");
        let mut partial = begin(&store, &wanted);
        partial.write(b"something else").unwrap();
        partial.keep().unwrap();
        assert_eq!(store.downloaded(&wanted).unwrap(), None);
    }

    #[test]
    fn whoever_waits_finds_what_another_has_fetched() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let digest = Digest::of(b"content");
        let mut partial = begin(&store, &digest);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| store.begin_download(&digest).unwrap());
            partial.write(b"content").unwrap();
            partial.keep().unwrap();
            assert!(matches!(waiting.join().unwrap(), Begun::Whole(_)));
        });
    }

    #[test]
    fn a_restart_drops_every_byte() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let digest = Digest::of(b"good");
        let mut partial = begin(&store, &digest);
        partial.write(b"bad bad bad").unwrap();
        partial.restart().unwrap();
        partial.write(b"good").unwrap();
        assert_eq!(fs::read(&partial.keep().unwrap()).unwrap(), b"good");
    }
}
