//! Versions and their order (UAPI.10, version format specification 1.0).

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// The version of a published image: part of its file name, and what tells which of two is newer.
///
/// It is not empty and has only ASCII letters, digits and `.`, `-`, `~` and `^`: an underscore ends the version in a file
/// name, and a plus begins the tries of a boot counter. The order is that of [`compare`]; of two texts that count as
/// one version, the order is that of their bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version(String);

/// A text that is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be the version of a published image: expected letters, digits and `.`, `-`, `~`, `^` only")]
pub struct InvalidVersion(String);

impl Version {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let valid = !text.is_empty() && text.bytes().all(counts);
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidVersion(text.to_owned())) }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Tells whether a byte means something in a version; all others only separate.
fn counts(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-~^".contains(&byte)
}

/// Tells which of two texts is the older version (UAPI.10, version comparison). Any text has its place in this order.
///
/// Where only one has a number, it is the newer one, be it 0: so systemd does it, while the specification takes a number
/// that is not there for 0.
pub fn compare(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one.as_bytes(), other.as_bytes());
    loop {
        one = take_while(one, |byte| !counts(byte)).1;
        other = take_while(other, |byte| !counts(byte)).1;
        if let Some(order) = lower_with(b'~', &mut one, &mut other) {
            return order;
        }
        if one.is_empty() || other.is_empty() {
            return one.len().cmp(&other.len());
        }
        for mark in [b'-', b'^', b'.'] {
            if let Some(order) = lower_with(mark, &mut one, &mut other) {
                return order;
            }
        }
        let starts_with_digit = |text: &[u8]| text.first().is_some_and(u8::is_ascii_digit);
        let is_number = starts_with_digit(one) || starts_with_digit(other);
        let wanted = |byte: u8| if is_number { byte.is_ascii_digit() } else { byte.is_ascii_alphabetic() };
        let ((first, rest), (second, other_rest)) = (take_while(one, wanted), take_while(other, wanted));
        let order = if is_number { compare_numbers(first, second) } else { first.cmp(second) };
        if order.is_ne() {
            return order;
        }
        (one, other) = (rest, other_rest);
    }
}

/// Takes `mark` off both texts; when only one begins with it, this one is the older.
fn lower_with(mark: u8, one: &mut &[u8], other: &mut &[u8]) -> Option<Ordering> {
    match (one.strip_prefix(&[mark]), other.strip_prefix(&[mark])) {
        (Some(rest), Some(other_rest)) => (*one, *other) = (rest, other_rest),
        (Some(_), None) => return Some(Ordering::Less),
        (None, Some(_)) => return Some(Ordering::Greater),
        (None, None) => {}
    }
    None
}

/// Compares numbers of any length.
fn compare_numbers(one: &[u8], other: &[u8]) -> Ordering {
    let there = (!one.is_empty()).cmp(&!other.is_empty());
    let [one, other] = [one, other].map(|digits| take_while(digits, |digit| digit == b'0').1);
    there.then_with(|| one.len().cmp(&other.len())).then_with(|| one.cmp(other))
}

/// Splits a text where `wanted` ends.
fn take_while(text: &[u8], wanted: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|byte| !wanted(*byte)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the specification.
    const EXAMPLES: &[(&str, Ordering, &str)] = &[
        ("11", Ordering::Equal, "11"),
        ("systemd-123", Ordering::Equal, "systemd-123"),
        ("bar-123", Ordering::Less, "foo-123"),
        ("123a", Ordering::Greater, "123"),
        ("123.a", Ordering::Greater, "123"),
        ("123.a", Ordering::Less, "123.b"),
        ("123a", Ordering::Greater, "123.a"),
        ("11α", Ordering::Equal, "11β"),
        ("B", Ordering::Less, "a"),
        ("", Ordering::Less, "0"),
        ("0.", Ordering::Greater, "0"),
        ("0.0", Ordering::Greater, "0"),
        ("0", Ordering::Greater, "~"),
        ("", Ordering::Greater, "~"),
        ("1_", Ordering::Equal, "1"),
        ("_1", Ordering::Equal, "1"),
        ("1_", Ordering::Less, "1.2"),
        ("1_2_3", Ordering::Greater, "1.3.3"),
        ("1+", Ordering::Equal, "1"),
        ("+1", Ordering::Equal, "1"),
        ("1+", Ordering::Less, "1.2"),
        ("1+2+3", Ordering::Greater, "1.3.3"),
    ];

    /// The long example of the specification, the oldest first.
    const SORTED: [&str; 12] = [
        "122.1",
        "123~rc1-1",
        "123",
        "123-a",
        "123-a.1",
        "123-1",
        "123-1.1",
        "123^post1",
        "123.a-1",
        "123.1-1",
        "123a-1",
        "124-1",
    ];

    #[test]
    fn the_examples_of_the_specification_hold() {
        for (one, order, other) in EXAMPLES {
            assert_eq!(compare(one, other), *order, "`{one}` and `{other}`");
            assert_eq!(compare(other, one), order.reverse(), "`{other}` and `{one}`");
        }
        for (place, one) in SORTED.iter().enumerate() {
            for (other_place, other) in SORTED.iter().enumerate() {
                assert_eq!(compare(one, other), place.cmp(&other_place), "`{one}` and `{other}`");
            }
        }
    }

    #[test]
    fn numbers_have_any_length() {
        let long = "9".repeat(100_000);
        assert_eq!(compare(&long, &format!("1{}", "0".repeat(100_000))), Ordering::Less);
        assert_eq!(compare("1.010", "1.10"), Ordering::Equal);
        assert_eq!(compare("1.9", "1.10"), Ordering::Less);
        assert_eq!(compare("0", "a"), Ordering::Greater);
    }

    #[test]
    fn the_order_is_total() {
        let mut versions: Vec<Version> =
            ["1.10", "1.9", "1.010", "2~rc1", "2"].map(|text| text.parse().unwrap()).into();
        versions.sort();
        assert_eq!(versions.iter().map(Version::as_str).collect::<Vec<_>>(), ["1.9", "1.010", "1.10", "2~rc1", "2"]);
    }

    #[test]
    fn what_would_end_a_version_in_a_file_name_is_refused() {
        for text in ["", "1_2", "1+2", "1 2", "1/2", "1@2", "ü", "1\n"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
        for text in ["1", "1.2.3-4", "1~rc1", "1^git2", "20260101", ".", "~"] {
            assert!(text.parse::<Version>().is_ok(), "{text}");
        }
    }
}
