//! A project on disk, with the program's own files behind it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::embedded::{self, Embedded, embedded_files};
use super::problem::Problem;
use super::source::{Place, Source};
use super::walk::Walk;
use crate::digest::Digest;
use crate::fs::{self, Stamp};
use crate::store::{Earlier, InputFile, Inputs, Listing};
use crate::tree::{Content, ContentSource, Memory};

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

/// A directory or archive that is taken as it is.
#[derive(Debug, Clone)]
pub struct Import {
    /// Where it is.
    pub path: PathBuf,
    /// The regular files in it, when it is a directory.
    files: Arc<HashMap<PathBuf, Arc<InputFile>>>,
}

impl Memory for Import {
    fn recall(&self, host: &Path, stamp: &Stamp) -> Option<Digest> {
        self.files.get(host).filter(|file| file.stamp() == stamp)?.digest()
    }

    fn learn(&self, host: &Path, stamp: &Stamp, digest: Digest) {
        if let Some(file) = self.files.get(host).filter(|file| file.stamp() == stamp) {
            file.is_read(digest);
        }
    }
}

/// The files a render starts from: those below a root on disk, and those that the program carries for what the root
/// does not have.
///
/// Every path that is read, listed or looked for is written down, so that a later run can tell whether anything that
/// mattered has changed.
#[derive(Debug)]
pub struct Project {
    /// As messages show it: empty for the working directory, so that they say `layers/…` and not `./layers/…`.
    root: PathBuf,
    /// The root as an absolute path, under which inputs are written down.
    absolute: PathBuf,
    /// The same without symbolic links, once it was asked for.
    real: OnceLock<PathBuf>,
    /// Folders that are known to lie inside the root.
    inside: Mutex<HashSet<PathBuf>>,
    inputs: Inputs,
    /// What an earlier render read: the digest of a file that has not changed since need not be found out again.
    earlier: OnceLock<Earlier>,
}

/// The most bytes that a document or template may have.
const TEXT_MAX: u64 = 16 << 20;

/// A folder of a project: a layer's, or the project's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Folder {
    /// A folder on disk.
    Local(PathBuf),
    /// A folder of the program, as a prefix of embedded paths.
    Embedded(String),
}

impl Folder {
    /// Returns how messages name `relative` in it.
    pub fn shown(&self, relative: &str) -> String {
        match self {
            Self::Local(folder) => shown(&folder.join(relative)),
            Self::Embedded(prefix) => format!("builtin:{prefix}/{relative}"),
        }
    }
}

/// A path of a file tree of a layer.
#[derive(Debug, Clone)]
pub struct FolderEntry {
    /// The path relative to the tree's root.
    pub path: Vec<u8>,
    /// What is there.
    pub kind: FolderEntryKind,
    /// How messages name it.
    pub name: Arc<str>,
}

/// What stands in a file tree of a layer.
#[derive(Debug, Clone)]
pub enum FolderEntryKind {
    /// A file of the host.
    File(Arc<InputFile>),
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
        // Only fails when the working directory is gone; relative paths fail at their first use then.
        let here = if root.as_os_str().is_empty() { Path::new(".") } else { root };
        let absolute = std::path::absolute(here).unwrap_or_else(|_| here.to_owned());
        let root = root.strip_prefix(".").unwrap_or(root).to_owned();
        Self {
            root,
            absolute,
            real: OnceLock::new(),
            inside: Mutex::default(),
            inputs: Inputs::new(),
            earlier: OnceLock::new(),
        }
    }

    /// Returns the root of the project, to join paths to; empty for the working directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the absolute form of a path that the project gave, under which [`Project::inputs`] has it.
    pub fn absolute(&self, path: &Path) -> PathBuf {
        self.absolute.join(path.strip_prefix(&self.root).unwrap_or(path))
    }

    /// Returns every path that was read, listed or looked for so far; those that were read have a digest.
    pub fn inputs(&self) -> Listing {
        self.inputs.listing()
    }

    /// Takes what an earlier render saw, so that what is the same is neither looked at nor read again. The first one
    /// counts.
    pub fn remember(&self, earlier: Earlier) {
        self.earlier.get_or_init(|| earlier);
    }

    /// Writes down a file outside of the root that decides about the result, such as a lock or a file of variables.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn depends_on(&self, path: &Path) -> fs::Result<()> {
        // This run may have written it, so what an earlier one saw does not count.
        self.look(path).map(drop)
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
        if self.observe(&local)?.is_some() && local.is_dir() {
            return Ok(Some((Folder::Local(local), Origin::Project)));
        }
        let prefix = format!("layers/{name}");
        Ok((!embedded_files(&prefix).is_empty()).then_some((Folder::Embedded(prefix), Origin::Builtin)))
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
                let Some(stamp) = self.observe(&path)? else { return Ok(None) };
                self.check_inside(&path, &stamp)?;
                check_text_file(&path, &stamp)?;
                let bytes = fs::read(&path)?;
                self.inputs.file(&self.absolute(&path), stamp, Digest::of(&bytes));
                (shown(&path), Some(path), bytes)
            }
            Folder::Embedded(prefix) => match embedded::file(&format!("{prefix}/{relative}")) {
                None => return Ok(None),
                Some(file) => (format!("builtin:{}", file.path), None, file.bytes.to_vec()),
            },
        };
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(Arc::new(Source { name, path, text }))),
            Err(error) => Err(not_utf8(name, path, &error).into()),
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
                let Some(stamp) = self.observe(&path)? else { return Ok(None) };
                self.check_inside(&path, &stamp)?;
                // A link inside the project may stand for the file; what it leads to is an input as well.
                let path = if stamp.kind() == Stamp::SYMLINK {
                    std::fs::canonicalize(&path).map_err(fs::Error::on("resolve", &path))?
                } else {
                    path
                };
                let stamp = Stamp::of(&path)?;
                let file = || self.input_file(self.absolute(&path), stamp);
                Ok((stamp.kind() == Stamp::REGULAR).then(|| FolderEntryKind::File(file())))
            }
            Folder::Embedded(prefix) => {
                Ok(embedded::file(&format!("{prefix}/{relative}")).map(FolderEntryKind::Embedded))
            }
        }
    }

    /// Returns what `relative` in `folder` is on disk, a file or a directory to be taken as it is, when it is there.
    ///
    /// # Errors
    /// When it cannot be looked at or lies outside the project.
    pub fn import(&self, folder: &Folder, relative: &str) -> Result<Option<Import>, SpecError> {
        let Folder::Local(folder) = folder else { return Ok(None) };
        let path = folder.join(relative);
        let Some(stamp) = self.observe(&path)? else { return Ok(None) };
        self.check_inside(&path, &stamp)?;
        let mut files = HashMap::new();
        if stamp.is_directory() {
            self.observe_below(&path, &mut files)?;
        }
        Ok(Some(Import { path, files: Arc::new(files) }))
    }

    /// Writes down everything below a directory that is taken as it is, and gathers its regular files.
    fn observe_below(&self, directory: &Path, files: &mut HashMap<PathBuf, Arc<InputFile>>) -> fs::Result<()> {
        for name in fs::list(directory)? {
            let path = directory.join(name);
            // A link is taken as a link: what it leads to does not matter.
            let stamp = Stamp::of(&path)?;
            let absolute = self.absolute.join(path.strip_prefix(&self.root).unwrap_or(&path));
            if stamp.kind() == Stamp::REGULAR {
                files.insert(path, self.input_file(absolute, stamp));
                continue;
            }
            self.inputs.seen(&absolute, stamp);
            if stamp.is_directory() {
                self.observe_below(&path, files)?;
            }
        }
        Ok(())
    }

    /// Returns the names of `FOLDER/NAME{suffix}` in the project and in the program, sorted.
    ///
    /// # Errors
    /// When the project's folder cannot be listed.
    pub fn names(&self, folder: &str, suffix: &str) -> fs::Result<BTreeMap<String, Origin>> {
        let mut names = BTreeMap::new();
        for file in embedded_files(folder) {
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
            Folder::Embedded(folder) => embedded_files(folder)
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
        self.walk_except(folder, relative, &|_| false)
    }

    /// Does what [`Project::walk`] does, but does not look into the directories directly in `relative` whose name `skips`
    /// is true for.
    ///
    /// # Errors
    /// When it cannot be read, or holds something that is no file, directory or symbolic link.
    pub fn walk_except(
        &self,
        folder: &Folder,
        relative: &str,
        skips: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Vec<FolderEntry>, SpecError> {
        match folder {
            Folder::Local(folder) => {
                let root = folder.join(relative);
                match self.observe(&root)? {
                    None => return Ok(Vec::new()),
                    Some(stamp) if !stamp.is_directory() => {
                        return Err(Problem::at(&Place::file(shown(&root)), "a file tree that is not a directory")
                            .rule("a layer's file tree is a real directory; symbolic links are not followed")
                            .into());
                    }
                    Some(stamp) => self.check_inside(&root, &stamp)?,
                }
                let walk = Walk {
                    name: shown(&root),
                    absolute: self.absolute(&root),
                    root: fs::Folder::open(&root)?,
                    inputs: &self.inputs,
                    earlier: self.earlier.get(),
                    skips,
                };
                walk.entries()
            }
            Folder::Embedded(prefix) => {
                let prefix = format!("{prefix}/{relative}");
                let entry = |file: &'static Embedded| FolderEntry {
                    path: file.path.as_bytes()[prefix.len() + 1..].to_vec(),
                    kind: FolderEntryKind::Embedded(file),
                    name: format!("builtin:{}", file.path).into(),
                };
                Ok(embedded_files(&prefix).iter().map(entry).collect())
            }
        }
    }

    /// Returns the content of a file that [`Project::walk`] or [`Project::file_in`] found. It is read once.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn content(&self, file: &InputFile) -> fs::Result<Content> {
        if let Some(digest) = file.digest() {
            let source = ContentSource::File(Arc::clone(file.path()));
            return Ok(Content { digest, length: file.stamp().size, source });
        }
        // Messages name files as the project does.
        let named = |error| fs::Error { path: self.shown_path(file.path()), ..error };
        let content = Content::of_file(Arc::clone(file.path())).map_err(named)?;
        if content.length == file.stamp().size {
            file.is_read(content.digest);
        }
        Ok(content)
    }

    /// Returns the path that messages show for an absolute one.
    fn shown_path(&self, absolute: &Path) -> PathBuf {
        absolute.strip_prefix(&self.absolute).map_or_else(|_| absolute.to_owned(), |rest| self.root.join(rest))
    }

    /// Writes down a regular file, whose digest an earlier render may have found out.
    fn input_file(&self, absolute: PathBuf, stamp: Stamp) -> Arc<InputFile> {
        let known = self.earlier.get().and_then(|earlier| earlier.get(&absolute)?.digest_at(&stamp));
        let file = Arc::new(InputFile::new(absolute.into(), stamp, known));
        self.inputs.found(&file);
        file
    }

    /// Writes down what stands at `path` and returns its stamp.
    fn observe(&self, path: &Path) -> fs::Result<Option<Stamp>> {
        let absolute = self.absolute(path);
        // Of a link, what it leads to counts as well.
        let known = self.earlier.get().and_then(|earlier| earlier.get(&absolute)).map(|entry| entry.stamp);
        if let Some(known) = known.filter(|known| known.is_none_or(|stamp| stamp.kind() != Stamp::SYMLINK)) {
            match known {
                Some(stamp) => self.inputs.seen(&absolute, stamp),
                None => self.inputs.absent(&absolute),
            }
            return Ok(known);
        }
        self.look(path)
    }

    /// Looks at `path` and writes down what stands there.
    fn look(&self, path: &Path) -> fs::Result<Option<Stamp>> {
        let absolute = self.absolute(path);
        match Stamp::of(path) {
            Ok(stamp) => {
                self.inputs.seen(&absolute, stamp);
                if stamp.kind() == Stamp::SYMLINK
                    && let Ok(real) = std::fs::canonicalize(path)
                {
                    self.inputs.seen(&real, Stamp::of(&real)?);
                }
                Ok(Some(stamp))
            }
            Err(error) if is_absent(&error) => {
                self.inputs.absent(&absolute);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Refuses a path that leads out of the project, by `..` or by symbolic links: a project of someone else must not
    /// read the files of whoever renders it.
    ///
    /// `stamp` is that of `path` itself.
    fn check_inside(&self, path: &Path, stamp: &Stamp) -> Result<(), SpecError> {
        let plain = stamp.kind() != Stamp::SYMLINK && path.file_name().is_some();
        let folder = path.parent().filter(|_| plain);
        let known = |folder: &Path| self.inside.lock().unwrap_or_else(PoisonError::into_inner).contains(folder);
        if folder.is_some_and(known) {
            return Ok(());
        }
        let name = shown(path);
        let real = match path.canonicalize() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Problem::at(&Place::file(name), "this symbolic link leads to nothing").into());
            }
            real => real.map_err(fs::Error::on("resolve", path))?,
        };
        let root = match self.real.get() {
            Some(root) => root,
            None => {
                let root = self.absolute.canonicalize().map_err(fs::Error::on("resolve", &self.absolute))?;
                self.real.get_or_init(|| root)
            }
        };
        if real.starts_with(root) {
            if let Some(folder) = folder.filter(|_| real != *root) {
                self.inside.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_owned());
            }
            return Ok(());
        }
        let root = if self.root.as_os_str().is_empty() { Path::new(".") } else { &self.root };
        Err(Problem::at(&Place::file(&name), format!("`{name}` lies outside the project"))
            .rule(format!("a project reads files below its root only, which is `{}`", root.display()))
            .help("copy the file into the project, or choose a root that holds both with `--project DIR`")
            .into())
    }
}

/// Tells whether nothing is there; a folder that may not be searched is no such case.
fn is_absent(error: &fs::Error) -> bool {
    matches!(error.source.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

/// Returns how messages name a path: relative to where the program was started, when that is the root.
fn shown(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

/// Refuses what cannot be read as a text: a folder, a pipe that would never end, a file too large to be meant.
fn check_text_file(path: &Path, stamp: &Stamp) -> Result<(), SpecError> {
    let (is_file, size) = if stamp.kind() == Stamp::SYMLINK {
        let metadata = std::fs::metadata(path).map_err(fs::Error::on("look at", path))?;
        (metadata.is_file(), metadata.len())
    } else {
        (stamp.kind() == Stamp::REGULAR, stamp.size)
    };
    let fault = match () {
        () if !is_file => "this is not a file".to_owned(),
        () if size > TEXT_MAX => format!("a text of {size} bytes"),
        () => return Ok(()),
    };
    Err(Problem::at(&Place::file(shown(path)), fault)
        .rule(format!("documents and templates are files of at most {} MiB", TEXT_MAX >> 20))
        .into())
}

/// Shows the line of the first byte that is no UTF-8.
fn not_utf8(name: String, path: Option<PathBuf>, error: &std::string::FromUtf8Error) -> Problem {
    let at = error.utf8_error().valid_up_to();
    let byte = error.as_bytes().get(at).copied().unwrap_or_default();
    let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
    let place = Place { source: Arc::new(Source { name, path, text }), span: at..at + 3 };
    Problem::at(&place, format!("the byte 0x{byte:02x} is no UTF-8 text here"))
        .rule("documents and templates are UTF-8; only files that are copied as they are may hold anything")
}
