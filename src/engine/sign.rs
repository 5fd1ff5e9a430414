//! Signs an image that is written already.

use std::path::PathBuf;

use serde::Serialize;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::fs;
use crate::image::ddi;
use crate::image::signature::{Certificate, Passphrase, SignatureError, Signer, SigningKey};

/// An image to sign.
#[derive(Debug, Clone)]
pub struct SignRequest {
    /// The image.
    pub image: PathBuf,
    /// Who signs.
    pub signer: SignerRequest,
}

/// Who signs.
#[derive(Debug, Clone)]
pub struct SignerRequest {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// What makes the signature.
    pub hand: Hand,
}

/// What makes a signature.
#[derive(Debug, Clone)]
pub enum Hand {
    /// A private key.
    Key {
        /// The file, PEM.
        path: PathBuf,
        /// What it is encrypted with.
        passphrase: Option<Passphrase>,
    },
    /// A line for the shell ([`Signer::with_command`]).
    Command(String),
}

/// An image that was signed.
#[derive(Debug, Clone, Serialize)]
pub struct SignReport {
    /// The image.
    pub image: PathBuf,
    /// Its root hash.
    pub root_hash: String,
    /// Who signed.
    pub subject: String,
    /// Whether there was a signature before.
    pub replaced: bool,
}

/// Signs an image in place.
///
/// # Errors
/// When a file cannot be read, key and certificate do not go together, or the image cannot be signed.
pub fn sign(request: &SignRequest) -> Result<SignReport, Error> {
    let signer = open_signer(&request.signer)?;
    let image = fs::edit(&request.image)?;
    let failed = |source| Error::Sign { path: request.image.display().to_string(), source };
    let signed = ddi::sign(&image, &signer, None).map_err(failed)?;
    Ok(SignReport {
        image: request.image.clone(),
        root_hash: signed.root_hash.hex(),
        subject: signer.certificate().subject().to_owned(),
        replaced: signed.replaced,
    })
}

/// Reads the files of who signs.
///
/// # Errors
/// When one cannot be read or understood, or they do not go together.
pub fn open_signer(request: &SignerRequest) -> Result<Signer, Error> {
    let named = |path: &std::path::Path| {
        let path = path.display().to_string();
        move |source: SignatureError| Error::Signature { path, source }
    };
    let certificate = Certificate::from_pem(&fs::read_to_string(&request.certificate)?);
    let certificate = certificate.map_err(named(&request.certificate))?;
    match &request.hand {
        Hand::Command(command) => Ok(Signer::with_command(command.clone(), certificate)),
        Hand::Key { path, passphrase } => {
            let text = Zeroizing::new(fs::read_to_string(path)?);
            let key = SigningKey::from_pem(&text, passphrase.as_ref()).map_err(named(path))?;
            Signer::with_key(key, certificate).map_err(named(&request.certificate))
        }
    }
}
