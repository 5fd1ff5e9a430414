//! A graph in the language of Graphviz (graphviz.org, DOT language).

use std::fmt::Write as _;

use super::{Look, rows, thousands, title, visible};
use crate::engine::{Graph, GraphLayer};
use crate::spec::Tier;

/// Returns the text.
pub(super) fn text(graph: &Graph) -> String {
    let mut text = String::from("digraph layerforge {\n");
    // Writing to a string cannot fail.
    let _ = writeln!(text, "  label={};", quoted(&title(graph)));
    text.push_str("  labelloc=t;\n  rankdir=LR;\n  ranksep=0.8;\n");
    text.push_str("  node [shape=box, style=rounded, fontname=\"Helvetica,sans-serif\", fontsize=11];\n");
    text.push_str("  edge [arrowsize=0.7];\n");
    for (index, profile) in graph.profiles.iter().enumerate() {
        let label = lines(&[&profile.name, &profile.summary]);
        let _ = writeln!(text, "  profile{index} [label={label}, penwidth=2];");
    }
    for tier in [Tier::Base, Tier::Distro, Tier::Application, Tier::Overlay] {
        let layers = graph.layers.iter().enumerate().filter(|(_, layer)| layer.tier == tier);
        let names: Vec<String> = layers.map(|(index, layer)| node(index, layer, &mut text)).collect();
        if !names.is_empty() {
            let _ = writeln!(text, "  {{ rank=same; {}; }}", names.join("; "));
        }
    }
    for (index, layer) in graph.layers.iter().enumerate() {
        files(index, layer, &mut text);
    }
    for (index, profile) in graph.profiles.iter().enumerate() {
        for parent in &profile.extends {
            let _ = writeln!(text, "  profile{index} -> profile{parent} [label=\"extends\", fontsize=9];");
        }
        for layer in &profile.layers {
            let _ = writeln!(text, "  profile{index} -> layer{layer};");
        }
    }
    for (index, layer) in graph.layers.iter().enumerate() {
        for required in &layer.requires {
            let _ = writeln!(text, "  layer{index} -> layer{required} [style=dashed, constraint=false];");
        }
    }
    text.push_str("}\n");
    text
}

/// Writes the node of a layer and returns its name.
fn node(index: usize, layer: &GraphLayer, text: &mut String) -> String {
    let label = lines(&[&layer.name, &layer.summary, layer.tier.word()]);
    let _ =
        writeln!(text, "  layer{index} [label={label}, style=\"rounded,filled\", fillcolor=\"{}\"];", fill(layer.tier));
    format!("layer{index}")
}

fn files(index: usize, layer: &GraphLayer, text: &mut String) {
    for (number, group) in layer.groups.iter().enumerate() {
        let mut words = vec![format!("{} ({})", visible(&group.directory.to_string()), thousands(group.entries.len()))];
        for row in rows(group) {
            let note = if row.note.is_empty() { String::new() } else { format!(" ({})", row.note) };
            let replaced = if row.look == Look::Replaced { " (replaced)" } else { "" };
            words.push(format!("{}{note}{replaced}", row.text));
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let _ = writeln!(
            text,
            "  files{index}_{number} [label={}, shape=note, style=solid, fontname=\"Courier,monospace\", fontsize=10];",
            lines(&words)
        );
        let _ = writeln!(text, "  layer{index} -> files{index}_{number};");
    }
}

/// Returns the light colour of a tier, on which black text is read well.
fn fill(tier: Tier) -> &'static str {
    match tier {
        Tier::Base => "#eceff2",
        Tier::Distro => "#d9f0f2",
        Tier::Application => "#dbe9ff",
        Tier::Overlay => "#ebe2fb",
    }
}

/// Returns a label whose lines stand flush left.
fn lines(words: &[&str]) -> String {
    let lines: Vec<String> = words.iter().filter(|word| !word.is_empty()).map(|word| escaped(word)).collect();
    format!("\"{}\\l\"", lines.join("\\l"))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

/// Escapes what ends a quoted string or begins an escape of a label.
fn escaped(text: &str) -> String {
    visible(text).replace('&', "&amp;").replace('\\', "\\\\").replace('"', "\\\"")
}
