//! Makes a key that signs images, and its certificate.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;

use crate::error::Error;
use crate::fs;
use crate::image::signature::{self, KeyType, Passphrase};

/// A key to make.
#[derive(Debug, Clone)]
pub struct KeyRequest {
    /// Its kind.
    pub key_type: KeyType,
    /// The common name in the certificate.
    pub subject: String,
    /// Where the private key goes.
    pub key: PathBuf,
    /// Where the certificate goes.
    pub certificate: PathBuf,
    /// What the private key is encrypted with.
    pub passphrase: Option<Passphrase>,
    /// When the certificate begins to be valid.
    pub now: SystemTime,
}

/// A key that was made.
#[derive(Debug, Clone, Serialize)]
pub struct KeyReport {
    /// The private key.
    pub key: PathBuf,
    /// The certificate.
    pub certificate: PathBuf,
    /// Its subject.
    pub subject: String,
    /// The digest that names it in signature partitions.
    pub fingerprint: String,
}

/// Makes a key and writes it with its certificate. Only the owner can read the key; nothing is overwritten.
///
/// # Errors
/// When one of the files is there, cannot be written, or the subject cannot be a name.
pub fn generate_key(request: &KeyRequest) -> Result<KeyReport, Error> {
    let (key_path, certificate_path) = (&request.key, &request.certificate);
    if key_path == certificate_path {
        return Err(Error::usage("the private key and the certificate cannot be one file"));
    }
    // Looked at before the long work, and once more by the system when they are created.
    for path in [key_path, certificate_path] {
        if fs::exists(path)? {
            return Err(taken(path));
        }
    }
    let failed = |source| Error::Signature { path: key_path.display().to_string(), source };
    let generated = signature::generate(request.key_type, &request.subject, request.now).map_err(failed)?;
    let pem = generated.key.to_pem(request.passphrase.as_ref()).map_err(failed)?;
    fs::write_new(key_path, pem.as_bytes(), 0o600)?;
    let certificate = generated.certificate;
    if let Err(error) = fs::write_new(certificate_path, certificate.to_pem().as_bytes(), 0o644) {
        // A key without certificate is of no use. The first error is the one to report.
        fs::remove_file(key_path).ok();
        return Err(error.into());
    }
    Ok(KeyReport {
        key: key_path.clone(),
        certificate: certificate_path.clone(),
        subject: certificate.subject().to_owned(),
        fingerprint: certificate.fingerprint().hex(),
    })
}

fn taken(path: &Path) -> Error {
    Error::Usage {
        message: format!("`{}` is there already", path.display()),
        hint: Some("keys are never overwritten: remove it, or choose another name".into()),
    }
}
