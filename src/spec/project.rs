//! A project on disk, with the program's own files behind it.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::embedded::{self, Embedded};
use super::problem::Problem;
use super::source::Source;
use crate::fs;
use crate::tree::Content;

/// A failure to read a project.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// Something a user wrote is wrong.
    #[error("{}", .0.first().map(ToString::to_string).unwrap_or_default())]
    Problems(Vec<Problem>),
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] fs::Error),
}

impl From<Box<Problem>> for SpecError {
    fn from(problem: Box<Problem>) -> Self {
        Self::Problems(vec![*problem])
    }
}

impl From<Problem> for SpecError {
    fn from(problem: Problem) -> Self {
        Self::Problems(vec![problem])
    }
}

/// Where a document or folder of a project was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// In the project.
    Project,
    /// In the program itself.
    Builtin,
}

/// What was seen at a path while a project was read: its metadata, or that nothing was there.
pub type Observed = BTreeMap<PathBuf, Option<Metadata>>;

/// The files a render starts from: those below a root on disk, and those that the program carries for what the root
/// does not have.
///
/// Every path that is read, listed or looked for is written down, so that a later run can tell whether anything that
/// mattered has changed.
#[derive(Debug)]
pub struct Project {
    root: PathBuf,
    observed: Mutex<Observed>,
}

/// A folder of a project: a layer's, or the project's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Folder {
    /// A folder on disk.
    Local(PathBuf),
    /// A folder of the program, as a prefix of embedded paths.
    Embedded(String),
}

/// A path of a file tree of a layer.
#[derive(Debug, Clone)]
pub struct FolderEntry {
    /// The path relative to the tree's root.
    pub path: Vec<u8>,
    /// What is there.
    pub kind: FolderEntryKind,
    /// How messages name it.
    pub name: String,
}

/// What stands in a file tree of a layer.
#[derive(Debug, Clone)]
pub enum FolderEntryKind {
    /// A file of the host.
    File {
        /// Where it is.
        path: Arc<Path>,
        /// Whether its owner may execute it.
        executable: bool,
    },
    /// A file of the program.
    Embedded(&'static Embedded),
    /// A symbolic link and what it holds.
    Symlink(Box<[u8]>),
    /// A directory with nothing in it.
    EmptyDirectory,
}

impl Project {
    /// Returns the project whose root is `root`. Nothing is read yet.
    pub fn open(root: &Path) -> Self {
        Self { root: root.to_owned(), observed: Mutex::default() }
    }

    /// Returns the root of the project.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns what was read so far and forgets it.
    pub fn take_observed(&self) -> Observed {
        std::mem::take(&mut *self.observed.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Returns the project's own folder.
    pub fn folder(&self) -> Folder {
        Folder::Local(self.root.clone())
    }

    /// Returns the folder of the layer `name` and where it was found: the project's wins over the program's.
    ///
    /// # Errors
    /// When the project's folder cannot be looked at.
    pub fn layer_folder(&self, name: &str) -> fs::Result<Option<(Folder, Origin)>> {
        let local = self.root.join("layers").join(name);
        if self.observe(&local)?.is_some_and(|metadata| metadata.is_dir()) || local.is_dir() {
            return Ok(Some((Folder::Local(local), Origin::Project)));
        }
        let prefix = format!("layers/{name}");
        Ok((!embedded::below(&prefix).is_empty()).then_some((Folder::Embedded(prefix), Origin::Builtin)))
    }

    /// Returns the text file at `relative` in the project, or else in the program.
    ///
    /// # Errors
    /// When it is there but cannot be read.
    pub fn source(&self, relative: &str) -> Result<Option<(Arc<Source>, Origin)>, SpecError> {
        if let Some(source) = self.source_in(&self.folder(), relative)? {
            return Ok(Some((source, Origin::Project)));
        }
        let (folder, name) = relative.rsplit_once('/').unwrap_or((".", relative));
        Ok(self.source_in(&Folder::Embedded(folder.into()), name)?.map(|source| (source, Origin::Builtin)))
    }

    /// Returns the text file at `relative` in `folder`.
    ///
    /// # Errors
    /// When it is there but cannot be read, is not UTF-8, or lies outside the project.
    pub fn source_in(&self, folder: &Folder, relative: &str) -> Result<Option<Arc<Source>>, SpecError> {
        let (name, path, bytes) = match folder {
            Folder::Local(folder) => {
                let path = folder.join(relative);
                if self.observe(&path)?.is_none() {
                    return Ok(None);
                }
                self.check_inside(&path)?;
                (path.display().to_string(), Some(path.clone()), fs::read(&path)?)
            }
            Folder::Embedded(prefix) => match embedded::file(&format!("{prefix}/{relative}")) {
                None => return Ok(None),
                Some(file) => (format!("builtin:{}", file.path), None, file.bytes.to_vec()),
            },
        };
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(Arc::new(Source { name, path, text }))),
            Err(error) => Err(Problem::anywhere(format!(
                "`{name}` is not UTF-8: byte {} has no meaning there",
                error.utf8_error().valid_up_to()
            ))
            .into()),
        }
    }

    /// Returns the file at `relative` in `folder`, to be copied as it is.
    ///
    /// # Errors
    /// When it cannot be looked at or lies outside the project.
    pub fn file_in(&self, folder: &Folder, relative: &str) -> Result<Option<FolderEntryKind>, SpecError> {
        match folder {
            Folder::Local(folder) => {
                let path = folder.join(relative);
                let Some(metadata) = self.observe(&path)? else { return Ok(None) };
                self.check_inside(&path)?;
                let metadata = if metadata.is_symlink() {
                    std::fs::metadata(&path).map_err(fs::Error::on("look at", &path))?
                } else {
                    metadata
                };
                let executable = metadata.permissions().mode() & 0o100 != 0;
                Ok(metadata.is_file().then(|| FolderEntryKind::File { path: path.into(), executable }))
            }
            Folder::Embedded(prefix) => {
                Ok(embedded::file(&format!("{prefix}/{relative}")).map(FolderEntryKind::Embedded))
            }
        }
    }

    /// Returns the path on disk of `relative` in `folder`, when something is there.
    ///
    /// # Errors
    /// When it cannot be looked at or lies outside the project.
    pub fn path_in(&self, folder: &Folder, relative: &str) -> Result<Option<PathBuf>, SpecError> {
        let Folder::Local(folder) = folder else { return Ok(None) };
        let path = folder.join(relative);
        if self.observe(&path)?.is_none() {
            return Ok(None);
        }
        self.check_inside(&path)?;
        Ok(Some(path))
    }

    /// Returns the names of `FOLDER/NAME{suffix}` in the project and in the program, sorted.
    ///
    /// # Errors
    /// When the project's folder cannot be listed.
    pub fn names(&self, folder: &str, suffix: &str) -> fs::Result<BTreeMap<String, Origin>> {
        let mut names = BTreeMap::new();
        for file in embedded::below(folder) {
            let rest = &file.path[folder.len() + 1..];
            if let Some(name) = rest.strip_suffix(suffix).filter(|name| !name.contains('/')) {
                names.insert(name.to_owned(), Origin::Builtin);
            }
        }
        let local = self.root.join(folder);
        if self.observe(&local)?.is_some() {
            for name in fs::list(&local)? {
                let name = name.to_string_lossy().into_owned();
                let (name, rest) = suffix.split_once('/').map_or_else(
                    || (name.strip_suffix(suffix).map(str::to_owned), None),
                    |(_, rest)| (Some(name.clone()), Some(rest)),
                );
                let Some(name) = name.filter(|name| !name.starts_with('.')) else { continue };
                if rest.is_none_or(|rest| local.join(&name).join(rest).exists()) {
                    names.insert(name, Origin::Project);
                }
            }
        }
        Ok(names)
    }

    /// Returns the names directly in `folder` that begin with `prefix`, sorted; none when it does not exist.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn children(&self, folder: &Folder, prefix: &str) -> fs::Result<Vec<String>> {
        let mut names = match folder {
            Folder::Local(path) => match self.observe(path)? {
                None => Vec::new(),
                Some(_) => fs::list(path)?.into_iter().map(|name| name.to_string_lossy().into_owned()).collect(),
            },
            Folder::Embedded(folder) => embedded::below(folder)
                .iter()
                .filter_map(|file| file.path[folder.len() + 1..].split('/').next().map(str::to_owned))
                .collect(),
        };
        names.retain(|name| name.starts_with(prefix));
        names.dedup();
        Ok(names)
    }

    /// Returns everything in the file tree `relative` of `folder`, sorted by path; nothing when there is no such tree.
    /// Symbolic links are entries; none is followed.
    ///
    /// # Errors
    /// When it cannot be read, or holds something that is no file, directory or symbolic link.
    pub fn walk(&self, folder: &Folder, relative: &str) -> Result<Vec<FolderEntry>, SpecError> {
        match folder {
            Folder::Local(folder) => {
                let root = folder.join(relative);
                match self.observe(&root)? {
                    None => return Ok(Vec::new()),
                    Some(metadata) if !metadata.is_dir() => {
                        return Err(Problem::anywhere(format!("`{}` is not a directory", root.display()))
                            .rule("a layer's file tree is a real directory; symbolic links are not followed")
                            .into());
                    }
                    Some(_) => self.check_inside(&root)?,
                }
                let mut entries = Vec::new();
                let mut seen = Vec::new();
                walk_directory(&root, &mut Vec::new(), &mut entries, &mut seen)?;
                self.lock().extend(seen);
                entries.sort_by(|one, other| one.path.cmp(&other.path));
                Ok(entries)
            }
            Folder::Embedded(prefix) => {
                let prefix = format!("{prefix}/{relative}");
                let entry = |file: &'static Embedded| FolderEntry {
                    path: file.path.as_bytes()[prefix.len() + 1..].to_vec(),
                    kind: FolderEntryKind::Embedded(file),
                    name: format!("builtin:{}", file.path),
                };
                Ok(embedded::below(&prefix).iter().map(entry).collect())
            }
        }
    }

    /// Returns the content of a file that [`Project::walk`] or [`Project::file_in`] found.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn content(&self, path: &Arc<Path>) -> fs::Result<Content> {
        Content::of_file(Arc::clone(path))
    }

    /// Writes down what stands at `path` and returns its metadata.
    fn observe(&self, path: &Path) -> fs::Result<Option<Metadata>> {
        let metadata = match fs::lstat(path) {
            Ok(metadata) => Some(metadata),
            Err(error) if error.is_not_found() || error.source.kind() == std::io::ErrorKind::NotADirectory => None,
            Err(error) => return Err(error),
        };
        self.lock().insert(path.to_owned(), metadata.clone());
        Ok(metadata)
    }

    /// Refuses a path that leads out of the project, by `..` or by symbolic links: a project of someone else must not
    /// read the files of whoever renders it.
    fn check_inside(&self, path: &Path) -> Result<(), SpecError> {
        let real = |path: &Path| path.canonicalize().map_err(fs::Error::on("resolve", path));
        if real(path)?.starts_with(real(&self.root)?) {
            return Ok(());
        }
        Err(Problem::anywhere(format!("`{}` lies outside the project", path.display()))
            .rule(format!("a project reads files below its root only, which is `{}`", self.root.display()))
            .help("copy the file into the project, or choose a root that holds both with `--project DIR`")
            .into())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Observed> {
        self.observed.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn walk_directory(
    directory: &Path,
    prefix: &mut Vec<u8>,
    entries: &mut Vec<FolderEntry>,
    seen: &mut Vec<(PathBuf, Option<Metadata>)>,
) -> Result<bool, SpecError> {
    seen.push((directory.to_owned(), Some(fs::lstat(directory)?)));
    let names = fs::list(directory)?;
    for file_name in &names {
        let path = directory.join(file_name);
        let metadata = fs::lstat(&path)?;
        let length = prefix.len();
        if length > 0 {
            prefix.push(b'/');
        }
        prefix.extend_from_slice(file_name.as_bytes());
        let kind = if metadata.is_dir() {
            walk_directory(&path, prefix, entries, seen)?.then_some(FolderEntryKind::EmptyDirectory)
        } else if metadata.is_symlink() {
            let target = std::fs::read_link(&path).map_err(fs::Error::on("read", &path))?;
            Some(FolderEntryKind::Symlink(target.into_os_string().into_vec().into()))
        } else if metadata.is_file() {
            let executable = metadata.permissions().mode() & 0o100 != 0;
            Some(FolderEntryKind::File { path: path.as_path().into(), executable })
        } else {
            return Err(Problem::anywhere(format!("`{}` is a device, pipe or socket", path.display()))
                .rule("a layer's file tree holds files, directories and symbolic links")
                .help("put special files into a tar archive and name it with `tree = \"NAME.tar\"` in layer.toml")
                .into());
        };
        if let Some(kind) = kind {
            let name = path.display().to_string();
            entries.push(FolderEntry { path: prefix.clone(), kind, name });
        }
        if !metadata.is_dir() {
            seen.push((path, Some(metadata)));
        }
        prefix.truncate(length);
    }
    Ok(names.is_empty())
}
