//! `layerforge check`

use std::process::ExitCode;

use super::Session;
use super::args::CheckArguments;
use super::diagnostic;
use super::progress::Progress;
use super::terminal::{DONE, count};
use crate::engine::{self, CheckReport, Duplicate};
use crate::error::Error;
use crate::spec::{Problem, Severity};

/// The exit code for a profile or layer that is invalid ([`Error::exit_code`]).
const INVALID: u8 = 3;

pub(super) fn run(session: &Session<'_>, arguments: &CheckArguments) -> Result<ExitCode, Error> {
    let selection = session.target(arguments.profile.as_ref(), &arguments.target)?;
    let report = engine::check(&session.project, &session.store()?, &selection, &Progress::new(session.terminal))?;
    if session.terminal.json {
        let problems: Vec<_> = report.problems.iter().map(diagnostic::json).collect();
        session.terminal.print_json(&serde_json::json!({
            "profiles": report.profiles,
            "problems": problems,
            "duplicates": report.duplicates,
            "shadowed": report.shadowed,
        }));
    } else {
        tell(session, &report);
    }
    let failed = report.problems.iter().any(|problem| problem.severity == Severity::Error);
    Ok(if failed { ExitCode::from(INVALID) } else { DONE })
}

fn tell(session: &Session<'_>, report: &CheckReport) {
    let terminal = session.terminal;
    let duplicates: Vec<Problem> = report.duplicates.iter().map(problem).collect();
    terminal.problems(report.problems.iter().chain(&duplicates));
    if !report.problems.is_empty() || !duplicates.is_empty() {
        terminal.tell("");
    }
    for shadowed in &report.shadowed {
        terminal.tell(&format!(
            "note: `{}` of `{}` is replaced by `{}` in {} ({})",
            shadowed.path,
            shadowed.layer,
            shadowed.by,
            shadowed.profile,
            shadowed.targets.join(", ")
        ));
    }
    let errors = report.problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let warnings = report.problems.len() - errors + report.duplicates.len();
    let targets: usize = report.profiles.values().map(Vec::len).sum();
    let bytes: u64 = report.duplicates.iter().map(|duplicate| duplicate.bytes).sum();
    terminal.tell(&format!(
        "checked {} for {}: {}, {}, {}",
        count(report.profiles.len(), "profile"),
        count(targets, "target"),
        count(errors, "error"),
        count(warnings, "warning"),
        count(bytes as usize, "duplicated byte"),
    ));
}

fn problem(duplicate: &Duplicate) -> Problem {
    let message = format!("{} bytes stand twice: {}", duplicate.bytes, duplicate.files.join(", "));
    Problem::anywhere(message).warning().help(format!("hoist them to {}", duplicate.hoist))
}
