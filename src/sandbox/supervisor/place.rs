//! What a path of another process leads to.
//!
//! Comes in: a thread, one of its directories and a path in its memory. Goes out: the file, opened or looked at. Always
//! holds: it is the file that the kernel would have found for that thread.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags};

use super::records::Inode;
use crate::sandbox::system;

/// The longest path that the kernel takes, with its terminating zero.
const PATH_MAX: usize = 4096;

/// Where the arguments of a system call point to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    /// A directory, or the file itself.
    descriptor: i32,
    /// The address of a path from there.
    path: Option<u64>,
    /// Whether an empty path means the descriptor.
    empty: bool,
    /// Whether a symbolic link at the end is followed.
    follow: bool,
}

impl Spot {
    /// Returns the file that is open as a descriptor.
    pub(super) fn file(descriptor: u64) -> Self {
        Self { descriptor: descriptor as i32, path: None, empty: true, follow: true }
    }

    /// Returns what the path at `address` leads to.
    pub(super) fn path(directory: i32, address: u64) -> Self {
        Self { descriptor: directory, path: Some(address), empty: false, follow: true }
    }

    /// Returns it without following a symbolic link at the end.
    pub(super) fn without_following(self) -> Self {
        Self { follow: false, ..self }
    }

    /// Returns it as the flags `AT_…` say.
    pub(super) fn with_flags(self, flags: i32) -> Self {
        let empty = flags & libc::AT_EMPTY_PATH != 0;
        let follow = flags & libc::AT_SYMLINK_NOFOLLOW == 0;
        // Since Linux 6.11 there need be no path at all.
        let path = self.path.filter(|address| *address != 0 || !empty);
        Self { empty, follow, path, ..self }
    }

    /// Reads the path from the memory of the caller.
    ///
    /// # Errors
    /// When there is none, or it is too long or empty.
    pub(super) fn place(self, thread: u32) -> io::Result<Place> {
        let path = match self.path {
            Some(address) => system::read_text(thread, address, PATH_MAX)?,
            None => Vec::new(),
        };
        if path.is_empty() && !self.empty {
            return Err(io::Error::from_raw_os_error(libc::ENOENT));
        }
        let start = match self.descriptor {
            libc::AT_FDCWD => format!("/proc/{thread}/cwd"),
            descriptor => format!("/proc/{thread}/fd/{descriptor}"),
        };
        if path.is_empty() {
            // The link in /proc leads to the open file itself, be it a symbolic link.
            return Ok(Place { directory: None, path: c_string(start.into_bytes())?, follow: true });
        }
        let directory = match path.first() {
            Some(b'/') => None,
            _ => Some(rustix::fs::openat(CWD, &*start, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?),
        };
        Ok(Place { directory, path: c_string(as_seen_by(thread, path))?, follow: self.follow })
    }
}

/// What a path leads to, read from the caller.
#[derive(Debug)]
pub(super) struct Place {
    /// Where a relative path starts.
    directory: Option<OwnedFd>,
    path: CString,
    follow: bool,
}

impl Place {
    fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_ref().map_or(CWD, AsFd::as_fd)
    }

    /// Opens it with `O_PATH`.
    ///
    /// # Errors
    /// When it cannot be found.
    pub(super) fn open(&self) -> io::Result<OwnedFd> {
        let follow = if self.follow { OFlags::empty() } else { OFlags::NOFOLLOW };
        let flags = OFlags::PATH | OFlags::CLOEXEC | follow;
        Ok(rustix::fs::openat(self.directory(), &self.path, flags, Mode::empty())?)
    }

    /// Returns its inode.
    ///
    /// # Errors
    /// When it cannot be found.
    pub(super) fn inode(&self) -> io::Result<Inode> {
        let follow = if self.follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
        let flags = follow | AtFlags::STATX_DONT_SYNC;
        Ok(Inode::of(&rustix::fs::statx(self.directory(), &self.path, flags, StatxFlags::INO)?))
    }

    /// Makes an empty file and opens it with `O_PATH`.
    ///
    /// # Errors
    /// When something stands there, or it cannot be made.
    pub(super) fn create(&self, mode: Mode) -> io::Result<OwnedFd> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(self.directory(), &self.path, flags, Mode::empty())?;
        rustix::fs::fchmod(&file, mode)?;
        self.open()
    }
}

fn c_string(path: Vec<u8>) -> io::Result<CString> {
    // What was read ends before its first zero byte.
    CString::new(path).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// Puts the caller into absolute paths that mean whoever looks.
fn as_seen_by(thread: u32, path: Vec<u8>) -> Vec<u8> {
    let own = [
        (&b"/proc/self"[..], ""),
        (b"/proc/thread-self", ""),
        (b"/dev/fd", "/fd"),
        (b"/dev/stdin", "/fd/0"),
        (b"/dev/stdout", "/fd/1"),
        (b"/dev/stderr", "/fd/2"),
    ];
    for (prefix, below) in own {
        if let Some(rest) = path.strip_prefix(prefix)
            && (rest.is_empty() || rest.starts_with(b"/"))
        {
            // The link itself is not anybody's.
            if rest.is_empty() && below.is_empty() {
                return path;
            }
            return [format!("/proc/{thread}{below}").as_bytes(), rest].concat();
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caller_is_meant() {
        let seen = |path: &str| String::from_utf8(as_seen_by(7, path.into())).unwrap();
        assert_eq!(seen("/proc/self/fd/3"), "/proc/7/fd/3");
        assert_eq!(seen("/proc/thread-self/cwd/a"), "/proc/7/cwd/a");
        assert_eq!(seen("/dev/fd/5"), "/proc/7/fd/5");
        assert_eq!(seen("/dev/stdin"), "/proc/7/fd/0");
        assert_eq!(seen("/proc/self"), "/proc/self");
        for path in ["/proc/selfish", "/etc/passwd", "/dev/fdisk", "relative", "/"] {
            assert_eq!(seen(path), path);
        }
    }

    #[test]
    fn flags_say_what_is_meant() {
        let spot = Spot::path(3, 16);
        assert!(!spot.with_flags(libc::AT_SYMLINK_NOFOLLOW).follow);
        assert_eq!(spot.with_flags(libc::AT_EMPTY_PATH).path, Some(16));
        assert_eq!(Spot::path(3, 0).with_flags(libc::AT_EMPTY_PATH).path, None);
    }
}
