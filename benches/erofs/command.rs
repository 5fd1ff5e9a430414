//! Commands that must succeed.

use std::process::Command;

use crate::Result;

/// Runs a command that must succeed.
pub(crate) fn done(command: &mut Command) -> Result<()> {
    said(command).map(drop)
}

/// Runs a command that must succeed, and returns what it says.
pub(crate) fn said(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
