//! One process, measured from outside.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::Result;

/// What one run took.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// From before the process is made to after its end, in milliseconds.
    pub(crate) wall: f64,
    /// The same until the last thing it told, in milliseconds; `wall` for a process that tells nothing.
    pub(crate) told: f64,
    /// Processor time of all its threads, in milliseconds.
    pub(crate) cpu: f64,
    /// The most memory it had at once, in KiB.
    pub(crate) peak: f64,
}

/// Runs `command` and returns what it took.
///
/// A process inherits the peak of the one that makes it, so that a small one of its own makes and measures it.
pub(crate) fn run(command: &Command) -> Result<Sample> {
    let mut measure = Command::new(std::env::current_exe()?);
    measure.arg("measure").arg(command.get_program()).args(command.get_args());
    if let Some(directory) = command.get_current_dir() {
        measure.current_dir(directory);
    }
    for (name, value) in command.get_envs() {
        measure.env(name, value.unwrap_or_default());
    }
    let output = measure.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{command:?} failed").into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Runs a command and prints what it took; the small process of [`run`].
pub(crate) fn child(command: &[&str]) -> Result<()> {
    let (program, arguments) = command.split_first().ok_or("no command to measure")?;
    let start = Instant::now();
    let milliseconds = || start.elapsed().as_secs_f64() * 1e3;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut told = None;
    let mut words = Vec::new();
    let mut buffer = [0; 4096];
    if let Some(mut stderr) = child.stderr.take() {
        while let count @ 1.. = stderr.read(&mut buffer)? {
            told = Some(milliseconds());
            words.extend_from_slice(&buffer[..count]);
        }
    }
    let (succeeded, usage) = wait(child.id())?;
    let wall = milliseconds();
    if !succeeded {
        return Err(String::from_utf8_lossy(&words).into());
    }
    let time = |time: libc::timeval| time.tv_sec as f64 * 1e3 + time.tv_usec as f64 / 1e3;
    let cpu = time(usage.ru_utime) + time(usage.ru_stime);
    let sample = Sample { wall, told: told.unwrap_or(wall), cpu, peak: usage.ru_maxrss as f64 };
    println!("{}", serde_json::to_string(&sample)?);
    Ok(())
}

/// Waits for the end of a child; tells whether it went well, and what it used.
#[expect(unsafe_code, reason = "only wait4(2) tells what one child used")]
fn wait(child: u32) -> Result<(bool, libc::rusage)> {
    let mut status = 0;
    // SAFETY: `rusage` is numbers only, all of which may be zero; both pointers are of values that outlive the call.
    let (waited, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::wait4(i32::try_from(child)?, &raw mut status, 0, &raw mut usage), usage)
    };
    if waited < 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    Ok((status == 0, usage))
}
