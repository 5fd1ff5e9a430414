//! System tests: what layerforge renders, built by real engines and run as it is meant to run.
//!
//! They need root and what `tests/run` installs: docker, buildah, podman, skopeo, umoci, mmdebstrap, hadolint, graphviz,
//! librsvg, groff, systemd-nspawn, mkfs.erofs, mksquashfs, sgdisk, sfdisk, openssl, cpio, kmod, docker-registry,
//! apt-utils, htpasswd, pacman and makepkg. Engines are started, and machines made, when a case needs them. Nothing is
//! skipped: what cannot run has failed. `cargo test --test system -- NAME`
//! runs the cases whose name holds NAME.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::disallowed_methods, reason = "tests stand outside of the crate: they look at the system itself")]

mod apk;
mod base;
mod cases;
mod command;
mod containers;
mod damage;
mod docker;
mod machine;
mod makepkg;
mod peer;
mod project;
mod registry;
mod repository;
mod scenarios;
mod verify;
mod world;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use world::World;

/// What a case says when it has failed.
type Outcome<T = ()> = Result<T, String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let again = match arguments.get(1).map(String::as_str) {
        Some(cases::sandbox::AGAIN) => Some(cases::sandbox::run_as_told(&arguments[2..])),
        Some(cases::packages::AGAIN) => Some(cases::packages::make_as_told(&arguments[2..])),
        _ => None,
    };
    if let Some(outcome) = again {
        return match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => {
                say(&message);
                ExitCode::FAILURE
            }
        };
    }
    // The standard harness has flags of its own; the only argument of this one is a part of names.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let mut failures = Vec::new();
    match World::set_up() {
        Ok(world) => {
            for (name, case) in cases::ALL.iter().filter(|(name, _)| name.contains(&wanted)) {
                let start = Instant::now();
                let outcome = case(&world);
                say(&format!("{name}: {} ({:.1} s)", outcome.as_ref().map_or("FAILED", |()| "ok"), seconds(start)));
                failures.extend(outcome.err().map(|message| format!("{name}: {message}")));
            }
        }
        Err(message) => failures.push(format!("set up: {message}")),
    }
    for failure in &failures {
        say(&format!("\nFAILED {failure}"));
    }
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

/// Writes a line for whoever watches; a closed terminal is no reason to stop.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
