//! What the packages of a tree say of themselves, in the form of an index of their family.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{InstalledError, PACMAN, apk_list, dpkg_files, path, text};
use crate::digest::Digest;
use crate::packages::apt::control::{Reader, Stanza};
use crate::packages::model::Pool;
use crate::packages::{apk, apt, pacman};
use crate::spec::Family;
use crate::tree::Tree;

/// What messages call the list of a host.
const LIST: &str = "the list of packages of the host";

/// The fields of dpkg that say something about choosing packages.
const FIELDS: [&str; 17] = [
    "Package",
    "Version",
    "Architecture",
    "Multi-Arch",
    "Essential",
    "Protected",
    "Important",
    "Priority",
    "Section",
    "Source",
    "Pre-Depends",
    "Depends",
    "Recommends",
    "Conflicts",
    "Breaks",
    "Provides",
    "Replaces",
];

/// The fields of apk that do.
const LETTERS: &[u8] = b"CPVASIDpiok";

/// Files by their names.
type Texts = Vec<(String, Vec<u8>)>;

/// What is installed in a tree.
#[derive(Debug, Clone)]
pub struct Installed {
    of: Digest,
    family: Family,
    /// The architecture, by the family's name.
    architecture: String,
    /// What the packages say, by file: a file for each as pacman has them, all in one for the others.
    texts: Texts,
    versions: BTreeMap<String, String>,
}

impl Installed {
    /// Reads what is installed in `tree`, which is that of the host with the digest `of`, for an architecture by the family's
    /// name; nothing when the tree has no list of packages of this family at all.
    ///
    /// # Errors
    /// When a list of packages cannot be read.
    pub fn read(tree: &Tree, of: Digest, family: Family, architecture: &str) -> Result<Option<Self>, InstalledError> {
        let texts = match family {
            Family::Apt => dpkg(tree)?,
            Family::Apk => apk_list(tree)?.map(|list| vec![(String::new(), apk_records(&list))]),
            Family::Pacman => pacman_descriptions(tree)?,
        };
        let Some(texts) = texts else { return Ok(None) };
        let mut this = Self { of, family, architecture: architecture.to_owned(), texts, versions: BTreeMap::new() };
        let pool = this.pool()?;
        let shown = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        this.versions = pool
            .ids()
            .map(|id| (shown(pool.name(pool.package(id).name)), shown(pool.text(pool.package(id).version))))
            .collect();
        Ok(Some(this))
    }

    /// Returns the digest of the host.
    pub fn of(&self) -> Digest {
        self.of
    }

    /// Returns the versions of the packages, by name.
    pub fn versions(&self) -> &BTreeMap<String, String> {
        &self.versions
    }

    /// Returns the packages for choosing others beside them.
    ///
    /// # Errors
    /// When they are not written down as they should be.
    pub(in crate::packages) fn pool(&self) -> Result<Pool, InstalledError> {
        let text = self.texts.first().map_or(&b""[..], |(_, text)| text);
        Ok(match self.family {
            Family::Apt => apt::index::parse(LIST, text, &self.architecture)?,
            Family::Apk => apk::index::parse(LIST, text, &self.architecture)?,
            Family::Pacman => pacman::index::parse(LIST, &self.texts, &self.architecture)?,
        })
    }
}

/// Writes what dpkg has of installed packages as an index: with places, lengths and digests that nobody asks for.
fn dpkg(tree: &Tree) -> Result<Option<Texts>, InstalledError> {
    let files = dpkg_files(tree)?;
    if files.is_empty() {
        return Ok(None);
    }
    let mut index = Vec::new();
    for file in &files {
        let (mut reader, mut stanza) = (Reader::new("dpkg/status", file), Stanza::default());
        while reader.next(&mut stanza)? {
            if !is_installed(&stanza)? {
                continue;
            }
            for name in FIELDS {
                if let Some(value) = stanza.get(name) {
                    index.extend([name.as_bytes(), b": ", value, b"\n"].concat());
                }
            }
            index.extend(format!("Filename: none\nSize: 0\nSHA256: {}\n\n", "0".repeat(64)).bytes());
        }
    }
    Ok(Some(vec![(String::new(), index)]))
}

/// Tells whether a package is installed (dpkg(1), "Package states"). Images without dpkg do not say.
fn is_installed(stanza: &Stanza<'_>) -> Result<bool, InstalledError> {
    let Some(status) = stanza.get("Status") else { return Ok(true) };
    match status.rsplit(|byte| *byte == b' ').next().unwrap_or_default() {
        b"installed" | b"triggers-awaited" | b"triggers-pending" => Ok(true),
        b"not-installed" | b"config-files" => Ok(false),
        _ => Err(InstalledError::Unfinished {
            package: String::from_utf8_lossy(stanza.get("Package").unwrap_or_default()).into_owned(),
            status: String::from_utf8_lossy(status).into_owned(),
        }),
    }
}

/// Takes of a list of apk what an index has, too: the rest is about files.
fn apk_records(list: &[u8]) -> Vec<u8> {
    let is_of_index = |line: &&[u8]| match line {
        [letter, b':', ..] => LETTERS.contains(letter),
        rest => rest.is_empty(),
    };
    list.split(|byte| *byte == b'\n').filter(is_of_index).flat_map(|line| [line, b"\n"]).flatten().copied().collect()
}

/// Writes what pacman has of its packages as the members of a database: with names of files, lengths and digests that nobody
/// asks for.
fn pacman_descriptions(tree: &Tree) -> Result<Option<Texts>, InstalledError> {
    let local = path(PACMAN);
    if tree.get(&local).is_none() {
        return Ok(None);
    }
    let mut members = Vec::new();
    for (path, _) in tree.below(&local).filter(|(path, _)| path.name() == Some(b"desc")) {
        let mut member = text(tree, path)?.unwrap_or_default();
        let mut rest = String::new();
        // Writing into a string cannot fail.
        let _ = write!(rest, "\n\n%FILENAME%\nnone\n\n%CSIZE%\n0\n\n%SHA256SUM%\n{}\n", "0".repeat(64));
        member.extend(rest.bytes());
        members.push((path.to_string(), member));
    }
    Ok(Some(members))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Content, Kind, Meta, Node};

    fn installed(files: &[(&str, &str)], family: Family, architecture: &str) -> Result<Installed, InstalledError> {
        let mut tree = Tree::new();
        for (name, text) in files {
            let kind = Kind::Regular(Content::inline(text.as_bytes()));
            tree.insert(path(name), Node { kind, meta: Meta::root_owned(0o644, 0) }).unwrap();
        }
        tree.complete(|_| Meta::root_owned(0o755, 0));
        Installed::read(&tree, Digest::of([]), family, architecture).map(Option::unwrap)
    }

    fn versions(installed: &Installed) -> Vec<(&str, &str)> {
        installed.versions().iter().map(|(name, version)| (&**name, &**version)).collect()
    }

    #[test]
    fn what_dpkg_says_is_an_index() {
        let status = "Package: mawk\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.3\nProvides: awk\n\
                      Conffiles:\n /etc/x 0123\nDescription: one\n two\n\n\
                      Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n\n\
                      Package: libx\nStatus: install ok installed\nArchitecture: i386\nVersion: 2\n\n\
                      Package: libx\nStatus: hold ok installed\nArchitecture: amd64\nVersion: 2\nDepends: mawk,\n gone | awk\n";
        let found = installed(&[("/var/lib/dpkg/status", status)], Family::Apt, "amd64").unwrap();
        assert_eq!(versions(&found), [("libx", "2"), ("mawk", "1.3")]);
        assert!(found.pool().unwrap().find(b"awk").is_some());
        let part = "Package: tzdata\nArchitecture: all\nVersion: 2025b\n";
        let found = installed(&[("/var/lib/dpkg/status.d/tzdata", part)], Family::Apt, "amd64").unwrap();
        assert_eq!(versions(&found), [("tzdata", "2025b")]);
        let half = "Package: a\nStatus: install ok half-configured\nArchitecture: all\nVersion: 1\n";
        let error = installed(&[("/var/lib/dpkg/status", half)], Family::Apt, "amd64").unwrap_err().to_string();
        assert!(error.contains("`a` is not set up (`install ok half-configured`)"), "{error}");
    }

    #[test]
    fn what_apk_says_is_an_index() {
        let list = "C:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\nP:busybox\nV:1.37-r0\nA:x86_64\nS:1\nI:2\nT:tools\np:cmd:sh=1.37\n\
                    F:bin\nM:0:0:1777\nR:busybox\na:0:0:755\nZ:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n";
        let found = installed(&[("/lib/apk/db/installed", list)], Family::Apk, "x86_64").unwrap();
        assert_eq!(versions(&found), [("busybox", "1.37-r0")]);
        assert!(found.pool().unwrap().find(b"cmd:sh").is_some());
    }

    #[test]
    fn what_pacman_says_is_an_index() {
        let desc = "%NAME%\nbash\n\n%VERSION%\n5.3-1\n\n%ARCH%\nx86_64\n\n%PROVIDES%\nsh\n\n%DEPENDS%\nglibc";
        let glibc = "%NAME%\nglibc\n\n%VERSION%\n2.42-1\n\n%ARCH%\nx86_64\n\n";
        let files =
            [("/var/lib/pacman/local/bash-5.3-1/desc", desc), ("/var/lib/pacman/local/glibc-2.42-1/desc", glibc)];
        let found = installed(&files, Family::Pacman, "x86_64").unwrap();
        assert_eq!(versions(&found), [("bash", "5.3-1"), ("glibc", "2.42-1")]);
    }
}
