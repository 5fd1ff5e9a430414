//! Accounts that scripts of packages make.
//!
//! Packages of Alpine make their accounts with `addgroup` and `adduser` of busybox in their scripts. Where scripts are not
//! run, those commands are read out of them and done here, with the numbers that busybox would give. Only what is written
//! out is understood: plain words and variables that hold plain words.

use std::collections::BTreeMap;

use crate::packages::accounts::{Accounts, NewUser, number};

/// Does what a script says about accounts. Returns the commands that are not understood.
pub fn run(accounts: &mut Accounts, script: &str, epoch: i64) -> Vec<String> {
    let mut variables = BTreeMap::new();
    let mut left = Vec::new();
    for words in commands(script) {
        let words: Option<Vec<String>> = words.iter().map(|word| expand(word, &variables)).collect();
        let Some(words) = words else { continue };
        let start = words.iter().position(|word| !matches!(word.as_str(), "if" | "!" | "then" | "else" | "do"));
        let Some((program, arguments)) = start.and_then(|start| words[start..].split_first()) else { continue };
        let done = match program.rsplit('/').next() {
            Some("addgroup") => addgroup(accounts, arguments),
            Some("adduser") => adduser(accounts, arguments, epoch),
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

fn addgroup(accounts: &mut Accounts, arguments: &[String]) -> Option<()> {
    let (options, names) = options(arguments, b"g")?;
    let wanted = match options.get(&b'g') {
        Some(id) => Some(number(id)?),
        None => None,
    };
    match names.as_slice() {
        [group] => accounts.add_group(group, wanted, options.contains_key(&b'S')).map(drop),
        [user, group] => {
            accounts.add_member(user, group);
            Some(())
        }
        _ => None,
    }
}

fn adduser(accounts: &mut Accounts, arguments: &[String], epoch: i64) -> Option<()> {
    let (options, names) = options(arguments, b"hgsGuk")?;
    let get = |letter: u8| options.get(&letter).copied();
    let id = match get(b'u') {
        Some(id) => Some(number(id)?),
        None => None,
    };
    match names.as_slice() {
        [name] => accounts.add_user(
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
            accounts.add_member(user, group);
            Some(())
        }
        _ => None,
    }
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
                (None, ';' | '|' | '&' | '(' | ')' | '{' | '}')
                    if word.as_deref().is_none_or(|word| !word.ends_with('>')) =>
                {
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
        let mut accounts = Accounts::from_texts("root:x:0:0:root:/root:/bin/sh\n", "www-data:x:82:\n");
        let left = run(&mut accounts, script, 86400);
        let (passwd, group) = accounts.texts();
        let rest = |text: String| text.split_once('\n').map_or("", |(_, rest)| rest).trim_end().to_owned();
        (rest(passwd), rest(group), left)
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
        assert_eq!(
            after("adduser -SDH one && adduser -SDH two").0,
            "one:x:100:65533:Linux User,,,:/dev/null:/bin/false\ntwo:x:101:65533:Linux User,,,:/dev/null:/bin/false"
        );
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
