//! How each family creates users and groups with the numbers that the tree uses.
//!
//! They are created before packages are installed: package scripts and systemd-sysusers(8) keep a name that exists, so
//! that the number of the profile wins, and take other numbers than those that exist. What the base image has under the
//! same name with the same numbers is kept; any other clash of names or numbers stops the build, in the words of the
//! tool that finds it. So does, on Alpine, a number above 256000: busybox has no higher ones there.

use std::collections::BTreeMap;

use super::{DeployError, quote};
use crate::resolve::{Recipe, User};
use crate::spec::Family;

/// Returns the shell statements that create the groups and users of `recipe`.
pub(super) fn create(recipe: &Recipe) -> Result<Vec<String>, DeployError> {
    let busybox = recipe.distro.family == Family::Apk;
    let groups = groups(recipe);
    let mut statements = Vec::new();
    for (gid, name) in &groups {
        let exists = line("/etc/group", &format!("^{}:[^:]*:{gid}:", literal(name)))?;
        let name = quote::shell_word("the name of a group", name)?;
        let create = if busybox { "addgroup -S -g" } else { "groupadd --system --gid" };
        statements.push(format!("{exists} || {create} {gid} {name}"));
    }
    for (name, user) in &recipe.users {
        let (uid, gid) = (user.uid, user.gid);
        let exists = line("/etc/passwd", &format!("^{}:[^:]*:{uid}:{gid}:", literal(name)))?;
        let Quoted { name: word, home, shell, comment } = quoted(name, user)?;
        let create = if busybox {
            let group = quote::shell_word("the name of a group", groups[&gid])?;
            format!("adduser -S -D -H -u {uid} -G {group} -h {home} -s {shell}\n        -g {comment} {word}")
        } else {
            // `--no-log-init`: lastlog is indexed by number, so that a high one would make it gigabytes long.
            format!(
                "useradd --system --no-log-init --no-create-home --uid {uid} --gid {gid}\n        \
                 --home-dir {home} --shell {shell}\n        --comment {comment} {word}"
            )
        };
        statements.push(format!("{exists} ||\n    {create}"));
        for group in &user.groups {
            let is_member = line("/etc/group", &format!("^{}:.*[:,]{}\\(,\\|$\\)", literal(group), literal(name)))?;
            let group = quote::shell_word("the name of a group", group)?;
            let add =
                if busybox { format!("addgroup {word} {group}") } else { format!("gpasswd --add {word} {group}") };
            statements.push(format!("{is_member} || {add}"));
        }
    }
    Ok(statements)
}

/// Returns the command that tells whether `file` has a line that matches `pattern`.
fn line(file: &str, pattern: &str) -> Result<String, DeployError> {
    Ok(format!("grep -q {} {file}", quote::shell_word("the name of a user or group", pattern)?))
}

/// Returns a name as a pattern; of what a name may hold only `.` has a meaning in one.
fn literal(name: &str) -> String {
    name.replace('.', "[.]")
}

/// Returns every group by number: those that are declared, and one of its own for a user whose group is not.
fn groups(recipe: &Recipe) -> BTreeMap<u32, &str> {
    let mut groups: BTreeMap<u32, &str> = recipe.groups.iter().map(|(name, gid)| (*gid, name.as_str())).collect();
    for (name, user) in &recipe.users {
        groups.entry(user.gid).or_insert(name);
    }
    groups
}

/// The texts of a user, each as one word of a shell.
struct Quoted {
    name: String,
    home: String,
    shell: String,
    comment: String,
}

fn quoted(name: &str, user: &User) -> Result<Quoted, DeployError> {
    let field = |kind: &str, text: &str| {
        let what = format!("the {kind} of the user `{name}`");
        if text.contains(':') {
            return Err(DeployError::value(what, text, "a `:`, which separates the fields of /etc/passwd"));
        }
        quote::shell_word(&what, text)
    };
    Ok(Quoted {
        name: field("name", name)?,
        home: field("home", &user.home)?,
        shell: field("shell", &user.shell)?,
        comment: field("comment", &user.comment)?,
    })
}
