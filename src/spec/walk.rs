//! Everything in a file tree of a layer.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::problem::Problem;
use super::project::{FolderEntry, FolderEntryKind, SpecError};
use super::source::Place;
use crate::fs::{self, Folder, Stamp};
use crate::store::{Directory, Earlier, Entry, InputFile, Inputs};

/// A file tree to be walked. No symbolic link is followed.
pub(super) struct Walk<'project> {
    /// The root of the tree.
    pub(super) root: Folder,
    /// Its absolute path, under which inputs are written down.
    pub(super) absolute: PathBuf,
    /// How messages name it.
    pub(super) name: String,
    /// Where what is found is written down.
    pub(super) inputs: &'project Inputs,
    /// What an earlier render found, as far as it is still so.
    pub(super) earlier: Option<&'project Earlier>,
    /// Tells which directories directly in the root are not looked into.
    pub(super) skips: &'project dyn Fn(&[u8]) -> bool,
}

impl Walk<'_> {
    /// Returns everything in the tree, sorted by path.
    ///
    /// # Errors
    /// When it cannot be read, or holds something that is no file, directory or symbolic link.
    pub(super) fn entries(&self) -> Result<Vec<FolderEntry>, SpecError> {
        let mut entries = Vec::new();
        // One directory after the other, so that the depth of a tree costs neither stack nor descriptors.
        let mut waiting = vec![Vec::new()];
        while let Some(directory) = waiting.pop() {
            self.directory(&directory, &mut entries, &mut waiting)?;
        }
        entries.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        Ok(entries)
    }

    /// Adds what is in the directory at `path`; the directories in it are left for later.
    fn directory(
        &self,
        path: &[u8],
        entries: &mut Vec<FolderEntry>,
        waiting: &mut Vec<Vec<u8>>,
    ) -> Result<(), SpecError> {
        let folder = self.root.descend(path)?;
        let absolute = self.absolute.join(OsStr::from_bytes(path));
        let is_root = path.is_empty();
        let children = self.children(&folder, &absolute)?;
        let mut files = Vec::with_capacity(children.len());
        let mut others = Vec::new();
        if children.is_empty() && !path.is_empty() {
            entries.push(self.entry(path.to_vec(), FolderEntryKind::EmptyDirectory));
        }
        for child in children {
            let Some(stamp) = child.stamp else { continue };
            let path = if path.is_empty() { child.name.to_vec() } else { [path, &child.name].join(&b'/') };
            match stamp.kind() {
                Stamp::REGULAR => {
                    let file = absolute.join(OsStr::from_bytes(&child.name));
                    let file = Arc::new(InputFile::new(file.into(), stamp, child.digest));
                    files.push(Arc::clone(&file));
                    entries.push(self.entry(path, FolderEntryKind::File(file)));
                    continue;
                }
                Stamp::SYMLINK => {
                    let target = folder.read_link(&child.name)?.into();
                    entries.push(self.entry(path, FolderEntryKind::Symlink(target)));
                }
                Stamp::DIRECTORY if is_root && (self.skips)(&child.name) => {}
                Stamp::DIRECTORY => waiting.push(path),
                _ => return Err(special_file(self.name_of(&path)).into()),
            }
            others.push(child);
        }
        let path = absolute.into_os_string().into_encoded_bytes().into();
        self.inputs.listed(Directory { path, entries: others, complete: true }, files);
        Ok(())
    }

    /// Returns the children of a directory. What an earlier render saw and is still so is not looked at again.
    fn children(&self, folder: &Folder, absolute: &Path) -> fs::Result<Vec<Entry>> {
        let look = |name: Arc<[u8]>| -> fs::Result<Option<Entry>> {
            let stamp = folder.stamp(&name)?;
            Ok(stamp.map(|stamp| Entry { name, stamp: Some(stamp), digest: None, shared: 0 }))
        };
        let found: fs::Result<Vec<_>> = match self.earlier.and_then(|earlier| earlier.children(absolute)) {
            Some(known) => known
                .map(|(entry, same)| if same { Ok(Some(entry.clone())) } else { look(Arc::clone(&entry.name)) })
                .collect(),
            None => folder.children()?.into_iter().map(|(name, _)| look(name.into())).collect(),
        };
        Ok(found?.into_iter().flatten().collect())
    }

    fn entry(&self, path: Vec<u8>, kind: FolderEntryKind) -> FolderEntry {
        FolderEntry { name: self.name_of(&path).into(), path, kind }
    }

    /// Returns how messages name a path of the tree.
    fn name_of(&self, path: &[u8]) -> String {
        [&self.name, "/", &*String::from_utf8_lossy(path)].concat()
    }
}

fn special_file(name: String) -> Problem {
    Problem::at(&Place::file(name), "a device, pipe or socket in a file tree")
        .rule("a layer's file tree holds files, directories and symbolic links")
        .help("put special files into a tar archive and name it with `tree = \"NAME.tar\"` in layer.toml")
}
