//! `layerforge graph`
//!
//! Comes in: a [`Graph`] of the engine. Goes out: its text in the language of Graphviz, or a picture. Always holds: both
//! show the same words, and a layer of any number of paths takes a bounded number of lines.

mod dot;
mod layout;
mod svg;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use super::Session;
use super::args::{GraphArguments, GraphFormat};
use super::terminal::DONE;
use crate::engine::{self, Graph, GraphEntry, Group};
use crate::error::Error;

pub(super) fn run(session: &Session<'_>, arguments: &GraphArguments) -> Result<ExitCode, Error> {
    let selection = session.selection(&arguments.selection)?;
    let store = session.store()?;
    let graph = engine::graph(&session.project, &selection, &store.archives())?;
    match arguments.format {
        _ if session.terminal.json => session.terminal.print_json(&graph),
        GraphFormat::Dot => session.terminal.print(&dot::text(&graph)),
        GraphFormat::Svg => session.terminal.print(&svg::text(&graph)),
    }
    Ok(DONE)
}

/// The lines of a group; one that has just one path more shows that as well.
const SHOWN: usize = 5;

/// One line of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    text: String,
    /// The targets that have it, when not all do.
    note: String,
    look: Look,
}

/// How a line of a group looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// A path that is there.
    Plain,
    /// A path that the layer takes away.
    Removed,
    /// A path that a higher layer replaces.
    Replaced,
    /// Words about what is not shown.
    Muted,
}

/// Returns the lines of a group, relative to its directory: every path when there are few, otherwise what stands in the
/// directory itself, with the number of paths below each directory in it.
fn rows(group: &Group) -> Vec<Row> {
    if group.entries.len() <= SHOWN + 1 {
        return group.entries.iter().map(|entry| row(group, entry)).collect();
    }
    let children = children(group);
    let shown = if children.len() <= SHOWN + 1 { children.len() } else { SHOWN };
    let mut rows: Vec<Row> = children[..shown]
        .iter()
        .map(|(name, entries)| match entries[..] {
            [entry] => row(group, entry),
            _ => {
                let text = format!("{}/", visible(&String::from_utf8_lossy(name)));
                Row { text, note: format!("{} paths", thousands(entries.len())), look: Look::Plain }
            }
        })
        .collect();
    let rest: usize = children[shown..].iter().map(|(_, entries)| entries.len()).sum();
    if rest > 0 {
        rows.push(Row { text: format!("+ {} more", thousands(rest)), note: String::new(), look: Look::Muted });
    }
    rows
}

/// Returns the entries of a group by the name in its directory that they have or are below, sorted.
fn children(group: &Group) -> Vec<(&[u8], Vec<&GraphEntry>)> {
    let mut children: Vec<(&[u8], Vec<&GraphEntry>)> = Vec::new();
    for entry in &group.entries {
        let name = group.name_in(&entry.path);
        match children.last_mut().filter(|(last, _)| *last == name) {
            Some((_, entries)) => entries.push(entry),
            None => children.push((name, vec![entry])),
        }
    }
    children
}

fn row(group: &Group, entry: &GraphEntry) -> Row {
    let path = entry.path.to_string();
    let directory = group.directory.to_string();
    let mut text = path.strip_prefix(&directory).unwrap_or(&path).trim_start_matches('/').to_owned();
    let look = match (entry.kind, entry.replaced_by) {
        ("whiteout", _) => Look::Removed,
        (_, Some(_)) => Look::Replaced,
        (_, None) => Look::Plain,
    };
    match (entry.kind, &entry.link) {
        ("directory", _) => text.push('/'),
        ("whiteout", _) => text.insert_str(0, "\u{2212} "),
        (_, Some(link)) => text = format!("{text} \u{2192} {link}"),
        _ => {}
    }
    Row { text: visible(&text), note: visible(&entry.targets.join(", ")), look }
}

/// Replaces what has no picture, or none that XML allows.
fn visible(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

/// Writes a number with commas between its thousands.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Says what a graph is of: `default for alpine, debian`.
fn title(graph: &Graph) -> String {
    let name = graph.profiles.first().map_or("", |profile| profile.name.as_str());
    format!("{name} for {}", graph.targets.join(", "))
}
