//! Unit files as systemd reads them: systemd.syntax(7).

/// One assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    /// The line it begins on, from 1.
    pub(super) line: usize,
    /// What is set.
    pub(super) key: String,
    /// To what; nothing resets.
    pub(super) value: String,
}

/// Returns the assignments in every section called `section`.
pub(super) fn assignments(text: &str, section: &str) -> Vec<Assignment> {
    let mut found = Vec::new();
    let mut is_inside = false;
    for (line, text) in logical_lines(text) {
        let text = text.trim();
        if let Some(name) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            is_inside = name == section;
        } else if is_inside && let Some((key, value)) = text.split_once('=') {
            found.push(Assignment { line, key: key.trim_end().to_owned(), value: value.trim_start().to_owned() });
        }
    }
    found
}

/// Joins lines that a `\` at their end continues with a space in its place. Comments between them are skipped.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let trimmed = line.trim_start();
        if trimmed.starts_with(['#', ';']) || trimmed.is_empty() && open.is_none() {
            continue;
        }
        let (number, mut joined) = open.take().unwrap_or((index + 1, String::new()));
        if is_continued(line) {
            joined.push_str(&line[..line.len() - 1]);
            joined.push(' ');
            open = Some((number, joined));
        } else {
            joined.push_str(line);
            lines.push((number, joined));
        }
    }
    lines.extend(open);
    lines
}

/// Tells whether a line ends with a `\` that is not itself escaped.
fn is_continued(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}
