//! `layerforge sign`

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use zeroize::Zeroizing;

use super::Session;
use super::args::{SignArguments, SigningArguments};
use super::terminal::{DONE, Terminal};
use crate::engine::{self, Hand, SignRequest, SignerRequest};
use crate::error::Error;
use crate::fs;
use crate::image::signature::Passphrase;

pub(super) fn run(session: &Session<'_>, arguments: &SignArguments) -> Result<ExitCode, Error> {
    let terminal = session.terminal;
    let SignArguments { key, certificate, passphrase_file, signer, .. } = arguments.clone();
    let signing = SigningArguments { key, certificate: Some(certificate), passphrase_file, signer };
    let Some(signer) = signer_request(terminal, &signing)? else {
        return Err(Error::usage("either `--key` or `--signer` is needed"));
    };
    let report = engine::sign(&session.store()?, &SignRequest { image: arguments.image.clone(), signer })?;
    if terminal.json {
        terminal.print_json(&report);
    } else {
        let again = if report.replaced { ", instead of the signature it had" } else { "" };
        terminal.tell(&format!("signed {} for `{}`{again}", report.image.display(), report.subject));
    }
    Ok(DONE)
}

/// Returns who signs, when the command line says so.
pub(super) fn signer_request(
    terminal: &Terminal,
    arguments: &SigningArguments,
) -> Result<Option<SignerRequest>, Error> {
    let Some(certificate) = arguments.certificate.clone() else { return Ok(None) };
    let hand = match (&arguments.key, &arguments.signer) {
        (Some(path), _) => {
            warn_about_mode(terminal, path)?;
            Hand::Key { path: path.clone(), passphrase: passphrase(arguments.passphrase_file.as_deref())? }
        }
        (None, Some(command)) => Hand::Command(command.clone()),
        (None, None) => {
            return Err(Error::usage("`--cert` goes with the private key: `--key FILE`, or `--signer CMD`"));
        }
    };
    Ok(Some(SignerRequest { certificate, hand }))
}

/// Returns the passphrase: the first line of a file, or what `LAYERFORGE_PASSPHRASE` says.
#[expect(clippy::disallowed_methods, reason = "the command line reads the environment")]
pub(super) fn passphrase(file: Option<&Path>) -> Result<Option<Passphrase>, Error> {
    if let Some(path) = file {
        return Ok(Some(Passphrase::first_line(&Zeroizing::new(fs::read_to_string(path)?))));
    }
    match std::env::var("LAYERFORGE_PASSPHRASE") {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => Ok(Some(Passphrase::new(text))),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(Error::usage("`LAYERFORGE_PASSPHRASE` is not UTF-8")),
    }
}

/// Warns about a private key that others can read.
fn warn_about_mode(terminal: &Terminal, path: &Path) -> Result<(), Error> {
    let metadata = fs::open(path)?.metadata().map_err(fs::Error::on("look at", path))?;
    if metadata.is_file() && metadata.permissions().mode() & 0o004 != 0 {
        let message = format!("everybody on this machine can read the private key `{}`", path.display());
        terminal.warning(&message, Some(&format!("chmod 600 {}", path.display())));
    }
    Ok(())
}
