//! Images that were made before, by what decided about them.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::{Bucket, Store, unique};
use crate::digest::Digest;
use crate::fs::{self, Folder, Stamp, Timestamp};

/// How many bytes of images are kept.
const KEPT: u64 = 8 << 30;
/// For how long an image is kept whatever it takes, in seconds: somebody may be copying it.
const IN_USE: i64 = 60 * 60;

/// A file in the cache folder, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    /// Where it is.
    pub path: PathBuf,
    /// The digest of its bytes.
    pub digest: Digest,
    /// Their number.
    pub length: u64,
}

impl Store {
    /// Returns the image that `key` decides about: as it was made before or, when there is none or it is damaged, as
    /// `make` writes it to an empty file that can be read as well.
    ///
    /// # Errors
    /// What `make` fails with, or what the file system refuses.
    pub fn image<E: From<fs::Error>>(
        &self,
        key: &Digest,
        make: impl FnOnce(&File) -> Result<(), E>,
    ) -> Result<StoredImage, E> {
        let folder = self.path.join(Bucket::Images.name());
        if let Some(known) = find(&folder, key)? {
            return Ok(known);
        }
        let temporary = self.path.join(format!(".new.{}", unique()));
        let made = keep(&temporary, &folder, key, make);
        if made.is_err() {
            // The first error is the one to report.
            fs::remove_file(&temporary).ok();
        }
        self.collect_files(&folder, KEPT)?;
        made
    }

    /// Removes files that were not used for the longest time until the rest has at most `kept` bytes.
    pub(super) fn collect_files(&self, folder: &Path, kept: u64) -> fs::Result<()> {
        let folder = Folder::open(folder)?;
        let mut files: Vec<(Timestamp, u64, Box<[u8]>)> = Vec::new();
        for (name, _) in folder.children()? {
            // Another process may be collecting as well.
            if let Some(stamp) = folder.stamp(&name)?.filter(|stamp| stamp.kind() == Stamp::REGULAR) {
                files.push((stamp.modified, stamp.size, name));
            }
        }
        files.sort();
        let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
        for (modified, size, name) in files {
            if total <= kept || modified.seconds > self.opened.seconds - IN_USE {
                break;
            }
            folder.remove_tree(&name)?;
            total -= size;
        }
        Ok(())
    }
}

/// Returns the file for `key` when it is there and has the digest that it is named by.
pub(super) fn find(folder: &Path, key: &Digest) -> fs::Result<Option<StoredImage>> {
    let prefix = format!("{}.", key.hex());
    for name in fs::list(folder)? {
        let Some(named) = name.to_str().and_then(|name| name.strip_prefix(&prefix)) else { continue };
        let path = folder.join(&name);
        let read = fs::open(&path).ok().and_then(|file| Digest::of_stream(file).ok());
        if let Some((digest, length)) = read.filter(|(digest, _)| digest.hex() == named) {
            // What was used last goes last; a cache folder that cannot be written still serves.
            fs::touch(&path).ok();
            return Ok(Some(StoredImage { path, digest, length }));
        }
    }
    Ok(None)
}

fn keep<E: From<fs::Error>>(
    temporary: &Path,
    folder: &Path,
    key: &Digest,
    make: impl FnOnce(&File) -> Result<(), E>,
) -> Result<StoredImage, E> {
    make(&fs::create(temporary)?)?;
    let (digest, length) = Digest::of_stream(fs::open(temporary)?).map_err(fs::Error::on("read", temporary))?;
    let path = folder.join(format!("{}.{}", key.hex(), digest.hex()));
    fs::rename(temporary, &path)?;
    Ok(StoredImage { path, digest, length })
}
