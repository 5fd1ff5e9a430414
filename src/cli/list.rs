//! `layerforge list`

use std::fmt::Write as _;
use std::process::ExitCode;

use super::Session;
use super::args::{ListArguments, ListKind};
use super::terminal::DONE;
use crate::engine::{self, Inventory, Selection};
use crate::error::Error;
use crate::spec::Origin;

pub(super) fn run(session: &Session<'_>, arguments: &ListArguments) -> Result<ExitCode, Error> {
    let selection = session.selection(&arguments.selection)?;
    let kinds = kinds(session, arguments, &selection)?;
    let inventory = engine::list(&session.project, &selection, kinds.contains(&ListKind::Variables))?;
    if session.terminal.json {
        session.terminal.print_json(&match arguments.kind {
            None => serde_json::json!(inventory),
            Some(ListKind::Profiles) => serde_json::json!(inventory.profiles),
            Some(ListKind::Layers) => serde_json::json!(inventory.layers),
            Some(ListKind::Distros) => serde_json::json!(inventory.distros),
            Some(ListKind::Variables) => serde_json::json!(inventory.variables),
        });
        return Ok(DONE);
    }
    let mut text = String::new();
    for kind in kinds {
        let (title, rows) = table(kind, &inventory);
        if arguments.kind.is_none() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}{title}", if text.is_empty() { "" } else { "\n" });
        }
        text.push_str(&columns(&rows, if arguments.kind.is_none() { "  " } else { "" }));
    }
    session.terminal.print(&text);
    Ok(DONE)
}

/// Returns what is listed: what is asked for, or everything, without the variables of a profile that is neither asked for
/// nor this project's own.
fn kinds(session: &Session<'_>, arguments: &ListArguments, selection: &Selection) -> Result<Vec<ListKind>, Error> {
    if let Some(kind) = arguments.kind {
        return Ok(vec![kind]);
    }
    let mut kinds = vec![ListKind::Profiles, ListKind::Layers, ListKind::Distros];
    let own = session.project.names("profiles", ".toml")?.get(selection.profile()) == Some(&Origin::Project);
    if selection.profile.is_some() || own {
        kinds.push(ListKind::Variables);
    }
    Ok(kinds)
}

fn table(kind: ListKind, inventory: &Inventory) -> (&'static str, Vec<Vec<String>>) {
    let origin = |origin: Origin| if origin == Origin::Builtin { "built in".to_owned() } else { "project".to_owned() };
    match kind {
        ListKind::Profiles => {
            let row = |(name, line): (&String, &engine::ProfileLine)| {
                vec![name.clone(), origin(line.origin), line.distros.join(" "), line.summary.clone()]
            };
            ("profiles", inventory.profiles.iter().map(row).collect())
        }
        ListKind::Layers => {
            let row = |(name, line): (&String, &engine::LayerLine)| {
                let tier = line.tier.map_or("", |tier| tier.word()).to_owned();
                vec![name.clone(), origin(line.origin), tier, line.summary.clone()]
            };
            ("layers", inventory.layers.iter().map(row).collect())
        }
        ListKind::Distros => {
            let row = |(name, line): (&String, &engine::DistroLine)| {
                let architectures = line.architectures.join(" ");
                vec![name.clone(), origin(line.origin), line.title.clone(), line.releases.join(" "), architectures]
            };
            ("distros (the first release is the default)", inventory.distros.iter().map(row).collect())
        }
        ListKind::Variables => {
            let row = |(name, variable): (&String, &crate::resolve::Variable)| {
                let value = variable.value.to_string();
                vec![name.clone(), format!("{value:?}"), format!("from {}", variable.origin), variable.help.clone()]
            };
            ("variables", inventory.variables.iter().map(row).collect())
        }
    }
}

/// Writes rows so that columns stand below each other.
fn columns(rows: &[Vec<String>], indent: &str) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = indent.to_owned();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
