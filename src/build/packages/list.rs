//! What is known about the packages of a tree: for lists of what is in an image.
//!
//! Comes in: unpacked packages, their tree. Goes out: an [`InstalledPackage`] for each, and who has which path.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::PackagesError;
use super::dpkg::Decided;
use super::licence;
use crate::distro::Distro;
use crate::lock::LockedPackage;
use crate::packages::apt::archive::{Item, Unpacked};
use crate::packages::apt::control;
use crate::spec::Family;
use crate::tree::{Kind, Tree, TreePath};

/// The most bytes of a copyright file that are read.
const COPYRIGHT_BYTES: usize = 4 << 20;
/// The most bytes of a list of paths.
const LIST_BYTES: usize = 256 << 20;

/// A package of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture, by the family's name.
    pub architecture: String,
    /// The name of the source package that it was built from, and its version.
    pub source: (String, String),
    /// What its copyright file names as licences, in the words of that file, sorted; nothing where no machine can read it.
    pub licences: Vec<String>,
    /// The name that its files in the database begin with.
    pub(super) file_name: String,
    /// The type of its package URL: `deb`, `apk` or `alpm`.
    pub(super) kind: String,
}

impl InstalledPackage {
    /// Returns its package URL: `pkg:deb/debian/NAME@VERSION?arch=…&distro=debian-13` (package-url specification, types `deb`,
    /// `apk` and `alpm`).
    pub fn purl(&self, distro: &str, release: Option<&str>) -> String {
        url(&self.kind, (distro, release), [&self.name, &self.version, &self.architecture])
    }
}

/// Returns the package URL of a package of a lock, as [`InstalledPackage::purl`] does.
pub fn package_url(distro: &Distro, package: &LockedPackage) -> String {
    let kind = match distro.family {
        Family::Apt => "deb",
        Family::Apk => "apk",
        Family::Pacman => "alpm",
    };
    let release = distro.version_id.as_deref();
    url(kind, (&distro.id, release), [&package.name, &package.version, &package.architecture])
}

fn url(kind: &str, (distro, release): (&str, Option<&str>), [name, version, architecture]: [&str; 3]) -> String {
    let escape = |text: &str| -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~".contains(&byte);
        let shown = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        text.bytes().map(shown).collect()
    };
    let release = release.map(|release| format!("&distro={}-{}", escape(distro), escape(release)));
    format!(
        "pkg:{kind}/{}/{}@{}?arch={}{}",
        escape(distro),
        escape(name),
        escape(version),
        escape(architecture),
        release.unwrap_or_default()
    )
}

/// Returns what the packages say about themselves, sorted by name.
pub(super) fn packages(unpacked: &[Unpacked]) -> Result<Vec<InstalledPackage>, PackagesError> {
    let mut packages = unpacked.iter().map(package).collect::<Result<Vec<_>, _>>()?;
    packages.sort_by(|one, other| (&one.name, &one.architecture).cmp(&(&other.name, &other.architecture)));
    Ok(packages)
}

fn package(unpacked: &Unpacked) -> Result<InstalledPackage, PackagesError> {
    let bytes = unpacked.control_bytes("control");
    let control = control::single("control", bytes)?;
    let text = |name: &str| String::from_utf8_lossy(control.get(name).unwrap_or_default()).into_owned();
    let (name, version, architecture) = (text("Package"), text("Version"), text("Architecture"));
    let source = text("Source");
    // `Source: name (version)`: the version stands there when it is another one.
    let (source, source_version) = match source.split_once(" (") {
        Some((source, version)) => (source.to_owned(), version.trim_end_matches(')').to_owned()),
        None if source.is_empty() => (name.clone(), version.clone()),
        None => (source, version.clone()),
    };
    let file_name = if text("Multi-Arch") == "same" { format!("{name}:{architecture}") } else { name.clone() };
    let licences = licences(unpacked, &name)?;
    Ok(InstalledPackage {
        name,
        version,
        architecture,
        source: (source, source_version),
        licences,
        file_name,
        kind: "deb".into(),
    })
}

fn licences(unpacked: &Unpacked, name: &str) -> Result<Vec<String>, PackagesError> {
    let path = format!("usr/share/doc/{name}/copyright");
    let file = unpacked.entries.iter().find(|entry| entry.path.as_bytes() == path.as_bytes());
    let Some(Item::Node(Kind::Regular(content))) = file.map(|entry| &entry.item) else { return Ok(Vec::new()) };
    let text = content.read(COPYRIGHT_BYTES)?.unwrap_or_default();
    Ok(licence::named(&String::from_utf8_lossy(&text)))
}

/// Returns which package each path is of that is no directory, by the lists of the database; what is diverted is where it is.
pub(super) fn owners(tree: &Tree, packages: &[InstalledPackage]) -> Result<BTreeMap<TreePath, usize>, PackagesError> {
    let mut owners = BTreeMap::new();
    let diversions = Decided::of(tree)?.diversions;
    // Most paths have the directory of the one before.
    let mut last: Option<(TreePath, Option<TreePath>)> = None;
    for (number, package) in packages.iter().enumerate() {
        let list = format!("/var/lib/dpkg/info/{}.list", package.file_name).parse().ok();
        let Some(Kind::Regular(content)) = list.and_then(|path| tree.get(&path)).map(|node| &node.kind) else {
            continue;
        };
        let Ok(Some(bytes)) = content.read(LIST_BYTES) else { continue };
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty() && *line != b"/.") {
            let Ok(path) = TreePath::from_absolute(line) else { continue };
            let (Some(parent), Some(name)) = (path.parent(), path.name()) else { continue };
            let real = match &last {
                Some((known, real)) if *known == parent => real.clone(),
                _ => tree.follow(&parent),
            };
            last = Some((parent, real.clone()));
            let Some(path) = real.and_then(|real| real.join(name).ok()) else { continue };
            let diverted =
                diversions.iter().find(|one| one.path == path && one.package.as_ref() != Some(&package.name));
            let path = diverted.map_or(path, |one| one.to.clone());
            if tree.get(&path).is_some_and(|node| !node.kind.is_directory()) {
                owners.insert(path, number);
            }
        }
    }
    Ok(owners)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_url_is_escaped() {
        let package = InstalledPackage {
            name: "libstdc++6".into(),
            version: "1:14.2.0-19+b1".into(),
            architecture: "amd64".into(),
            source: ("gcc-14".into(), "14.2.0-19".into()),
            licences: Vec::new(),
            file_name: "libstdc++6:amd64".into(),
            kind: "deb".into(),
        };
        let expected = "pkg:deb/debian/libstdc%2B%2B6@1%3A14.2.0-19%2Bb1?arch=amd64&distro=debian-13";
        assert_eq!(package.purl("debian", Some("13")), expected);
        assert!(package.purl("debian", None).ends_with("?arch=amd64"));
    }
}
