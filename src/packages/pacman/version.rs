//! The order of versions `[epoch:]version[-release]` (alpm-package-version(7), vercmp(8)).

use std::cmp::Ordering;

/// Compares two versions. A release counts only where both have one, and an epoch that is not there is 0.
pub fn compare(one: &[u8], other: &[u8]) -> Ordering {
    if one == other {
        return Ordering::Equal;
    }
    let (one, other) = (split(one), split(other));
    part(one.epoch, other.epoch).then_with(|| part(one.version, other.version)).then_with(|| {
        match (one.release, other.release) {
            (Some(one), Some(other)) => part(one, other),
            _ => Ordering::Equal,
        }
    })
}

struct Split<'text> {
    epoch: &'text [u8],
    version: &'text [u8],
    release: Option<&'text [u8]>,
}

fn split(version: &[u8]) -> Split<'_> {
    let digits = version.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(version.len());
    let (epoch, rest) = match version[digits..].first() {
        Some(b':') if digits == 0 => (&b"0"[..], &version[1..]),
        Some(b':') => (&version[..digits], &version[digits + 1..]),
        _ => (&b"0"[..], version),
    };
    match rest.iter().rposition(|&byte| byte == b'-') {
        Some(hyphen) => Split { epoch, version: &rest[..hyphen], release: Some(&rest[hyphen + 1..]) },
        None => Split { epoch, version: rest, release: None },
    }
}

/// Compares one part, by turns words and numbers. What stands between them does not matter, only how much of it there is.
fn part(mut one: &[u8], mut other: &[u8]) -> Ordering {
    if one == other {
        return Ordering::Equal;
    }
    while !one.is_empty() && !other.is_empty() {
        let between = |rest: &[u8]| rest.iter().position(u8::is_ascii_alphanumeric).unwrap_or(rest.len());
        let (left, right) = (between(one), between(other));
        (one, other) = (&one[left..], &other[right..]);
        if one.is_empty() || other.is_empty() {
            break;
        }
        if left != right {
            return left.cmp(&right);
        }
        let numeric = one[0].is_ascii_digit();
        let kind = |byte: &u8| if numeric { byte.is_ascii_digit() } else { byte.is_ascii_alphabetic() };
        let take = |rest: &[u8]| rest.iter().position(|byte| !kind(byte)).unwrap_or(rest.len());
        let (left, right) = (take(one), take(other));
        if right == 0 {
            // A number is later than a word.
            return if numeric { Ordering::Greater } else { Ordering::Less };
        }
        let ordering = if numeric { number(&one[..left], &other[..right]) } else { one[..left].cmp(&other[..right]) };
        if ordering != Ordering::Equal {
            return ordering;
        }
        (one, other) = (&one[left..], &other[right..]);
    }
    let word = |rest: &[u8]| rest.first().is_some_and(u8::is_ascii_alphabetic);
    match (one.is_empty(), other.is_empty()) {
        (true, true) => Ordering::Equal,
        // What goes on with a word came before, like `1.0rc`.
        _ if one.is_empty() && !word(other) || word(one) => Ordering::Less,
        _ => Ordering::Greater,
    }
}

/// Compares two numbers of any length.
fn number(one: &[u8], other: &[u8]) -> Ordering {
    let value = |digits: &[u8]| digits.iter().position(|&byte| byte != b'0').unwrap_or(digits.len());
    let (one, other) = (&one[value(one)..], &other[value(other)..]);
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

/// Returns what is wrong with the version of a package, which is part of paths and URLs.
pub fn fault(version: &[u8]) -> Option<&'static str> {
    let allowed = |byte: &u8| byte.is_ascii_graphic() && *byte != b'/';
    if version.is_empty() {
        Some("it is empty")
    } else if !version.iter().all(allowed) || version.starts_with(b"-") || version.starts_with(b".") {
        Some("it begins with `-` or `.`, or holds a slash or something else than visible characters of ASCII")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs that `vercmp` was asked about.
    const PAIRS: &[(&str, Ordering, &str)] = &[
        ("1.5.0", Ordering::Equal, "1.5.0"),
        ("1.5.1", Ordering::Greater, "1.5.0"),
        ("1.5.1", Ordering::Greater, "1.5"),
        ("1.5.0-1", Ordering::Equal, "1.5.0"),
        ("1.5.0-1", Ordering::Less, "1.5.0-2"),
        ("1.5.0-2", Ordering::Less, "1.5.1-1"),
        ("1.5-2", Ordering::Greater, "1.5-1"),
        ("1.5-1", Ordering::Equal, "1.5"),
        ("1.1-1", Ordering::Equal, "1.1"),
        ("1.0-1", Ordering::Less, "1.1"),
        ("1.5b-1", Ordering::Less, "1.5-1"),
        ("1.5b", Ordering::Less, "1.5"),
        ("1.5b", Ordering::Less, "1.5.1"),
        ("1.0a", Ordering::Less, "1.0alpha"),
        ("1.0alpha", Ordering::Less, "1.0b"),
        ("1.0beta", Ordering::Less, "1.0rc"),
        ("1.0rc", Ordering::Less, "1.0"),
        ("1.5.a", Ordering::Greater, "1.5"),
        ("1.5.1", Ordering::Greater, "1.5.b"),
        ("2.0", Ordering::Equal, "2_0"),
        ("2.0_a", Ordering::Equal, "2_0.a"),
        ("2.0a", Ordering::Less, "2.0.a"),
        ("2___a", Ordering::Greater, "2_a"),
        ("0:1.0", Ordering::Equal, "0:1.0"),
        ("0:1.0", Ordering::Less, "0:1.1"),
        ("1:1.0", Ordering::Greater, "0:1.0"),
        ("1:1.0", Ordering::Greater, "2.0"),
        ("0:1.0-1", Ordering::Equal, "1.0"),
        ("1:", Ordering::Greater, "1"),
        ("001", Ordering::Equal, "1"),
        ("99999999999999999999999999", Ordering::Less, "100000000000000000000000000"),
    ];

    #[test]
    fn versions_are_ordered_as_pacman_orders_them() {
        for (one, expected, other) in PAIRS {
            assert_eq!(compare(one.as_bytes(), other.as_bytes()), *expected, "{one} {other}");
            assert_eq!(compare(other.as_bytes(), one.as_bytes()), expected.reverse(), "{other} {one}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(20_000))]

        // What two versions begin with decides little, how they end a lot.
        #[test]
        fn alpm_types_orders_versions_so(
            epoch in "(|[1-3]:)",
            begin in "(|[0-9]{1,3}[._+]|[1-9][._]{1,2}|[0-9]{1,2}(a|rc))",
            ends in ("[0-9a-z]{1,3}([._+]{1,2}[0-9a-c]{1,3}){0,2}", "[0-9a-z]{1,3}([._+]{1,2}[0-9a-c]{1,3}){0,2}"),
            releases in ("[1-9]([0-9]|[.][1-9])?", "[1-9]([0-9]|[.][1-9])?"),
            released in proptest::bool::ANY,
        ) {
            let made = |end: &str, release: &str| match released {
                true => format!("{epoch}{begin}{end}-{release}"),
                false => format!("{epoch}{begin}{end}"),
            };
            let (one, other) = (made(&ends.0, &releases.0), made(&ends.1, &releases.1));
            let read = |text: &str| text.parse::<alpm_types::Version>().unwrap();
            let expected = read(&one).cmp(&read(&other));
            proptest::prop_assert_eq!(compare(one.as_bytes(), other.as_bytes()), expected, "{} {}", one, other);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_a_panic(one in "[0-9a.:_~-]{0,10}", other in "[0-9a.:_~-]{0,10}") {
            let _ = (compare(one.as_bytes(), other.as_bytes()), compare(other.as_bytes(), one.as_bytes()));
        }
    }
}
