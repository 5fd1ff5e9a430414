//! The last steps before a command runs.
//!
//! Comes in: a process that sees nothing but the root. Goes out: the command in its place, or a [`Fault`]. Always holds:
//! what is taken away here cannot be had again: privileges, capabilities, open files, the terminal.

use std::io::{self, IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command as Program, Stdio};

use rustix::fs::Mode;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::CapabilitySet;

use super::message::{self, Fault, Request, Stage};
use super::{Command, filter, services, system};

/// What root of a sandbox may do: to files what it likes, and to become somebody else. Nothing of it reaches beyond the
/// user namespace.
const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::NET_BIND_SERVICE);

/// The most open files; programs that close all that could be open take long when it is a million.
const FILES: u64 = 4096;

/// What a new process becomes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Execution<'run> {
    /// The command.
    pub(super) command: &'run Command,
    /// What the sandbox is.
    pub(super) request: &'run Request,
}

impl Execution<'_> {
    /// Becomes the command. Sends first the listener of its filter to `channel`, then a fault if there is one.
    pub(super) fn become_command(self, channel: &UnixStream) -> ! {
        let fault = self.prepare(channel).err().unwrap_or_else(|| self.execute());
        // The first process takes the end of the channel for success; there is no other way to tell it.
        let sent = message::send(channel, &fault);
        system::exit(if sent.is_ok() { 126 } else { 125 })
    }

    fn prepare(self, channel: &UnixStream) -> Result<(), Fault> {
        rustix::process::setsid().map_err(Fault::in_setup("make a session"))?;
        rustix::process::umask(Mode::from_raw_mode(0o022));
        rustix::process::chdir(self.command.directory.as_os_str())
            .map_err(Fault::on(Stage::Execute, format!("enter {}", self.command.directory.to_string_lossy())))?;
        limit(Resource::Core, 0).map_err(Fault::in_setup("limit core files"))?;
        limit(Resource::Nofile, FILES).map_err(Fault::in_setup("limit open files"))?;
        // One for the first process, one that makes it too many.
        let processes = u64::from(self.request.limits.processes) + 2;
        limit(Resource::Nproc, processes).map_err(Fault::in_setup("limit processes"))?;
        one_processor().map_err(Fault::in_setup("choose a processor"))?;
        system::close_from(3, false).map_err(Fault::in_setup("close files"))?;
        drop_capabilities().map_err(Fault::in_setup("drop capabilities"))?;
        rustix::thread::set_no_new_privs(true).map_err(Fault::in_setup("give up new privileges"))?;
        let listener = system::install_filter(&filter::program(self.request.privilege))
            .map_err(Fault::in_setup("install a filter"))?;
        send_file(channel, &listener).map_err(Fault::in_setup("hand over the filter"))
    }

    fn execute(self) -> Fault {
        let command = self.command;
        let output = match io::stderr().as_fd().try_clone_to_owned() {
            Ok(output) => output,
            Err(error) => return Fault::in_setup("open the log")(error),
        };
        let mut program = Program::new(&command.program);
        program.args(&command.arguments).env_clear();
        if !self.request.services {
            program.envs(services::ENVIRONMENT);
        }
        program.envs(&command.environment).stdin(Stdio::null()).stdout(output);
        Fault::on(Stage::Execute, "execute the command")(program.exec())
    }
}

/// Leaves this process and all that it starts the processor that it is on. Who counts the processors that it may use
/// (`nproc`, `xz -T0`) counts the same on every machine, and a chain of short programs, which is what scripts are, does not
/// wander between processors.
fn one_processor() -> rustix::io::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    let own = rustix::thread::sched_getcpu();
    if own >= rustix::thread::CpuSet::MAX_CPU {
        // A machine so large that the set has no place for it: scripts use all of it.
        return Ok(());
    }
    set.set(own);
    rustix::thread::sched_setaffinity(None, &set)
}

/// Sets the limit, or leaves a lower one.
fn limit(resource: Resource, most: u64) -> rustix::io::Result<()> {
    let lower = |limit: Option<u64>| Some(limit.map_or(most, |limit| limit.min(most)));
    let now = getrlimit(resource);
    setrlimit(resource, Rlimit { current: lower(now.current), maximum: lower(now.maximum) })
}

fn drop_capabilities() -> rustix::io::Result<()> {
    for capability in CapabilitySet::all().difference(KEPT).iter() {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // The kernel is older than this capability.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error),
        }
    }
    rustix::thread::clear_ambient_capability_set()?;
    let sets = rustix::thread::CapabilitySets { effective: KEPT, permitted: KEPT, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets)
}

fn send_file(channel: &UnixStream, file: &OwnedFd) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let files = [file.as_fd()];
    ancillary.push(SendAncillaryMessage::ScmRights(&files));
    sendmsg(channel, &[IoSlice::new(&[1])], &mut ancillary, SendFlags::empty())?;
    Ok(())
}

/// Takes the listener that a command sends, or the fault that it sends instead.
///
/// # Errors
/// The fault, or that of the system.
pub(super) fn receive_listener(mut channel: &UnixStream) -> Result<OwnedFd, Fault> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut first = [0];
    recvmsg(channel, &mut [IoSliceMut::new(&mut first)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        .map_err(Fault::in_setup("hand over the filter"))?;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(mut files) = message
            && let Some(listener) = files.next()
        {
            return Ok(listener);
        }
    }
    let fault: Fault = message::receive(first.chain(&mut channel)).map_err(Fault::in_setup("hand over the filter"))?;
    Err(fault)
}
