//! What an extension is laid over.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

use super::names;
use super::packages::Bundled;
use super::recipe::{Package, Recipe};
use super::resolver::Resolver;
use crate::digest::Digest;
use crate::spec::{
    ConfextTable, EtcContent, Located, Name, OverTable, PackageOrigin, PackageVariant, Place, Problem, Scalar,
    SpecError, SysextTable,
};

/// What the host of a system extension has already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// The tree that is here; the extension carries no packages.
    Path(PathBuf),
    /// These packages; the extension carries those that it needs beside them.
    Packages(OverPackages),
}

/// The packages that the host of a system extension has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OverPackages {
    /// Those that are chosen for a variant and some requests.
    Chosen {
        /// The variant.
        variant: PackageVariant,
        /// The names of packages.
        requests: BTreeSet<String>,
    },
    /// Those that the lock of this profile names for the same distro.
    Lock(String),
    /// Those of a tree that is here.
    Path {
        /// Where it is.
        #[serde(skip)]
        path: PathBuf,
        /// As the profile names it.
        name: String,
    },
    /// Those of a container image, by its name in a registry.
    Image(String),
}

impl std::fmt::Display for OverPackages {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Chosen { variant, requests } => {
                let known = VARIANTS.iter().find(|(_, known)| known == variant);
                write!(formatter, "the variant `{}`", known.map_or("", |(name, _)| name))?;
                let names: Vec<String> = requests.iter().map(|name| format!("`{name}`")).collect();
                if names.is_empty() { Ok(()) } else { write!(formatter, " with {}", names.join(", ")) }
            }
            Self::Lock(profile) => write!(formatter, "the lock of `{profile}`"),
            Self::Path { name, .. } => write!(formatter, "the tree of `{name}`"),
            Self::Image(name) => write!(formatter, "the image `{name}`"),
        }
    }
}

/// What is asked of the packages that a system extension carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionPackages {
    /// What it has to bring, if its host does not. The variant is that of the host.
    pub bundled: Bundled,
    /// What its host has.
    pub over: OverPackages,
}

impl ExtensionPackages {
    /// Returns the digest of all that decides which packages are chosen, but not of what another lock names.
    pub fn digest(&self) -> Digest {
        let asked = (self.bundled.digest(), &self.over);
        Digest::of(serde_json::to_vec(&asked).expect("what is asked for has only lists and texts"))
    }
}

impl Recipe {
    /// Returns what is asked of the packages that the system extension carries; nothing when it carries none.
    pub fn extension(&self) -> Option<ExtensionPackages> {
        match &self.outputs.sysext.as_ref()?.over {
            Some(Over::Packages(over)) => {
                let bundled = Bundled::of(&self.packages, self.package_settings.clone(), self.package_sources.clone());
                Some(ExtensionPackages { bundled, over: over.clone() })
            }
            _ => None,
        }
    }
}

/// One thing that a table names as the host.
#[derive(Clone, Copy)]
enum Named<'table> {
    Path(&'table Located<String>),
    Image(&'table Located<String>),
    Packages(&'table Located<Scalar>),
    Lock(&'table Located<Name>),
}

impl Named<'_> {
    /// Returns the key.
    fn key(self) -> &'static str {
        match self {
            Self::Path(_) => "path",
            Self::Image(_) => "image",
            Self::Packages(_) => "packages",
            Self::Lock(_) => "lock",
        }
    }

    /// Returns where it is written.
    fn written(&self) -> &Place {
        match self {
            Self::Path(path) => &path.place,
            Self::Image(image) => &image.place,
            Self::Packages(packages) => &packages.place,
            Self::Lock(lock) => &lock.place,
        }
    }
}

impl Resolver<'_> {
    /// Finds out what the system extension is laid over.
    pub(super) fn sysext_over(&mut self, table: &SysextTable) -> Option<Over> {
        let bundled = table.packages.as_ref().filter(|origin| origin.value == PackageOrigin::Bundled);
        if let Some(scanners) = table.scanners.as_ref().filter(|scanners| scanners.value && bundled.is_none()) {
            self.problems.push(
                Problem::at(
                    &scanners.place,
                    "there is nothing to list for scanners: the extension carries no packages",
                )
                .help("leave `scanners` out, or add `packages = \"bundled\"`"),
            );
        }
        let named = self.named(table.over.as_ref());
        match (bundled, named) {
            (None, None) => None,
            (None, Some(Named::Path(path))) => self.over_path(path).map(Over::Path),
            (None, Some(named)) => {
                let problem = Problem::at(named.written(), format!("`over.{}` says nothing here", named.key()));
                self.problems.push(
                    problem
                        .rule("it tells which packages an extension need not bring, and this one brings none")
                        .help("add `packages = \"bundled\"` under `[output.sysext]`"),
                );
                None
            }
            (Some(bundled), None) => {
                self.problems.push(
                    Problem::at(&bundled.place, "which packages does the host have?")
                        .rule("a sysext carries the packages that its host does not have")
                        .help(
                            "say so: `over = { packages = \"minbase\" }`, `over = { lock = \"PROFILE\" }`, or name its tree \
                             or image with `path` or `image`",
                        ),
                );
                None
            }
            (Some(bundled), Some(_)) => {
                if let Some(etc) = table.etc.as_ref().filter(|etc| etc.value != EtcContent::Factory) {
                    self.problems.push(
                        Problem::at(&etc.place, "the content that packages have in /etc goes into the factory")
                            .related(&bundled.place, "the extension carries packages")
                            .help("leave `etc` out"),
                    );
                }
                self.over_packages().map(Over::Packages)
            }
        }
    }

    /// Finds the tree that the configuration extension is laid over.
    pub(super) fn confext_over(&mut self, table: &ConfextTable) -> Option<PathBuf> {
        match self.named(table.over.as_ref())? {
            Named::Path(path) => self.over_path(path),
            named => {
                let message = format!("`over.{}` is for a sysext", named.key());
                self.problems.push(
                    Problem::at(named.written(), message)
                        .rule("a confext carries no packages")
                        .help("name the tree of the host: `over = { path = … }`"),
                );
                None
            }
        }
    }

    /// Returns which packages the host of the system extension has, when the extension carries packages.
    pub(super) fn over_packages(&mut self) -> Option<OverPackages> {
        let library = self.library;
        let table = library.profile.output.sysext.as_ref()?;
        table.packages.as_ref().filter(|origin| origin.value == PackageOrigin::Bundled)?;
        let over = table.over.as_ref()?;
        if let Some(lock) = &over.lock {
            if lock.value.as_str() == library.name {
                self.problems.push(
                    Problem::at(&lock.place, "the extension would be laid over itself")
                        .rule("`over.lock` is the profile of what the host runs"),
                );
                return None;
            }
            return Some(OverPackages::Lock(lock.to_string()));
        }
        if let Some(path) = &over.path {
            let name = self.render(path)?;
            return self.over_path(path).map(|path| OverPackages::Path { path, name });
        }
        if let Some(image) = &over.image {
            return self.read(Some(image), names::image).map(OverPackages::Image);
        }
        let packages = over.packages.as_ref()?;
        let variant = library.profile.packages.variant.as_ref().map(|variant| variant.value).unwrap_or_default();
        match &packages.value {
            Scalar::Text(name) => {
                let Some(variant) = variant_named(name) else {
                    let problem = Problem::at(&packages.place, format!("`{}` is no variant", name.escape_debug()));
                    let known = VARIANTS.map(|(name, _)| name);
                    self.problems.push(problem.suggest(name, "variants", known));
                    return None;
                };
                Some(OverPackages::Chosen { variant, requests: BTreeSet::new() })
            }
            Scalar::List(list) => {
                let family = self.distro.family;
                let text = |name: &String| Located::new(name.clone(), packages.place.clone());
                let names: Vec<Located<String>> = list.iter().map(text).collect();
                let requests: Option<BTreeSet<String>> =
                    names.iter().map(|name| self.read(Some(name), |text| names::package(family, text))).collect();
                Some(OverPackages::Chosen { variant, requests: requests? })
            }
            other => {
                let message = format!("`over.packages` is of type {}", other.type_word());
                let problem = Problem::at(&packages.place, message);
                self.problems.push(problem.rule("it is the name of a variant, or a list of packages"));
                None
            }
        }
    }

    /// Returns what is asked of the packages that the system extension carries.
    pub(super) fn extension(&mut self, packages: &BTreeMap<String, Package>) -> Option<ExtensionPackages> {
        let over = self.over_packages()?;
        let settings = self.package_settings(&self.library.profile.packages);
        let sources = self.package_sources();
        Some(ExtensionPackages { bundled: Bundled::of(packages, settings, sources), over })
    }

    /// Returns the one thing that a table names.
    fn named<'table>(&mut self, table: Option<&'table OverTable>) -> Option<Named<'table>> {
        let table = table?;
        let named = [
            table.path.as_ref().map(Named::Path),
            table.image.as_ref().map(Named::Image),
            table.packages.as_ref().map(Named::Packages),
            table.lock.as_ref().map(Named::Lock),
        ];
        let mut named = named.into_iter().flatten();
        let first = named.next()?;
        if let Some(second) = named.next() {
            self.problems.push(
                Problem::at(
                    second.written(),
                    format!("`over` names two hosts: `{}` and `{}`", first.key(), second.key()),
                )
                .related(first.written(), "the other one")
                .rule("an extension is laid over one host: leave one of them out"),
            );
        }
        Some(first)
    }

    /// Finds the tree of a host.
    fn over_path(&mut self, path: &Located<String>) -> Option<PathBuf> {
        let rendered = self.render(path)?;
        match self.project().import(&self.project().folder(), &rendered) {
            Ok(Some(import)) => Some(import.path),
            Ok(None) => {
                self.problems.push(
                    Problem::at(&path.place, format!("`{rendered}` does not exist"))
                        .rule("`over.path` is a directory, tar archive or image, relative to the project"),
                );
                None
            }
            Err(SpecError::Problems(problems)) => {
                self.problems.extend(problems.into_iter().map(|problem| problem.asked_at(&path.place)));
                None
            }
            Err(SpecError::File(error)) => {
                self.problems.push(Problem::at(&path.place, format!("{error}: {}", error.source)));
                None
            }
        }
    }
}

/// The variants by their names in a profile.
const VARIANTS: [(&str, PackageVariant); 4] = [
    ("none", PackageVariant::None),
    ("essential", PackageVariant::Essential),
    ("minbase", PackageVariant::Minbase),
    ("standard", PackageVariant::Standard),
];

fn variant_named(name: &str) -> Option<PackageVariant> {
    VARIANTS.iter().find(|(known, _)| *known == name).map(|(_, variant)| *variant)
}
