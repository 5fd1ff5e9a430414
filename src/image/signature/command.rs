//! Commands that sign.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::thread;

/// A longer signature than this is none.
const MOST_OUTPUT: u64 = 64 << 10;

/// Runs a line of the shell that gets `input` on its standard input, and returns the signature that it gives on its
/// standard output, 64 KiB at most. What it says on its standard error is for whoever runs it: it may ask for a PIN.
///
/// # Errors
/// When it cannot be run, fails or gives more; says how, as what follows the name of the command in a sentence.
pub fn run_command(command: &str, input: &[u8]) -> Result<Vec<u8>, String> {
    let mut process = Command::new("sh");
    process.args(["-c", command]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = process.spawn().map_err(|error| format!("cannot be started: {error}"))?;
    let mut output = Vec::new();
    let read = thread::scope(|scope| {
        let standard_input = child.stdin.take();
        // A command that does not read fails by what it gives.
        scope.spawn(move || standard_input.map(|mut stream| stream.write_all(input).ok()));
        let read = child.stdout.take().map(|stream| stream.take(MOST_OUTPUT + 1).read_to_end(&mut output));
        if output.len() as u64 > MOST_OUTPUT {
            child.kill().ok();
        }
        read
    });
    let status = child.wait().map_err(|error| format!("was lost: {error}"))?;
    if output.len() as u64 > MOST_OUTPUT {
        return Err(format!("gave more than {MOST_OUTPUT} bytes: expected a signature"));
    }
    if let Some(Err(error)) = read {
        return Err(format!("could not be read from: {error}"));
    }
    if !status.success() {
        return Err(format!("ended with {status}"));
    }
    Ok(output)
}
