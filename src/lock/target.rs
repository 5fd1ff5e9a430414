//! What is asked for and given for one release of a distro.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Bundle, Difference};
use crate::digest::Digest;
use crate::resolve::{Bundled, ExtensionPackages, Requirements};
use crate::spec::Family;

/// What is asked for and given for one release of a distro.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The digest of everything else here: whoever edits or merges it by hand is told.
    pub(super) inputs: Digest,
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
    pub(super) asked: Option<Digest>,
    /// The digest of what is asked of those of an extension; nothing when it carries none.
    #[serde(skip)]
    pub(super) extension_asked: Option<Digest>,
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

impl Target {
    pub(super) fn of(required: Requirements) -> Self {
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
    pub(super) fn seal(&mut self) {
        self.inputs = self.digest();
    }

    /// Tells whether nobody changed it since it was written.
    pub(super) fn is_sealed(&self) -> bool {
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
    pub(super) fn bundle_differences(&self, name: &str, wanted: &Self) -> Vec<Difference> {
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
    pub(super) fn given(&self) -> Option<Digest> {
        self.base.as_ref().map_or(self.image.digest, |base| base.digest)
    }

    /// Tells whether the same is asked to be below the layers.
    pub(super) fn asks_like(&self, other: &Self) -> bool {
        let path = |target: &Self| target.base.as_ref().map(|base| base.path.clone());
        self.image.reference == other.image.reference && path(self) == path(other)
    }
}
