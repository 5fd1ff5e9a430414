//! `layerforge verify`

use std::process::ExitCode;

use super::args::VerifyArguments;
use super::terminal::{DONE, Terminal};
use crate::engine;
use crate::error::Error;

pub(super) fn run(terminal: &Terminal, arguments: &VerifyArguments) -> Result<ExitCode, Error> {
    let report = engine::verify(&arguments.image, arguments.certificate.as_deref())?;
    if terminal.json {
        terminal.print_json(&report);
    } else {
        let signed = match &report.subject {
            Some(subject) => format!("signed by `{subject}`"),
            None => "its signature was not checked: no certificate was given".into(),
        };
        terminal.tell(&format!("{}: every block is right, {signed}", report.image.display()));
    }
    Ok(DONE)
}
