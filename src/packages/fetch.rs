//! Packages of a lock as files in the store.

use std::path::PathBuf;

use super::error::PackageError;
use super::means::{Means, Together};
use super::mirrors::file_of;
use crate::distro::Distro;
use crate::fetch::{Download, Headers, parallel};
use crate::lock::LockedPackage;
use crate::resolve::{PackageSource, target_name};

/// How many packages are fetched at once.
const AT_ONCE: usize = 8;

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
        means.network.fetcher.download(means.store, download, &together).map_err(PackageError::from)
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
