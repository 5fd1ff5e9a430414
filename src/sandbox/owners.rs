//! Facts put into a root before a command runs, and taken out of it afterwards.
//!
//! Comes in: facts, and records of what was asked for. Goes out: the facts that hold. Always holds: nothing runs in the
//! root meanwhile; afterwards everything on disk belongs to root of the sandbox, which is the caller, and can be read by
//! it.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, RawDir, Statx, StatxFlags, Uid, XattrFlags};
use rustix::io::Errno;

use super::message::{Fault, Stage};
use super::supervisor::{Inode, Owner, Records};
use super::{Fact, Privilege};
use crate::tree::TreePath;

/// The attributes that are facts. Others of `security` are the host's own labels.
const ATTRIBUTES: [&str; 3] = ["security.capability", "system.posix_acl_access", "system.posix_acl_default"];
/// The most bytes that Linux gives for names or a value (xattr(7)).
const XATTR_MAX: usize = 64 * 1024;

/// Puts facts into the root that this process is in.
///
/// # Errors
/// When a path is not there or the system refuses.
pub(super) fn apply(facts: &[Fact], privilege: Privilege, records: &mut Records) -> Result<(), Fault> {
    for fact in facts {
        let path = absolute(&fact.path);
        apply_one(fact, &path, privilege, records)
            .map_err(Fault::on(Stage::Setup, format!("set owner and mode of {}", shown(&path))))?;
    }
    Ok(())
}

fn apply_one(fact: &Fact, path: &[u8], privilege: Privilege, records: &mut Records) -> std::io::Result<()> {
    let open = || rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    let file = match open() {
        Err(Errno::NOENT) if fact.device.is_some() => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            drop(rustix::fs::openat(CWD, path, flags, Mode::from_raw_mode(0o600))?);
            open()?
        }
        file => file?,
    };
    if let Some(device) = fact.device {
        records.set_device(file.try_clone()?, device)?;
    }
    if privilege == Privilege::Single {
        records.set_owner(file.try_clone()?, fact.uid, fact.gid)?;
    } else {
        let (user, group) = (Uid::from_raw(fact.uid), Gid::from_raw(fact.gid));
        rustix::fs::chownat(CWD, path, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    if rustix::fs::lstat(path)?.st_mode & libc::S_IFMT != libc::S_IFLNK {
        rustix::fs::chmod(path, Mode::from_raw_mode(u32::from(fact.mode)))?;
    }
    for (name, value) in &fact.xattrs {
        if privilege == Privilege::Single && name.starts_with("system.") {
            records.set_xattr(file.try_clone()?, name, value)?;
        } else {
            rustix::fs::lsetxattr(path, name.as_str(), value, XattrFlags::empty())?;
        }
    }
    Ok(())
}

/// Takes the facts out of the root that this process is in.
///
/// # Errors
/// When the system refuses, or a path is too long to be used.
pub(super) fn gather(privilege: Privilege, records: &Records) -> Result<Vec<Fact>, Fault> {
    let mut walk = Walk { privilege, records, found: Vec::new(), seen: HashMap::new() };
    walk.enter(b"/".to_vec())?;
    for found in &walk.found {
        let path = absolute(&found.fact.path);
        found.take_back(&path, privilege).map_err(Fault::on(Stage::Gather, format!("take back {}", shown(&path))))?;
    }
    let mut facts: Vec<Fact> = walk.found.into_iter().map(|found| found.fact).collect();
    facts.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(facts)
}

/// A fact, and what is on disk.
struct Found {
    fact: Fact,
    kind: u32,
    disk: Owner,
    disk_xattrs: bool,
}

impl Found {
    /// Leaves on disk what the caller can hold: its own files, which it can read.
    fn take_back(&self, path: &[u8], privilege: Privilege) -> rustix::io::Result<()> {
        if privilege != Privilege::Single && self.disk != Owner::default() {
            rustix::fs::chownat(CWD, path, Some(Uid::ROOT), Some(Gid::ROOT), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if self.kind == libc::S_IFLNK {
            return Ok(());
        }
        for name in ATTRIBUTES.iter().filter(|name| self.disk_xattrs && self.fact.xattrs.contains_key(**name)) {
            match rustix::fs::lremovexattr(path, *name) {
                // Another path of the same file was first.
                Ok(()) | Err(Errno::NODATA) => {}
                Err(error) => return Err(error),
            }
        }
        // Also what chown(2) and the removal of an access list have taken.
        rustix::fs::chmod(path, Mode::from_raw_mode(u32::from(self.fact.mode) | needed(self.kind)))
    }
}

/// Returns the permissions that the caller needs to read a file, and to empty a directory.
fn needed(kind: u32) -> u32 {
    if kind == libc::S_IFDIR { 0o700 } else { 0o400 }
}

/// The group that new files in a directory get, and since when.
type Inherited = Option<(u32, (i64, u32))>;

struct Walk<'run> {
    privilege: Privilege,
    records: &'run Records,
    found: Vec<Found>,
    /// Groups that inodes with several paths have inherited: one path decides.
    seen: HashMap<Inode, Owner>,
}

impl Walk<'_> {
    fn enter(&mut self, root: Vec<u8>) -> Result<(), Fault> {
        let inherited = self.look(&root, None)?.1;
        let mut directories = vec![(root, inherited)];
        while let Some((directory, inherited)) = directories.pop() {
            for name in list(&directory)? {
                let slash: &[u8] = if directory.ends_with(b"/") { b"" } else { b"/" };
                let path = [&directory, slash, &name].concat();
                let (is_directory, below) = self.look(&path, inherited)?;
                if is_directory {
                    directories.push((path, below));
                }
            }
        }
        Ok(())
    }

    /// Looks at one path; returns whether it is a directory, and what is inherited in it.
    fn look(&mut self, path: &[u8], inherited: Inherited) -> Result<(bool, Inherited), Fault> {
        let flags = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
        let status = rustix::fs::statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, flags)
            .map_err(Fault::on(Stage::Gather, format!("look at {}", shown(path))))?;
        let mode = u32::from(status.stx_mode);
        let (kind, permissions) = (mode & libc::S_IFMT, mode & 0o7777);
        let inode = Inode::of(&status);
        let record = self.records.get(inode);
        if self.privilege == Privilege::Single && (status.stx_uid, status.stx_gid) != (0, 0) {
            return Err(Fault::new(
                Stage::Gather,
                format!("look at {}", shown(path)),
                "it does not belong to the caller",
            ));
        }
        let (owner, since) = self.owner(&status, inode, inherited);
        let mut xattrs =
            if matches!(kind, libc::S_IFREG | libc::S_IFDIR) { attributes(path)? } else { BTreeMap::new() };
        let disk_xattrs = !xattrs.is_empty();
        for (name, value) in record.into_iter().flat_map(|record| &record.xattrs) {
            xattrs.insert(name.clone(), value.clone());
        }
        let device = record.and_then(|record| record.device).filter(|_| kind == libc::S_IFREG);
        let unreadable = kind != libc::S_IFLNK && permissions & needed(kind) != needed(kind);
        if owner != Owner::default() || device.is_some() || !xattrs.is_empty() || unreadable {
            let path = TreePath::from_absolute(path)
                .map_err(|error| Fault::new(Stage::Gather, "name a path", error.to_string()))?;
            let mode = permissions as u16;
            let fact = Fact { path, mode, uid: owner.uid, gid: owner.gid, device, xattrs };
            let disk = Owner { uid: status.stx_uid, gid: status.stx_gid };
            self.found.push(Found { fact, kind, disk, disk_xattrs });
        }
        let directory = kind == libc::S_IFDIR;
        let passes_on = directory && permissions & libc::S_ISGID != 0 && owner.gid != 0;
        Ok((directory, passes_on.then_some((owner.gid, since))))
    }

    /// Returns who owns an inode, and since when its group does.
    fn owner(&mut self, status: &Statx, inode: Inode, inherited: Inherited) -> (Owner, (i64, u32)) {
        let birth = (status.stx_btime.tv_sec, status.stx_btime.tv_nsec);
        if self.privilege != Privilege::Single {
            return (Owner { uid: status.stx_uid, gid: status.stx_gid }, birth);
        }
        if let Some(record) = self.records.get(inode)
            && let Some(owner) = record.owner
        {
            return (owner, record.since);
        }
        let known = StatxFlags::from_bits_retain(status.stx_mask).contains(StatxFlags::BTIME);
        let owner = match inherited {
            Some((gid, since)) if known && birth >= since => Owner { uid: 0, gid },
            _ => Owner::default(),
        };
        if status.stx_nlink > 1 && u32::from(status.stx_mode) & libc::S_IFMT != libc::S_IFDIR {
            return (*self.seen.entry(inode).or_insert(owner), birth);
        }
        (owner, birth)
    }
}

/// Returns the names in a directory, sorted.
fn list(directory: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
    let on = || Fault::on(Stage::Gather, format!("list {}", shown(directory)));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file: OwnedFd = rustix::fs::openat(CWD, directory, flags, Mode::empty()).map_err(on())?;
    let mut names = Vec::new();
    let mut buffer = Vec::with_capacity(32 * 1024);
    let mut entries = RawDir::new(&file, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let name = entry.map_err(on())?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Returns the attributes of a file that are facts.
fn attributes(path: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, Fault> {
    let on = || Fault::on(Stage::Gather, format!("read the attributes of {}", shown(path)));
    let mut names = Vec::with_capacity(XATTR_MAX);
    match rustix::fs::llistxattr(path, rustix::buffer::spare_capacity(&mut names)) {
        Ok(_) => {}
        Err(Errno::NOTSUP) => return Ok(BTreeMap::new()),
        Err(error) => return Err(on()(error)),
    }
    let mut attributes = BTreeMap::new();
    for name in ATTRIBUTES.iter().filter(|name| names.split(|byte| *byte == 0).any(|found| found == name.as_bytes())) {
        let mut value = Vec::with_capacity(XATTR_MAX);
        rustix::fs::lgetxattr(path, *name, rustix::buffer::spare_capacity(&mut value)).map_err(on())?;
        attributes.insert((*name).to_owned(), value);
    }
    Ok(attributes)
}

fn absolute(path: &TreePath) -> Vec<u8> {
    [b"/", path.as_bytes()].concat()
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
