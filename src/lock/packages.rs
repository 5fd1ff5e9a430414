//! The exact packages of a target, and where they come from.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::Difference;
use crate::digest::{Digest, Hasher};

/// The packages that outputs of a target carry on one architecture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The digest of what was asked for; once something else is, the packages are chosen anew.
    pub asked: Digest,
    /// The digest of the packages that an extension is laid over ([`Bundle::digest_of`]); nothing for what is laid over
    /// nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<Digest>,
    /// Where they come from, in the order in which sources are preferred.
    #[serde(rename = "source", default)]
    pub sources: Vec<LockedSource>,
    /// The packages, sorted by name.
    #[serde(rename = "package", default)]
    pub packages: Vec<LockedPackage>,
    /// The packages that an extension is laid over, sorted by name, where no other lock names them.
    #[serde(rename = "below", default, skip_serializing_if = "Vec::is_empty")]
    pub below: Vec<LockedPackage>,
}

impl Bundle {
    /// Returns the digest of packages that an extension is laid over: of their names, versions, architectures and files.
    pub fn digest_of(packages: &[LockedPackage]) -> Digest {
        let mut hasher = Hasher::new();
        for package in packages {
            for field in [&package.name, &package.version, &package.architecture] {
                hasher.field(field.as_bytes());
            }
            hasher.field(package.sha256.as_bytes());
        }
        hasher.finish().0
    }

    /// Returns a package by its name.
    pub fn package(&self, name: &str) -> Option<&LockedPackage> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// Returns the tag of the source that a package comes from, where it has one.
    pub fn tag(&self, package: &LockedPackage) -> Option<&str> {
        self.sources.iter().find(|source| source.name == package.source)?.tag.as_deref()
    }

    /// Tells whether somebody vouches for the source that a package comes from.
    pub fn is_signed(&self, package: &LockedPackage) -> bool {
        self.sources.iter().find(|source| source.name == package.source).is_none_or(|source| !source.trusted)
    }

    /// Returns the chain of reasons that leads to a package, the package itself first; the last one was requested or belongs
    /// to the variant. Empty for a package that is not there.
    pub fn why(&self, name: &str) -> Vec<&LockedPackage> {
        let mut chain: Vec<&LockedPackage> = Vec::new();
        let mut next = Some(name);
        while let Some(package) = next.and_then(|name| self.package(name)) {
            // A lock that somebody edited may lead in a circle.
            if chain.iter().any(|known| known.name == package.name) {
                break;
            }
            chain.push(package);
            next = package.pulled_in_by();
        }
        chain
    }

    /// Returns what is different in `wanted`, of the target and architecture that `target` names.
    pub(super) fn differences(&self, target: &str, wanted: &Self) -> Vec<Difference> {
        let mut differences = Vec::new();
        let mut differ = |what, locked: Option<String>, wanted: Option<String>| {
            if locked != wanted {
                differences.push(Difference { target: target.to_owned(), what, locked, wanted });
            }
        };
        let shown = |source: &LockedSource| {
            let date = source.date.map_or_else(|| source.digest.to_string(), shown_date);
            let suite = if source.suite.is_empty() { String::new() } else { format!(" {}", source.suite) };
            format!("{}{suite} of {date}", source.name)
        };
        let pairs = both(&self.sources, &wanted.sources, |source| (source.name.clone(), source.suite.clone()));
        for (locked, wanted) in pairs {
            let same = locked.zip(wanted).is_some_and(|(locked, wanted)| locked.digest == wanted.digest);
            if !same {
                differ("source", locked.map(shown), wanted.map(shown));
            }
        }
        let shown = |package: &LockedPackage| format!("{} {}", package.name, package.version);
        let lists = [
            ("bundled package", &self.packages, &wanted.packages),
            ("package below the extension", &self.below, &wanted.below),
        ];
        for (what, locked, wanted) in lists {
            for (locked, wanted) in both(locked, wanted, |package| package.name.clone()) {
                match (locked, wanted) {
                    (Some(one), Some(other)) if one.version == other.version && one.sha256 != other.sha256 => {
                        let shown = |package: &LockedPackage| format!("{} {}", shown(package), package.sha256);
                        differ(what, Some(shown(one)), Some(shown(other)));
                    }
                    _ => differ(what, locked.map(shown), wanted.map(shown)),
                }
            }
        }
        differences
    }
}

/// Writes a number of seconds since 1970 for people.
fn shown_date(seconds: i64) -> String {
    let moment = u64::try_from(seconds).ok().and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    // The last moment of the year 9999.
    match moment.filter(|_| seconds < 253_402_300_800) {
        Some(moment) => httpdate::fmt_http_date(moment),
        None => format!("second {seconds}"),
    }
}

/// Returns what stands in one list or the other, by key.
fn both<'list, T, K: Ord>(
    one: &'list [T],
    other: &'list [T],
    key: impl Fn(&T) -> K,
) -> Vec<(Option<&'list T>, Option<&'list T>)> {
    let mut found: BTreeMap<K, (Option<&T>, Option<&T>)> = BTreeMap::new();
    one.iter().for_each(|item| found.entry(key(item)).or_default().0 = Some(item));
    other.iter().for_each(|item| found.entry(key(item)).or_default().1 = Some(item));
    found.into_values().collect()
}

/// An index of packages that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedSource {
    /// Its name in the profile or the distro.
    pub name: String,
    /// The suite, branch or repository.
    pub suite: String,
    /// When it was made, in seconds since 1970; older ones are refused from then on. Not every family says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<i64>,
    /// The digest of what was signed: the release file, the index.
    pub digest: Digest,
    /// Whether nobody had to vouch for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trusted: bool,
    /// What has to be asked for to get packages of it, for apk (apk-repositories(5)), without its `@`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// One package, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture, by the family's name.
    pub architecture: String,
    /// The name of the source it comes from.
    pub source: String,
    /// Where it is, relative to the mirror of its source.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
    /// The digest of the whole file.
    pub sha256: Digest,
    /// Why it is there: `requested`, `variant`, `nginx depends on libssl3`.
    pub why: String,
}

impl LockedPackage {
    /// Returns the name of the package that asks for it; nothing for one that was requested or belongs to the variant.
    pub fn pulled_in_by(&self) -> Option<&str> {
        self.why.split_once(' ').map(|(by, _)| by)
    }
}
