//! From samples to tables, a file with all of them, and a section of the page.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::measure::Sample;
use crate::{Result, Task, choice, repositories, together};

/// What begins the section of the page.
const SECTION: &str = "\n## families\n";

/// What is promised of the wall time: what is compared with what, and at most what it is.
const TARGETS: [(&str, &str, f64); 2] = [(choice::COLD, choice::PEER, 0.6), (together::TOGETHER, together::APART, 0.6)];
/// How much more processor time four at once may take than one after the other.
const MORE: f64 = 1.05;
/// How long a choice may take when the indexes were read before, in milliseconds.
const CACHED: f64 = 60.0;

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn of(task: &Task, part: impl Fn(&Sample) -> f64) -> f64 {
    median(task.samples.iter().map(part).collect())
}

/// Returns the median of what `one` took for each unit that `other` took in the same round.
fn ratio(one: &Task, other: &Task, part: impl Fn(&Sample) -> f64) -> f64 {
    median(one.samples.iter().zip(&other.samples).map(|(one, other)| part(one) / part(other)).collect())
}

/// Returns the tables in Markdown.
pub(crate) fn text(chosen: &[Task], choices: usize, made: &[Task], bytes: u64) -> String {
    let rounds = chosen.first().map_or(0, |task| task.samples.len());
    let mut text = format!(
        "{choices} packages of Debian 13 are chosen from its whole index; four trees of {} packages and {:.0} MB each are made \
         from nothing, scripts skipped; {rounds} rounds on tmpfs.\n\n\
         | task | median ms | min | max | processor ms | peak MiB |\n|:--|--:|--:|--:|--:|--:|\n",
        repositories::PACKAGES,
        bytes as f64 / 1e6
    );
    for task in chosen.iter().chain(made) {
        let walls = || task.samples.iter().map(|sample| sample.wall);
        let _ = writeln!(
            text,
            "| {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} |",
            task.name,
            of(task, |sample| sample.wall),
            walls().fold(f64::INFINITY, f64::min),
            walls().fold(0.0, f64::max),
            of(task, |sample| sample.cpu),
            task.samples.iter().map(|sample| sample.peak / 1024.0).fold(0.0, f64::max),
        );
    }
    text.push_str("\n| target | limit | reached | |\n|:--|--:|--:|:--|\n");
    for (what, limit, value) in targets(chosen, made) {
        let met = if value <= limit { "met" } else { "missed" };
        let _ = writeln!(text, "| {what} | {limit} | {value:.3} | {met} |");
    }
    text.push('\n');
    text
}

fn targets(chosen: &[Task], made: &[Task]) -> Vec<(String, f64, f64)> {
    let task = |name: &str| chosen.iter().chain(made).find(|task| task.name == name);
    let mut targets: Vec<(String, f64, f64)> = TARGETS
        .iter()
        .filter_map(|(one, other, limit)| {
            Some((format!("{one} / {other}"), *limit, ratio(task(one)?, task(other)?, |sample| sample.wall)))
        })
        .collect();
    if let Some((one, other)) = task(together::TOGETHER).zip(task(together::APART)) {
        let name = format!("{} / {}: processor time", one.name, other.name);
        targets.push((name, MORE, ratio(one, other, |sample| sample.cpu)));
    }
    targets.extend(
        task(choice::CACHED).map(|cached| (format!("{}: ms", cached.name), CACHED, of(cached, |sample| sample.wall))),
    );
    targets
}

/// Writes all samples, and the section of the page, to `docs/benchmarks/`.
pub(crate) fn keep(tables: &str, tasks: &[&[Task]]) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks");
    let samples: Map<String, Value> =
        tasks.iter().flat_map(|tasks| tasks.iter()).map(|task| (task.name.to_owned(), json!(task.samples))).collect();
    let value = json!({ "command": "benches/run families", "tasks": samples });
    fs::write(folder.join("families.json"), format!("{}\n", serde_json::to_string_pretty(&value)?))?;
    let page = folder.join("README.md");
    let text = fs::read_to_string(&page).unwrap_or_default();
    let section = format!(
        "{SECTION}\nWritten by `benches/run families`, from the samples in [families.json](families.json).\n\n{tables}\
         Tasks take turns within each round; every task is a whole process, and nobody uses the network. apt-get is that of \
         Debian 13 with its solver 3.0 on an empty system; it has verified its indexes before, layerforge verifies the \
         signature each time. Both choose the same packages. A ratio is the median of the ratios within each round.\n",
    );
    let (before, after) = text.split_once(SECTION).unwrap_or((&text, ""));
    let after = after.find("\n## ").map_or("", |next| &after[next..]);
    Ok(fs::write(page, format!("{}\n{section}{after}", before.trim_end()))?)
}
