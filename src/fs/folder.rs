//! An open directory that its children are reached through.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FlockOperation, Gid, Mode, OFlags, RenameFlags, ResolveFlags, Statx, StatxAttributes, StatxFlags,
    Timespec, Timestamps, UTIME_OMIT, Uid,
};

use super::{Error, Result, Stamp, Timestamp};

/// An open directory. What is done with its children is relative to it and follows no symbolic link, so that nobody can
/// swap a directory for a link under the work.
///
/// Names are single names; where a method takes a relative path of several, it says so.
#[derive(Debug)]
pub struct Folder {
    descriptor: OwnedFd,
    path: PathBuf,
}

/// What identifies a file among all of the host: its file system and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId {
    device: (u32, u32),
    /// The number of the file in its file system.
    pub inode: u64,
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Folder {
    /// Opens the directory at `path`, following symbolic links.
    ///
    /// # Errors
    /// When it is missing, no directory or may not be read.
    pub fn open(path: &Path) -> Result<Self> {
        let opened = rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty());
        Ok(Self { descriptor: opened.map_err(Error::on("open directory", path))?, path: path.to_owned() })
    }

    /// Returns the path it was opened by, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of a child, for messages.
    pub fn path_of(&self, name: &[u8]) -> PathBuf {
        self.path.join(OsStr::from_bytes(name))
    }

    fn failed<T>(&self, result: rustix::io::Result<T>, action: &'static str, name: &[u8]) -> Result<T> {
        result.map_err(|source| Error { action, path: self.path_of(name), source: source.into() })
    }

    /// Opens the directory `name`.
    ///
    /// # Errors
    /// When it is missing, no directory (a symbolic link is none) or may not be read.
    pub fn folder(&self, name: &[u8]) -> Result<Self> {
        let opened = rustix::fs::openat(&self.descriptor, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty());
        Ok(Self { descriptor: self.failed(opened, "open directory", name)?, path: self.path_of(name) })
    }

    /// Opens the directory at a relative path of several names, none of which may be a symbolic link; the empty path is
    /// this directory.
    ///
    /// # Errors
    /// When it is missing, not a directory throughout or may not be read.
    pub fn descend(&self, relative: &[u8]) -> Result<Self> {
        let path = if relative.is_empty() { b"." } else { relative };
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
        let opened = match rustix::fs::openat2(&self.descriptor, path, DIRECTORY, Mode::empty(), resolve) {
            // An old kernel, or a container runtime that does not know the call.
            Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => {
                rustix::fs::openat(&self.descriptor, path, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
            }
            opened => opened,
        };
        Ok(Self { descriptor: self.failed(opened, "open directory", relative)?, path: self.path_of(relative) })
    }

    /// Creates the directory `name`; the process's umask takes bits away from `mode`.
    ///
    /// # Errors
    /// When something stands there or the system refuses.
    pub fn create_folder(&self, name: &[u8], mode: u32) -> Result<()> {
        let created = rustix::fs::mkdirat(&self.descriptor, name, Mode::from_raw_mode(mode));
        self.failed(created, "create directory", name)
    }

    /// Creates the file `name` and opens it for writing; the process's umask takes bits away from `mode`.
    ///
    /// # Errors
    /// When something stands there or the system refuses.
    pub fn create_file(&self, name: &[u8], mode: u32) -> Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let created = rustix::fs::openat(&self.descriptor, name, flags, Mode::from_raw_mode(mode));
        self.failed(created, "create", name).map(File::from)
    }

    /// Opens the file `name` for reading; does not wait for a pipe's other end.
    ///
    /// # Errors
    /// When it is missing, a symbolic link or may not be read.
    pub fn open_file(&self, name: &[u8]) -> Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        self.failed(rustix::fs::openat(&self.descriptor, name, flags, Mode::empty()), "open", name).map(File::from)
    }

    /// Creates the symbolic link `name` that holds `target`.
    ///
    /// # Errors
    /// When something stands there or the system refuses.
    pub fn create_symlink(&self, name: &[u8], target: &[u8]) -> Result<()> {
        self.failed(rustix::fs::symlinkat(target, &self.descriptor, name), "create", name)
    }

    /// Returns what the symbolic link `name` holds.
    ///
    /// # Errors
    /// When it is no symbolic link or missing.
    pub fn read_link(&self, name: &[u8]) -> Result<Vec<u8>> {
        let target = rustix::fs::readlinkat(&self.descriptor, name, Vec::new());
        self.failed(target, "read", name).map(std::ffi::CString::into_bytes)
    }

    /// Makes `new_name` in `other` another name of the file `name`.
    ///
    /// # Errors
    /// When the system refuses: other file system, too many links, no room.
    pub fn link(&self, name: &[u8], other: &Self, new_name: &[u8]) -> Result<()> {
        let linked = rustix::fs::linkat(&self.descriptor, name, &other.descriptor, new_name, AtFlags::empty());
        other.failed(linked, "create", new_name)
    }

    /// Renames `name` to `new_name` in `other`, where nothing may stand.
    ///
    /// # Errors
    /// When something stands there or the system refuses.
    pub fn rename_to_free(&self, name: &[u8], other: &Self, new_name: &[u8]) -> Result<()> {
        let (from, to) = (&self.descriptor, &other.descriptor);
        match rustix::fs::renameat_with(from, name, to, new_name, RenameFlags::NOREPLACE) {
            // A file system without the flag.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if other.stamp(new_name)?.is_none() => {
                other.failed(rustix::fs::renameat(from, name, to, new_name), "rename to", new_name)
            }
            renamed => other.failed(renamed, "rename to", new_name),
        }
    }

    /// Renames `name` to `new_name` in `other`, replacing a file or an empty directory that stands there.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn rename(&self, name: &[u8], other: &Self, new_name: &[u8]) -> Result<()> {
        let renamed = rustix::fs::renameat(&self.descriptor, name, &other.descriptor, new_name);
        other.failed(renamed, "rename to", new_name)
    }

    /// Exchanges `name` and `other_name` of `other` in one step: no reader ever finds either of them missing
    /// (renameat2(2), `RENAME_EXCHANGE`).
    ///
    /// # Errors
    /// When one is missing, is a mount point or the file system cannot do it.
    pub fn exchange(&self, name: &[u8], other: &Self, other_name: &[u8]) -> Result<()> {
        let (one, two) = (&self.descriptor, &other.descriptor);
        let exchanged = rustix::fs::renameat_with(one, name, two, other_name, RenameFlags::EXCHANGE);
        other.failed(exchanged, "exchange", other_name)
    }

    /// Removes the file or symbolic link `name`.
    ///
    /// # Errors
    /// When it is a directory or the system refuses.
    pub fn remove_file(&self, name: &[u8]) -> Result<()> {
        self.failed(rustix::fs::unlinkat(&self.descriptor, name, AtFlags::empty()), "remove", name)
    }

    /// Removes the empty directory `name`.
    ///
    /// # Errors
    /// When it is no directory, not empty or the system refuses.
    pub fn remove_folder(&self, name: &[u8]) -> Result<()> {
        self.failed(rustix::fs::unlinkat(&self.descriptor, name, AtFlags::REMOVEDIR), "remove", name)
    }

    /// Returns the names of the children with whether each is a directory, unsorted.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn children(&self) -> Result<Vec<(Box<[u8]>, bool)>> {
        let failed = |error| Error::on("list", &*self.path)(error);
        let mut children = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.descriptor).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let is_directory = match entry.file_type() {
                rustix::fs::FileType::Directory => true,
                rustix::fs::FileType::Unknown => self.stamp(name)?.is_some_and(|stamp| stamp.is_directory()),
                _ => false,
            };
            children.push((name.into(), is_directory));
        }
        Ok(children)
    }

    /// Returns the stamp of `name`, or nothing when nothing is there.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn stamp(&self, name: &[u8]) -> Result<Option<Stamp>> {
        match rustix::fs::statx(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS) {
            Ok(found) => Ok(Some(found.into())),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
            Err(error) => self.failed(Err(error), "look at", name),
        }
    }

    /// Sets the modification time of `name`, of a symbolic link itself.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn set_time(&self, name: &[u8], time: Timestamp) -> Result<()> {
        let set = rustix::fs::utimensat(&self.descriptor, name, &timestamps(time), AtFlags::SYMLINK_NOFOLLOW);
        self.failed(set, "set the time of", name)
    }

    /// Sets the modification time of this directory.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn set_own_time(&self, time: Timestamp) -> Result<()> {
        rustix::fs::futimens(&self.descriptor, &timestamps(time)).map_err(Error::on("set the time of", &*self.path))
    }

    /// Sets the permission bits of this directory.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn set_own_mode(&self, mode: u32) -> Result<()> {
        let set = rustix::fs::fchmod(&self.descriptor, Mode::from_raw_mode(mode));
        set.map_err(Error::on("change the mode of", &*self.path))
    }

    /// Sets the permission bits of `name`, which is no symbolic link.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn set_mode(&self, name: &[u8], mode: u32) -> Result<()> {
        let set = rustix::fs::chmodat(&self.descriptor, name, Mode::from_raw_mode(mode), AtFlags::empty());
        self.failed(set, "change the mode of", name)
    }

    /// Gives this directory the owner, group and permission bits of `other`.
    ///
    /// # Errors
    /// When the owner is different and the system does not let it be changed.
    pub fn take_owner_and_mode(&self, other: &Self) -> Result<()> {
        let (own, wanted) = (self.status()?, other.status()?);
        if (own.stx_uid, own.stx_gid) != (wanted.stx_uid, wanted.stx_gid) {
            let (user, group) = (Uid::from_raw(wanted.stx_uid), Gid::from_raw(wanted.stx_gid));
            let changed = rustix::fs::fchown(&self.descriptor, Some(user), Some(group));
            changed.map_err(Error::on("change the owner of", &*self.path))?;
        }
        self.set_own_mode(u32::from(wanted.stx_mode) & 0o7777)
    }

    /// Tells whether the directory has extended attributes or access lists that a new one would not have by itself.
    pub fn has_attributes(&self) -> bool {
        let mut names = [0; 1024];
        match rustix::fs::flistxattr(&self.descriptor, &mut names[..]) {
            Ok(length) => {
                let names = names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
                names.into_iter().any(|name| name != b"security.selinux")
            }
            Err(rustix::io::Errno::OPNOTSUPP) => false,
            // More names than there is room for.
            Err(_) => true,
        }
    }

    /// Returns everything the system says of this directory.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn status(&self) -> Result<Statx> {
        let found = rustix::fs::statx(&self.descriptor, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS);
        found.map_err(Error::on("look at", &*self.path))
    }

    /// Returns what identifies this directory.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn id(&self) -> Result<FileId> {
        let found = self.status()?;
        Ok(FileId { device: (found.stx_dev_major, found.stx_dev_minor), inode: found.stx_ino })
    }

    /// Tells whether a file system is mounted here.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn is_mount_point(&self) -> Result<bool> {
        Ok(self.status()?.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
    }

    /// Takes the directory for this process alone, until the folder is dropped or the process ends, however it ends.
    /// Calls `waiting` once when another has it.
    ///
    /// # Errors
    /// When the file system has no locks (flock(2)).
    pub fn lock(&self, waiting: impl FnOnce()) -> Result<()> {
        match rustix::fs::flock(&self.descriptor, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => waiting(),
            locked => return locked.map_err(Error::on("lock", &*self.path)),
        }
        let locked = rustix::io::retry_on_intr(|| rustix::fs::flock(&self.descriptor, FlockOperation::LockExclusive));
        locked.map_err(Error::on("lock", &*self.path))
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Sets the modification time of an open file.
///
/// # Errors
/// When the system refuses.
pub fn set_file_time(file: &File, time: Timestamp) -> io::Result<()> {
    Ok(rustix::fs::futimens(file, &timestamps(time))?)
}

/// Sets the permission bits of an open file.
///
/// # Errors
/// When the system refuses.
pub fn set_file_mode(file: &File, mode: u32) -> io::Result<()> {
    Ok(rustix::fs::fchmod(file, Mode::from_raw_mode(mode))?)
}

fn timestamps(time: Timestamp) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() },
    }
}
