//! From locked packages to the tree of a complete root filesystem.
//!
//! Comes in: a [`PackageSet`], the exact packages and their files. Goes out: a [`PackageTree`]: what they are together, set
//! up, and who has which path. Packages may be added to the tree of a host. Always holds: the tree depends on the set alone, not
//! on who makes it where and when; the same set is made once, and its contents outlive the folder that its scripts ran in.
//!
//! ```text
//! files ──unpack──▶ tree with a database ──scripts──▶ set up ──normalise──▶ without traces ──keep──▶ store
//! ```
//!
//! Packages of Debian are set up in two steps: what every system has ([`essential`]) is a tree of its own, which is made and kept
//! once for all sets that share it; the others are set up over that.

mod accounts;
mod alpine;
mod arch;
mod disk;
mod distroless;
mod divert;
mod dpkg;
mod essential;
mod host;
mod keep;
mod licence;
mod list;
mod loader;
mod needs;
mod normal;
mod rules;
mod scripts;
mod skip;
mod steps;
mod unpack;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use self::dpkg::Decided;
use crate::digest::{Digest, Hasher};
use crate::distro::Distro;
use crate::event::{Event, Reporter};
use crate::fs;
use crate::lock::{Bundle, LockedPackage};
use crate::packages::apt::archive::ArchiveError;
use crate::packages::apt::control::ControlError;
use crate::packages::apt::database::DatabaseError;
use crate::resolve::{PackageSettings, User};
use crate::sandbox::{Privilege, SandboxError};
use crate::spec::{Family, Scripts};
use crate::store::Store;
use crate::tree::{InvalidPath, Tree, TreeError, TreePath};

pub use host::HostTree;
pub use licence::spdx;
pub use list::{InstalledPackage, package_url};
pub use skip::Skipped;

/// Stands first in the key of a tree; a change of what is made of packages changes it.
const FORMAT: &[u8] = b"layerforge packages 3";

/// Packages that cannot become a tree.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// What a package says about itself is not written as it should be.
    #[error("{0}")]
    Info(String),
    /// There is no shell for scripts.
    #[error(
        "`{package}` has scripts, and no package of the set brings `/bin/sh`: add one, or set `scripts = \"skip\"`"
    )]
    NoShell {
        /// The first package with scripts.
        package: String,
    },
    /// Packages of Alpine or Arch do not fit together.
    #[error(transparent)]
    Together(#[from] crate::packages::database::DatabaseError),
    /// What scripts of packages of Arch do cannot be done in their place.
    #[error(transparent)]
    Skip(#[from] crate::packages::pacman::skip::SkipError),
    /// A pattern for paths is none.
    #[error("the path pattern `{pattern}` is none: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An answer cannot be given to debconf.
    #[error("the answer to `{question}` cannot be given: {reason}")]
    Answer {
        /// The question.
        question: String,
        /// Why not.
        reason: &'static str,
    },
    /// A user or group of the profile cannot be there.
    #[error("the user or group `{name}` cannot be made: {reason}")]
    Account {
        /// Its name.
        name: String,
        /// Why not.
        reason: String,
    },
    /// A package has a path that its host has, and no right to it.
    #[error(
        "the package `{package}` has `{path}`, which is {owner} on its host, and may not replace it: an extension adds packages \
         and changes none"
    )]
    OfHost {
        /// The path.
        path: TreePath,
        /// The package that is added.
        package: String,
        /// What it is of on the host, as a phrase.
        owner: String,
    },
    /// The lists of the host's packages cannot be read.
    #[error(transparent)]
    Installed(#[from] crate::packages::installed::InstalledError),
    /// The host cannot run scripts.
    #[error(
        "`{package}` has scripts, and its host has no `/usr/bin/dpkg`, which runs them: set `scripts = \"skip\"` under \
         `[packages]`"
    )]
    NoDpkgOnHost {
        /// The first package with scripts.
        package: String,
    },
    /// Nothing in the set can run scripts.
    #[error(
        "`{package}` has scripts, and no package of the set is `dpkg`, which runs them: add it, or set `scripts = \"skip\"`"
    )]
    NoDpkg {
        /// The first package with scripts.
        package: String,
    },
    /// The scripts failed, or could not be run.
    #[error("cannot set the packages up: {0}")]
    Scripts(#[from] SandboxError),
    /// A package cannot be unpacked.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A control file is not written as it should be.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// Packages do not fit together.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A path does not fit into the tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A path is none.
    #[error(transparent)]
    Path(#[from] InvalidPath),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] fs::Error),
}

impl PackagesError {
    /// Returns the exit code of the program: by whose fault it is.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Pattern { .. } | Self::Answer { .. } | Self::Account { .. } => 3,
            Self::NoDpkg { .. } | Self::NoDpkgOnHost { .. } | Self::NoShell { .. } => 3,
            Self::Database(_) | Self::Together(_) | Self::OfHost { .. } => 4,
            Self::Archive(ArchiveError::Other { .. }) => 5,
            _ => 1,
        }
    }

    /// Returns what mends it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Scripts(error) => error.hint(),
            _ => None,
        }
    }
}

/// The exact packages of a root filesystem, and how they become one.
#[derive(Debug, Clone)]
pub struct PackageSet {
    /// What the packages are for.
    pub family: Family,
    /// `ID` of the distribution, and its `VERSION_ID` when it has one.
    pub distro: (String, Option<String>),
    /// The architecture, by the family's name.
    pub architecture: String,
    /// Links of a merged `/usr`, which are there before any package where no package has them: path and target.
    pub links: BTreeMap<String, String>,
    /// What the packages are added to; nothing for a root filesystem of their own.
    pub host: Option<HostTree>,
    /// The packages, each with the file that it was fetched to.
    pub packages: Vec<(LockedPackage, PathBuf)>,
    /// The users of the profile, by name: they are there before any script.
    pub users: BTreeMap<String, User>,
    /// The groups of the profile, with their numbers.
    pub groups: BTreeMap<String, u32>,
    /// What the system asks for: the lines of `/etc/apk/world`, for apk. Without any, the packages that somebody asks for.
    pub world: Vec<String>,
    /// The tags of the repositories that packages come from, by their names, for apk.
    pub tags: BTreeMap<String, String>,
    /// The packages that come from sources that nobody vouches for, by name.
    pub unsigned: BTreeSet<String>,
    /// The lines of `/etc/apk/repositories`, for apk.
    pub repositories: Vec<String>,
    /// The files of the keys that vouch for these repositories and that no package brings, by their names, for apk.
    pub keys: BTreeMap<String, Vec<u8>>,
    /// Files that tell apt where packages come from, and their keys, by path: they are there where no package has them.
    pub sources: BTreeMap<String, Vec<u8>>,
    /// How they become a tree.
    pub settings: PackageSettings,
    /// The latest time of anything in the tree, and that of all that is made here, in seconds since 1970.
    pub epoch: i64,
}

impl PackageSet {
    /// Returns the set of these packages for a distro.
    pub fn new(
        distro: &Distro,
        packages: Vec<(LockedPackage, PathBuf)>,
        settings: PackageSettings,
        epoch: i64,
    ) -> Self {
        let links = distro.symlinks.iter().filter(|(_, target)| distro.merged_usr && target.starts_with("usr/"));
        Self {
            family: distro.family,
            distro: (distro.id.clone(), distro.version_id.clone()),
            architecture: distro.native_architecture.clone(),
            links: links.map(|(path, target)| (path.clone(), target.clone())).collect(),
            host: None,
            packages,
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
            world: Vec::new(),
            tags: BTreeMap::new(),
            unsigned: BTreeSet::new(),
            repositories: Vec::new(),
            keys: BTreeMap::new(),
            sources: BTreeMap::new(),
            settings,
            epoch,
        }
    }

    /// Sets the users and groups of the profile.
    #[must_use]
    pub fn accounts(self, users: BTreeMap<String, User>, groups: BTreeMap<String, u32>) -> Self {
        Self { users, groups, ..self }
    }

    /// Sets what the system asks for beside the variant: lines of `etc/apk/world`.
    #[must_use]
    pub fn world(self, mut world: Vec<String>) -> Self {
        let variant = self.packages.iter().filter(|(package, _)| package.why == "variant");
        world.extend(variant.map(|(package, _)| package.name.clone()));
        world.sort();
        world.dedup();
        Self { world, ..self }
    }

    /// Takes over what a lock says about where the packages come from.
    #[must_use]
    pub fn origin(self, bundle: &Bundle) -> Self {
        let tag = |package: &LockedPackage| Some((package.name.clone(), bundle.tag(package)?.to_owned()));
        let unsigned = bundle.packages.iter().filter(|package| !bundle.is_signed(package));
        let unsigned = unsigned.map(|package| package.name.clone()).collect();
        Self { tags: bundle.packages.iter().filter_map(tag).collect(), unsigned, ..self }
    }

    /// Sets the repositories that the system takes packages from later, and the keys that vouch for them.
    #[must_use]
    pub fn repositories(self, repositories: Vec<String>, keys: BTreeMap<String, Vec<u8>>) -> Self {
        Self { repositories, keys, ..self }
    }

    /// Sets the files that tell apt where packages come from.
    #[must_use]
    pub fn sources(self, sources: BTreeMap<String, Vec<u8>>) -> Self {
        Self { sources, ..self }
    }

    /// Returns the names of the packages that somebody wants themselves.
    fn asked_for(&self) -> Vec<String> {
        let asked_for = self.packages.iter().filter(|(package, _)| is_asked_for(package));
        asked_for.map(|(package, _)| package.name.clone()).collect()
    }

    /// Returns the digest of everything that decides about the tree.
    pub fn key(&self) -> Digest {
        let mut hasher = Hasher::new();
        hasher.field(FORMAT);
        hasher.field(env!("CARGO_PKG_VERSION").as_bytes());
        let PackageSettings { scripts, answers, documentation, locales, paths, distroless, only, .. } = &self.settings;
        let decided = (scripts, answers, documentation, locales, paths, distroless, only);
        let made = (self.family, &self.distro, &self.architecture, &self.links, &self.users, &self.groups, self.epoch);
        hasher.field(format!("{decided:?} {made:?} {:?}", self.repositories).as_bytes());
        // Only what is written into a database: of Debian nothing of it is.
        match self.family {
            Family::Apt => {}
            Family::Apk => hasher.field(format!("{:?} {:?}", self.world, self.tags).as_bytes()),
            Family::Pacman => hasher.field(format!("{:?}", self.unsigned).as_bytes()),
        }
        // The tags keep what a host is, a key and a file of apt apart.
        if let Some(host) = &self.host {
            hasher.field(b"host");
            hasher.field(host.installed.of().as_bytes());
        }
        for (kind, files) in [("key", &self.keys), ("source", &self.sources)] {
            for (name, bytes) in files {
                hasher.field(kind.as_bytes());
                hasher.field(name.as_bytes());
                hasher.field(bytes);
            }
        }
        let mut packages: Vec<_> = self.packages.iter().map(|(package, _)| (package, is_asked_for(package))).collect();
        packages.sort_by(|(one, _), (other, _)| (&one.name, one.sha256).cmp(&(&other.name, other.sha256)));
        for (package, asked_for) in packages {
            hasher.field(package.name.as_bytes());
            hasher.field(package.sha256.as_bytes());
            hasher.field(&[u8::from(asked_for)]);
        }
        hasher.finish().0
    }
}

/// Tells whether somebody wants a package itself, and not only because another one needs it.
fn is_asked_for(package: &LockedPackage) -> bool {
    matches!(package.why.as_str(), "requested" | "variant")
}

/// What packages are together.
#[derive(Debug, Clone)]
pub struct PackageTree {
    /// What decides about it ([`PackageSet::key`]).
    pub key: Digest,
    /// The root filesystem.
    pub tree: Tree,
    /// The packages, sorted by name.
    pub packages: Vec<InstalledPackage>,
    /// Which package each path is of that is no directory, as an index into the packages. What scripts made is of none.
    pub owners: BTreeMap<TreePath, usize>,
    /// The packages whose scripts were not run.
    pub skipped: Vec<Skipped>,
    /// What the scripts wrote.
    pub log: String,
}

/// Makes trees of packages.
#[derive(Clone)]
pub struct PackageMaker<'run> {
    store: &'run Store,
    reporter: &'run dyn Reporter,
    program: Option<PathBuf>,
    privilege: Option<Privilege>,
}

impl std::fmt::Debug for PackageMaker<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PackageMaker").field("privilege", &self.privilege).finish_non_exhaustive()
    }
}

impl<'run> PackageMaker<'run> {
    /// Returns a maker that keeps what it makes in `store`.
    pub fn new(store: &'run Store, reporter: &'run dyn Reporter) -> Self {
        Self { store, reporter, program: None, privilege: None }
    }

    /// Sets the program that is started for a sandbox ([`crate::sandbox::Sandbox::program`]).
    #[must_use]
    pub fn program(self, program: impl Into<PathBuf>) -> Self {
        Self { program: Some(program.into()), ..self }
    }

    /// Sets how ids come about in a sandbox: the best that the caller has by default.
    #[must_use]
    pub fn privilege(self, privilege: Privilege) -> Self {
        Self { privilege: Some(privilege), ..self }
    }

    /// Returns the tree of `set`: as it was made before, or made now.
    ///
    /// # Errors
    /// When a package is not what was locked, packages do not fit together, or their scripts fail.
    pub fn tree(&self, set: &PackageSet) -> Result<PackageTree, PackagesError> {
        let key = set.key();
        if let Some(known) = self.known(set)? {
            return Ok(known);
        }
        let (id, version) = &set.distro;
        let work =
            format!("put together {} packages for {id} {}", set.packages.len(), version.as_deref().unwrap_or(""));
        let work = work.trim_end().to_owned();
        self.reporter.report(Event::Started { work: work.clone(), total: 3 });
        let made = self.make(set, key, &work);
        let kept = made.and_then(|(made, folder)| {
            match &set.host {
                // The tree of a host is large, and where it is already.
                Some(host) => keep::write(self.store, &host.without(made.clone())?)?,
                None => keep::write(self.store, &made)?,
            }
            // Contents that scripts made are in the folder, which goes now.
            drop(folder);
            Ok(self.known(set)?.unwrap_or(made))
        });
        self.reporter.report(Event::Finished { work });
        kept
    }

    /// Returns the tree of `set` when it was made before; the files of the packages are not looked at.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn known(&self, set: &PackageSet) -> Result<Option<PackageTree>, PackagesError> {
        let known = keep::read(self.store, &set.key())?;
        match (&set.host, known) {
            (Some(host), Some(known)) => host.with(known).map(Some),
            (_, known) => Ok(known),
        }
    }

    fn make(
        &self,
        set: &PackageSet,
        key: Digest,
        work: &str,
    ) -> Result<(PackageTree, Vec<scripts::Folder>), PackagesError> {
        let advanced = || self.reporter.report(Event::Advanced { work: work.to_owned(), steps: 1 });
        let mut together = match set.family {
            Family::Apt => self.together(set)?,
            Family::Apk => alpine::together(set, self.store)?,
            Family::Pacman => arch::together(set, self.store)?,
        };
        advanced();
        let packages = match set.family {
            Family::Apt => list::packages(&together.packages)?,
            Family::Apk => alpine::packages(&together.packages)?,
            Family::Pacman => arch::packages(&together.packages)?,
        };
        let (mut skipped, mut log, mut folder) = (Vec::new(), String::new(), Vec::new());
        match (set.settings.scripts, set.family) {
            (Scripts::Run, Family::Apt) if together.packages.iter().any(unpack::has_scripts) => {
                (log, folder) = essential::run(self, set, &mut together)?;
            }
            (Scripts::Run, Family::Apt) => {}
            (Scripts::Run, Family::Apk) => (log, folder) = alpine::run(self, set, &mut together)?,
            (Scripts::Run, Family::Pacman) => (log, folder) = arch::run(self, set, &mut together)?,
            (Scripts::Skip, family) => {
                skipped = match family {
                    Family::Apt => skip::instead(&mut together.tree, &together.packages, set)?,
                    Family::Apk => alpine::skip(set, &mut together)?,
                    Family::Pacman => arch::skip(set, &mut together)?,
                };
                self.warn(&skipped);
            }
        }
        advanced();
        let unpack::Together { mut tree, packages: unpacked } = together;
        accounts::join(&mut tree, set)?;
        let owners = match set.family {
            Family::Apt => list::owners(&tree, &packages)?,
            Family::Apk => alpine::owners(&tree, &unpacked, &packages, set)?,
            Family::Pacman => arch::owners(&tree, &unpacked, &packages)?,
        };
        normal::normalise(&mut tree, set.epoch)?;
        // A host stays what it is, and an extension has nothing that would go.
        if set.settings.distroless && set.host.is_none() {
            distroless::strip(set, &mut tree, &unpacked, &owners, &packages)?;
        }
        let owners = owners.into_iter().filter(|(path, _)| tree.get(path).is_some()).collect();
        let made = PackageTree { key, tree, packages, owners, skipped, log };
        advanced();
        Ok((made, folder))
    }

    /// Puts packages of Debian together. Where two have one path, a script may put the file of one aside first; what a host
    /// has already stays where it is.
    fn together(&self, set: &PackageSet) -> Result<unpack::Together, PackagesError> {
        let may_divert = set.settings.scripts == Scripts::Run && set.host.is_none();
        let clash = match unpack::together(set, self.store, Decided::default()) {
            Err(clash @ PackagesError::Database(DatabaseError::Claim(_))) if may_divert => clash,
            other => return other,
        };
        match divert::found(self, set)? {
            decided if decided.is_empty() => Err(clash),
            decided => unpack::together(set, self.store, decided),
        }
    }

    /// Tells whose scripts would have done what nothing does in their place.
    fn warn(&self, skipped: &[Skipped]) {
        let names: BTreeSet<&str> = skipped.iter().filter(|one| one.matters).map(|one| one.package.as_str()).collect();
        if names.is_empty() {
            return;
        }
        let names: Vec<&str> = names.into_iter().collect();
        self.reporter.report(Event::Warning {
            message: format!("the scripts of these packages were not run, and may be missed: {}", names.join(", ")),
            hint: Some("set `scripts = \"run\"` to run them in a sandbox".into()),
        });
    }
}

/// Returns the tree of `set`: as it was made before and kept in `store`, or made now.
///
/// # Errors
/// When a package is not what was locked, packages do not fit together, or their scripts fail.
pub fn tree(set: &PackageSet, store: &Store, reporter: &dyn Reporter) -> Result<PackageTree, PackagesError> {
    PackageMaker::new(store, reporter).tree(set)
}

#[cfg(test)]
mod tests;
