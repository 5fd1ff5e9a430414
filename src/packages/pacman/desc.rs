//! Files of sections: `%NAME%`, lines of values, an empty line (alpm-repo-desc(5), alpm-db-desc(5)).

use std::fmt::Write as _;

/// The sections of a file, in their order.
#[derive(Debug, Clone, Default)]
pub(super) struct Sections<'text>(Vec<(&'text str, Vec<&'text str>)>);

impl<'text> Sections<'text> {
    /// Reads the sections of a file; says what is wrong with it, after the number of the line.
    pub(super) fn parse(bytes: &'text [u8]) -> Result<Self, (usize, String)> {
        let text = std::str::from_utf8(bytes).map_err(|_| (1, "it is not UTF-8".to_owned()))?;
        let mut sections: Vec<(&str, Vec<&str>)> = Vec::new();
        let mut open = false;
        for (number, line) in text.lines().enumerate() {
            let name = line.strip_prefix('%').and_then(|line| line.strip_suffix('%')).filter(|name| !name.is_empty());
            match (name, open) {
                _ if line.is_empty() => open = false,
                // A value may look like a name, but follows one.
                (Some(name), false) => {
                    if sections.iter().any(|(known, _)| *known == name) {
                        return Err((number + 1, format!("the section `{}` stands twice", name.escape_debug())));
                    }
                    sections.push((name, Vec::new()));
                    open = true;
                }
                (None, false) => return Err((number + 1, "expected `%NAME%`".into())),
                (_, true) => {
                    if let Some((_, values)) = sections.last_mut() {
                        values.push(line);
                    }
                }
            }
        }
        Ok(Self(sections))
    }

    /// Returns the values of a section; none when it is not there.
    pub(super) fn values(&self, name: &str) -> &[&'text str] {
        self.0.iter().find(|(known, _)| *known == name).map_or(&[], |(_, values)| values)
    }

    /// Returns the first value of a section; empty when it is not there.
    pub(super) fn get(&self, name: &str) -> &'text str {
        self.values(name).first().copied().unwrap_or_default()
    }
}

/// Adds a section to a file, when it has values.
pub(super) fn put(text: &mut String, name: &str, values: &[&str]) {
    if !values.is_empty() {
        // Writing into a string cannot fail.
        let _ = write!(text, "%{name}%\n{}\n\n", values.join("\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_read_as_they_are_written() {
        let mut text = String::new();
        put(&mut text, "NAME", &["a"]);
        put(&mut text, "NOTHING", &[]);
        put(&mut text, "DEPENDS", &["b", "%c%"]);
        assert_eq!(text, "%NAME%\na\n\n%DEPENDS%\nb\n%c%\n\n");
        let sections = Sections::parse(text.as_bytes()).unwrap();
        assert_eq!((sections.get("NAME"), sections.values("DEPENDS")), ("a", &["b", "%c%"][..]));
        assert_eq!(sections.get("NOTHING"), "");
        for (text, line) in [("a\n", 1), ("%A%\n1\n\n%A%\n2\n", 4), ("%A%\n\nx\n", 3)] {
            assert_eq!(Sections::parse(text.as_bytes()).unwrap_err().0, line, "{text}");
        }
    }
}
