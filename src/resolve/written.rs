//! Where a part of a string stands in the document that holds it, with its quotes and escapes.

use std::ops::Range;

use crate::spec::Place;

/// Returns the place of the bytes `part` of `text`, which is written at `place`; the whole place when the document does
/// not hold the text as it is.
pub(super) fn part(place: &Place, text: &str, part: Range<usize>) -> Place {
    let raw = place.text();
    let (inner, start, escapes) = contents(raw);
    let characters = match escapes {
        true => unescape(inner),
        false => Some(inner.char_indices().collect()),
    };
    let Some(characters) = characters.filter(|found| found.iter().map(|(_, character)| *character).eq(text.chars()))
    else {
        return place.clone();
    };
    let offset_of = |wanted: usize| {
        let mut decoded = 0;
        for (offset, character) in &characters {
            if decoded >= wanted {
                return start + offset;
            }
            decoded += character.len_utf8();
        }
        start + inner.len()
    };
    let (first, last) = (offset_of(part.start), offset_of(part.end.max(part.start)));
    Place { span: place.span.start + first..place.span.start + last, ..place.clone() }
}

/// Returns what is between the quotes of a TOML string, where it begins, and whether it has escapes.
fn contents(raw: &str) -> (&str, usize, bool) {
    for (quotes, escapes) in [("\"\"\"", true), ("'''", false), ("\"", true), ("'", false)] {
        let Some(inner) = raw.strip_prefix(quotes).and_then(|rest| rest.strip_suffix(quotes)) else { continue };
        // A newline right after three quotes is not part of the string (TOML 1.0, multi-line strings).
        let newline = match (quotes.len(), inner) {
            (3, inner) if inner.starts_with("\r\n") => 2,
            (3, inner) if inner.starts_with('\n') => 1,
            _ => 0,
        };
        return (&inner[newline..], quotes.len() + newline, escapes);
    }
    (raw, 0, false)
}

/// Returns the characters of a basic string with the offset each is written at; nothing for escapes that TOML does not
/// have.
fn unescape(inner: &str) -> Option<Vec<(usize, char)>> {
    let mut characters = Vec::new();
    let mut rest = inner.char_indices().peekable();
    while let Some((offset, character)) = rest.next() {
        if character != '\\' {
            characters.push((offset, character));
            continue;
        }
        let (_, escape) = rest.next()?;
        let digits = match escape {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            blank if blank.is_whitespace() => {
                // A backslash at the end of a line takes the line's end and all blanks after it away.
                while rest.next_if(|(_, character)| character.is_ascii_whitespace()).is_some() {}
                continue;
            }
            plain => {
                let decoded = match plain {
                    'b' => '\u{8}',
                    't' => '\t',
                    'n' => '\n',
                    'f' => '\u{c}',
                    'r' => '\r',
                    'e' => '\u{1b}',
                    '"' | '\\' => plain,
                    _ => return None,
                };
                characters.push((offset, decoded));
                continue;
            }
        };
        let hexadecimal: String = (0..digits).map_while(|_| rest.next()).map(|(_, digit)| digit).collect();
        characters.push((offset, char::from_u32(u32::from_str_radix(&hexadecimal, 16).ok()?)?));
    }
    Some(characters)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::spec::{Located, Source, Table, parse};

    /// Returns what the document shows for the first `{{ x }}` of its only value.
    fn shown(toml: &str) -> String {
        let source = Arc::new(Source { name: "x.toml".into(), path: None, text: toml.into() });
        let table: Table<String, Located<String>> = parse(&source).unwrap();
        let value = table.values().next().unwrap();
        let at = value.find("{{ x }}").unwrap();
        part(&value.place, value, at..at + 7).text().to_owned()
    }

    #[test]
    fn parts_are_found_in_every_kind_of_string() {
        for toml in [
            "k = '{{ x }}'",
            "k = \"a {{ x }} b\"",
            "k = \"\\t\\u00e9\\U0001F600\\\\é{{ x }}\"",
            "k = '''\n\\t'' {{ x }}'''",
            "k = \"\"\"\r\none\\\n   two\\n{{ x }}\\\"\"\"\"",
        ] {
            assert_eq!(shown(toml), "{{ x }}", "{toml}");
        }
    }

    #[test]
    fn a_text_that_is_written_otherwise_is_shown_whole() {
        let source = Arc::new(Source { name: "x".into(), path: None, text: "k = 'abc'".into() });
        let place = Place { source, span: 4..9 };
        assert_eq!(part(&place, "other", 1..2).text(), "'abc'");
    }
}
