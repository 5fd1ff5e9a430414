//! The files of the local database of pacman (alpm-db-desc(5), alpm-db-files(5)).

use std::fmt::Write as _;

use md5::{Digest as _, Md5};

use super::{DatabaseError, Decisions, Package};
use crate::packages::archive::Item;
use crate::packages::pacman::desc::put;
use crate::packages::writer::Writer;
use crate::tree::{Kind, Tree};

/// Where the database is.
const LOCAL: &str = "/var/lib/pacman/local";
/// The version of the database.
const VERSION: &str = "9\n";
/// The largest configuration file whose checksum is made, in bytes.
const BACKUP_BYTES: usize = 256 << 20;

/// Writes the database into the tree.
pub(super) fn write(tree: &mut Tree, packages: &[Package<'_>], decisions: &Decisions) -> Result<(), DatabaseError> {
    let mut writer = Writer { tree, epoch: decisions.epoch };
    writer.file(&format!("{LOCAL}/ALPM_DB_VERSION"), 0o644, VERSION)?;
    for package in packages {
        let directory = format!("{LOCAL}/{}-{}", package.info.name, package.info.version);
        writer.directory(&directory)?;
        writer.file(&format!("{directory}/desc"), 0o644, desc(package, decisions))?;
        writer.file(&format!("{directory}/files"), 0o644, files(package)?)?;
        for (control, name) in [(".INSTALL", "install"), (".CHANGELOG", "changelog"), (".MTREE", "mtree")] {
            if let Some(file) = package.unpacked.control_file(control) {
                // `pacman -Qkk` compares the time of a script with that in the `.MTREE`.
                let mut writer = Writer { tree: &mut *writer.tree, epoch: file.mtime };
                writer.file(&format!("{directory}/{name}"), 0o644, file.bytes.clone())?;
            }
        }
    }
    Ok(())
}

/// Returns what the database says about a package.
fn desc<'text>(package: &Package<'text>, decisions: &Decisions) -> String {
    let info = &package.info;
    let mut text = String::new();
    put(&mut text, "NAME", &[info.name]);
    put(&mut text, "VERSION", &[info.version]);
    let some = |value: &'static str| [value];
    let installed = decisions.epoch.to_string();
    let there = |value: &'text str| Some(value).filter(|value| !value.is_empty());
    for (name, value) in [
        ("BASE", there(info.base)),
        // These are written even when they are empty.
        ("DESC", info.description),
        ("URL", info.url),
        ("ARCH", there(info.architecture)),
        ("BUILDDATE", there(info.built)),
        ("INSTALLDATE", Some(&installed)),
        ("PACKAGER", there(info.packager)),
        // A package without content has no size, as with pacman.
        ("SIZE", there(info.installed_size).filter(|size| *size != "0")),
    ] {
        value.into_iter().for_each(|value| put(&mut text, name, &[value]));
    }
    if decisions.automatic.contains(info.name) {
        put(&mut text, "REASON", &some("1"));
    }
    put(&mut text, "GROUPS", &info.groups);
    put(&mut text, "LICENSE", &info.licences);
    // What pacman says, too, which looks at the sum of those packages only that it has no signature to look at.
    let validation = if decisions.unsigned.contains(info.name) { "sha256" } else { "pgp" };
    put(&mut text, "VALIDATION", &some(validation));
    put(&mut text, "REPLACES", &info.replaces);
    put(&mut text, "DEPENDS", &info.depends);
    put(&mut text, "OPTDEPENDS", &info.optional);
    put(&mut text, "CONFLICTS", &info.conflicts);
    put(&mut text, "PROVIDES", &info.provides);
    put(&mut text, "XDATA", &info.extra);
    text
}

/// Returns the list of a package's files, and of those that an upgrade does not overwrite.
fn files(package: &Package<'_>) -> Result<String, DatabaseError> {
    let fault = |reason: String| DatabaseError::Package { package: package.info.name.to_owned(), reason };
    let mut paths: Vec<String> = Vec::new();
    for entry in package.unpacked.entries.iter().filter(|entry| !entry.path.is_root()) {
        let path = std::str::from_utf8(entry.path.as_bytes()).ok().filter(|path| !path.contains(['\n', '\t']));
        let path = path.ok_or_else(|| fault(format!("`{}` cannot stand in the database", entry.path)))?;
        paths.push(format!("{path}{}", if entry.is_directory() { "/" } else { "" }));
    }
    paths.sort();
    paths.dedup();
    let mut text = String::new();
    put(&mut text, "FILES", &paths.iter().map(String::as_str).collect::<Vec<_>>());
    let mut backup = Vec::new();
    for path in &package.info.backup {
        let entry = package.unpacked.entries.iter().rfind(|entry| entry.path.as_bytes() == path.as_bytes());
        // What is not in the package yet may come later: it has no checksum.
        let Some(Item::Node(Kind::Regular(content))) = entry.map(|entry| &entry.item) else { continue };
        let bytes = content.read(BACKUP_BYTES)?.ok_or_else(|| fault(format!("`{path}` is too long for `backup`")))?;
        let mut line = format!("{path}\t");
        for byte in Md5::digest(&bytes) {
            // Writing into a string cannot fail.
            let _ = write!(line, "{byte:02x}");
        }
        backup.push(line);
    }
    put(&mut text, "BACKUP", &backup.iter().map(String::as_str).collect::<Vec<_>>());
    Ok(text)
}
