//! How a command in a sandbox can fail, and what mends it.
//!
//! Comes in: faults of the processes inside. Goes out: [`SandboxError`]. Always holds: an error names what was tried; where
//! the machine lacks something, [`SandboxError::hint`] says how to give it.

use std::io;
use std::path::{Path, PathBuf};

use super::message::{Fault, Stage};
use super::{Log, Privilege, Status};
use crate::fs;

/// How many of its last lines an error shows of a log.
const LINES_SHOWN: usize = 20;

/// A command that could not be run in a sandbox, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The root cannot be used.
    #[error("cannot use `{}` as the root of a sandbox: {reason}", path.display())]
    Root {
        /// Its path.
        path: PathBuf,
        /// Why not: `it is not a directory`.
        reason: String,
    },
    /// The user lacks what was asked for.
    #[error("{what}")]
    Lacking {
        /// What is missing.
        what: String,
        /// How to get it.
        hint: String,
    },
    /// The machine does not let this user make a sandbox, or the root does not allow it.
    #[error("cannot {tried} for a sandbox: {reason}")]
    Setup {
        /// What was tried: `make namespaces`.
        tried: String,
        /// What the system answered.
        reason: String,
        /// How to mend it, where that is known.
        hint: Option<String>,
    },
    /// The command cannot be executed.
    #[error("cannot execute `{command}` in the sandbox: {reason}")]
    Execute {
        /// The program.
        command: String,
        /// Why not.
        reason: String,
    },
    /// The root is for another architecture, and nothing runs its programs here.
    #[error("cannot execute `{command}`: {reason}")]
    Foreign {
        /// The program.
        command: String,
        /// For which architecture it is.
        reason: String,
    },
    /// The command was stopped because it took more than it may.
    #[error("`{command}` was stopped: {reason}{}", shown(log))]
    Stopped {
        /// The command.
        command: String,
        /// What it took.
        reason: String,
        /// What it wrote.
        log: Box<Log>,
    },
    /// The command ended, but not well.
    #[error("`{command}` {status}{}", shown(log))]
    Failed {
        /// The command.
        command: String,
        /// How it ended.
        status: Status,
        /// What it wrote.
        log: Box<Log>,
    },
    /// The first process of the sandbox ended without an answer.
    #[error("the sandbox was killed from outside, or failed: {reason}{}", shown(log))]
    Broken {
        /// What is known.
        reason: String,
        /// What was written.
        log: Box<Log>,
    },
    /// A file of the host could not be read.
    #[error(transparent)]
    Fs(#[from] fs::Error),
}

fn shown(log: &Log) -> String {
    let lines = log.last_lines(LINES_SHOWN);
    if lines.is_empty() { String::new() } else { format!("; its last lines:\n{lines}") }
}

impl SandboxError {
    /// Returns what mends it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Lacking { hint, .. } => Some(hint.clone()),
            Self::Setup { hint, .. } => hint.clone(),
            Self::Foreign { .. } => Some(
                "register an emulator with binfmt_misc and the flag F (packages `qemu-user-static` or `qemu-user-binfmt`), \
                 or skip the scripts"
                    .into(),
            ),
            _ => None,
        }
    }

    /// Turns what failed inside into an error of the caller.
    pub(super) fn from_fault(fault: Fault, command: &str, privilege: Privilege) -> Self {
        let reason = match fault.errno {
            0 => fault.message.clone(),
            number => io::Error::from_raw_os_error(number).to_string(),
        };
        match fault.stage {
            Stage::Execute => Self::Execute { command: command.into(), reason },
            Stage::Foreign => Self::Foreign { command: command.into(), reason },
            stage => Self::Setup { hint: hint(stage, &fault, privilege), tried: fault.tried, reason },
        }
    }
}

fn hint(stage: Stage, fault: &Fault, privilege: Privilege) -> Option<String> {
    match stage {
        Stage::Namespaces => Some(namespaces_hint(&Kernel::read())),
        Stage::Ids if privilege == Privilege::Subordinate => {
            Some("newuidmap and newgidmap must be setuid root or have their capabilities, and see the same ids".into())
        }
        // Where AppArmor restricts user namespaces, they can be made, but nothing can be done in them.
        Stage::Ids | Stage::Setup if Kernel::read().restricted_by_apparmor => Some(namespaces_hint(&Kernel::read())),
        Stage::Setup if fault.tried == "mount /proc" => Some(
            "the container that this runs in hides parts of its own /proc, so the kernel allows no new one: run it with \
             `--security-opt systempaths=unconfined` (docker) or `--security-opt unmask=ALL` (podman)"
                .into(),
        ),
        _ => None,
    }
}

/// The settings of a kernel that say whether namespaces can be made.
#[derive(Debug, Default)]
struct Kernel {
    none_allowed: bool,
    only_root: bool,
    restricted_by_apparmor: bool,
}

impl Kernel {
    fn read() -> Self {
        let setting = |path: &str| fs::read_to_string(Path::new(path)).unwrap_or_default().trim().to_owned();
        Self {
            none_allowed: setting("/proc/sys/user/max_user_namespaces") == "0",
            only_root: setting("/proc/sys/kernel/unprivileged_userns_clone") == "0",
            restricted_by_apparmor: setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1",
        }
    }
}

fn namespaces_hint(kernel: &Kernel) -> String {
    let hint = if kernel.none_allowed {
        "this system allows no user namespaces: as root, sysctl user.max_user_namespaces=10000"
    } else if kernel.only_root {
        "this system allows user namespaces to root only: as root, sysctl kernel.unprivileged_userns_clone=1"
    } else if kernel.restricted_by_apparmor {
        "AppArmor restricts user namespaces here: allow them to this program with a profile that has `userns,`, or, as root, \
         sysctl kernel.apparmor_restrict_unprivileged_userns=0"
    } else {
        "a container that this runs in must allow namespaces: `--security-opt seccomp=unconfined` (docker, podman) or \
         `--privileged`; else skip the scripts"
    };
    hint.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_the_machine_lacks() {
        let hint = |kernel: Kernel| namespaces_hint(&kernel);
        assert!(hint(Kernel { none_allowed: true, ..Kernel::default() }).contains("user.max_user_namespaces"));
        assert!(hint(Kernel { only_root: true, ..Kernel::default() }).contains("unprivileged_userns_clone"));
        assert!(hint(Kernel { restricted_by_apparmor: true, ..Kernel::default() }).contains("AppArmor"));
        assert!(hint(Kernel::default()).contains("seccomp=unconfined"));
    }

    #[test]
    fn shows_the_end_of_the_log() {
        let mut log = Log::new(1000);
        log.push(b"one\ntwo\n");
        let error = SandboxError::Failed { command: "sh".into(), status: Status::Exited(3), log: Box::new(log) };
        assert_eq!(error.to_string(), "`sh` ended with exit code 3; its last lines:\none\ntwo");
    }

    #[test]
    fn tells_a_hidden_proc() {
        let fault = Fault::on(Stage::Setup, "mount /proc")(io::Error::from_raw_os_error(libc::EPERM));
        let error = SandboxError::from_fault(fault, "sh", Privilege::Root);
        assert_eq!(error.to_string(), "cannot mount /proc for a sandbox: Operation not permitted (os error 1)");
        assert!(error.hint().unwrap().contains("systempaths=unconfined") || Kernel::read().restricted_by_apparmor);
    }
}
