//! Everything in a file tree of a layer.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::problem::Problem;
use super::project::{FolderEntry, FolderEntryKind, SpecError};
use super::source::Place;
use crate::fs::{Folder, Stamp};
use crate::store::{Directory, Entry, InputFile, Inputs, Record};

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
    /// What an earlier render found.
    pub(super) earlier: Option<&'project Record>,
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
        let earlier = self.earlier.and_then(|record| record.inputs.directory(absolute.as_os_str().as_bytes()));
        let children = folder.children()?;
        let mut files = Vec::with_capacity(children.len());
        let mut others = Vec::new();
        for (name, _) in &children {
            let Some(stamp) = folder.stamp(name)? else { continue };
            let path = if path.is_empty() { name.to_vec() } else { [path, name].join(&b'/') };
            if stamp.kind() == Stamp::REGULAR {
                let known = earlier.and_then(|earlier| earlier.get(name)?.digest_at(&stamp));
                let file = Arc::new(InputFile::new(absolute.join(OsStr::from_bytes(name)).into(), stamp, known));
                files.push(Arc::clone(&file));
                entries.push(self.entry(path, FolderEntryKind::File(file)));
                continue;
            }
            others.push(Entry { name: name.clone(), stamp: Some(stamp), digest: None, shared: 0 });
            match stamp.kind() {
                Stamp::DIRECTORY => waiting.push(path),
                Stamp::SYMLINK => {
                    entries.push(self.entry(path, FolderEntryKind::Symlink(folder.read_link(name)?.into())))
                }
                _ => return Err(special_file(self.name_of(&path)).into()),
            }
        }
        if children.is_empty() && !path.is_empty() {
            entries.push(self.entry(path.to_vec(), FolderEntryKind::EmptyDirectory));
        }
        let absolute = absolute.into_os_string().into_encoded_bytes();
        self.inputs.listed(Directory { path: absolute.into(), entries: others }, files);
        Ok(())
    }

    fn entry(&self, path: Vec<u8>, kind: FolderEntryKind) -> FolderEntry {
        FolderEntry { name: self.name_of(&path), path, kind }
    }

    /// Returns how messages name a path of the tree.
    fn name_of(&self, path: &[u8]) -> String {
        format!("{}/{}", self.name, Path::new(OsStr::from_bytes(path)).display())
    }
}

fn special_file(name: String) -> Problem {
    Problem::at(&Place::file(name), "a device, pipe or socket in a file tree")
        .rule("a layer's file tree holds files, directories and symbolic links")
        .help("put special files into a tar archive and name it with `tree = \"NAME.tar\"` in layer.toml")
}
