//! What packages ask of each other (apk-world(5)): `a b>=1.2 !c d~1.3 so:libx.so.1`.

use super::version;
use crate::packages::model::Comparison;

/// One dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dependency<'text> {
    /// Whether it must not be there.
    pub conflict: bool,
    /// The name of a package, or one that packages provide.
    pub name: &'text [u8],
    /// The repository it should come from; empty when that does not matter.
    pub tag: &'text [u8],
    /// How the version has to compare.
    pub comparison: Comparison,
    /// The version to compare with; empty for [`Comparison::Any`].
    pub version: &'text [u8],
}

impl<'text> Dependency<'text> {
    /// Reads a dependency.
    ///
    /// # Errors
    /// When it is none; says why.
    pub fn parse(text: &'text [u8]) -> Result<Self, &'static str> {
        let (conflict, rest) = text.strip_prefix(b"!").map_or((false, text), |rest| (true, rest));
        let sign = |byte: &u8| matches!(byte, b'<' | b'=' | b'>' | b'~');
        let end = rest.iter().position(sign).unwrap_or(rest.len());
        let (name, condition) = rest.split_at(end);
        let (name, tag) = match name.iter().position(|&byte| byte == b'@') {
            Some(at) if at + 1 < name.len() => (&name[..at], &name[at + 1..]),
            Some(_) => return Err("expected the name of a repository after `@`"),
            None => (name, &b""[..]),
        };
        if let Some(words) = name_fault(name) {
            return Err(words);
        }
        let end = condition.iter().position(|byte| !sign(byte)).unwrap_or(condition.len());
        let (signs, version) = condition.split_at(end);
        let comparison = comparison(signs)?;
        if comparison != Comparison::Any && (version.is_empty() || !version.iter().all(u8::is_ascii_graphic)) {
            return Err("expected a version after the sign");
        }
        Ok(Self { conflict, name, tag, comparison, version })
    }
}

/// Returns what signs mean, in whatever order they stand.
fn comparison(signs: &[u8]) -> Result<Comparison, &'static str> {
    let has = |sign| signs.contains(&sign);
    Ok(match (has(b'<'), has(b'='), has(b'>'), has(b'~')) {
        (false, false, false, false) => Comparison::Any,
        (true, false, false, false) => Comparison::Less,
        (true, true, false, false) => Comparison::LessEqual,
        (false, true, false, false) => Comparison::Equal,
        (false, true, true, false) => Comparison::GreaterEqual,
        (false, false, true, false) => Comparison::Greater,
        (false, _, false, true) => Comparison::Similar,
        (true, _, false, true) => Comparison::LessSimilar,
        (false, _, true, true) => Comparison::GreaterSimilar,
        (true, _, true, _) => return Err("a package by its digest (`><`) cannot be asked for"),
    })
}

/// Tells whether a version is one that is asked for. What is compared with something that is no version never is.
pub fn matches(version: &[u8], comparison: Comparison, wanted: &[u8]) -> bool {
    if comparison == Comparison::Any {
        return true;
    }
    if !version::is_valid(wanted) {
        return false;
    }
    let similar = || version::begins_with(version, wanted);
    match comparison {
        Comparison::Similar => similar(),
        Comparison::LessSimilar | Comparison::GreaterSimilar if similar() => true,
        _ => comparison.allows(version::compare(version, wanted)),
    }
}

/// Reads the dependencies of a field, which stand between spaces.
pub fn dependencies(field: &[u8]) -> impl Iterator<Item = Result<Dependency<'_>, &'static str>> {
    field.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).map(Dependency::parse)
}

/// Returns what is wrong with the name of a package.
pub fn name_fault(name: &[u8]) -> Option<&'static str> {
    const LONGEST: usize = 255;
    // Names like `so:libc.musl-x86_64.so.1`, `cmd:[`, `pc:libxml-2.0`, `py3.12:x`, `/bin/sh` are only provided.
    if name.is_empty() {
        Some("expected the name of a package")
    } else if !name.iter().all(u8::is_ascii_graphic) {
        Some("the name of a package holds something else than visible characters of ASCII")
    } else if name.len() > LONGEST {
        Some("the name of a package is longer than 255 bytes")
    } else {
        None
    }
}

/// Returns what is wrong with the name of a package that is to be installed: it is part of paths and URLs.
pub fn package_name_fault(name: &[u8]) -> Option<&'static str> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_');
    if let Some(words) = name_fault(name) {
        Some(words)
    } else if !name.iter().all(plain) || !(name[0].is_ascii_alphanumeric() || name[0] == b'_') {
        Some("the name of a package is made of letters, digits and `+ - . _`, and begins with a letter, digit or `_`")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_as_they_are_written() {
        let shown = |text: &str| {
            let dependency = Dependency::parse(text.as_bytes()).unwrap();
            let [name, tag, version] =
                [dependency.name, dependency.tag, dependency.version].map(|bytes| String::from_utf8_lossy(bytes));
            format!(
                "{}{name};{tag};{};{version}",
                if dependency.conflict { "!" } else { "" },
                dependency.comparison.sign()
            )
        };
        for (text, expected) in [
            ("a", "a;;;"),
            ("!a", "!a;;;"),
            ("a@edge", "a;edge;;"),
            ("a@edge>=1.2-r0", "a;edge;>=;1.2-r0"),
            ("so:libc.musl-x86_64.so.1", "so:libc.musl-x86_64.so.1;;;"),
            ("cmd:[=1", "cmd:[;;=;1"),
            ("a<1", "a;;<;1"),
            ("a<=1", "a;;<=;1"),
            ("a=<1", "a;;<=;1"),
            ("a>1", "a;;>;1"),
            ("a~1.2", "a;;~;1.2"),
            ("a=~1.2", "a;;~;1.2"),
            ("a>~1.2", "a;;>~;1.2"),
            ("a<~1.2", "a;;<~;1.2"),
            ("!a<2", "!a;;<;2"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        for text in ["", "!", "a=", "a@", "@x", "a><Q1abc", "a>=\u{e9}", ">1"] {
            assert!(Dependency::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn versions_match_by_their_signs() {
        for (version, sign, expected) in [
            ("1.2.3", "~1.2", true),
            ("1.20", "~1.2", false),
            ("1.3", ">~1.2", true),
            ("1.2.9", ">~1.2", true),
            ("1.1", ">~1.2", false),
            ("1.2.9", "<~1.2", true),
            ("1.1", "<~1.2", true),
            ("1.3", "<~1.2", false),
            ("1.2", "=1.2", true),
            ("1.2-r0", "=1.2", false),
            ("1.2-r0", ">=1.2", true),
            ("1.2", "<1.2", false),
            ("1.2", "=x", false),
        ] {
            let text = format!("a{sign}");
            let dependency = Dependency::parse(text.as_bytes()).unwrap();
            let fits = matches(version.as_bytes(), dependency.comparison, dependency.version);
            assert_eq!(fits, expected, "{version} {sign}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_a_panic(text in "[a1!@<>=~. ]{0,12}") {
            let _ = dependencies(text.as_bytes()).count();
        }
    }
}
