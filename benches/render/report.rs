//! From samples to a table, a file with all of them, and a page.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value, json};

use crate::Result;
use crate::measure::Sample;
use crate::project::Facts;

/// One thing that was measured.
#[derive(Debug)]
pub(crate) struct Task {
    name: &'static str,
    /// One sample per round.
    pub(crate) samples: Vec<Sample>,
}

/// Everything that was measured.
pub(crate) struct Benchmark {
    /// What was measured.
    pub(crate) tasks: Vec<Task>,
    /// What it was measured on.
    pub(crate) project: Facts,
    /// The type of the file system.
    pub file_system: String,
}

/// What the program promises.
struct Target {
    what: &'static str,
    unit: &'static str,
    limit: f64,
    value: f64,
}

impl Task {
    /// Returns a task that was not measured yet.
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, samples: Vec::new() }
    }

    fn values(&self, of: impl Fn(&Sample) -> f64) -> Vec<f64> {
        self.samples.iter().map(of).collect()
    }

    fn removes(&self) -> bool {
        self.name == "one file edited"
    }
}

impl Benchmark {
    fn task(&self, name: &str) -> &Task {
        self.tasks.iter().find(|task| task.name == name).expect("only names of tasks are asked for")
    }

    /// Returns the median of what `one` took for each unit that `other` took in the same round.
    fn ratio(&self, one: &str, other: &str) -> f64 {
        let pairs = self.task(one).samples.iter().zip(&self.task(other).samples);
        median(&pairs.map(|(one, other)| one.told / other.wall).collect::<Vec<_>>())
    }

    fn targets(&self) -> Vec<Target> {
        let target = |what, unit, limit, value| Target { what, unit, limit, value };
        let peak = self.tasks.iter().filter(|task| task.name.contains("render") || task.name.contains("edited"));
        let peak = peak.flat_map(|task| task.values(|sample| sample.peak)).fold(0.0, f64::max);
        let wall = |name| median(&self.task(name).values(|sample| sample.wall));
        vec![
            target("first render / `cp -a`", "", 1.3, self.ratio("first render", "cp -a")),
            target("first render, cold store / `cp -a`", "", 1.3, self.ratio("first render, cold store", "cp -a")),
            target("one file edited, until the report / `cp -al`", "", 1.2, self.ratio("one file edited", "cp -al")),
            target("unchanged / lstat walk", "", 1.3, self.ratio("unchanged", "lstat walk, two threads")),
            target("`check`", " ms", 300.0, wall("check")),
            target("`--version`", " ms", 5.0, wall("--version")),
            target("peak memory of any render", " MiB", 150.0, peak / 1024.0),
        ]
    }

    /// Returns the tables in Markdown, which reads well on a terminal too.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        let rounds = self.tasks.first().map_or(0, |task| task.samples.len());
        let facts = &self.project;
        let _ = writeln!(
            text,
            "{} layers, {} files ({} from templates), {} directories, {:.0} MiB; {rounds} rounds on {}.\n\n\
             | task | median ms | min | max | processor ms | peak MiB |\n|:--|--:|--:|--:|--:|--:|",
            facts.layers,
            facts.files,
            facts.templates,
            facts.directories,
            facts.bytes as f64 / f64::from(1 << 20),
            self.file_system
        );
        for task in &self.tasks {
            let mut line = |name: &str, wall: &[f64]| {
                let (cpu, peak) = (task.values(|sample| sample.cpu), task.values(|sample| sample.peak / 1024.0));
                let _ = writeln!(
                    text,
                    "| {name} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} |",
                    median(wall),
                    least(wall),
                    greatest(wall),
                    median(&cpu),
                    greatest(&peak)
                );
            };
            if task.removes() {
                line("one file edited, until the report", &task.values(|sample| sample.told));
                line("one file edited, with the removal of the old tree", &task.values(|sample| sample.wall));
            } else {
                line(task.name, &task.values(|sample| sample.wall));
            }
        }
        text.push_str("\n| target | limit | reached | |\n|:--|--:|--:|:--|\n");
        for Target { what, unit, limit, value } in self.targets() {
            let met = if value <= limit { "met" } else { "missed" };
            let _ = writeln!(text, "| {what} | {limit}{unit} | {value:.2}{unit} | {met} |");
        }
        text
    }

    /// Writes all samples and the page with the table to `docs/benchmarks/`.
    pub(crate) fn keep(&self) -> Result<()> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks");
        fs::create_dir_all(&folder)?;
        let tasks: Map<String, Value> = self.tasks.iter().map(|task| (task.name.into(), samples(task))).collect();
        let target = |target: &Target| json!({"limit": target.limit, "reached": rounded(target.value)});
        let targets: Map<String, Value> =
            self.targets().iter().map(|one| (format!("{}{}", one.what, one.unit), target(one))).collect();
        let all = json!({
            "command": "benches/run render",
            "date": said("date", &["-u", "+%F"]),
            "layerforge": env!("CARGO_PKG_VERSION"),
            "machine": machine(&self.file_system),
            "project": self.project,
            "targets": targets,
            "tasks": tasks,
        });
        fs::write(folder.join("render.json"), format!("{}\n", serde_json::to_string_pretty(&all)?))?;
        // The sections of other benchmarks stand behind this one.
        let page = folder.join("README.md");
        let old = fs::read_to_string(&page).unwrap_or_default();
        let others = old.find("\n## erofs\n").map_or("", |place| &old[place..]);
        fs::write(page, format!("{}{others}", self.page(&all["machine"])))?;
        Ok(())
    }

    fn page(&self, machine: &Value) -> String {
        let fact = |name: &str| machine[name].as_str().unwrap_or_default().to_owned();
        format!(
            "# Benchmarks\n\nWritten by `benches/run render`, from the samples in [render.json](render.json), on {}.\n\n\
             ## render\n\n{}\n\
             Tasks take turns within each round; every task is a whole process. `cp` and `rsync` copy the rendered tree, which \
             is compared with their copies. A ratio is the median of the ratios within each round. The first render has an \
             empty destination; with a warm store the digests of unchanged sources are known. After an edit the report comes \
             when the new tree is in place; removing the old one is timed apart.\n\n\
             Measured with {} processors ({}), Linux {}, {}, {}, {}.\n",
            said("date", &["-u", "+%F"]),
            self.table(),
            machine["processors"],
            fact("processor"),
            fact("kernel"),
            fact("cp"),
            fact("rsync"),
            fact("rustc"),
        )
    }
}

fn samples(task: &Task) -> Value {
    let series = |of: fn(&Sample) -> f64| {
        let values = task.values(of);
        json!({
            "median": rounded(median(&values)),
            "minimum": rounded(least(&values)),
            "maximum": rounded(greatest(&values)),
            "samples": values.into_iter().map(rounded).collect::<Vec<_>>(),
        })
    };
    json!({
        "wall_ms": series(|sample| sample.wall),
        "told_ms": series(|sample| sample.told),
        "processor_ms": series(|sample| sample.cpu),
        "peak_kib": series(|sample| sample.peak),
    })
}

/// Returns a directory in memory where there is one, otherwise one for temporary files, and the type of its file system.
pub(crate) fn place() -> (PathBuf, String) {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let path = place.display().to_string();
    (place, said("stat", &["-f", "-c", "%T", &path]))
}

fn machine(file_system: &str) -> Value {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.split_whitespace().nth(1).and_then(|kibibytes| kibibytes.parse::<u64>().ok()).unwrap_or(0);
    json!({
        "processor": model.map_or("unknown", |(_, name)| name.trim()),
        "processors": std::thread::available_parallelism().map_or(0, std::num::NonZeroUsize::get),
        "memory_mib": memory / 1024,
        "kernel": said("uname", &["-r"]).split('-').next(),
        "file_system": file_system,
        "cp": said("cp", &["--version"]),
        "rsync": said("rsync", &["--version"]).split("  ").take(2).collect::<Vec<_>>().join(" "),
        "rustc": said("rustc", &["--version"]),
    })
}

/// Returns the first line that a command says.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").trim().to_owned()
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn greatest(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
