//! `layerforge inspect`

use std::fmt::Write as _;
use std::process::ExitCode;

use super::Session;
use super::args::InspectArguments;
use super::diagnostic::escaped;
use super::terminal::{DONE, count};
use crate::engine::{self, Disk, InspectReport, Summary};
use crate::error::Error;
use crate::image::mtree;
use crate::image::oci::{Container, RunConfig};
use crate::image::read::{FileSystem, format_uuid};

pub(super) fn run(session: &Session<'_>, arguments: &InspectArguments) -> Result<ExitCode, Error> {
    let terminal = session.terminal;
    let report = engine::inspect(&session.store()?, &arguments.image)?;
    if !arguments.list && !arguments.mtree {
        if terminal.json {
            terminal.print_json(&report)
        } else {
            terminal.print(&text(&report))
        }
        return Ok(DONE);
    }
    let Some(tree) = &report.tree else {
        let message = format!("nothing can be listed of `{}`: its file system is not read", arguments.image.display());
        return Err(Error::usage(message));
    };
    if arguments.mtree {
        terminal.print(&mtree(tree));
    } else if terminal.json {
        terminal.print_json(&tree.iter().map(|(path, _)| path).collect::<Vec<_>>());
    } else {
        terminal
            .print(&tree.iter().map(|(path, _)| escaped(&path.to_string()).into_owned() + "\n").collect::<String>());
    }
    Ok(DONE)
}

// Writing to a string cannot fail.
fn text(report: &InspectReport) -> String {
    let mut text = String::new();
    let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let class = report.class.map(|class| format!(", {}", word(serde_json::json!(class)))).unwrap_or_default();
    let _ = writeln!(text, "{}: {}{class}", report.path.display(), word(serde_json::json!(report.format)));
    if let Some(disk) = &report.disk {
        put_disk(disk, &mut text);
    }
    if let Some(system) = &report.file_system {
        put_file_system(system, &mut text);
    }
    if let Some(container) = &report.container {
        put_container(container, &mut text);
    }
    for (path, fields) in &report.releases {
        let _ = writeln!(text, "\n{path}");
        for (key, value) in fields {
            let _ = writeln!(text, "  {}={}", escaped(key), escaped(value));
        }
    }
    if !report.units.is_empty() {
        let _ = writeln!(text, "\nunits");
        for unit in &report.units {
            let _ = writeln!(text, "  {}", escaped(unit));
        }
    }
    if let Some(summary) = &report.summary {
        put_summary(summary, &mut text);
    }
    text
}

fn put_disk(disk: &Disk, text: &mut String) {
    let _ = writeln!(text, "\ndisk {}", disk.uuid);
    for partition in &disk.partitions {
        let (label, kind) = (escaped(&partition.label), &partition.kind);
        let kind = if label == kind.as_str() { String::new() } else { format!(" ({kind})") };
        let place = format!("{} bytes at {}", partition.length, partition.offset);
        let _ = writeln!(text, "  {label}{kind}: {place}, {}, flags {}", partition.uuid, partition.flags);
    }
    match &disk.verity {
        None => text.push_str("  verity: none\n"),
        Some(verity) => {
            let named = if verity.named_by_uuids { "" } else { ", which the partition UUIDs do not name" };
            let _ = writeln!(text, "  verity: root hash {}{named}", verity.root_hash);
        }
    }
    match &disk.signature {
        None => text.push_str("  signature: none\n"),
        Some(signature) => {
            let signers: Vec<_> = signature.signers.iter().map(|signer| escaped(signer)).collect();
            let signers =
                if signers.is_empty() { "a signer whose certificate is not in it".into() } else { signers.join(", ") };
            let print = signature.fingerprint.as_deref().unwrap_or("none");
            let _ = writeln!(text, "  signature: by {signers}, fingerprint {print} (not checked)");
        }
    }
    for fault in &disk.faults {
        let _ = writeln!(text, "  fault: {}", escaped(fault));
    }
}

fn put_container(container: &Container, text: &mut String) {
    let Container { references, manifest, config, layers, attached } = container;
    let names: Vec<_> = references.iter().map(|reference| escaped(reference)).collect();
    let names = if names.is_empty() { "without a name".into() } else { names.join(", ") };
    let _ = writeln!(text, "\ncontainer image {names}");
    if let Some(manifest) = manifest {
        let _ = writeln!(text, "  manifest: {manifest}");
    }
    let _ = writeln!(text, "  platform: {}/{}", escaped(&config.os), escaped(&config.architecture));
    if let Some(created) = &config.created {
        let _ = writeln!(text, "  created: {}", escaped(created));
    }
    let none = RunConfig::default();
    let run = config.config.as_ref().unwrap_or(&none);
    if !run.user.is_empty() {
        let _ = writeln!(text, "  user: {}", escaped(&run.user));
    }
    for (name, words) in [("entrypoint", &run.entrypoint), ("cmd", &run.cmd)] {
        if let Some(words) = words {
            let words: Vec<_> = words.iter().map(|word| escaped(word)).collect();
            let _ = writeln!(text, "  {name}: {}", words.join(" "));
        }
    }
    for (name, set) in [("ports", &run.exposed_ports), ("volumes", &run.volumes)] {
        if let Some(set) = set {
            let keys: Vec<_> = set.keys().map(|key| escaped(key)).collect();
            let _ = writeln!(text, "  {name}: {}", keys.join(" "));
        }
    }
    if *attached > 0 {
        let _ = writeln!(text, "  attached: {}", count(*attached, "manifest"));
    }
    let mut comments = config.history.iter().filter(|entry| !entry.empty_layer);
    for layer in layers {
        let comment = comments.next().and_then(|entry| entry.comment.as_ref());
        let comment = comment.map(|comment| format!(", {}", escaped(comment))).unwrap_or_default();
        let _ = writeln!(text, "  layer {}, {} bytes{comment}", layer.digest, layer.size);
    }
}

fn put_file_system(system: &FileSystem, text: &mut String) {
    let _ = write!(text, "\n{}", system.kind.name());
    if system.block_size > 0 {
        let _ = write!(text, ": {} bytes, blocks of {}", system.size, system.block_size);
    }
    text.push('\n');
    for (name, words) in [("codecs", &system.codecs), ("features", &system.features)] {
        if !words.is_empty() {
            let _ = writeln!(text, "  {name}: {}", words.join(", "));
        }
    }
    if let Some(uuid) = &system.uuid {
        let _ = writeln!(text, "  uuid: {}", format_uuid(uuid));
    }
    if let Some(created) = system.created {
        let _ = writeln!(text, "  created: {created}");
    }
}

fn put_summary(summary: &Summary, text: &mut String) {
    let _ = writeln!(text, "\n{} {}", count(summary.paths, "path"), summary.digest);
    let kinds = [
        count(summary.files, "file"),
        format!("{} directories", summary.directories),
        count(summary.symlinks, "symbolic link"),
        count(summary.hard_links, "hard link"),
        format!("{} devices, fifos and sockets", summary.special),
    ];
    let _ = writeln!(text, "  {}, {} bytes of files", kinds.join(", "), summary.bytes);
    if summary.with_xattrs > 0 {
        let _ = writeln!(text, "  {} with extended attributes", summary.with_xattrs);
    }
    for path in &summary.privileged {
        let _ = writeln!(text, "  setuid or setgid: {}", escaped(&path.to_string()));
    }
}
