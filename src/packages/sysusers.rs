//! Users and groups that packages declare (sysusers.d(5)), made as systemd-sysusers(8) makes them.
//!
//! Comes in: a tree with files in `/usr/lib/sysusers.d` and `/etc/sysusers.d`. Goes out: its accounts. Always holds: what is
//! there already stays; numbers that nobody names are given from 999 downwards, in the order of files and lines.

use std::collections::BTreeMap;

use super::accounts::{Accounts, number};
use super::claims::ClaimError;
use crate::fs;
use crate::tree::{Kind, Node, Tree, TreePath};

/// The most bytes of one file.
const LARGEST: usize = 1 << 20;
/// The highest number of a system account.
const HIGHEST: u32 = 999;

/// Declarations that cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum SysusersError {
    /// A line is not written as it should be.
    #[error("`{file}`, line {line}: {fault}")]
    Line {
        /// The file.
        file: String,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// Something in the tree is in the way.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// A file cannot be read.
    #[error(transparent)]
    Fs(#[from] fs::Error),
}

/// What a line declares.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    file: String,
    number: usize,
    kind: char,
    /// Name, number, comment, home, shell; empty for none.
    fields: [String; 5],
}

/// Makes the accounts that the files of a tree declare. `nologin` is the shell of those that have no other.
///
/// # Errors
/// When a line is not written as it should be, or something in the tree is in the way.
pub fn make_accounts(tree: &mut Tree, nologin: &str, epoch: i64) -> Result<(), SysusersError> {
    let lines = lines(tree)?;
    if lines.is_empty() {
        return Ok(());
    }
    let mut accounts = Accounts::of(tree)?;
    // Groups come first: users may have one of them.
    for kind in ["g", "u", "m"] {
        for line in lines.iter().filter(|line| kind.contains(line.kind)) {
            let fault = |fault| SysusersError::Line { file: line.file.clone(), line: line.number, fault };
            line.run(&mut accounts, nologin, epoch).map_err(fault)?;
        }
    }
    Ok(accounts.write(tree, epoch)?)
}

/// Reads all lines, file after file by their names; a file in `/etc` replaces the one of its name.
fn lines(tree: &Tree) -> Result<Vec<Line>, SysusersError> {
    let mut files: BTreeMap<Vec<u8>, (String, &Node)> = BTreeMap::new();
    for directory in ["/usr/lib/sysusers.d", "/etc/sysusers.d"] {
        let directory: TreePath = directory.parse().map_err(ClaimError::from)?;
        for (path, node) in tree.below(&directory) {
            let name = path.name().unwrap_or_default();
            if name.ends_with(b".conf") && path.parent().as_ref() == Some(&directory) {
                files.insert(name.to_vec(), (path.to_string(), node));
            }
        }
    }
    let mut lines = Vec::new();
    for (file, node) in files.into_values() {
        let Kind::Regular(content) = &node.kind else { continue };
        let bytes = content.read(LARGEST)?.unwrap_or_default();
        for (number, text) in String::from_utf8_lossy(&bytes).lines().enumerate() {
            let fault = |fault| SysusersError::Line { file: file.clone(), line: number + 1, fault };
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let mut words = words(text).ok_or_else(|| fault("a quote is not closed"))?.into_iter();
            let kind = words.next().unwrap_or_default();
            let kind = match kind.trim_end_matches('!') {
                "u" => 'u',
                "g" => 'g',
                "m" => 'm',
                // A range of numbers to take from.
                "r" => continue,
                _ => return Err(fault("expected one of `u`, `g`, `m`, `r`")),
            };
            let mut field = || words.next().filter(|word| word != "-").unwrap_or_default();
            let fields = [field(), field(), field(), field(), field()];
            lines.push(Line { file: file.clone(), number: number + 1, kind, fields });
        }
    }
    Ok(lines)
}

/// Splits a line into words, which may stand in quotes.
fn words(text: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in text.chars() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ' | '\t') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    !name.is_empty() && name.len() <= 31 && !name.starts_with(['-', '.']) && name.bytes().all(plain)
}

impl Line {
    fn run(&self, accounts: &mut Accounts, nologin: &str, epoch: i64) -> Result<(), &'static str> {
        let [name, id, comment, home, shell] = self.fields.each_ref().map(String::as_str);
        if !is_name(name) {
            return Err("expected the name of an account");
        }
        if [comment, home, shell].iter().any(|field| field.contains(':')) {
            return Err("a field holds a colon");
        }
        match self.kind {
            'g' => group(accounts, name, id).map(drop),
            'm' if !is_name(id) => Err("expected the name of a group"),
            'm' => {
                group(accounts, id, "")?;
                accounts.add_member(name, id);
                Ok(())
            }
            _ => {
                if accounts.user(name).is_some() {
                    return Ok(());
                }
                let ids = user(accounts, name, id)?;
                let or = |field: &str, other: &str| if field.is_empty() { other.to_owned() } else { field.to_owned() };
                let shell = or(shell, if ids.0 == 0 { "/bin/sh" } else { nologin });
                accounts.add_line(name, ids, [comment, &or(home, "/"), &shell], epoch);
                Ok(())
            }
        }
    }
}

/// Returns the number of a group, which is made when it is not there.
fn group(accounts: &mut Accounts, name: &str, id: &str) -> Result<u32, &'static str> {
    if let Some(known) = accounts.group(name) {
        return Ok(known);
    }
    let id = if id.is_empty() { free(accounts)? } else { number(id).ok_or("expected a number or `-`")? };
    accounts.add_group(name, Some(id), true).ok_or("no number is left for the group")
}

/// Returns the numbers of a user and its group, which is made when it is not there.
fn user(accounts: &mut Accounts, name: &str, id: &str) -> Result<(u32, u32), &'static str> {
    const EXPECTED: &str = "expected a number, `NUMBER:GROUP` or `-`";
    if let Some((uid, own)) = id.split_once(':') {
        let uid = if uid == "-" { free(accounts)? } else { number(uid).ok_or(EXPECTED)? };
        let gid = number(own).or_else(|| accounts.group(own)).ok_or("there is no such group")?;
        return Ok((uid, gid));
    }
    let wanted = if id.is_empty() { None } else { Some(number(id).ok_or(EXPECTED)?) };
    let known = accounts.group(name);
    let uid = match (wanted, known) {
        (Some(wanted), _) => wanted,
        // The number of its group, when no other user has it.
        (None, Some(gid)) if !accounts.has_user(gid) => gid,
        (None, _) => free(accounts)?,
    };
    let gid = match known {
        Some(gid) => gid,
        None => accounts.add_group(name, Some(uid), true).ok_or("no number is left for the group")?,
    };
    Ok((uid, gid))
}

fn free(accounts: &Accounts) -> Result<u32, &'static str> {
    (1..=HIGHEST).rev().find(|id| accounts.is_free(*id)).ok_or("no number is left")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Content, Meta};

    fn made(files: &[(&str, &str)]) -> Result<(String, String), String> {
        let mut tree = Tree::new();
        let base =
            [("/etc/passwd", "root:x:0:0::/root:/usr/bin/bash\n"), ("/etc/group", "root:x:0:root\nsys:x:3:bin\n")];
        for (path, text) in base.iter().chain(files) {
            let kind = Kind::Regular(Content::inline(text.as_bytes()));
            tree.insert(path.parse().unwrap(), Node { kind, meta: Meta::root_owned(0o644, 0) }).unwrap();
        }
        make_accounts(&mut tree, "/usr/bin/nologin", 0).map_err(|error| error.to_string())?;
        let accounts = Accounts::of(&tree).unwrap();
        let (passwd, group) = accounts.texts();
        let rest = |text: String, lines: usize| text.lines().skip(lines).collect::<Vec<_>>().join(" ");
        Ok((rest(passwd, 1), rest(group, 2)))
    }

    #[test]
    fn accounts_are_made_as_declared() {
        let (passwd, group) = made(&[
            (
                "/usr/lib/sysusers.d/b.conf",
                "u http 33 \"Web server\" /srv/http\nu! git - \"git daemon\" / /usr/bin/git-shell\n",
            ),
            (
                "/usr/lib/sysusers.d/a.conf",
                "# base\ng utmp 997\nu dbus 81\nu one -:utmp\nm http sys\nm one new\nr - 500-900\n",
            ),
            ("/etc/sysusers.d/c.conf", "u root 0\n"),
        ])
        .unwrap();
        assert_eq!(
            passwd,
            "dbus:x:81:81::/:/usr/bin/nologin one:x:999:997::/:/usr/bin/nologin http:x:33:33:Web server:/srv/http:/usr/bin/nologin \
             git:x:998:998:git daemon:/:/usr/bin/git-shell"
        );
        assert_eq!(group, "utmp:x:997: dbus:x:81: http:x:33: git:x:998: new:x:996:one");
        let replaced = made(&[("/usr/lib/sysusers.d/a.conf", "u a 5\n"), ("/etc/sysusers.d/a.conf", "")]).unwrap();
        assert_eq!(replaced.0, "");
    }

    #[test]
    fn mistakes_name_their_line() {
        for (text, part) in [
            ("x a\n", "line 1: expected one of"),
            ("\nu ../a\n", "line 2: expected the name"),
            ("u a many\n", "line 1: expected a number"),
            ("u a - 'b:c'\n", "line 1: a field holds a colon"),
            ("u a - \"b\n", "line 1: a quote"),
            ("u a 5:missing\n", "line 1: there is no such group"),
        ] {
            let error = made(&[("/usr/lib/sysusers.d/a.conf", text)]).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
