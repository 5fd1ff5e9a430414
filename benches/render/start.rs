//! How every benchmark begins: its arguments, and the processes that it starts of itself.

use std::process::ExitCode;

use crate::{Result, measure};

/// Measures a command when the arguments say so, does another task of the benchmark when `other` knows it, or else runs the
/// benchmark with a number of rounds, `usual` where none is given.
pub(crate) fn start(
    name: &str,
    usual: usize,
    other: impl FnOnce(&[&str]) -> Option<Result<()>>,
    bench: impl FnOnce(usize) -> Result<()>,
) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["measure", command @ ..] => measure::child(command),
        words => other(words).unwrap_or_else(|| rounds(name, usual, words).and_then(bench)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the number of rounds that the arguments name.
fn rounds(name: &str, usual: usize, words: &[&str]) -> Result<usize> {
    match words {
        [] => Ok(usual),
        [rounds] => match rounds.parse()? {
            0 => Err("at least one round is needed".into()),
            rounds => Ok(rounds),
        },
        _ => Err(format!("usage: benches/run {name} [ROUNDS]").into()),
    }
}
