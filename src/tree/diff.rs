//! What differs between two trees.
//!
//! Comes in: two trees. Goes out: a [`Change`] for every path that differs, sorted. Always holds: there is none exactly
//! when the digests of the trees are equal.

use std::cmp::Ordering;
use std::fmt;

use serde::Serialize;

use super::{Kind, Meta, Node, Tree, TreePath};

/// One path that is not the same in two trees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The path.
    pub path: TreePath,
    /// Which tree has it.
    pub change: ChangeKind,
    /// What differs, when both trees have the path.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
}

/// Which of two trees has a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// Only the new one.
    Added,
    /// Only the old one.
    Removed,
    /// Both, but not alike.
    Changed,
}

/// One thing that differs, with both values as they are shown to a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it is.
    pub aspect: Aspect,
    /// The name of the extended attribute, when it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The old value, when there was one.
    pub old: Option<String>,
    /// The new value, when there is one.
    pub new: Option<String>,
}

/// What can differ between two nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    /// What kind of thing it is, by [`Kind::word`].
    Kind,
    /// The bytes of a file: `sha256:… (12 bytes)`.
    Content,
    /// The permission bits, `0644`.
    Mode,
    /// Owner and group, `0:0`.
    Owner,
    /// One extended attribute; its value as text, or as `0x` and hexadecimal digits.
    Xattr,
    /// The time of last change, in seconds since 1970-01-01 UTC.
    Mtime,
    /// What a symbolic link holds.
    Target,
    /// The number of a device, `1:3`.
    Device,
    /// Whether a directory is `opaque` or `transparent`.
    Opaque,
    /// The first of the names that are hard links of one node, unless it is the path itself.
    HardLink,
}

/// Compares two trees in everything that [`Tree::digest`] counts.
pub fn diff(old: &Tree, new: &Tree) -> Vec<Change> {
    compare(old, new, true)
}

/// Compares two trees in everything but times.
pub fn diff_without_times(old: &Tree, new: &Tree) -> Vec<Change> {
    compare(old, new, false)
}

fn compare(old: &Tree, new: &Tree, times: bool) -> Vec<Change> {
    let (mut olds, mut news) = (old.links().peekable(), new.links().peekable());
    let mut changes = Vec::new();
    loop {
        let order = match (olds.peek(), news.peek()) {
            (Some((old, ..)), Some((new, ..))) => old.cmp(new),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return changes,
        };
        let old = if order.is_le() { olds.next() } else { None };
        let new = if order.is_ge() { news.next() } else { None };
        let (path, change, differences) = match (old, new) {
            (Some(old), Some(new)) => (old.0, ChangeKind::Changed, differences(old, new, times)),
            (Some((path, ..)), None) => (path, ChangeKind::Removed, Vec::new()),
            (None, Some((path, ..))) => (path, ChangeKind::Added, Vec::new()),
            (None, None) => return changes,
        };
        if change != ChangeKind::Changed || !differences.is_empty() {
            changes.push(Change { path: path.clone(), change, differences });
        }
    }
}

type Linked<'tree> = (&'tree TreePath, &'tree Node, Option<&'tree TreePath>);

fn differences((_, old, old_first): Linked, (_, new, new_first): Linked, times: bool) -> Vec<Difference> {
    let mut found = Found::default();
    if old != new {
        found.compare_kinds(&old.kind, &new.kind);
        found.compare_meta(&old.meta, &new.meta, times);
    }
    if old_first != new_first {
        let show = |path: Option<&TreePath>| path.map(ToString::to_string);
        found.add(Aspect::HardLink, show(old_first), show(new_first));
    }
    found.differences
}

/// Differences found so far.
#[derive(Default)]
struct Found {
    differences: Vec<Difference>,
}

impl Found {
    fn add(&mut self, aspect: Aspect, old: Option<String>, new: Option<String>) {
        self.differences.push(Difference { aspect, name: None, old, new });
    }

    fn add_unequal<T: PartialEq>(&mut self, aspect: Aspect, old: &T, new: &T, show: impl Fn(&T) -> String) {
        if old != new {
            self.add(aspect, Some(show(old)), Some(show(new)));
        }
    }

    fn compare_kinds(&mut self, old: &Kind, new: &Kind) {
        match (old, new) {
            (Kind::Regular(old), Kind::Regular(new)) => {
                self.add_unequal(Aspect::Content, old, new, |it| format!("{} ({} bytes)", it.digest, it.length));
            }
            (Kind::Symlink(old), Kind::Symlink(new)) => {
                self.add_unequal(Aspect::Target, old, new, |target| String::from_utf8_lossy(target).into_owned());
            }
            (Kind::CharacterDevice(old), Kind::CharacterDevice(new))
            | (Kind::BlockDevice(old), Kind::BlockDevice(new)) => {
                self.add_unequal(Aspect::Device, old, new, |number| format!("{}:{}", number.major, number.minor));
            }
            (Kind::Directory { opaque: old }, Kind::Directory { opaque: new }) => {
                let word = |opaque: &bool| if *opaque { "opaque" } else { "transparent" }.to_owned();
                self.add_unequal(Aspect::Opaque, old, new, word);
            }
            _ => self.add_unequal(Aspect::Kind, &old.word(), &new.word(), |word| (*word).to_owned()),
        }
    }

    fn compare_meta(&mut self, old: &Meta, new: &Meta, times: bool) {
        self.add_unequal(Aspect::Mode, &old.mode, &new.mode, |mode| format!("{mode:04o}"));
        let owner = |(uid, gid): &(u32, u32)| format!("{uid}:{gid}");
        self.add_unequal(Aspect::Owner, &(old.uid, old.gid), &(new.uid, new.gid), owner);
        if times {
            self.add_unequal(Aspect::Mtime, &old.mtime, &new.mtime, i64::to_string);
        }
        let names: std::collections::BTreeSet<_> = old.xattrs.keys().chain(new.xattrs.keys()).collect();
        for name in names {
            let (old, new) = (old.xattrs.get(name), new.xattrs.get(name));
            if old != new {
                let show = |value: Option<&Box<[u8]>>| value.map(|value| xattr_text(value));
                let name = Some(String::from_utf8_lossy(name).into_owned());
                self.differences.push(Difference { aspect: Aspect::Xattr, name, old: show(old), new: show(new) });
            }
        }
    }
}

/// Shows text as it is, up to the zero that many tools end it with, and anything else in hexadecimal.
fn xattr_text(value: &[u8]) -> String {
    match std::str::from_utf8(value.strip_suffix(&[0]).unwrap_or(value)) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => value.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}")),
    }
}

impl fmt::Display for Aspect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Kind => "kind",
            Self::Content => "content",
            Self::Mode => "mode",
            Self::Owner => "owner",
            Self::Xattr => "xattr",
            Self::Mtime => "mtime",
            Self::Target => "target",
            Self::Device => "device",
            Self::Opaque => "opaque",
            Self::HardLink => "hard link",
        })
    }
}

/// `mode 0644 -> 0755`; a missing value is `none`.
impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.aspect)?;
        if let Some(name) = &self.name {
            write!(formatter, " {name}")?;
        }
        let [old, new] = [&self.old, &self.new].map(|value| value.as_deref().unwrap_or("none"));
        write!(formatter, " {old} -> {new}")
    }
}

/// `+ /added`, `- /removed` or `~ /changed: mode 0644 -> 0755, owner 0:0 -> 1:1`.
impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.change {
            ChangeKind::Added => '+',
            ChangeKind::Removed => '-',
            ChangeKind::Changed => '~',
        };
        write!(formatter, "{sign} {}", self.path)?;
        for (index, difference) in self.differences.iter().enumerate() {
            let separator = if index == 0 { ": " } else { ", " };
            write!(formatter, "{separator}{difference}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Content, DeviceNumber};

    fn path(text: &str) -> TreePath {
        text.parse().unwrap()
    }

    fn tree(items: &[(&str, Kind)]) -> Tree {
        let mut tree = Tree::new();
        for (name, kind) in items {
            tree.insert(path(name), Node { kind: kind.clone(), meta: Meta::root_owned(0o644, 5) }).unwrap();
        }
        tree
    }

    fn file(text: &str) -> Kind {
        Kind::Regular(Content::inline(text.as_bytes()))
    }

    fn lines(changes: &[Change]) -> Vec<String> {
        changes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_aspect_is_told_in_order() {
        let device = |minor| Kind::CharacterDevice(DeviceNumber { major: 1, minor });
        let old = tree(&[
            ("/d", Kind::directory()),
            ("/f", file("x")),
            ("/gone", Kind::Fifo),
            ("/k", Kind::Fifo),
            ("/n", device(3)),
            ("/s", Kind::Symlink((*b"one").into())),
        ]);
        let mut new = tree(&[
            ("/d", Kind::Directory { opaque: true }),
            ("/f", file("yz")),
            ("/k", Kind::Socket),
            ("/n", device(5)),
            ("/new", Kind::Fifo),
            ("/s", Kind::Symlink((*b"two").into())),
        ]);
        let meta = &mut new.get_mut(&path("/f")).unwrap().meta;
        (meta.mode, meta.uid, meta.gid, meta.mtime) = (0o4755, 7, 8, 6);
        let (one, two) = (Content::inline(&b"x"[..]).digest, Content::inline(&b"yz"[..]).digest);
        let changes = diff(&old, &new);
        assert_eq!(
            lines(&changes),
            [
                "~ /d: opaque transparent -> opaque".to_owned(),
                format!(
                    "~ /f: content {one} (1 bytes) -> {two} (2 bytes), mode 0644 -> 4755, owner 0:0 -> 7:8, mtime 5 -> 6"
                ),
                "- /gone".to_owned(),
                "~ /k: kind fifo -> socket".to_owned(),
                "~ /n: device 1:3 -> 1:5".to_owned(),
                "+ /new".to_owned(),
                "~ /s: target one -> two".to_owned(),
            ]
        );
        assert!(!diff_without_times(&old, &new)[1].to_string().contains("mtime"));
        assert_eq!(
            serde_json::to_string(&changes[3]).unwrap(),
            r#"{"path":"/k","change":"changed","differences":[{"aspect":"kind","old":"fifo","new":"socket"}]}"#
        );
        assert_eq!(serde_json::to_string(&changes[5]).unwrap(), r#"{"path":"/new","change":"added"}"#);
    }

    #[test]
    fn extended_attributes_are_told_by_name() {
        let old = tree(&[("/f", file("x"))]);
        let mut new = old.clone();
        let xattrs = &mut new.get_mut(&path("/f")).unwrap().meta.xattrs;
        xattrs.insert((*b"security.capability").into(), (*b"\x01\0\0\x02").into());
        xattrs.insert((*b"user.note").into(), (*b"text\0").into());
        assert_eq!(
            lines(&diff(&old, &new)),
            ["~ /f: xattr security.capability none -> 0x01000002, xattr user.note none -> text"]
        );
    }

    #[test]
    fn hard_links_differ_by_their_first_name() {
        let mut old = tree(&[("/a", file("x")), ("/b", file("x"))]);
        let new = old.clone();
        old.link(path("/b"), &path("/a")).unwrap();
        assert_eq!(lines(&diff(&old, &new)), ["~ /b: hard link /a -> none"]);
        assert!(diff(&old, &old).is_empty());
    }

    #[test]
    fn times_alone_are_no_change_when_left_out() {
        let old = tree(&[("/a", file("x"))]);
        let mut new = old.clone();
        new.get_mut(&path("/a")).unwrap().meta.mtime = 9;
        assert_eq!(diff(&old, &new).len(), 1);
        assert!(diff_without_times(&old, &new).is_empty());
    }
}
