//! Who the user is to servers, as apt and curl keep it (apt_auth.conf(5), netrc).
//!
//! Comes in: the text of a file. Goes out: the field that says who asks, for the addresses that the file names. Always holds: a
//! password is in no message and goes only to the host that it is for, and over plain text only where the file says `http://`.

use std::path::{Path, PathBuf};

use url::Url;

use super::Secret;

/// A file of logins that is not understood.
#[derive(Debug, thiserror::Error)]
#[error("`{}` is no file of logins: {reason}; expected `machine HOST login USER password PASSWORD`", path.display())]
pub struct LoginError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it; never a word of the file after `login` or `password`.
    pub reason: String,
}

/// Logins by address, those that stand first in their file first.
#[derive(Debug, Clone, Default)]
pub struct Logins {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    /// `https` when nothing is said.
    scheme: String,
    host: String,
    port: Option<u16>,
    /// What paths begin with; begins with a slash.
    path: String,
    user: String,
    password: Secret,
}

impl Logins {
    /// Reads the text of the file at `path`: `machine [SCHEME://]HOST[:PORT][/PATH] login USER password PASSWORD`, in one line
    /// or several; `#` begins a comment.
    ///
    /// # Errors
    /// When it is not understood.
    pub fn parse(path: &Path, text: &str) -> Result<Self, LoginError> {
        let fault = |reason: String| LoginError { path: path.to_owned(), reason };
        let lines = text.lines().map(|line| line.split_once(" #").map_or(line, |(line, _)| line));
        let lines = lines.filter(|line| !line.trim_start().starts_with('#'));
        let mut words = lines.flat_map(str::split_whitespace);
        let mut entries: Vec<Entry> = Vec::new();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| fault(format!("nothing stands behind the last `{word}`")));
            let number = entries.len();
            match (word, entries.last_mut()) {
                ("machine", _) => entries.push(entry(value()?).map_err(fault)?),
                ("login", Some(entry)) => value()?.clone_into(&mut entry.user),
                ("password", Some(entry)) => entry.password = Secret::new(value()?),
                // A secret may stand here.
                _ => return Err(fault(format!("something behind its machine number {number} is not understood"))),
            }
        }
        Ok(Self { entries })
    }

    /// Returns what says to `url` who asks (RFC 7617); nothing where no login is for it.
    pub(super) fn of(&self, url: &Url) -> Option<Secret> {
        let found = self.entries.iter().find(|entry| entry.is_for(url))?;
        Some(Secret::basic(&found.user, found.password.expose()))
    }
}

fn entry(text: &str) -> Result<Entry, String> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
    // It may have a password in it.
    let refused = || "a word behind `machine` is no host".to_owned();
    let url = Url::parse(&format!("{scheme}://{rest}")).map_err(|_| refused())?;
    let is_plain = matches!(scheme, "http" | "https") && url.username().is_empty() && url.password().is_none();
    Ok(Entry {
        scheme: scheme.to_owned(),
        host: url.host_str().filter(|_| is_plain).ok_or_else(refused)?.to_owned(),
        port: url.port_or_known_default(),
        path: url.path().to_owned(),
        user: String::new(),
        password: Secret::new(""),
    })
}

impl Entry {
    fn is_for(&self, url: &Url) -> bool {
        let below = || match url.path().strip_prefix(&self.path) {
            Some(rest) => rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/'),
            None => false,
        };
        self.scheme == url.scheme()
            && url.host_str() == Some(&self.host)
            && url.port_or_known_default() == self.port
            && below()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_for_its_own_addresses() {
        let text = "# of the office\nmachine example.org/debian login a password b # note\n\
                    machine http://plain.org\nlogin c\npassword d\nmachine example.org:8443 login e password f:g\n";
        let logins = Logins::parse(Path::new("auth.conf"), text).unwrap();
        for (url, expected) in [
            ("https://example.org/debian/dists/x", Some(("a", "b"))),
            ("https://example.org/debian", Some(("a", "b"))),
            ("https://example.org/debian-security/x", None),
            ("http://example.org/debian/x", None),
            ("https://example.org.evil.org/debian/x", None),
            ("http://plain.org/x", Some(("c", "d"))),
            ("https://plain.org/x", None),
            ("https://example.org:8443/x", Some(("e", "f:g"))),
        ] {
            let found = logins.of(&url.parse().unwrap());
            assert_eq!(found, expected.map(|(user, password)| Secret::basic(user, password)), "{url}");
        }
        assert!(!format!("{logins:?}").contains("f:g"));
    }

    #[test]
    fn what_is_not_understood_is_not_shown() {
        for text in ["secret", "machine a.org secret", "machine a.org login", "machine u:secret@a.org", "login secret"]
        {
            let error = Logins::parse(Path::new("auth.conf"), text).unwrap_err().to_string();
            assert!(error.contains("`auth.conf` is no file of logins"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
