//! `layerforge why`

use std::fmt::Write as _;
use std::process::ExitCode;

use super::Session;
use super::args::WhyArguments;
use super::diagnostic::escaped;
use super::terminal::{DONE, Style};
use super::why_package::link;
use crate::engine::{self, OfPackages, Why, Word};
use crate::error::Error;

pub(super) fn run(session: &Session<'_>, arguments: &WhyArguments) -> Result<ExitCode, Error> {
    let path = arguments.path.parse().map_err(|error: crate::tree::InvalidPath| Error::usage(error.to_string()))?;
    let selection = session.selection(&arguments.selection)?;
    let store = session.store()?;
    let answers = engine::why(&session.project, &store, &selection, &path)?;
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
    let of_packages = answer.packages.as_ref().map(|packages| packages.result.as_str());
    // A directory that only leads to what layers have is as packages have it.
    let led_through = answer.words.is_empty() && answer.result.is_some();
    let result = if led_through { of_packages.or(answer.result.as_deref()) } else { answer.result.as_deref() };
    let is_removed = answer.words.iter().any(|word| word.wins);
    let result = result.or(of_packages.filter(|_| !is_removed));
    let _ = writeln!(text, "  is {}", result.unwrap_or("not there"));
    if let Some(packages) = &answer.packages {
        below(packages, !is_removed, style, &mut text);
    }
    if let Some(count) = answer.holds {
        let _ = writeln!(text, "  no layer describes it; it is there for the {count} paths below it");
    }
    for word in &answer.words {
        describe(word, style, &mut text);
    }
    text
}

/// Writes what packages have at a path; their word `wins` when no layer has one.
fn below(packages: &OfPackages, wins: bool, style: Style, text: &mut String) {
    let mark = if wins { style.paint(Style::GREEN, "→") } else { " ".into() };
    let Some((first, rest)) = packages.chain.split_first() else {
        let _ = writeln!(text, "{mark} packages: {}, of several or made by their scripts", packages.result);
        return;
    };
    let _ = writeln!(text, "{mark} package {}", link(first));
    for one in rest {
        let _ = writeln!(text, "      {}", link(one));
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::why_package::tests::chain;

    #[test]
    fn packages_and_layers_have_a_word() {
        let chain = chain();
        let word = Word {
            layer: "site".into(),
            tier: "application",
            action: "file",
            wins: true,
            origin: "layers/site/files".into(),
            section: None,
            decided_by: Vec::new(),
        };
        let answer = |target: &str, result: Option<&str>, words: Vec<Word>, chain| Why {
            target: target.into(),
            path: "/usr/lib/libz.so".parse().unwrap(),
            result: result.map(str::to_owned),
            words,
            packages: Some(OfPackages { result: "file 0644 0:0 9 bytes".into(), chain }),
            holds: None,
        };
        let answers = [
            answer("debian", None, Vec::new(), chain.clone()),
            answer("ubuntu", Some("file 0644 0:0 3 bytes"), vec![word], chain),
            answer("devuan", None, Vec::new(), Vec::new()),
        ];
        insta::assert_snapshot!(text(&answers, Style { coloured: false }));
    }
}
