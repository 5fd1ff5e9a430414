//! Alternatives, as far as scripts name them in plain words (update-alternatives(1)).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{Work, words};
use crate::build::packages::PackagesError;
use crate::packages::apt::archive::Unpacked;

/// One program that can stand for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) link: String,
    pub(super) name: String,
    pub(super) path: String,
    pub(super) priority: i64,
    /// What goes along: link, name, path.
    pub(super) slaves: Vec<(String, String, String)>,
}

/// Makes the links of every name, to the choice with the highest priority, and what dpkg knows of them.
pub(super) fn make(work: &mut Work<'_>, packages: &[Unpacked]) -> Result<(), PackagesError> {
    let mut names: BTreeMap<String, Vec<Choice>> = BTreeMap::new();
    for package in packages {
        let Some(script) = package.control_file("postinst") else { continue };
        for choice in choices(&String::from_utf8_lossy(&script.bytes)) {
            if choice.path.parse().is_ok_and(|path| work.tree.lookup(&path).is_some()) {
                names.entry(choice.name.clone()).or_default().push(choice);
            }
        }
    }
    for (name, mut choices) in names {
        choices.sort_by(|one, other| one.path.cmp(&other.path));
        choices.dedup_by(|later, kept| later.path == kept.path);
        let Some(best) = choices.iter().rev().max_by_key(|choice| choice.priority) else { continue };
        let is_name = |name: &str| !name.is_empty() && !name.contains('/') && !name.starts_with('.');
        if !is_name(&name) || best.slaves.iter().any(|(_, name, _)| !is_name(name)) {
            continue;
        }
        work.put_link(&format!("/etc/alternatives/{name}"), &best.path)?;
        work.put_link(&best.link, &format!("/etc/alternatives/{name}"))?;
        for (link, slave, path) in &best.slaves {
            if path.parse().is_ok_and(|path| work.tree.lookup(&path).is_some()) {
                work.put_link(&format!("/etc/alternatives/{slave}"), path)?;
                work.put_link(link, &format!("/etc/alternatives/{slave}"))?;
            }
        }
        let text = description(&choices, &best.link);
        work.put_text(&format!("/var/lib/dpkg/alternatives/{name}"), 0o644, text)?;
    }
    Ok(())
}

/// Returns what stands in the file that update-alternatives keeps of a name.
fn description(choices: &[Choice], link: &str) -> String {
    let slaves: BTreeSet<(&str, &str)> = choices
        .iter()
        .flat_map(|choice| &choice.slaves)
        .map(|(link, name, _)| (name.as_str(), link.as_str()))
        .collect();
    let mut text = format!("auto\n{link}\n");
    // Writing to a string cannot fail.
    for (name, link) in &slaves {
        let _ = writeln!(text, "{name}\n{link}");
    }
    text.push('\n');
    for choice in choices {
        let _ = writeln!(text, "{}\n{}", choice.path, choice.priority);
        for (name, _) in &slaves {
            let path = choice.slaves.iter().find(|(_, own, _)| own == name).map_or("", |(_, _, path)| path);
            let _ = writeln!(text, "{path}");
        }
    }
    text.push('\n');
    text
}

/// Returns the choices that a script installs in words that need no shell to be understood.
pub(super) fn choices(script: &str) -> Vec<Choice> {
    let whole = script.replace("\\\n", " ");
    whole.lines().filter_map(|line| choice(&words(line))).collect()
}

fn choice(words: &[String]) -> Option<Choice> {
    let start = words.iter().position(|word| word.ends_with("update-alternatives"))?;
    // Before it only what decides whether it is called.
    let rest: Vec<&str> = words[start + 1..].iter().map(String::as_str).collect();
    let rest = &rest[rest.iter().position(|word| !matches!(*word, "--quiet" | "--force"))?..];
    let [install, link, name, path, priority, more @ ..] = rest else { return None };
    let plain = |word: &&str| !word.contains(['$', '`', '*', ';', '|', '&', '>', '<']);
    if *install != "--install" || ![*link, *name, *path].iter().all(plain) || !link.starts_with('/') {
        return None;
    }
    let mut slaves = Vec::new();
    for group in more.chunks(4) {
        let ["--slave", link, name, path] = group else { break };
        if [*link, *name, *path].iter().all(plain) {
            slaves.push(((*link).to_owned(), (*name).to_owned(), (*path).to_owned()));
        }
    }
    let [link, name, path] = [link, name, path].map(|word| (*word).to_owned());
    Some(Choice { link, name, path, priority: priority.parse().ok()?, slaves })
}
