//! Users and groups: `/etc/passwd`, `/etc/group` and `/etc/shadow` of a tree, and what scripts would add to them.
//!
//! Packages of Alpine make their accounts with `addgroup` and `adduser` of busybox in their scripts. Where scripts are not
//! run, those commands are read out of them and done here, with the numbers that busybox would give. Only what is written
//! out is understood: plain words and variables that hold plain words.

use std::collections::BTreeMap;

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
    let text = String::from_utf8_lossy(&bytes);
    let split = |line: &str| {
        let mut values: Vec<String> = line.split(':').map(str::to_owned).collect();
        values.resize(values.len().max(fields), String::new());
        values
    };
    Ok(text.lines().filter(|line| !line.is_empty()).map(split).collect())
}

fn number(field: &str) -> Option<u32> {
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
    fn add_group(&mut self, name: &str, wanted: Option<u32>, system: bool) -> Option<u32> {
        if let Some(known) = self.group(name) {
            return Some(known);
        }
        let id = Self::free(&self.group, wanted, system)?;
        self.group.push(vec![name.to_owned(), "x".into(), id.to_string(), String::new()]);
        Some(id)
    }

    /// Makes a user a member of a group, where both are there.
    fn add_member(&mut self, user: &str, group: &str) {
        let Some(line) = self.group.iter_mut().find(|line| line[0] == group) else { return };
        let mut members: Vec<&str> = line[3].split(',').filter(|member| !member.is_empty()).collect();
        if !members.contains(&user) {
            members.push(user);
            line[3] = members.join(",");
        }
    }

    /// Adds a user where there is none of its name, as `adduser` does.
    fn add_user(&mut self, new: &NewUser<'_>, epoch: i64) -> Option<()> {
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

    /// Does what a script says about accounts. Returns the commands that are not understood.
    pub fn run(&mut self, script: &str, epoch: i64) -> Vec<String> {
        let mut variables = BTreeMap::new();
        let mut left = Vec::new();
        for words in commands(script) {
            let words: Option<Vec<String>> = words.iter().map(|word| expand(word, &variables)).collect();
            let Some(words) = words else { continue };
            let start = words.iter().position(|word| !matches!(word.as_str(), "if" | "!" | "then" | "else" | "do"));
            let Some((program, arguments)) = start.and_then(|start| words[start..].split_first()) else { continue };
            let done = match program.rsplit('/').next() {
                Some("addgroup") => self.run_addgroup(arguments),
                Some("adduser") => self.run_adduser(arguments, epoch),
                _ => {
                    if let (Some((name, value)), []) = (program.split_once('='), arguments) {
                        variables.insert(name.to_owned(), value.to_owned());
                    }
                    continue;
                }
            };
            if done.is_none() {
                left.push(words.join(" "));
            }
        }
        left
    }

    fn run_addgroup(&mut self, arguments: &[String]) -> Option<()> {
        let (options, names) = options(arguments, b"g")?;
        let wanted = match options.get(&b'g') {
            Some(id) => Some(number(id)?),
            None => None,
        };
        match names.as_slice() {
            [group] => self.add_group(group, wanted, options.contains_key(&b'S')).map(drop),
            [user, group] => {
                self.add_member(user, group);
                Some(())
            }
            _ => None,
        }
    }

    fn run_adduser(&mut self, arguments: &[String], epoch: i64) -> Option<()> {
        let (options, names) = options(arguments, b"hgsGuk")?;
        let get = |letter: u8| options.get(&letter).copied();
        let id = match get(b'u') {
            Some(id) => Some(number(id)?),
            None => None,
        };
        match names.as_slice() {
            [name] => self.add_user(
                &NewUser {
                    name,
                    id,
                    system: options.contains_key(&b'S'),
                    group: get(b'G'),
                    home: get(b'h'),
                    shell: get(b's'),
                    comment: get(b'g'),
                    makes_home: !options.contains_key(&b'H'),
                },
                epoch,
            ),
            [user, group] => {
                self.add_member(user, group);
                Some(())
            }
            _ => None,
        }
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
            let text: String = lines.iter().map(|line| line.join(":") + "\n").collect();
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

struct NewUser<'text> {
    name: &'text str,
    id: Option<u32>,
    system: bool,
    group: Option<&'text str>,
    home: Option<&'text str>,
    shell: Option<&'text str>,
    comment: Option<&'text str>,
    makes_home: bool,
}

/// The values of options by their letters, and the words that are none.
type Options<'words> = (BTreeMap<u8, &'words str>, Vec<&'words str>);

/// Takes options of one letter, those in `valued` with the value behind them; nothing when a name could not be one.
fn options<'words>(arguments: &'words [String], valued: &[u8]) -> Option<Options<'words>> {
    let (mut found, mut names) = (BTreeMap::new(), Vec::new());
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
            if !word.bytes().all(plain) {
                return None;
            }
            names.push(word.as_str());
            continue;
        };
        for (place, letter) in letters.bytes().enumerate() {
            if !letter.is_ascii_alphabetic() {
                return None;
            }
            if !valued.contains(&letter) {
                found.insert(letter, "");
                continue;
            }
            let rest = &letters[place + 1..];
            let value = if rest.is_empty() { words.next()?.as_str() } else { rest };
            if value.bytes().any(|byte| byte == b':' || byte.is_ascii_control()) {
                return None;
            }
            found.insert(letter, value);
            break;
        }
    }
    Some((found, names))
}

/// Splits a script of the shell into commands and those into words. Quotes are taken off; in a word, `\u{0}` stands for a
/// `$` that means a variable.
fn commands(script: &str) -> Vec<Vec<String>> {
    let text = script.replace("\\\n", " ");
    let mut commands = Vec::new();
    for line in text.lines() {
        let mut words: Vec<String> = Vec::new();
        let mut word: Option<String> = None;
        let mut quote = None;
        let mut letters = line.chars().peekable();
        while let Some(letter) = letters.next() {
            match (quote, letter) {
                (Some(open), _) if letter == open => quote = None,
                (Some('"') | None, '$') => {
                    let word = word.get_or_insert_default();
                    word.push('\0');
                    if letters.peek() == Some(&'{') {
                        word.extend(letters.by_ref().take_while(|letter| *letter != '}'));
                        word.push('}');
                    }
                }
                (Some('"') | None, '\\') => word.get_or_insert_default().extend(letters.next()),
                (Some(_), _) => word.get_or_insert_default().push(letter),
                (None, '\'' | '"') => {
                    quote = Some(letter);
                    word.get_or_insert_default();
                }
                (None, '#') if word.is_none() => break,
                (None, ' ' | '\t') => words.extend(word.take()),
                (None, ';' | '|' | '&' | '(' | ')' | '{' | '}') if word.as_deref().is_none_or(|word| !word.ends_with('>')) => {
                    words.extend(word.take());
                    commands.push(std::mem::take(&mut words));
                }
                (None, _) => word.get_or_insert_default().push(letter),
            }
        }
        words.extend(word.take());
        commands.push(words);
    }
    // Where output goes does not matter here.
    for words in &mut commands {
        words.retain(|word| !word.contains('>') && !word.contains('<') && word != "/dev/null");
    }
    commands.retain(|words| !words.is_empty());
    commands
}

/// Puts the values of variables into a word; nothing when one is not known.
fn expand(word: &str, variables: &BTreeMap<String, String>) -> Option<String> {
    let mut parts = word.split('\0');
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (braced, part) = part.strip_prefix('{').map_or((false, part), |rest| (true, rest));
        let end = part.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(part.len());
        let (name, mut rest) = part.split_at(end);
        if braced {
            rest = rest.strip_prefix('}')?;
        }
        whole.push_str(variables.get(name)?);
        whole.push_str(rest);
    }
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(script: &str) -> (String, String, Vec<String>) {
        let mut accounts = Accounts {
            passwd: vec!["root:x:0:0:root:/root:/bin/sh".split(':').map(str::to_owned).collect()],
            group: vec!["www-data:x:82:".split(':').map(str::to_owned).collect()],
            ..Accounts::default()
        };
        let left = accounts.run(script, 86400);
        let join = |lines: &[Vec<String>]| lines[1..].iter().map(|line| line.join(":")).collect::<Vec<_>>().join("\n");
        (join(&accounts.passwd), join(&accounts.group), left)
    }

    #[test]
    fn scripts_make_accounts_as_busybox_does() {
        let script = "#!/bin/sh\n\naddgroup -S nginx 2>/dev/null\nadduser -S -D -H -h /var/lib/nginx \\\n\t-s /sbin/nologin -G nginx \
                      -g nginx nginx 2>/dev/null\naddgroup nginx www-data 2>/dev/null\n\nexit 0\n";
        let (passwd, group, left) = after(script);
        assert_eq!(passwd, "nginx:x:100:100:nginx:/var/lib/nginx:/sbin/nologin");
        assert_eq!(group, "nginx:x:100:");
        assert_eq!(left, [""; 0]);
        let script = "user=postgres\naddgroup -S -g 70 \"$user\" || true\nif ! adduser -S -u 70 -D -h /var/lib/postgresql -s /bin/sh -G ${user} -g 'Postgres user' $user; then exit 1; fi\n";
        let (passwd, group, _) = after(script);
        assert_eq!(passwd, "postgres:x:70:70:Postgres user:/var/lib/postgresql:/bin/sh");
        assert_eq!(group, "postgres:x:70:");
        assert_eq!(after("adduser -SDH one && adduser -SDH two").0, "one:x:100:65533:Linux User,,,:/dev/null:/bin/false\ntwo:x:101:65533:Linux User,,,:/dev/null:/bin/false");
    }

    #[test]
    fn what_is_not_understood_is_told() {
        assert_eq!(after("adduser -S -u many x").2, ["adduser -S -u many x"]);
        assert_eq!(after("adduser -S 'a:b'").2, ["adduser -S a:b"]);
        assert_eq!(after("adduser -S -G missing x").2, ["adduser -S -G missing x"]);
        assert_eq!(after("adduser -S $unknown\n# adduser -S comment\necho adduser").0, "");
    }

    proptest::proptest! {
        #[test]
        fn no_script_is_a_panic(script in "(adduser|addgroup|-S|-u|[a-z$'\"\\\\{};|&> \n]){0,30}") {
            let _ = after(&script);
        }
    }
}
