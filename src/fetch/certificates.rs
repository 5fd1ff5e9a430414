//! Whom to trust.

use std::path::{Path, PathBuf};

use ureq::tls::{Certificate, PemItem, parse_pem};
use url::Url;

use crate::fs;

/// A file of certificates that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// It holds none.
    #[error("`{}` holds no certificate in PEM form", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("{error}: {}", error.source)]
    File {
        /// What failed.
        #[from]
        error: fs::Error,
    },
}

/// Returns the certificate authorities that are trusted everywhere: those of `bundle`, a file, and `directory`, or those of the
/// system when neither is named.
///
/// # Errors
/// When what is named cannot be read. A system without any is no error: what is on this machine needs none.
pub(super) fn common(
    bundle: Option<&Path>,
    directory: Option<&Path>,
) -> Result<Vec<Certificate<'static>>, CertificateError> {
    let mut found = Vec::new();
    if bundle.is_none() && directory.is_none() {
        let native = rustls_native_certs::load_native_certs();
        for error in &native.errors {
            tracing::debug!(%error, "certificates of the system");
        }
        return Ok(native.certs.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect());
    }
    if let Some(path) = bundle {
        found.extend(of_file(path)?);
    }
    if let Some(path) = directory {
        let loaded = rustls_native_certs::load_certs_from_paths(None, Some(path));
        found.extend(loaded.certs.iter().map(|certificate| Certificate::from_der(certificate).to_owned()));
    }
    Ok(found)
}

/// Returns the certificate authorities that are trusted for the host of `url` besides: every `*.crt` in `FOLDER/HOST[:PORT]/`
/// (containers-certs.d(5)).
///
/// # Errors
/// When there is one and it cannot be read.
pub(super) fn of_host(folders: &[PathBuf], url: &Url) -> Result<Vec<Certificate<'static>>, CertificateError> {
    let mut found = Vec::new();
    for folder in folders {
        let folder = folder.join(authority(url));
        let names = match fs::list(&folder) {
            Ok(names) => names,
            Err(error) if error.is_unreachable() => continue,
            Err(error) => return Err(error.into()),
        };
        for name in names.into_iter().filter(|name| Path::new(name).extension().is_some_and(|kind| kind == "crt")) {
            found.extend(of_file(&folder.join(name))?);
        }
    }
    Ok(found)
}

/// Returns `HOST[:PORT]` of an address.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn of_file(path: &Path) -> Result<Vec<Certificate<'static>>, CertificateError> {
    let bytes = fs::read(path)?;
    let items = parse_pem(&bytes).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let found: Vec<_> = items.collect();
    if found.is_empty() {
        return Err(CertificateError::Empty { path: path.to_owned() });
    }
    Ok(found)
}
