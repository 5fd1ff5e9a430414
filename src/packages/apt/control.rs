//! Files of fields in stanzas (deb822(5), Debian Policy 5.1).
//!
//! Comes in: text. Goes out: stanza after stanza, borrowed from it. Always holds: no field stands twice in a stanza; an
//! error names file, line and what is wrong.

use std::fmt;

use memchr::memchr;

/// A file of stanzas that is not written as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{file}`, line {line}: {fault}")]
pub struct ControlError {
    /// The file, as people know it.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub fault: String,
}

/// One field of a stanza.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<'text> {
    /// Its name, as written.
    pub name: &'text [u8],
    /// Its value without the space around it; further lines follow with the space that they begin with.
    pub value: &'text [u8],
    /// Where the value begins in the text.
    pub offset: usize,
}

impl fmt::Debug for Field<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.name.escape_ascii(), self.value.escape_ascii())
    }
}

/// The fields of one stanza, in their order.
#[derive(Debug, Clone, Default)]
pub struct Stanza<'text> {
    fields: Vec<Field<'text>>,
    /// Where it begins in the text.
    pub offset: usize,
}

impl<'text> Stanza<'text> {
    /// Returns the value of a field; the case of its name does not matter.
    pub fn get(&self, name: &str) -> Option<&'text [u8]> {
        self.field(name).map(|field| field.value)
    }

    /// Returns a field; the case of its name does not matter.
    pub fn field(&self, name: &str) -> Option<&Field<'text>> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// Returns the fields in their order.
    pub fn fields(&self) -> &[Field<'text>] {
        &self.fields
    }
}

/// Reads stanza after stanza.
#[derive(Debug)]
pub struct Reader<'text> {
    file: &'text str,
    text: &'text [u8],
    position: usize,
    /// The lines of the file before this text.
    line: usize,
}

impl<'text> Reader<'text> {
    /// Returns a reader of `text`, which messages call `file`.
    pub fn new(file: &'text str, text: &'text [u8]) -> Self {
        Self { file, text, position: 0, line: 0 }
    }

    /// Says that the text is a part of its file, behind so many lines.
    pub fn after_lines(self, line: usize) -> Self {
        Self { line, ..self }
    }

    /// Returns an error at a byte of the text.
    pub fn error(&self, offset: usize, fault: impl Into<String>) -> ControlError {
        let before = &self.text[..offset.min(self.text.len())];
        let line = self.line + 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        ControlError { file: self.file.to_owned(), line, fault: fault.into() }
    }

    /// Reads the next stanza into `stanza`; tells whether there was one.
    ///
    /// # Errors
    /// When a line is neither a field nor the continuation of one, or a field stands twice.
    pub fn next(&mut self, stanza: &mut Stanza<'text>) -> Result<bool, ControlError> {
        stanza.fields.clear();
        // One bit for the hash of each name: only names that share one have to be compared.
        let mut seen = 0_u64;
        while self.position < self.text.len() {
            let start = self.position;
            let rest = &self.text[start..];
            let line = &rest[..memchr(b'\n', rest).unwrap_or(rest.len())];
            self.position += (line.len() + 1).min(rest.len());
            match line.first() {
                None | Some(b'\r') if line.trim_ascii().is_empty() => {
                    if stanza.fields.is_empty() {
                        continue;
                    }
                    return Ok(true);
                }
                Some(b' ' | b'\t') => self.continue_field(stanza, start, line)?,
                _ => {
                    if stanza.fields.is_empty() {
                        stanza.offset = start;
                    }
                    let field = self.field(start, line)?;
                    let bit = 1 << hash(field.name);
                    if seen & bit != 0 && stanza.fields.iter().any(|other| other.name.eq_ignore_ascii_case(field.name))
                    {
                        return Err(self.error(start, format!("the field `{}` stands twice", shown(field.name))));
                    }
                    seen |= bit;
                    stanza.fields.push(field);
                }
            }
        }
        Ok(!stanza.fields.is_empty())
    }

    fn field(&self, start: usize, line: &'text [u8]) -> Result<Field<'text>, ControlError> {
        let Some(colon) = memchr(b':', line) else {
            return Err(self.error(start, "expected `Field: value`, a line that begins with a space, or an empty line"));
        };
        let name = &line[..colon];
        if name.is_empty() || !name.iter().all(|byte| byte.is_ascii_graphic()) || matches!(name[0], b'#' | b'-') {
            return Err(self.error(start, format!("`{}` is no name of a field", shown(name))));
        }
        let value = line[colon + 1..].trim_ascii();
        let offset = start + colon + 1 + (line.len() - colon - 1 - line[colon + 1..].trim_ascii_start().len());
        Ok(Field { name, value, offset })
    }

    /// Takes a further line into the last field.
    fn continue_field(&self, stanza: &mut Stanza<'text>, start: usize, line: &[u8]) -> Result<(), ControlError> {
        let Some(field) = stanza.fields.last_mut() else {
            return Err(self.error(start, "a line that begins with a space follows no field"));
        };
        let end = start + line.trim_ascii_end().len().max(1);
        field.value = &self.text[field.offset.min(end)..end];
        Ok(())
    }
}

/// Reads a file that has a single stanza.
///
/// # Errors
/// When it has none or several, or is not written as it should be.
pub fn single<'text>(file: &'text str, text: &'text [u8]) -> Result<Stanza<'text>, ControlError> {
    let mut reader = Reader::new(file, text);
    let mut stanza = Stanza::default();
    if !reader.next(&mut stanza)? {
        return Err(reader.error(0, "there is no field"));
    }
    let mut other = Stanza::default();
    if reader.next(&mut other)? {
        return Err(reader.error(other.offset, "there is a second stanza; expected one"));
    }
    Ok(stanza)
}

/// Returns a number below 64 for a name; its case does not matter.
fn hash(name: &[u8]) -> u32 {
    let hash = name.iter().fold(0_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte | 0x20)));
    hash.wrapping_mul(0x9E37_79B9) >> 26
}

/// Returns text from outside for a message: printable, and not long.
pub(super) fn shown(text: &[u8]) -> String {
    const LONGEST: usize = 100;
    let end = text.len().min(LONGEST);
    let more = if end < text.len() { "…" } else { "" };
    format!("{}{more}", text[..end].escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stanzas(text: &str) -> Result<Vec<Vec<String>>, ControlError> {
        let mut reader = Reader::new("Packages", text.as_bytes());
        let mut stanza = Stanza::default();
        let mut all = Vec::new();
        while reader.next(&mut stanza)? {
            all.push(stanza.fields().iter().map(|field| format!("{field:?}")).collect());
        }
        Ok(all)
    }

    #[test]
    fn stanzas_and_their_fields() {
        let text = "\n\nPackage: a\nDescription: one\n two\n .\n three  \nEmpty:\n\n \t\n";
        let error = stanzas(text).unwrap_err();
        assert_eq!(error.to_string(), "`Packages`, line 10: a line that begins with a space follows no field");
        let text = "\n\nPackage: a\nDescription: one\n two\n .\n three  \nEmpty:\n\n\nPackage:b";
        let expected: &[&[&str]] =
            &[&["Package: a", "Description: one\\n two\\n .\\n three", "Empty: "], &["Package: b"]];
        assert_eq!(stanzas(text).unwrap(), expected);
        let text = "Conffiles:\n /etc/a 1\n /etc/b 2\nNext: 1\n";
        assert_eq!(stanzas(text).unwrap(), [["Conffiles: \\n /etc/a 1\\n /etc/b 2", "Next: 1"]]);
    }

    #[test]
    fn mistakes_name_their_line() {
        for (text, expected) in [
            (
                "A: 1\nb\n",
                "`Packages`, line 2: expected `Field: value`, a line that begins with a space, or an empty line",
            ),
            ("A: 1\nB: 2\na: 3\n", "`Packages`, line 3: the field `a` stands twice"),
            ("A: 1\n\n# x: 2\n", "`Packages`, line 3: `# x` is no name of a field"),
            (": 1\n", "`Packages`, line 1: `` is no name of a field"),
        ] {
            assert_eq!(stanzas(text).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn a_single_stanza_is_one() {
        let stanza = single("control", b"Package: a\nVersion: 1\n").unwrap();
        assert_eq!(stanza.get("VERSION"), Some(&b"1"[..]));
        assert_eq!(single("control", b"\n").unwrap_err().fault, "there is no field");
        assert!(single("control", b"A: 1\n\nB: 2\n").unwrap_err().fault.starts_with("there is a second stanza"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_a_panic(text in "[A-Ba:#\\- \t\r\n]{0,40}") {
            let _ = stanzas(&text);
        }
    }
}
