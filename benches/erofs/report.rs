//! From samples to tables, a file with all of them, and a section of the page.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::Result;
use crate::measure::Sample;
use crate::tasks::{self, Measured, Task};

/// What begins the section of the page.
const SECTION: &str = "\n## erofs\n";

/// One promise: what, at most what, and what it is.
type Target = (&'static str, f64, f64);

fn median(task: &Task, of: impl Fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<f64> = task.samples.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn targets(measured: &Measured) -> Vec<Target> {
    let task =
        |name: &str| measured.tasks.iter().find(|task| task.name == name).expect("only names of tasks are asked for");
    let time =
        |one: &str, other: &str| median(task(one), |sample| sample.wall) / median(task(other), |sample| sample.wall);
    // What an image of packages takes: their digests are known.
    let alone = |one: &str, other: &str| {
        median(task(one), |sample| sample.wall - sample.told) / median(task(other), |sample| sample.wall)
    };
    let size = |one: &str, other: &str| task(one).size as f64 / task(other).size as f64;
    let from = |what: &str, name: &str| format!("{what} from {name}");
    let read = |what: &str| time(&from(what, tasks::DEFAULT), &from(what, tasks::SQUASH));
    vec![
        ("default / mkfs.erofs zstd, all-fragments, dedupe: time", 0.1, time(tasks::DEFAULT, tasks::MKFS_FRAGMENTS)),
        ("default / mkfs.erofs zstd, all-fragments, dedupe: size", 1.0, size(tasks::DEFAULT, tasks::MKFS_FRAGMENTS)),
        ("default / mksquashfs zstd 3: time", 0.9, time(tasks::DEFAULT, tasks::SQUASH)),
        ("default / mksquashfs zstd 3: size", 1.0, size(tasks::DEFAULT, tasks::SQUASH)),
        ("lz4hc / mkfs.erofs lz4hc: time", 1.0, time(tasks::LZ4HC, tasks::MKFS_LZ4HC)),
        ("lz4hc / mkfs.erofs lz4hc: size", 0.95, size(tasks::LZ4HC, tasks::MKFS_LZ4HC)),
        ("none / mkfs.erofs: time", 0.7, time(tasks::NONE, tasks::MKFS_NONE)),
        ("none / tar: time", 1.0, time(tasks::NONE, tasks::TAR)),
        ("none without reading the directory / mkfs.erofs: time", 0.7, alone(tasks::NONE, tasks::MKFS_NONE)),
        ("none without reading the directory / tar: time", 1.0, alone(tasks::NONE, tasks::TAR)),
        ("zstd 15 again / first: time", 0.1, time(tasks::AGAIN, tasks::FIRST)),
        (
            "default: peak MiB (of the small input)",
            40.0,
            task(tasks::DEFAULT).samples.iter().map(|sample| sample.peak / 1024.0).fold(0.0, f64::max),
        ),
        ("reading all files / squashfs", 1.0, read("all files")),
        ("reading 4 KiB at random / squashfs", 1.0, read("4 KiB at random")),
    ]
}

/// Returns the tables in Markdown.
pub(crate) fn tables(results: &[Measured]) -> String {
    let mut text = String::new();
    for measured in results {
        let input = &measured.input;
        let rounds = measured.tasks.first().map_or(0, |task| task.samples.len());
        let _ = writeln!(
            text,
            "{}: {} paths, {:.0} MB; {rounds} rounds on tmpfs.\n\n\
             | task | median ms | without reading the directory | processor ms | peak MiB | size MB |\n|:--|--:|--:|--:|--:|--:|",
            input.name,
            input.paths,
            input.bytes as f64 / 1e6
        );
        for task in &measured.tasks {
            let ours = task.name.starts_with("layerforge");
            let alone = median(task, |sample| sample.wall - sample.told);
            let _ = writeln!(
                text,
                "| {} | {:.1} | {} | {:.1} | {:.1} | {} |",
                task.name,
                median(task, |sample| sample.wall),
                if ours { format!("{alone:.1}") } else { String::new() },
                median(task, |sample| sample.cpu),
                task.samples.iter().map(|sample| sample.peak / 1024.0).fold(0.0, f64::max),
                if task.size > 0 { format!("{:.2}", task.size as f64 / 1e6) } else { String::new() },
            );
        }
        text.push_str("\n| target | limit | reached | |\n|:--|--:|--:|:--|\n");
        for (what, limit, value) in targets(measured) {
            let met = if value <= limit { "met" } else { "missed" };
            let _ = writeln!(text, "| {what} | {limit} | {value:.2} | {met} |");
        }
        text.push('\n');
    }
    text
}

/// Writes all samples, and the section of the page, to `docs/benchmarks/`.
pub(crate) fn keep(results: &[Measured]) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks");
    fs::create_dir_all(&folder)?;
    let task = |task: &Task| json!({"size": task.size, "samples": task.samples});
    let all: Map<String, Value> = results
        .iter()
        .map(|measured| {
            let tasks: Map<String, Value> = measured.tasks.iter().map(|one| (one.name.clone(), task(one))).collect();
            let input = &measured.input;
            (input.name.to_owned(), json!({"paths": input.paths, "bytes": input.bytes, "tasks": tasks}))
        })
        .collect();
    let all = json!({"command": "benches/run erofs", "inputs": all});
    fs::write(folder.join("erofs.json"), format!("{}\n", serde_json::to_string_pretty(&all)?))?;
    let page = folder.join("README.md");
    let text = fs::read_to_string(&page).unwrap_or_default();
    let others = text.split(SECTION).next().unwrap_or_default().trim_end();
    let section = format!(
        "{others}\n{SECTION}\nWritten by `benches/run erofs`, from the samples in [erofs.json](erofs.json).\n\n{}\
         Tasks take turns within each round; every task is a whole process. Ours reads the directory and the SHA-256 of every \
         file first, which an image made of packages needs not, and clears times as mkfs.erofs does. mkfs.erofs is that of \
         Debian 13, in a chroot. Images are mounted anew before they are read.\n",
        tables(results)
    );
    Ok(fs::write(page, section)?)
}
