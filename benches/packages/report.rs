//! From samples to tables, a file with all of them, and a section of the page.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::Result;
use crate::measure::Sample;
use crate::place::System;
use crate::tasks::{self, Measured, Task};

/// What begins the section of the page.
const SECTION: &str = "\n## packages\n";

fn median(task: &Task, of: impl Fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<f64> = task.samples.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Returns the median of what `one` took for each unit that `other` took in the same round.
fn ratio(one: &Task, other: &Task) -> f64 {
    let mut ratios: Vec<f64> =
        one.samples.iter().zip(&other.samples).map(|(one, other)| one.wall / other.wall).collect();
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}

/// What is promised: what is compared with what, and at most what it is.
const TARGETS: [(&str, &str, f64); 7] = [
    (tasks::MINBASE, tasks::PEER, 0.3),
    (tasks::OVERLAY, tasks::PEER, 0.05),
    (tasks::OTHER, tasks::PEER, 0.25),
    (tasks::OTHER_SKIPPED, tasks::PEER, 0.1),
    (tasks::SKIPPED, tasks::PEER_EXTRACT, 0.2),
    (tasks::UNPACKED, tasks::DECOMPRESSED, 2.0),
    (tasks::LARGE_SET, tasks::PEER_LARGE, 0.75),
];

/// How long a render may take when nothing changed, in milliseconds.
const UNCHANGED: f64 = 100.0;

fn targets(measured: &Measured) -> Vec<(String, f64, f64)> {
    let task = |name: &str| measured.tasks.iter().find(|task| task.name == name);
    let mut reached: Vec<(String, f64, f64)> = TARGETS
        .iter()
        .filter_map(|(one, other, limit)| Some((format!("{one} / {other}"), *limit, ratio(task(one)?, task(other)?))))
        .collect();
    if let Some(unchanged) = task(tasks::UNCHANGED) {
        let name = format!("{}: ms", tasks::UNCHANGED);
        reached.push((name, UNCHANGED, median(unchanged, |sample| sample.wall)));
    }
    reached
}

/// Returns the tables in Markdown.
pub(crate) fn tables(all: &[(System, Measured)]) -> String {
    let mut text = String::new();
    for (system, measured) in all {
        let rounds = measured.tasks.first().map_or(0, |task| task.samples.len());
        let [small, large] =
            measured.sets.map(|(count, bytes)| format!("{count} packages, {:.0} MB", bytes as f64 / 1e6));
        let _ = writeln!(
            text,
            "On {}: minbase of Debian 13 is {small}; the large set is {large}; {rounds} rounds.\n\n\
             | task | median ms | min | max | processor ms | peak MiB |\n|:--|--:|--:|--:|--:|--:|",
            system.name()
        );
        for task in &measured.tasks {
            let walls = || task.samples.iter().map(|sample| sample.wall);
            let _ = writeln!(
                text,
                "| {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} |",
                task.name,
                median(task, |sample| sample.wall),
                walls().fold(f64::INFINITY, f64::min),
                walls().fold(0.0, f64::max),
                median(task, |sample| sample.cpu),
                task.samples.iter().map(|sample| sample.peak / 1024.0).fold(0.0, f64::max),
            );
        }
        text.push_str("\n| target | limit | reached | |\n|:--|--:|--:|:--|\n");
        for (what, limit, value) in targets(measured) {
            let met = if value <= limit { "met" } else { "missed" };
            let _ = writeln!(text, "| {what} | {limit} | {value:.3} | {met} |");
        }
        text.push('\n');
    }
    text
}

/// Writes all samples, and the section of the page, to `docs/benchmarks/`.
pub(crate) fn keep(all: &[(System, Measured)]) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks");
    fs::create_dir_all(&folder)?;
    let tasks = |measured: &Measured| -> Map<String, Value> {
        measured.tasks.iter().map(|task| (task.name.to_owned(), json!(task.samples))).collect()
    };
    let places: Map<String, Value> =
        all.iter().map(|(system, measured)| (system.name().to_owned(), json!(tasks(measured)))).collect();
    let value = json!({ "command": "benches/run packages", "places": places });
    fs::write(folder.join("packages.json"), format!("{}\n", serde_json::to_string_pretty(&value)?))?;
    let page = folder.join("README.md");
    let text = fs::read_to_string(&page).unwrap_or_default();
    let section = format!(
        "{SECTION}\nWritten by `benches/run packages`, from the samples in [packages.json](packages.json).\n\n{}\
         Tasks take turns within each round; every task is a whole process, and nobody uses the network: mmdebstrap takes \
         packages and the indexes of the whole repositories from a folder, layerforge what its lock names from its store. \
         mmdebstrap is told every package of the large set, because an older apt chooses other ones. Memory is that of the largest process. A ratio is the median of \
         the ratios within each round. Both wrote the same `/var/lib/dpkg/status`.\n",
        tables(all)
    );
    let (before, after) = text.split_once(SECTION).unwrap_or((&text, ""));
    let after = after.find("\n## ").map_or("", |next| &after[next..]);
    Ok(fs::write(page, format!("{}\n{section}{after}", before.trim_end()))?)
}
