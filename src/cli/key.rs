//! `layerforge key`

use std::process::ExitCode;
use std::time::SystemTime;

use super::args::{KeyArguments, KeyCommand, KeyGenerateArguments};
use super::sign::passphrase;
use super::terminal::{DONE, Terminal};
use crate::engine::{self, KeyRequest};
use crate::error::Error;

pub(super) fn run(terminal: &Terminal, arguments: &KeyArguments) -> Result<ExitCode, Error> {
    let KeyCommand::Generate(arguments) = &arguments.command;
    let KeyGenerateArguments { key_type, subject, key, certificate, passphrase_file } = arguments;
    let report = engine::generate_key(&KeyRequest {
        key_type: (*key_type).into(),
        subject: subject.clone(),
        key: key.clone(),
        certificate: certificate.clone(),
        passphrase: passphrase(passphrase_file.as_deref())?,
        now: SystemTime::now(),
    })?;
    if terminal.json {
        terminal.print_json(&report);
        return Ok(DONE);
    }
    terminal.tell(&format!("wrote {} (keep it secret) and {}", report.key.display(), report.certificate.display()));
    terminal.tell("hosts that shall trust it need the certificate as /etc/verity.d/NAME.crt");
    Ok(DONE)
}
