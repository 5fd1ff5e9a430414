//! Repositories of Alpine and its derivatives: `BRANCH/REPOSITORY/ARCHITECTURE/APKINDEX.tar.gz`, packages beside it.
//!
//! Comes in: the sources of a profile, and what was chosen from them. Goes out: the pool of every index, and packages with
//! the digests that a lock needs. Always holds: an index was signed by a key that is trusted, unless its source says that nobody
//! signs it; a package is the one that its index names.

use url::Url;

use super::archive::{Identified, identify};
use super::identity::Identity;
use super::index::{self, Trust};
use super::key::{self, Key};
use crate::digest::{Digest, Hasher};
use crate::distro::apk_keys;
use crate::fetch::{Download, FetchError, Headers, parallel};
use crate::fs;
use crate::packages::choose::{Chosen, Loaded, Wanted};
use crate::packages::error::PackageError;
use crate::packages::means::{Means, Together};
use crate::packages::mirrors::file_of;
use crate::packages::model::Pool;
use crate::packages::parts::{self, Part, Reader};
use crate::packages::solve::Variant;
use crate::packages::vendor::Exported;
use crate::resolve::{Keys, PackageSource, SourceContent};

/// What a pool is made by: one that is made otherwise has another number.
const POOL: &[u8] = b"apk 1";
/// How many packages are fetched at once while their digests are not known: each is in memory for a moment.
const AT_ONCE: usize = 4;
/// The most bytes of a package that is fetched so.
const LARGEST: u64 = 2 << 30;
/// The most bytes of the file of a key.
const KEY_BYTES: u64 = 64 << 10;
/// Where a vendored folder has the keys of a source.
const KEYS: &str = "keys";

/// Returns what a system has before anything is asked for: nothing; what programs and their scripts need; what Alpine's mini
/// root filesystem has; what an installed Alpine has.
pub(in crate::packages) fn variant(variant: Variant) -> &'static [&'static str] {
    match variant {
        Variant::None => &[],
        Variant::Essential => &["alpine-baselayout", "alpine-release", "busybox", "musl"],
        Variant::Minbase => {
            &["alpine-baselayout", "alpine-keys", "alpine-release", "apk-tools", "busybox", "libc-utils", "musl"]
        }
        Variant::Standard => &["alpine-base", "musl"],
    }
}

/// Returns the repositories of every source: those of a branch in the order of the components.
fn parts<'run>(wanted: &Wanted<'run>, means: &Means<'_>) -> Result<Vec<Part<'run>>, PackageError> {
    let architecture = &wanted.distro.native_architecture;
    let mut parts = Vec::new();
    for source in &wanted.bundled.sources {
        let mirrors = means.network.mirrors.of(source, wanted.distro);
        let part = |suite: String| {
            let folder = if suite.is_empty() { String::new() } else { format!("{suite}/") };
            let index = format!("{folder}{architecture}/APKINDEX.tar.gz");
            Part { source, suite, folder, index, mirrors: mirrors.clone() }
        };
        match &source.content {
            SourceContent::Suites { suites, components } => {
                let both = suites.iter().flat_map(|suite| components.iter().map(move |component| (suite, component)));
                parts.extend(both.map(|(suite, component)| part(format!("{suite}/{component}"))));
            }
            SourceContent::Flat => parts.push(part(String::new())),
            SourceContent::Directory { .. } => {
                return Err(PackageError::Directory { source_name: source.name.clone(), command: "apk index" });
            }
        }
    }
    Ok(parts)
}

/// Reads the indexes of every source.
pub(in crate::packages) fn load(wanted: &Wanted<'_>, means: &Means<'_>) -> Result<Loaded, PackageError> {
    parts::load(&parts(wanted, means)?, &Indexes { wanted, means }, wanted, means)
}

/// Returns the indexes that the packages of a lock were chosen from with the keys of the distribution that vouch for them, and
/// a sentence about each index that cannot be had any more.
pub(in crate::packages) fn export(
    wanted: &Wanted<'_>,
    means: &Means<'_>,
) -> Result<(Vec<Exported>, Vec<String>), PackageError> {
    let (mut files, missing) = parts::export(&parts(wanted, means)?, wanted, means)?;
    for source in &wanted.bundled.sources {
        // Those in files are part of the project.
        if matches!(source.keys, Keys::Archive(_)) {
            for (name, bytes) in keys(source, wanted, means)?.unwrap_or_default() {
                let digest = Digest::of(&bytes);
                if let Some(path) = means.store.downloaded(&digest)? {
                    let path_there = format!("{KEYS}/{name}");
                    files.push(Exported { source: source.name.clone(), path: path_there, file: (path, digest) });
                }
            }
        }
    }
    Ok((files, missing))
}

/// Reads signed indexes.
struct Indexes<'run> {
    wanted: &'run Wanted<'run>,
    means: &'run Means<'run>,
}

impl Reader for Indexes<'_> {
    fn key(&self, part: &Part<'_>) -> Result<Vec<u8>, PackageError> {
        let mut hasher = Hasher::new();
        hasher.field(POOL);
        hasher.field(self.wanted.distro.native_architecture.as_bytes());
        let keys = keys(part.source, self.wanted, self.means)?;
        hasher.field(&[u8::from(keys.is_some())]);
        for (name, bytes) in keys.unwrap_or_default() {
            hasher.field(name.as_bytes());
            hasher.field(&bytes);
        }
        Ok(hasher.finish().0.as_bytes().to_vec())
    }

    fn read(&self, part: &Part<'_>, file: &str, bytes: &[u8]) -> Result<Pool, PackageError> {
        let architecture = &self.wanted.distro.native_architecture;
        let index = match keys(part.source, self.wanted, self.means)? {
            None => index::read(file, bytes, Trust::Nobody, architecture)?,
            Some(files) => {
                let keys = files.iter().map(|(name, bytes)| Key::read(name, bytes)).collect::<Result<Vec<_>, _>>()?;
                index::read(file, bytes, Trust::Keys(&keys), architecture)?
            }
        };
        Ok(index.pool)
    }
}

/// The name of the file of a key, and its bytes.
type KeyFile = (String, Vec<u8>);

/// Returns the files of the keys that have to vouch for a source, one of them, by their names; nothing when nobody has to.
fn keys(source: &PackageSource, wanted: &Wanted<'_>, means: &Means<'_>) -> Result<Option<Vec<KeyFile>>, PackageError> {
    match &source.keys {
        Keys::None => Ok(None),
        Keys::File { path, .. } => Ok(Some(key::files(path)?)),
        Keys::Archive(keyring) if keyring == "alpine-keys" => {
            let mut files = Vec::new();
            for key in apk_keys(&wanted.distro.native_architecture) {
                let vendored = means.network.mirrors.vendored.is_some();
                let beside = means.network.mirrors.of(source, wanted.distro).into_iter().filter(|_| vendored);
                let beside = beside.map(|mirror| file_of(&mirror, &format!("{KEYS}/{}", key.name())));
                let url = key.url().parse::<Url>().ok();
                let download = Download {
                    what: format!("the key {}", key.name()),
                    mirrors: beside.chain(url).map(|url| (url, Headers::new())).collect(),
                    digest: key.digest(),
                    length: None,
                    limit: KEY_BYTES,
                };
                let path = means.network.fetcher.download(means.store, &download, means.reporter)?;
                files.push((key.name(), fs::read(&path)?));
            }
            Ok(Some(files))
        }
        Keys::Archive(keyring) => {
            Err(PackageError::NoKeys { source_name: source.name.clone(), keyring: keyring.clone() })
        }
    }
}

/// Gives packages the digests of their files: an index of Alpine knows only the identity of a package, so that each is
/// fetched and compared with it. What was compared before is known.
pub(in crate::packages) fn seal(
    chosen: &mut [Chosen],
    pool: &Pool,
    wanted: &Wanted<'_>,
    means: &Means<'_>,
) -> Result<(), PackageError> {
    let work = format!("fetch packages for {}", crate::resolve::target_name(wanted.distro));
    let total = chosen.iter().map(|one| one.locked.size).sum();
    let together = Together::new(means.reporter, work, total);
    let quiet = Means { reporter: &together, ..*means };
    let found = parallel(chosen, AT_ONCE, |one| identified(one, pool, wanted, &quiet))?;
    together.finish();
    for (one, found) in chosen.iter_mut().zip(found) {
        (one.locked.sha256, one.locked.size) = (found.0, found.1);
    }
    Ok(())
}

/// Returns digest and length of the file of a package that is the one that its index names.
fn identified(
    one: &Chosen,
    pool: &Pool,
    wanted: &Wanted<'_>,
    means: &Means<'_>,
) -> Result<(Digest, u64), PackageError> {
    let package = format!("{} {}", one.locked.name, one.locked.version);
    let identity = Identity::of(pool, one.id)?.unwrap_or_else(|| Identity::from_bytes([0; 20]));
    let note = note(&identity);
    if let Some(known) = known(&note, means) {
        return Ok(known);
    }
    let failed = |source| PackageError::Package { package: package.clone(), source };
    let source = wanted.bundled.sources.iter().find(|source| source.name == one.locked.source);
    let mut failures = Vec::new();
    for mirror in source.map(|source| means.network.mirrors.of(source, wanted.distro)).unwrap_or_default() {
        let url = file_of(&mirror, &one.locked.path);
        let bytes = match means.network.fetcher.bytes(&url, &Headers::new(), one.locked.size.min(LARGEST)) {
            Ok(bytes) => bytes,
            Err(error @ FetchError::Offline { .. }) => return Err(failed(error)),
            Err(error) => {
                failures.push(failed(error));
                continue;
            }
        };
        let found = bytes.len() as u64;
        if found != one.locked.size {
            failures.push(failed(FetchError::Length { url: url.to_string(), expected: one.locked.size, found }));
            continue;
        }
        let digest = means.store.keep_download(&bytes)?;
        drop(bytes);
        let Some(path) = means.store.downloaded(&digest)? else { continue };
        match identify(&path) {
            Ok(Identified { identity: own, size, digest }) if own == identity => {
                means.store.keep_note(&note, &format!("{} {size}", digest.hex()))?;
                return Ok((digest, size));
            }
            Ok(other) => failures.push(PackageError::Identity {
                package: package.clone(),
                expected: identity.to_string(),
                found: other.identity.to_string(),
            }),
            Err(error) => failures.push(PackageError::Broken { package: package.clone(), source: error.into() }),
        }
    }
    Err(PackageError::of_source(&package, failures))
}

/// Returns what the digest of a package with an identity is noted by.
fn note(identity: &Identity) -> Digest {
    let mut hasher = Hasher::new();
    hasher.field(b"the package of Alpine with the identity");
    hasher.field(identity.as_bytes());
    hasher.finish().0
}

fn known(note: &Digest, means: &Means<'_>) -> Option<(Digest, u64)> {
    let text = means.store.note(note)?;
    let (hex, size) = text.trim().split_once(' ')?;
    Some((format!("sha256:{hex}").parse().ok()?, size.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use rsa::pkcs8::EncodePublicKey as _;

    use super::*;
    use crate::lock::Bundle;
    use crate::packages::Upgrade;
    use crate::packages::apk::archive::tests::{apk, signed};
    use crate::packages::apk::index::tests::index;
    use crate::packages::apk::key::Algorithm;
    use crate::packages::apk::key::tests::private;
    use crate::packages::tests::{BASE, World, network, versions, world_of};
    use crate::spec::PackageVariant;

    /// Serves a repository of packages: name, version, further lines of the index.
    fn publish(world: &World, packages: &[(&str, &str, &str)]) {
        publish_at(world, &format!("{BASE}test/main"), packages);
    }

    fn publish_at(world: &World, place: &str, packages: &[(&str, &str, &str)]) {
        let mut text = String::new();
        for (name, version, more) in packages {
            let bytes = apk(&format!("pkgname = {name}\npkgver = {version}\narch = x86_64"), &[], &[]);
            world.server.put(&format!("{place}/x86_64/{name}-{version}.apk"), &bytes);
            let file = tempfile::NamedTempFile::new().unwrap();
            fs::write_atomic(file.path(), &bytes).unwrap();
            let identity = identify(file.path()).unwrap().identity;
            text += &format!("C:{identity}\nP:{name}\nV:{version}\nA:x86_64\nS:{}\n{more}\n", bytes.len());
        }
        let bytes = signed(Algorithm::Sha1, &index(&text));
        world.server.put(&format!("{place}/x86_64/APKINDEX.tar.gz"), &bytes);
    }

    fn alpine() -> World {
        let mut world = world_of("alpine");
        let path = world._folder.path().join("test.rsa.pub");
        let pem = private().to_public_key().to_public_key_pem(rsa::pkcs8::LineEnding::LF).unwrap();
        fs::write_atomic(&path, pem.as_bytes()).unwrap();
        world.bundled.sources[0].keys = Keys::File { name: "test.rsa.pub".into(), path };
        world
    }

    const APP: [(&str, &str, &str); 3] =
        [("app", "1-r0", "D:lib>=1\n"), ("lib", "1-r0", ""), ("extra", "1-r0", "i:app lib\n")];

    #[test]
    fn packages_are_chosen_and_sealed() {
        let world = alpine();
        publish(&world, &APP);
        let bundle = world.first().unwrap();
        assert_eq!(versions(&bundle), ["app 1-r0", "extra 1-r0", "lib 1-r0"]);
        let files = world.fetch(&bundle.packages).unwrap();
        for (package, file) in bundle.packages.iter().zip(&files) {
            let bytes = fs::read(file).unwrap();
            assert_eq!((package.sha256, package.size), (Digest::of(&bytes), bytes.len() as u64));
        }
        assert_eq!(bundle.packages[0].path, "test/main/x86_64/app-1-r0.apk");
        assert_eq!((bundle.sources[0].suite.as_str(), bundle.sources[0].trusted), ("test/main", false));
        assert_eq!(bundle.packages[2].why, "app depends on lib >= 1");
        // What was compared once is known.
        world.server.asked();
        assert_eq!(world.first().unwrap(), bundle);
        assert_eq!(world.server.asked(), [format!("{BASE}test/main/x86_64/APKINDEX.tar.gz")]);
    }

    #[test]
    fn any_key_of_a_folder_may_sign() {
        let mut world = alpine();
        publish(&world, &APP);
        let folder = world._folder.path().to_owned();
        world.bundled.sources[0].keys = Keys::File { name: "keys".into(), path: folder.clone() };
        assert!(world.first().is_ok());
        fs::write_atomic(&folder.join("other.rsa.pub"), b"no key").unwrap();
        assert!(world.first().unwrap_err().to_string().contains("`other.rsa.pub` is no key of apk"));
    }

    #[test]
    fn nothing_is_taken_that_is_not_what_was_signed() {
        let mut world = alpine();
        publish(&world, &APP);
        let url = format!("{BASE}test/main/x86_64/lib-1-r0.apk");
        let (good, index) = (world.server.get(&url), format!("{BASE}test/main/x86_64/APKINDEX.tar.gz"));
        // Another package of the same length.
        world.server.put(&url, &apk("pkgname = lib\npkgver = 1-r0\narch = x86_65", &[], &[]));
        assert!(world.first().unwrap_err().to_string().contains("is not the package that its index names"));
        for (bad, words) in [
            (good.iter().map(|byte| byte ^ 1).collect::<Vec<u8>>(), "`lib 1-r0` cannot be taken: cannot unpack"),
            (good[..good.len() - 1].to_vec(), "lib 1-r0 cannot be fetched"),
            (good[..good.len() - 1].to_vec(), "bytes, expected"),
        ] {
            world.server.put(&url, &bad);
            let error = world.first().unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        world.server.put(&url, &good);
        assert!(world.first().is_ok());
        let mut bytes = world.server.get(&index);
        let last = bytes.len() - 12;
        bytes[last] ^= 1;
        world.server.put(&index, &bytes);
        assert!(world.first().unwrap_err().to_string().contains("does not fit"));
        publish(&world, &APP);
        world.bundled.sources[0].keys = Keys::Archive("other-keys".into());
        assert!(matches!(world.first(), Err(PackageError::NoKeys { .. })));
        world.bundled.sources[0].content = SourceContent::Directory { path: "x".into(), files: Vec::new() };
        assert!(world.first().unwrap_err().to_string().contains("`apk index`"));
    }

    #[test]
    fn who_asks_for_a_tag_gets_what_has_it() {
        let mut world = alpine();
        publish(&world, &[("app", "1-r0", "D:lib\n"), ("lib", "1-r0", ""), ("other", "1-r0", "")]);
        publish_at(
            &world,
            &format!("{BASE}edge/main"),
            &[("app", "2-r0", "D:lib new\n"), ("lib", "2-r0", ""), ("new", "2-r0", ""), ("other", "2-r0", "")],
        );
        let content = SourceContent::Suites { suites: vec!["edge".into()], components: vec!["main".into()] };
        let first = world.bundled.sources[0].clone();
        world.bundled.sources.push(PackageSource { name: "edge".into(), content, tag: Some("edge".into()), ..first });
        world.bundled.requests = ["app", "other"].map(|name| (name.to_owned(), None)).into();
        let stable = world.first().unwrap();
        assert_eq!(versions(&stable), ["app 1-r0", "lib 1-r0", "other 1-r0"]);
        assert_eq!(stable.sources.iter().map(|one| one.tag.as_deref()).collect::<Vec<_>>(), [None, Some("edge")]);
        // What the lock has is from elsewhere: who asks for a tag now wants another one, and nothing else changes.
        world.bundled.tags = [("app".to_owned(), "edge".to_owned())].into();
        let edge = world.choose(Some(&stable), &Upgrade::Nothing).unwrap();
        assert_eq!(versions(&edge), ["app 2-r0", "lib 1-r0", "new 2-r0", "other 1-r0"]);
        let tags: Vec<_> =
            edge.packages.iter().filter(|one| edge.tag(one) == Some("edge")).map(|one| &one.name).collect();
        assert_eq!(tags, ["app", "new"]);
        assert_eq!(versions(&world.choose(Some(&edge), &Upgrade::Nothing).unwrap()), versions(&edge));
        assert_ne!(stable.asked, edge.asked);
        // Without the tag it is as before.
        world.bundled.tags.clear();
        assert_eq!(versions(&world.choose(Some(&edge), &Upgrade::Nothing).unwrap()), versions(&stable));
        world.bundled.requests = [("new".to_owned(), None)].into();
        let error = world.first().unwrap_err().to_string();
        assert!(error.contains("new 2-r0 (only for who asks for it by the tag `@edge`)"), "{error}");
        world.bundled.tags = [("new".to_owned(), "testing".to_owned())].into();
        let error = world.first().unwrap_err();
        assert!(matches!(&error, PackageError::NoTag { tag } if tag == "testing") && error.is_unsolvable(), "{error}");
    }

    #[test]
    fn the_next_mirror_is_asked() {
        let mut world = alpine();
        publish(&world, &APP);
        world.bundled.sources[0].mirrors.insert(0, "http://dead.example/".parse().unwrap());
        assert_eq!(versions(&world.first().unwrap()), ["app 1-r0", "extra 1-r0", "lib 1-r0"]);
        // One whose index nobody signed is no better than one that does not answer, and so is one without the packages.
        world.server.put("http://dead.example/test/main/x86_64/APKINDEX.tar.gz", &index("C:x\n"));
        assert!(world.first().is_ok());
        let good = world.server.get(&format!("{BASE}test/main/x86_64/APKINDEX.tar.gz"));
        world.server.put("http://dead.example/test/main/x86_64/APKINDEX.tar.gz", &good);
        let empty = tempfile::tempdir().unwrap();
        world.store = crate::store::Store::open(empty.path()).unwrap();
        let bundle = world.first().unwrap();
        assert_eq!(world.fetch(&bundle.packages).unwrap().len(), 3);
    }

    #[test]
    fn a_variant_is_asked_for() {
        let mut world = alpine();
        world.bundled.settings.variant = PackageVariant::Essential;
        let base = ["alpine-baselayout", "alpine-release", "busybox", "musl"].map(|name| (name, "1-r0", ""));
        publish(&world, &[&APP[..], &base].concat());
        let bundle = world.first().unwrap();
        let why = |name: &str| bundle.package(name).unwrap().why.clone();
        assert_eq!((why("busybox"), why("app")), ("variant".into(), "requested".into()));
        assert_eq!(bundle.packages.len(), 7);
    }

    #[test]
    fn a_vendored_folder_stands_in_for_every_mirror() {
        let mut world = alpine();
        publish(&world, &APP);
        let bundle: Bundle = world.first().unwrap();
        let files = world.fetch(&bundle.packages).unwrap();
        let packages: Vec<_> = bundle.packages.iter().cloned().zip(files).collect();
        let folder = tempfile::tempdir().unwrap();
        let upgrade = Upgrade::Nothing;
        let wanted =
            Wanted { distro: &world.distro, bundled: &world.bundled, earlier: Some(&bundle), upgrade: &upgrade };
        let written = crate::packages::vendor(folder.path(), &packages, &wanted, &world.means()).unwrap();
        assert_eq!(written.0, 4, "three packages and an index");
        let empty = tempfile::tempdir().unwrap();
        world.store = crate::store::Store::open(empty.path()).unwrap();
        world.network = network(&Default::default(), true);
        let transport = crate::fetch::HttpTransport::new(crate::fetch::Settings::default());
        world.network.fetcher = crate::fetch::Fetcher::new(transport, true);
        world.network.mirrors.vendored = Some(folder.path().to_owned());
        assert_eq!(world.first().unwrap(), bundle);
    }
}
