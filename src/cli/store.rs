//! `layerforge store`

use std::process::ExitCode;

use super::Session;
use super::args::{StoreAction, StoreArguments};
use super::terminal::{DONE, count};
use crate::error::Error;

pub(super) fn run(session: &Session<'_>, arguments: &StoreArguments) -> Result<ExitCode, Error> {
    match arguments.action {
        StoreAction::Gc => collect(session),
    }
}

fn collect(session: &Session<'_>) -> Result<ExitCode, Error> {
    let collected = session.store()?.collect()?;
    let terminal = session.terminal;
    if terminal.json {
        terminal.print_json(&collected);
        return Ok(DONE);
    }
    for left in &collected.left {
        terminal.print(&format!("{:10} {:>8} KiB in {} entries\n", left.name, left.bytes.div_ceil(1024), left.entries));
    }
    terminal.tell(&format!(
        "removed {} for folders that are gone, {} KiB",
        count(collected.removed, "record"),
        collected.freed.div_ceil(1024)
    ));
    Ok(DONE)
}

/// Says how many bytes something has.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{} KiB", bytes.div_ceil(1024)),
        _ => format!("{}.{} MiB", bytes >> 20, ((bytes & 0xf_ffff) * 10) >> 20),
    }
}
