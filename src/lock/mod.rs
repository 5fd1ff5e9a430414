//! The lock: what a profile asks of the outside world, and what it was given.
//!
//! Comes in: what a profile requires for each of its distros, and the lock file beside it. Goes out: a [`Lock`], the differences to
//! the one on disk, and its canonical text. Always holds: equal locks are equal files, byte for byte; a lock that asks
//! for something else than the profile is stale.

mod packages;
mod target;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use packages::{Bundle, LockedPackage, LockedSource};
pub use target::{BaseFile, Image, Target};

use crate::digest::Digest;
use crate::distro::{Architecture, Distro};
use crate::fs;
use crate::resolve::Requirements;

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

/// Returns the name of the target: the distro, with the release when it is not the profile's.
pub fn target_of(distro: &Distro) -> String {
    if distro.default_release { distro.name.clone() } else { format!("{}-{}", distro.name, distro.release) }
}

#[cfg(test)]
mod tests;
