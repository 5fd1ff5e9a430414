//! `layerforge diff`

use std::process::ExitCode;

use super::Session;
use super::args::DiffArguments;
use super::changes;
use super::terminal::{DONE, count};
use crate::engine::{self, DiffReport, DiffRequest};
use crate::error::Error;
use crate::tree::ChangeKind;

/// The exit code for trees that differ, as of diff(1).
const DIFFERENT: u8 = 1;
/// The exit code for what cannot be compared, as of diff(1).
const TROUBLE: u8 = 2;

pub(super) fn run(session: &Session<'_>, arguments: &DiffArguments) -> Result<ExitCode, Error> {
    let terminal = session.terminal;
    let DiffArguments { old, new, times, owners } = arguments;
    let request = DiffRequest { old: old.clone(), new: new.clone(), times: *times, owners: *owners };
    let report = match session.store().and_then(|store| engine::diff(&store, &request)) {
        Ok(report) => report,
        Err(error) => {
            // 1 already says that both could be compared.
            terminal.error(&error);
            return Ok(ExitCode::from(TROUBLE));
        }
    };
    if terminal.json {
        terminal.print_json(&report);
    } else {
        let style = terminal.output_style();
        let line = |change: &engine::PathChange| changes::line(&change.change, change.node.as_deref(), style) + "\n";
        terminal.print(&report.changes.iter().map(line).collect::<String>());
        tell(session, &report);
    }
    Ok(if report.changes.is_empty() { DONE } else { ExitCode::from(DIFFERENT) })
}

fn tell(session: &Session<'_>, report: &DiffReport) {
    let terminal = session.terminal;
    if !report.owners {
        terminal.tell("note: owners are not compared: those of a directory are whoever wrote it (`--owners` compares)");
    }
    if report.changes.is_empty() {
        terminal.tell(&format!("equal: {}", count(report.new.paths, "path")));
        return;
    }
    let number = |kind| report.changes.iter().filter(|change| change.change.change == kind).count();
    terminal.tell(&format!(
        "{} changed, {} added, {} removed, of {} and {} paths",
        number(ChangeKind::Changed),
        number(ChangeKind::Added),
        number(ChangeKind::Removed),
        report.old.paths,
        report.new.paths
    ));
}
