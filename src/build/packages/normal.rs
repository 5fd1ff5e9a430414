//! What scripts leave that says when, where or how often they ran, and belongs into no tree.
//!
//! Comes in: a tree that was set up. Goes out: the same without logs, caches, copies of what was changed, and identities that
//! each machine makes itself, with no time after the epoch.

use super::PackagesError;
use crate::tree::{Content, Kind, Meta, Node, Tree, TreePath};

/// Files that are removed.
const FILES: [&str; 14] = [
    "/etc/group-",
    "/etc/gshadow-",
    "/etc/passwd-",
    "/etc/shadow-",
    "/etc/subgid-",
    "/etc/subuid-",
    // The numbers of inodes.
    "/var/cache/ldconfig/aux-cache",
    "/var/cache/apt/pkgcache.bin",
    "/var/cache/apt/srcpkgcache.bin",
    "/var/lib/dpkg/available",
    // What every machine makes for itself.
    "/var/lib/dbus/machine-id",
    "/var/lib/systemd/random-seed",
    "/var/lib/systemd/credential.secret",
    "/var/lib/urandom/random-seed",
];

/// Directories whose files are removed, with all that is below: they are made again when they are needed.
const EMPTIED: [&str; 5] =
    ["/var/cache/man", "/var/lib/apt/lists", "/var/cache/apt/archives", "/var/cache/apk", "/var/cache/pacman/pkg"];

/// Directories whose files that end so are removed: dpkg and debconf keep what was before a change.
const OLD: [(&str, &[u8]); 2] = [("/var/cache/debconf", b"-old"), ("/var/lib/dpkg", b"-old")];

/// The most bytes of `/etc/shadow`.
const SHADOW_BYTES: usize = 16 << 20;
/// Seconds of a day.
const DAY: i64 = 24 * 60 * 60;

/// Takes out of a tree what belongs into no tree.
pub(super) fn normalise(tree: &mut Tree, epoch: i64) -> Result<(), PackagesError> {
    let is_file = |node: &Node| matches!(node.kind, Kind::Regular(_));
    let mut doomed: Vec<TreePath> = Vec::new();
    for path in FILES {
        let path: TreePath = path.parse()?;
        doomed.extend(tree.get(&path).filter(|node| is_file(node)).map(|_| path));
    }
    for folder in EMPTIED {
        let folder: TreePath = folder.parse()?;
        let below = tree.below(&folder).filter(|(_, node)| is_file(node));
        doomed.extend(below.map(|(path, _)| path.clone()));
    }
    for (folder, end) in OLD {
        let folder: TreePath = folder.parse()?;
        let old = tree.below(&folder).filter(|(path, node)| is_file(node) && path.as_bytes().ends_with(end));
        doomed.extend(old.filter(|(path, _)| path.parent().as_ref() == Some(&folder)).map(|(path, _)| path.clone()));
    }
    // Empty ones were put there for those who write to them.
    let written = |node: &Node| matches!(&node.kind, Kind::Regular(content) if content.length > 0);
    let logs: TreePath = "/var/log".parse()?;
    let full = tree.below(&logs).filter(|(_, node)| written(node));
    doomed.extend(full.map(|(path, _)| path.clone()));
    for path in doomed {
        tree.remove(&path);
    }
    // systemd-tmpfiles sets access lists of logs at every boot; who has but one id cannot.
    let listed = tree.below(&logs).filter(|(_, node)| !node.meta.xattrs.is_empty());
    for path in listed.map(|(path, _)| path.clone()).collect::<Vec<_>>() {
        if let Some(node) = tree.get_mut(&path) {
            node.meta.xattrs.retain(|name, _| !name.starts_with(b"system.posix_acl_"));
        }
    }
    let machine: TreePath = "/etc/machine-id".parse()?;
    if tree.get(&machine).is_some_and(is_file) {
        let kind = Kind::Regular(Content::inline(&b""[..]));
        tree.insert(machine, Node { kind, meta: Meta::root_owned(0o444, epoch) })?;
    }
    for path in ["/etc/shadow", "/etc/shadow.org"] {
        age_passwords(tree, &path.parse()?, epoch)?;
    }
    clamp(tree, epoch);
    Ok(())
}

/// Sets the day of the last change of every password to that of the epoch (shadow(5)); none on the first day, for a zero would
/// ask for a new one.
fn age_passwords(tree: &mut Tree, path: &TreePath, epoch: i64) -> Result<(), PackagesError> {
    let Some(node) = tree.get_mut(path) else { return Ok(()) };
    let Kind::Regular(content) = &node.kind else { return Ok(()) };
    let Some(bytes) = content.read(SHADOW_BYTES)? else { return Ok(()) };
    let day = if epoch < DAY { String::new() } else { (epoch / DAY).to_string() };
    let mut text = Vec::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let mut fields: Vec<&[u8]> = line.split(|&byte| byte == b':').collect();
        if let Some(changed) = fields.get_mut(2).filter(|changed| !changed.is_empty()) {
            *changed = day.as_bytes();
        }
        text.extend(fields.join(&b':'));
    }
    node.kind = Kind::Regular(Content::inline(text));
    Ok(())
}

/// Sets every time after the epoch to it.
fn clamp(tree: &mut Tree, epoch: i64) {
    let late = tree.iter().filter(|(_, node)| node.meta.mtime > epoch).map(|(path, _)| path.clone());
    for path in late.collect::<Vec<_>>() {
        if let Some(node) = tree.get_mut(&path) {
            node.meta.mtime = epoch;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(tree: &mut Tree, path: &str, text: &str) {
        let node = Node {
            kind: Kind::Regular(Content::inline(text.as_bytes())),
            meta: Meta::root_owned(0o640, 2_000_000_000),
        };
        tree.insert(path.parse().unwrap(), node).unwrap();
    }

    fn text(tree: &Tree, path: &str) -> Option<String> {
        match &tree.get(&path.parse().unwrap())?.kind {
            Kind::Regular(content) => Some(String::from_utf8(content.read(100).unwrap().unwrap()).unwrap()),
            _ => None,
        }
    }

    #[test]
    fn traces_go_and_the_rest_stays() {
        let mut tree = Tree::new();
        let gone = ["/etc/passwd-", "/var/log/dpkg.log", "/var/log/apt/term.log", "/var/lib/dpkg/status-old"];
        let more = ["/var/cache/debconf/config.dat-old", "/var/cache/apt/archives/a.deb", "/var/lib/dbus/machine-id"];
        let stays =
            ["/etc/passwd", "/var/lib/dpkg/info/x-old", "/var/lib/dpkg/status", "/var/cache/debconf/config.dat"];
        for path in gone.iter().chain(&more).chain(&stays) {
            put(&mut tree, path, "x");
        }
        put(&mut tree, "/var/log/wtmp", "");
        put(&mut tree, "/etc/machine-id", "0123456789abcdef\n");
        put(&mut tree, "/etc/shadow", "root:*:20000:0:99999:7:::\nuser:!::0:::::\n");
        normalise(&mut tree, 86_400 * 19_000 + 5).unwrap();
        for path in gone.iter().chain(&more) {
            assert_eq!(text(&tree, path), None, "{path}");
        }
        for path in stays.iter().chain(&["/var/log/wtmp"]) {
            assert!(text(&tree, path).is_some(), "{path}");
        }
        assert_eq!(text(&tree, "/etc/machine-id").as_deref(), Some(""));
        assert_eq!(text(&tree, "/etc/shadow").as_deref(), Some("root:*:19000:0:99999:7:::\nuser:!::0:::::\n"));
        assert!(tree.iter().all(|(_, node)| node.meta.mtime <= 86_400 * 19_000 + 5));
        normalise(&mut tree, 5).unwrap();
        assert_eq!(text(&tree, "/etc/shadow").as_deref(), Some("root:*::0:99999:7:::\nuser:!::0:::::\n"));
    }
}
