//! What scripts of packages do for most images, without running any.
//!
//! Comes in: a tree whose packages are unpacked. Goes out: the tree with accounts, the files of a new system, alternatives,
//! certificates, what `tmpfiles.d` asks for and the cache of the loader; and the list of the scripts, with whether one does more than that. Always
//! holds: all is a function of the tree; what is there already is left as it is.

mod accounts;
mod alternatives;
mod certificates;
mod skeleton;
mod tmpfiles;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{PackageSet, PackagesError, loader};
use crate::packages::apt::archive::Unpacked;
use crate::packages::apt::control;
use crate::packages::step::Left;
use crate::tree::{Content, Kind, Meta, Node, Tree, TreePath};

/// A package whose scripts were not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The package.
    pub package: String,
    /// Its scripts.
    pub scripts: Vec<String>,
    /// Whether they do something that was not done in their place, as far as that can be told.
    pub matters: bool,
}

impl Skipped {
    /// Returns what was left of scripts, by package.
    pub(super) fn of(left: Vec<Left>) -> Vec<Self> {
        let mut packages: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for Left { package, what } in left {
            packages.entry(package).or_default().push(what);
        }
        packages.into_iter().map(|(package, scripts)| Self { package, scripts, matters: true }).collect()
    }
}

/// The scripts that run when a package is installed.
const SCRIPTS: [&str; 3] = ["preinst", "postinst", "config"];
/// The packages whose scripts do what is done here.
const DONE: [&str; 7] = ["base-files", "base-passwd", "ca-certificates", "dash", "debianutils", "libc-bin", "tzdata"];
/// The parts that debhelper adds to scripts and that are done here, or say nothing to a tree.
const KNOWN: [&str; 8] = [
    "dh_installalternatives",
    "dh_installdebconf",
    "dh_installsysusers",
    "dh_installtmpfiles",
    "dh_makeshlibs",
    "dh_installman",
    "dh_systemd_tmpfiles",
    "dh_compress",
];
/// The most bytes of a file that is read here.
const TEXT_BYTES: usize = 16 << 20;

/// Does what it can in place of the scripts of packages, and tells which there are, sorted by package.
pub(super) fn instead(tree: &mut Tree, packages: &[Unpacked], set: &PackageSet) -> Result<Vec<Skipped>, PackagesError> {
    let mut work = Work { tree, epoch: set.epoch };
    accounts::make(&mut work, set)?;
    skeleton::make(&mut work)?;
    alternatives::make(&mut work, packages)?;
    certificates::make(&mut work)?;
    tmpfiles::make(&mut work)?;
    loader::make_cache(work.tree, set.epoch)?;
    let mut skipped = Vec::new();
    for package in packages {
        let scripts = SCRIPTS.iter().filter(|name| package.control_file(name).is_some());
        let scripts: Vec<String> = scripts.map(|name| (*name).to_owned()).collect();
        if scripts.is_empty() {
            continue;
        }
        let bytes = package.control_bytes("control");
        let name = control::single("control", bytes)?.get("Package").unwrap_or_default();
        let name = String::from_utf8_lossy(name).into_owned();
        let matters = !DONE.contains(&name.as_str())
            && ["preinst", "postinst"]
                .iter()
                .filter_map(|script| package.control_file(script))
                .any(|file| !says_nothing(&String::from_utf8_lossy(&file.bytes)));
        skipped.push(Skipped { package: name, scripts, matters });
    }
    skipped.sort_by(|one, other| one.package.cmp(&other.package));
    Ok(skipped)
}

/// Tells whether a script certainly does nothing but what is done here: what debhelper added of known kinds, and the frame
/// around it.
fn says_nothing(script: &str) -> bool {
    let mut known = false;
    for line in script.lines().map(str::trim) {
        if let Some(by) = line.strip_prefix("# Automatically added by ") {
            known = KNOWN.iter().any(|own| by.split('/').next() == Some(own));
            if !known {
                return false;
            }
        } else if line == "# End automatically added section" {
            known = false;
        } else if !known && !is_frame(line) {
            return false;
        }
    }
    true
}

fn is_frame(line: &str) -> bool {
    let frame = ["", "set -e", "set -eu", "exit 0", "esac", ";;", "fi", "configure)", "configure) ;;", "*)", ":"];
    line.starts_with('#')
        || frame.contains(&line)
        || (line.starts_with("case ") && line.ends_with(" in"))
        || (line.ends_with(')') && line.starts_with("abort-"))
}

/// A tree that is worked on.
struct Work<'tree> {
    tree: &'tree mut Tree,
    epoch: i64,
}

impl Work<'_> {
    /// Returns where a path really is: the directory above it may be behind links.
    fn real(&self, path: &TreePath) -> Option<TreePath> {
        let (parent, name) = (path.parent()?, path.name()?);
        match self.tree.follow(&parent) {
            Some(parent) => parent.join(name).ok(),
            None => Some(path.clone()),
        }
    }

    /// Puts something where nothing is, with the directories above it; tells whether it did.
    fn put(&mut self, path: &TreePath, node: Node) -> Result<bool, PackagesError> {
        let Some(path) = self.real(path).filter(|path| self.tree.get(path).is_none()) else { return Ok(false) };
        for above in path.ancestors().collect::<Vec<_>>().into_iter().rev() {
            match self.tree.get(&above) {
                Some(node) if node.kind.is_directory() => {}
                // What leads nowhere, or is a file, is not for this to mend.
                Some(_) => return Ok(false),
                None => {
                    let meta = Meta::root_owned(0o755, self.epoch);
                    self.tree.insert(above, Node { kind: Kind::directory(), meta })?;
                }
            }
        }
        self.tree.insert(path, node)?;
        Ok(true)
    }

    fn put_text(&mut self, path: &str, mode: u16, text: impl Into<Vec<u8>>) -> Result<bool, PackagesError> {
        let kind = Kind::Regular(Content::inline(text.into()));
        self.put(&path.parse()?, Node { kind, meta: Meta::root_owned(mode, self.epoch) })
    }

    fn put_link(&mut self, path: &str, target: &str) -> Result<bool, PackagesError> {
        let kind = Kind::Symlink(target.as_bytes().into());
        self.put(&path.parse()?, Node { kind, meta: Meta::root_owned(0o777, self.epoch) })
    }

    fn put_directory(&mut self, path: &str, mode: u16, (uid, gid): (u32, u32)) -> Result<bool, PackagesError> {
        let meta = Meta { uid, gid, ..Meta::root_owned(mode, self.epoch) };
        self.put(&path.parse()?, Node { kind: Kind::directory(), meta })
    }

    /// Returns the text of a file, as far as there is one.
    fn text(&self, path: &TreePath) -> Result<Option<String>, PackagesError> {
        let Some(Kind::Regular(content)) = self.tree.lookup(path).map(|node| &node.kind) else { return Ok(None) };
        Ok(content.read(TEXT_BYTES)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn text_at(&self, path: &str) -> Result<Option<String>, PackagesError> {
        self.text(&path.parse()?)
    }

    /// Returns the lines of the files of a directory whose names end with `.conf`, in the order of the names.
    fn settings(&self, folder: &str) -> Result<Vec<String>, PackagesError> {
        let folder: TreePath = folder.parse()?;
        let files = self.tree.below(&folder).filter(|(path, _)| path.as_bytes().ends_with(b".conf"));
        let files: Vec<TreePath> = files.map(|(path, _)| path.clone()).collect();
        let mut lines = Vec::new();
        for file in files {
            let text = self.text(&file)?.unwrap_or_default();
            let plain = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            lines.extend(plain.map(str::to_owned));
        }
        Ok(lines)
    }

    /// Returns the id that a name has in `/etc/passwd` or `/etc/group`; a number is its own.
    fn id(&self, file: &str, name: &str) -> Result<Option<u32>, PackagesError> {
        if let Ok(id) = name.parse() {
            return Ok(Some(id));
        }
        let text = self.text_at(file)?.unwrap_or_default();
        let mut fields = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
        Ok(fields.find(|fields| fields[0] == name).and_then(|fields| fields.get(2)?.parse().ok()))
    }
}

/// Splits a line into words; quotes hold words together.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), letter) if open == letter => quote = None,
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, letter) if letter.is_whitespace() => words.extend(word.take()),
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests;
