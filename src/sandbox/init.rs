//! The first process of a sandbox.
//!
//! Comes in: a request, in new namespaces. Goes out: an [`Outcome`] on the socket that is the standard input. Always holds: when it ends, the
//! kernel kills every other process of the sandbox; the outcome is written when no other is left.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Pid, PidfdFlags, Resource, Rlimit, Signal, WaitOptions, WaitStatus};
use rustix::thread::{Gid, Uid};

use super::command::{Execution, receive_listener};
use super::message::{self, Fault, Outcome, Request, Stage};
use super::mounts::Mounts;
use super::supervisor::{Records, Supervisor};
use super::{Command, Privilege, Status, machine, owners, system};

/// How often processes are counted.
const TICK: Duration = Duration::from_millis(100);

/// Does what the request says and tells how it went; returns the exit code of the process. `ready` gives a byte when this
/// process has its ids, and ends when the keeper has.
pub(super) fn run(request: &Request, ready: OwnedFd) -> i32 {
    let outcome = attempt(request, ready).unwrap_or_else(Outcome::Failed);
    i32::from(tell(&outcome).is_err())
}

/// Writes the outcome to where the caller reads it.
///
/// # Errors
/// When the caller is gone.
pub(super) fn tell(outcome: &Outcome) -> io::Result<()> {
    let mut target = io::BufWriter::new(std::fs::File::from(io::stdin().as_fd().try_clone_to_owned()?));
    message::send(&mut target, outcome)?;
    target.flush()
}

fn attempt(request: &Request, ready: OwnedFd) -> Result<Outcome, Fault> {
    become_root(request.privilege, ready)?;
    let handlers = machine::handlers();
    let mut records = Records::default();
    limit_process_numbers(request.limits.processes);
    let mut mounts = Mounts::enter(request)?;
    let end = match &request.command {
        Some(command) => {
            let prepared = owners::apply(&request.facts, request.privilege, &mut records)
                .and_then(|()| mounts.make())
                .and_then(|()| machine::check(command, request.privilege, &handlers));
            prepared.and_then(|()| start(request, command, &mut records))
        }
        None => Ok(End::Ended(Status::Exited(0))),
    };
    end_all();
    mounts.undo()?;
    // However it ended: what is left on disk has to be the caller's.
    let facts = owners::gather(request.privilege, &records);
    match end? {
        End::Ended(status) => Ok(Outcome::Ran { status, facts: facts? }),
        End::TimedOut => Ok(Outcome::TimedOut(request.limits.time)),
        End::TooManyProcesses => Ok(Outcome::TooManyProcesses(request.limits.processes)),
    }
}

/// Becomes root of the user namespace, and a process that no other of it can look into.
fn become_root(privilege: Privilege, ready: OwnedFd) -> Result<(), Fault> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(Fault::in_setup("follow the keeper"))?;
    let mut byte = [0];
    if rustix::io::read(&ready, &mut byte).map_err(Fault::in_setup("wait for ids"))? == 0 {
        // The keeper has failed or was killed, and told so itself if it could.
        system::exit(1);
    }
    if privilege != Privilege::Single {
        rustix::thread::set_thread_groups(&[]).map_err(Fault::in_setup("leave groups"))?;
    }
    rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT).map_err(Fault::in_setup("become root"))?;
    rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).map_err(Fault::in_setup("become root"))?;
    // Another set of ids forgets what follows.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(Fault::in_setup("follow the keeper"))?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(Fault::in_setup("hide the first process"))?;
    rustix::process::umask(rustix::fs::Mode::empty());
    // Every recorded inode is kept open.
    let files = rustix::process::getrlimit(Resource::Nofile).maximum;
    let files = Rlimit { current: files, maximum: files };
    rustix::process::setrlimit(Resource::Nofile, files).map_err(Fault::in_setup("open many files"))?;
    rustix::system::sethostname(b"localhost").map_err(Fault::in_setup("set the host name"))?;
    system::loopback_up().map_err(Fault::in_setup("bring loopback up"))
}

/// How a command came to its end.
enum End {
    Ended(Status),
    TimedOut,
    TooManyProcesses,
}

fn start(request: &Request, command: &Command, records: &mut Records) -> Result<End, Fault> {
    let (channel, other) = UnixStream::pair().map_err(Fault::in_setup("make a socket"))?;
    let Some(process) = system::fork_into(0).map_err(Fault::in_setup("start a process"))? else {
        drop(channel);
        let execution = Execution { command, request };
        execution.become_command(&other);
    };
    drop(other);
    let listener = receive_listener(&channel)?;
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    let process = process.ok_or_else(|| Fault::new(Stage::Setup, "start a process", "it has no number"))?;
    let descriptor =
        rustix::process::pidfd_open(process, PidfdFlags::empty()).map_err(Fault::in_setup("watch the command"))?;
    let watch = Watch {
        process,
        descriptor,
        channel: Some(channel),
        supervisor: Supervisor::new(listener, records),
        processes: request.limits.processes,
        deadline: Instant::now().checked_add(request.limits.time),
    };
    watch.run()
}

/// A command that runs.
struct Watch<'run> {
    process: Pid,
    descriptor: OwnedFd,
    /// Ends when the command is executed; a fault arrives when it cannot be.
    channel: Option<UnixStream>,
    supervisor: Supervisor<'run>,
    processes: u32,
    /// `None` when it lies farther than clocks reach.
    deadline: Option<Instant>,
}

impl Watch<'_> {
    fn run(mut self) -> Result<End, Fault> {
        let mut next_count = Instant::now() + TICK;
        loop {
            let (asked, told) = self.wait()?;
            if asked {
                self.supervisor.answer_next().map_err(Fault::in_setup("answer a system call"))?;
            }
            if told && let Some(fault) = self.fault() {
                return Err(fault);
            }
            if let Some(status) = self.reap()? {
                return Ok(End::Ended(status));
            }
            let now = Instant::now();
            if self.deadline.is_some_and(|deadline| now >= deadline) {
                return Ok(End::TimedOut);
            }
            if now >= next_count {
                next_count = now + TICK;
                if count_processes()? >= self.processes {
                    return Ok(End::TooManyProcesses);
                }
            }
        }
    }

    /// Waits until something happens; returns whether a call waits for an answer and whether the channel has something.
    fn wait(&self) -> Result<(bool, bool), Fault> {
        let mut waited = vec![
            PollFd::from_borrowed_fd(self.supervisor.listener(), PollFlags::IN),
            PollFd::new(&self.descriptor, PollFlags::IN),
        ];
        waited.extend(self.channel.as_ref().map(|channel| PollFd::new(channel, PollFlags::IN)));
        let patience = Timespec { tv_sec: 0, tv_nsec: i64::from(TICK.subsec_nanos()) };
        match poll(&mut waited, Some(&patience)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(Fault::in_setup("wait for the command")(error)),
        }
        let told = waited.get(2).is_some_and(|channel| !channel.revents().is_empty());
        Ok((waited[0].revents().contains(PollFlags::IN), told))
    }

    /// Takes what the command sent before it was executed: a fault, or nothing.
    fn fault(&mut self) -> Option<Fault> {
        message::receive(self.channel.take()?).ok()
    }

    /// Takes the exit status of the command, and of all that nobody else waits for.
    fn reap(&mut self) -> Result<Option<Status>, Fault> {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((process, status))) if process == self.process => {
                    return Ok(Some(how(status)));
                }
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(error) => return Err(Fault::in_setup("wait for the command")(error)),
            }
        }
    }
}

fn how(status: WaitStatus) -> Status {
    match status.terminating_signal() {
        Some(signal) => Status::Killed(signal),
        None => Status::Exited(status.exit_status().unwrap_or(-1)),
    }
}

/// Bounds the numbers of processes in this namespace, which bounds root's processes: those the kernel does not count.
/// Where the kernel cannot (before Linux 6.14 the setting is the whole machine's), there is only the count of [`Watch`].
fn limit_process_numbers(processes: u32) {
    /// Lower numbers are refused by the kernel, and not given out twice.
    const RESERVED: u32 = 301;
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers =
        release.split(|letter: char| !letter.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < (6, 14) {
        return;
    }
    let path = std::path::Path::new("/proc/sys/kernel/pid_max");
    if let Ok(mut file) = crate::fs::edit(path) {
        // In a container the setting can be read-only.
        file.write_all(processes.saturating_add(RESERVED).to_string().as_bytes()).ok();
    }
}

fn count_processes() -> Result<u32, Fault> {
    let names = crate::fs::list(std::path::Path::new("/proc"))
        .map_err(|error| Fault::new(Stage::Setup, "count processes", error.to_string()))?;
    let count = names.iter().filter(|name| name.to_str().is_some_and(|name| name.parse::<u32>().is_ok()));
    // This process is not the command's.
    Ok(u32::try_from(count.count()).unwrap_or(u32::MAX).saturating_sub(1))
}

/// Kills what the command has left behind and waits for its end.
fn end_all() {
    system::kill_all();
    while !matches!(rustix::process::wait(WaitOptions::empty()), Err(Errno::CHILD)) {}
}
