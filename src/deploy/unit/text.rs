//! How a value is written so that systemd reads it as that value: systemd.syntax(7), systemd.unit(5) on specifiers.

use std::fmt::Write as _;
use std::time::Duration;

use super::super::CONTROL;
use super::DeployError;

/// The text of a unit, line by line.
#[derive(Debug, Default)]
pub(super) struct UnitText {
    text: String,
}

impl UnitText {
    /// Begins a section.
    pub(super) fn section(&mut self, name: &str) {
        let gap = if self.text.is_empty() || self.text.ends_with("\n\n") { "" } else { "\n" };
        let _ = writeln!(self.text, "{gap}[{name}]");
    }

    /// Adds a line. `value` is as systemd shall read it: whoever calls has quoted it.
    pub(super) fn set(&mut self, key: &str, value: impl AsRef<str>) {
        let _ = writeln!(self.text, "{key}={}", value.as_ref());
    }

    /// Adds a line when there is a value.
    pub(super) fn set_some(&mut self, key: &str, value: Option<impl AsRef<str>>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    /// Adds a line with a list, unless it is empty.
    pub(super) fn set_list(&mut self, key: &str, values: &[String]) {
        if !values.is_empty() {
            self.set(key, values.join(" "));
        }
    }

    /// Begins a paragraph of the section with a comment.
    pub(super) fn paragraph(&mut self, text: &str) {
        self.text.push('\n');
        self.comment(text);
    }

    /// Adds a comment.
    pub(super) fn comment(&mut self, text: &str) {
        let _ = writeln!(self.text, "# {}", super::super::quote::comment(text));
    }

    /// Returns the text.
    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// Writes one word of a list of words, such as an argument or an assignment. Nothing in it is a specifier; `$` is left
/// alone, which is right everywhere but in command lines (see `command`).
pub(in crate::deploy) fn word(what: &str, text: &str) -> Result<String, DeployError> {
    let mut quoted = String::with_capacity(text.len() + 2);
    for character in text.chars() {
        match character {
            '\0' => return Err(DeployError::unit(what, text, "a NUL")),
            '%' => quoted.push_str("%%"),
            '\\' | '"' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            control if control.is_ascii_control() => {
                let _ = write!(quoted, "\\x{:02x}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    let plain = |character: char| character.is_ascii_alphanumeric() || "_-./:=@%+,".contains(character);
    let is_plain = !text.is_empty() && text.chars().all(plain);
    Ok(if is_plain { quoted } else { format!("\"{quoted}\"") })
}

/// Writes a value that is the rest of its line and that systemd does not unquote.
pub(super) fn rest_of_line(what: &str, text: &str) -> Result<String, DeployError> {
    if text.chars().any(char::is_control) {
        return Err(DeployError::unit(what, text, CONTROL));
    }
    if text.trim() != text {
        return Err(DeployError::unit(what, text, "a space at its beginning or end"));
    }
    if text.ends_with('\\') {
        return Err(DeployError::unit(what, text, "a `\\` at its end, which continues a line"));
    }
    Ok(text.replace('%', "%%"))
}

/// Writes a text that people read on one line: a description.
pub(super) fn description(text: &str) -> String {
    let line: String = super::super::quote::comment(text).replace('%', "%%");
    line.trim().trim_end_matches('\\').trim_end().to_owned()
}

/// Writes a path as one word of a list whose words may hold `PATH:PATH`, so that a `:` of its own does not separate.
pub(super) fn path_word(what: &str, text: &str) -> Result<String, DeployError> {
    if text.contains(':') {
        return Err(DeployError::unit(what, text, "a `:`, which separates the two paths of a mount"));
    }
    word(what, text)
}

/// Writes a span of time. Nothing would mean "for ever" to systemd, so it is the shortest there is.
pub(super) fn duration(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    match milliseconds {
        0 => "1us".to_owned(),
        whole if whole % 1000 == 0 => format!("{}s", whole / 1000),
        other => format!("{other}ms"),
    }
}

/// Writes a number of bytes with the largest suffix that loses nothing; systemd's are powers of 1024.
pub(super) fn bytes(count: u64) -> String {
    match count.trailing_zeros() {
        _ if count == 0 => "0".to_owned(),
        30.. => format!("{}G", count >> 30),
        20.. => format!("{}M", count >> 20),
        10.. => format!("{}K", count >> 10),
        _ => count.to_string(),
    }
}
