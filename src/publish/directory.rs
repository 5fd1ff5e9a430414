//! The folder itself: files that appear whole, under a lock.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use rustix::fd::AsFd as _;

use super::PublishError;
use super::sums::{ARMOURED, MOST_TEXT, SIGNATURE};
use crate::digest::{Digest, Hasher};
use crate::fs::{self, Folder};

/// The longest name that leaves room for [`unfinished`] in the 255 bytes that file systems take.
pub(super) const LONGEST_NAME: usize = 240;

/// Bytes copied at a time.
const CHUNK: usize = 256 << 10;

/// Permissions of images: nobody is to change them.
const IMAGE: u32 = 0o444;
/// Permissions of texts.
const TEXT: u32 = 0o644;

/// A folder that this process alone works on.
#[derive(Debug)]
pub(super) struct Directory {
    folder: Folder,
}

/// An image that is in the folder, or ready to appear there.
#[derive(Debug)]
pub(super) struct Staged {
    /// What is in it.
    pub(super) digest: Digest,
    /// Whether it has to be shown.
    pub(super) is_new: bool,
}

/// Returns what a file is called as long as it is written.
fn unfinished(name: &str) -> String {
    format!(".{name}.unfinished")
}

impl Directory {
    /// Takes the folder at `path`, making it when it is missing, and removes what an interrupted run has left.
    pub(super) fn open(path: &Path, waiting: impl FnOnce()) -> Result<Self, PublishError> {
        fs::create_directory(path)?;
        let this = Self { folder: Folder::open(path)? };
        this.folder.lock(waiting)?;
        this.clear()?;
        Ok(this)
    }

    /// Removes what is not finished and never will be.
    fn clear(&self) -> fs::Result<()> {
        let is_unfinished = |name: &[u8]| name.starts_with(b".") && name.ends_with(b".unfinished");
        let children = self.folder.children()?.into_iter();
        children.filter(|(name, _)| is_unfinished(name)).try_for_each(|(name, _)| self.folder.remove_file(&name))
    }

    /// Returns the path of a file.
    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.folder.path_of(name.as_bytes())
    }

    /// Returns the names of all files; those that are no text are none of ours.
    pub(super) fn names(&self) -> Result<Vec<String>, PublishError> {
        let files = self.folder.children()?.into_iter().filter(|(_, is_directory)| !is_directory);
        Ok(files.filter_map(|(name, _)| String::from_utf8(name.into()).ok()).collect())
    }

    /// Tells whether a name stands for something.
    pub(super) fn has(&self, name: &str) -> Result<bool, PublishError> {
        Ok(self.folder.stamp(name.as_bytes())?.is_some())
    }

    /// Tells whether the list is signed.
    pub(super) fn is_signed(&self) -> Result<bool, PublishError> {
        Ok(self.has(SIGNATURE)? || self.has(ARMOURED)?)
    }

    /// Returns the text of a file, when it is there.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, PublishError> {
        if !self.has(name)? {
            return Ok(None);
        }
        let mut text = String::new();
        let read = self.folder.open_file(name.as_bytes())?.take(MOST_TEXT + 1).read_to_string(&mut text);
        read.map_err(fs::Error::on("read", self.path_of(name)))?;
        if text.len() as u64 > MOST_TEXT { Err(PublishError::LongSums) } else { Ok(Some(text)) }
    }

    /// Makes an image ready to appear as `name`, unless it is there already. `listed` is the digest that hosts know it by.
    ///
    /// # Errors
    /// When something else is there, or known by that name.
    pub(super) fn stage(&self, image: &Path, name: &str, listed: Option<Digest>) -> Result<Staged, PublishError> {
        let source = fs::open(image)?;
        let is_new = !self.has(name)?;
        let digest = if is_new {
            self.copy(source, image, name)?
        } else {
            let there = self.folder.open_file(name.as_bytes())?;
            let known = digest_of(there, &self.path_of(name))?;
            let digest = digest_of(source, image)?;
            if digest != known {
                return Err(PublishError::OtherContent(name.to_owned()));
            }
            digest
        };
        if listed.is_some_and(|listed| listed != digest) {
            return Err(PublishError::OtherContent(name.to_owned()));
        }
        Ok(Staged { digest, is_new })
    }

    /// Copies a file to the unfinished `name`, and returns the digest of what was copied.
    fn copy(&self, mut source: File, image: &Path, name: &str) -> Result<Digest, PublishError> {
        let temporary = unfinished(name);
        let path = self.path_of(&temporary);
        let mut target = self.folder.create_file(temporary.as_bytes(), IMAGE)?;
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(fs::Error::on("read", image)(error).into()),
            };
            hasher.update(&buffer[..count]);
            target.write_all(&buffer[..count]).map_err(fs::Error::on("write", &path))?;
        }
        target.sync_all().map_err(fs::Error::on("write", &path))?;
        Ok(hasher.finish().0)
    }

    /// Shows a staged image under its name, where nothing stands.
    pub(super) fn show(&self, name: &str) -> Result<(), PublishError> {
        Ok(self.folder.rename_to_free(unfinished(name).as_bytes(), &self.folder, name.as_bytes())?)
    }

    /// Writes a file, whole or not at all; tells whether it has changed.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<bool, PublishError> {
        if self.has(name)? && fs::read(&self.path_of(name)).is_ok_and(|old| old == bytes) {
            return Ok(false);
        }
        let temporary = unfinished(name);
        let mut file = self.folder.create_file(temporary.as_bytes(), TEXT)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        written.map_err(fs::Error::on("write", self.path_of(&temporary)))?;
        self.folder.rename(temporary.as_bytes(), &self.folder, name.as_bytes())?;
        Ok(true)
    }

    /// Waits until names are on the disk.
    pub(super) fn sync(&self) -> Result<(), PublishError> {
        let synced = rustix::fs::fsync(self.folder.as_fd());
        Ok(synced.map_err(fs::Error::on("write", self.folder.path()))?)
    }

    /// Removes files, and notes each in `removed`.
    pub(super) fn remove_all(&self, names: Vec<String>, removed: &mut Vec<String>) -> Result<(), PublishError> {
        for name in names {
            self.folder.remove_file(name.as_bytes())?;
            removed.push(name);
        }
        Ok(())
    }
}

impl Drop for Directory {
    /// What could not be shown goes, as long as the lock is held. What cannot be removed now, the next run removes.
    fn drop(&mut self) {
        self.clear().ok();
    }
}

fn digest_of(file: File, path: &Path) -> Result<Digest, PublishError> {
    let (digest, _) = Digest::of_stream(file).map_err(fs::Error::on("read", path))?;
    Ok(digest)
}
