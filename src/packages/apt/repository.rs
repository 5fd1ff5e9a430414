//! Repositories of Debian and its derivatives: their Release files and indexes.
//!
//! Comes in: the sources of a profile. Goes out: the pool of every index, and what the lock says about each source. Always
//! holds: a Release file is looked at once one of its signatures is good, its indexes have the digests that it names, and it
//! is not older than the one in the lock.

use std::path::PathBuf;

use url::Url;

use super::release::{Expected, IndexFile, Release};
use super::trust::{Keyring, unverified};
use super::{folder, index};
use crate::digest::{Digest, Hasher};
use crate::distro::archive_keys;
use crate::fetch::{Download, FetchError, Headers, parallel};
use crate::fs;
use crate::lock::LockedSource;
use crate::packages::choose::{Index, Loaded, Wanted};
use crate::packages::error::PackageError;
use crate::packages::fetch::{asked, latest};
use crate::packages::means::{Means, Together};
use crate::packages::mirrors::file_of;
use crate::packages::model::{Pool, kept};
use crate::packages::vendor::Exported;
use crate::resolve::{Keys, PackageSource, SourceContent};

/// How many files are fetched at once.
const AT_ONCE: usize = 8;
/// What a pool is made by: one that is made otherwise has another number.
const POOL: &[u8] = b"apt 1";

/// One suite of a source, or a flat repository.
struct Part<'run> {
    source: &'run PackageSource,
    /// The name of the suite; nothing for a flat repository.
    suite: Option<&'run str>,
    components: &'run [String],
    mirrors: Vec<Url>,
}

/// An index to read.
struct Wish<'run> {
    part: &'run Part<'run>,
    file: IndexFile,
    priority: i32,
}

impl Part<'_> {
    /// Returns the path of a file beside the Release file, as seen from the mirror.
    fn path(&self, file: &str) -> String {
        self.suite.map_or_else(|| file.to_owned(), |suite| format!("dists/{suite}/{file}"))
    }

    /// Returns the indexes to read.
    fn indexes(&self, release: &Release, architecture: &str) -> Result<Vec<IndexFile>, PackageError> {
        let mut files = Vec::new();
        match self.suite {
            Some(_) => {
                for component in self.components {
                    files.extend(release.indexes(component, architecture)?);
                }
            }
            None => files.push(release.flat_index()?),
        }
        Ok(files)
    }

    fn label(&self) -> String {
        self.suite.map_or_else(|| self.source.name.clone(), |suite| format!("{} {suite}", self.source.name))
    }
}

/// Returns the suites of every source, and those that have none.
fn parts<'run>(wanted: &Wanted<'run>, means: &Means<'_>) -> Vec<Part<'run>> {
    let mut parts = Vec::new();
    for source in &wanted.bundled.sources {
        let part = |suite, components| {
            let mirrors = means.network.mirrors.of(source, wanted.distro);
            Part { source, suite, components, mirrors }
        };
        match &source.content {
            SourceContent::Suites { suites, components } => {
                parts.extend(suites.iter().map(|suite| part(Some(suite.as_str()), components.as_slice())));
            }
            SourceContent::Flat => parts.push(part(None, &[])),
            SourceContent::Directory { .. } => {}
        }
    }
    parts
}

/// Reads the indexes of every source.
pub(in crate::packages) fn load(wanted: &Wanted<'_>, means: &Means<'_>) -> Result<Loaded, PackageError> {
    let distro = wanted.distro;
    let work = format!("read the package indexes for {}", crate::resolve::target_name(distro));
    let together = Together::new(means.reporter, work, 0);
    let means = Means { reporter: &together, ..*means };
    let parts = parts(wanted, &means);
    let opened = parallel(&parts, AT_ONCE, |part| open(part, wanted, &means))?;
    let mut wishes = Vec::new();
    for (part, (release, _)) in parts.iter().zip(&opened) {
        let priority = part.source.priority.unwrap_or(release.priority);
        let files = part.indexes(release, &distro.native_architecture)?;
        wishes.extend(files.into_iter().map(|file| Wish { part, file, priority }));
    }
    let read = parallel(&wishes, AT_ONCE, |wish| wish.read(&distro.native_architecture, &means))?;
    let mut loaded = Loaded { indexes: read, sources: opened.into_iter().map(|(_, locked)| locked).collect() };
    for source in &wanted.bundled.sources {
        if let SourceContent::Directory { path, files } = &source.content {
            let digest = folder::digest(files);
            let kept_at = pool_path(&digest, &distro.native_architecture, &means)?;
            let pool = kept(&kept_at, || folder::read(path, files, &distro.native_architecture))?;
            let priority = source.priority.unwrap_or(super::release::USUAL_PRIORITY);
            loaded.indexes.push(Index {
                pool,
                source: source.name.clone(),
                folder: String::new(),
                priority,
                tag: None,
            });
            loaded.sources.push(LockedSource {
                name: source.name.clone(),
                suite: String::new(),
                date: None,
                digest,
                trusted: true,
                tag: None,
            });
        }
    }
    together.finish();
    Ok(loaded)
}

/// Gets the Release file of a part from the first mirror that has a good one; returns it with what the lock says of it.
fn open(part: &Part<'_>, wanted: &Wanted<'_>, means: &Means<'_>) -> Result<(Release, LockedSource), PackageError> {
    let suite = part.suite.unwrap_or_default();
    let earlier = wanted.earlier.map(|bundle| bundle.sources.as_slice()).unwrap_or_default();
    let earlier = earlier.iter().find(|source| source.name == part.source.name && source.suite == suite);
    let keys = keys(part.source)?;
    let expected = Expected {
        suite: part.suite,
        now: means.network.now,
        expired: part.source.snapshot.is_some() || means.is_old_by_intent(),
        // Who asks for another moment has a reason to.
        locked: earlier.filter(|_| part.source.snapshot.is_none()).and_then(|source| source.date),
    };
    let mut failures = Vec::new();
    for mirror in asked(&part.mirrors, means) {
        let signed = signed(part, mirror, keys.as_ref(), means);
        let taken = signed.and_then(|(digest, text)| {
            let release = Release::parse(&format!("{} Release", part.label()), &text)?;
            release.check(&expected)?;
            // One that does not have all that is asked for is no better than one that does not answer.
            part.indexes(&release, &wanted.distro.native_architecture)?;
            Ok((digest, release))
        });
        match taken {
            Ok((digest, release)) => {
                let locked = LockedSource {
                    name: part.source.name.clone(),
                    suite: suite.to_owned(),
                    date: Some(release.date),
                    digest,
                    trusted: keys.is_none(),
                    tag: None,
                };
                return Ok((release, locked));
            }
            Err(error @ PackageError::File(_)) => return Err(error),
            Err(error) => failures.push(error),
        }
    }
    Err(PackageError::of_source(&part.label(), failures))
}

/// Returns the Release files and indexes that the packages of a lock were chosen from, and a sentence about each that cannot
/// be had any more.
pub(in crate::packages) fn export(
    wanted: &Wanted<'_>,
    means: &Means<'_>,
) -> Result<(Vec<Exported>, Vec<String>), PackageError> {
    let parts = parts(wanted, means);
    let locked = wanted.earlier.map(|bundle| bundle.sources.as_slice()).unwrap_or_default();
    let (mut files, mut missing) = (Vec::new(), Vec::new());
    for part in &parts {
        let suite = part.suite.unwrap_or_default();
        let locked = locked.iter().find(|source| source.name == part.source.name && source.suite == suite);
        match locked.map(|locked| export_part(part, &locked.digest, wanted, means)).transpose()?.flatten() {
            Some(found) => files.extend(found),
            None => missing.push(format!("the index of {} that the lock names cannot be had any more", part.label())),
        }
    }
    Ok((files, missing))
}

/// Returns the Release file of a digest, as the store or a mirror has it, with its indexes; nothing when there is another one
/// now.
fn export_part(
    part: &Part<'_>,
    locked: &Digest,
    wanted: &Wanted<'_>,
    means: &Means<'_>,
) -> Result<Option<Vec<Exported>>, PackageError> {
    let export = |path: String, file: (PathBuf, Digest)| Exported { source: part.source.name.clone(), path, file };
    let kept = means.store.downloaded(locked)?.map(|path| Ok::<_, fs::Error>((fs::read(&path)?, path))).transpose()?;
    let mut files = Vec::new();
    let text = match kept.filter(|(bytes, _)| bytes.starts_with(b"-----")) {
        Some((bytes, path)) => {
            files.push(export(part.path("InRelease"), (path, *locked)));
            unverified("InRelease", &bytes)?
        }
        None => {
            let found = asked(&part.mirrors, means).into_iter().find_map(|mirror| {
                let (digest, text) = signed(part, mirror, None, means).ok()?;
                (digest == *locked).then_some((mirror.0, text))
            });
            let Some((mirror, text)) = found else { return Ok(None) };
            for name in ["InRelease", "Release", "Release.gpg"] {
                let Ok((digest, _)) = latest(&file_of(mirror, &part.path(name)), false, means) else { continue };
                let stored = means.store.downloaded(&digest)?;
                files.extend(stored.map(|path| export(part.path(name), (path, digest))));
            }
            text
        }
    };
    let release = Release::parse(&format!("{} Release", part.label()), &text)?;
    for file in part.indexes(&release, &wanted.distro.native_architecture)? {
        let (path, digest) = (part.path(&file.path), file.digest);
        let wish = Wish { part, file, priority: 0 };
        match wish.fetch(&format!("{} {path}", part.label()), means) {
            Ok(stored) => files.push(export(path, (stored, digest))),
            Err(PackageError::Fetch(FetchError::File(error))) => return Err(error.into()),
            Err(_) => return Ok(None),
        }
    }
    Ok(Some(files))
}

/// Returns the keys that have to vouch for a source; nothing when nobody has to.
fn keys(source: &PackageSource) -> Result<Option<Keyring>, PackageError> {
    Ok(match &source.keys {
        Keys::None => None,
        Keys::File { name, path } => Some(Keyring::read(name, &fs::read(path)?)?),
        Keys::Archive(keyring) => {
            let known = archive_keys(keyring)
                .ok_or_else(|| PackageError::NoKeys { source_name: source.name.clone(), keyring: keyring.clone() })?;
            Some(Keyring::read(keyring, known.as_bytes())?)
        }
    })
}

/// Returns the text of the Release file at a mirror, and the digest of the file that it stands in.
fn signed(
    part: &Part<'_>,
    (mirror, others): (&Url, bool),
    keys: Option<&Keyring>,
    means: &Means<'_>,
) -> Result<(Digest, String), PackageError> {
    let get = |name: &str| latest(&file_of(mirror, &part.path(name)), others, means);
    let file = |name: &str| format!("{} {name}", part.label());
    let now = means.network.now;
    match get("InRelease") {
        Ok((digest, bytes)) => {
            let file = file("InRelease");
            let text = match keys {
                Some(keys) => keys.verify(&file, &bytes, now)?.text,
                None => unverified(&file, &bytes)?,
            };
            Ok((digest, text))
        }
        // Some servers answer what they do not have with 403; without a network the other form may be there.
        Err(PackageError::Fetch(error))
            if matches!(error.status(), Some(403 | 404)) || matches!(error, FetchError::Offline { .. }) =>
        {
            let (digest, bytes) = get("Release")?;
            let file = file("Release");
            let text = match keys {
                Some(keys) => keys.verify_detached(&file, &bytes, &get("Release.gpg")?.1, now)?.text,
                None => String::from_utf8(bytes)
                    .map_err(|_| super::trust::TrustError::Form { file, reason: "it is not UTF-8".into() })?,
            };
            Ok((digest, text))
        }
        Err(error) => Err(error),
    }
}

impl Wish<'_> {
    /// Reads the index: from the store when it was read before.
    fn read(&self, architecture: &str, means: &Means<'_>) -> Result<Index, PackageError> {
        let name = format!("{} {}", self.part.label(), self.file.path);
        let pool = kept(&pool_path(&self.file.digest, architecture, means)?, || {
            let bytes = fs::read(&self.fetch(&name, means)?)?;
            Ok::<Pool, PackageError>(index::read(&name, &bytes, self.file.compression, architecture)?)
        })?;
        Ok(Index {
            pool,
            source: self.part.source.name.clone(),
            folder: String::new(),
            priority: self.priority,
            tag: None,
        })
    }

    fn fetch(&self, name: &str, means: &Means<'_>) -> Result<PathBuf, PackageError> {
        let part = self.part;
        let paths = self.file.by_hash.iter().chain([&self.file.path]).map(|path| part.path(path));
        let paths: Vec<String> = paths.collect();
        let mirrors = part.mirrors.iter().flat_map(|mirror| paths.iter().map(|path| file_of(mirror, path)));
        let download = Download {
            what: name.to_owned(),
            mirrors: mirrors.map(|url| (url, Headers::new())).collect(),
            digest: self.file.digest,
            length: Some(self.file.size),
            limit: self.file.size,
        };
        Ok(means.network.fetcher.download(means.store, &download, means.reporter)?)
    }
}

/// Returns where the pool of an index is kept.
fn pool_path(index: &Digest, architecture: &str, means: &Means<'_>) -> Result<PathBuf, PackageError> {
    let mut hasher = Hasher::new();
    hasher.field(POOL);
    hasher.field(index.as_bytes());
    hasher.field(architecture.as_bytes());
    Ok(means.store.pool(&hasher.finish().0)?)
}
