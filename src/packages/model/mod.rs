//! Packages and what they ask of each other, for every family of package managers.
//!
//! Comes in: what an index says, through a [`PoolBuilder`]. Goes out: a [`Pool`], compact enough that an index of seventy
//! thousand packages is read from the store in milliseconds, without what only packages that are chosen are asked for.
//! Always holds: names are sorted, so that the order of their ids is theirs; packages of one name stand side by side, in the
//! order in which they were added; what a version means only [`Rules`] of a family know.

mod binary;
mod builder;
mod merge;
mod pool;
mod reason;
mod stored;
#[cfg(test)]
pub(in crate::packages) mod shown;

use std::cmp::Ordering;

pub use binary::kept;
pub use builder::{NewPackage, PoolBuilder};
pub use merge::merge;
pub use pool::{Pool, Range, Text};
pub use reason::{Reason, Request};
pub use stored::Stored;

/// A name that a package has, provides, or asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameId(pub(crate) u32);

/// One version of one package for one architecture, in one [`Pool`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageId(pub(crate) u32);

impl PackageId {
    /// Returns the place in tables that have one row for each package of a pool.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl NameId {
    /// Returns the place in tables that have one row for each name of a pool.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// How a version has to compare with the one that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Comparison {
    /// Any version will do.
    Any,
    /// It must be earlier.
    Less,
    /// It must be earlier or equal.
    LessEqual,
    /// It must be equal.
    Equal,
    /// It must be equal or later.
    GreaterEqual,
    /// It must be later.
    Greater,
    /// It must begin with the same parts (`~` of apk).
    Similar,
    /// It must be earlier or begin with the same parts (`<~` of apk).
    LessSimilar,
    /// It must be later or begin with the same parts (`>~` of apk).
    GreaterSimilar,
}

impl Comparison {
    const ALL: [Self; 9] = [
        Self::Any,
        Self::Less,
        Self::LessEqual,
        Self::Equal,
        Self::GreaterEqual,
        Self::Greater,
        Self::Similar,
        Self::LessSimilar,
        Self::GreaterSimilar,
    ];

    /// Tells whether a version that compares like `ordering` to the one that is asked for will do. What is similar the
    /// family decides.
    pub fn allows(self, ordering: Ordering) -> bool {
        match self {
            Self::Any => true,
            Self::Less | Self::LessSimilar => ordering == Ordering::Less,
            Self::LessEqual => ordering != Ordering::Greater,
            Self::Equal | Self::Similar => ordering == Ordering::Equal,
            Self::GreaterEqual => ordering != Ordering::Less,
            Self::Greater | Self::GreaterSimilar => ordering == Ordering::Greater,
        }
    }

    /// Returns the sign for it that people know.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Equal => "=",
            Self::GreaterEqual => ">=",
            Self::Greater => ">",
            Self::Similar => "~",
            Self::LessSimilar => "<~",
            Self::GreaterSimilar => ">~",
        }
    }
}

/// Which architecture may satisfy a requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Qualifier {
    /// The architecture of the package that asks.
    Own,
    /// Any (`:any` of Debian).
    Any,
    /// One that the pool has no packages of.
    Foreign,
}

/// What a relation means for the two packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RelationKind {
    /// One of the alternatives must be set up before this package is unpacked.
    PreDepends,
    /// One of the alternatives must be installed.
    Depends,
    /// One of the alternatives should be installed.
    Recommends,
    /// One of the alternatives may be of use.
    Suggests,
    /// This package may be of use to the other.
    Enhances,
    /// None of the alternatives may be installed.
    Conflicts,
    /// None of the alternatives may be installed: it would not work any more.
    Breaks,
    /// Files of the alternatives may be overwritten.
    Replaces,
    /// The package is installed by itself when one of the alternatives is, of every such relation (`install_if` of apk).
    InstallIf,
    /// The package is not installed by itself where one of them is.
    InstallUnless,
}

impl RelationKind {
    const ALL: [Self; 10] = [
        Self::PreDepends,
        Self::Depends,
        Self::Recommends,
        Self::Suggests,
        Self::Enhances,
        Self::Conflicts,
        Self::Breaks,
        Self::Replaces,
        Self::InstallIf,
        Self::InstallUnless,
    ];

    /// Tells whether the package cannot be installed without it.
    pub fn is_hard(self) -> bool {
        matches!(self, Self::PreDepends | Self::Depends)
    }

    /// Tells whether the package cannot be installed beside it.
    pub fn is_conflict(self) -> bool {
        matches!(self, Self::Conflicts | Self::Breaks)
    }

    /// Returns the verb of a sentence: package `verb` requirement.
    pub fn verb(self) -> &'static str {
        match self {
            Self::PreDepends | Self::Depends => "depends on",
            Self::Recommends => "recommends",
            Self::Suggests => "suggests",
            Self::Enhances => "enhances",
            Self::Conflicts => "conflicts with",
            Self::Breaks => "breaks",
            Self::Replaces => "replaces files of",
            Self::InstallIf => "is installed with",
            Self::InstallUnless => "is not installed with",
        }
    }
}

/// What a package does when several architectures are installed (`Multi-Arch` of Debian).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum MultiArch {
    /// It serves packages of its own architecture.
    No,
    /// It can be installed for several architectures at once.
    Same,
    /// It serves packages of any architecture.
    Foreign,
    /// It serves packages of any architecture that ask for that.
    Allowed,
}

impl MultiArch {
    const ALL: [Self; 4] = [Self::No, Self::Same, Self::Foreign, Self::Allowed];
}

/// How much a system needs a package, the most needed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Priority {
    /// The system does not work without it.
    Required,
    /// A person who knows such systems would miss it.
    Important,
    /// What a system has that nobody chose anything for.
    Standard,
    /// Everything else.
    Optional,
    /// What conflicts with the above or is of use to few.
    Extra,
    /// Nothing is said.
    Unknown,
}

impl Priority {
    const ALL: [Self; 6] =
        [Self::Required, Self::Important, Self::Standard, Self::Optional, Self::Extra, Self::Unknown];
}

/// One alternative of a relation: a name and the versions of it that will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requirement {
    /// The name.
    pub name: NameId,
    /// How the version has to compare.
    pub comparison: Comparison,
    /// Which architecture may satisfy it.
    pub qualifier: Qualifier,
    /// The version to compare with; empty for [`Comparison::Any`].
    pub version: Text,
}

/// What a package asks: one of the alternatives, or, for conflicts, none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relation {
    /// What it means.
    pub kind: RelationKind,
    /// The alternatives, as written.
    pub alternatives: Range,
}

/// A name that a package can be asked for by, besides its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provide {
    /// The name.
    pub name: NameId,
    /// The version; empty when it has none.
    pub version: Text,
}

/// What an index says about one version of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: NameId,
    /// Its version.
    pub version: Text,
    /// Its architecture, by the family's name.
    pub architecture: Text,
    /// Which of the indexes of its pool it comes from, counted from 0.
    pub source: u16,
    /// Whether every system has it.
    pub essential: bool,
    /// Whether a system that has it should not lose it.
    pub protected: bool,
    /// What it does beside other architectures.
    pub multi_arch: MultiArch,
    /// How much a system needs it.
    pub priority: Priority,
    /// Which of several providers is taken first, where the family says so: the highest.
    pub provider_priority: i32,
    /// What it asks of others.
    pub relations: Range,
    /// What else it can be asked for by.
    pub provides: Range,
    /// Where it is, relative to its source.
    pub location: Stored,
    /// Its SHA-256, 32 bytes; where the index has another digest, that one.
    pub digest: Stored,
    /// Its length in bytes.
    pub size: u64,
    /// What it takes when installed, in bytes, about.
    pub installed_size: u64,
    /// The source package it was built from, when that has another name or version.
    pub origin: Stored,
    /// What it is for, by the family's name.
    pub section: Text,
    /// A signature over the package, where the index has one.
    pub signature: Stored,
}

/// A package that serves who asks for a name, with the version that it has under that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The package.
    pub package: PackageId,
    /// The version: its own, or the one that it provides the name in, which may be empty.
    pub version: Text,
    /// Whether the name is its own.
    pub own: bool,
}

/// What the family of a pool decides.
pub trait Rules {
    /// Compares two versions.
    fn compare(&self, one: &[u8], other: &[u8]) -> Ordering;

    /// Tells whether `version`, of a package or of what it provides, is one that is asked for.
    fn matches(&self, version: &[u8], comparison: Comparison, wanted: &[u8]) -> bool {
        comparison == Comparison::Any || comparison.allows(self.compare(version, wanted))
    }

    /// Tells whether `package`, which has the name asked for, may serve a package that asks with `qualifier`.
    fn serves(&self, package: &Package, qualifier: Qualifier) -> bool;

    /// Compares two packages that have or provide the same name: the one to be taken first is less. Never equal for two
    /// packages.
    fn prefer(&self, pool: &Pool, one: Candidate, other: Candidate) -> Ordering;

    /// Tells whether a choice is left between the versions of a package. Otherwise one is decided on before anything else:
    /// the latest, unless pins say something else.
    fn keeps_versions(&self) -> bool {
        false
    }

    /// Tells whether a package may be installed at all.
    fn is_available(&self, id: PackageId) -> bool {
        let _ = id;
        true
    }

    /// Tells whether a package may be taken because it serves a name. One that may not does so only when something else
    /// brings it in.
    fn may_be_chosen(&self, pool: &Pool, candidate: Candidate) -> bool {
        let _ = (pool, candidate);
        true
    }

    /// Tells whether packages that have or provide one name, each in a version, exclude each other.
    fn names_are_exclusive(&self) -> bool {
        false
    }
}
