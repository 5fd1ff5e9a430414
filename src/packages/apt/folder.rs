//! A folder of packages in place of a repository.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::archive::{self, Fetched};
use super::index;
use crate::digest::{Digest, Hasher};
use crate::lock::LockedPackage;
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
    let of_file = |(name, digest, size): &(String, Digest, u64)| {
        stanza(&Fetched { path: path.join(name), size: *size, digest: *digest }, name)
    };
    let stanzas: Vec<Result<Vec<u8>, PackageError>> = files.par_iter().map(of_file).collect();
    let text = stanzas.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    Ok(index::parse(&path.display().to_string(), &text, architecture)?)
}

/// Reads what packages of a lock say of themselves, from the files that they were fetched to.
///
/// # Errors
/// When one is no package, or not the file that it was.
pub(in crate::packages) fn read_fetched(
    packages: &[LockedPackage],
    files: &[PathBuf],
    architecture: &str,
) -> Result<Pool, PackageError> {
    let stanza = |(package, path): (&LockedPackage, &PathBuf)| {
        let fetched = Fetched { path: path.clone(), size: package.size, digest: package.sha256 };
        stanza(&fetched, &package.path)
    };
    let stanzas: Vec<Result<Vec<u8>, PackageError>> = packages.par_iter().zip(files).map(stanza).collect();
    let text = stanzas.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    Ok(index::parse("the packages of the host", &text, architecture)?)
}

/// Returns the control file of a package as it stands in an index.
fn stanza(package: &Fetched, name: &str) -> Result<Vec<u8>, PackageError> {
    let files = archive::control(package)?;
    let control = files.into_iter().find(|file| file.name == "control").map(|file| file.bytes).unwrap_or_default();
    let mut stanza = control.trim_ascii().to_vec();
    stanza.extend(format!("\nFilename: {name}\nSize: {}\nSHA256: {}\n\n", package.size, package.digest.hex()).bytes());
    Ok(stanza)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs;
    use crate::packages::apt::archive::tests::deb;

    #[test]
    fn packages_of_a_folder_are_what_they_say() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, control: &str| {
            let bytes = deb(&[("./control", b'0', 0o644, "", control)], &[]);
            fs::write_atomic(&folder.path().join(name), &bytes).unwrap();
            (name.to_owned(), Digest::of(&bytes), bytes.len() as u64)
        };
        let files = [
            put("one.deb", "Package: one\nVersion: 1\nArchitecture: amd64\nDepends: two (>= 2)\n"),
            put("other.deb", "Package: other\nVersion: 1\nArchitecture: arm64\n"),
            put("two.deb", "\nPackage: two\nVersion: 2\nArchitecture: all\n\n\n"),
        ];
        let pool = read(folder.path(), &files, "amd64").unwrap();
        let labels: Vec<String> = pool.ids().map(|id| pool.label(id)).collect();
        assert_eq!(labels, ["one 1", "two 2"], "what is for other machines does not count");
        let first = pool.ids().next().unwrap();
        assert_eq!((pool.location(first).unwrap(), pool.digest(first).unwrap()), ("one.deb".into(), Some(files[0].1)));
        type File = (String, Digest, u64);
        let error = |change: &dyn Fn(&mut [File])| {
            let mut files = files.clone();
            change(&mut files);
            read(folder.path(), &files, "amd64").unwrap_err().to_string()
        };
        assert!(error(&|files| files[0].2 += 1).contains("is not the package that was locked"));
        assert!(error(&|files| files[0].0 = "missing.deb".into()).contains("missing.deb"));
        let broken = [put("broken.deb", "no control file")];
        assert!(read(folder.path(), &broken, "amd64").is_err());
        assert_ne!(digest(&files), digest(&files[..2]));
    }
}
