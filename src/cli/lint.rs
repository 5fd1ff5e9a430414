//! `layerforge lint`

use std::fmt::Write as _;
use std::process::ExitCode;

use super::Session;
use super::args::LintArguments;
use super::diagnostic::escaped;
use super::terminal::{DONE, Style, count};
use crate::engine::{self, LintReport, LintRequest};
use crate::error::Error;
use crate::lint::{Finding, RULES, Rule, Severity, Target, markdown};

/// The exit code when errors are left.
const ERRORS: u8 = 1;

pub(super) fn run(session: &Session<'_>, arguments: &LintArguments) -> Result<ExitCode, Error> {
    let terminal = session.terminal;
    let Some(path) = arguments.path.as_ref().filter(|_| !arguments.list) else {
        list(session, arguments.markdown);
        return Ok(DONE);
    };
    let request = LintRequest {
        path: path.clone(),
        class: arguments.class,
        target: Target {
            kernel: arguments.target_kernel,
            scope: arguments.scope,
            selinux: arguments.selinux,
            signed: arguments.signed,
            profile: arguments.profile.clone(),
            user_services: arguments.user,
            exposure: arguments.exposure,
            ..Target::default()
        },
        systemd: arguments.target_systemd,
        allow: arguments.allow.clone(),
    };
    let report = engine::lint_image(&session.project, &session.store()?, &request)?;
    if terminal.json {
        terminal.print_json(&report);
    } else {
        terminal.print(&text(&report, terminal.output_style()));
        let warnings = report.findings.len() - report.errors();
        terminal.tell(&format!(
            "{}: {}, {}, for systemd {}",
            path.display(),
            count(report.errors(), "error"),
            count(warnings, "warning"),
            report.systemd
        ));
    }
    Ok(if report.errors() == 0 { DONE } else { ExitCode::from(ERRORS) })
}

/// Returns every finding: `error[SX13]: /usr/lib: its mode is 0700`; reason and mend stand below the last one of a rule.
fn text(report: &LintReport, style: Style) -> String {
    let mut text = String::new();
    let mut findings = report.findings.iter().peekable();
    while let Some(finding) = findings.next() {
        let Finding { id, severity, path, message, reason, mend } = finding;
        let colour = if *severity == Severity::Error { Style::RED } else { Style::YELLOW };
        let head = style.paint(colour, &format!("{}[{id}]", severity.word()));
        let path = path.as_ref().map(|path| format!("{path}: ")).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{head}: {}{}", escaped(&path), escaped(message));
        if findings.peek().is_none_or(|next| next.id != *id) {
            let _ = writeln!(text, "  = note: {reason}\n  = help: {mend}");
        }
    }
    text
}

fn list(session: &Session<'_>, page: bool) {
    let terminal = session.terminal;
    if page {
        terminal.print(&markdown());
    } else if terminal.json {
        let object = |rule: &Rule| {
            serde_json::json!({
                "id": rule.id, "severity": rule.severity, "rule": rule.rule, "reason": rule.reason, "mend": rule.mend,
            })
        };
        terminal.print_json(&RULES.iter().map(object).collect::<Vec<_>>());
    } else {
        let line = |rule: &Rule| format!("{}  {:7}  {}\n", rule.id, rule.severity.word(), rule.rule);
        terminal.print(&RULES.iter().map(line).collect::<String>());
    }
}
