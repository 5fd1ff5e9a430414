//! What is elsewhere, as files in the store: packages of a lock, and what repositories say of themselves.

use std::path::PathBuf;

use url::Url;

use super::error::PackageError;
use super::means::{Means, Together};
use super::mirrors::file_of;
use crate::digest::{Digest, Hasher};
use crate::distro::Distro;
use crate::fetch::{Download, FetchError, Headers, parallel};
use crate::fs;
use crate::lock::LockedPackage;
use crate::resolve::{PackageSource, target_name};

/// How many packages are fetched at once.
const AT_ONCE: usize = 8;
/// The most bytes of a small file: a Release file with its signatures has some hundred thousand.
const LARGEST: u64 = 16 << 20;

/// Fetches packages that come from `sources`; what is there already, or in part, is not fetched again. The files have the
/// order of the packages, and the digests that they say.
///
/// # Errors
/// When one is at none of the mirrors of its source, or something else is there.
pub fn fetch(
    packages: &[LockedPackage],
    distro: &Distro,
    sources: &[PackageSource],
    means: &Means<'_>,
) -> Result<Vec<PathBuf>, PackageError> {
    let downloads: Vec<Download> =
        packages.iter().map(|package| download(package, distro, sources, means)).collect::<Result<_, _>>()?;
    let work = format!("fetch packages for {}", target_name(distro));
    let together = Together::new(means.reporter, work, packages.iter().map(|package| package.size).sum());
    let files = parallel(&downloads, AT_ONCE, |download| {
        let fetched = means.network.fetcher.download(means.store, download, &together);
        fetched.map_err(|error| PackageError::Package { package: download.what.clone(), source: error })
    });
    together.finish();
    files
}

fn download(
    package: &LockedPackage,
    distro: &Distro,
    sources: &[PackageSource],
    means: &Means<'_>,
) -> Result<Download, PackageError> {
    let Some(source) = sources.iter().find(|source| source.name == package.source) else {
        let (package, source_name) = (package.name.clone(), package.source.clone());
        return Err(PackageError::UnknownSource { package, source_name });
    };
    let mirrors = means.network.mirrors.of(source, distro);
    Ok(Download {
        what: format!("{} {}", package.name, package.version),
        mirrors: mirrors.iter().map(|mirror| (file_of(mirror, &package.path), Headers::new())).collect(),
        digest: package.sha256,
        length: Some(package.size),
        limit: package.size,
    })
}

/// Returns addresses in the order in which they are asked, those last that were not reached before, each with whether there is
/// another one after it.
pub(super) fn asked<'mirrors>(mirrors: &'mirrors [Url], means: &Means<'_>) -> Vec<(&'mirrors Url, bool)> {
    let mut sorted: Vec<(&Url, bool)> = mirrors.iter().map(|mirror| (mirror, true)).collect();
    sorted.sort_by_key(|(mirror, _)| means.network.fetcher.is_unreachable(mirror));
    sorted.last_mut().into_iter().for_each(|last| last.1 = false);
    sorted
}

/// Gets a small file that changes where it is, such as what is signed of an index, and its digest. It is kept for those who
/// have no network later. Where there are `others` to ask, it has to come soon.
///
/// # Errors
/// When it cannot be had, or not be kept.
pub(super) fn latest(url: &Url, others: bool, means: &Means<'_>) -> Result<(Digest, Vec<u8>), PackageError> {
    let mut note = Hasher::new();
    note.field(b"the last file at");
    note.field(url.as_str().as_bytes());
    let note = note.finish().0;
    let fetcher = &means.network.fetcher;
    let got = match others {
        true => fetcher.bytes_soon(url, &Headers::new(), LARGEST),
        false => fetcher.bytes(url, &Headers::new(), LARGEST),
    };
    match got {
        Ok(bytes) => {
            let digest = means.store.keep_download(&bytes)?;
            if url.scheme() != "file" {
                means.store.keep_note(&note, &digest.hex())?;
            }
            Ok((digest, bytes))
        }
        Err(error @ FetchError::Offline { .. }) => {
            let digest = means.store.note(&note).and_then(|hex| format!("sha256:{hex}").parse::<Digest>().ok());
            let path = digest.map(|digest| means.store.downloaded(&digest)).transpose()?.flatten();
            match (digest, path) {
                (Some(digest), Some(path)) => Ok((digest, fs::read(&path)?)),
                _ => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}
