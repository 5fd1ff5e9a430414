//! `layerforge vendor`

use std::process::ExitCode;

use super::args::VendorArguments;
use super::progress::Progress;
use super::terminal::{DONE, count};
use super::{Session, network, store};
use crate::engine;
use crate::error::Error;

pub(super) fn run(session: &Session<'_>, arguments: &VendorArguments) -> Result<ExitCode, Error> {
    let selection = session.selection(&arguments.selection)?;
    let network = network::packages(arguments.offline, None, session.terminal)?;
    let progress = Progress::new(session.terminal);
    let what = (&selection, arguments.directory.as_path());
    let report = engine::vendor(&session.project, &session.store()?, &network, what, &progress)?;
    let terminal = session.terminal;
    if terminal.json {
        terminal.print_json(&report);
        return Ok(DONE);
    }
    let folder = report.folder.display();
    terminal.tell(&match report.files {
        0 => format!("{folder} has everything"),
        files => format!("wrote {} to {folder} ({})", count(files, "file"), store::size(report.bytes)),
    });
    Ok(DONE)
}
