//! Repositories of Arch and its derivatives: `REPOSITORY/os/ARCHITECTURE/REPOSITORY.db`, packages beside it.
//!
//! Comes in: the sources of a profile, and what was chosen from them. Goes out: the pool of every database, and packages that
//! a key of the source has signed. Always holds: a database is signed by nobody, so that what is in it is a claim until
//! the signature of the package itself is good; a source may say that nobody signs its packages.

use std::path::{Path, PathBuf};

use super::index;
use super::rules::choices;
use crate::digest::Hasher;
use crate::event::Event;
use crate::fs;
use crate::lock::LockedPackage;
use crate::packages::choose::{Chosen, Loaded, Wanted};
use crate::packages::error::PackageError;
use crate::packages::fetch::{asked, fetch, latest};
use crate::packages::means::Means;
use crate::packages::mirrors::file_of;
use crate::packages::model::Pool;
use crate::packages::parts::{self, Part, Reader};
use crate::packages::solve::Solution;
use crate::packages::solve::Variant;
use crate::packages::trust::{Keyring, Web};
use crate::packages::vendor::Exported;
use crate::resolve::{Keys, PackageSource, SourceContent};

/// What a pool is made by: one that is made otherwise has another number.
const POOL: &[u8] = b"pacman 1";
/// Where packages of keyrings put them.
const KEYRINGS: &str = "usr/share/pacman/keyrings";

/// Returns what a system has before anything is asked for: Arch knows no smaller system than `base`, and packages need not
/// name what is in it.
pub(in crate::packages) fn variant(variant: Variant) -> &'static [&'static str] {
    match variant {
        Variant::None => &[],
        Variant::Essential | Variant::Minbase | Variant::Standard => &["base"],
    }
}

/// Returns the repositories of every source, in their order.
fn parts<'run>(wanted: &Wanted<'run>, means: &Means<'_>) -> Result<Vec<Part<'run>>, PackageError> {
    let architecture = &wanted.distro.native_architecture;
    let mut parts = Vec::new();
    for source in &wanted.bundled.sources {
        let mirrors = means.network.mirrors.of(source, wanted.distro);
        match &source.content {
            SourceContent::Suites { suites, .. } => parts.extend(suites.iter().map(|suite| {
                let folder = format!("{suite}/os/{architecture}/");
                let index = format!("{folder}{suite}.db");
                Part { source, suite: suite.clone(), folder, index, mirrors: mirrors.clone() }
            })),
            SourceContent::Flat => {
                let index = format!("{}.db", source.name);
                parts.push(Part { source, suite: String::new(), folder: String::new(), index, mirrors });
            }
            SourceContent::Directory { .. } => {
                return Err(PackageError::Directory { source_name: source.name.clone(), command: "repo-add" });
            }
        }
    }
    Ok(parts)
}

/// Reads the databases of every source.
pub(in crate::packages) fn load(wanted: &Wanted<'_>, means: &Means<'_>) -> Result<Loaded, PackageError> {
    let parts = parts(wanted, means)?;
    // Without keys nothing can be taken in the end: better said before anything is fetched.
    for source in &wanted.bundled.sources {
        web(source, means)?;
    }
    parts::load(&parts, &Databases { architecture: &wanted.distro.native_architecture }, wanted, means)
}

/// Returns the databases that the packages of a lock were chosen from with the signatures of these packages, and a sentence
/// about each that cannot be had any more.
pub(in crate::packages) fn export(
    wanted: &Wanted<'_>,
    means: &Means<'_>,
) -> Result<(Vec<Exported>, Vec<String>), PackageError> {
    let (mut files, mut missing) = parts::export(&parts(wanted, means)?, wanted, means)?;
    let mut pools = Vec::new();
    for database in &files {
        let bytes = fs::read(&database.file.0)?;
        let pool = index::read(&database.path, &bytes, &wanted.distro.native_architecture)?;
        pools.push((database.source.clone(), pool));
    }
    for package in wanted.earlier.map(|bundle| bundle.packages.as_slice()).unwrap_or_default() {
        let signed = |source: &&PackageSource| source.name == package.source && source.keys != Keys::None;
        let Some(source) = wanted.bundled.sources.iter().find(signed) else { continue };
        let of_source = pools.iter().filter(|(name, _)| *name == source.name);
        let mut listed = of_source.map(|(_, pool)| listed_signature(pool, package));
        let listed = listed.find_map(Result::transpose).transpose()?;
        let path = format!("{}.sig", package.path);
        match listed.map_or_else(|| beside(package, source, wanted, means), Ok) {
            Ok(signature) => {
                let digest = means.store.keep_download(&signature)?;
                if let Some(file) = means.store.downloaded(&digest)? {
                    files.push(Exported { source: source.name.clone(), path, file: (file, digest) });
                }
            }
            Err(error @ PackageError::File(_)) => return Err(error),
            Err(_) => missing.push(format!("the signature of {} cannot be had any more", package.name)),
        }
    }
    Ok((files, missing))
}

/// Returns the signature that a database has of a package, where it has one.
fn listed_signature(pool: &Pool, package: &LockedPackage) -> Result<Option<Vec<u8>>, fs::Error> {
    let name = pool.find(package.name.as_bytes());
    for id in name.into_iter().flat_map(|name| pool.named(name)) {
        if pool.digest(id)? == Some(package.sha256) {
            let signature = pool.stored(pool.package(id).signature)?;
            return Ok((!signature.is_empty()).then_some(signature));
        }
    }
    Ok(None)
}

/// Reads databases, which nobody signs.
struct Databases<'run> {
    architecture: &'run str,
}

impl Reader for Databases<'_> {
    fn key(&self, _: &Part<'_>) -> Result<Vec<u8>, PackageError> {
        let mut hasher = Hasher::new();
        hasher.field(POOL);
        hasher.field(self.architecture.as_bytes());
        Ok(hasher.finish().0.as_bytes().to_vec())
    }

    fn read(&self, _: &Part<'_>, file: &str, bytes: &[u8]) -> Result<Pool, PackageError> {
        Ok(index::read(file, bytes, self.architecture)?)
    }
}

/// Returns the keys that have to vouch for the packages of a source; nothing when nobody has to.
///
/// `NAME-trusted` beside the file of keys names the master keys; without one every key of the file is trusted itself.
fn web(source: &PackageSource, means: &Means<'_>) -> Result<Option<Web>, PackageError> {
    let (name, path) = match &source.keys {
        Keys::None => return Ok(None),
        Keys::File { name, path } => (name.clone(), path.clone()),
        Keys::Archive(keyring) => {
            let name = keyring.strip_suffix("-keyring").unwrap_or(keyring);
            let path = means.network.mirrors.host.as_ref().map(|root| root.join(KEYRINGS).join(format!("{name}.gpg")));
            match path.filter(|path| fs::exists(path).unwrap_or(false)) {
                Some(path) => (keyring.clone(), path),
                None => {
                    let (source_name, keyring, name) = (source.name.clone(), keyring.clone(), name.to_owned());
                    return Err(PackageError::NoKeyring { source_name, keyring, name });
                }
            }
        }
    };
    let keyring = fs::read(&path)?;
    let beside = |end: &str| -> Result<Option<String>, fs::Error> {
        let path = companion(&path, end);
        if fs::exists(&path)? { fs::read_to_string(&path).map(Some) } else { Ok(None) }
    };
    let trusted = match beside("trusted")? {
        Some(trusted) => trusted,
        None => Keyring::read(&name, &keyring)?.fingerprints().join("\n"),
    };
    Ok(Some(Web::read(&name, &keyring, &trusted, &beside("revoked")?.unwrap_or_default())?))
}

/// Returns the path of `NAME-END` beside `NAME.gpg`.
fn companion(path: &Path, end: &str) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}-{end}"))
}

/// Checks the signature of every package over its file, also of those that an earlier lock has: keys may have changed since.
pub(in crate::packages) fn seal(
    chosen: &[Chosen],
    pool: &Pool,
    wanted: &Wanted<'_>,
    means: &Means<'_>,
) -> Result<(), PackageError> {
    for source in &wanted.bundled.sources {
        let Some(web) = web(source, means)? else { continue };
        let signed: Vec<&Chosen> = chosen.iter().filter(|one| one.locked.source == source.name).collect();
        let packages: Vec<_> = signed.iter().map(|one| one.locked.clone()).collect();
        let files = fetch(&packages, wanted.distro, &wanted.bundled.sources, means)?;
        for (one, file) in signed.iter().zip(&files) {
            let known = pool.stored(pool.package(one.id).signature)?;
            let signature = if known.is_empty() { beside(&one.locked, source, wanted, means)? } else { known };
            let package = format!("{} {}", one.locked.name, one.locked.version);
            let good = web.verify_file(file, &signature, means.network.now);
            good.map_err(|error| PackageError::Unsigned { package, source: Box::new(error.into()) })?;
        }
    }
    Ok(())
}

/// Gets the signature of a package whose database has none.
fn beside(
    package: &LockedPackage,
    source: &PackageSource,
    wanted: &Wanted<'_>,
    means: &Means<'_>,
) -> Result<Vec<u8>, PackageError> {
    let mut failures = Vec::new();
    for (mirror, others) in asked(&means.network.mirrors.of(source, wanted.distro), means) {
        match latest(&file_of(mirror, &format!("{}.sig", package.path)), others, means) {
            Ok((_, bytes)) => return Ok(bytes),
            Err(error) => failures.push(error),
        }
    }
    let source = PackageError::of_source(&source.name, failures);
    let package = format!("{} {}", package.name, package.version);
    Err(PackageError::Unsigned { package, source: Box::new(source) })
}

/// Tells of choices that pacman would have asked a person about.
pub(in crate::packages) fn warn_of_choices(pool: &Pool, solution: &Solution, means: &Means<'_>) {
    let name = |id| String::from_utf8_lossy(pool.name(pool.package(id).name)).into_owned();
    for choice in choices(pool, solution) {
        let others: Vec<String> = choice.others.iter().map(|id| name(*id)).collect();
        let (by, taken, wish) = (name(choice.by), name(choice.taken), &choice.name);
        means.reporter.report(Event::Warning {
            message: format!("`{by}` needs `{wish}`; `{taken}` was taken, {} would do as well", others.join(", ")),
            hint: Some("ask for one of them with `[package.NAME]` to choose yourself".into()),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::packages::archive::made::tar;
    use crate::packages::tests::{BASE, World, versions, world_of};
    use crate::spec::PackageVariant;

    /// Serves a repository of packages: name, version, bytes, further sections.
    fn publish(world: &World, packages: &[(&str, &str, &[u8], &str)]) {
        let mut members = Vec::new();
        for (name, version, bytes, more) in packages {
            let file = format!("{name}-{version}-any.pkg.tar.zst");
            world.server.put(&format!("{BASE}test/os/x86_64/{file}"), bytes);
            let (size, digest) = (bytes.len(), Digest::of(bytes).hex());
            members.push((
                format!("{name}-{version}/desc"),
                format!(
                    "%FILENAME%\n{file}\n\n%NAME%\n{name}\n\n%VERSION%\n{version}\n\n%CSIZE%\n{size}\n\n\
                     %SHA256SUM%\n{digest}\n\n%ARCH%\nany\n\n{more}"
                ),
            ));
        }
        let members: Vec<_> =
            members.iter().map(|(name, text)| (name.as_str(), b'0', 0o644, "", text.as_str())).collect();
        world.server.put(&format!("{BASE}test/os/x86_64/test.db"), &tar(&members));
    }

    const WEB: &str = "src/packages/trust/testdata/web";

    fn web_file(name: &str) -> Vec<u8> {
        fs::read(&Path::new(WEB).join(name)).unwrap()
    }

    fn arch() -> World {
        let mut world = world_of("arch");
        let path = Path::new(WEB).join("keyring.gpg");
        world.bundled.sources[0].keys = Keys::File { name: "keyring.gpg".into(), path };
        world
    }

    #[test]
    fn packages_are_taken_when_a_key_signed_them() {
        use base64ct::{Base64, Encoding as _};
        let mut world = arch();
        let package = web_file("package");
        let signature = |name: &str| format!("%PGPSIG%\n{}\n\n", Base64::encode_string(&web_file(name)));
        publish(&world, &[("app", "1-1", &package, &signature("good.sig"))]);
        let bundle = world.first().unwrap();
        assert_eq!(versions(&bundle), ["app 1-1"]);
        assert_eq!(bundle.packages[0].path, "test/os/x86_64/app-1-1-any.pkg.tar.zst");
        assert_eq!((bundle.sources[0].suite.as_str(), bundle.sources[0].trusted), ("test", false));
        // The signature may stand beside the package.
        publish(&world, &[("app", "1-1", &package, "")]);
        let error = world.first().unwrap_err().to_string();
        assert!(error.contains("`app 1-1` cannot be taken") && error.contains(".sig"), "{error}");
        world.server.put(&format!("{BASE}test/os/x86_64/app-1-1-any.pkg.tar.zst.sig"), &web_file("good.sig"));
        assert_eq!(world.first().unwrap().packages, bundle.packages);
        for wrong in ["bare.sig", "banned.sig"] {
            publish(&world, &[("app", "1-1", &package, &signature(wrong))]);
            let error = world.first().unwrap_err().to_string();
            assert!(error.contains("`app 1-1` cannot be taken"), "{error}");
        }
        publish(&world, &[("app", "1-1", b"other", &signature("good.sig"))]);
        assert!(world.first().is_err());
        world.bundled.sources[0].keys = Keys::None;
        assert!(world.first().unwrap().sources[0].trusted);
        world.bundled.sources[0].keys = Keys::Archive("archlinux-keyring".into());
        let error = world.first().unwrap_err().to_string();
        assert!(error.contains("put `archlinux.gpg`, `archlinux-trusted`"), "{error}");
    }

    #[test]
    fn an_extension_adds_what_its_host_does_not_have() {
        let mut world = arch();
        world.bundled.sources[0].keys = Keys::None;
        publish(&world, &[("lib", "1-1", b"lib", "")]);
        world.bundled.requests = [("lib".to_owned(), None)].into();
        let host = world.first().unwrap();
        world.bundled.requests = [("app".to_owned(), None)].into();
        let needs = |what: &str| format!("%DEPENDS%\n{what}\n\n");
        let lib = ("lib", "1-1", &b"lib"[..], "");
        fn app(needs: &str) -> (&str, &str, &[u8], &str) {
            ("app", "1-1", b"app", needs)
        }
        let both = needs("lib\nother");
        publish(&world, &[app(&both), lib, ("other", "2-1", b"other", "")]);
        assert_eq!(versions(&world.over(&host).unwrap()), ["app 1-1", "other 2-1"]);
        // The same by what the host says of itself.
        let (place, desc) = ("/var/lib/pacman/local/lib-1-1/desc", "%NAME%\nlib\n\n%VERSION%\n1-1\n\n%ARCH%\nany\n");
        assert_eq!(versions(&world.over_tree(place, desc).unwrap()), ["app 1-1", "other 2-1"]);
        let newer = needs("lib>=2");
        publish(&world, &[app(&newer), ("lib", "2-1", b"newer", "")]);
        let error = world.over_tree(place, desc).unwrap_err().to_string();
        assert!(error.contains("`lib` is 1-1 there, and would become 2-1"), "{error}");
        let error = world.over(&host).unwrap_err().to_string();
        assert!(error.contains("no source has lib 1-1 of the host any more"), "{error}");
    }

    #[test]
    fn the_next_mirror_is_asked() {
        let mut world = arch();
        world.bundled.sources[0].keys = Keys::None;
        publish(&world, &[("app", "1-1", b"app", "")]);
        world.bundled.sources[0].mirrors.insert(0, "http://dead.example/".parse().unwrap());
        let bundle = world.first().unwrap();
        assert_eq!(versions(&bundle), ["app 1-1"]);
        world.server.put("http://dead.example/test/os/x86_64/test.db", b"no database");
        assert_eq!(world.first().unwrap().packages, bundle.packages);
        // A mirror that has the database and not the package.
        let database = world.server.get(&format!("{BASE}test/os/x86_64/test.db"));
        world.server.put("http://dead.example/test/os/x86_64/test.db", &database);
        assert_eq!(world.first().unwrap().packages, bundle.packages);
        assert_eq!(world.fetch(&bundle.packages).unwrap().len(), 1);
    }

    #[test]
    fn groups_are_their_members_and_base_is_the_variant() {
        let mut world = arch();
        world.bundled.sources[0].keys = Keys::None;
        world.bundled.settings.variant = PackageVariant::Minbase;
        let group = "%GROUPS%\napp\n\n";
        publish(&world, &[("a", "1-1", b"a", group), ("b", "1-1", b"b", group), ("base", "1-1", b"c", "")]);
        let bundle = world.first().unwrap();
        let why: Vec<_> = bundle.packages.iter().map(|one| format!("{} {}", one.name, one.why)).collect();
        assert_eq!(why, ["a requested", "b requested", "base variant"]);
        // An older database is taken with a warning: nobody signs it.
        publish(&world, &[("a", "0-1", b"a", group), ("base", "1-1", b"c", "")]);
        let again = world.choose(Some(&bundle), &crate::packages::Upgrade::All).unwrap();
        assert_eq!(versions(&again), ["a 0-1", "base 1-1"]);
    }
}
