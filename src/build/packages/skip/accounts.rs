//! Users and groups: those that every Debian has, and those that `sysusers.d` asks for (sysusers.d(5)).

use std::collections::{BTreeMap, BTreeSet};

use super::{Work, words};
use crate::build::packages::{PackageSet, PackagesError, accounts};
use crate::tree::{Content, Kind, Meta, Node};

/// The highest id that is given out; as with systemd-sysusers, ids go down from it.
const HIGHEST: u32 = 999;

#[derive(Debug, Default)]
struct Accounts {
    /// Name, then id and members.
    groups: Vec<(String, u32, BTreeSet<String>)>,
    /// Name, then uid, gid, comment, home, shell.
    users: Vec<User>,
}

#[derive(Debug)]
struct User {
    name: String,
    uid: u32,
    gid: u32,
    comment: String,
    home: String,
    shell: String,
}

/// Makes `/etc/passwd`, `/etc/group` and their shadows where there are none.
pub(super) fn make(work: &mut Work<'_>, set: &PackageSet) -> Result<(), PackagesError> {
    let mut accounts = Accounts::default();
    let (users, groups) = accounts::lines(set)?;
    let more = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let known = lines(work, ["/etc/group", "/usr/share/base-passwd/group.master"])?;
    for line in known.into_iter().chain(more(&groups)) {
        let fields: Vec<&str> = line.split(':').collect();
        if let [name, _, id, members] = fields.as_slice()
            && let Ok(id) = id.parse()
        {
            let members = members.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
            accounts.groups.push(((*name).to_owned(), id, members));
        }
    }
    let known = lines(work, ["/etc/passwd", "/usr/share/base-passwd/passwd.master"])?;
    for line in known.into_iter().chain(more(&users)) {
        let fields: Vec<&str> = line.split(':').collect();
        if let [name, _, uid, gid, comment, home, shell] = fields.as_slice()
            && let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse())
        {
            let [name, comment, home, shell] = [name, comment, home, shell].map(|text| (*text).to_owned());
            accounts.users.push(User { name, uid, gid, comment, home, shell });
        }
    }
    accounts.ask_for(&work.settings("/usr/lib/sysusers.d")?);
    if accounts.users.is_empty() && accounts.groups.is_empty() {
        return Ok(());
    }
    accounts.write(work)
}

/// Returns the lines of the first of two files that is there.
fn lines(work: &Work<'_>, files: [&str; 2]) -> Result<Vec<String>, PackagesError> {
    for file in files {
        if let Some(text) = work.text_at(file)? {
            return Ok(text.lines().map(str::to_owned).collect());
        }
    }
    Ok(Vec::new())
}

impl Accounts {
    fn ask_for(&mut self, lines: &[String]) {
        let lines: Vec<Vec<String>> = lines.iter().map(|line| words(line)).filter(|words| words.len() >= 2).collect();
        let of = |kind: char| lines.iter().filter(move |words| words[0].trim_end_matches('!') == kind.to_string());
        for words in of('g') {
            self.group(&words[1], words.get(2).and_then(|id| id.parse().ok()));
        }
        for words in of('u') {
            self.user(words);
        }
        for words in of('m').filter(|words| words.len() >= 3) {
            self.group(&words[2], None);
            if let Some((_, _, members)) = self.groups.iter_mut().find(|(name, _, _)| *name == words[2]) {
                members.insert(words[1].clone());
            }
        }
    }

    fn free(&self) -> u32 {
        let taken =
            |id: u32| self.groups.iter().any(|(_, gid, _)| *gid == id) || self.users.iter().any(|user| user.uid == id);
        (1..=HIGHEST).rev().find(|id| !taken(*id)).unwrap_or(HIGHEST)
    }

    fn group(&mut self, name: &str, id: Option<u32>) -> u32 {
        if let Some((_, id, _)) = self.groups.iter().find(|(known, _, _)| known == name) {
            return *id;
        }
        let id = id.filter(|id| self.groups.iter().all(|(_, gid, _)| gid != id)).unwrap_or_else(|| self.free());
        self.groups.push((name.to_owned(), id, BTreeSet::new()));
        id
    }

    /// Takes `u name id comment home shell`; the id is `-`, `uid`, `uid:gid` or `uid:group`.
    fn user(&mut self, words: &[String]) {
        let name = &words[1];
        if self.users.iter().any(|user| user.name == *name) {
            return;
        }
        let at = |place: usize| words.get(place).map(String::as_str).filter(|word| *word != "-");
        let (uid, group) = match at(2).unwrap_or_default().split_once(':') {
            Some((uid, group)) => (uid.parse().ok(), Some(group)),
            None => (at(2).and_then(|id| id.parse().ok()), None),
        };
        let uid = uid.filter(|uid| self.users.iter().all(|user| user.uid != *uid));
        let gid = match group {
            Some(group) => group.parse().unwrap_or_else(|_| self.group(group, None)),
            None => self.group(name, uid),
        };
        let uid = uid.unwrap_or_else(|| {
            if self.users.iter().all(|user| user.uid != gid) && gid != 0 { gid } else { self.free() }
        });
        self.users.push(User {
            name: name.clone(),
            uid,
            gid,
            comment: at(3).unwrap_or_default().to_owned(),
            home: at(4).unwrap_or("/").to_owned(),
            shell: at(5).unwrap_or("/usr/sbin/nologin").to_owned(),
        });
    }

    fn write(&self, work: &mut Work<'_>) -> Result<(), PackagesError> {
        let (mut passwd, mut shadow, mut group, mut gshadow) = Default::default();
        let put = |text: &mut String, line: String| text.push_str(&format!("{line}\n"));
        for User { name, uid, gid, comment, home, shell } in &self.users {
            put(&mut passwd, format!("{name}:x:{uid}:{gid}:{comment}:{home}:{shell}"));
            // The day of the last change is set when the tree is normalised.
            put(&mut shadow, format!("{name}:*:1:0:99999:7:::"));
        }
        for (name, gid, members) in &self.groups {
            let members = members.iter().map(String::as_str).collect::<Vec<_>>().join(",");
            put(&mut group, format!("{name}:x:{gid}:{members}"));
            put(&mut gshadow, format!("{name}:*::{members}"));
        }
        let gids: BTreeMap<&str, u32> = self.groups.iter().map(|(name, gid, _)| (name.as_str(), *gid)).collect();
        let keepers = gids.get("shadow").copied().unwrap_or(0);
        for (path, text, mode, gid) in [
            ("/etc/passwd", passwd, 0o644, 0),
            ("/etc/group", group, 0o644, 0),
            ("/etc/shadow", shadow, 0o640, keepers),
            ("/etc/gshadow", gshadow, 0o640, keepers),
        ] {
            let path = path.parse()?;
            let kind = Kind::Regular(Content::inline(text.into_bytes()));
            let meta = Meta { gid, ..Meta::root_owned(mode, work.epoch) };
            let shadowed = mode == 0o640 && work.tree.get(&path).is_some();
            if !shadowed {
                work.tree.remove(&path);
                work.put(&path, Node { kind, meta })?;
            }
        }
        Ok(())
    }
}
