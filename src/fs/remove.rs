//! Removing whole trees, on all threads.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rayon::prelude::*;

use super::{Error, Folder, Result};

/// Removes the tree at `path`, opening directories that deny their owner access on the way. Nothing happens when
/// nothing is there; symbolic links are removed, never followed.
///
/// # Errors
/// When something in it cannot be removed.
pub fn remove_tree(path: &Path) -> Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(name) = path.file_name() else {
        return Err(Error::on("remove", path)(std::io::Error::from(std::io::ErrorKind::InvalidInput)));
    };
    match Folder::open(parent) {
        Ok(parent) => parent.remove_tree(name.as_bytes()),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

impl Folder {
    /// Removes `name` with everything below it, as [`remove_tree`] does.
    ///
    /// # Errors
    /// When something in it cannot be removed.
    pub fn remove_tree(&self, name: &[u8]) -> Result<()> {
        match self.stamp(name)? {
            None => return Ok(()),
            Some(stamp) if !stamp.is_directory() => return self.remove_file(name),
            Some(_) => {}
        }
        let root = self.open_up(name)?;
        // Level by level, so that neither descriptors nor stack grow with the depth of a hostile tree.
        let mut levels = vec![vec![Box::<[u8]>::default()]];
        while let Some(level) = levels.last().filter(|level| !level.is_empty()) {
            let below: Result<Vec<_>> = level.par_iter().map(|directory| root.remove_files(directory)).collect();
            levels.push(below?.into_iter().flatten().collect());
        }
        let emptied = levels.iter().skip(1).rev();
        emptied.flatten().try_for_each(|path| root.remove_folder(path))?;
        self.remove_folder(name)
    }

    /// Removes what is no directory from the directory at `path` and returns the paths of the directories in it.
    fn remove_files(&self, path: &[u8]) -> Result<Vec<Box<[u8]>>> {
        let opened = if path.is_empty() { None } else { Some(self.open_up(path)?) };
        let folder = opened.as_ref().unwrap_or(self);
        let mut directories = Vec::new();
        for (name, is_directory) in folder.children()? {
            if is_directory {
                directories.push([path, &*name].join(&b'/')[usize::from(path.is_empty())..].into());
            } else {
                folder.remove_file(&name)?;
            }
        }
        Ok(directories)
    }

    /// Opens the directory at `path`, giving its owner access when it denies it.
    fn open_up(&self, path: &[u8]) -> Result<Self> {
        if self.stamp(path)?.is_some_and(|stamp| stamp.mode & 0o700 != 0o700) {
            self.set_mode(path, 0o700)?;
        }
        self.descend(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn closed_directories_are_removed_too() {
        let folder = tempfile::tempdir().unwrap();
        let closed = folder.path().join("tree/closed");
        fs::create_directory(&closed.join("inner")).unwrap();
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
        remove_tree(&folder.path().join("tree")).unwrap();
        remove_tree(&folder.path().join("tree")).unwrap();
        assert!(fs::list(folder.path()).unwrap().is_empty());
    }

    #[test]
    fn links_are_removed_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("kept");
        fs::create_directory(&kept).unwrap();
        fs::write_atomic(&kept.join("file"), b"x").unwrap();
        fs::create_directory(&folder.path().join("tree")).unwrap();
        std::os::unix::fs::symlink(&kept, folder.path().join("tree/link")).unwrap();
        std::os::unix::fs::symlink(&kept, folder.path().join("link")).unwrap();
        remove_tree(&folder.path().join("tree")).unwrap();
        remove_tree(&folder.path().join("link")).unwrap();
        assert_eq!(fs::list(folder.path()).unwrap(), ["kept"]);
        assert!(fs::exists(&kept.join("file")).unwrap());
    }

    #[test]
    fn depth_costs_no_descriptors() {
        let folder = tempfile::tempdir().unwrap();
        let open = Folder::open(folder.path()).unwrap();
        let mut path = b"d".to_vec();
        open.create_folder(&path, 0o755).unwrap();
        while path.len() < 4000 {
            path.extend(b"/d");
            open.create_folder(&path, 0o755).unwrap();
        }
        open.remove_tree(b"d").unwrap();
        assert!(fs::list(folder.path()).unwrap().is_empty());
    }
}
