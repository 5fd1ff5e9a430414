//! Problems as a person or a program reads them.
//!
//! Comes in: a [`Problem`]. Goes out: text that looks like a message of rustc, or JSON. Always holds: the text does not
//! depend on the width of the terminal, ends with a newline, and holds no control character of what a user wrote.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};

use crate::spec::{Place, Problem, Severity};

/// Returns the text of a problem: message, place, the line with carets, the rule and what to do.
pub fn text(problem: &Problem, colour: bool) -> String {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(escaped(&problem.message)));
    for shown in files(problem) {
        group = match shown.annotations.is_empty() {
            true => group.element(Origin::path(escaped(&shown.place.source.name))),
            false => group.element(snippet(&shown)),
        };
    }
    for (place, label) in problem.related.iter().filter(|(place, _)| place.is_whole()) {
        group = group.element(Level::NOTE.message(escaped(&format!("{label}: `{}`", place.source.name)).into_owned()));
    }
    if let Some(rule) = &problem.rule {
        group = group.element(Level::NOTE.message(escaped(rule)));
    }
    if let Some(help) = &problem.help {
        group = group.element(Level::HELP.message(escaped(help)));
    }
    let renderer = if colour { Renderer::styled().hyperlink(false) } else { Renderer::plain() };
    let mut text = renderer.render(&[group]);
    text.push('\n');
    text
}

/// Returns a problem as an object: `severity`, `message`, `file`, `line`, `column`, `end_line`, `end_column`, `label`,
/// `rule`, `help` and `related`. What a problem does not have is null; lines and columns count from 1, columns are
/// characters, and the end is the first character after the mistake.
pub fn json(problem: &Problem) -> Value {
    let mut value = json!({ "severity": problem.severity, "message": problem.message });
    put_place(&mut value, problem.place.as_ref());
    value["label"] = (!problem.label.is_empty()).then_some(problem.label.as_str()).into();
    value["rule"] = problem.rule.as_deref().into();
    value["help"] = problem.help.as_deref().into();
    let related = problem.related.iter().map(|(place, label)| {
        let mut related = json!({ "label": label });
        put_place(&mut related, Some(place));
        related
    });
    value["related"] = related.collect();
    value
}

fn put_place(value: &mut Value, place: Option<&Place>) {
    let exact = place.filter(|place| !place.is_whole());
    let start = exact.map(Place::line_column);
    let end = exact.map(|place| Place { span: place.span.end..place.span.end, ..place.clone() }.line_column());
    value["file"] = place.map(|place| place.source.name.as_str()).into();
    value["line"] = start.map(|(line, _)| line).into();
    value["column"] = start.map(|(_, column)| column).into();
    value["end_line"] = end.map(|(line, _)| line).into();
    value["end_column"] = end.map(|(_, column)| column).into();
}

/// A file of a problem, with what is marked in it.
struct Shown<'problem> {
    place: &'problem Place,
    annotations: Vec<(AnnotationKind, &'problem Place, &'problem str)>,
}

/// Returns the files of a problem that have a line to show, that of its own place first, each once. A whole file has
/// nothing marked in it.
fn files(problem: &Problem) -> Vec<Shown<'_>> {
    let primary = problem.place.iter().map(|place| (AnnotationKind::Primary, place, problem.label.as_str()));
    let related = problem.related.iter().map(|(place, label)| (AnnotationKind::Context, place, label.as_str()));
    let related = related.filter(|(_, place, _)| !place.is_whole());
    let mut files: Vec<Shown<'_>> = Vec::new();
    for (kind, place, label) in primary.chain(related) {
        let index = files.iter().position(|shown| Arc::ptr_eq(&shown.place.source, &place.source));
        let index = index.unwrap_or_else(|| {
            files.push(Shown { place, annotations: Vec::new() });
            files.len() - 1
        });
        if !place.is_whole() {
            files[index].annotations.push((kind, place, label));
        }
    }
    files
}

fn snippet<'problem>(shown: &Shown<'problem>) -> Snippet<'problem, annotate_snippets::Annotation<'problem>> {
    let source = &shown.place.source;
    let annotations = shown.annotations.iter().map(|(kind, place, label)| {
        let label = (!label.is_empty()).then(|| escaped(label));
        kind.span(first_line(place)).label(label)
    });
    Snippet::source(visible(&source.text)).path(escaped(&source.name)).annotations(annotations.collect::<Vec<_>>())
}

/// Returns the part of a place that is in its first line: what follows would only push the message apart.
fn first_line(place: &Place) -> std::ops::Range<usize> {
    let text = &place.source.text;
    let start = text.floor_char_boundary(place.span.start);
    let end = text.ceil_char_boundary(place.span.end).max(start);
    let length = text[start..end].find('\n').unwrap_or(end - start);
    let length = if text[start..start + length].ends_with('\r') { length - 1 } else { length };
    start..start + length
}

/// Returns a text of one line in which every character can be seen, and none does anything to a terminal.
pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_active) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            active if is_active(active) => {
                write!(safe, "{}", active.escape_unicode()).expect("writing to a string cannot fail");
            }
            plain => safe.push(plain),
        }
    }
    Cow::Owned(safe)
}

/// Returns a source in which no character does anything to a terminal, of the same length in bytes, so that places
/// stay where they are. ASCII is left to the renderer, which shows each character as a picture of its own.
fn visible(text: &str) -> Cow<'_, str> {
    let active = |character: char| is_active(character) && !character.is_ascii();
    if !text.contains(active) {
        return Cow::Borrowed(text);
    }
    let replaced = text.chars().map(|character| match (active(character), character.len_utf8()) {
        (true, 2) => '¿',
        (true, 3) => '\u{fffd}',
        (true, _) => '\u{1fbc4}',
        (false, _) => character,
    });
    Cow::Owned(replaced.collect())
}

/// Tells whether a character moves the cursor, changes the direction of writing or cannot be seen.
fn is_active(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Source;

    fn source(name: &str, text: &str) -> Arc<Source> {
        Arc::new(Source { name: name.into(), path: None, text: text.into() })
    }

    fn place(source: &Arc<Source>, part: &str) -> Place {
        let start = source.text.find(part).unwrap();
        Place { source: Arc::clone(source), span: start..start + part.len() }
    }

    #[test]
    fn shows_every_part() {
        let one = source("profiles/web.toml", "a = 1\n\n[file.'/é']\nmode = 420\nowner = 'x'\n");
        let other = source("layers/base/layer.toml", "x = 2\ny = 3\n");
        let problem = Problem::at(&place(&one, "420"), "the mode is a number")
            .label("not in quotes")
            .related(&place(&one, "'/é'"), "of this file")
            .related(&place(&other, "y = 3"), "and of this")
            .rule("three or four octal digits")
            .help("write `\"0644\"`");
        insta::assert_snapshot!(text(&problem, false), @r#"
        error: the mode is a number
         --> profiles/web.toml:4:8
          |
        3 | [file.'/é']
          |       ---- of this file
        4 | mode = 420
          |        ^^^ not in quotes
          |
         ::: layers/base/layer.toml:2:1
          |
        2 | y = 3
          | ----- and of this
          |
          = note: three or four octal digits
          = help: write `"0644"`
        "#);
        insta::assert_snapshot!(serde_json::to_string_pretty(&json(&problem)).unwrap(), @r#"
        {
          "severity": "error",
          "message": "the mode is a number",
          "file": "profiles/web.toml",
          "line": 4,
          "column": 8,
          "end_line": 4,
          "end_column": 11,
          "label": "not in quotes",
          "rule": "three or four octal digits",
          "help": "write `\"0644\"`",
          "related": [
            {
              "label": "of this file",
              "file": "profiles/web.toml",
              "line": 3,
              "column": 7,
              "end_line": 3,
              "end_column": 11
            },
            {
              "label": "and of this",
              "file": "layers/base/layer.toml",
              "line": 2,
              "column": 1,
              "end_line": 2,
              "end_column": 6
            }
          ]
        }
        "#);
    }

    #[test]
    fn a_whole_file_has_no_line() {
        let file = source("layers/x/layer.toml", "summary = 'x'\n");
        let problem = Problem::at(&Place::whole(&file), "the layer `x` has no `tier`").help("add one");
        insta::assert_snapshot!(text(&problem, false), @r#"
        error: the layer `x` has no `tier`
        --> layers/x/layer.toml
         = help: add one
        "#);
        assert_eq!((&json(&problem)["file"], &json(&problem)["line"]), (&"layers/x/layer.toml".into(), &Value::Null));
    }

    #[test]
    fn without_a_place_there_is_the_message() {
        let problem = Problem::anywhere("unknown profile `wbe`").warning().rule("a name").help("did you mean `web`?");
        insta::assert_snapshot!(text(&problem, false), @r#"
        warning: unknown profile `wbe`
         |
         = note: a name
         = help: did you mean `web`?
        "#);
    }

    #[test]
    fn carets_stand_under_wide_characters_tabs_and_the_end_of_the_text() {
        let file = source("x", "a\t= '日本' # ü\nb = ");
        let mut shown = text(&Problem::at(&place(&file, "日本"), "m"), false);
        let end = file.text.len();
        shown.push_str(&text(&Problem::at(&Place { source: Arc::clone(&file), span: end..end }, "end"), false));
        let lines = source("y", "a = [\r\n 1,\r\n]\r\n");
        shown.push_str(&text(&Problem::at(&place(&lines, "[\r\n 1,\r\n]"), "many lines"), false));
        insta::assert_snapshot!(shown, @r#"
        error: m
         --> x:1:6
          |
        1 | a    = '日本' # ü
          |         ^^^^
        error: end
         --> x:2:5
          |
        2 | b = 
          |     ^
        error: many lines
         --> y:1:5
          |
        1 | a = [
          |     ^
        "#);
    }

    #[test]
    fn nothing_a_user_wrote_reaches_the_terminal_raw() {
        let hostile = "\u{1b}[2J\u{7}\u{9b}31m\u{202e}\u{200b}\r\u{e0041}\u{ad}";
        let file = source(&format!("name{hostile}"), &format!("x = '{hostile}'\ny = 1\n"));
        let problem = Problem::at(&place(&file, "'"), hostile)
            .label(hostile)
            .related(&place(&file, "y"), hostile)
            .rule(format!("{hostile}\nerror: forged"))
            .help(hostile);
        let plain = text(&problem, false);
        assert!(!plain.contains(|character| character != '\n' && is_active(character)), "{plain:?}");
        assert!(!plain.contains("\nerror: forged"));
        let coloured = text(&problem, true);
        assert!(coloured.contains("\u{1b}[1m"), "colour is made by the renderer");
        assert!(!coloured.contains("\u{1b}[2J"));
    }
}
