//! Commands run in a root on disk, without privilege and without trust.
//!
//! Comes in: a root that belongs to the caller, the [`Fact`]s of its paths, a [`Command`]. Goes out: what the command
//! wrote, how it ended, and the facts that hold now ([`Ran`]). Always holds: the command sees the root and nothing else of
//! the host: no file, process, device or network; it cannot gain privileges, and ends with everything it has started when
//! the call returns or the program dies. The outcome is the same whoever runs it ([`Privilege`]).
//!
//! # Processes
//!
//! ```text
//! caller          a library, with threads
//!  └─ keeper      this program again, with one thread: makes the namespaces, gives them ids, watches the caller
//!      └─ init    the first process inside: mounts, answers questions, gathers facts; its end kills all others
//!          └─ command
//! ```
//!
//! The caller talks to the keeper through a socket that is its standard input and ends when the caller dies, and hears of
//! the outcome from init through the same socket; the standard error is the log.
//!
//! # Owners
//!
//! On disk everything belongs to the caller before and after a run; who owns what is in the facts. Where ids are real
//! (root, subordinate), init changes owners at the start and takes them back at the end. Where there is only one id, a
//! seccomp filter asks init for every change of an owner. It writes down the owner of the *inode*, which it keeps open, so
//! that renames, hard links and numbers of deleted inodes are right; and because programs copy owners from what stat(2)
//! tells of another file (passwd and useradd from `/etc/shadow`), it answers stat(2) with what is written down. Devices are
//! never made: an empty file stands for one, in all three cases.
//!
//! What differs with one id: a process that changes its user stays root, so what it makes belongs to root, and it sees
//! that it is root; access lists that name users cannot be set. A new file in a directory with setgid gets the group of
//! the directory if it was made after the directory got it, by the time that file systems write down.
//!
//! A `struct stat` that is read by a program for another architecture of the same processor (32-bit x86) has another
//! form; such programs are refused with one id.
//!
//! A signal that arrives before init has taken a question makes the call end with `EINTR` where its handler is not one that
//! restarts calls. The window is short, and nothing that every script does is asked for (forks are not).
//!
//! # Time and place
//!
//! fsync(2) and its kin do nothing: a root is thrown away when the machine dies. `/run` and `/tmp` are empty and forgotten,
//! `/proc` is read-only and the sandbox's own, `/sys` is empty, `/dev` has what POSIX programs expect. One
//! processor may be used, so that what takes as many threads as it may have writes the same everywhere.

mod caller;
mod command;
mod error;
mod fact;
mod filter;
mod init;
mod keeper;
mod log;
mod machine;
mod message;
mod mounts;
mod owners;
mod run;
mod services;
mod supervisor;
mod system;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use caller::Privilege;
pub use error::SandboxError;
pub use fact::{Device, Fact};
pub use keeper::run as keep;
pub use log::Log;
pub use machine::check_architecture;

use message::Bind;

/// The first argument with which the program is started again to call [`keep`] and nothing else.
pub const KEEPER: &str = "sandbox-keeper";

/// A root on disk, and what a command in it may see and use.
#[derive(Debug, Clone)]
pub struct Sandbox {
    root: PathBuf,
    program: PathBuf,
    privilege: Option<Privilege>,
    binds: Vec<Bind>,
    facts: Vec<Fact>,
    services: bool,
    limits: Limits,
}

impl Sandbox {
    /// Returns a sandbox for the directory `root`, which must belong to the caller with all that is in it.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            // Whatever stands at the path of the program by now, this is the program that runs.
            program: PathBuf::from("/proc/self/exe"),
            privilege: None,
            binds: Vec::new(),
            facts: Vec::new(),
            services: false,
            limits: Limits::default(),
        }
    }

    /// Sets the program that calls [`keep`] when its first argument is [`KEEPER`]: this program by default.
    #[must_use]
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = program.into();
        self
    }

    /// Sets how ids come about: the best that the caller has by default.
    #[must_use]
    pub fn privilege(mut self, privilege: Privilege) -> Self {
        self.privilege = Some(privilege);
        self
    }

    /// Lets the command read the host's `source` as `target`; what is missing of `target` is made for the time of a run.
    #[must_use]
    pub fn bind(self, source: &Path, target: &Path) -> Self {
        self.bind_as(source, target, false)
    }

    /// Lets the command read and write the host's `source` as `target`. Owners that it sets there are lost.
    #[must_use]
    pub fn bind_writable(self, source: &Path, target: &Path) -> Self {
        self.bind_as(source, target, true)
    }

    fn bind_as(mut self, source: &Path, target: &Path, writable: bool) -> Self {
        self.binds.push(Bind { source: source.into(), target: target.into(), writable });
        self
    }

    /// Sets what the paths of the root have that is not on disk, as a run before returned it.
    #[must_use]
    pub fn facts(mut self, facts: Vec<Fact>) -> Self {
        self.facts = facts;
        self
    }

    /// Lets the command start services; else whoever asks in a way that Debian knows is told that they are started.
    #[must_use]
    pub fn services(mut self, started: bool) -> Self {
        self.services = started;
        self
    }

    /// Sets how much the command may take.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

/// How much a command may take with all that it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// How long it may run.
    pub time: Duration,
    /// How many processes there may be at a time. They are counted ten times a second; the kernel itself does not let there be
    /// many more, but for root before Linux 6.14.
    pub processes: u32,
    /// How many bytes of what it writes are kept.
    pub log: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_secs(3600), processes: 4096, log: 4 << 20 }
    }
}

/// A program of the root and how it is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    program: OsString,
    arguments: Vec<OsString>,
    #[serde(with = "pairs")]
    environment: BTreeMap<OsString, OsString>,
    directory: OsString,
}

impl Command {
    /// Returns a command that runs `program` in `/`: with its standard input empty, the umask 022 and no environment but
    /// `PATH`, `HOME`, `LC_ALL=C.UTF-8` and `TERM=dumb`. Without a slash it is looked for in `PATH`.
    pub fn new(program: impl Into<OsString>) -> Self {
        let environment = [
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("HOME", "/root"),
            ("LC_ALL", "C.UTF-8"),
            ("TERM", "dumb"),
        ];
        let environment = environment.map(|(name, value)| (name.into(), value.into())).into();
        Self { program: program.into(), arguments: Vec::new(), environment, directory: "/".into() }
    }

    /// Adds an argument.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn arguments<T: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = T>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub fn environment(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Sets the directory inside that it starts in.
    #[must_use]
    pub fn directory(mut self, directory: impl AsRef<OsStr>) -> Self {
        self.directory = directory.as_ref().to_owned();
        self
    }

    fn shown(&self) -> String {
        self.program.to_string_lossy().into_owned()
    }
}

/// Keys of JSON are texts; names of variables are bytes.
mod pairs {
    use std::collections::BTreeMap;
    use std::ffi::OsString;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        variables: &BTreeMap<OsString, OsString>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(variables)
    }

    pub(super) fn deserialize<'text, D: Deserializer<'text>>(
        deserializer: D,
    ) -> Result<BTreeMap<OsString, OsString>, D::Error> {
        Ok(Vec::deserialize(deserializer)?.into_iter().collect())
    }
}

/// A command that has ended, well or not.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub status: Status,
    /// What it wrote.
    pub log: Log,
    /// What the paths of the root have now, sorted by path.
    pub facts: Vec<Fact>,
    /// How ids came about.
    pub privilege: Privilege,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// By itself, with this exit code.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(formatter, "ended with exit code {code}"),
            Self::Killed(signal) => write!(formatter, "was killed by signal {signal}"),
        }
    }
}
