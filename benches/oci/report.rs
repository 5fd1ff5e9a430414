//! From samples to tables, a file with all of them, and a section of the page.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::measure::Sample;
use crate::tasks::{self, Task};
use crate::{Result, Results};

/// What begins the section of the page.
const SECTION: &str = "\n## oci\n";

fn median(task: &Task, of: impl Fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<f64> = task.samples.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Returns the median of what `one` took for each unit that `other` took in the same round.
fn ratio(one: &Task, other: &Task, of: impl Fn(&Sample) -> f64) -> f64 {
    let mut ratios: Vec<f64> =
        one.samples.iter().zip(&other.samples).map(|(one, other)| of(one) / other.wall).collect();
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}

/// Returns what is promised: what, at most what, and what it is.
fn targets(Results { measured, .. }: &Results) -> Vec<(&'static str, f64, f64)> {
    let task =
        |name: &str| measured.tasks.iter().find(|task| task.name == name).expect("only names of tasks are asked for");
    let whole = |one: &str, other: &str| ratio(task(one), task(other), |sample| sample.wall);
    // What a profile has in memory is no part of writing a layer.
    let writing = |one: &str, other: &str| ratio(task(one), task(other), |sample| sample.wall - sample.told);
    let size = |one: &str, other: &str| task(one).size as f64 / task(other).size as f64;
    let sent = |methods: &[&str]| {
        measured.requests.iter().filter(|request| methods.iter().any(|method| request.starts_with(method))).count()
    };
    vec![
        ("layer, zstd 3 / tar, zstd -3 -T0: time", 1.05, writing(tasks::ZSTD, tasks::TAR_ZSTD)),
        ("the same, with reading the directory", 1.05, whole(tasks::ZSTD, tasks::TAR_ZSTD)),
        ("layer, gzip 6 / tar, gzip -6: time", 0.25, writing(tasks::GZIP, tasks::TAR_GZIP)),
        ("the same, with reading the directory", 0.25, whole(tasks::GZIP, tasks::TAR_GZIP)),
        ("layer, gzip 6 / tar, gzip -6: size", 1.0, size(tasks::GZIP, tasks::TAR_GZIP)),
        ("image / buildah, both gzip: time", 0.3, whole(tasks::IMAGE, tasks::BUILDAH)),
        ("image / buildah, both gzip: size", 1.0, size(tasks::IMAGE, tasks::BUILDAH)),
        ("image, zstd / buildah, gzip: time", 0.3, whole(tasks::IMAGE_ZSTD, tasks::BUILDAH)),
        ("image / buildah, no compression: time", 0.3, whole(tasks::IMAGE_PLAIN, tasks::BUILDAH_PLAIN)),
        ("image / umoci, both gzip: time", 1.0, whole(tasks::IMAGE, tasks::UMOCI)),
        ("image / umoci, both gzip: size", 1.0, size(tasks::IMAGE, tasks::UMOCI)),
        (
            "one file of the top layer, rendered and pushed: ms",
            300.0,
            median(task(tasks::PUSHED), |sample| sample.wall),
        ),
        ("the same: layers, configurations and manifests sent", 3.0, sent(&["PUT"]) as f64),
    ]
}

/// Returns the tables in Markdown.
pub(crate) fn tables(results: &Results) -> String {
    let measured = &results.measured;
    let rounds = measured.tasks.first().map_or(0, |task| task.samples.len());
    let mut text = format!(
        "A root of Debian 13: {} paths, {:.0} MB; {rounds} rounds on tmpfs.\n\n\
         | task | median ms | without reading the directory | processor ms | peak MiB | size MB |\n|:--|--:|--:|--:|--:|--:|\n",
        measured.paths,
        measured.bytes as f64 / 1e6
    );
    for task in &measured.tasks {
        let alone = median(task, |sample| sample.wall - sample.told);
        let layer = task.name.starts_with("layerforge layer");
        let _ = writeln!(
            text,
            "| {} | {:.1} | {} | {:.1} | {:.1} | {:.2} |",
            task.name.replace('|', "\\|"),
            median(task, |sample| sample.wall),
            if layer { format!("{alone:.1}") } else { String::new() },
            median(task, |sample| sample.cpu),
            task.samples.iter().map(|sample| sample.peak / 1024.0).fold(0.0, f64::max),
            task.size as f64 / 1e6,
        );
    }
    text.push_str("\n| target | limit | reached | |\n|:--|--:|--:|:--|\n");
    for (what, limit, value) in targets(results) {
        let met = if value <= limit { "met" } else { "missed" };
        let _ = writeln!(text, "| {what} | {limit} | {value:.2} | {met} |");
    }
    text.push_str("\n| profile, for four distros | bytes of all layers | each kept once | |\n|:--|--:|--:|--:|\n");
    for (profile, (all, once)) in &results.shared {
        let saved = 100.0 * (1.0 - *once as f64 / *all as f64);
        let _ = writeln!(text, "| {profile} | {all} | {once} | {saved:.0} % less |");
    }
    text.push('\n');
    text
}

/// Counts requests by their method.
fn summary(requests: &[String]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for request in requests {
        *counts.entry(request.split(' ').next().unwrap_or_default()).or_default() += 1;
    }
    counts.into_iter().map(|(method, count)| format!("{count} {method}")).collect::<Vec<_>>().join(", ")
}

/// Writes all samples, and the section of the page, to `docs/benchmarks/`.
pub(crate) fn keep(results: &Results) -> Result<()> {
    let measured = &results.measured;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks");
    fs::create_dir_all(&folder)?;
    let task = |task: &Task| (task.name.to_owned(), json!({"size": task.size, "samples": task.samples}));
    let tasks: Map<String, Value> = measured.tasks.iter().map(task).collect();
    let shared = |(all, once): &(u64, u64)| json!({"layers": all, "kept": once});
    let shared: Map<String, Value> =
        results.shared.iter().map(|(profile, sizes)| ((*profile).to_owned(), shared(sizes))).collect();
    let all = json!({
        "command": "benches/run oci",
        "paths": measured.paths,
        "bytes": measured.bytes,
        "requests": measured.requests,
        "shared": shared,
        "tasks": tasks,
    });
    fs::write(folder.join("oci.json"), format!("{}\n", serde_json::to_string_pretty(&all)?))?;
    let page = folder.join("README.md");
    let text = fs::read_to_string(&page).unwrap_or_default();
    let section = format!(
        "{SECTION}\nWritten by `benches/run oci`, from the samples in [oci.json](oci.json).\n\n{}\
         Tasks take turns within each round; every task is a whole process. A ratio is the median of the ratios within each \
         round. Requests of the last push: {}. Processes that were ready to run at the end, on average of five minutes: {}.\n",
        tables(results),
        summary(&measured.requests),
        fs::read_to_string("/proc/loadavg")?.split(' ').nth(1).unwrap_or_default()
    );
    let (before, after) = text.split_once(SECTION).unwrap_or((&text, ""));
    let after = after.find("\n## ").map_or("", |next| &after[next..]);
    // The section of the other benchmark of images takes everything behind it.
    let (before, last) = before
        .split_once("\n## erofs\n")
        .map_or((before, String::new()), |(before, erofs)| (before, format!("\n## erofs\n{erofs}")));
    Ok(fs::write(page, format!("{}\n{section}{after}{last}", before.trim_end()))?)
}
