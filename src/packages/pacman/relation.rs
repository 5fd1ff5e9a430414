//! What packages ask of each other (alpm-package-relation(7)): `a>=1.2`, `libx.so=1-64`, `lib:libx.so.1`.

use super::version;
use crate::packages::model::Comparison;

/// One name with a version or without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relation<'text> {
    /// The name of a package, or one that packages provide.
    pub name: &'text [u8],
    /// How the version has to compare.
    pub comparison: Comparison,
    /// The version to compare with; empty for [`Comparison::Any`].
    pub version: &'text [u8],
}

impl<'text> Relation<'text> {
    /// Reads a relation.
    ///
    /// # Errors
    /// When it is none; says why.
    pub fn parse(text: &'text [u8]) -> Result<Self, &'static str> {
        let sign = |byte: &u8| matches!(byte, b'<' | b'=' | b'>');
        let end = text.iter().position(sign).unwrap_or(text.len());
        let (name, condition) = text.split_at(end);
        if let Some(words) = name_fault(name) {
            return Err(words);
        }
        let end = condition.iter().position(|byte| !sign(byte)).unwrap_or(condition.len());
        let (signs, version) = condition.split_at(end);
        let comparison = match signs {
            b"" => Comparison::Any,
            b"<" => Comparison::Less,
            b"<=" => Comparison::LessEqual,
            b"=" => Comparison::Equal,
            b">=" => Comparison::GreaterEqual,
            b">" => Comparison::Greater,
            _ => return Err("expected one of `< <= = >= >` before the version"),
        };
        // A soname is provided as `libx.so=1-64`, or as `libx.so=` by packages that were not finished.
        if comparison != Comparison::Any && version::fault(version).is_some() {
            return Err("expected a version after the sign");
        }
        Ok(Self { name, comparison, version })
    }
}

/// Returns what is wrong with a name that a package can be asked for by.
fn name_fault(name: &[u8]) -> Option<&'static str> {
    if name.is_empty() {
        Some("expected the name of a package")
    } else if !name.iter().all(u8::is_ascii_graphic) {
        Some("the name of a package holds something else than visible characters of ASCII")
    } else if name.len() > 255 {
        Some("the name of a package is longer than 255 bytes")
    } else {
        None
    }
}

/// Returns what is wrong with the name of a package, which is part of paths and URLs (alpm-package-name(7)).
pub fn package_name_fault(name: &[u8]) -> Option<&'static str> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'@' | b'.' | b'_' | b'+' | b'-');
    if let Some(words) = name_fault(name) {
        Some(words)
    } else if !name.iter().all(plain) || matches!(name[0], b'-' | b'.') {
        Some("the name of a package is made of letters, digits and `@ . _ + -`, and begins with neither `-` nor `.`")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_as_they_are_written() {
        let shown = |text: &str| {
            let relation = Relation::parse(text.as_bytes()).map_err(ToString::to_string)?;
            let [name, version] = [relation.name, relation.version].map(|bytes| String::from_utf8_lossy(bytes));
            Ok::<_, String>(format!("{name};{};{version}", relation.comparison.sign()))
        };
        for (text, expected) in [
            ("a", "a;;"),
            ("a>=1:2-3", "a;>=;1:2-3"),
            ("a<1", "a;<;1"),
            ("libx.so=1-64", "libx.so;=;1-64"),
            ("lib:libx.so.1", "lib:libx.so.1;;"),
        ] {
            assert_eq!(shown(text).unwrap(), expected);
        }
        for text in ["", "=1", "a=", "a<>1", "a==1", "a>=1/2", "a b"] {
            assert!(shown(text).is_err(), "{text}");
        }
        assert!(package_name_fault(b"../x").is_some() && package_name_fault(b"gtk-4.0_x+@").is_none());
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(5_000))]

        #[test]
        fn alpm_types_reads_relations_so(
            name in "[a-z0-9@_+][a-z0-9@_+.-]{0,8}",
            condition in "(|(<|<=|=|>=|>)([1-2]:)?[0-9][0-9a-z._+]{0,4}(-[1-9])?)",
            have in "([1-2]:)?[0-9][0-9a-z._+]{0,4}-[1-9]",
        ) {
            let text = format!("{name}{condition}");
            let ours = Relation::parse(text.as_bytes()).unwrap();
            let theirs: alpm_types::PackageRelation = text.parse().unwrap();
            let text_of = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            proptest::prop_assert_eq!(text_of(ours.name), theirs.name.to_string());
            let sign = theirs.version_requirement.as_ref().map(|one| one.comparison.to_string()).unwrap_or_default();
            proptest::prop_assert_eq!(ours.comparison.sign(), sign);
            let version = theirs.version_requirement.as_ref().map(|one| one.version.to_string()).unwrap_or_default();
            proptest::prop_assert_eq!(text_of(ours.version), version);
            // The same versions will do.
            if let Some(wish) = theirs.version_requirement {
                let fits = ours.comparison.allows(version::compare(have.as_bytes(), ours.version));
                proptest::prop_assert_eq!(fits, wish.is_satisfied_by(&have.parse().unwrap()), "{} {}", text, have);
            }
        }

        #[test]
        fn what_alpm_types_refuses_is_no_relation(text in "[a-z0-9]{0,2}[<>=]{0,3}[0-9:/ -]{0,3}") {
            if Relation::parse(text.as_bytes()).is_err() {
                proptest::prop_assert!(text.parse::<alpm_types::PackageRelation>().is_err(), "{}", text);
            }
        }
    }
}
