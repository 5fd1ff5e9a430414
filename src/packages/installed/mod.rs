//! What is installed in a tree, as the package managers of the distributions have written it down.
//!
//! Comes in: the tree of an image, anybody's. Goes out: the names that its packages have or provide; or all that they say of
//! themselves ([`Installed`]), and which of them has which path ([`owners`]). Always holds: no more is read of the tree than
//! [`MOST`] bytes of each file; what cannot be understood is an error, never an empty list.

mod owners;
mod record;

use std::collections::BTreeSet;

use super::apt::control::{ControlError, Reader, Stanza};
use super::{apk, pacman};
use crate::fs;
use crate::spec::Family;
use crate::tree::{Kind, Node, Tree, TreePath};

pub use owners::owners;
pub use record::Installed;

/// No list of packages is longer than this, in bytes.
const MOST: usize = 64 << 20;

/// A list of packages that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InstalledError {
    /// A file of it cannot be read.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// A file of it is too long.
    #[error("`{path}` has more than {MOST} bytes, the most that a list of packages may have")]
    TooLong {
        /// The file.
        path: TreePath,
    },
    /// A file of it is not written as it should be.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// What apk has written down is not written as it should be.
    #[error(transparent)]
    Apk(#[from] apk::index::IndexError),
    /// What pacman has written down is not written as it should be.
    #[error(transparent)]
    Pacman(#[from] pacman::index::IndexError),
    /// A package is neither there nor gone.
    #[error("the package `{package}` is not set up (`{status}`): finish that with `dpkg --configure -a`, or remove it")]
    Unfinished {
        /// The package.
        package: String,
        /// What the package manager says.
        status: String,
    },
}

/// Returns those of `wanted` that no package in the tree has as its name or provides; nothing when the tree has no list of
/// packages of this family at all.
///
/// # Errors
/// When a list of packages cannot be read.
pub fn missing<'name>(
    tree: &Tree,
    family: Family,
    wanted: impl IntoIterator<Item = &'name str>,
) -> Result<Option<Vec<&'name str>>, InstalledError> {
    let installed = match family {
        Family::Apt => dpkg(tree)?,
        Family::Apk => apk_names(tree)?,
        Family::Pacman => pacman_names(tree)?,
    };
    let Some(installed) = installed else { return Ok(None) };
    let is_missing = |name: &&str| !installed.contains(name.as_bytes());
    Ok(Some(wanted.into_iter().filter(is_missing).collect()))
}

type Names = BTreeSet<Box<[u8]>>;

/// Returns the list of dpkg, in one file or, as images without dpkg have it, in one for each package.
fn dpkg_files(tree: &Tree) -> Result<Vec<Vec<u8>>, InstalledError> {
    let mut files = Vec::new();
    if let Some(text) = text(tree, &path("/var/lib/dpkg/status"))? {
        files.push(text);
    }
    let parts = path("/var/lib/dpkg/status.d");
    for (path, _) in tree.below(&parts).filter(|(path, _)| path.name().is_some_and(|name| !name.ends_with(b".md5sums")))
    {
        files.extend(text(tree, path)?);
    }
    Ok(files)
}

fn dpkg(tree: &Tree) -> Result<Option<Names>, InstalledError> {
    let files = dpkg_files(tree)?;
    if files.is_empty() {
        return Ok(None);
    }
    let mut names = Names::new();
    for text in &files {
        let (mut reader, mut stanza) = (Reader::new("dpkg/status", text), Stanza::default());
        while reader.next(&mut stanza)? {
            if stanza.get("Status").is_some_and(|status| !status.ends_with(b" installed")) {
                continue;
            }
            names.extend(stanza.get("Package").map(Box::from));
            let provided = stanza.get("Provides").unwrap_or_default().split(|byte| *byte == b',');
            names.extend(provided.map(|one| first(one, b" (\t\n")).filter(|one| !one.is_empty()).map(Box::from));
        }
    }
    Ok(Some(names))
}

/// Returns the list of apk, which is elsewhere from version 3 on.
fn apk_list(tree: &Tree) -> Result<Option<Vec<u8>>, InstalledError> {
    match text(tree, &path("/lib/apk/db/installed"))? {
        Some(list) => Ok(Some(list)),
        None => text(tree, &path("/usr/lib/apk/db/installed")),
    }
}

fn apk_names(tree: &Tree) -> Result<Option<Names>, InstalledError> {
    let Some(list) = apk_list(tree)? else { return Ok(None) };
    let mut names = Names::new();
    for line in list.split(|byte| *byte == b'\n') {
        match line {
            [b'P', b':', name @ ..] => drop(names.insert(name.into())),
            [b'p', b':', provided @ ..] => {
                names.extend(provided.split(|byte| *byte == b' ').map(|one| first(one, b"=<>~").into()));
            }
            _ => {}
        }
    }
    Ok(Some(names))
}

/// Where the list of pacman is, with a folder for each package.
const PACMAN: &str = "/var/lib/pacman/local";

fn pacman_names(tree: &Tree) -> Result<Option<Names>, InstalledError> {
    let local = path(PACMAN);
    if tree.get(&local).is_none() {
        return Ok(None);
    }
    let mut names = Names::new();
    for (path, _) in tree.below(&local).filter(|(path, _)| path.name() == Some(b"desc")) {
        let list = text(tree, path)?.unwrap_or_default();
        let mut field = &b""[..];
        for line in list.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match field {
                _ if line.starts_with(b"%") => field = line,
                b"%NAME%" | b"%PROVIDES%" | b"%GROUPS%" => drop(names.insert(first(line, b"=<>").into())),
                _ => {}
            }
        }
    }
    Ok(Some(names))
}

/// Returns what stands before the first of some bytes, without white space around it.
fn first<'text>(text: &'text [u8], ends: &[u8]) -> &'text [u8] {
    let text = text.trim_ascii();
    &text[..text.iter().position(|byte| ends.contains(byte)).unwrap_or(text.len())]
}

fn path(text: &str) -> TreePath {
    text.parse().expect("only fixed paths are asked for")
}

/// Returns the content of a file; nothing when there is none.
fn text(tree: &Tree, path: &TreePath) -> Result<Option<Vec<u8>>, InstalledError> {
    let Some(Node { kind: Kind::Regular(content), .. }) = tree.lookup(path) else { return Ok(None) };
    let bytes = content.read(MOST)?;
    bytes.map(Some).ok_or_else(|| InstalledError::TooLong { path: path.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Content, Meta};

    fn tree(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::new();
        for (name, text) in files {
            let kind = match text.strip_prefix('>') {
                Some(target) => Kind::Symlink(target.as_bytes().into()),
                None => Kind::Regular(Content::inline(text.as_bytes())),
            };
            tree.insert(path(name), Node { kind, meta: Meta::root_owned(0o644, 0) }).unwrap();
        }
        tree.complete(|_| Meta::root_owned(0o755, 0));
        tree
    }

    #[test]
    fn what_dpkg_has_and_provides_is_there() {
        let status = "Package: mawk\nStatus: install ok installed\nProvides: awk, other (= 1),\n third\n\n\
                      Package: gone\nStatus: deinstall ok config-files\n\nPackage: g++\nStatus: hold ok installed\n";
        let base = tree(&[("/var/lib/dpkg/status", status)]);
        let wanted = ["mawk", "awk", "other", "third", "g++", "gone", "curl"];
        assert_eq!(missing(&base, Family::Apt, wanted).unwrap().unwrap(), ["gone", "curl"]);
        let parts =
            [("/var/lib/dpkg/status.d/tzdata", "Package: tzdata\n"), ("/var/lib/dpkg/status.d/x.md5sums", "x  y\n")];
        assert_eq!(missing(&tree(&parts), Family::Apt, ["tzdata", "x"]).unwrap().unwrap(), ["x"]);
        assert_eq!(missing(&base, Family::Pacman, ["mawk"]).unwrap(), None, "another family has no list here");
        assert!(missing(&tree(&[("/var/lib/dpkg/status", "nonsense\n")]), Family::Apt, ["x"]).is_err());
    }

    #[test]
    fn what_apk_has_and_provides_is_there() {
        let list = "P:busybox\nV:1.37\np:cmd:sh=1.37 awk\n\nP:musl\nF:lib\nR:P:no\n";
        for place in ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"] {
            let wanted = ["busybox", "cmd:sh", "awk", "musl", "no", "nginx"];
            assert_eq!(missing(&tree(&[(place, list)]), Family::Apk, wanted).unwrap().unwrap(), ["no", "nginx"]);
        }
        let merged = tree(&[("/usr/lib/apk/db/installed", list), ("/lib", ">usr/lib")]);
        assert_eq!(missing(&merged, Family::Apk, ["busybox"]).unwrap().unwrap(), [""; 0]);
    }

    #[test]
    fn what_pacman_has_and_provides_is_there() {
        let desc = "%NAME%\nbash\n\n%VERSION%\n5\n\n%PROVIDES%\nsh=5\nother\n\n%DEPENDS%\nglibc\n\n%GROUPS%\nbase\n";
        let base =
            tree(&[("/var/lib/pacman/local/bash-5-1/desc", desc), ("/var/lib/pacman/local/ALPM_DB_VERSION", "9\n")]);
        let wanted = ["bash", "sh", "other", "base", "glibc", "5"];
        assert_eq!(missing(&base, Family::Pacman, wanted).unwrap().unwrap(), ["glibc", "5"]);
    }
}
