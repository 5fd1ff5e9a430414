//! os-release and extension-release files (os-release(5)).

use std::collections::BTreeMap;

use crate::tree::{Content, Kind, Node, Tree, TreePath};

/// The most bytes of a text that is looked into; real ones have a few hundred.
pub(super) const TEXT: usize = 1 << 20;

/// The keys of a release file and their values without quotes.
pub(super) type Fields = BTreeMap<String, String>;

/// Reads `KEY=value` lines; the last of several with one key counts.
pub(super) fn parse(text: &str) -> Fields {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).map(|(key, value)| (key.trim().to_owned(), unquoted(value))).collect()
}

fn unquoted(value: &str) -> String {
    let value = value.trim();
    let quoted = ['"', '\''].into_iter().find_map(|quote| {
        let inner = value.strip_prefix(quote)?.strip_suffix(quote)?;
        Some((quote, inner))
    });
    let Some((quote, inner)) = quoted else { return value.to_owned() };
    if quote == '\'' {
        return inner.to_owned();
    }
    let mut text = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        text.push(if letter == '\\' { letters.next().unwrap_or(letter) } else { letter });
    }
    text
}

/// Returns the text at `path`, following symbolic links inside of the tree.
pub(super) fn text_at(tree: &Tree, path: &TreePath) -> Option<String> {
    let (_, node) = resolve(tree, path)?;
    text_of(node)
}

/// Returns the text of a file that is not too long to be one.
pub(super) fn text_of(node: &Node) -> Option<String> {
    let Kind::Regular(content) = &node.kind else { return None };
    bytes_of(content).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn bytes_of(content: &Content) -> Option<Vec<u8>> {
    content.read(TEXT).ok().flatten()
}

/// The most symbolic links that are followed, as Linux does it (path_resolution(7)).
const LINKS: usize = 40;

/// Returns what stands at `path` when symbolic links are followed, as a process sees it whose root is the tree.
pub(super) fn resolve<'tree>(tree: &'tree Tree, path: &TreePath) -> Option<(TreePath, &'tree Node)> {
    let mut left: Vec<Vec<u8>> = names(path.as_bytes());
    let mut at = TreePath::root();
    let mut links = 0;
    while let Some(name) = left.pop() {
        match &*name {
            b"" | b"." => continue,
            b".." => {
                at = at.parent().unwrap_or_else(TreePath::root);
                continue;
            }
            _ => {}
        }
        let next = at.join(&name).ok()?;
        match tree.get(&next).map(|node| &node.kind) {
            Some(Kind::Symlink(target)) => {
                links += 1;
                if links > LINKS {
                    return None;
                }
                if target.starts_with(b"/") {
                    at = TreePath::root();
                }
                left.extend(names(target));
            }
            // A directory that only paths below it tell of is one all the same.
            None if tree.below(&next).next().is_some() => at = next,
            Some(Kind::Whiteout) | None => return None,
            Some(_) => at = next,
        }
    }
    tree.get(&at).map(|node| (at, node))
}

/// Returns the names of a path, the last first.
fn names(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec).collect()
}

/// Tells whether anything stands at `path`.
pub(super) fn exists(tree: &Tree, path: &str) -> bool {
    let Ok(path) = TreePath::from_absolute(path.as_bytes()) else { return false };
    resolve(tree, &path).is_some() || tree.below(&path).next().is_some()
}

/// Returns the os-release of a tree, as systemd looks for it.
pub(super) fn os_release(tree: &Tree) -> Option<Fields> {
    ["/etc/os-release", "/usr/lib/os-release"]
        .iter()
        .find_map(|path| text_at(tree, &path.parse().ok()?))
        .map(|text| parse(&text))
}
