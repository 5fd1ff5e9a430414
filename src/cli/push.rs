//! `layerforge push` and `layerforge pull`

use std::path::Path;
use std::process::ExitCode;

use super::Session;
use super::args::{PullArguments, PushArguments, SelectionArguments};
use super::progress::Progress;
use super::terminal::{DONE, count};
use super::{network, store};
use crate::distro::Architecture;
use crate::engine::{self, PullRequest, PushSource};
use crate::error::Error;
use crate::image::oci::Platform;
use crate::registry::{Pushed, Reference, RegistryError, Selected, Sent};

pub(super) fn push(session: &Session<'_>, arguments: &PushArguments) -> Result<ExitCode, Error> {
    let reference = reference(&arguments.reference)?;
    let source = match &arguments.source {
        Some(path) if is_path(path) => PushSource::Path(path.into()),
        profile => {
            let target = arguments.target.clone();
            let selection = SelectionArguments { profile: profile.clone(), target };
            PushSource::Profile(session.selection(&selection)?)
        }
    };
    let client = network::client(arguments.network, session.terminal);
    let progress = Progress::new(session.terminal);
    let pushed = engine::push(&session.project, &session.store()?, &client, (&source, &reference), &progress)?;
    let terminal = session.terminal;
    if terminal.json {
        terminal.print_json(&pushed);
    } else {
        terminal.tell(&told(&pushed));
        terminal.print(&format!("{}\n", pushed.digest));
    }
    Ok(DONE)
}

/// Tells whether a word is a path and no name of a profile.
fn is_path(word: &str) -> bool {
    let path = Path::new(word);
    !word.ends_with(".toml") && (word.contains('/') || path.exists())
}

fn reference(text: &str) -> Result<Reference, Error> {
    text.parse().map_err(|error| RegistryError::Reference(error).into())
}

fn told(pushed: &Pushed) -> String {
    if pushed.unchanged {
        return format!("{} is there already", pushed.reference);
    }
    let with = |wanted| pushed.blobs.iter().filter(move |blob| blob.sent == wanted);
    let bytes: u64 = with(Sent::Uploaded).map(|blob| blob.size).sum();
    let mut text = format!(
        "pushed {}: {} sent ({})",
        pushed.reference,
        count(with(Sent::Uploaded).count(), "blob"),
        store::size(bytes)
    );
    let mounted = with(Sent::Mounted).count();
    if mounted > 0 {
        text.push_str(&format!(", {mounted} taken from other repositories"));
    }
    if !pushed.attached.is_empty() {
        text.push_str(&format!(", {} attached", pushed.attached.len()));
    }
    text
}

pub(super) fn pull(session: &Session<'_>, arguments: &PullArguments) -> Result<ExitCode, Error> {
    let platform = || Platform::linux(arguments.arch.unwrap_or_else(Architecture::host));
    let request = PullRequest {
        reference: reference(&arguments.reference)?,
        selected: if arguments.all { Selected::All } else { Selected::Platform(platform()) },
        destination: arguments.destination.clone(),
    };
    let client = network::client(arguments.network, session.terminal);
    let progress = Progress::new(session.terminal);
    let report = engine::pull(&session.store()?, &client, &request, &progress)?;
    let terminal = session.terminal;
    if terminal.json {
        terminal.print_json(&report);
        return Ok(DONE);
    }
    let mut text =
        format!("pulled {}: {}, {}", report.reference, count(report.layers, "layer"), store::size(report.bytes));
    if report.attached > 0 {
        text.push_str(&format!(", {} attached", report.attached));
    }
    if let Some(path) = &report.destination {
        text.push_str(&format!(", in {}", path.display()));
    }
    terminal.tell(&text);
    terminal.print(&format!("{}\n", report.digest));
    Ok(DONE)
}
