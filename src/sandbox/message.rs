//! What the program and the processes of a sandbox tell each other.
//!
//! Comes in: a [`Request`] on the socket that is the standard input of the keeper. Goes out: one [`Outcome`] on it.
//! Always holds: names and paths arrive as the bytes they are, UTF-8 or not; a message has a length that is told first
//! and bounded.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::caller::Subordinate;
use super::{Command, Fact, Limits, Privilege, Status};

/// The longest message: the facts of a million paths.
const MESSAGE_MAX: u64 = 1 << 30;

/// What a sandbox is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    /// The absolute path of the root on disk.
    pub(super) root: OsString,
    /// How users and groups come about.
    pub(super) privilege: Privilege,
    /// The subordinate ids, where they are used.
    pub(super) subordinate: Option<Subordinate>,
    /// What of the host is seen inside.
    pub(super) binds: Vec<Bind>,
    /// What the paths of the root have that the disk does not say.
    pub(super) facts: Vec<Fact>,
    /// Whether services may be started.
    pub(super) services: bool,
    /// What to run; nothing when only owners are to be taken back.
    pub(super) command: Option<Command>,
    /// How long and how much.
    pub(super) limits: Limits,
}

/// A file or directory of the host that is seen inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bind {
    /// Its absolute path on the host.
    pub(super) source: OsString,
    /// Its absolute path inside.
    pub(super) target: OsString,
    /// Whether it can be written.
    pub(super) writable: bool,
}

/// How it went.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Outcome {
    /// The command ended.
    Ran {
        /// How.
        status: Status,
        /// What the paths of the root have now.
        facts: Vec<Fact>,
    },
    /// The command ran for too long and was killed.
    TimedOut(Duration),
    /// The command started too many processes and was killed.
    TooManyProcesses(u32),
    /// It did not come to that.
    Failed(Fault),
}

/// Where in a sandbox something failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// Making the namespaces.
    Namespaces,
    /// Giving ids to the user namespace.
    Ids,
    /// Making what the command sees.
    Setup,
    /// Executing the command.
    Execute,
    /// The command is for another architecture.
    Foreign,
    /// Finding out what has changed.
    Gather,
}

/// Something that failed inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fault {
    /// Where.
    pub(super) stage: Stage,
    /// What was tried: `mount /proc`.
    pub(super) tried: String,
    /// The number of the error, or 0.
    pub(super) errno: i32,
    /// What else there is to say.
    pub(super) message: String,
}

impl Fault {
    /// Returns a function that puts the stage and what was tried before an error of the system, for `map_err`.
    pub(super) fn on<E: Into<io::Error>>(stage: Stage, tried: impl Into<String>) -> impl FnOnce(E) -> Self {
        move |error| {
            let error = error.into();
            let errno = error.raw_os_error().unwrap_or(0);
            let message = if errno == 0 { error.to_string() } else { String::new() };
            Self { stage, tried: tried.into(), errno, message }
        }
    }

    /// As [`Self::on`], for what a sandbox is made of.
    pub(super) fn in_setup<E: Into<io::Error>>(tried: impl Into<String>) -> impl FnOnce(E) -> Self {
        Self::on(Stage::Setup, tried)
    }

    /// Returns a fault that is not an error of the system.
    pub(super) fn new(stage: Stage, tried: impl Into<String>, message: impl Into<String>) -> Self {
        Self { stage, tried: tried.into(), errno: 0, message: message.into() }
    }
}

/// Writes a message with its length before it.
///
/// # Errors
/// When it cannot be written.
pub(super) fn send<T: Serialize>(mut target: impl Write, message: &T) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    target.write_all(&(text.len() as u64).to_le_bytes())?;
    target.write_all(&text)?;
    target.flush()
}

/// Reads a message that [`send`] wrote.
///
/// # Errors
/// When it cannot be read, is cut off, too long or not what is expected.
pub(super) fn receive<T: DeserializeOwned>(mut source: impl Read) -> io::Result<T> {
    let mut length = [0; 8];
    source.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > MESSAGE_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a message of {length} bytes")));
    }
    let mut text = Vec::new();
    source.take(length).read_to_end(&mut text)?;
    if (text.len() as u64) < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    #[test]
    fn bytes_arrive_as_they_are() {
        let bind =
            Bind { source: OsString::from_vec(b"/\xff\0\n".to_vec()), target: OsString::from("/ä"), writable: true };
        let mut bytes = Vec::new();
        send(&mut bytes, &bind).unwrap();
        assert_eq!(receive::<Bind>(&bytes[..]).unwrap(), bind);
    }

    #[test]
    fn a_broken_message_is_an_error() {
        let mut bytes = Vec::new();
        send(&mut bytes, &Outcome::TooManyProcesses(7)).unwrap();
        for length in 0..bytes.len() {
            assert!(receive::<Outcome>(&bytes[..length]).is_err(), "{length} bytes");
        }
        assert!(receive::<Outcome>(&u64::MAX.to_le_bytes()[..]).unwrap_err().to_string().contains("a message of"));
    }
}
