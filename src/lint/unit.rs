//! Unit files of systemd (systemd.syntax(7)).

use crate::tree::{Tree, TreePath};

use super::release::{resolve, text_of};

/// Where units of an image stand (systemd.unit(5), portablectl(1)).
const FOLDERS: [&str; 4] =
    ["/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];

/// Endings of unit names (systemd.unit(5)).
pub(super) const TYPES: [&str; 11] =
    ["service", "socket", "device", "mount", "automount", "swap", "target", "path", "timer", "slice", "scope"];

/// A unit in a tree.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) path: TreePath,
    /// `name.service`
    pub(super) name: String,
    pub(super) text: String,
    pub(super) assignments: Vec<Assignment>,
}

/// One line of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) section: String,
    pub(super) key: String,
    pub(super) value: String,
}

impl Unit {
    /// Returns the ending of the name.
    pub(super) fn kind(&self) -> &str {
        self.name.rsplit_once('.').map_or("", |(_, kind)| kind)
    }

    /// Returns the values of a key of a section; an empty one takes back those before it.
    pub(super) fn values<'unit>(&'unit self, section: &str, key: &str) -> Vec<&'unit str> {
        let mut values = Vec::new();
        for assignment in self.assignments.iter().filter(|found| found.section == section && found.key == key) {
            if assignment.value.is_empty() { values.clear() } else { values.push(&*assignment.value) }
        }
        values
    }

    /// Returns the last value of a key of `[Service]`.
    pub(super) fn setting(&self, key: &str) -> Option<&str> {
        self.values("Service", key).pop()
    }

    /// Tells whether a boolean of `[Service]` is on.
    pub(super) fn is_on(&self, key: &str) -> bool {
        matches!(
            self.setting(key).map(str::to_ascii_lowercase).as_deref(),
            Some("yes" | "y" | "true" | "t" | "on" | "1")
        )
    }
}

/// Reads the assignments of a unit.
pub(super) fn assignments(text: &str) -> Vec<Assignment> {
    let mut found = Vec::new();
    let mut section = String::new();
    let mut open: Option<String> = None;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() && open.is_none() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        let whole = format!("{}{trimmed}", open.take().unwrap_or_default());
        if let Some(begun) = whole.strip_suffix('\\') {
            open = Some(format!("{begun} "));
        } else if let Some(name) = whole.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if let Some((key, value)) = whole.split_once('=') {
            let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
            found.push(Assignment { section: section.clone(), key, value });
        }
    }
    found
}

/// Tells whether a text can be the name of a unit.
pub(super) fn is_name(name: &str) -> bool {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || ":-_.\\@".contains(letter);
    let parts = name.rsplit_once('.');
    name.len() < 256
        && name.chars().all(allowed)
        && parts.is_some_and(|(stem, kind)| !stem.is_empty() && TYPES.contains(&kind))
}

/// Returns every unit of a tree, each name once, as it is found first.
pub(super) fn all(tree: &Tree) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    for folder in FOLDERS {
        let Ok(folder) = folder.parse::<TreePath>() else { continue };
        for (path, _) in tree.below(&folder).filter(|(path, _)| path.parent().as_ref() == Some(&folder)) {
            let name = String::from_utf8_lossy(path.name().unwrap_or_default()).into_owned();
            let known = units.iter().any(|unit| unit.name == name);
            let Some((_, node)) = resolve(tree, path).filter(|_| is_name(&name) && !known) else { continue };
            let Some(text) = text_of(node) else { continue };
            units.push(Unit { path: path.clone(), name, assignments: assignments(&text), text });
        }
    }
    units
}

/// Returns the drop-in files (`NAME.d/*.conf`) and the links that enable units (`.wants/`, `.requires/`), below the folders
/// of units.
pub(super) fn attached(tree: &Tree) -> Vec<(&TreePath, Attached)> {
    let mut found = Vec::new();
    for folder in FOLDERS.iter().filter_map(|folder| folder.parse::<TreePath>().ok()) {
        for (path, node) in tree.below(&folder) {
            let parent = path.parent().and_then(|parent| Some(String::from_utf8_lossy(parent.name()?).into_owned()));
            let Some(parent) = parent.filter(|_| !node.kind.is_directory()) else { continue };
            if parent.ends_with(".wants") || parent.ends_with(".requires") || parent.ends_with(".upholds") {
                found.push((path, Attached::Link));
            } else if parent.ends_with(".d") && path.as_bytes().ends_with(b".conf") {
                let text = resolve(tree, path).and_then(|(_, node)| text_of(node)).unwrap_or_default();
                found.push((path, Attached::DropIn(assignments(&text))));
            }
        }
    }
    found
}

/// What belongs to a unit without being one.
#[derive(Debug)]
pub(super) enum Attached {
    /// A link in `.wants/`, `.requires/` or `.upholds/`.
    Link,
    /// A drop-in.
    DropIn(Vec<Assignment>),
}

/// Returns the program of a command line, without what may stand before its path (systemd.service(5)).
pub(super) fn program(command: &str) -> Option<&str> {
    command.trim_start_matches(['-', '@', ':', '+', '!', '|']).split_whitespace().next()
}
