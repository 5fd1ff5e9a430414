//! The order of versions (deb-version(7), Debian Policy 5.6.12).

use std::cmp::Ordering;

/// Compares two versions `[epoch:]upstream[-revision]`. A part that is not there is as `0`.
pub fn compare(one: &[u8], other: &[u8]) -> Ordering {
    if one == other {
        return Ordering::Equal;
    }
    let (one, other) = (split(one), split(other));
    number(one.0, other.0).then_with(|| part(one.1, other.1)).then_with(|| part(one.2, other.2))
}

/// Splits a version into epoch, upstream version and revision.
fn split(version: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let (epoch, rest) = match version.iter().position(|&byte| byte == b':') {
        Some(colon) => (&version[..colon], &version[colon + 1..]),
        None => (&b""[..], version),
    };
    match rest.iter().rposition(|&byte| byte == b'-') {
        Some(hyphen) => (epoch, &rest[..hyphen], &rest[hyphen + 1..]),
        None => (epoch, rest, b""),
    }
}

/// Compares one part: by turns what stands before a digit, by [`rank`], and numbers, of any length.
fn part(mut one: &[u8], mut other: &[u8]) -> Ordering {
    while !one.is_empty() || !other.is_empty() {
        loop {
            let (left, right) = (word_byte(one), word_byte(other));
            if left.is_none() && right.is_none() {
                break;
            }
            match rank(left).cmp(&rank(right)) {
                // Equal ranks of two letters: both are there.
                Ordering::Equal => (one, other) = (&one[1..], &other[1..]),
                different => return different,
            }
        }
        let (left, right) = (digits(one), digits(other));
        match number(left, right) {
            Ordering::Equal => (one, other) = (&one[left.len()..], &other[right.len()..]),
            different => return different,
        }
    }
    Ordering::Equal
}

/// Returns the next byte when it is no digit.
fn word_byte(rest: &[u8]) -> Option<u8> {
    rest.first().copied().filter(|byte| !byte.is_ascii_digit())
}

/// The order of bytes that are no digits: `~`, the end of the word, letters, everything else.
fn rank(byte: Option<u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(byte),
        Some(byte) => i32::from(byte) + 256,
    }
}

fn digits(rest: &[u8]) -> &[u8] {
    &rest[..rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len())]
}

/// Compares two numbers of any length; none is zero.
fn number(one: &[u8], other: &[u8]) -> Ordering {
    let value = |digits: &[u8]| digits.iter().position(|&byte| byte != b'0').unwrap_or(digits.len());
    let (one, other) = (&one[value(one)..], &other[value(other)..]);
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

/// Returns what is wrong with a version (Debian Policy 5.6.12; as lenient as dpkg is with versions of others).
pub fn fault(version: &[u8]) -> Option<&'static str> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b".+~-:_".contains(byte);
    let (epoch, upstream, _) = split(version);
    if version.is_empty() {
        Some("it is empty")
    } else if !version.iter().all(allowed) {
        Some("it holds a character other than letters, digits and `. + ~ - : _`")
    } else if version.contains(&b':') && (epoch.is_empty() || !epoch.iter().all(u8::is_ascii_digit)) {
        Some("what stands before the first colon is no number")
    } else if upstream.is_empty() {
        Some("nothing stands before its revision")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs that `dpkg --compare-versions` was asked about.
    const PAIRS: &[(&str, Ordering, &str)] = &[
        ("1.0", Ordering::Equal, "1.0-0"),
        ("1.0", Ordering::Equal, "0:1.0"),
        ("1.0", Ordering::Equal, "1.00"),
        ("1.0-1", Ordering::Greater, "1.0"),
        ("1.0~rc1", Ordering::Less, "1.0"),
        ("1.0~~", Ordering::Less, "1.0~"),
        ("1.0~~a", Ordering::Less, "1.0~"),
        ("1.0a", Ordering::Greater, "1.0"),
        ("1.0a", Ordering::Less, "1.0+"),
        ("1.0+b1", Ordering::Greater, "1.0"),
        ("1.0-1~deb12u1", Ordering::Less, "1.0-1"),
        ("1.0-1+b10", Ordering::Greater, "1.0-1+b9"),
        ("1:0.1", Ordering::Greater, "9.9"),
        ("2:1", Ordering::Less, "10:1"),
        ("1.2.3", Ordering::Greater, "1.2"),
        ("1.10", Ordering::Greater, "1.9"),
        ("1.0-1-1", Ordering::Greater, "1.0-1"),
        ("1.99999999999999999999999999999999", Ordering::Less, "1.100000000000000000000000000000000"),
        ("0.9a", Ordering::Less, "0.9.1"),
        ("1a2", Ordering::Less, "1a10"),
        ("1.", Ordering::Greater, "1"),
        ("a", Ordering::Less, "a0-0+"),
    ];

    #[test]
    fn versions_are_ordered_as_dpkg_orders_them() {
        for (one, expected, other) in PAIRS {
            assert_eq!(compare(one.as_bytes(), other.as_bytes()), *expected, "{one} {other}");
            assert_eq!(compare(other.as_bytes(), one.as_bytes()), expected.reverse(), "{other} {one}");
        }
    }

    proptest::proptest! {
        #[test]
        fn the_order_is_total(versions in proptest::collection::vec("([0-9]:)?[0-9a~.+-]{0,6}", 3)) {
            let [a, b, c] = [0, 1, 2].map(|place: usize| versions[place].as_bytes());
            assert_eq!(compare(a, b), compare(b, a).reverse());
            if compare(a, b).is_le() && compare(b, c).is_le() {
                assert!(compare(a, c).is_le(), "{versions:?}");
            }
        }
    }

    #[test]
    fn what_is_no_version_is_told() {
        for version in ["1", "1.0-1", "1:2.0~rc1-1+b2", "2024a"] {
            assert_eq!(fault(version.as_bytes()), None);
        }
        for version in ["", "1 0", "a:1", ":1", "1/2", "-1", "1\n"] {
            assert!(fault(version.as_bytes()).is_some(), "{version}");
        }
    }
}
