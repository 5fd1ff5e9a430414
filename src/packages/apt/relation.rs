//! What packages ask of each other (Debian Policy 7.1): `a (>= 1) | b:any, c`.

use super::version;
use crate::packages::model::Comparison;

/// One alternative of a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alternative<'text> {
    /// Whether it is the first of its relation.
    pub first: bool,
    /// The name of a package, or one that packages provide.
    pub name: &'text [u8],
    /// The architecture after the colon; empty for none.
    pub architecture: &'text [u8],
    /// How the version has to compare.
    pub comparison: Comparison,
    /// The version to compare with; empty for [`Comparison::Any`].
    pub version: &'text [u8],
}

/// What is wrong with a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Where, in bytes from the beginning of the field's value.
    pub offset: usize,
    /// What is wrong.
    pub words: &'static str,
}

/// Reads the relations of a field one after the other.
#[derive(Debug)]
pub struct Relations<'text> {
    value: &'text [u8],
    position: usize,
    /// What stood before: the beginning and `,` begin a relation.
    first: bool,
}

impl<'text> Relations<'text> {
    /// Returns a reader of the value of a field.
    pub fn new(value: &'text [u8]) -> Self {
        Self { value, position: 0, first: true }
    }

    fn peek(&self) -> Option<u8> {
        self.value.get(self.position).copied()
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.position += 1;
        }
    }

    fn take(&mut self, allowed: impl Fn(u8) -> bool) -> &'text [u8] {
        let rest = &self.value[self.position..];
        let end = rest.iter().position(|&byte| !allowed(byte)).unwrap_or(rest.len());
        self.position += end;
        &rest[..end]
    }

    fn fault(&self, words: &'static str) -> Fault {
        Fault { offset: self.position, words }
    }

    fn alternative(&mut self) -> Result<Alternative<'text>, Fault> {
        let first = self.first;
        let start = self.position;
        let name = self.take(is_name_byte);
        if let Some(words) = name_fault(name) {
            return Err(Fault { offset: start, words });
        }
        let mut architecture = &b""[..];
        if self.peek() == Some(b':') {
            self.position += 1;
            architecture = self.take(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            if architecture.is_empty() {
                return Err(self.fault("expected an architecture after the colon"));
            }
        }
        self.skip_space();
        let (comparison, version) =
            if self.peek() == Some(b'(') { self.version()? } else { (Comparison::Any, &b""[..]) };
        self.skip_space();
        match self.peek() {
            None | Some(b',') => self.first = true,
            Some(b'|') => self.first = false,
            Some(b'[' | b'<') => {
                return Err(self.fault("binary packages have no architecture lists and build profiles"));
            }
            Some(_) => return Err(self.fault("expected `,`, `|` or `(` after the name")),
        }
        self.position += 1;
        Ok(Alternative { first, name, architecture, comparison, version })
    }

    fn version(&mut self) -> Result<(Comparison, &'text [u8]), Fault> {
        self.position += 1;
        self.skip_space();
        let comparison = match self.take(|byte| matches!(byte, b'<' | b'=' | b'>')) {
            b"<<" => Comparison::Less,
            // Before there were doubled signs, the single ones meant this.
            b"<=" | b"<" => Comparison::LessEqual,
            b"=" => Comparison::Equal,
            b">=" | b">" => Comparison::GreaterEqual,
            b">>" => Comparison::Greater,
            _ => return Err(self.fault("expected one of `<< <= = >= >>` before the version")),
        };
        self.skip_space();
        let start = self.position;
        let version = self.take(|byte| !byte.is_ascii_whitespace() && byte != b')');
        if version::fault(version).is_some() {
            return Err(Fault { offset: start, words: "expected a version" });
        }
        self.skip_space();
        if self.peek() != Some(b')') {
            return Err(self.fault("expected `)` after the version"));
        }
        self.position += 1;
        Ok((comparison, version))
    }
}

impl<'text> Iterator for Relations<'text> {
    type Item = Result<Alternative<'text>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        self.skip_space();
        // A comma at the end is common outside of distributions, and says nothing.
        if self.position >= self.value.len() && self.first {
            return None;
        }
        let alternative = self.alternative();
        if alternative.is_err() {
            (self.position, self.first) = (self.value.len(), true);
        }
        Some(alternative)
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_')
}

/// Returns what is wrong with the name of a package (Debian Policy 5.6.7; upper case and underscores stand in others'
/// packages). A name is part of paths of the dpkg database.
pub fn name_fault(name: &[u8]) -> Option<&'static str> {
    const LONGEST: usize = 200;
    if name.is_empty() {
        Some("expected the name of a package")
    } else if !name.iter().all(|&byte| is_name_byte(byte)) || !name[0].is_ascii_alphanumeric() {
        Some("the name of a package is made of letters, digits and `+ - . _`, and begins with a letter or digit")
    } else if name.len() > LONGEST {
        Some("the name of a package is longer than 200 bytes")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> Result<String, Fault> {
        let mut text = String::new();
        for alternative in Relations::new(value.as_bytes()) {
            let Alternative { first, name, architecture, comparison, version } = alternative?;
            let [name, architecture, version] =
                [name, architecture, version].map(|bytes| String::from_utf8_lossy(bytes));
            text += if first { " ," } else { " |" };
            text += &format!("{name};{architecture};{};{version}", comparison.sign());
        }
        Ok(text)
    }

    #[test]
    fn relations_as_policy_writes_them() {
        assert_eq!(shown("a").unwrap(), " ,a;;;");
        assert_eq!(shown("a (>= 1:1.0~b-2)|b:any( <<2 ),\n c (= 1),").unwrap(), " ,a;;>=;1:1.0~b-2 |b;any;<;2 ,c;;=;1");
        assert_eq!(shown("a (< 1), b (> 2)").unwrap(), " ,a;;<=;1 ,b;;>=;2");
        assert_eq!(shown(" ").unwrap(), "");
    }

    #[test]
    fn mistakes_say_where() {
        for (value, offset) in
            [("a |", 3), ("a, ,b", 3), ("a b", 2), ("a (1)", 3), ("a (>= )", 6), ("a (= 1", 6), ("a:", 2), ("a [x]", 2)]
        {
            assert_eq!(shown(value).unwrap_err().offset, offset, "{value}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_a_panic(value in "[ab1,|()<=>: \n\\[-]{0,20}") {
            let _ = shown(&value);
        }
    }
}
