//! `layerforge lock`

use std::process::ExitCode;

use super::Session;
use super::args::{LockArguments, NetworkArguments};
use super::network;
use super::progress::Progress;
use super::terminal::DONE;
use crate::engine::{self, LockRequest, Outside};
use crate::error::Error;
use crate::packages::Upgrade;

pub(super) fn run(session: &Session<'_>, arguments: &LockArguments) -> Result<ExitCode, Error> {
    let upgrade = match &arguments.upgrade {
        None => Upgrade::Nothing,
        Some(names) if names.iter().all(String::is_empty) => Upgrade::All,
        Some(names) => Upgrade::Packages(names.iter().filter(|name| !name.is_empty()).cloned().collect()),
    };
    let selection = session.selection(&arguments.selection)?;
    let request = LockRequest { selection, upgrade, check: arguments.check };
    let offline = arguments.network.offline || arguments.vendored.is_some();
    let client = network::client(NetworkArguments { offline, ..arguments.network }, session.terminal);
    let packages = network::packages(offline, arguments.vendored.as_deref(), session.terminal)?;
    let outside = Outside { client: &client, network: &packages };
    let progress = Progress::new(session.terminal);
    let report = engine::lock(&session.project, &session.store()?, outside, &request, &progress)?;
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
