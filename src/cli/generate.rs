//! `layerforge schema` and `layerforge completions`: what other programs learn about this one.

use std::process::ExitCode;

use clap::CommandFactory;

use super::args::{Arguments, SchemaKind};
use super::terminal::{DONE, Terminal};
use crate::error::Error;

/// Prints the JSON Schema of a kind of document.
pub(super) fn schema(terminal: &Terminal, kind: SchemaKind) -> Result<ExitCode, Error> {
    let kind = match kind {
        SchemaKind::Profile => crate::spec::DocumentKind::Profile,
        SchemaKind::Layer => crate::spec::DocumentKind::Layer,
        SchemaKind::Distro => crate::spec::DocumentKind::Distro,
    };
    terminal.print(&crate::engine::schema_text(kind));
    Ok(DONE)
}

/// Prints a completion script.
pub(super) fn completions(terminal: &Terminal, shell: clap_complete::Shell) -> Result<ExitCode, Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "layerforge", &mut script);
    terminal.print(&String::from_utf8_lossy(&script));
    Ok(DONE)
}
