//! `layerforge why-package`

use std::fmt::Write as _;
use std::process::ExitCode;

use super::Session;
use super::args::WhyPackageArguments;
use super::terminal::DONE;
use crate::engine::{self, PackageLink, WhyPackage};
use crate::error::Error;

pub(super) fn run(session: &Session<'_>, arguments: &WhyPackageArguments) -> Result<ExitCode, Error> {
    let selection = session.selection(&arguments.selection)?;
    let answers = engine::why_package(&session.project, &session.store()?, &selection, &arguments.package)?;
    if session.terminal.json {
        session.terminal.print_json(&answers);
    } else {
        session.terminal.print(&text(&answers, &arguments.package));
    }
    Ok(DONE)
}

/// Writes answers as text; targets with the same answer share one.
fn text(answers: &[WhyPackage], name: &str) -> String {
    let mut groups: Vec<(Vec<&str>, String)> = Vec::new();
    for answer in answers {
        let body = body(answer);
        match groups.iter_mut().find(|(_, known)| *known == body) {
            Some((targets, _)) => targets.push(&answer.target),
            None => groups.push((vec![&answer.target], body)),
        }
    }
    let mut text = String::new();
    for (targets, body) in groups {
        let body = if body.is_empty() { format!("  {name} is not there\n") } else { body };
        // Writing to a string cannot fail.
        let _ = write!(text, "{}:\n{body}", targets.join(", "));
    }
    text
}

fn body(answer: &WhyPackage) -> String {
    let mut text = String::new();
    for one in &answer.chain {
        let _ = writeln!(text, "  {}", link(one));
    }
    text
}

/// Writes a package and why it is there.
pub(super) fn link(link: &PackageLink) -> String {
    let why = match (link.why.as_str(), &link.asked_at) {
        ("requested", Some(place)) => format!("asked for at {place}"),
        ("requested", None) => "asked for".to_owned(),
        ("variant", _) => "part of the variant".to_owned(),
        (why, _) => why.to_owned(),
    };
    let tag = link.tag.as_ref().map(|tag| format!(" @{tag}")).unwrap_or_default();
    format!("{} {} ({}{tag}): {why}", link.name, link.version, link.source)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns a chain of two packages.
    pub(in crate::cli) fn chain() -> Vec<PackageLink> {
        let link = |name: &str, why: &str, asked_at: Option<&str>| PackageLink {
            name: name.into(),
            version: "1.2-3".into(),
            source: "debian".into(),
            tag: None,
            why: why.into(),
            asked_at: asked_at.map(str::to_owned),
        };
        vec![
            link("zlib1g", "nginx depends on zlib1g >= 1:1.1.4", None),
            link("nginx", "requested", Some("profiles/web.toml:4:1")),
        ]
    }

    #[test]
    fn the_chain_is_told_from_the_package_on() {
        let chain = chain();
        let answer = |target: &str| WhyPackage { target: target.into(), chain: chain.clone() };
        let none = WhyPackage { target: "ubuntu".into(), chain: Vec::new() };
        let mut tagged = chain.clone();
        tagged[1].tag = Some("edge".into());
        assert_eq!(link(&tagged[1]), "nginx 1.2-3 (debian @edge): asked for at profiles/web.toml:4:1");
        insta::assert_snapshot!(text(&[answer("debian"), none, answer("debian-sid")], "zlib1g"), @r"
        debian, debian-sid:
          zlib1g 1.2-3 (debian): nginx depends on zlib1g >= 1:1.1.4
          nginx 1.2-3 (debian): asked for at profiles/web.toml:4:1
        ubuntu:
          zlib1g is not there
        ");
    }
}
