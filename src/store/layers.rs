//! Layers of container images that were made before: by the tree they hold, and by what they were compressed from and with.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Bucket, Store, images, unique};
use crate::digest::{Digest, Hasher};
use crate::fs;

/// How many bytes of layers are kept.
const KEPT: u64 = 8 << 30;
/// How many bytes the digests of archives may take: each has 64.
const DIFFS_KEPT: u64 = 16 << 20;

/// A layer that was just written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MadeLayer {
    /// The digest of the plain archive.
    pub diff_id: Digest,
    /// The digest of what was written.
    pub digest: Digest,
    /// Its bytes.
    pub length: u64,
}

/// A layer in the cache folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLayer {
    /// Where it is.
    pub path: PathBuf,
    /// The digest of the plain archive.
    pub diff_id: Digest,
    /// The digest of its bytes.
    pub digest: Digest,
    /// Their number.
    pub length: u64,
}

impl Store {
    /// Returns the layer that the tree with the digest `tree` is when `archiver` makes an archive of it and `codec`
    /// compresses that, each named with everything that its bytes depend on: as it was made before or, when there is none or
    /// it is damaged, as `make` writes it to an empty file.
    ///
    /// # Errors
    /// What `make` fails with, or what the file system refuses.
    pub fn layer<E: From<fs::Error>>(
        &self,
        tree: &Digest,
        (archiver, codec): (&str, &str),
        make: impl FnOnce(&mut File) -> Result<MadeLayer, E>,
    ) -> Result<StoredLayer, E> {
        let making = self.making.of(key(tree, codec));
        // A poisoned lock means that making it has failed elsewhere: here it may not.
        let _alone = making.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = self.path.join(Bucket::Layers.name());
        let diff = self.path.join(Bucket::Diffs.name()).join(key(tree, archiver).hex());
        if let Some(diff_id) = read(&diff, tree)
            && let Some(known) = images::find(&folder, &key(&diff_id, codec))?
        {
            // What was used last goes last; a cache folder that cannot be written still serves.
            fs::touch(&diff).ok();
            return Ok(StoredLayer { path: known.path, diff_id, digest: known.digest, length: known.length });
        }
        let temporary = self.path.join(format!(".new.{}", unique()));
        let made = fs::create(&temporary).map_err(E::from).and_then(|mut file| make(&mut file)).and_then(|made| {
            let path = folder.join(format!("{}.{}", key(&made.diff_id, codec).hex(), made.digest.hex()));
            fs::rename(&temporary, &path)?;
            self.put(&diff, &[*made.diff_id.as_bytes(), *seal(&made.diff_id, tree).as_bytes()].concat())?;
            Ok(StoredLayer { path, diff_id: made.diff_id, digest: made.digest, length: made.length })
        });
        if made.is_err() {
            // The first error is the one to report.
            fs::remove_file(&temporary).ok();
        }
        self.collect_files(&folder, KEPT)?;
        self.collect_files(&self.path.join(Bucket::Diffs.name()), DIFFS_KEPT)?;
        made
    }
}

/// Locks on layers, so that what several distros share is made once when they are rendered at the same time.
#[derive(Debug, Default)]
pub(super) struct Making(Mutex<BTreeMap<Digest, Arc<Mutex<()>>>>);

impl Making {
    fn of(&self, layer: Digest) -> Arc<Mutex<()>> {
        Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(layer).or_default())
    }
}

/// Returns the digest of an archive that is kept for a tree, unless it is damaged.
fn read(path: &std::path::Path, tree: &Digest) -> Option<Digest> {
    let bytes: [u8; 64] = fs::read(path).ok()?.try_into().ok()?;
    let (diff_id, sum) = bytes.split_first_chunk::<32>()?;
    let diff_id = Digest::from_bytes(*diff_id);
    (seal(&diff_id, tree).as_bytes().as_slice() == sum).then_some(diff_id)
}

/// Returns what makes sure that a kept digest is whole and of this tree.
fn seal(diff_id: &Digest, tree: &Digest) -> Digest {
    Digest::of([*diff_id.as_bytes(), *tree.as_bytes()].concat())
}

fn key(of: &Digest, maker: &str) -> Digest {
    let mut hasher = Hasher::new();
    hasher.field(of.as_bytes());
    hasher.field(maker.as_bytes());
    hasher.finish().0
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::Write;

    use super::*;

    #[test]
    fn a_layer_is_made_once_for_a_tree_and_a_codec() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let count = Cell::new(0);
        let layer = |tree: &str, codec: &str| {
            let made = store.layer(&Digest::of(tree), ("tar", codec), |file| -> fs::Result<MadeLayer> {
                count.set(count.get() + 1);
                let bytes = format!("{tree} {codec}");
                file.write_all(bytes.as_bytes()).unwrap();
                Ok(MadeLayer { diff_id: Digest::of("d"), digest: Digest::of(&bytes), length: bytes.len() as u64 })
            });
            made.unwrap()
        };
        let first = layer("one", "gzip");
        assert_eq!((first.digest, first.diff_id), (Digest::of("one gzip"), Digest::of("d")));
        assert_eq!((layer("one", "gzip"), count.get()), (first.clone(), 1));
        assert_eq!((layer("one", "zstd").digest, count.get()), (Digest::of("one zstd"), 2));
        assert_eq!((layer("one", "gzip"), count.get()), (first.clone(), 2));
        layer("two", "xz");
        assert_eq!(count.get(), 3);
        fs::write_atomic(&first.path, b"damaged!").unwrap();
        assert_eq!((layer("one", "gzip"), count.get()), (first.clone(), 4), "a damaged layer is made again");
        let diffs = folder.path().join("diffs-1");
        for name in fs::list(&diffs).unwrap() {
            fs::write_atomic(&diffs.join(name), &[7; 64]).unwrap();
        }
        assert_eq!((layer("one", "gzip"), count.get()), (first, 5), "and so is one whose archive is not known");
        let hidden = |name: &std::ffi::OsString| name.to_string_lossy().starts_with('.');
        assert!(!fs::list(folder.path()).unwrap().iter().any(hidden), "no temporary file stays");
    }
}
