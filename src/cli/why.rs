//! `layerforge why`

use std::fmt::Write as _;
use std::process::ExitCode;

use super::Session;
use super::args::WhyArguments;
use super::diagnostic::escaped;
use super::terminal::{DONE, Style};
use crate::engine::{self, Why, Word};
use crate::error::Error;

pub(super) fn run(session: &Session<'_>, arguments: &WhyArguments) -> Result<ExitCode, Error> {
    let path = arguments.path.parse().map_err(|error: crate::tree::InvalidPath| Error::usage(error.to_string()))?;
    let selection = session.selection(&arguments.selection)?;
    let store = session.store()?;
    let answers = engine::why(&session.project, &selection, &path, &store.archives())?;
    if session.terminal.json {
        session.terminal.print_json(&answers);
    } else {
        session.terminal.print(&text(&answers, session.terminal.output_style()));
    }
    Ok(DONE)
}

/// Writes answers as text; targets with the same answer share one.
fn text(answers: &[Why], style: Style) -> String {
    let mut groups: Vec<(Vec<&str>, String)> = Vec::new();
    for answer in answers {
        let body = body(answer, style);
        match groups.iter_mut().find(|(_, known)| *known == body) {
            Some((targets, _)) => targets.push(&answer.target),
            None => groups.push((vec![&answer.target], body)),
        }
    }
    let mut text = String::new();
    for (targets, body) in groups {
        // Writing to a string cannot fail.
        let path = style.paint(Style::BOLD, &escaped(&answers[0].path.to_string()));
        let _ = writeln!(text, "{path} ({})", targets.join(", "));
        text.push_str(&body);
    }
    text
}

fn body(answer: &Why, style: Style) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "  is {}", answer.result.as_deref().unwrap_or("not there"));
    if let Some(count) = answer.holds {
        let _ = writeln!(text, "  no layer describes it; it is there for the {count} paths below it");
    }
    for word in &answer.words {
        describe(word, style, &mut text);
    }
    text
}

fn describe(word: &Word, style: Style, text: &mut String) {
    let mark = if word.wins { style.paint(Style::GREEN, "→") } else { " ".into() };
    let section = word.section.as_ref().map(|section| format!(", only in {section}/")).unwrap_or_default();
    let _ = writeln!(text, "{mark} {} ({} tier): {} from {}{section}", word.layer, word.tier, word.action, word.origin);
    for reason in &word.decided_by {
        let value = reason.value.as_ref().map(|value| format!(" = {value:?}")).unwrap_or_default();
        let lines = style.paint(Style::FAINT, &places(&reason.lines));
        let _ = writeln!(text, "      decided by {}{value}{lines}", reason.name);
    }
}

/// Writes places so that the name of a file is there once: `nginx.conf.j2:3, 5`.
fn places(lines: &[String]) -> String {
    let mut text = String::new();
    let mut last = "";
    for place in lines {
        let (file, line) = place.rsplit_once(':').unwrap_or((place, ""));
        let _ = match (text.is_empty(), file == last) {
            (true, _) => write!(text, " at {place}"),
            (false, true) => write!(text, ", {line}"),
            (false, false) => write!(text, ", {place}"),
        };
        last = file;
    }
    text
}
