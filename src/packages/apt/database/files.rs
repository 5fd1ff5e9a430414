//! The files of the dpkg database, and of what apt knows beside it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::checksums::{md5, md5sums};
use super::selection::Package;
use super::{DatabaseError, Decisions};
use crate::packages::apt::archive::Item;
use crate::packages::apt::control::{Field, shown};
use crate::packages::claims::Claims;
use crate::packages::writer::Writer;
use crate::tree::{Content, Kind, Meta, Node, Tree};

/// Where the database is.
const DPKG: &str = "/var/lib/dpkg";

/// The fields of a stanza in the order in which dpkg writes them; others follow in their own order. `Status` and
/// `Conffiles` are not of the package.
const FIELDS: [&str; 24] = [
    "Package",
    "Essential",
    "Protected",
    "Status",
    "Priority",
    "Section",
    "Installed-Size",
    "Origin",
    "Maintainer",
    "Bugs",
    "Architecture",
    "Multi-Arch",
    "Source",
    "Version",
    "Replaces",
    "Provides",
    "Depends",
    "Pre-Depends",
    "Recommends",
    "Suggests",
    "Breaks",
    "Conflicts",
    "Enhances",
    "Conffiles",
];

/// Writes the database into the tree.
pub(super) fn write(
    tree: &mut Tree,
    packages: &[Package<'_>],
    decisions: &Decisions,
    claims: &Claims,
) -> Result<(), DatabaseError> {
    let mut writer = Writer { tree, epoch: decisions.epoch };
    for directory in ["alternatives", "info", "parts", "triggers", "updates"] {
        writer.directory(&format!("{DPKG}/{directory}"))?;
    }
    writer.file(&format!("{DPKG}/arch"), 0o644, format!("{}\n", decisions.architecture))?;
    writer.file(&format!("{DPKG}/diversions"), 0o644, diversions(decisions))?;
    writer.file(&format!("{DPKG}/statoverride"), 0o644, overrides(decisions))?;
    for (name, mode) in
        [("lock", 0o640), ("lock-frontend", 0o640), ("triggers/Lock", 0o600), ("triggers/Unincorp", 0o644)]
    {
        writer.file(&format!("{DPKG}/{name}"), mode, String::new())?;
    }
    writer.file(&format!("{DPKG}/info/format"), 0o644, "1\n".to_owned())?;
    let mut stanzas = BTreeMap::new();
    for (number, package) in packages.iter().enumerate() {
        writer.info(number, package, claims)?;
        let conffiles = conffiles(package)?;
        stanzas.insert(&package.name, stanza(package, &conffiles, decisions.configured));
    }
    let status: Vec<Vec<u8>> = stanzas.into_values().collect();
    writer.file(&format!("{DPKG}/status"), 0o644, status.concat())?;
    for (name, lines) in triggers(packages)? {
        writer.file(&format!("{DPKG}/triggers/{name}"), 0o644, lines)?;
    }
    writer.apt(packages, decisions)
}

impl Writer<'_> {
    /// Writes the control files of a package and the list of its paths, in the order of the package.
    fn info(&mut self, number: usize, package: &Package<'_>, claims: &Claims) -> Result<(), DatabaseError> {
        let prefix = format!("{DPKG}/info/{}", package.file_name());
        for file in package.unpacked.control.iter().filter(|file| file.name != "control") {
            let kind = Kind::Regular(Content::inline(file.bytes.clone()));
            let meta = Meta::root_owned(file.mode & 0o777, file.mtime);
            self.node(&format!("{prefix}.{}", file.name), Node { kind, meta })?;
        }
        if package.unpacked.control_file("md5sums").is_none() {
            self.file(&format!("{prefix}.md5sums"), 0o644, md5sums(package)?)?;
        }
        let mut list = b"/.\n".to_vec();
        let entries = package.unpacked.entries.iter().enumerate();
        let own = entries.filter(|(place, entry)| claims.owns(number, *place) && !entry.path.is_root());
        for (_, entry) in own {
            list.push(b'/');
            list.extend(entry.path.as_bytes());
            list.push(b'\n');
        }
        self.file(&format!("{prefix}.list"), 0o644, list)?;
        Ok(())
    }

    /// Writes which packages apt may remove, where there is an apt.
    fn apt(&mut self, packages: &[Package<'_>], decisions: &Decisions) -> Result<(), DatabaseError> {
        let mut automatic: Vec<&Package<'_>> =
            packages.iter().filter(|package| decisions.automatic.contains(&package.name)).collect();
        automatic.sort_by_key(|package| &package.name);
        if automatic.is_empty() || self.tree.get(&"/var/lib/apt".parse()?).is_none() {
            return Ok(());
        }
        let mut text = String::new();
        for package in automatic {
            let architecture = match package.architecture.as_str() {
                // apt counts packages for all architectures as those of the system.
                "all" => &decisions.architecture,
                own => own,
            };
            // Writing into a string cannot fail.
            let _ = write!(text, "Package: {}\nArchitecture: {architecture}\nAuto-Installed: 1\n\n", package.name);
        }
        self.file("/var/lib/apt/extended_states", 0o644, text)?;
        Ok(())
    }
}

/// Writes what the status file says about a package.
fn stanza(package: &Package<'_>, conffiles: &str, configured: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut put = |name: &[u8], value: &[u8]| {
        bytes.extend(name);
        // A value that begins in the next line has no space before it.
        bytes.extend(if value.first() == Some(&b'\n') { &b":"[..] } else { b": " });
        bytes.extend(value);
        bytes.push(b'\n');
    };
    for name in FIELDS {
        let field = package.control.get(name);
        match name {
            "Status" if configured => put(b"Status", b"install ok installed"),
            "Status" => put(b"Status", b"install ok unpacked"),
            "Conffiles" if conffiles.is_empty() => {}
            "Conffiles" => put(b"Conffiles", conffiles.as_bytes()),
            // What says nothing is not written.
            "Essential" | "Protected" if field == Some(b"no") => {}
            _ => {
                if let Some(value) = field.filter(|value| !value.is_empty()) {
                    put(name.as_bytes(), value);
                }
            }
        }
    }
    let known = |name: &[u8]| FIELDS.iter().any(|field| name.eq_ignore_ascii_case(field.as_bytes()));
    let mut rest: Vec<&Field<'_>> =
        package.control.fields().iter().filter(|field| !known(field.name) && !field.value.is_empty()).collect();
    // Stable: the others keep their order.
    rest.sort_by_key(|field| !field.name.eq_ignore_ascii_case(b"Description"));
    for field in rest {
        put(field.name, field.value);
    }
    bytes.push(b'\n');
    bytes
}

/// Returns the lines about the configuration files of a package: each with the MD5 of what is installed, or with the words
/// that dpkg has for one that is not there.
fn conffiles(package: &Package<'_>) -> Result<String, DatabaseError> {
    let mut lines = String::new();
    for (path, removed) in package.conffiles()? {
        if removed {
            // Writing into a string cannot fail.
            let _ = write!(lines, "\n {path} newconffile remove-on-upgrade");
            continue;
        }
        let fault = |reason: String| DatabaseError::Package { package: package.name.clone(), reason };
        let Some(entry) = package.unpacked.entries.iter().rfind(|entry| entry.path == path) else {
            return Err(fault(format!("`{path}` stands in `conffiles` and is not in the package")));
        };
        let Item::Node(Kind::Regular(content)) = &entry.item else {
            return Err(fault(format!("`{path}` stands in `conffiles` and is no file")));
        };
        // Writing into a string cannot fail.
        let _ = write!(lines, "\n {path} {}", md5(content)?);
    }
    Ok(lines)
}

/// Returns the files of `triggers`: who is to be told when a path or a name is activated (deb-triggers(5)).
fn triggers(packages: &[Package<'_>]) -> Result<BTreeMap<String, String>, DatabaseError> {
    let mut interests: BTreeMap<String, Vec<String>> = BTreeMap::from([("File".to_owned(), Vec::new())]);
    for package in packages {
        for line in package.lines("triggers").filter(|line| line[0] != b'#') {
            let line = line.split(|&byte| byte == b'#').next().unwrap_or_default();
            let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            let (verb, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let wait = match verb {
                b"interest" | b"interest-await" => "",
                b"interest-noawait" => "/noawait",
                // It tells others, who say themselves what they want to hear.
                b"activate" | b"activate-await" | b"activate-noawait" => continue,
                _ => return Err(trigger_fault(package, line)),
            };
            let clean = !name.is_empty() && name.iter().all(u8::is_ascii_graphic) && words.next().is_none();
            let (true, Ok(name)) = (clean, std::str::from_utf8(name)) else {
                return Err(trigger_fault(package, line));
            };
            let who = format!("{}{wait}", package.file_name());
            if name.starts_with('/') {
                interests.entry("File".into()).or_default().push(format!("{name} {who}\n"));
            } else if name.contains('/') || matches!(name, "File" | "Unincorp" | "Lock") || name.starts_with('.') {
                return Err(trigger_fault(package, line));
            } else {
                interests.entry(name.to_owned()).or_default().push(format!("{who}\n"));
            }
        }
    }
    let sorted = |(name, mut lines): (String, Vec<String>)| {
        lines.sort();
        (name, lines.concat())
    };
    Ok(interests.into_iter().map(sorted).filter(|(_, lines)| !lines.is_empty()).collect())
}

fn trigger_fault(package: &Package<'_>, line: &[u8]) -> DatabaseError {
    let reason = format!("in `triggers`: cannot take `{}`", shown(line));
    DatabaseError::Package { package: package.name.clone(), reason }
}

fn diversions(decisions: &Decisions) -> String {
    let line = |diversion: &super::Diversion| {
        let package = diversion.package.as_deref().unwrap_or(":");
        format!("{}\n{}\n{package}\n", diversion.path, diversion.to)
    };
    decisions.diversions.iter().map(line).collect()
}

fn overrides(decisions: &Decisions) -> String {
    let line =
        |change: &super::StatOverride| format!("#{} #{} {:o} {}\n", change.uid, change.gid, change.mode, change.path);
    decisions.overrides.iter().map(line).collect()
}
