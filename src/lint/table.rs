//! What a rule is, and what it finds.

use std::fmt::Write as _;

use serde::Serialize;

use super::rules::RULES;
use super::subject::Subject;
use crate::tree::TreePath;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It does not work, or harms the system that takes it.
    Error,
    /// It may not do what is meant.
    Warning,
}

impl Severity {
    /// Returns the word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A rule.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Its name: two letters for what it is about, two digits.
    pub id: &'static str,
    /// How bad it is when it is broken; single findings may be less.
    pub severity: Severity,
    /// What it asks for.
    pub rule: &'static str,
    /// What happens otherwise.
    pub reason: &'static str,
    /// What to do.
    pub mend: &'static str,
    /// Looks whether a subject breaks it.
    pub(super) check: fn(&Subject<'_>, &mut Report),
}

/// One place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Where, when it is at one place.
    pub path: Option<TreePath>,
    /// What is wrong.
    pub message: String,
    /// What happens.
    pub reason: &'static str,
    /// What to do.
    pub mend: &'static str,
}

/// Places of one rule that are told one by one; the rest is counted.
const SHOWN: usize = 20;

/// Takes what one rule finds.
#[derive(Debug)]
pub(super) struct Report {
    rule: Rule,
    findings: Vec<Finding>,
    more: usize,
}

impl Report {
    /// Tells a place that breaks the rule.
    pub(super) fn at(&mut self, path: &TreePath, message: impl Into<String>) {
        self.add(self.rule.severity, Some(path), message.into());
    }

    /// Tells that the whole subject breaks the rule.
    pub(super) fn whole(&mut self, message: impl Into<String>) {
        self.add(self.rule.severity, None, message.into());
    }

    /// Tells something less bad than what the rule is about.
    pub(super) fn warn(&mut self, path: Option<&TreePath>, message: impl Into<String>) {
        self.add(Severity::Warning, path, message.into());
    }

    fn add(&mut self, severity: Severity, path: Option<&TreePath>, message: String) {
        if self.findings.len() == SHOWN {
            self.more += 1;
            return;
        }
        let Rule { id, reason, mend, .. } = self.rule;
        self.findings.push(Finding { id, severity, path: path.cloned(), message, reason, mend });
    }

    fn finish(mut self) -> Vec<Finding> {
        if self.more > 0 {
            let (more, severity) = (self.more, self.rule.severity);
            let Rule { id, reason, mend, .. } = self.rule;
            let message = format!("{more} more places break this rule");
            self.findings.push(Finding { id, severity, path: None, message, reason, mend });
        }
        self.findings
    }
}

/// Returns everything that is wrong with `subject`, in the order of the table.
pub fn lint(subject: &Subject<'_>) -> Vec<Finding> {
    let check = |rule: &Rule| {
        let mut report = Report { rule: *rule, findings: Vec::new(), more: 0 };
        (rule.check)(subject, &mut report);
        report.finish()
    };
    RULES.iter().flat_map(check).collect()
}

/// Returns the rule with a name.
pub fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id)
}

/// Returns the page about the rules: what `docs/lint.md` says.
pub fn markdown() -> String {
    let mut page = String::from(HEAD);
    for (prefix, title) in GROUPS {
        // Writing to a string cannot fail.
        let _ =
            writeln!(page, "\n## {title}\n\n| rule | severity | asks that | otherwise | mend |\n|---|---|---|---|---|");
        for rule in RULES.iter().filter(|rule| rule.id.starts_with(prefix)) {
            let Rule { id, severity, rule, reason, mend, .. } = rule;
            let _ = writeln!(page, "| {id} | {} | {rule} | {reason} | {mend} |", severity.word());
        }
    }
    page
}

const HEAD: &str = "\
# Rules of `layerforge lint`

`layerforge lint PATH` judges an image or directory, ours or anybody's. The class (sysext, confext, portable, oci, publish) is
taken from what is in it, or from `--class`; the oldest systemd and kernel are those of the release that it names, or
`--target-systemd` and `--target-kernel`. A rule that cannot be decided for an image says nothing. This page is made by
`layerforge lint --list --markdown`.

A profile that has to break a rule says why:

```toml
[lint.allow]
SX21 = \"the base image has no separate /usr/local\"
```
";

const GROUPS: [(&str, &str); 8] = [
    ("SX", "Extensions (sysext, confext)"),
    ("FS", "File systems"),
    ("DD", "Disk images"),
    ("PS", "Portable services"),
    ("UN", "Units, users and temporary files"),
    ("UP", "Published versions"),
    ("OC", "Container images"),
    ("HY", "Whole root filesystems (portable, oci, and outputs with bundled packages)"),
];
