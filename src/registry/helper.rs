//! Programs that keep credentials (docker-credential-helpers).

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::{Credential, RegistryError};
use crate::fetch::Secret;

/// How much a helper may say, in bytes.
const ANSWER_MAX: u64 = 64 * 1024;
/// The user of what is a token.
const TOKEN: &str = "<token>";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// Asks `docker-credential-NAME`, which the file at `path` names, for the credentials for `server`; nothing when it has none.
///
/// # Errors
/// When it cannot be run, fails, or its answer is not understood.
pub(super) fn get(name: &str, path: &Path, server: &str) -> Result<Option<Credential>, RegistryError> {
    let failed = |reason: String| RegistryError::Helper {
        name: name.to_owned(),
        path: path.to_owned(),
        registry: server.to_owned(),
        reason,
    };
    if name.contains('/') {
        return Err(failed("a helper is a program in the PATH: its name has no `/`".into()));
    }
    let mut command = Command::new(format!("docker-credential-{name}"));
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed(format!("it cannot be run: {error}")))?;
    let input = child.stdin.take();
    // One that does not listen may know the answer nevertheless.
    let _ = input.map(|mut input| input.write_all(server.as_bytes()));
    let mut answer = Vec::new();
    let read = child.stdout.take().map(|output| output.take(ANSWER_MAX).read_to_end(&mut answer));
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    read.transpose().map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        let text = String::from_utf8_lossy(&answer);
        return match text.trim() {
            text if text.contains("credentials not found") => Ok(None),
            text => Err(failed(format!("{status}: {}", text.lines().next().unwrap_or_default()))),
        };
    }
    let answer: Answer = serde_json::from_slice(&answer).map_err(|_| failed("its answer is no JSON".into()))?;
    if answer.secret.is_empty() {
        return Ok(None);
    }
    let secret = Secret::new(answer.secret);
    Ok(Some(match answer.username.as_str() {
        TOKEN => Credential::IdentityToken(secret),
        user => Credential::Password { user: user.to_owned(), password: secret },
    }))
}
