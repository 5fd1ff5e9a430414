//! A folder of packages in place of a repository.

use std::path::Path;

use rayon::prelude::*;

use super::archive::{self, Fetched};
use super::index;
use crate::digest::{Digest, Hasher};
use crate::packages::error::PackageError;
use crate::packages::model::Pool;

/// Returns the digest of a folder with these files: name, digest, length.
pub(super) fn digest(files: &[(String, Digest, u64)]) -> Digest {
    let mut hasher = Hasher::new();
    hasher.field(b"a folder of packages");
    for (name, digest, _) in files {
        hasher.field(name.as_bytes());
        hasher.field(digest.as_bytes());
    }
    hasher.finish().0
}

/// Reads what the packages in the folder `path` say of themselves.
///
/// # Errors
/// When one is no package, or not the file that it was.
pub(super) fn read(path: &Path, files: &[(String, Digest, u64)], architecture: &str) -> Result<Pool, PackageError> {
    let stanza = |(name, digest, size): &(String, Digest, u64)| {
        let package = Fetched { path: path.join(name), size: *size, digest: *digest };
        let files = archive::control(&package)?;
        let control = files.into_iter().find(|file| file.name == "control").map(|file| file.bytes).unwrap_or_default();
        let mut stanza = control.trim_ascii().to_vec();
        stanza.extend(format!("\nFilename: {name}\nSize: {size}\nSHA256: {}\n\n", digest.hex()).bytes());
        Ok(stanza)
    };
    let stanzas: Vec<Result<Vec<u8>, PackageError>> = files.par_iter().map(stanza).collect();
    let text = stanzas.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    Ok(index::parse(&path.display().to_string(), &text, architecture)?)
}
