//! Checks that an image is what was signed.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::Error;
use crate::fs;
use crate::image::ddi;
use crate::image::oci::{self, ContainerFormat, Layout};
use crate::image::signature::Certificate;
use crate::store::Store;
use crate::tree::read_tar;

/// An image that is what it says.
#[derive(Debug, Clone, Serialize)]
pub struct VerifyReport {
    /// The image.
    pub image: PathBuf,
    /// The root hash of a disk image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_hash: Option<String>,
    /// The digests of the manifests of a container image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<String>,
    /// How many blobs of a container image were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blobs: Option<usize>,
    /// The subject of the certificate whose key signed it, when one was given.
    pub subject: Option<String>,
}

/// Checks every block of a disk image against its hash tree, and the signature of that against a certificate; or every blob
/// of a container image, which is a layout, against the digests that name them.
///
/// # Errors
/// When it cannot be read, or is not what it says: [`Error::Unverified`] tells what is wrong.
pub fn verify(store: &Store, image: &Path, certificate: Option<&Path>) -> Result<VerifyReport, Error> {
    if let Some(layout) = layout(store, image)? {
        return container(image, &layout, certificate);
    }
    let certificate = certificate.map(read_certificate).transpose()?;
    let file = fs::open(image)?;
    let length = file.metadata().map_err(fs::Error::on("look at", image))?.len();
    let failed = |reason: String| Error::Unverified { path: image.display().to_string(), reason };
    let disk = ddi::read(&file, length).map_err(|error| failed(error.to_string()))?;
    let root = disk.verify(&file, certificate.as_ref()).map_err(|error| failed(error.to_string()))?;
    Ok(VerifyReport {
        image: image.to_owned(),
        root_hash: Some(root.hex()),
        manifests: Vec::new(),
        blobs: None,
        subject: certificate.map(|certificate| certificate.subject().to_owned()),
    })
}

fn read_certificate(path: &Path) -> Result<Certificate, Error> {
    let named = |source| Error::Signature { path: path.display().to_string(), source };
    Certificate::from_pem(&fs::read_to_string(path)?).map_err(named)
}

/// Opens a container image; nothing when it is something else.
pub(super) fn layout(store: &Store, image: &Path) -> Result<Option<Layout>, Error> {
    let failed = |reason: String| Error::Unverified { path: image.display().to_string(), reason };
    let archive = if image.is_dir() {
        None
    } else {
        // A disk image is no archive: what is wrong with it is told by those who read disk images.
        let Ok(tree) = read_tar(image, &store.archives()) else { return Ok(None) };
        Some(tree)
    };
    match oci::recognise(image, archive.as_ref()) {
        Some(ContainerFormat::Layout) => {
            let opened = Layout::open(image, &store.archives());
            opened.map(Some).map_err(|error| failed(error.to_string()))
        }
        Some(ContainerFormat::DockerArchive) => {
            Err(failed("an archive of Docker names its layers by no digest: take an image layout".into()))
        }
        None => Ok(None),
    }
}

fn container(image: &Path, layout: &Layout, certificate: Option<&Path>) -> Result<VerifyReport, Error> {
    let failed = |reason: String| Error::Unverified { path: image.display().to_string(), reason };
    let checked = oci::check(layout).map_err(|error| failed(error.to_string()))?;
    let certificate = certificate.map(read_certificate).transpose()?;
    if let Some(certificate) = &certificate {
        // What an index names by its digest is signed with it.
        for root in layout.roots().map_err(|error| failed(error.to_string()))? {
            let (digest, subject) = (&root.digest, certificate.subject());
            let signed = oci::cosign::is_signed(layout, digest, certificate);
            if !signed.map_err(|error| failed(error.to_string()))? {
                return Err(failed(format!("the image {digest} has no signature by the key of `{subject}`")));
            }
        }
    }
    Ok(VerifyReport {
        image: image.to_owned(),
        root_hash: None,
        manifests: checked.images.iter().map(ToString::to_string).collect(),
        blobs: Some(checked.blobs),
        subject: certificate.map(|certificate| certificate.subject().to_owned()),
    })
}
