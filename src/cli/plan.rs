//! `layerforge plan`

use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use super::Session;
use super::args::{NetworkArguments, PlanArguments};
use super::terminal::{DONE, Style, count};
use super::{changes, network};
use crate::engine::{self, ExtensionPlan, OutputPlan, RenderRequest, TargetPlan};
use crate::error::Error;

/// Changed paths that are shown for an output; the rest is counted.
const SHOWN: usize = 50;

pub(super) fn run(session: &Session<'_>, arguments: &PlanArguments) -> Result<ExitCode, Error> {
    let request = RenderRequest {
        selection: session.selection(&arguments.selection)?,
        outputs: arguments.outputs.clone(),
        destination: arguments.dest.clone(),
        image: arguments.image.wish(),
        // What is in the cache needs no network.
        client: Some(Arc::new(network::client(
            NetworkArguments { offline: true, plain_http: false },
            session.terminal,
        ))),
        ..RenderRequest::default()
    };
    let store = session.store()?;
    let plans = engine::plan(&session.project, &store, &request)?;
    if session.terminal.json {
        session.terminal.print_json(&plans);
    } else {
        session
            .terminal
            .print(&plans.iter().map(|plan| text(plan, session.terminal.output_style())).collect::<String>());
    }
    Ok(DONE)
}

fn text(plan: &TargetPlan, style: Style) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let target = style.paint(Style::BOLD, &plan.plan.target);
    let _ = writeln!(text, "{target} → {}", plan.destination.display());
    for action in &plan.plan.actions {
        let inputs =
            if action.inputs.is_empty() { String::new() } else { format!(" ← {}", action.inputs.join(", ")) };
        let _ = writeln!(text, "  {}{inputs}", action.name);
    }
    let _ = writeln!(text, "  {}, {} bytes, {}", count(plan.paths, "path"), plan.bytes, plan.tree);
    if let Some(extension) = &plan.extension {
        let _ = writeln!(text, "  {}", extended(extension));
    }
    for path in &plan.removed {
        let _ = writeln!(text, "  removed from the base image: {path}");
    }
    if !plan.uncompared.is_empty() {
        let kinds: Vec<String> = plan.uncompared.iter().map(ToString::to_string).collect();
        let _ = writeln!(
            text,
            "  not compared, because what is below the layers is not in the cache: {}",
            kinds.join(", ")
        );
    }
    for difference in &plan.lock {
        let _ = writeln!(text, "  the lock is renewed: {difference}");
    }
    for (index, output) in plan.outputs.iter().enumerate() {
        // An archive holds what a rootfs does, and changes as it does.
        let same = |other: &OutputPlan| other.changes == output.changes && other.fresh == output.fresh;
        if !output.kind.is_image() && plan.outputs[..index].iter().any(same) {
            continue;
        }
        text.push_str(&changed(output, style));
    }
    text
}

/// Tells what an extension adds to its host.
fn extended(extension: &ExtensionPlan) -> String {
    let over = &extension.over;
    match &extension.packages {
        None => format!("sysext over {over}: its packages are not in the lock, `layerforge lock` chooses them"),
        Some(packages) if packages.is_empty() => format!("sysext over {over}: adds no packages"),
        Some(packages) => {
            let mut shown: Vec<&str> = packages.iter().take(SHOWN).map(String::as_str).collect();
            let more = format!("{} more, which `--json` has", packages.len().saturating_sub(SHOWN));
            shown.extend((packages.len() > SHOWN).then_some(more.as_str()));
            format!("sysext over {over}: adds {}: {}", count(packages.len(), "package"), shown.join(", "))
        }
    }
}

fn changed(output: &OutputPlan, style: Style) -> String {
    let kind = output.kind;
    let mut text = String::new();
    if output.fresh {
        let _ = writeln!(text, "  {kind}: nothing is there yet");
    } else if output.changes.is_empty() {
        let _ = writeln!(text, "  {kind}: nothing changes");
    } else {
        let _ = writeln!(text, "  {kind}:");
    }
    for change in output.changes.iter().take(SHOWN) {
        let _ = writeln!(text, "  {}", changes::line(&change.change, change.node.as_deref(), style));
    }
    if output.changes.len() > SHOWN {
        let _ = writeln!(text, "  and {} more, which `--json` has", output.changes.len() - SHOWN);
    }
    text
}
