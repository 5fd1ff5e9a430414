//! Where things are printed, and how.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use super::args::{ColorChoice, GlobalOptions};
use super::diagnostic;
use crate::error::Error;
use crate::spec::{Problem, Severity, SpecError};

/// The two streams of the process and what may be shown on them.
#[derive(Debug, Clone)]
pub(super) struct Terminal {
    /// Whether the standard error takes colours.
    pub(super) colour: bool,
    /// Whether the standard output takes colours.
    pub(super) output_colour: bool,
    /// Whether data is printed as JSON.
    pub(super) json: bool,
    /// Whether what went well is left out.
    pub(super) quiet: bool,
    /// Whether progress bars may be drawn.
    pub(super) bars: bool,
}

/// Whether and how words are coloured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) coloured: bool,
}

impl Style {
    pub(super) const BOLD: &str = "1";
    pub(super) const RED: &str = "31";
    pub(super) const GREEN: &str = "32";
    pub(super) const YELLOW: &str = "33";
    pub(super) const FAINT: &str = "2";

    /// Returns `text` in a colour, or plain when there are none (ECMA-48, select graphic rendition).
    pub(super) fn paint(self, colour: &str, text: &str) -> String {
        if self.coloured && !text.is_empty() { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

impl Terminal {
    pub(super) fn new(options: &GlobalOptions) -> Self {
        let (output, error) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
        let colour = |terminal: bool| match options.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => terminal && !no_color(),
        };
        Self {
            colour: colour(error),
            output_colour: colour(output),
            json: options.json,
            quiet: options.quiet,
            bars: error && !options.quiet && options.verbose == 0,
        }
    }

    /// Returns how data is coloured.
    pub(super) fn output_style(&self) -> Style {
        Style { coloured: self.output_colour }
    }

    /// Prints data. A reader that has gone away ends the program without a word, as it does for other programs.
    pub(super) fn print(&self, text: &str) {
        let mut output = std::io::stdout().lock();
        if output.write_all(text.as_bytes()).and_then(|()| output.flush()).is_err() {
            std::process::exit(1);
        }
    }

    /// Prints data as JSON.
    pub(super) fn print_json(&self, value: &impl serde::Serialize) {
        let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
        text.push('\n');
        self.print(&text);
    }

    /// Tells something that is no data, unless the user wants it quiet.
    pub(super) fn tell(&self, text: &str) {
        if !self.quiet {
            self.tell_always(text);
        }
    }

    fn tell_always(&self, text: &str) {
        // Nobody is left to hear that the standard error cannot be written.
        writeln!(std::io::stderr().lock(), "{text}").ok();
    }

    /// Tells a warning.
    pub(super) fn warning(&self, message: &str, hint: Option<&str>) {
        let mut problem = Problem::anywhere(message).warning();
        if let Some(hint) = hint {
            problem = problem.help(hint);
        }
        self.problem(&problem);
    }

    /// Tells a problem.
    pub(super) fn problem(&self, problem: &Problem) {
        self.tell_always(diagnostic::text(problem, self.colour).trim_end());
    }

    /// Tells problems with an empty line between them.
    pub(super) fn problems<'problem>(&self, problems: impl IntoIterator<Item = &'problem Problem>) {
        for (index, problem) in problems.into_iter().enumerate() {
            if index > 0 {
                self.tell_always("");
            }
            self.problem(problem);
        }
    }

    /// Tells an error with everything that caused it.
    pub(super) fn error(&self, error: &Error) {
        if let Error::Spec(SpecError::Problems(problems)) = error {
            self.problems(problems);
            let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
            if errors > 1 {
                self.tell_always(&format!("\n{errors} errors"));
            }
            return;
        }
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(inner) = cause {
            let text = inner.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            cause = inner.source();
        }
        let (first, rest) = message.split_once('\n').unwrap_or((&message, ""));
        let mut problem = Problem::anywhere(first);
        let hint = error.hint();
        if rest.is_empty() {
            if let Some(hint) = hint {
                problem = problem.help(hint);
            }
            self.problem(&problem);
            return;
        }
        // Another reader's own picture of the place goes before what to do about it.
        self.problem(&problem);
        self.tell_always(rest);
        if let Some(hint) = hint {
            self.tell_always(&format!(" = help: {hint}"));
        }
    }
}

/// Tells whether the user wants no colours (no-color.org).
#[expect(clippy::disallowed_methods, reason = "the command line reads the environment")]
fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|value| value == "dumb")
}

/// Says how many there are of something: `1 profile`, `2 profiles`.
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// What a command that went well ends with.
pub(super) const DONE: ExitCode = ExitCode::SUCCESS;
