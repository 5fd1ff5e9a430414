//! Packages that were unpacked, and the trees that sets of packages are.
//!
//! A pack is named by the digest of its package, a tree by the digest of everything that decides about it. Both are written by
//! those who know their form, and checked by them when they are read.

use std::path::{Path, PathBuf};

use super::{Bucket, Store, unique};
use crate::digest::Digest;
use crate::fs;

/// How many bytes of packs are kept.
const PACKS_KEPT: u64 = 32 << 30;
/// How many bytes of trees are kept.
const TREES_KEPT: u64 = 16 << 30;
/// The folder of roots that scripts run in.
const ROOTS: &str = "roots-1";

impl Store {
    /// Returns the directory that keeps unpacked packages, each file named by the digest of the package.
    pub fn packs(&self) -> PathBuf {
        self.path.join(Bucket::Packs.name())
    }

    /// Counts a use of these packs, and removes those that were used longest ago when there are too many.
    ///
    /// # Errors
    /// When packs cannot be listed or removed.
    pub fn used_packs<'path>(&self, packs: impl IntoIterator<Item = &'path Path>) -> fs::Result<()> {
        for pack in packs {
            // What was used last goes last; a cache folder that cannot be written still serves.
            fs::touch(pack).ok();
        }
        self.collect_files(&self.packs(), PACKS_KEPT)
    }

    /// Returns where the tree is kept that `key` decides about; whether there is one is for the reader to see.
    pub fn package_tree(&self, key: &Digest) -> PathBuf {
        self.path.join(Bucket::Trees.name()).join(key.hex())
    }

    /// Keeps the tree that `key` decides about, as `make` writes it to an empty file, and returns where.
    ///
    /// # Errors
    /// What `make` fails with, or what the file system refuses; nothing is kept then.
    pub fn keep_package_tree<E: From<fs::Error>>(
        &self,
        key: &Digest,
        make: impl FnOnce(&std::fs::File) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        let path = self.package_tree(key);
        let temporary = self.path.join(format!(".new.{}", unique()));
        let made = fs::create(&temporary).map_err(E::from).and_then(|file| make(&file));
        let kept = made.and_then(|()| Ok(fs::rename(&temporary, &path)?));
        if kept.is_err() {
            // The first error is the one to report.
            fs::remove_file(&temporary).ok();
        }
        kept?;
        self.collect_files(&self.path.join(Bucket::Trees.name()), TREES_KEPT)?;
        Ok(path)
    }

    /// Makes an empty folder, which nobody else can enter, for a root that scripts run in.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new_root(&self) -> fs::Result<PathBuf> {
        let folder = self.path.join(ROOTS);
        fs::create_directory(&folder)?;
        let name = unique();
        fs::Folder::open(&folder)?.create_folder(name.as_bytes(), 0o700)?;
        Ok(folder.join(name))
    }

    /// Returns the roots that killed processes left, so long ago that nothing runs in them any more.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn abandoned_roots(&self) -> fs::Result<Vec<PathBuf>> {
        let path = self.path.join(ROOTS);
        if !fs::exists(&path)? {
            return Ok(Vec::new());
        }
        let folder = fs::Folder::open(&path)?;
        let mut roots = Vec::new();
        for (name, _) in folder.children()? {
            let old = |stamp: fs::Stamp| stamp.changed.seconds < self.opened.seconds - super::ABANDONED;
            if folder.stamp(&name)?.is_some_and(old) {
                roots.push(folder.path_of(&name));
            }
        }
        Ok(roots)
    }
}
