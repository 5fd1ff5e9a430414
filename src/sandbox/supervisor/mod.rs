//! Answers to what the kernel would refuse a command.
//!
//! Comes in: system calls that wait. Goes out: an [`Answer`] to each, and what was asked for in [`Records`]. Always holds:
//! nothing is done for a caller that it could not do itself as root of the sandbox; what is read of a caller is used only
//! after it was still there.
//!
//! This runs in the first process of the sandbox, which sees what the callers see: a path means the same to both, but for
//! `/proc/self`.

mod call;
mod place;
mod records;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode};

use call::{Call, Node};
use place::Spot;

use super::Device;
use super::system::{self, Answer, Question};

pub(super) use records::{Inode, Owner, Records};

/// Answers the calls that arrive at a listener.
#[derive(Debug)]
pub(super) struct Supervisor<'run> {
    listener: OwnedFd,
    records: &'run mut Records,
}

impl<'run> Supervisor<'run> {
    /// Takes what [`system::install_filter`] returned.
    pub(super) fn new(listener: OwnedFd, records: &'run mut Records) -> Self {
        system::answer_quickly(&listener);
        Self { listener, records }
    }

    /// Returns what becomes readable when a call waits.
    pub(super) fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Answers the next call.
    ///
    /// # Errors
    /// When the system refuses questions or answers.
    pub(super) fn answer_next(&mut self) -> io::Result<()> {
        let Some(question) = system::next_question(&self.listener)? else { return Ok(()) };
        let answer = match self.decide(&question) {
            Ok(answer) => answer,
            Err(error) => Answer::Failed(error.raw_os_error().unwrap_or(libc::EIO)),
        };
        system::answer(&self.listener, &question, answer)
    }

    fn decide(&mut self, question: &Question) -> io::Result<Answer> {
        match Call::read(question) {
            Call::SetOwner { spot, uid, gid } => self.set_owner(question, spot, uid, gid),
            Call::Stat { spot, buffer } => self.stat(question, spot, |file, owner, device| {
                let mut status = system::stat(file)?;
                (status.st_uid, status.st_gid) = (owner.uid, owner.gid);
                if let Some(device) = device {
                    status.st_mode = status.st_mode & !libc::S_IFMT | device.type_bits();
                    status.st_rdev = libc::makedev(device.major, device.minor);
                }
                system::write_value(question.thread, buffer, &status)
            }),
            Call::Statx { spot, flags, mask, buffer } => self.stat(question, spot, |file, owner, device| {
                let mut status = system::statx(file, flags, mask)?;
                (status.stx_uid, status.stx_gid) = (owner.uid, owner.gid);
                if let Some(device) = device {
                    let permissions = u32::from(status.stx_mode) & !libc::S_IFMT;
                    status.stx_mode = (permissions | device.type_bits()) as u16;
                    (status.stx_rdev_major, status.stx_rdev_minor) = (device.major, device.minor);
                }
                system::write_value(question.thread, buffer, &status)
            }),
            Call::MakeDevice(node) => self.make_device(question, &node),
            Call::Identity => Ok(Answer::Done),
            Call::Other => Ok(Answer::Continue),
        }
    }

    /// Writes an owner down instead of setting it.
    fn set_owner(&mut self, question: &Question, spot: Spot, uid: u32, gid: u32) -> io::Result<Answer> {
        let file = spot.place(question.thread)?.open()?;
        self.check(question)?;
        drop_privileges_of(&file)?;
        self.records.set_owner(file, uid, gid)?;
        Ok(Answer::Done)
    }

    /// Lets the kernel answer, unless what is asked for has a record: then `fill` answers.
    fn stat(
        &self,
        question: &Question,
        spot: Spot,
        fill: impl FnOnce(BorrowedFd<'_>, Owner, Option<Device>) -> io::Result<()>,
    ) -> io::Result<Answer> {
        if self.records.is_empty() {
            return Ok(Answer::Continue);
        }
        // What cannot be looked at fails in the same way when the kernel does it.
        let Ok(inode) = spot.place(question.thread).and_then(|place| place.inode()) else {
            return Ok(Answer::Continue);
        };
        let Some(record) = self.records.get(inode) else { return Ok(Answer::Continue) };
        self.check(question)?;
        fill(record.file.as_fd(), record.owner.unwrap_or_default(), record.device)?;
        Ok(Answer::Done)
    }

    /// Makes an empty file that stands for a device.
    fn make_device(&mut self, question: &Question, node: &Node) -> io::Result<Answer> {
        let caller = Caller::read(question.thread)?;
        if !caller.is_root {
            return Ok(Answer::Continue);
        }
        let place = node.spot.place(question.thread)?;
        self.check(question)?;
        let file = place.create(Mode::from_raw_mode(node.mode & 0o7777 & !caller.umask))?;
        self.records.set_device(file, node.device)?;
        Ok(Answer::Done)
    }

    /// Makes sure that the caller was still there when it was read.
    fn check(&self, question: &Question) -> io::Result<()> {
        let waits = system::is_waiting(&self.listener, question);
        if waits { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ESRCH)) }
    }
}

/// Takes from a file what chown(2) takes: setuid, setgid where the group may execute, capabilities.
fn drop_privileges_of(file: &OwnedFd) -> io::Result<()> {
    let status = rustix::fs::fstat(file)?;
    if status.st_mode & libc::S_IFMT != libc::S_IFREG {
        return Ok(());
    }
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let mut mode = status.st_mode & 0o7777 & !libc::S_ISUID;
    if mode & libc::S_IXGRP != 0 {
        mode &= !libc::S_ISGID;
    }
    if mode != status.st_mode & 0o7777 {
        rustix::fs::chmodat(CWD, &path, Mode::from_raw_mode(mode), rustix::fs::AtFlags::empty())?;
    }
    match rustix::fs::removexattr(&path, c"security.capability") {
        Err(error) if ![rustix::io::Errno::NODATA, rustix::io::Errno::NOTSUP].contains(&error) => Err(error.into()),
        _ => Ok(()),
    }
}

/// What the making of a file depends on.
struct Caller {
    is_root: bool,
    umask: u32,
}

impl Caller {
    fn read(thread: u32) -> io::Result<Self> {
        let status = crate::fs::read_to_string(std::path::Path::new(&format!("/proc/{thread}/status")));
        let status = status.map_err(|error| error.source)?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let effective = field("Uid:").and_then(|ids| ids.split_whitespace().nth(1));
        let umask = field("Umask:").and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok());
        Ok(Self { is_root: effective == Some("0"), umask: umask.unwrap_or(0o022) })
    }
}
