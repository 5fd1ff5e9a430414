//! Why packages cannot be had.

use super::apk;
use super::apt::archive::ArchiveError;
use super::apt::control::ControlError;
use super::apt::index::IndexError;
use super::apt::release::ReleaseError;
use super::apt::trust::TrustError;
use super::installed::InstalledError;
use super::pacman;
use super::solve::Explanation;
use crate::fetch::FetchError;
use crate::fs;

/// A failure to choose or to fetch packages.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// There is nowhere to take packages from.
    #[error("{distro} has no sources of packages: name them as `[source.NAME]` in its description or in the profile")]
    NoSources {
        /// The distro.
        distro: String,
    },
    /// The keys of a source are not known.
    #[error(
        "the keys of `{keyring}`, which vouch for the source `{source_name}`, are no part of layerforge: name a file of them \
         with `signed_by`"
    )]
    NoKeys {
        /// The source.
        source_name: String,
        /// The package that holds its keys.
        keyring: String,
    },
    /// The keys of a source are not there.
    #[error(
        "the keys that vouch for the source `{source_name}` are not there: install the package `{keyring}`, which has them in \
         `/usr/share/pacman/keyrings`, or put `{name}.gpg`, `{name}-trusted` and `{name}-revoked` of it into the project \
         and name the first with `signed_by`"
    )]
    NoKeyring {
        /// The source.
        source_name: String,
        /// The package that holds its keys.
        keyring: String,
        /// What the names of its files begin with.
        name: String,
    },
    /// A source is a folder of packages of a family that needs an index.
    #[error(
        "the source `{source_name}` is a folder of packages, which only Debian and its derivatives can have: make a repository of \
         it with `{command}`, and name that with `flat = true` and `mirrors = [\"file:///…\"]`"
    )]
    Directory {
        /// The source.
        source_name: String,
        /// What makes a repository.
        command: &'static str,
    },
    /// A package is not the one that its index names.
    #[error("`{package}` is not the package that its index names: it is {found}, expected {expected}")]
    Identity {
        /// The package, with its version.
        package: String,
        /// The identity in the index.
        expected: String,
        /// Its own.
        found: String,
    },
    /// The sources of an extension have packages of its host no longer.
    #[error(
        "no source has {} of the host any more, so that nothing can be chosen to fit it: upgrade the host with \
         `layerforge lock --upgrade`, or name a source that still has it",
        packages.join(", ")
    )]
    Vanished {
        /// The packages with their versions.
        packages: Vec<String>,
    },
    /// No index has a tag that is asked for.
    #[error("packages are asked for as `NAME@{tag}`, and no source with the tag `{tag}` has an index")]
    NoTag {
        /// The tag.
        tag: String,
    },
    /// What the host of an extension says of its packages cannot be read.
    #[error("cannot read which packages the host has: {0}")]
    Installed(Box<InstalledError>),
    /// Nobody who is trusted signed a package.
    #[error("`{package}` cannot be taken: {source}")]
    Unsigned {
        /// The package, with its version.
        package: String,
        /// Why not.
        source: Box<Self>,
    },
    /// A package cannot be read.
    #[error("`{package}` cannot be taken: {source}")]
    Broken {
        /// The package, with its version.
        package: String,
        /// Why not.
        source: Box<ArchiveError>,
    },
    /// No set of packages does what is asked for.
    #[error("for {target}, {explanation}{}", told(asked))]
    Unsolvable {
        /// The target.
        target: String,
        /// Why not.
        explanation: Explanation,
        /// The packages that a profile asks for and that take part in it, each with where it does.
        asked: Vec<(String, String)>,
    },
    /// No set of packages does what is asked for beside those of the host of an extension.
    #[error("for {target}, nothing fits over the packages of the host: {explanation}")]
    Over {
        /// The target.
        target: String,
        /// Why not.
        explanation: Explanation,
    },
    /// Packages of the host of an extension would have to change.
    #[error(
        "for {target}, the extension would change packages of its host, which it cannot:{}\nask for versions that fit, or \
         lay it over a host that has the newer ones", changes.iter().map(|change| format!("\n  {change}")).collect::<String>()
    )]
    OverChange {
        /// The target.
        target: String,
        /// What would change.
        changes: Vec<PackageChange>,
    },
    /// A source cannot be used, whichever of its addresses is asked.
    #[error("the source `{source_name}` cannot be used{}", each(failures))]
    Source {
        /// The source.
        source_name: String,
        /// What is wrong at each address.
        failures: Vec<Self>,
    },
    /// A package of the lock is from a source that there is not.
    #[error("the lock takes `{package}` from the source `{source_name}`, which the profile does not have")]
    UnknownSource {
        /// The package.
        package: String,
        /// The source.
        source_name: String,
    },
    /// Who signed a file cannot be told, or is not trusted.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// What a repository says of itself cannot be taken.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// An index cannot be read.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// An index of Alpine cannot be read.
    #[error(transparent)]
    ApkIndex(#[from] apk::index::IndexError),
    /// A key of a source of Alpine cannot be read.
    #[error(transparent)]
    ApkKey(#[from] apk::key::KeyError),
    /// A file of a key of a source of Alpine cannot be taken.
    #[error(transparent)]
    ApkKeyFile(#[from] apk::key::KeyFileError),
    /// Two sources have different keys in files of one name, by which signatures name them.
    #[error(
        "two sources have different keys in files called `{name}`, and signatures name keys by their files: rename one"
    )]
    KeyTwice {
        /// The name.
        name: String,
    },
    /// A database of Arch cannot be read.
    #[error(transparent)]
    PacmanIndex(#[from] pacman::index::IndexError),
    /// A package of a folder is not made as packages are.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A package of a lock cannot be fetched.
    #[error("{}", of_package(package, source))]
    Package {
        /// The package, with its version.
        package: String,
        /// Why not.
        source: FetchError,
    },
    /// Something cannot be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] fs::Error),
}

/// A package of a host that an extension would have to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageChange {
    /// Its name.
    pub name: String,
    /// The version that the host has.
    pub there: String,
    /// The version that it would have to have.
    pub wanted: String,
    /// Who asks for that.
    pub why: String,
}

impl std::fmt::Display for PackageChange {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, there, wanted, why } = self;
        write!(formatter, "`{name}` is {there} there, and would become {wanted}: {why}")
    }
}

impl From<ControlError> for PackageError {
    fn from(error: ControlError) -> Self {
        Self::Index(error.into())
    }
}

impl PackageError {
    /// Tells whether nothing is wrong but that no packages do what is asked for.
    pub fn is_unsolvable(&self) -> bool {
        matches!(
            self,
            Self::NoSources { .. }
                | Self::Directory { .. }
                | Self::Unsolvable { .. }
                | Self::Over { .. }
                | Self::OverChange { .. }
                | Self::UnknownSource { .. }
                | Self::NoTag { .. }
        )
    }

    /// Tells whether a package of a lock is at none of its mirrors any more.
    pub fn is_gone(&self) -> bool {
        let gone = |error: &FetchError| matches!(error.status(), Some(404 | 410));
        match self {
            Self::Package { source: FetchError::Nowhere { failures, .. }, .. } => failures.iter().all(gone),
            Self::Package { source, .. } => gone(source),
            _ => false,
        }
    }

    /// Returns the failures at each of several addresses as one; that of the only one as it is.
    pub(super) fn of_source(source_name: &str, mut failures: Vec<Self>) -> Self {
        match failures.len() {
            1 => failures.remove(0),
            _ => Self::Source { source_name: source_name.to_owned(), failures },
        }
    }
}

fn of_package(package: &str, failure: &FetchError) -> String {
    match failure {
        // It names what was to be fetched.
        FetchError::Nowhere { .. } => failure.to_string(),
        other => format!("{package} cannot be fetched: {other}"),
    }
}

fn each(failures: &[PackageError]) -> String {
    failures.iter().map(|failure| format!("\n  {failure}")).collect()
}

/// Writes down where packages are asked for, a line for each.
fn told(asked: &[(String, String)]) -> String {
    asked.iter().map(|(name, place)| format!("\n  {name} is asked for at {place}")).collect()
}
