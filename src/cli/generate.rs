//! `layerforge schema`, `layerforge completions`, `layerforge man`: what the program says about itself.

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

/// Prints the manual page, with one section for each command.
pub(super) fn manual(terminal: &Terminal) -> Result<ExitCode, Error> {
    let mut page = Vec::new();
    let mut command = Arguments::command();
    command.build();
    let written = clap_mangen::Man::new(command.clone()).render(&mut page).and_then(|()| {
        command.get_subcommands().filter(|command| command.get_name() != "help").try_for_each(|command| {
            let title = format!("layerforge {}", command.get_name()).to_uppercase();
            page.extend(format!(".SH \"{title}\"\n").bytes());
            let manual = clap_mangen::Man::new(command.clone());
            manual.render_description_section(&mut page)?;
            manual.render_synopsis_section(&mut page)?;
            manual.render_options_section(&mut page)
        })
    });
    written.expect("writing to memory cannot fail");
    terminal.print(&String::from_utf8_lossy(&page));
    Ok(DONE)
}
