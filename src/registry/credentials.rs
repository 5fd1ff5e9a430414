//! Credentials as docker and podman keep them (containers-auth.json(5), docker's `config.json`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base64ct::{Base64, Encoding as _};
use serde::Deserialize;

use super::{RegistryError, helper};
use crate::fetch::Secret;
use crate::fs;

/// Who a user is to a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A user and a password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token that access tokens are handed out for.
    IdentityToken(Secret),
}

impl Credential {
    /// Returns the field that says it (RFC 7617); nothing for a token that is only shown to a token server.
    pub(super) fn basic(&self) -> Option<Secret> {
        match self {
            Self::Password { user, password } => Some(Secret::basic(user, password.expose())),
            Self::IdentityToken(_) => None,
        }
    }
}

/// The files that credentials are looked for in.
#[derive(Debug, Default)]
pub struct CredentialFiles {
    files: Vec<PathBuf>,
    /// Whether the files have to be there.
    required: bool,
    known: Mutex<BTreeMap<String, Option<Credential>>>,
}

/// What is understood of a file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AuthFile {
    auths: BTreeMap<String, Entry>,
    creds_store: String,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase", default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Entry(…)")
    }
}

impl CredentialFiles {
    /// Returns the credentials in `files`, the strongest first; those that are not there are left out, unless they are
    /// `required`.
    pub fn new(files: Vec<PathBuf>, required: bool) -> Self {
        Self { files, required, known: Mutex::default() }
    }

    /// Returns the credentials for a repository: those for the longest part of its name that has some, from the first file
    /// that has any.
    ///
    /// # Errors
    /// When a file is not understood, or a helper fails.
    pub fn find(&self, registry: &str, repository: &str) -> Result<Option<Credential>, RegistryError> {
        let name = format!("{registry}/{repository}");
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&name) {
            return Ok(known.clone());
        }
        let mut found = None;
        for path in &self.files {
            found = match fs::read(path) {
                Ok(bytes) => find_in(path, &bytes, registry, &name)?,
                Err(error) if error.is_unreachable() && !self.required => None,
                Err(error) => return Err(error.into()),
            };
            if found.is_some() {
                break;
            }
        }
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(name, found.clone());
        Ok(found)
    }
}

fn find_in(path: &Path, bytes: &[u8], registry: &str, name: &str) -> Result<Option<Credential>, RegistryError> {
    // The text of an error of the parser may quote what it stumbles over.
    let unusable = |reason: &str| RegistryError::Settings { path: path.to_owned(), reason: reason.to_owned() };
    let file: AuthFile = serde_json::from_slice(bytes).map_err(|error| {
        unusable(&format!("it is no file of credentials (line {}, column {})", error.line(), error.column()))
    })?;
    if let Some(helper) = file.cred_helpers.get(registry).filter(|helper| !helper.is_empty()) {
        return helper::get(helper, path, &server(registry));
    }
    if let Some(entry) = entry(&file, registry, name)
        && let Some(credential) =
            credential(entry).map_err(|reason| unusable(&format!("its entry for {registry} {reason}")))?
    {
        return Ok(Some(credential));
    }
    if file.creds_store.is_empty() { Ok(None) } else { helper::get(&file.creds_store, path, &server(registry)) }
}

/// Returns the name that docker gives a registry.
fn server(registry: &str) -> String {
    if registry == "docker.io" { "https://index.docker.io/v1/".into() } else { registry.to_owned() }
}

/// Returns the entry for the longest part of `name`, or the one under a name that docker gave its registry.
fn entry<'file>(file: &'file AuthFile, registry: &str, name: &str) -> Option<&'file Entry> {
    let parts = name.match_indices('/').map(|(end, _)| &name[..end]).chain([name]);
    let exact = parts.collect::<Vec<_>>().into_iter().rev().find_map(|part| file.auths.get(part));
    let host = |key: &str| -> String {
        let rest = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
        let host = rest.split('/').next().unwrap_or_default();
        if host == "index.docker.io" || host == "registry-1.docker.io" { "docker.io".into() } else { host.to_owned() }
    };
    // A name with a path, unless it is that of an address of the first version of registries, is for repositories below it.
    let is_address = |key: &str| key.contains("://") || key.ends_with("/v1/") || key.ends_with("/v2/");
    exact
        .or_else(|| file.auths.iter().find(|(key, _)| is_address(key) && host(key) == registry).map(|(_, entry)| entry))
}

fn credential(entry: &Entry) -> Result<Option<Credential>, &'static str> {
    if !entry.identitytoken.is_empty() {
        return Ok(Some(Credential::IdentityToken(Secret::new(&*entry.identitytoken))));
    }
    let password =
        |user: &str, password: &str| Credential::Password { user: user.into(), password: Secret::new(password) };
    if entry.auth.is_empty() {
        return Ok((!entry.username.is_empty()).then(|| password(&entry.username, &entry.password)));
    }
    let bytes = Base64::decode_vec(entry.auth.trim()).map_err(|_| "is no base64")?;
    let text = String::from_utf8(bytes).map_err(|_| "is no text")?;
    // Docker once wrote a zero byte behind it.
    let (user, secret) = text.trim_end_matches('\0').split_once(':').ok_or("has no `:` between user and password")?;
    Ok(Some(password(user, secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str, registry: &str, repository: &str) -> Option<String> {
        let name = format!("{registry}/{repository}");
        match find_in(Path::new("auth.json"), text.as_bytes(), registry, &name).unwrap()? {
            Credential::Password { user, password } => Some(format!("{user}:{}", password.expose())),
            Credential::IdentityToken(token) => Some(token.expose().to_owned()),
        }
    }

    #[test]
    fn the_longest_name_wins() {
        let text = r#"{"auths": {
            "example.org": {"auth": "YTph"}, "example.org/team": {"auth": "Yjpi"}, "example.org/team/web": {"auth": "Yzpj"},
            "https://index.docker.io/v1/": {"auth": "ZDpk"}, "other.org": {"identitytoken": "token"}, "empty.org": {}
        }}"#;
        for (registry, repository, expected) in [
            ("example.org", "web", Some("a:a")),
            ("example.org", "teams/web", Some("a:a")),
            ("example.org", "team/other", Some("b:b")),
            ("example.org", "team/web", Some("c:c")),
            ("docker.io", "library/debian", Some("d:d")),
            ("other.org", "web", Some("token")),
            ("empty.org", "web", None),
            ("nobody.org", "web", None),
        ] {
            assert_eq!(find(text, registry, repository).as_deref(), expected, "{registry}/{repository}");
        }
    }

    #[test]
    fn users_and_passwords_may_stand_apart() {
        assert_eq!(
            find(r#"{"auths": {"a.org": {"username": "u", "password": "p:q"}}}"#, "a.org", "b").unwrap(),
            "u:p:q"
        );
        assert_eq!(find(r#"{"auths": {"http://a.org/v2/": {"auth": "dTpwOnE="}}}"#, "a.org", "b").unwrap(), "u:p:q");
        assert_eq!(find("{}", "a.org", "b"), None);
    }

    #[test]
    fn secrets_are_in_no_message() {
        let read =
            |text: &str| find_in(Path::new("auth.json"), text.as_bytes(), "a.org", "a.org/b").unwrap_err().to_string();
        assert!(read(r#"{"auths": {"a.org": {"auth": "secret!"}}}"#).contains("a.org is no base64"));
        for text in [r#"{"auths": {"a.org": {"auth": "secret!"}}}"#, r#"{"auths": {"a.org": "secret!"}}"#, "secret!"] {
            assert!(!read(text).contains("secret!"), "{text}");
        }
        let credential = Credential::Password { user: "u".into(), password: Secret::new("secret!") };
        assert!(!format!("{credential:?}").contains("secret!"));
    }

    #[test]
    fn files_that_are_not_there_are_left_out_unless_required() {
        let files = || vec![PathBuf::from("/nowhere/auth.json")];
        assert_eq!(CredentialFiles::new(files(), false).find("a.org", "b").unwrap(), None);
        assert!(CredentialFiles::new(files(), true).find("a.org", "b").is_err());
    }
}
