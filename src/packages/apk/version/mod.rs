//! The order of versions (apk-package(5), "Version"): `1.2.3a_rc1~0123abc-r4`.
//!
//! A version is a number, further numbers after dots, a letter, suffixes with numbers, the hash of a commit and a revision; all
//! but the first number may be left out. Versions are compared part by part; where one has a part that the other has not,
//! it is later, unless that is the suffix of something that came before a release.

use std::cmp::Ordering;

/// A part of a version. The order of the variants is that of parts of different kinds: the first is the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part<'text> {
    /// The first number.
    First(&'text [u8]),
    /// A number after a dot.
    Number(&'text [u8]),
    Letter(u8),
    /// A suffix: its place in [`SUFFIXES`].
    Suffix(usize),
    SuffixNumber(&'text [u8]),
    Hash(&'text [u8]),
    Revision(&'text [u8]),
    End,
}

/// Suffixes in their order; those before [`RELEASE`] come before the version that has none.
const SUFFIXES: [&[u8]; 9] = [b"alpha", b"beta", b"pre", b"rc", b"cvs", b"svn", b"git", b"hg", b"p"];
const RELEASE: usize = 4;

impl Part<'_> {
    fn rank(self) -> u8 {
        match self {
            Self::First(_) | Self::Number(_) => 0,
            Self::Letter(_) => 1,
            Self::Suffix(_) => 2,
            Self::SuffixNumber(_) => 3,
            Self::Hash(_) => 4,
            Self::Revision(_) => 5,
            Self::End => 6,
        }
    }

    /// Tells whether it makes a version earlier than one that goes on in another way.
    fn is_before_release(self) -> bool {
        matches!(self, Self::Suffix(place) if place < RELEASE)
    }
}

/// Reads the parts of a version, as far as it is one.
#[derive(Debug, Clone, Copy)]
struct Parts<'text> {
    rest: &'text [u8],
    /// The part read last.
    last: Option<Part<'text>>,
}

impl<'text> Parts<'text> {
    fn of(version: &'text [u8]) -> Self {
        Self { rest: version, last: None }
    }

    fn take(&mut self, allowed: impl Fn(&u8) -> bool) -> &'text [u8] {
        let end = self.rest.iter().position(|byte| !allowed(byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// Takes the digits behind a prefix; nothing, and nothing is taken, when there are none.
    fn digits_after(&mut self, prefix: &[u8]) -> Option<&'text [u8]> {
        let rest = self.rest.strip_prefix(prefix)?;
        let mut ahead = Self { rest, last: None };
        let digits = ahead.take(u8::is_ascii_digit);
        self.rest = if digits.is_empty() { return None } else { ahead.rest };
        Some(digits)
    }

    fn suffix(&mut self) -> Option<Part<'text>> {
        let mut ahead = Self { rest: self.rest.strip_prefix(b"_")?, last: None };
        let word = ahead.take(u8::is_ascii_lowercase);
        let place = SUFFIXES.iter().position(|suffix| *suffix == word)?;
        self.rest = ahead.rest;
        Some(Part::Suffix(place))
    }

    fn hash(&mut self) -> Option<Part<'text>> {
        let mut ahead = Self { rest: self.rest.strip_prefix(b"~")?, last: None };
        let hash = ahead.take(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        self.rest = if hash.is_empty() { return None } else { ahead.rest };
        Some(Part::Hash(hash))
    }

    /// Returns the next part; the end when there is none, or what follows is no part of a version.
    fn next(&mut self) -> Part<'text> {
        let part = self.read().unwrap_or(Part::End);
        self.last = Some(part);
        part
    }

    fn read(&mut self) -> Option<Part<'text>> {
        match self.last {
            None => self.digits_after(b"").map(Part::First),
            Some(Part::First(_) | Part::Number(_)) => {
                (self.digits_after(b".").map(Part::Number)).or_else(|| self.letter()).or_else(|| self.after_letter())
            }
            Some(Part::Letter(_)) => self.after_letter(),
            Some(Part::Suffix(_)) => self.digits_after(b"").map(Part::SuffixNumber).or_else(|| self.after_letter()),
            Some(Part::SuffixNumber(_)) => self.after_letter(),
            Some(Part::Hash(_)) => self.revision(),
            Some(Part::Revision(_) | Part::End) => None,
        }
    }

    fn letter(&mut self) -> Option<Part<'text>> {
        let (letter, rest) = self.rest.split_first().filter(|(byte, _)| byte.is_ascii_lowercase())?;
        self.rest = rest;
        Some(Part::Letter(*letter))
    }

    fn after_letter(&mut self) -> Option<Part<'text>> {
        self.suffix().or_else(|| self.hash()).or_else(|| self.revision())
    }

    fn revision(&mut self) -> Option<Part<'text>> {
        self.digits_after(b"-r").map(Part::Revision)
    }
}

/// Compares two versions. What is none compares by the parts that are.
pub fn compare(one: &[u8], other: &[u8]) -> Ordering {
    walk(one, other, false)
}

/// Tells whether `version` begins with all parts of `start`: `1.2_p1-r0` with `1.2`, `1.20` not.
pub fn begins_with(version: &[u8], start: &[u8]) -> bool {
    walk(version, start, true) == Ordering::Equal
}

/// Compares part by part; with `prefix` only as far as the other version goes.
fn walk(one: &[u8], other: &[u8], prefix: bool) -> Ordering {
    let (mut one, mut other) = (Parts::of(one), Parts::of(other));
    loop {
        let (left, right) = (one.next(), other.next());
        if right == Part::End && (prefix || left == Part::End) {
            return Ordering::Equal;
        }
        match part(left, right) {
            Ordering::Equal => {}
            different => return different,
        }
    }
}

fn part(one: Part<'_>, other: Part<'_>) -> Ordering {
    match (one, other) {
        (Part::First(one), Part::First(other))
        | (Part::SuffixNumber(one), Part::SuffixNumber(other))
        | (Part::Revision(one), Part::Revision(other)) => number(one, other),
        (Part::Number(one), Part::Number(other)) => {
            // With a leading zero they are fractions: 1.05 comes before 1.5.
            if one.starts_with(b"0") || other.starts_with(b"0") { one.cmp(other) } else { number(one, other) }
        }
        (Part::Letter(one), Part::Letter(other)) => one.cmp(&other),
        (Part::Suffix(one), Part::Suffix(other)) => one.cmp(&other),
        (Part::Hash(one), Part::Hash(other)) => one.cmp(other),
        _ if one.is_before_release() => Ordering::Less,
        _ if other.is_before_release() => Ordering::Greater,
        _ => other.rank().cmp(&one.rank()),
    }
}

/// Compares two numbers of any length.
fn number(one: &[u8], other: &[u8]) -> Ordering {
    let value = |digits: &[u8]| digits.iter().position(|&byte| byte != b'0').unwrap_or(digits.len());
    let (one, other) = (&one[value(one)..], &other[value(other)..]);
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

/// Tells whether a text is a version, from its beginning to its end.
pub fn is_valid(version: &[u8]) -> bool {
    let mut parts = Parts::of(version);
    while parts.next() != Part::End {}
    parts.rest.is_empty() && !version.is_empty()
}

#[cfg(test)]
mod tests;
