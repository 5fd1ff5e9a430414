//! The process that stands between the caller and the sandbox.
//!
//! Comes in: a request on its standard input. Goes out: a process in new namespaces that has the ids it is meant to have,
//! and a [`Fault`] back on the same socket when that cannot be. Always holds: it has one thread; when the caller is gone, so
//! is the sandbox.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};

use super::caller::SUBORDINATE_IDS;
use super::message::{self, Fault, Outcome, Request, Stage};
use super::system::{self, ProcessId};
use super::{Privilege, init};

const NAMESPACES: i32 = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// Does what the request on the standard input says; returns the exit code of the process.
///
/// This is all that the program does when its first argument is [`super::KEEPER`].
pub fn run() -> u8 {
    let done = match message::receive::<Request>(io::stdin()) {
        Ok(request) => keep(&request),
        Err(error) => Err(Fault::new(Stage::Setup, "read the request", error.to_string())),
    };
    match done {
        Ok(()) => 0,
        // Without a listener there is nobody to tell.
        Err(fault) => u8::from(init::tell(&Outcome::Failed(fault)).is_err()) + 1,
    }
}

fn keep(request: &Request) -> Result<(), Fault> {
    // What a shell or a careless library has left open is not for the sandbox.
    system::close_from(3, true).map_err(Fault::in_setup("close files"))?;
    let (ready, start) = pipe()?;
    let forked = system::fork_into(NAMESPACES).map_err(Fault::on(Stage::Namespaces, "make namespaces"))?;
    let Some(init) = forked else {
        drop(start);
        system::exit(init::run(request, ready));
    };
    drop(ready);
    let guard = Guard::new(init)?;
    give_ids(init, request)?;
    // Taken for the sign to go on; were this process killed before, it would be none.
    rustix::io::write(&start, &[1]).map_err(Fault::on(Stage::Namespaces, "start the first process"))?;
    guard.watch()
}

fn pipe() -> Result<(OwnedFd, OwnedFd), Fault> {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(Fault::in_setup("make a pipe"))
}

/// The first process of the sandbox; it does not outlive this.
struct Guard {
    process: Pid,
    descriptor: OwnedFd,
}

impl Guard {
    fn new(process: ProcessId) -> Result<Self, Fault> {
        let invalid = || Fault::new(Stage::Namespaces, "make namespaces", "the first process has no number");
        let process = i32::try_from(process).ok().and_then(Pid::from_raw).ok_or_else(invalid)?;
        let descriptor = rustix::process::pidfd_open(process, PidfdFlags::empty());
        let descriptor = descriptor.map_err(Fault::on(Stage::Namespaces, "watch the first process"))?;
        Ok(Self { process, descriptor })
    }

    /// Waits until the first process ends, or the caller does.
    fn watch(&self) -> Result<(), Fault> {
        let input = io::stdin();
        loop {
            let mut waited =
                [PollFd::new(&self.descriptor, PollFlags::IN), PollFd::from_borrowed_fd(input.as_fd(), PollFlags::IN)];
            match poll(&mut waited, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(Fault::in_setup("wait")(error)),
            }
            // The caller sends nothing any more: whatever happens to the input is its end.
            if waited.iter().any(|descriptor| !descriptor.revents().is_empty()) {
                return Ok(());
            }
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // It has ended already when all went well.
        rustix::process::pidfd_send_signal(&self.descriptor, Signal::KILL).ok();
        // Its end is reported when all others of its namespace have ended.
        while matches!(rustix::process::waitpid(Some(self.process), WaitOptions::empty()), Err(rustix::io::Errno::INTR))
        {
        }
    }
}

fn give_ids(process: ProcessId, request: &Request) -> Result<(), Fault> {
    let folder = PathBuf::from(format!("/proc/{process}"));
    let write = |name: &str, text: &str| write_setting(&folder.join(name), text);
    match (request.privilege, &request.subordinate) {
        (Privilege::Root, _) => {
            write("uid_map", &identity(Path::new("/proc/self/uid_map"))?)?;
            write("gid_map", &identity(Path::new("/proc/self/gid_map"))?)
        }
        (Privilege::Subordinate, Some(ids)) => {
            let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
            map_with(&ids.user_tool, process, user, ids.first_user)?;
            map_with(&ids.group_tool, process, group, ids.first_group)
        }
        (Privilege::Subordinate, None) => Err(Fault::new(Stage::Ids, "give ids", "none are named")),
        (Privilege::Single, _) => {
            write("setgroups", "deny")?;
            write("uid_map", &format!("0 {} 1", rustix::process::geteuid().as_raw()))?;
            write("gid_map", &format!("0 {} 1", rustix::process::getegid().as_raw()))
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a setting of the kernel is written in place")]
fn write_setting(path: &Path, text: &str) -> Result<(), Fault> {
    std::fs::write(path, text).map_err(Fault::on(Stage::Ids, "give ids to the user namespace"))
}

/// Returns the map that keeps every id that there is: all that this process can see itself.
fn identity(map: &Path) -> Result<String, Fault> {
    let text = crate::fs::read_to_string(map).map_err(|error| Fault::new(Stage::Ids, "give ids", error.to_string()))?;
    Ok(identity_of(&text))
}

fn identity_of(map: &str) -> String {
    let ranges = map.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let (first, _, count) = (fields.next()?, fields.next()?, fields.next()?);
        Some(format!("{first} {first} {count}\n"))
    });
    ranges.collect()
}

fn map_with(tool: &Path, process: ProcessId, own: u32, first: u32) -> Result<(), Fault> {
    let words = [process, 0, own, 1, 1, first, SUBORDINATE_IDS].map(|number| number.to_string());
    let output = Command::new(tool).args(words).env_clear().stdin(Stdio::null()).output();
    let tried = format!("give subordinate ids with `{}`", tool.display());
    let output = output.map_err(Fault::on(Stage::Ids, &tried))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Fault::new(Stage::Ids, tried, format!("{}: {said}", output.status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_keeps_what_there_is() {
        assert_eq!(identity_of("         0          0 4294967295\n"), "0 0 4294967295\n");
        assert_eq!(identity_of("0 1000 1\n1 100000 65536\n"), "0 0 1\n1 1 65536\n");
    }
}
