//! Programs of the system.

use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;

/// Returns a command without the locale of whoever runs the tests.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    command
}

/// Runs a command to its end and returns what it wrote; its failure is an error that shows everything it wrote.
pub(crate) fn run(command: &mut Command) -> Outcome<String> {
    let output = command.output().map_err(|error| format!("cannot run {}: {error}", shown(command)))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("{} ended with {}:\n{text}{errors}", shown(command), output.status))
}

/// Runs a command that must fail, and returns everything it wrote.
pub(crate) fn run_refused(command: &mut Command) -> Outcome<String> {
    let output = command.output().map_err(|error| format!("cannot run {}: {error}", shown(command)))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    if output.status.success() { Err(format!("{} did not fail:\n{text}", shown(command))) } else { Ok(text) }
}

/// Tries until `attempt` succeeds or `patience` is over, which is the last attempt's failure.
pub(crate) fn wait_for<T>(patience: Duration, mut attempt: impl FnMut() -> Outcome<T>) -> Outcome<T> {
    let start = Instant::now();
    loop {
        match attempt() {
            Err(message) if start.elapsed() > patience => {
                return Err(format!("not within {} s: {message}", patience.as_secs()));
            }
            Err(_) => thread::sleep(Duration::from_millis(100)),
            done => return done,
        }
    }
}

/// Turns a failure of the system into one of the case.
pub(crate) fn explain<E: std::fmt::Display>(what: impl std::fmt::Display) -> impl FnOnce(E) -> String {
    move |error| format!("cannot {what}: {error}")
}

fn shown(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
