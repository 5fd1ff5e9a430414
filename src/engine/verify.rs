//! Checks that an image is what was signed.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::Error;
use crate::fs;
use crate::image::ddi;
use crate::image::signature::Certificate;

/// An image that is what it says.
#[derive(Debug, Clone, Serialize)]
pub struct VerifyReport {
    /// The image.
    pub image: PathBuf,
    /// Its root hash.
    pub root_hash: String,
    /// The subject of the certificate whose key signed it, when one was given.
    pub subject: Option<String>,
}

/// Checks every block of a disk image against its hash tree, and the signature of that against a certificate.
///
/// # Errors
/// When it cannot be read, or is not what it says: [`Error::Unverified`] tells what is wrong.
pub fn verify(image: &Path, certificate: Option<&Path>) -> Result<VerifyReport, Error> {
    let certificate = match certificate {
        None => None,
        Some(path) => {
            let named = |source| Error::Signature { path: path.display().to_string(), source };
            Some(Certificate::from_pem(&fs::read_to_string(path)?).map_err(named)?)
        }
    };
    let file = fs::open(image)?;
    let length = file.metadata().map_err(fs::Error::on("look at", image))?.len();
    let failed = |reason: String| Error::Unverified { path: image.display().to_string(), reason };
    let disk = ddi::read(&file, length).map_err(|error| failed(error.to_string()))?;
    let root = disk.verify(&file, certificate.as_ref()).map_err(|error| failed(error.to_string()))?;
    Ok(VerifyReport {
        image: image.to_owned(),
        root_hash: root.hex(),
        subject: certificate.map(|certificate| certificate.subject().to_owned()),
    })
}
