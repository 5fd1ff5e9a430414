//! Users and groups: `/etc/passwd`, `/etc/group` and `/etc/shadow` of a tree (passwd(5), group(5), shadow(5)).

use crate::fs;
use crate::tree::{Content, Kind, Meta, Node, Tree, TreePath};

/// The most bytes of a file of accounts.
const LARGEST: usize = 4 << 20;
/// The numbers of system accounts.
const SYSTEM: std::ops::Range<u32> = 100..1000;
/// The numbers of other accounts.
const ORDINARY: std::ops::Range<u32> = 1000..60000;
/// The group of system users that have no other.
const NOGROUP: u32 = 65533;

/// The accounts of a tree.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    passwd: Vec<Vec<String>>,
    group: Vec<Vec<String>>,
    shadow: Vec<Vec<String>>,
    /// Homes to be made, with user and group.
    homes: Vec<(String, u32, u32)>,
}

fn lines(tree: &Tree, path: &str, fields: usize) -> fs::Result<Vec<Vec<String>>> {
    let path: TreePath = path.parse().expect("the paths here are paths");
    let Some(Node { kind: Kind::Regular(content), .. }) = tree.get(&path) else { return Ok(Vec::new()) };
    let bytes = content.read(LARGEST)?.unwrap_or_default();
    Ok(split(&String::from_utf8_lossy(&bytes), fields))
}

/// Splits lines into fields; those that are missing at the end are empty.
fn split(text: &str, fields: usize) -> Vec<Vec<String>> {
    let split = |line: &str| {
        let mut values: Vec<String> = line.split(':').map(str::to_owned).collect();
        values.resize(values.len().max(fields), String::new());
        values
    };
    text.lines().filter(|line| !line.is_empty()).map(split).collect()
}

/// Joins lines again.
fn joined(lines: &[Vec<String>]) -> String {
    lines.iter().map(|line| line.join(":") + "\n").collect()
}

pub(super) fn number(field: &str) -> Option<u32> {
    field.parse().ok()
}

impl Accounts {
    /// Reads the accounts of a tree; there are none where it has no files for them.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn of(tree: &Tree) -> fs::Result<Self> {
        Ok(Self {
            passwd: lines(tree, "/etc/passwd", 7)?,
            group: lines(tree, "/etc/group", 4)?,
            shadow: lines(tree, "/etc/shadow", 9)?,
            homes: Vec::new(),
        })
    }

    /// Returns the accounts that two texts tell.
    #[cfg(test)]
    pub(super) fn from_texts(passwd: &str, group: &str) -> Self {
        Self { passwd: split(passwd, 7), group: split(group, 4), ..Self::default() }
    }

    /// Returns the texts of users and groups.
    #[cfg(test)]
    pub(super) fn texts(&self) -> (String, String) {
        (joined(&self.passwd), joined(&self.group))
    }

    /// Returns the number of a user.
    pub fn user(&self, name: &str) -> Option<u32> {
        number(&self.passwd.iter().find(|line| line[0] == name)?[2])
    }

    /// Returns the number of a group.
    pub fn group(&self, name: &str) -> Option<u32> {
        number(&self.group.iter().find(|line| line[0] == name)?[2])
    }

    /// Returns the lowest number that is wanted, or free.
    fn free(lines: &[Vec<String>], wanted: Option<u32>, system: bool) -> Option<u32> {
        if wanted.is_some() {
            return wanted;
        }
        let mut range = if system { SYSTEM } else { ORDINARY };
        range.find(|id| !lines.iter().any(|line| number(&line[2]) == Some(*id)))
    }

    /// Adds a group where there is none of its name, as `addgroup` does.
    pub(super) fn add_group(&mut self, name: &str, wanted: Option<u32>, system: bool) -> Option<u32> {
        if let Some(known) = self.group(name) {
            return Some(known);
        }
        let id = Self::free(&self.group, wanted, system)?;
        self.group.push(vec![name.to_owned(), "x".into(), id.to_string(), String::new()]);
        Some(id)
    }

    /// Adds the line of a user where there is none of its name, with a shadow that lets nobody in.
    pub(super) fn add_line(&mut self, name: &str, ids: (u32, u32), rest: [&str; 3], epoch: i64) {
        if self.user(name).is_some() {
            return;
        }
        let [comment, home, shell] = rest;
        let line = [name, "x", &ids.0.to_string(), &ids.1.to_string(), comment, home, shell];
        self.passwd.push(line.map(str::to_owned).to_vec());
        let days = (epoch / 86400).to_string();
        self.shadow.push([name, "!*", &days, "", "", "", "", "", ""].map(str::to_owned).to_vec());
    }

    /// Tells whether a number belongs to a user.
    pub(super) fn has_user(&self, id: u32) -> bool {
        self.passwd.iter().any(|line| number(&line[2]) == Some(id))
    }

    /// Tells whether a number belongs to no user and no group.
    pub(super) fn is_free(&self, id: u32) -> bool {
        !self.passwd.iter().chain(&self.group).any(|line| number(&line[2]) == Some(id))
    }

    /// Makes a user a member of a group, where both are there.
    pub(super) fn add_member(&mut self, user: &str, group: &str) {
        let Some(line) = self.group.iter_mut().find(|line| line[0] == group) else { return };
        let mut members: Vec<&str> = line[3].split(',').filter(|member| !member.is_empty()).collect();
        if !members.contains(&user) {
            members.push(user);
            line[3] = members.join(",");
        }
    }

    /// Adds a user where there is none of its name, as `adduser` does.
    pub(super) fn add_user(&mut self, new: &NewUser<'_>, epoch: i64) -> Option<()> {
        if self.user(new.name).is_some() {
            return Some(());
        }
        let id = Self::free(&self.passwd, new.id, new.system)?;
        let group = match new.group {
            Some(group) => self.group(group)?,
            None if new.system => NOGROUP,
            None => self.add_group(new.name, Some(id), false)?,
        };
        let home = new.home.map_or_else(
            || if new.system { "/dev/null".to_owned() } else { format!("/home/{}", new.name) },
            str::to_owned,
        );
        let shell = new.shell.unwrap_or(if new.system { "/bin/false" } else { "/bin/sh" });
        let comment = new.comment.unwrap_or("Linux User,,,");
        let line = [new.name, "x", &id.to_string(), &group.to_string(), comment, &home, shell];
        self.passwd.push(line.map(str::to_owned).to_vec());
        let days = (epoch / 86400).to_string();
        self.shadow.push([new.name, "!", &days, "0", "99999", "7", "", "", ""].map(str::to_owned).to_vec());
        if new.makes_home && home != "/dev/null" {
            self.homes.push((home, id, group));
        }
        Some(())
    }

    /// Writes the accounts into a tree, and the homes that are missing.
    ///
    /// # Errors
    /// When something in the tree is in the way.
    pub fn write(&self, tree: &mut Tree, epoch: i64) -> Result<(), crate::packages::claims::ClaimError> {
        for (path, lines, mode, group) in [
            ("/etc/passwd", &self.passwd, 0o644, 0),
            ("/etc/group", &self.group, 0o644, 0),
            ("/etc/shadow", &self.shadow, 0o640, self.group("shadow").unwrap_or(0)),
        ] {
            let text = joined(lines);
            let path: TreePath = path.parse()?;
            let known = tree.get(&path).map(|node| node.meta.clone());
            if text.is_empty() && known.is_none() {
                continue;
            }
            let meta = known.unwrap_or(Meta { gid: group, ..Meta::root_owned(mode, epoch) });
            let kind = Kind::Regular(Content::inline(text.into_bytes()));
            tree.insert(path, Node { kind, meta })?;
        }
        for (home, uid, gid) in &self.homes {
            let path = TreePath::from_absolute(home.as_bytes())?;
            if tree.lookup(&path).is_none() {
                let meta = Meta { uid: *uid, gid: *gid, ..Meta::root_owned(0o2755, epoch) };
                tree.insert(path, Node { kind: Kind::directory(), meta })?;
            }
        }
        Ok(())
    }
}

/// A user to add.
#[derive(Debug)]
pub(super) struct NewUser<'text> {
    pub(super) name: &'text str,
    pub(super) id: Option<u32>,
    pub(super) system: bool,
    pub(super) group: Option<&'text str>,
    pub(super) home: Option<&'text str>,
    pub(super) shell: Option<&'text str>,
    pub(super) comment: Option<&'text str>,
    pub(super) makes_home: bool,
}
