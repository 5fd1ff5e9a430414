//! The users and groups of a profile, which are there before any script of a package: scripts keep a name that exists, so that
//! the number of the profile wins.
//!
//! Comes in: what the set names. Goes out: lines for `/etc/passwd` and `/etc/group`, and the memberships, which need groups that
//! packages make.

use std::collections::BTreeMap;

use super::{PackageSet, PackagesError};
use crate::resolve::User;
use crate::tree::{Content, Kind, Meta, Node, Tree};

/// The most bytes of `/etc/group`.
const GROUP_BYTES: usize = 16 << 20;

/// Returns the lines of the users and of the groups, each user without a group of the set with one of its own. What is in the
/// second field is moved into the shadow by whoever makes one.
pub(super) fn lines(set: &PackageSet) -> Result<(String, String), PackagesError> {
    let mut groups: BTreeMap<u32, &str> = set.groups.iter().map(|(name, gid)| (*gid, name.as_str())).collect();
    let mut passwd = String::new();
    for (name, user) in &set.users {
        groups.entry(user.gid).or_insert(name);
        let User { uid, gid, home, shell, comment, .. } = user;
        for text in [name, home, shell, comment] {
            check(name, text)?;
        }
        passwd.push_str(&format!("{name}:*:{uid}:{gid}:{comment}:{home}:{shell}\n"));
    }
    let mut group = String::new();
    for (gid, name) in groups {
        check(name, name)?;
        group.push_str(&format!("{name}:*:{gid}:\n"));
    }
    Ok((passwd, group))
}

fn check(name: &str, text: &str) -> Result<(), PackagesError> {
    if text.contains([':', '\n', '\r', '\0']) {
        return Err(PackagesError::Account {
            name: name.to_owned(),
            reason: format!("`{}` cannot stand in a line of accounts", text.escape_debug()),
        });
    }
    Ok(())
}

/// Puts the users and groups of the set into the files of accounts of a tree, and makes those where there are none.
pub(super) fn put(tree: &mut Tree, set: &PackageSet) -> Result<(), PackagesError> {
    let (passwd, group) = lines(set)?;
    if group.is_empty() && passwd.is_empty() {
        return Ok(());
    }
    add(tree, set.epoch, ("/etc/passwd", 0o644), &passwd.replace(":*:", ":x:"))?;
    add(tree, set.epoch, ("/etc/group", 0o644), &group.replace(":*:", ":x:"))?;
    let name = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
    let shadow: String = passwd.lines().map(|line| format!("{}:*:1:0:99999:7:::\n", name(line))).collect();
    add(tree, set.epoch, ("/etc/shadow", 0o640), &shadow)?;
    if tree.get(&"/etc/gshadow".parse()?).is_some() {
        let shadow: String = group.lines().map(|line| format!("{}:*::\n", name(line))).collect();
        add(tree, set.epoch, ("/etc/gshadow", 0o640), &shadow)?;
    }
    Ok(())
}

/// Adds lines to a file of accounts; a name that is there with the same number stays as it is.
fn add(tree: &mut Tree, epoch: i64, (path, mode): (&str, u16), lines: &str) -> Result<(), PackagesError> {
    let path = path.parse()?;
    let node = tree.get(&path).cloned().unwrap_or_else(|| Node {
        kind: Kind::Regular(Content::inline(&b""[..])),
        meta: Meta::root_owned(mode, epoch),
    });
    let Kind::Regular(content) = &node.kind else { return Ok(()) };
    let mut text = String::from_utf8_lossy(&content.read(GROUP_BYTES)?.unwrap_or_default()).into_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let number = |line: &str| line.split(':').nth(2).unwrap_or_default().to_owned();
    for line in lines.lines() {
        let name = line.split(':').next().unwrap_or_default();
        match text.lines().find(|known| known.split(':').next() == Some(name)) {
            // A shadow has no numbers.
            Some(known) if mode != 0o644 || number(known) == number(line) => {}
            Some(known) => {
                let reason = format!("a package has one of this name with the number {}", number(known));
                return Err(PackagesError::Account { name: name.to_owned(), reason });
            }
            None => text.push_str(&format!("{line}\n")),
        }
    }
    tree.insert(path, Node { kind: Kind::Regular(Content::inline(text.into_bytes())), meta: node.meta })?;
    tree.complete(|_| Meta::root_owned(0o755, epoch));
    Ok(())
}

/// Makes users members of the groups that they are to be in.
pub(super) fn join(tree: &mut Tree, set: &PackageSet) -> Result<(), PackagesError> {
    for (name, user) in &set.users {
        for group in &user.groups {
            let mut found = false;
            for path in ["/etc/group", "/etc/gshadow"] {
                found |= join_in(tree, path, (name, group))?;
            }
            if !found {
                let reason =
                    format!("there is no group `{group}`, which it is to be in: declare it, or install what makes it");
                return Err(PackagesError::Account { name: name.clone(), reason });
            }
        }
    }
    Ok(())
}

fn join_in(tree: &mut Tree, path: &str, (user, group): (&str, &str)) -> Result<bool, PackagesError> {
    let Some(node) = tree.get_mut(&path.parse()?) else { return Ok(false) };
    let Kind::Regular(content) = &node.kind else { return Ok(false) };
    let bytes = content.read(GROUP_BYTES)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let Some(line) = lines.iter_mut().find(|line| line.split(':').next() == Some(group)) else { return Ok(false) };
    let members = line.rsplit(':').next().unwrap_or_default();
    if !members.split(',').any(|member| member == user) {
        if !members.is_empty() {
            line.push(',');
        }
        line.push_str(user);
        node.kind = Kind::Regular(Content::inline((lines.join("\n") + "\n").into_bytes()));
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_added_once() {
        let mut tree = Tree::new();
        let kind = Kind::Regular(Content::inline(&b"root:x:0:\nssl:x:7:a\n"[..]));
        let path = "/etc/group";
        tree.insert(path.parse().unwrap(), Node { kind, meta: Meta::root_owned(0o644, 0) }).unwrap();
        assert!(join_in(&mut tree, path, ("web", "ssl")).unwrap());
        assert!(join_in(&mut tree, path, ("web", "ssl")).unwrap());
        assert!(join_in(&mut tree, path, ("web", "root")).unwrap());
        assert!(!join_in(&mut tree, path, ("web", "none")).unwrap());
        let Kind::Regular(content) = &tree.get(&path.parse().unwrap()).unwrap().kind else { panic!() };
        assert_eq!(content.read(100).unwrap().unwrap(), b"root:x:0:web\nssl:x:7:a,web\n");
    }
}
