//! What was asked for and not done, by inode.
//!
//! Comes in: open files, owners and devices. Goes out: the record of an inode. Always holds: an inode with a record is open
//! here, so that its number is not given to another one as long as the record stands. Where no more files can be opened
//! (`ulimit -H -n`), changes of owners fail with `EMFILE`: there are no wrong records.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Statx, StatxFlags};
use rustix::time::ClockId;

use crate::sandbox::Device;

/// An inode of this system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::sandbox) struct Inode {
    device: (u32, u32),
    number: u64,
}

impl Inode {
    /// Returns the inode that statx(2) told of.
    pub(in crate::sandbox) fn of(status: &Statx) -> Self {
        Self { device: (status.stx_dev_major, status.stx_dev_minor), number: status.stx_ino }
    }
}

/// A user and a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::sandbox) struct Owner {
    pub(in crate::sandbox) uid: u32,
    pub(in crate::sandbox) gid: u32,
}

/// What is written down of an inode.
#[derive(Debug)]
pub(in crate::sandbox) struct Record {
    /// Keeps the inode.
    pub(in crate::sandbox) file: OwnedFd,
    /// Who it was given to, if it was.
    pub(in crate::sandbox) owner: Option<Owner>,
    /// When: seconds and nanoseconds since 1970, by the clock that file systems read.
    pub(in crate::sandbox) since: (i64, u32),
    /// The device that it stands for.
    pub(in crate::sandbox) device: Option<Device>,
    /// Access lists that the disk does not take.
    pub(in crate::sandbox) xattrs: Vec<(String, Vec<u8>)>,
}

/// The records of a sandbox.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct Records(HashMap<Inode, Record>);

/// Leaves an id as it is (chown(2)).
const UNCHANGED: u32 = u32::MAX;

impl Records {
    /// Tells whether nothing was written down.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the record of an inode.
    pub(in crate::sandbox) fn get(&self, inode: Inode) -> Option<&Record> {
        self.0.get(&inode)
    }

    /// Gives the inode that `file` has open (`O_PATH` will do) to an owner.
    ///
    /// # Errors
    /// When the file cannot be looked at.
    pub(in crate::sandbox) fn set_owner(&mut self, file: OwnedFd, uid: u32, gid: u32) -> io::Result<()> {
        let record = self.record(file)?;
        let mut owner = record.owner.unwrap_or_default();
        if uid != UNCHANGED {
            owner.uid = uid;
        }
        if gid != UNCHANGED && (record.owner.is_none() || gid != owner.gid) {
            owner.gid = gid;
            let now = rustix::time::clock_gettime(ClockId::RealtimeCoarse);
            record.since = (now.tv_sec, u32::try_from(now.tv_nsec).unwrap_or(0));
        }
        record.owner = Some(owner);
        Ok(())
    }

    /// Makes the inode that `file` has open stand for a device.
    ///
    /// # Errors
    /// When the file cannot be looked at.
    pub(in crate::sandbox) fn set_device(&mut self, file: OwnedFd, device: Device) -> io::Result<()> {
        self.record(file)?.device = Some(device);
        Ok(())
    }

    /// Writes down an attribute of the inode that `file` has open.
    ///
    /// # Errors
    /// When the file cannot be looked at.
    pub(in crate::sandbox) fn set_xattr(&mut self, file: OwnedFd, name: &str, value: &[u8]) -> io::Result<()> {
        self.record(file)?.xattrs.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    fn record(&mut self, file: OwnedFd) -> io::Result<&mut Record> {
        let status = rustix::fs::statx(&file, c"", rustix::fs::AtFlags::EMPTY_PATH, StatxFlags::INO)?;
        let new = Record { file, owner: None, since: (0, 0), device: None, xattrs: Vec::new() };
        Ok(self.0.entry(Inode::of(&status)).or_insert(new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, Mode, OFlags};
    use std::path::Path;

    fn open(path: &Path) -> OwnedFd {
        rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty()).unwrap()
    }

    fn inode(path: &Path) -> Inode {
        Inode::of(&rustix::fs::statx(open(path), c"", rustix::fs::AtFlags::EMPTY_PATH, StatxFlags::INO).unwrap())
    }

    #[test]
    fn an_owner_follows_the_inode() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
        crate::fs::write_new(&first, b"", 0o644).unwrap();
        let mut records = Records::default();
        records.set_owner(open(&first), 7, UNCHANGED).unwrap();
        records.set_owner(open(&first), UNCHANGED, 42).unwrap();
        crate::fs::rename(&first, &second).unwrap();
        assert_eq!(records.get(inode(&second)).unwrap().owner, Some(Owner { uid: 7, gid: 42 }));
        // A number of a deleted inode would be given to one of these.
        crate::fs::remove_file(&second).unwrap();
        for number in 0..100 {
            let path = folder.path().join(format!("new-{number}"));
            crate::fs::write_new(&path, b"", 0o644).unwrap();
            assert!(records.get(inode(&path)).is_none());
        }
    }
}
