//! Scores that the tool gave, and texts that are no units.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::deploy::{Flavour, UnitBody, UnitOptions, units};
use crate::distro::Wish;
use crate::resolve::{Library, Request, resolve};
use crate::spec::Project;
use crate::spec::SystemdVersion;

fn score(settings: &str) -> (u32, Exposure) {
    let exposure = assess(&format!("[Service]\nExecStart=/bin/true\n{settings}"), []).unwrap();
    (exposure.tenths, exposure)
}

#[test]
fn the_table_is_whole() {
    assert_eq!(ASSESSORS.iter().map(|assessor| assessor.weight).sum::<u32>(), 56_460);
    let mut fields: Vec<&str> = ASSESSORS.iter().map(|assessor| assessor.field).collect();
    fields.sort_unstable();
    fields.dedup();
    assert_eq!(fields.len(), 81);
}

#[test]
fn scores_of_the_tool() {
    for (settings, tenths) in [("", 94), ("PrivateMounts=no\n", 96), ("User=nobody\n", 93)] {
        let (ours, _) = score(settings);
        assert_eq!(ours, tenths, "{settings}");
    }
    assert_eq!(score("").1.grade(), Grade::Unsafe);
}

#[test]
fn early_services_have_no_system_to_be_kept_from() {
    let early = assess("[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/true\n", []).unwrap();
    let answer = |field| early.assessments.iter().find(|one| one.field == field).unwrap();
    assert_eq!((answer("ProtectHome").set, answer("ProtectHome").tenths), (None, None));
    assert_eq!(answer("PrivateDevices").set, Some(false));
}

#[test]
fn a_refusal_ends_a_drop_in_and_refuses_a_unit() {
    let bare = "[Service]\nExecStart=/bin/true\n";
    let wrong = "[Service]\nPrivateTmp=yes\nUser=007\nPrivateDevices=yes\n";
    let exposure = assess(bare, [wrong]).unwrap();
    let is_set = |field| exposure.assessments.iter().find(|one| one.field == field).unwrap().set == Some(true);
    assert!(is_set("PrivateTmp") && !is_set("PrivateDevices"));
    let refusal = assess(wrong, []).unwrap_err().to_string();
    assert_eq!(refusal, "systemd does not load this service: line 3: `User=007`: this is no user");
}

#[test]
fn no_text_is_a_surprise() {
    for text in [
        "",
        "\\",
        "[",
        "[Service",
        "=",
        "[Service]\n=\n\\\n",
        "[Service]\nUMask=99999999999999999999\n",
        "[Service]\nCapabilityBoundingSet=63 64 -1 99999999999\nIPAddressDeny=1.2.3.4/99 ::/999 /\n",
        "[Service]\nSystemCallFilter=:: ~: @ @:\nUser=\nRestrictNamespaces=~~\nDeviceAllow=\"\n",
        "[Service]\nCapabilityBoundingSet=caf\u{e9} c\u{e9}p_kill\n",
    ] {
        drop(assess(text, [text]));
    }
}

/// Returns the score of every service of a profile of the repository, with whether it has a network.
fn scores(profile: &str) -> Vec<(String, u32, bool)> {
    let project = Arc::new(Project::open(Path::new(env!("CARGO_MANIFEST_DIR"))));
    let library = Library::load(project, profile).unwrap();
    let (distro, table) = library.distros().unwrap().into_iter().find(|(name, _)| name.as_str() == "debian").unwrap();
    let wish = Wish { release: None, architecture: None };
    let recipe = resolve(&library, &Request { distro, table, wish, settings: Vec::new(), epoch: None }).unwrap();
    let systemd = SystemdVersion(257);
    let options = UnitOptions { flavour: Flavour::Sysext, systemd, prefix: profile.into(), start: true };
    let mut scores = Vec::new();
    for file in units(&recipe, &options).unwrap() {
        if let UnitBody::Text(text) = &file.body
            && file.path.as_bytes().ends_with(b".service")
        {
            scores.push((file.path.to_string(), assess(text, []).unwrap().tenths, text.contains("AF_INET6")));
        }
    }
    scores
}

#[test]
fn units_of_shipped_profiles_are_locked_up() {
    let all: Vec<_> = ["default", "discourse", "postgresql", "redis"].into_iter().flat_map(scores).collect();
    assert!(all.iter().any(|(_, _, has_network)| !has_network) && all.len() >= 8, "{all:?}");
    for (path, tenths, has_network) in &all {
        assert!(*tenths <= if *has_network { 15 } else { 5 }, "{path}: {tenths}; {all:?}");
    }
    insta::assert_debug_snapshot!(all);
}
