//! Signs an image that is written already.

use std::path::{Path, PathBuf};

use serde::Serialize;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::fs;
use crate::image::oci::cosign::{self, SignLayoutError, SignedLayout};
use crate::image::oci::{self, Descriptor, Layout, LayoutWriter, changed_files};
use crate::image::signature::{Certificate, Passphrase, SignatureError, Signer, SigningKey};
use crate::image::{ddi, write_tar};
use crate::store::Store;
use crate::tree::{Content, ContentSource, Kind, Tree};

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
    /// The root hash of a disk image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_hash: Option<String>,
    /// The digests of the manifests and indexes of a container image that are signed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<String>,
    /// Who signed.
    pub subject: String,
    /// Whether there was a signature before.
    pub replaced: bool,
}

/// Signs an image in place: a disk image, or a container image, which is a layout.
///
/// # Errors
/// When a file cannot be read, key and certificate do not go together, or the image cannot be signed.
pub fn sign(store: &Store, request: &SignRequest) -> Result<SignReport, Error> {
    let signer = open_signer(&request.signer)?;
    if let Some(layout) = super::verify::layout(store, &request.image)? {
        return container(request, &layout, &signer);
    }
    let image = fs::edit(&request.image)?;
    let failed = |source| Error::Sign { path: request.image.display().to_string(), source };
    let signed = ddi::sign(&image, &signer, None).map_err(failed)?;
    Ok(SignReport {
        image: request.image.clone(),
        root_hash: Some(signed.root_hash.hex()),
        manifests: Vec::new(),
        subject: signer.certificate().subject().to_owned(),
        replaced: signed.replaced,
    })
}

/// Signs a layout: blobs first, then the index, so that there is a whole layout at any time.
fn container(request: &SignRequest, layout: &Layout, signer: &Signer) -> Result<SignReport, Error> {
    let path = &request.image;
    let failed =
        |source: SignLayoutError| Error::SignLayout { path: path.display().to_string(), source: Box::new(source) };
    oci::check(layout).map_err(|error| failed(error.into()))?;
    let signed = cosign::sign_layout(layout, signer).map_err(failed)?;
    match layout.archive() {
        Some(archive) => rewrite(path, archive, &signed)?,
        None => {
            let writer = LayoutWriter::create(path).map_err(|error| failed(error.into()))?;
            for (digest, content) in signed.blobs.iter() {
                let descriptor = Descriptor::new("", *digest, content.length);
                writer.put(&descriptor, content.open()?).map_err(|error| failed(error.into()))?;
            }
            writer.finish(&signed.index).map_err(|error| failed(error.into()))?;
        }
    }
    Ok(SignReport {
        image: path.clone(),
        root_hash: None,
        manifests: signed.subjects.iter().map(ToString::to_string).collect(),
        subject: signer.certificate().subject().to_owned(),
        replaced: signed.replaced,
    })
}

/// Writes an archive of a layout anew, beside the old one, which it then takes the place of.
fn rewrite(path: &Path, archive: &Tree, signed: &SignedLayout) -> Result<(), Error> {
    let failed =
        |source: SignLayoutError| Error::SignLayout { path: path.display().to_string(), source: Box::new(source) };
    let elsewhere =
        |content: &Content| content.source.path() != path && !matches!(content.source, ContentSource::Inline(_));
    if archive.iter().any(|(_, node)| matches!(&node.kind, Kind::Regular(content) if elsewhere(content))) {
        return Err(failed(SignLayoutError::Compressed));
    }
    let files = changed_files(archive, &signed.blobs, &signed.index).map_err(|error| failed(error.into()))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = fs::create(&beside).map_err(Error::from).and_then(|mut file| {
        write_tar(&files, &mut file).map_err(|error| failed(error.into()))?;
        let mode = std::fs::metadata(path).map_err(fs::Error::on("look at", path))?.permissions();
        file.set_permissions(mode).map_err(fs::Error::on("set the mode of", &*beside))?;
        file.sync_data().map_err(fs::Error::on("write", &*beside))?;
        Ok(fs::rename(&beside, path)?)
    });
    if written.is_err() {
        // The first error is the one to report.
        fs::remove_file(&beside).ok();
    }
    written
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
