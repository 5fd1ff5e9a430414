//! What came of the scripts of a machine.

use std::fs;
use std::path::Path;

use crate::Outcome;

/// What a machine wrote whose scripts have all succeeded.
#[derive(Debug)]
pub(crate) struct Transcript {
    /// The script's name and everything it wrote, for each script.
    outputs: Vec<(String, String)>,
    /// The journal of the machine.
    pub(crate) journal: String,
}

impl Transcript {
    /// Reads what the scripts in the files `scripts` left in `results`. That one failed or never ran is an error, which
    /// shows what it wrote, and the journal.
    pub(super) fn read(results: &Path, scripts: &[String], console: &Path) -> Outcome<Self> {
        let text = |path: &Path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let journal = text(&results.join("journal")).unwrap_or_default();
        let mut outputs = Vec::new();
        let mut failures = String::new();
        for script in scripts {
            let output = text(&results.join(format!("{script}.output"))).unwrap_or_default();
            let end = last_lines(&output, 80);
            match text(&results.join(format!("{script}.status"))) {
                Ok(status) if status.trim() == "0" => {}
                Ok(status) => failures += &format!("script {script} ended with {}:\n{end}\n", status.trim()),
                Err(_) => failures += &format!("script {script} did not come to its end:\n{end}\n"),
            }
            outputs.push((script.split_once('-').map_or("", |(_, name)| name).to_owned(), output));
        }
        if failures.is_empty() {
            return Ok(Self { outputs, journal });
        }
        let seen = if journal.is_empty() { text(console).unwrap_or_default() } else { journal };
        Err(format!("{failures}--- the machine:\n{}", last_lines(&seen, 60)))
    }

    /// Returns what the script `name` wrote.
    pub(crate) fn output(&self, name: &str) -> &str {
        self.outputs.iter().find(|(script, _)| script == name).map_or("", |(_, output)| output)
    }
}

fn last_lines(text: &str, number: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(number)..].join("\n")
}
