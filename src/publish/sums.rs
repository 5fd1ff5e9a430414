//! The list of a folder: `SHA256SUMS`, as `sha256sum --binary` writes it.

use std::collections::BTreeMap;
use std::fmt;

use super::PublishError;
use crate::digest::Digest;

/// The name of the list.
pub(super) const SUMS: &str = "SHA256SUMS";
/// The name of its detached signature.
pub(super) const SIGNATURE: &str = "SHA256SUMS.gpg";
/// Its other name, which systemd 258 and later look for too.
pub(super) const ARMOURED: &str = "SHA256SUMS.asc";

/// A longer list is none, in bytes.
pub(super) const MOST_TEXT: u64 = 1 << 20;

/// Files and their digests, sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sums(BTreeMap<String, Digest>);

impl Sums {
    /// Reads a list.
    ///
    /// # Errors
    /// When a line is no digest and plain name, or two lines contradict each other.
    pub(super) fn parse(text: &str) -> Result<Self, PublishError> {
        let mut sums = BTreeMap::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
            let wrong = |reason| PublishError::Sums { line: index + 1, reason };
            let (name, digest) = entry(line).ok_or_else(|| wrong("is no digest and plain file name"))?;
            if sums.insert(name.to_owned(), digest).is_some_and(|known| known != digest) {
                return Err(wrong("gives a file another digest than a line before"));
            }
        }
        Ok(Self(sums))
    }

    pub(super) fn get(&self, name: &str) -> Option<Digest> {
        self.0.get(name).copied()
    }

    pub(super) fn insert(&mut self, name: &str, digest: Digest) {
        self.0.insert(name.to_owned(), digest);
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Returns the names of files; what only says how long the list is good (sysupdate.d(5)) is none.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str).filter(|name| !name.starts_with("BEST-BEFORE-"))
    }
}

fn entry(line: &str) -> Option<(&str, Digest)> {
    let (digest, name) = line.split_once(' ')?;
    let name = name.strip_prefix(['*', ' '])?;
    let plain = !name.is_empty() && !name.contains(['/', '%', '\\']) && name != "." && name != "..";
    let digest = format!("sha256:{}", digest.to_ascii_lowercase()).parse().ok()?;
    plain.then_some((name, digest))
}

impl fmt::Display for Sums {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, digest)| writeln!(formatter, "{} *{name}", digest.hex()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut sums = Sums::default();
        sums.insert("web_2.raw", Digest::of("2"));
        sums.insert("web_1.raw", Digest::of("1"));
        let text = sums.to_string();
        assert_eq!(text.lines().next().unwrap(), format!("{} *web_1.raw", Digest::of("1").hex()));
        assert_eq!(Sums::parse(&text).unwrap(), sums);
        let other = text.replace(" *", "  ").to_uppercase().replace("WEB", "web").replace("RAW", "raw");
        assert_eq!(Sums::parse(&other).unwrap(), sums, "text mode and capital letters");
    }

    #[test]
    fn what_says_how_long_the_list_is_good_stays() {
        let text = format!("{} *BEST-BEFORE-2030-01-01\n", Digest::of("").hex());
        let sums = Sums::parse(&text).unwrap();
        assert_eq!((sums.files().count(), sums.to_string()), (0, text));
    }

    #[test]
    fn damaged_lists_are_refused() {
        let digest = Digest::of("").hex();
        for text in [
            "nonsense".to_owned(),
            format!("{digest} *../web"),
            format!("{digest} *"),
            format!("{digest} web"),
            format!("\\{digest} *a\\nb"),
            format!("{} *web", &digest[1..]),
            format!("{digest} *web\n{} *web", Digest::of("1").hex()),
        ] {
            assert!(Sums::parse(&text).is_err(), "{text}");
        }
    }
}
