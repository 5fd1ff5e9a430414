//! UP: folders of versions that systemd-sysupdate reads (sysupdate.d(5)).

use super::subject::{Class, Subject};
use super::table::Report;
use super::unit::{self, Assignment};
use crate::publish::Version;

/// A file of such a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedFile {
    /// Its name.
    pub name: String,
    /// What is in it, when it is a transfer file or a list of sums.
    pub text: Option<String>,
}

/// Files that say something about others.
fn is_image(name: &str) -> bool {
    [".raw", ".raw.xz", ".raw.zst", ".raw.gz", ".raw.bz2"].iter().any(|ending| name.ends_with(ending))
}

/// Returns the transfer files with their assignments.
fn transfers<'a>(subject: &Subject<'a>) -> Vec<(&'a str, Vec<Assignment>)> {
    let files = subject.published.iter().filter(|file| file.name.ends_with(".transfer"));
    files.filter_map(|file| Some((&*file.name, unit::assignments(file.text.as_deref()?)))).collect()
}

fn values<'t>(assignments: &'t [Assignment], section: &str, key: &str) -> Vec<&'t str> {
    let found = assignments.iter().filter(|found| found.section == section && found.key == key);
    found.flat_map(|found| found.value.split_whitespace()).collect()
}

/// Returns the version in a name, when the pattern fits: `hello_@v.raw` takes `1.2` from `hello_1.2.raw`.
fn version<'name>(pattern: &str, name: &'name str) -> Option<&'name str> {
    let (before, after) = pattern.split_once("@v")?;
    let rest = name.strip_prefix(before)?;
    // What other wildcards stand for is not looked at: they come behind the version.
    let after = after.split('@').next().unwrap_or(after);
    let version = if pattern.ends_with(&format!("@v{after}")) {
        rest.strip_suffix(after)?
    } else {
        &rest[..rest.find(after).filter(|_| !after.is_empty())?]
    };
    (!version.is_empty()).then_some(version)
}

pub(super) fn versions(subject: &Subject<'_>, report: &mut Report) {
    if subject.class != Class::Publish {
        return;
    }
    let transfers = transfers(subject);
    let patterns: Vec<&str> = transfers.iter().flat_map(|(_, found)| values(found, "Source", "MatchPattern")).collect();
    for file in subject.published.iter().filter(|file| is_image(&file.name)) {
        let stem = file.name.split(".raw").next().unwrap_or_default();
        let found = patterns.iter().find_map(|pattern| version(pattern, &file.name));
        let Some(version) = found.or_else(|| stem.split_once('_').map(|(_, version)| version)) else { continue };
        if version.parse::<Version>().is_err() {
            report.whole(format!("`{}` has the version `{version}`", file.name));
        }
    }
}

pub(super) fn patterns(subject: &Subject<'_>, report: &mut Report) {
    if subject.class != Class::Publish {
        return;
    }
    let transfers = transfers(subject);
    for (name, assignments) in &transfers {
        let all =
            [values(assignments, "Source", "MatchPattern"), values(assignments, "Target", "MatchPattern")].concat();
        for pattern in all.iter().filter(|pattern| pattern.matches("@v").count() != 1) {
            report.whole(format!("`{pattern}` in `{name}` has not one `@v`"));
        }
    }
    if !transfers.is_empty() {
        for file in subject.published.iter().filter(|file| is_image(&file.name)) {
            let fits = |(_, found): &&(&str, Vec<Assignment>)| {
                values(found, "Source", "MatchPattern").iter().any(|pattern| version(pattern, &file.name).is_some())
            };
            match transfers.iter().filter(fits).count() {
                1 => {}
                0 => report.whole(format!("`{}` fits no pattern", file.name)),
                _ => report.whole(format!("`{}` fits the patterns of several transfers", file.name)),
            }
        }
    }
    let sums =
        subject.published.iter().filter(|file| file.name == "SHA256SUMS").filter_map(|file| file.text.as_deref());
    for line in sums.flat_map(str::lines).filter(|line| !line.trim().is_empty()) {
        let name = line.get(66..).unwrap_or_default();
        let digest = line.get(..64).unwrap_or_default();
        let plain = !name.is_empty() && !name.contains(['/', '%']) && name != "..";
        if !plain || !digest.chars().all(|digit| digit.is_ascii_hexdigit()) || digest.is_empty() {
            report.whole(format!("`{line}` in SHA256SUMS is no digest and plain name"));
        }
    }
}

fn kept(assignments: &[Assignment]) -> Option<u32> {
    values(assignments, "Target", "InstancesMax").last().and_then(|value| value.parse().ok())
}

fn is_verified(assignments: &[Assignment]) -> bool {
    !matches!(values(assignments, "Transfer", "Verify").last().copied(), Some("no" | "false" | "0" | "off"))
}

pub(super) fn keeps_versions(subject: &Subject<'_>, report: &mut Report) {
    let has = |name: &str| subject.published.iter().any(|file| file.name == name);
    for (name, assignments) in transfers(subject) {
        if let Some(count) = kept(&assignments).filter(|count| *count < 2) {
            report.whole(format!("`{name}` keeps {count} instance"));
        }
        if is_verified(&assignments) && !has("SHA256SUMS.gpg") && !has("SHA256SUMS.asc") {
            report.whole(format!("`{name}` asks for a signature, but there is no SHA256SUMS.gpg"));
        }
    }
}
