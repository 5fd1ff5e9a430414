//! `layerforge verify`

use std::process::ExitCode;

use super::Session;
use super::args::VerifyArguments;
use super::terminal::{DONE, count};
use crate::engine;
use crate::error::Error;

pub(super) fn run(session: &Session<'_>, arguments: &VerifyArguments) -> Result<ExitCode, Error> {
    let terminal = session.terminal;
    let report = engine::verify(&session.store()?, &arguments.image, arguments.certificate.as_deref())?;
    if terminal.json {
        terminal.print_json(&report);
        return Ok(DONE);
    }
    let signed = match &report.subject {
        Some(subject) => format!("signed by `{subject}`"),
        None => "its signature was not checked: no certificate was given".into(),
    };
    let right = match report.blobs {
        Some(blobs) => {
            let images = count(report.manifests.len(), "image");
            format!("every blob is right ({}, {images})", count(blobs, "blob"))
        }
        None => "every block is right".into(),
    };
    terminal.tell(&format!("{}: {right}, {signed}", report.image.display()));
    Ok(DONE)
}
