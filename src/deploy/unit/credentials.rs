//! Secrets as credentials: systemd.exec(5), `LoadCredential=`.
//!
//! A secret NAME of a profile is the credential `PREFIX.NAME` of the host, in `/etc/credstore/` or `/run/credstore/`. A
//! process sees only its own, in files that are on no disk.

use super::program::Program;
use super::{DeployError, text};
use crate::resolve::HandOver;

/// What a unit says about secrets.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    /// Values of `LoadCredential=`.
    pub(super) loaded: Vec<String>,
    /// Values of `BindReadOnlyPaths=`: where programs look for secrets that are files.
    pub(super) bound: Vec<String>,
    /// Secrets that are environment variables.
    pub(super) environment: Environment,
}

/// Variables and the credentials that hold their values.
#[derive(Debug, Default)]
pub(super) struct Environment(Vec<(String, String)>);

impl Environment {
    /// Returns the shell script that sets the variables and becomes its arguments, when there is a variable. Names of
    /// secrets are identifiers, which a shell takes as they are.
    pub(super) fn script(&self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let mut script = String::new();
        for (variable, name) in &self.0 {
            script.push_str(&format!("{variable}=$(cat \"$CREDENTIALS_DIRECTORY/{name}\"); export {variable}; "));
        }
        script.push_str("exec \"$@\"");
        Some(script)
    }
}

/// Returns what the unit of `program` says about its secrets.
pub(super) fn of(program: &Program<'_>) -> Result<Credentials, DeployError> {
    let mut credentials = Credentials::default();
    for name in program.secrets {
        let Some(secret) = program.recipe.contract.secrets.get(name) else { continue };
        credentials.loaded.push(format!("{name}:{}.{name}", program.options.prefix));
        match &secret.hand_over {
            HandOver::Environment(variable) => credentials.environment.0.push((variable.clone(), name.clone())),
            HandOver::File(path) => {
                let what = format!("the path of the secret `{name}`");
                let path = text::path_word(&what, &path.to_string())?;
                // `%d` is the directory with the credentials of this unit.
                credentials.bound.push(match path.strip_prefix('"') {
                    Some(rest) => format!("\"%d/{name}:{rest}"),
                    None => format!("%d/{name}:{path}"),
                });
            }
        }
    }
    Ok(credentials)
}
