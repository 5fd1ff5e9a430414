//! `layerforge init`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::args::{GlobalOptions, InitArguments};
use super::terminal::{DONE, Terminal};
use crate::engine::{self, InitReport};
use crate::error::Error;

pub(super) fn run(terminal: &Terminal, options: &GlobalOptions, arguments: &InitArguments) -> Result<ExitCode, Error> {
    let directory = arguments.directory.as_ref().or(options.project.as_ref());
    let directory = directory.cloned().unwrap_or_else(|| PathBuf::from("."));
    let report = engine::init(&directory, arguments.example.as_deref())?;
    if terminal.json {
        terminal.print_json(&report);
    } else {
        tell(terminal, &report);
    }
    Ok(DONE)
}

fn tell(terminal: &Terminal, report: &InitReport) {
    let directory = report.directory.strip_prefix(".").unwrap_or(&report.directory);
    for path in &report.written {
        terminal.tell(&format!("wrote {}", directory.join(path).display()));
    }
    if report.written.is_empty() {
        terminal.tell("everything is there already");
    }
    if report.tracks_output {
        terminal.tell("add `/out/` to .gitignore: what is rendered need not be kept");
    }
    let enter = if directory == Path::new("") { String::new() } else { format!("cd {} && ", directory.display()) };
    let profile = if report.profile == "default" { String::new() } else { format!(" {}", report.profile) };
    terminal.tell(&format!("next: {enter}layerforge render{profile}"));
}
