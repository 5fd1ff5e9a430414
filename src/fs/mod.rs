//! The file system, with the path in every error.
//!
//! Comes in: paths. Goes out: bytes, or an [`Error`] that says what was tried on which path. Always holds: a file
//! written by [`write_atomic`] is there whole or not at all.

mod folder;
mod remove;
mod stamp;

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};

pub use folder::{FileId, Folder, set_file_mode, set_file_time};
pub use remove::remove_tree;
pub use stamp::{Stamp, Timestamp};

/// A file system operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`", path.display())]
pub struct Error {
    /// What was tried, as a verb: `read`, `create directory`.
    pub action: &'static str,
    /// The path it was tried on.
    pub path: PathBuf,
    /// What the system answered.
    #[source]
    pub source: io::Error,
}

impl Error {
    /// Returns a function that puts `action` and `path` before an error of the system, for `map_err`.
    pub fn on<E: Into<io::Error>>(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(E) -> Self {
        move |source| Self { action, path: path.into(), source: source.into() }
    }

    /// Tells whether the path cannot be reached: it or one above it is missing, no directory, or closed to this user.
    pub fn is_unreachable(&self) -> bool {
        use rustix::io::Errno;
        let errno = Errno::from_io_error(&self.source);
        errno.is_some_and(|errno| [Errno::NOENT, Errno::NOTDIR, Errno::LOOP, Errno::ACCESS].contains(&errno))
    }

    /// Tells whether the path was not there.
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

/// The result of a file system operation.
pub type Result<T> = std::result::Result<T, Error>;

/// Returns the bytes of the file at `path`.
///
/// # Errors
/// When it cannot be read.
#[expect(clippy::disallowed_methods, reason = "this is the function to use instead")]
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(Error::on("read", path))
}

/// Returns the text of the file at `path`.
///
/// # Errors
/// When it cannot be read or is not UTF-8.
#[expect(clippy::disallowed_methods, reason = "this is the function to use instead")]
pub fn read_to_string(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(Error::on("read", path))
}

/// Opens the file at `path` for reading.
///
/// # Errors
/// When it cannot be opened.
#[expect(clippy::disallowed_methods, reason = "this is the function to use instead")]
pub fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(Error::on("open", path))
}

/// Opens a new file at `path` for writing and reading; what stands there is cut to nothing.
///
/// # Errors
/// When it cannot be created.
pub fn create(path: &Path) -> Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(true).open(path).map_err(Error::on("create", path))
}

/// Sets the modification time of `path` to now.
///
/// # Errors
/// When the system refuses.
pub fn touch(path: &Path) -> Result<()> {
    let now = std::time::SystemTime::now();
    open(path)?.set_modified(now).map_err(Error::on("touch", path))
}

/// Opens the file at `path` for reading and writing in place.
///
/// # Errors
/// When it is not there or cannot be opened.
pub fn edit(path: &Path) -> Result<File> {
    File::options().read(true).write(true).open(path).map_err(Error::on("open for writing", path))
}

/// Writes `bytes` to a new file at `path` with the permissions `mode`, or fewer where the umask(2) says so.
///
/// # Errors
/// When anything stands there already, or it cannot be written; it is removed then.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let file = File::options().write(true).create_new(true).mode(mode).open(path);
    let mut file = file.map_err(Error::on("create", path))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::on("write", path));
    if written.is_err() {
        // The first error is the one to report.
        remove_file(path).ok();
    }
    written
}

/// Returns the metadata of `path` itself, not of what a symbolic link there points to.
///
/// # Errors
/// When nothing is there or it cannot be looked at.
pub fn lstat(path: &Path) -> Result<Metadata> {
    fs::symlink_metadata(path).map_err(Error::on("look at", path))
}

/// Tells whether anything stands at `path`, a dangling symbolic link included.
///
/// # Errors
/// When that cannot be found out.
pub fn exists(path: &Path) -> Result<bool> {
    match lstat(path) {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns the names in the directory at `path`, sorted by their bytes.
///
/// # Errors
/// When it cannot be listed.
pub fn list(path: &Path) -> Result<Vec<std::ffi::OsString>> {
    let names = fs::read_dir(path).and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect());
    let mut names: Vec<_> = names.map_err(Error::on("list", path))?;
    names.sort();
    Ok(names)
}

/// Creates the directory `path` and those above it that are missing.
///
/// # Errors
/// When one cannot be created.
#[expect(clippy::disallowed_methods, reason = "this is the function to use instead")]
pub fn create_directory(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::on("create directory", path))
}

/// Renames `from` to `to`, replacing a file that stands there.
///
/// # Errors
/// When the system refuses.
#[expect(clippy::disallowed_methods, reason = "this is the function to use instead")]
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(Error::on("rename to", to))
}

/// Exchanges `one` and `other` in one step: no reader ever finds either of them missing (renameat2(2),
/// `RENAME_EXCHANGE`).
///
/// # Errors
/// When one is missing or they are on different file systems.
pub fn exchange(one: &Path, other: &Path) -> Result<()> {
    rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).map_err(Error::on("exchange", other))
}

/// Removes the file or symbolic link at `path`.
///
/// # Errors
/// When it cannot be removed.
pub fn remove_file(path: &Path) -> Result<()> {
    fs::remove_file(path).map_err(Error::on("remove", path))
}

/// Removes the empty directory at `path`.
///
/// # Errors
/// When it is none, not empty or the system refuses.
pub fn remove_directory(path: &Path) -> Result<()> {
    fs::remove_dir(path).map_err(Error::on("remove", path))
}

/// Removes what a killed [`write_atomic`] to `path` left beside it. A file whose process lives, or seems to, stays.
///
/// # Errors
/// When the directory cannot be listed, or such a file not be removed.
pub fn remove_abandoned(path: &Path) -> Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let prefix = [b".", path.file_name().unwrap_or_default().as_bytes(), b"."].concat();
    for name in list(directory)? {
        let process = name.as_bytes().strip_prefix(&*prefix).and_then(|rest| rest.strip_suffix(b".new"));
        let process = process.and_then(|number| std::str::from_utf8(number).ok()?.parse().ok());
        if let Some(process) = process.and_then(rustix::process::Pid::from_raw)
            && rustix::process::test_kill_process(process) == Err(rustix::io::Errno::SRCH)
        {
            remove_file(&directory.join(name))?;
        }
    }
    Ok(())
}

/// Writes `bytes` to `path` through a temporary file beside it and a rename: a reader, or the next run after a crash,
/// finds the old file or the new one. A file that already holds `bytes` is left as it is.
///
/// Returns whether the file changed.
///
/// # Errors
/// When the temporary file cannot be written or renamed; it is removed then.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<bool> {
    if read(path).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.new", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = create(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_data()).map_err(Error::on("write", path)))
        .and_then(|()| rename(&temporary, path));
    if written.is_err() {
        // The first error is the one to report; what could not be written may not be removable either.
        remove_file(&temporary).ok();
    }
    written.map(|()| true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_path() {
        let error = read(Path::new("/nowhere/at/all")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read `/nowhere/at/all`");
        assert!(error.is_not_found());
    }

    #[test]
    fn what_a_killed_write_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.lock");
        let living = format!(".web.lock.{}.new", std::process::id());
        // No process has a number above 2^22 (proc(5), pid_max).
        for name in [".web.lock.4194999.new", &living, ".web.lock.x.new", ".other.lock.4194999.new"] {
            write_atomic(&folder.path().join(name), b"x").unwrap();
        }
        remove_abandoned(&path).unwrap();
        assert_eq!(list(folder.path()).unwrap(), [".other.lock.4194999.new", &living, ".web.lock.x.new"]);
    }

    #[test]
    fn atomic_writes_say_whether_anything_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert!(write_atomic(&path, b"one").unwrap());
        assert!(!write_atomic(&path, b"one").unwrap());
        assert!(write_atomic(&path, b"two").unwrap());
        assert_eq!(read(&path).unwrap(), b"two");
        assert_eq!(list(folder.path()).unwrap(), ["file"], "no temporary file stays");
    }
}
