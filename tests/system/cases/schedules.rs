//! Schedules of jobs, taken by systemd.

use crate::Outcome;
use crate::command::program;
use crate::world::World;

/// The list that the program's own reader is held to says what systemd says.
pub(crate) fn systemd_agrees(_: &World) -> Outcome {
    for line in include_str!("../../schedules.txt").lines() {
        let (verdict, text) = line.split_once(' ').ok_or("a line of schedules.txt has a verdict and a schedule")?;
        let output = program("systemd-analyze").args(["calendar", text]).output().map_err(|error| error.to_string())?;
        if output.status.success() != (verdict == "good") {
            return Err(format!("`{text}` is called {verdict}; {}", String::from_utf8_lossy(&output.stderr)));
        }
    }
    Ok(())
}
