//! `layerforge lock`

use std::process::ExitCode;

use super::Session;
use super::args::LockArguments;
use super::network;
use super::progress::Progress;
use super::terminal::DONE;
use crate::engine::{self, LockRequest};
use crate::error::Error;

pub(super) fn run(session: &Session<'_>, arguments: &LockArguments) -> Result<ExitCode, Error> {
    let request = LockRequest {
        selection: session.selection(&arguments.selection)?,
        upgrade: arguments.upgrade,
        check: arguments.check,
    };
    let client = network::client(arguments.network, session.terminal);
    let progress = Progress::new(session.terminal);
    let report = engine::lock(&session.project, &session.store()?, &client, &request, &progress)?;
    let terminal = session.terminal;
    if terminal.json {
        terminal.print_json(&report);
        return Ok(DONE);
    }
    let path = report.path.display();
    if report.differences.is_empty() {
        terminal.tell(&format!("{path} is up to date"));
        return Ok(DONE);
    }
    terminal.tell(&format!("wrote {path}"));
    for difference in &report.differences {
        terminal.print(&format!("{difference}\n"));
    }
    Ok(DONE)
}
