//! What tells apt where packages come from (sources.list(5), deb822 style).
//!
//! Comes in: the sources of a profile. Goes out: files by path: one `NAME.sources` for each source, and its keys where no
//! package brings them. Always holds: addresses are those that profile and distribution say, never those of the machine that
//! renders; the same sources give the same files.

use std::collections::BTreeMap;

use url::Url;

use crate::distro::archive_keys;
use crate::fs;
use crate::resolve::{Keys, PackageSource, SourceContent};

/// What a file with armoured keys begins with (RFC 9580, 6.2).
const ARMOUR: &[u8] = b"-----BEGIN PGP";

/// Returns the files that name `sources` to apt on a system that has the packages that `has` knows. A folder of the project
/// and what is only reached as a file are none.
///
/// # Errors
/// When a file of keys cannot be read.
pub fn apt_sources(
    sources: &[PackageSource],
    has: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, Vec<u8>>, fs::Error> {
    let mut files = BTreeMap::new();
    for source in sources {
        let is_reached = |mirror: &&Url| matches!(mirror.scheme(), "http" | "https");
        let Some(mirror) = source.mirrors.iter().find(is_reached) else { continue };
        let Some((suites, components)) = taken(&source.content) else { continue };
        let mut lines = vec!["Types: deb".to_owned(), format!("URIs: {mirror}"), format!("Suites: {suites}")];
        lines.extend((!components.is_empty()).then(|| format!("Components: {components}")));
        if source.snapshot.is_some() {
            // The time of what is old by intent is over.
            lines.push("Check-Valid-Until: no".to_owned());
        }
        match vouching(source, &has)? {
            Vouching::Nobody => lines.push("Trusted: yes".to_owned()),
            Vouching::There(path) => lines.push(format!("Signed-By: {path}")),
            Vouching::Brought(path, keys) => {
                lines.push(format!("Signed-By: {path}"));
                files.insert(path, keys);
            }
        }
        let text = lines.join("\n") + "\n";
        files.insert(format!("/etc/apt/sources.list.d/{}.sources", source.name), text.into_bytes());
    }
    Ok(files)
}

/// Returns suites and components as they are written.
fn taken(content: &SourceContent) -> Option<(String, String)> {
    match content {
        SourceContent::Suites { suites, components } => Some((suites.join(" "), components.join(" "))),
        SourceContent::Flat => Some(("./".to_owned(), String::new())),
        SourceContent::Directory { .. } => None,
    }
    .filter(|(suites, _)| !suites.is_empty())
}

/// Who vouches for a source.
enum Vouching {
    Nobody,
    /// The keys in a file that a package brings.
    There(String),
    /// The keys in a file that has to be brought.
    Brought(String, Vec<u8>),
}

fn vouching(source: &PackageSource, has: &impl Fn(&str) -> bool) -> Result<Vouching, fs::Error> {
    let keys = match &source.keys {
        Keys::None => return Ok(Vouching::Nobody),
        Keys::Archive(keyring) => match archive_keys(keyring).filter(|_| !has(keyring)) {
            Some(keys) => keys.as_bytes().to_vec(),
            None => {
                let name = if keyring == "ubuntu-keyring" { "ubuntu-archive-keyring" } else { keyring };
                return Ok(Vouching::There(format!("/usr/share/keyrings/{name}.gpg")));
            }
        },
        Keys::File { path, .. } => fs::read(path)?,
    };
    // apt tells by the name whether keys are armoured.
    let extension = if keys.starts_with(ARMOUR) { "asc" } else { "gpg" };
    Ok(Vouching::Brought(format!("/etc/apt/keyrings/{}.{extension}", source.name), keys))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str, mirrors: &[&str], keys: Keys) -> PackageSource {
        PackageSource {
            name: name.into(),
            content: SourceContent::Suites {
                suites: vec!["trixie".into(), "trixie-updates".into()],
                components: vec!["main".into()],
            },
            mirrors: mirrors.iter().map(|mirror| mirror.parse().unwrap()).collect(),
            fixed: false,
            snapshot: None,
            keys,
            priority: None,
            tag: None,
        }
    }

    fn shown(files: &BTreeMap<String, Vec<u8>>) -> String {
        let shown = |(path, bytes): (&String, &Vec<u8>)| format!("== {path}\n{}", String::from_utf8_lossy(bytes));
        files.iter().map(shown).collect()
    }

    #[test]
    fn every_source_is_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let key = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write_atomic(&path, bytes).unwrap();
            Keys::File { name: name.into(), path }
        };
        let archive = Keys::Archive("debian-archive-keyring".into());
        let debian = source("debian", &["http://ftp.debian.org/debian/"], archive);
        let snapshot = Some("20260401T000000Z".to_owned());
        let flat = PackageSource { content: SourceContent::Flat, ..source("flat", &["https://f/"], Keys::None) };
        let directory = SourceContent::Directory { path: folder.path().into(), files: Vec::new() };
        let sources = [
            debian.clone(),
            PackageSource { snapshot, ..source("tools", &["file:///t/", "https://t/"], key("t", b"\x99\x01")) },
            source("armoured", &["https://a/"], key("a", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n")),
            flat,
            source("local", &["file:///srv/"], Keys::None),
            PackageSource { content: directory, ..source("own", &[], Keys::None) },
        ];
        let files = apt_sources(&sources, |name| name == "debian-archive-keyring").unwrap();
        insta::assert_snapshot!(shown(&files));
        let without = apt_sources(&[debian], |_| false).unwrap();
        let key = &without["/etc/apt/keyrings/debian.asc"];
        assert!(key.starts_with(ARMOUR) && shown(&without).contains("Signed-By: /etc/apt/keyrings/debian.asc\n"));
    }
}
