//! What whoever runs the program is allowed to do.
//!
//! Comes in: the user, and what the system's administrator wrote down for it. Goes out: the [`Privilege`] that a sandbox
//! is made with. Always holds: nothing is tried out; what is missing for a choice that was asked for is an error that
//! says how to mend it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::SandboxError;
use crate::fs;

/// Where newuidmap and newgidmap are: as other tools do, only in places that a user cannot write to.
const TOOL_FOLDERS: [&str; 5] = ["/usr/bin", "/bin", "/usr/sbin", "/usr/local/bin", "/run/wrappers/bin"];
/// How many subordinate ids are used: all but 0, which is the user, up to 65535.
pub(super) const SUBORDINATE_IDS: u32 = 65535;

/// How the users and groups of a sandbox come about. What comes out of a sandbox is the same with each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Privilege {
    /// The caller is root: every id inside is itself outside.
    Root,
    /// The caller has subordinate ids (subuid(5)): root inside is the caller, the others are subordinate ids.
    Subordinate,
    /// The caller has nothing: root inside is the caller, and there is no other id. Changes of owners are written down
    /// instead of made, and told to whoever looks.
    Single,
}

impl Privilege {
    /// Returns the best that this process has.
    pub fn best() -> Self {
        if rustix::process::geteuid().is_root() {
            return Self::Root;
        }
        if Subordinate::of_caller().is_ok() { Self::Subordinate } else { Self::Single }
    }
}

/// The subordinate ids of a user, and the programs that give them to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Subordinate {
    /// The first user id.
    pub(super) first_user: u32,
    /// The first group id.
    pub(super) first_group: u32,
    /// newuidmap(1).
    pub(super) user_tool: PathBuf,
    /// newgidmap(1).
    pub(super) group_tool: PathBuf,
}

impl Subordinate {
    /// Returns what the user of this process has.
    ///
    /// # Errors
    /// When a program or the ids are missing.
    pub(super) fn of_caller() -> Result<Self, SandboxError> {
        let user = rustix::process::getuid().as_raw().to_string();
        let accounts = fs::read_to_string(Path::new("/etc/passwd")).unwrap_or_default();
        let name = account_name(&accounts, &user).unwrap_or(&user);
        Ok(Self {
            first_user: first_id(Path::new("/etc/subuid"), [name, &user])?,
            first_group: first_id(Path::new("/etc/subgid"), [name, &user])?,
            user_tool: tool("newuidmap")?,
            group_tool: tool("newgidmap")?,
        })
    }
}

fn tool(name: &str) -> Result<PathBuf, SandboxError> {
    let places = TOOL_FOLDERS.iter().map(|folder| Path::new(folder).join(name));
    let found = places.into_iter().find(|path| path.is_file());
    found.ok_or_else(|| SandboxError::Lacking {
        what: format!("`{name}` is not installed, which gives a user its subordinate ids"),
        hint:
            "install the package `uidmap` (on Fedora and Arch `shadow-utils` and `shadow`), or use no subordinate ids"
                .into(),
    })
}

fn first_id(path: &Path, names: [&str; 2]) -> Result<u32, SandboxError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.is_not_found() => String::new(),
        Err(error) => return Err(error.into()),
    };
    first_range(&text, names).ok_or_else(|| SandboxError::Lacking {
        what: format!("`{}` gives {} no range of {SUBORDINATE_IDS} ids", path.display(), names[0]),
        hint: format!("as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {}", names[0]),
    })
}

/// Returns the first id of the first range for one of `names` that is long enough; lines are `NAME:FIRST:COUNT`.
fn first_range(text: &str, names: [&str; 2]) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.trim().split(':');
        let name = fields.next()?;
        let (first, count): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let last = first.checked_add(SUBORDINATE_IDS)?;
        (names.contains(&name) && count >= SUBORDINATE_IDS && first > 0 && last < u32::MAX).then_some(first)
    })
}

fn account_name<'text>(accounts: &'text str, user: &str) -> Option<&'text str> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == user && !name.is_empty()).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ranges() {
        let text = "other:100000:65536\nbuild:10:10\n\nbuild:0:70000\nbuild:200000:65535\n1000:4294960000:90000\nx:a:b";
        assert_eq!(first_range(text, ["build", "1000"]), Some(200_000));
        assert_eq!(first_range(text, ["other", "77"]), Some(100_000));
        assert_eq!(first_range(text, ["nobody", "65534"]), None);
        assert_eq!(first_range("7:1000:65535", ["seven", "7"]), Some(1000), "a user is named by its number, too");
        assert_eq!(first_range(text, ["1000", "1000"]), None, "ids end");
        assert_eq!(first_range("", ["a", "1"]), None);
    }

    #[test]
    fn finds_the_name_of_a_user() {
        let accounts = "root:x:0:0::/:/bin/sh\nbuild:x:1000:1000::/:\n:x:5:5";
        assert_eq!(account_name(accounts, "1000"), Some("build"));
        assert_eq!(account_name(accounts, "5"), None);
        assert_eq!(account_name("", "0"), None);
    }
}
