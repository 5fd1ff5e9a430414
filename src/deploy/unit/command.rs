//! Command lines: systemd.service(5), "Command lines".

use super::DeployError;
use super::credentials::Environment;
use super::program::Program;
use super::text;
use crate::resolve::Probe;

/// Writes a command. Nothing in it is expanded: the prefix `:` says so where there is a `$`.
pub(super) fn line(what: &str, command: &[String]) -> Result<String, DeployError> {
    let mut words = Vec::with_capacity(command.len());
    for argument in command {
        words.push(text::word(what, argument)?);
    }
    let prefix = if command.iter().any(|argument| argument.contains('$')) { ":" } else { "" };
    Ok(format!("{prefix}{}", words.join(" ")))
}

/// Writes the command of a program. Secrets that it takes from its environment are read there by a shell, which becomes
/// the program: systemd hands over files only.
pub(super) fn start(program: &Program<'_>, secrets: &Environment) -> Result<String, DeployError> {
    let what = format!("the command of {}", program.title());
    let Some(script) = secrets.script() else { return line(&what, program.command) };
    let shell = ["/bin/sh", "-euc", &script, program.name].map(String::from);
    line(&what, &shell.into_iter().chain(program.command.iter().cloned()).collect::<Vec<_>>())
}

/// Writes the command that waits until a process answers its probe. The unit's `TimeoutStartSec=` ends the waiting.
pub(super) fn wait(program: &Program<'_>, probe: &Probe) -> Result<String, DeployError> {
    let seconds = probe.timeout.as_millis().div_ceil(1000).max(1).to_string();
    let script = "until timeout \"$0\" \"$@\"; do sleep 1; done";
    let shell = ["/bin/sh", "-c", script, &seconds].map(String::from);
    let what = format!("the probe of {}", program.title());
    line(&what, &shell.into_iter().chain(probe.command.iter().cloned()).collect::<Vec<_>>())
}
