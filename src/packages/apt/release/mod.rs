//! Release files: what a repository holds, at what time, with the digest of every index (Debian repository format).
//!
//! Comes in: the text that a trusted key signed. Goes out: a [`Release`], and the indexes to fetch. Always holds: only
//! SHA-256 counts; a file that is too old, from the future, of another suite or older than the one before is refused.

mod date;

use std::collections::BTreeMap;

use super::control::{self, ControlError, shown};
use crate::digest::Digest;
use crate::packages::compression::Compression;

pub use date::{parse_date, show_date};

/// How far a file may lie in the future, in seconds, as apt allows.
const CLOCK_SKEW: i64 = 10;

/// A Release file that cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// It is not written as it should be.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A field is missing or says nothing sensible.
    #[error("`{file}` has no valid `{field}`: {reason}")]
    Field {
        /// The file.
        file: String,
        /// The field.
        field: &'static str,
        /// What was expected.
        reason: String,
    },
    /// Its time is over.
    #[error(
        "`{file}` was valid until {until}: the mirror is not up to date; take another, or name a snapshot, whose files are \
         old by intent"
    )]
    Expired {
        /// The file.
        file: String,
        /// The end of its time.
        until: String,
    },
    /// Its time has not come.
    #[error("`{file}` is of {date}, which has not come yet: check the clock of this machine")]
    Future {
        /// The file.
        file: String,
        /// The time it says it is of.
        date: String,
    },
    /// It is about something else.
    #[error("`{file}` is about the suite `{suite}` with the codename `{codename}`, not about `{wanted}`")]
    Suite {
        /// The file.
        file: String,
        /// What was asked for.
        wanted: String,
        /// The suite that it is about.
        suite: String,
        /// Its codename.
        codename: String,
    },
    /// It is older than what was seen before.
    #[error(
        "`{file}` is of {date}, but the lock knows one of {locked}: somebody replays an old state, or the mirror lags behind"
    )]
    Rollback {
        /// The file.
        file: String,
        /// The time it is of.
        date: String,
        /// The time of the one in the lock.
        locked: String,
    },
    /// It has no such index.
    #[error("`{file}` has no component `{component}` for {architecture}: it has {}", there.join(", "))]
    Component {
        /// The file.
        file: String,
        /// What was asked for.
        component: String,
        /// The architecture.
        architecture: String,
        /// The components that it has.
        there: Vec<String>,
    },
}

/// What a Release file must be.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'words> {
    /// The suite or codename; nothing for a flat repository, which has no suites.
    pub suite: Option<&'words str>,
    /// The moment of looking, in seconds since 1970.
    pub now: i64,
    /// Whether its time may be over: that of a snapshot is.
    pub expired: bool,
    /// The date of the one before: it must not be older.
    pub locked: Option<i64>,
}

/// What a Release file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// What messages call it.
    pub file: String,
    /// Who made it: `Debian`.
    pub origin: String,
    /// `stable`, `stable-updates`.
    pub suite: String,
    /// `trixie`, `trixie-updates`.
    pub codename: String,
    /// The version of the release: `13.7`.
    pub version: String,
    /// When it was made, in seconds since 1970.
    pub date: i64,
    /// The end of its time.
    pub valid_until: Option<i64>,
    /// `main`, or `updates/main`.
    pub components: Vec<String>,
    /// The architectures that have indexes.
    pub architectures: Vec<String>,
    /// Whether files can be fetched by their digest.
    pub by_hash: bool,
    /// Whether packages for all architectures stand in the index of each.
    pub all_included: bool,
    /// Every file with its digest and length, by its path relative to the Release file.
    pub files: BTreeMap<String, (Digest, u64)>,
}

/// An index to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexFile {
    /// Its path relative to the Release file.
    pub path: String,
    /// Its path by digest, when the repository has that: it does not change when the repository does.
    pub by_hash: Option<String>,
    /// How it is compressed.
    pub compression: Compression,
    /// Its digest, compressed.
    pub digest: Digest,
    /// Its length, compressed, in bytes.
    pub size: u64,
}

impl Release {
    /// Reads the text of a Release file that messages call `file`. It must have been verified.
    ///
    /// # Errors
    /// When it is not written as it should be.
    pub fn parse(file: &str, text: &str) -> Result<Self, ReleaseError> {
        let stanza = control::single(file, text.as_bytes())?;
        let get = |name: &str| String::from_utf8_lossy(stanza.get(name).unwrap_or_default()).into_owned();
        let words = |name: &str| get(name).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let fault = |field, reason: String| ReleaseError::Field { file: file.to_owned(), field, reason };
        let date = |field| {
            let text = get(field);
            parse_date(&text).ok_or_else(|| {
                fault(field, format!("`{text}` is no date; expected one like `Sat, 06 Sep 2025 08:09:01 UTC`"))
            })
        };
        let valid_until = stanza.get("Valid-Until").map(|_| date("Valid-Until")).transpose()?;
        Ok(Self {
            file: file.to_owned(),
            origin: get("Origin"),
            suite: get("Suite"),
            codename: get("Codename"),
            version: get("Version"),
            date: date("Date")?,
            valid_until,
            components: words("Components"),
            architectures: words("Architectures"),
            by_hash: get("Acquire-By-Hash").eq_ignore_ascii_case("yes"),
            all_included: words("No-Support-for-Architecture-all").iter().any(|word| word == "Packages"),
            files: files(&get("SHA256")).map_err(|reason| fault("SHA256", reason))?,
        })
    }

    /// Checks that this is the Release file that is expected, and its time.
    ///
    /// # Errors
    /// When it is of another suite, its time is over or has not come, or it is older than the one before.
    pub fn check(&self, expected: &Expected<'_>) -> Result<(), ReleaseError> {
        let file = || self.file.clone();
        // Before Debian 11 the security archive added `/updates` to suites.
        let named = |name: &str| [&self.suite, &self.codename].iter().any(|own| own.as_str() == name);
        let plain = |name: &str| named(name.strip_suffix("/updates").unwrap_or(name));
        if let Some(wanted) = expected.suite.filter(|wanted| !named(wanted) && !plain(wanted)) {
            let (suite, codename) = (self.suite.clone(), self.codename.clone());
            return Err(ReleaseError::Suite { file: file(), wanted: wanted.to_owned(), suite, codename });
        }
        if self.date > expected.now.saturating_add(CLOCK_SKEW) {
            return Err(ReleaseError::Future { file: file(), date: show_date(self.date) });
        }
        if let Some(until) = self.valid_until.filter(|until| *until < expected.now && !expected.expired) {
            return Err(ReleaseError::Expired { file: file(), until: show_date(until) });
        }
        if let Some(locked) = expected.locked.filter(|locked| self.date < *locked) {
            let (date, locked) = (show_date(self.date), show_date(locked));
            return Err(ReleaseError::Rollback { file: file(), date, locked });
        }
        Ok(())
    }

    /// Returns the indexes to fetch for a component and an architecture, each in the form that costs least: that of the
    /// architecture, and the one for all architectures where that is not part of it.
    ///
    /// # Errors
    /// When there is none.
    pub fn indexes(&self, component: &str, architecture: &str) -> Result<Vec<IndexFile>, ReleaseError> {
        let listed = self.components.iter().any(|own| own.rsplit('/').next() == Some(component) || own == component);
        let own = self.index(&format!("{component}/binary-{architecture}/Packages"));
        let (true, Some(own)) = (listed, own) else {
            return Err(ReleaseError::Component {
                file: self.file.clone(),
                component: component.to_owned(),
                architecture: architecture.to_owned(),
                there: self.components.clone(),
            });
        };
        let separate = !self.all_included && self.architectures.iter().any(|other| other == "all");
        let all = separate.then(|| self.index(&format!("{component}/binary-all/Packages"))).flatten();
        Ok(std::iter::once(own).chain(all).collect())
    }

    /// Returns the index of a flat repository.
    ///
    /// # Errors
    /// When there is none.
    pub fn flat_index(&self) -> Result<IndexFile, ReleaseError> {
        self.index("Packages").ok_or_else(|| ReleaseError::Field {
            file: self.file.clone(),
            field: "SHA256",
            reason: "expected an index `Packages`, compressed or not".into(),
        })
    }

    /// Returns the form of a file that is served: the plain one often is listed only.
    fn index(&self, base: &str) -> Option<IndexFile> {
        Compression::ALL.into_iter().find_map(|compression| {
            let path = format!("{base}{}", compression.suffix());
            let (digest, size) = *self.files.get(&path)?;
            let folder = &path[..path.len() - path.rsplit('/').next().unwrap_or(&path).len()];
            let by_hash = self.by_hash.then(|| format!("{folder}by-hash/SHA256/{}", digest.hex()));
            Some(IndexFile { by_hash, path, compression, digest, size })
        })
    }
}

/// Reads the list of files: a line each, with digest, length and path.
fn files(list: &str) -> Result<BTreeMap<String, (Digest, u64)>, String> {
    let mut files = BTreeMap::new();
    for line in list.lines().filter(|line| !line.trim().is_empty()) {
        let wrong = || format!("expected lines with a digest, a length and a path, not `{}`", shown(line.as_bytes()));
        let words: Vec<&str> = line.split_whitespace().collect();
        let [hex, size, path] = words[..] else { return Err(wrong()) };
        let digest: Digest = format!("sha256:{hex}").parse().map_err(|_| wrong())?;
        let size: u64 = size.parse().map_err(|_| wrong())?;
        if path.starts_with('/') || path.split('/').any(|name| name == "..") {
            return Err(format!("the path `{}` leaves the repository", shown(path.as_bytes())));
        }
        if files.insert(path.to_owned(), (digest, size)).is_some_and(|other| other != (digest, size)) {
            return Err(format!("the path `{}` stands twice, with different digests", shown(path.as_bytes())));
        }
    }
    if files.is_empty() { Err("expected a list of files with their SHA-256".into()) } else { Ok(files) }
}

#[cfg(test)]
mod tests;
