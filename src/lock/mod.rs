//! The lock: what a profile asks of the outside world, and what it was given.
//!
//! Comes in: what a profile requires for each of its distros, and the lock file beside it. Goes out: a [`Lock`], the differences to
//! the one on disk, and its canonical text. Always holds: equal locks are equal files, byte for byte; a lock that asks
//! for something else than the profile is stale.

mod packages;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use packages::{Bundle, LockedPackage, LockedSource};

use crate::digest::Digest;
use crate::distro::{Architecture, Distro};
use crate::fs;
use crate::resolve::{Bundled, ExtensionPackages, Requirements};
use crate::spec::Family;

/// The version of the file's form.
const VERSION: u32 = 2;

/// The first lines of every lock file.
const HEADER: &str = "\
# What this profile asks of the outside world, and what it was given. `layerforge render` renews this file when the
# profile asks for something else; `layerforge render --locked` refuses to. It belongs into version control.

";

/// A failure to read or keep a lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The file is not a lock of this version.
    #[error("`{}` is no lock file of this version of layerforge: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The profile asks for something else than the lock, and the lock must not change.
    #[error("`{}` is stale: {}", path.display(), listed(differences))]
    Stale {
        /// The file.
        path: PathBuf,
        /// What the profile asks for now.
        differences: Vec<Difference>,
    },
    /// There is no lock, and none may be written.
    #[error("`{}` does not exist", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] fs::Error),
}

/// One thing that a profile asks for and its lock does not, or the other way round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The target: `debian`, `debian-bookworm`.
    pub target: String,
    /// What is different: `image`, `packages`.
    pub what: &'static str,
    /// What the lock says; nothing when it says nothing.
    pub locked: Option<String>,
    /// What the profile asks for; nothing when it does not.
    pub wanted: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, what, .. } = self;
        match (&self.locked, &self.wanted) {
            (Some(locked), Some(wanted)) => write!(formatter, "{what} of {target}: `{locked}` became `{wanted}`"),
            (None, Some(wanted)) => write!(formatter, "{what} of {target}: `{wanted}` is new"),
            (Some(locked), None) => write!(formatter, "{what} of {target}: `{locked}` is gone"),
            (None, None) => write!(formatter, "{what} of {target}"),
        }
    }
}

fn listed(differences: &[Difference]) -> String {
    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// What was asked for and what was given, for every target of a profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    /// The profile.
    pub profile: String,
    /// What is asked for, by target.
    #[serde(default)]
    pub target: BTreeMap<String, Target>,
}

/// What is asked for and given for one release of a distro.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The digest of everything else here: whoever edits or merges it by hand is told.
    inputs: Digest,
    /// The family of its package manager.
    pub family: Family,
    /// The release.
    pub release: String,
    /// The base image.
    pub image: Image,
    /// The file below the layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseFile>,
    /// Packages, by the distribution's own names, sorted.
    pub packages: Vec<String>,
    /// The packages that outputs carry, by architecture.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bundle: BTreeMap<String, Bundle>,
    /// The packages that a system extension adds to its host, by architecture.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extension: BTreeMap<String, Bundle>,
    /// The digest of what is asked of them; nothing when no output carries any.
    #[serde(skip)]
    asked: Option<Digest>,
    /// The digest of what is asked of those of an extension; nothing when it carries none.
    #[serde(skip)]
    extension_asked: Option<Digest>,
}

/// A base image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// The reference that is asked for.
    pub reference: String,
    /// The digest of what was there; only where the layers stand on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// A file below the layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseFile {
    /// The path, as the profile names it.
    pub path: String,
    /// The digest of the manifest of the image there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

impl Lock {
    /// Returns the lock that asks for what is required for each distro.
    pub fn of(profile: &str, requirements: impl IntoIterator<Item = Requirements>) -> Self {
        let target =
            requirements.into_iter().map(|required| (target_of(&required.distro), Target::of(required))).collect();
        Self { version: VERSION, profile: profile.to_owned(), target }
    }

    /// Takes what was given for the image or the file below the layers of a target.
    pub fn give(&mut self, target: &str, digest: Digest) {
        if let Some(target) = self.target.get_mut(target) {
            match &mut target.base {
                Some(base) => base.digest = Some(digest),
                None => target.image.digest = Some(digest),
            }
            target.seal();
        }
    }

    /// Takes the packages that outputs of a target carry on an architecture.
    pub fn give_bundle(&mut self, target: &str, architecture: Architecture, bundle: Bundle) {
        if let Some(target) = self.target.get_mut(target) {
            target.bundle.insert(architecture.to_string(), bundle);
            target.seal();
        }
    }

    /// Returns the packages that outputs of `required` carry, as long as the same is asked for.
    pub fn bundle(&self, required: &Requirements) -> Option<&Bundle> {
        let asked = required.bundled.as_ref()?.digest();
        self.earlier_bundle(&required.distro).filter(|bundle| bundle.asked == asked)
    }

    /// Returns the packages that outputs for `distro` carry, whatever was asked for.
    pub fn earlier_bundle(&self, distro: &Distro) -> Option<&Bundle> {
        self.target.get(&target_of(distro))?.bundle.get(distro.architecture.as_str())
    }

    /// Takes the packages that a system extension of a target adds to its host on an architecture.
    pub fn give_extension(&mut self, target: &str, architecture: Architecture, bundle: Bundle) {
        if let Some(target) = self.target.get_mut(target) {
            target.extension.insert(architecture.to_string(), bundle);
            target.seal();
        }
    }

    /// Returns the packages that a system extension of `required` adds to its host, as long as the same is asked for.
    pub fn extension(&self, required: &Requirements) -> Option<&Bundle> {
        let asked = required.extension.as_ref()?.digest();
        self.earlier_extension(&required.distro).filter(|bundle| bundle.asked == asked)
    }

    /// Returns the packages that a system extension for `distro` adds to its host, whatever was asked for.
    pub fn earlier_extension(&self, distro: &Distro) -> Option<&Bundle> {
        self.target.get(&target_of(distro))?.extension.get(distro.architecture.as_str())
    }

    /// Returns what was given for what `required` asks to be below the layers.
    pub fn given(&self, required: &Requirements) -> Option<Digest> {
        let target = self.target.get(&target_of(&required.distro))?;
        let same = match &required.base_path {
            Some(path) => target.base.as_ref().is_some_and(|base| base.path == *path),
            None => target.base.is_none() && target.image.reference == required.image,
        };
        target.given().filter(|_| same)
    }

    /// Reads the lock at `path`; nothing when there is none.
    ///
    /// # Errors
    /// When it cannot be read, is no lock, or was edited by hand.
    pub fn read(path: &Path) -> Result<Option<Self>, LockError> {
        let Some(lock) = Self::parse(path)? else { return Ok(None) };
        if let Some((name, _)) = lock.target.iter().find(|(_, target)| !target.is_sealed()) {
            let reason = format!("`inputs` of `{name}` does not fit the rest: it was edited or merged by hand");
            return Err(LockError::Malformed { path: path.to_owned(), reason });
        }
        Ok(Some(lock))
    }

    /// Reads the lock at `path` to make it anew: of targets that were edited or merged by hand, packages are chosen and base
    /// images looked up again; their versions still count as those of before.
    ///
    /// # Errors
    /// When it cannot be read or is no lock.
    pub fn read_edited(path: &Path) -> Result<Option<Self>, LockError> {
        let mut lock = Self::parse(path)?;
        let targets = lock.iter_mut().flat_map(|lock| lock.target.values_mut());
        for target in targets.filter(|target| !target.is_sealed()) {
            target.image.digest = None;
            target.base.iter_mut().for_each(|base| base.digest = None);
            let bundles = target.bundle.values_mut().chain(target.extension.values_mut());
            bundles.for_each(|bundle| bundle.asked = Digest::from_bytes([0; 32]));
        }
        Ok(lock)
    }

    fn parse(path: &Path) -> Result<Option<Self>, LockError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let malformed = |reason: String| LockError::Malformed { path: path.to_owned(), reason };
        let lock: Self = toml::from_str(&text).map_err(|error| malformed(error.to_string().trim_end().to_owned()))?;
        if lock.version != VERSION {
            return Err(malformed(format!("its version is {}, expected {VERSION}", lock.version)));
        }
        Ok(Some(lock))
    }

    /// Returns the canonical text.
    pub fn to_text(&self) -> String {
        let body = toml::to_string(self).expect("a lock has only tables, strings and numbers");
        format!("{HEADER}{body}")
    }

    /// Returns what `wanted` asks for and this lock does not. Targets that only this lock has do not count: they were
    /// rendered with another release.
    pub fn differences(&self, wanted: &Self) -> Vec<Difference> {
        let mut differences = Vec::new();
        for (name, target) in &wanted.target {
            let Some(locked) = self.target.get(name) else {
                let wanted = Some(format!("{} {}", name, target.release));
                differences.push(Difference { target: name.clone(), what: "target", locked: None, wanted });
                continue;
            };
            let mut differ = |what, locked: Option<String>, wanted: Option<String>| {
                if locked != wanted {
                    differences.push(Difference { target: name.clone(), what, locked, wanted });
                }
            };
            differ("release", Some(locked.release.clone()), Some(target.release.clone()));
            differ("image", Some(locked.image.reference.clone()), Some(target.image.reference.clone()));
            let path = |target: &Target| target.base.as_ref().map(|base| base.path.clone());
            differ("base", path(locked), path(target));
            // What nobody has looked up yet is not different.
            let given = |target: &Target| target.given().map(|digest| digest.to_string());
            if target.given().is_some() {
                differ("digest", given(locked), given(target));
            }
            for package in locked.packages.iter().filter(|package| !target.packages.contains(package)) {
                differ("package", Some(package.clone()), None);
            }
            for package in target.packages.iter().filter(|package| !locked.packages.contains(package)) {
                differ("package", None, Some(package.clone()));
            }
            differences.extend(locked.bundle_differences(name, target));
        }
        differences
    }

    /// Takes what `wanted` asks for; targets that only this lock has stay, and so does what was given for what is asked for
    /// as before.
    pub fn renew(&mut self, mut wanted: Self) {
        for (name, target) in &mut wanted.target {
            if let Some(locked) = self.target.get(name).filter(|_| target.given().is_none())
                && locked.asks_like(target)
            {
                (target.image, target.base) = (locked.image.clone(), locked.base.clone());
            }
            // Those of another architecture stay until somebody looks them up; what is stale is told by its digest.
            if let (Some(locked), Some(_)) = (self.target.get(name), target.asked) {
                for (architecture, bundle) in &locked.bundle {
                    target.bundle.entry(architecture.clone()).or_insert_with(|| bundle.clone());
                }
            }
            if let (Some(locked), Some(_)) = (self.target.get(name), target.extension_asked) {
                for (architecture, bundle) in &locked.extension {
                    target.extension.entry(architecture.clone()).or_insert_with(|| bundle.clone());
                }
            }
            target.seal();
        }
        self.profile = wanted.profile;
        self.target.extend(wanted.target);
    }
}

impl Target {
    fn of(required: Requirements) -> Self {
        let mut packages: Vec<String> = required.packages.into_values().flat_map(|package| package.names).collect();
        packages.sort();
        packages.dedup();
        let asked = required.bundled.as_ref().map(Bundled::digest);
        let extension_asked = required.extension.as_ref().map(ExtensionPackages::digest);
        let mut target = Self {
            inputs: Digest::of([]),
            family: required.distro.family,
            release: required.distro.release,
            image: Image { reference: required.image, digest: None },
            base: required.base_path.map(|path| BaseFile { path, digest: None }),
            packages,
            bundle: BTreeMap::new(),
            extension: BTreeMap::new(),
            asked,
            extension_asked,
        };
        target.seal();
        target
    }

    /// Writes down the digest of everything else.
    fn seal(&mut self) {
        self.inputs = self.digest();
    }

    /// Tells whether nobody changed it since it was written.
    fn is_sealed(&self) -> bool {
        self.inputs == self.digest()
    }

    fn digest(&self) -> Digest {
        let Self { family, release, image, base, packages, bundle, extension, .. } = self;
        let rest = (family, release, image, base, packages, bundle);
        let text = match extension.is_empty() {
            // As it was before there were any.
            true => serde_json::to_vec(&rest),
            false => serde_json::to_vec(&(rest, extension)),
        };
        Digest::of(text.expect("a lock has only maps, strings and numbers"))
    }

    /// Returns what is different in the packages that outputs of `wanted` carry.
    fn bundle_differences(&self, name: &str, wanted: &Self) -> Vec<Difference> {
        let mut differences = Vec::new();
        let differ = |what, locked: Option<String>, wanted: Option<String>| {
            let target = name.to_owned();
            Difference { target, what, locked, wanted }
        };
        let count = |architecture: &str, bundle: &Bundle| Some(format!("{} for {architecture}", bundle.packages.len()));
        let groups = [
            ("bundled packages", &self.bundle, &wanted.bundle, wanted.asked),
            ("packages of the extension", &self.extension, &wanted.extension, wanted.extension_asked),
        ];
        for (what, before, now, asked) in groups {
            for (architecture, bundle) in now {
                let Some(locked) = before.get(architecture) else {
                    differences.push(differ(what, None, count(architecture, bundle)));
                    continue;
                };
                let found = locked.differences(name, bundle);
                let digests =
                    |bundle: &Bundle| [Some(bundle.asked), bundle.over].map(|one| one.map(|one| one.to_string()));
                let pairs = ["request", "what the extension is laid over"].into_iter().zip(digests(locked));
                if found.is_empty() {
                    let changed = pairs.zip(digests(bundle)).filter(|((_, locked), wanted)| locked != wanted);
                    differences.extend(changed.map(|((what, locked), wanted)| differ(what, locked, wanted)));
                }
                differences.extend(found);
            }
            if asked.is_none() {
                let gone = |(architecture, bundle): (&String, &Bundle)| differ(what, count(architecture, bundle), None);
                differences.extend(before.iter().map(gone));
            }
        }
        differences
    }

    /// Returns the digest of what is below the layers.
    fn given(&self) -> Option<Digest> {
        self.base.as_ref().map_or(self.image.digest, |base| base.digest)
    }

    /// Tells whether the same is asked to be below the layers.
    fn asks_like(&self, other: &Self) -> bool {
        let path = |target: &Self| target.base.as_ref().map(|base| base.path.clone());
        self.image.reference == other.image.reference && path(self) == path(other)
    }
}

/// Returns the name of the target: the distro, with the release when it is not the profile's.
pub fn target_of(distro: &Distro) -> String {
    if distro.default_release { distro.name.clone() } else { format!("{}-{}", distro.name, distro.release) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(packages: &[&str]) -> Lock {
        let mut target = Target {
            inputs: Digest::of([]),
            family: Family::Apk,
            release: "3.22".into(),
            image: Image { reference: "example.org/alpine:3.22".into(), digest: None },
            base: None,
            packages: packages.iter().map(ToString::to_string).collect(),
            bundle: BTreeMap::new(),
            extension: BTreeMap::new(),
            asked: None,
            extension_asked: None,
        };
        target.seal();
        Lock { version: VERSION, profile: "web".into(), target: BTreeMap::from([("alpine".to_owned(), target)]) }
    }

    #[test]
    fn the_text_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.lock");
        assert_eq!(Lock::read(&path).unwrap(), None);
        fs::write_atomic(&path, lock(&["nginx"]).to_text().as_bytes()).unwrap();
        assert_eq!(Lock::read(&path).unwrap(), Some(lock(&["nginx"])));
    }

    #[test]
    fn the_text_is_canonical() {
        insta::assert_snapshot!(lock(&["brotli", "nginx"]).to_text());
    }

    #[test]
    fn edits_by_hand_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.lock");
        let edited = lock(&["nginx"]).to_text().replace("nginx", "apache2");
        fs::write_atomic(&path, edited.as_bytes()).unwrap();
        assert!(Lock::read(&path).unwrap_err().to_string().contains("edited or merged by hand"));
    }

    #[test]
    fn differences_say_what_changed() {
        let told: Vec<_> =
            lock(&["nginx", "curl"]).differences(&lock(&["nginx", "brotli"])).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["package of alpine: `curl` is gone", "package of alpine: `brotli` is new"]);
    }

    #[test]
    fn what_was_given_stays_as_long_as_the_same_is_asked_for() {
        let mut old = lock(&["nginx"]);
        old.give("alpine", Digest::of(b"image"));
        old.renew(lock(&["curl"]));
        assert_eq!(old.target["alpine"].image.digest, Some(Digest::of(b"image")));
        assert!(old.differences(&lock(&["curl"])).is_empty());
        let mut upgraded = lock(&["curl"]);
        upgraded.give("alpine", Digest::of(b"newer"));
        assert_eq!(old.differences(&upgraded).len(), 1);
        let mut other = lock(&["curl"]);
        other.target.get_mut("alpine").unwrap().image.reference = "example.org/alpine:edge".into();
        old.renew(other);
        assert_eq!(old.target["alpine"].image.digest, None);
    }

    #[test]
    fn other_releases_stay_when_a_lock_is_renewed() {
        let mut old = lock(&["nginx"]);
        let edge = old.target["alpine"].clone();
        old.target.insert("alpine-edge".into(), edge);
        old.renew(lock(&["curl"]));
        assert_eq!(old.target.keys().collect::<Vec<_>>(), ["alpine", "alpine-edge"]);
        assert_eq!(old.target["alpine"].packages, ["curl"]);
        assert!(old.differences(&lock(&["curl"])).is_empty());
    }

    fn bundle(packages: &[(&str, &str, &str)]) -> Bundle {
        let package = |(name, version, why): &(&str, &str, &str)| LockedPackage {
            name: (*name).to_owned(),
            version: (*version).to_owned(),
            architecture: "amd64".into(),
            source: "debian".into(),
            path: format!("pool/main/{name}_{version}_amd64.deb"),
            size: 1000,
            sha256: Digest::of(format!("{name} {version}")),
            why: (*why).to_owned(),
        };
        let source = LockedSource {
            name: "debian".into(),
            suite: "trixie".into(),
            date: Some(1_757_146_141),
            digest: Digest::of(b"release"),
            trusted: false,
        };
        let packages = packages.iter().map(package).collect();
        Bundle { asked: Digest::of(b"asked"), over: None, sources: vec![source], packages, below: Vec::new() }
    }

    fn bundled(packages: &[(&str, &str, &str)]) -> Lock {
        let mut lock = lock(&["nginx"]);
        lock.target.get_mut("alpine").unwrap().asked = Some(Digest::of(b"asked"));
        lock.give_bundle("alpine", Architecture::X86_64, bundle(packages));
        lock
    }

    #[test]
    fn the_text_of_bundled_packages_reads_back() {
        let lock =
            bundled(&[("libc6", "2.41-12", "nginx depends on libc6 >= 2.38"), ("nginx", "1.26.3-3", "requested")]);
        insta::assert_snapshot!(lock.to_text());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.lock");
        fs::write_atomic(&path, lock.to_text().as_bytes()).unwrap();
        let read = Lock::read(&path).unwrap().unwrap();
        assert_eq!(read.to_text(), lock.to_text());
        let edited = lock.to_text().replace("2.41-12", "2.41-13");
        fs::write_atomic(&path, edited.as_bytes()).unwrap();
        assert!(Lock::read(&path).unwrap_err().to_string().contains("`inputs` of `alpine`"));
    }

    #[test]
    fn other_versions_are_told() {
        let mut old = bundled(&[("libc6", "2.41-12", "variant"), ("perl", "5", "variant")]);
        let new = bundled(&[("libc6", "2.41-13", "variant"), ("nginx", "1", "requested")]);
        let told: Vec<_> = old.differences(&new).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "bundled package of alpine: `libc6 2.41-12` became `libc6 2.41-13`",
                "bundled package of alpine: `nginx 1` is new",
                "bundled package of alpine: `perl 5` is gone",
            ]
        );
        old.renew(new.clone());
        assert_eq!(old.to_text(), new.to_text());
        // Nobody asked for another architecture, and nobody looked anything up: what there is stays.
        let mut silent = lock(&["nginx"]);
        silent.target.get_mut("alpine").unwrap().asked = Some(Digest::of(b"other"));
        assert!(old.differences(&silent).is_empty());
        old.renew(silent);
        assert_eq!(old.target["alpine"].bundle["x86_64"].packages.len(), 2);
        // Once no output carries packages, they go.
        assert_eq!(old.differences(&lock(&["nginx"])).len(), 1);
        old.renew(lock(&["nginx"]));
        assert!(old.target["alpine"].bundle.is_empty());
    }

    #[test]
    fn an_extension_knows_its_host() {
        let mut old = lock(&["nginx"]);
        old.target.get_mut("alpine").unwrap().extension_asked = Some(Digest::of(b"asked"));
        let plain = old.to_text();
        let extension = |version: &str| {
            let below = bundle(&[("libc6", version, "variant")]).packages;
            Bundle { over: Some(Bundle::digest_of(&below)), below, ..bundle(&[("nginx", "1", "requested")]) }
        };
        old.give_extension("alpine", Architecture::X86_64, extension("1"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.lock");
        fs::write_atomic(&path, old.to_text().as_bytes()).unwrap();
        let read = Lock::read(&path).unwrap().unwrap();
        assert_eq!((read.to_text(), &read.target["alpine"].extension["x86_64"]), (old.to_text(), &extension("1")));
        let edited = old.to_text().replace("\"libc6\"", "\"libc7\"");
        fs::write_atomic(&path, edited.as_bytes()).unwrap();
        assert!(Lock::read(&path).unwrap_err().to_string().contains("`inputs` of `alpine`"));
        let mut new = old.clone();
        new.give_extension("alpine", Architecture::X86_64, extension("2"));
        let told: Vec<_> = old.differences(&new).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["package below the extension of alpine: `libc6 1` became `libc6 2`"]);
        // Once the extension carries no packages, they go, and the lock is as it was before.
        let without = lock(&["nginx"]);
        assert_eq!(old.differences(&without).len(), 1);
        old.renew(without);
        assert_eq!(old.to_text(), plain);
    }

    #[test]
    fn the_chain_of_reasons() {
        let bundle = bundle(&[
            ("a", "1", "b depends on a"),
            ("b", "1", "nginx recommends b >= 1"),
            ("c", "1", "d depends on c"),
            ("d", "1", "c depends on d"),
            ("nginx", "1", "requested"),
        ]);
        let names = |name: &str| bundle.why(name).iter().map(|package| package.name.clone()).collect::<Vec<_>>();
        assert_eq!(names("a"), ["a", "b", "nginx"]);
        assert_eq!(names("nginx"), ["nginx"]);
        assert_eq!(names("c"), ["c", "d"], "a circle ends");
        assert!(names("e").is_empty());
    }
}
