//! The caller's side of a sandbox.
//!
//! Comes in: a [`Sandbox`] and a [`Command`]. Goes out: [`Ran`]. Always holds: when the call returns, every process of the
//! sandbox has ended.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Stdio};
use std::thread;

use super::caller::Subordinate;
use super::message::{self, Outcome, Request, Stage};
use super::{Command, KEEPER, Log, Privilege, Ran, Sandbox, SandboxError, Status};
use crate::fs;

impl Sandbox {
    /// Runs `command` to its end and returns how it ended.
    ///
    /// # Errors
    /// When the root cannot be used, the machine does not allow a sandbox, the command cannot be executed or takes more
    /// than the limits allow. That the command itself fails is not an error here ([`Self::run_well`]).
    pub fn run(&self, command: &Command) -> Result<Ran, SandboxError> {
        let privilege = self.privilege.unwrap_or_else(Privilege::best);
        match self.run_with(privilege, Some(command)) {
            // What is written down of subordinate ids is not always what newuidmap says, and root of a container may
            // have no ids to give; nobody asked for them.
            Err(Refused::Ids(_)) if self.privilege.is_none() && privilege != Privilege::Single => {
                Ok(self.run_with(Privilege::Single, Some(command))?)
            }
            result => Ok(result?),
        }
    }

    /// Gives everything in the root back to the caller, and lets it read everything: what a run leaves that was killed, and
    /// could not do so itself, may belong to subordinate ids.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn take_back(&self) -> Result<(), SandboxError> {
        let privilege = self.privilege.unwrap_or_else(Privilege::best);
        self.run_with(privilege, None).map(drop).map_err(SandboxError::from)
    }

    /// Runs `command` and takes an exit code other than 0 for an error, which shows the end of the log.
    ///
    /// # Errors
    /// As [`Self::run`], and when the command fails.
    pub fn run_well(&self, command: &Command) -> Result<Ran, SandboxError> {
        let ran = self.run(command)?;
        if ran.status == Status::Exited(0) {
            return Ok(ran);
        }
        Err(SandboxError::Failed { command: command.shown(), status: ran.status, log: Box::new(ran.log) })
    }

    fn run_with(&self, privilege: Privilege, command: Option<&Command>) -> Result<Ran, Refused> {
        let request = self.request(privilege, command)?;
        let (mut keeper, channel) = self.start_keeper()?;
        let Some(errors) = keeper.stderr.take() else {
            return Err(broken("the keeper has no log", Log::new(0)).into());
        };
        let (outcome, log) = thread::scope(|scope| {
            let log = scope.spawn(|| read_log(errors, self.limits.log));
            let outcome = message::send(&channel, &request).and_then(|()| message::receive::<Outcome>(&channel));
            // From here on the keeper takes the end of its input for the end of the caller.
            drop(channel);
            (outcome, log.join().unwrap_or_else(|_| Log::new(0)))
        });
        let ended = wait(&mut keeper)?;
        let shown = command.map_or_else(|| "take owners back".to_owned(), Command::shown);
        let stopped =
            |reason: String, log: Log| SandboxError::Stopped { command: shown.clone(), reason, log: Box::new(log) };
        match outcome {
            Ok(Outcome::Ran { status, facts }) => Ok(Ran { status, log, facts, privilege }),
            Ok(Outcome::TimedOut(limit)) => Err(stopped(format!("it ran for more than {limit:?}"), log).into()),
            Ok(Outcome::TooManyProcesses(limit)) => {
                Err(stopped(format!("it had more than {limit} processes at a time"), log).into())
            }
            Ok(Outcome::Failed(fault)) => {
                let of_ids = fault.stage == Stage::Ids;
                let error = SandboxError::from_fault(fault, &shown, privilege);
                Err(if of_ids { Refused::Ids(error) } else { error.into() })
            }
            Err(error) => Err(broken(&format!("{error}; the first process {ended}"), log).into()),
        }
    }

    fn request(&self, privilege: Privilege, command: Option<&Command>) -> Result<Request, SandboxError> {
        let root = self.root.canonicalize().map_err(fs::Error::on("find the root", &self.root))?;
        let unusable = |reason: &str| SandboxError::Root { path: root.clone(), reason: reason.into() };
        if !fs::lstat(&root)?.is_dir() {
            return Err(unusable("it is not a directory"));
        }
        if root == Path::new("/") {
            return Err(unusable("it is the root of this system"));
        }
        let subordinate = match privilege {
            Privilege::Subordinate => Some(Subordinate::of_caller()?),
            Privilege::Root | Privilege::Single => None,
        };
        Ok(Request {
            root: root.into(),
            privilege,
            subordinate,
            binds: self.binds.clone(),
            facts: self.facts.clone(),
            services: self.services,
            command: command.cloned(),
            limits: self.limits,
        })
    }

    fn start_keeper(&self) -> Result<(Child, UnixStream), SandboxError> {
        let (channel, other) = UnixStream::pair().map_err(fs::Error::on("make a socket for", KEEPER))?;
        let mut keeper = std::process::Command::new(&self.program);
        keeper.arg0("layerforge").arg(KEEPER).env_clear().current_dir("/");
        // A terminal's interrupt is the caller's affair: what it makes of it reaches the keeper through its input.
        keeper.process_group(0).stdin(OwnedFd::from(other)).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = keeper.spawn().map_err(fs::Error::on("execute", &self.program))?;
        Ok((child, channel))
    }
}

/// Why a run was refused, as far as another one may go better.
enum Refused {
    /// Ids were not given.
    Ids(SandboxError),
    /// Anything else.
    Other(SandboxError),
}

impl From<SandboxError> for Refused {
    fn from(error: SandboxError) -> Self {
        Self::Other(error)
    }
}

impl From<Refused> for SandboxError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Ids(error) | Refused::Other(error) => error,
        }
    }
}

fn broken(reason: &str, log: Log) -> SandboxError {
    SandboxError::Broken { reason: reason.into(), log: Box::new(log) }
}

/// Reads to the end, which is when every process that could write has ended.
fn read_log(mut source: ChildStderr, limit: usize) -> Log {
    let mut log = Log::new(limit);
    let mut buffer = [0; 16 * 1024];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return log,
            Ok(count) => log.push(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                log.push(format!("\n[cannot read what else was written: {error}]\n").as_bytes());
                return log;
            }
        }
    }
}

fn wait(keeper: &mut Child) -> Result<String, SandboxError> {
    let status = keeper.wait().map_err(fs::Error::on("wait for", KEEPER))?;
    Ok(format!("ended: {status}"))
}
