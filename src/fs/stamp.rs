//! What a file system says of a path without its content being read.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Statx, StatxFlags, StatxTimestamp};

use super::{Error, Result};

/// A time of the file system's clock: seconds since 1970-01-01 UTC and the nanoseconds after them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Whole seconds; negative before 1970.
    pub seconds: i64,
    /// Nanoseconds after them, below 1,000,000,000.
    pub nanoseconds: u32,
}

impl Timestamp {
    /// A time that no file has.
    pub const NEVER: Self = Self { seconds: i64::MIN, nanoseconds: 0 };

    /// Returns the time at which the given second begins.
    pub fn from_seconds(seconds: i64) -> Self {
        Self { seconds, nanoseconds: 0 }
    }

    /// Returns the time `milliseconds` before this one; at most 999.
    pub fn before(self, milliseconds: u32) -> Self {
        let span = milliseconds.min(999) * 1_000_000;
        match self.nanoseconds.checked_sub(span) {
            Some(nanoseconds) => Self { nanoseconds, ..self },
            None => Self { seconds: self.seconds - 1, nanoseconds: self.nanoseconds + 1_000_000_000 - span },
        }
    }
}

impl Timestamp {
    /// How far the clocks of file systems lag behind: more than the tick of any kernel.
    const TICK: u32 = 20;

    /// Returns the time before which everything was changed that nobody changes from now on. What has this or a later time
    /// may change once more and keep it.
    pub fn settled() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self { seconds: now.as_secs().cast_signed(), nanoseconds: now.subsec_nanos() }.before(Self::TICK)
    }
}

impl From<StatxTimestamp> for Timestamp {
    fn from(time: StatxTimestamp) -> Self {
        Self { seconds: time.tv_sec, nanoseconds: time.tv_nsec }
    }
}

/// What tells whether a path is still what it was: as long as its stamp is the same, so are its content and metadata.
///
/// The size of a directory says nothing and is kept as zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// Kind and permission bits (inode(7), `st_mode`).
    pub mode: u32,
    /// The number of the file in its file system.
    pub inode: u64,
    /// The length in bytes.
    pub size: u64,
    /// When the content was changed; anyone may set it.
    pub modified: Timestamp,
    /// When content or metadata were changed; only the kernel sets it.
    pub changed: Timestamp,
}

/// The bits of a mode that say what kind of file it is.
const KIND: u32 = 0o170_000;

impl Stamp {
    /// The kind bits of a regular file.
    pub const REGULAR: u32 = 0o100_000;
    /// The kind bits of a directory.
    pub const DIRECTORY: u32 = 0o040_000;
    /// The kind bits of a symbolic link.
    pub const SYMLINK: u32 = 0o120_000;

    /// Returns the stamp of `path` itself, not of what a symbolic link there points to.
    ///
    /// # Errors
    /// When nothing is there or it cannot be looked at.
    pub fn of(path: &Path) -> Result<Self> {
        let found = rustix::fs::statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS);
        found.map(Self::from).map_err(Error::on("look at", path))
    }

    /// Returns the stamp of an open file, which stands at `path`.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn of_file(file: &File, path: &Path) -> Result<Self> {
        let found = rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS);
        found.map(Self::from).map_err(Error::on("look at", path))
    }

    /// Returns the stamp that something freshly written should have. It equals no stamp of a file, since only the file
    /// system knows the rest.
    pub fn expected(mode: u32, size: u64, seconds: i64) -> Self {
        Self { mode, inode: 0, size, modified: Timestamp::from_seconds(seconds), changed: Timestamp::NEVER }
    }

    /// Returns the same result as a stamp that equals no stamp of a file.
    pub fn untrusted(self) -> Self {
        Self { inode: 0, changed: Timestamp::NEVER, ..self }
    }

    /// Tells whether both show the same kind, mode, size and modification time, whatever file it is.
    pub fn same_result(&self, other: &Self) -> bool {
        (self.mode, self.size, self.modified) == (other.mode, other.size, other.modified)
    }

    /// Returns the kind bits of the mode.
    pub fn kind(&self) -> u32 {
        self.mode & KIND
    }

    /// Tells whether this is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind() == Self::DIRECTORY
    }
}

impl From<&Metadata> for Stamp {
    fn from(found: &Metadata) -> Self {
        let nanoseconds = |count: i64| u32::try_from(count).unwrap_or_default();
        let mode = found.mode();
        Self {
            mode,
            inode: found.ino(),
            size: if mode & KIND == Self::DIRECTORY { 0 } else { found.len() },
            modified: Timestamp { seconds: found.mtime(), nanoseconds: nanoseconds(found.mtime_nsec()) },
            changed: Timestamp { seconds: found.ctime(), nanoseconds: nanoseconds(found.ctime_nsec()) },
        }
    }
}

impl From<Statx> for Stamp {
    fn from(found: Statx) -> Self {
        let mode = u32::from(found.stx_mode);
        Self {
            mode,
            inode: found.stx_ino,
            size: if mode & KIND == Self::DIRECTORY { 0 } else { found.stx_size },
            modified: found.stx_mtime.into(),
            changed: found.stx_ctime.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_that_hides_its_time_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        super::super::write_atomic(&path, b"one").unwrap();
        let before = Stamp::of(&path).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        let time = file.metadata().unwrap().modified().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::io::Write::write_all(&mut &file, b"two").unwrap();
        file.set_modified(time).unwrap();
        let after = Stamp::of_file(&file, &path).unwrap();
        assert!(after.same_result(&before), "size, mode and modification time are the same");
        assert_ne!(after, before, "the kernel's own time is not");
    }

    #[test]
    fn an_expected_stamp_equals_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let stamp = Stamp::of(folder.path()).unwrap();
        assert!(stamp.is_directory());
        assert_eq!(stamp.size, 0);
        assert_ne!(stamp.untrusted(), stamp);
        assert!(stamp.untrusted().same_result(&stamp));
    }

    #[test]
    fn earlier_times_borrow_a_second() {
        let time = Timestamp { seconds: 5, nanoseconds: 10_000_000 };
        assert_eq!(time.before(20), Timestamp { seconds: 4, nanoseconds: 990_000_000 });
        assert_eq!(time.before(10), Timestamp::from_seconds(5));
    }
}
