//! Users and groups of the recipe for systemd-sysusers(8), with the numbers that the tree uses: sysusers.d(5).

use super::DeployError;
use super::unit::{UnitFile, UnitOptions};
use crate::resolve::Recipe;

/// Returns `/usr/lib/sysusers.d/PREFIX.conf`, when the recipe has users or groups.
///
/// # Errors
/// When a name or text has no form there.
pub(super) fn file(recipe: &Recipe, options: &UnitOptions) -> Result<Option<UnitFile>, DeployError> {
    let mut text = String::new();
    let mut memberships = String::new();
    for (name, gid) in &recipe.groups {
        text.push_str(&format!("g {} {gid}\n", account_name(name)?));
    }
    for (name, user) in &recipe.users {
        account_name(name)?;
        // A group of another name with this number would be refused: the user is put into the one that is there.
        if !recipe.groups.values().any(|gid| *gid == user.gid) {
            text.push_str(&format!("g {name} {}\n", user.gid));
        }
        let what = |field: &str| format!("the {field} of the user `{name}`");
        let comment = if user.comment.is_empty() { "-".into() } else { field(&what("comment"), &user.comment)? };
        // An account that is locked as a whole, not only its password.
        let kind = if options.systemd.has(257) { "u!" } else { "u" };
        text.push_str(&format!(
            "{kind} {name} {}:{} {comment} {} {}\n",
            user.uid,
            user.gid,
            field(&what("home"), &user.home)?,
            field(&what("shell"), &user.shell)?
        ));
        for group in &user.groups {
            memberships.push_str(&format!("m {name} {}\n", account_name(group)?));
        }
    }
    text.push_str(&memberships);
    if text.is_empty() {
        return Ok(None);
    }
    UnitFile::text(&format!("/usr/lib/sysusers.d/{}.conf", options.prefix), text).map(Some)
}

/// Checks a name: letters, digits, `_` and `-`, not beginning with a digit or `-`, at most 31 bytes.
fn account_name(name: &str) -> Result<&str, DeployError> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let begins = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    if !begins || name.len() > 31 || !name.bytes().all(is_allowed) {
        return Err(DeployError::unit("the name of a user or group", name, "what sysusers.d(5) does not take"));
    }
    Ok(name)
}

/// Writes one field: a word in quotes when it must be, with no specifier in it.
fn field(what: &str, text: &str) -> Result<String, DeployError> {
    if text.contains(':') {
        return Err(DeployError::unit(what, text, "a `:`, which separates the fields of /etc/passwd"));
    }
    if text.chars().any(char::is_control) {
        return Err(DeployError::unit(what, text, super::CONTROL));
    }
    super::unit::word(what, text)
}
