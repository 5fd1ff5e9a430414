//! How packages become part of a tree, as meant.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::spec::{PackageVariant, Scripts};

/// What `[packages]` says, and what holds where it is silent. Which packages there are is in the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageSettings {
    /// What is there before anything is asked for.
    pub variant: PackageVariant,
    /// Whether recommended packages are installed, too.
    pub recommends: bool,
    /// The names of packages that must not be installed.
    pub excluded: BTreeSet<String>,
    /// What is done with the scripts of packages.
    pub scripts: Scripts,
    /// Answers to the questions of packages, by package and question: type and value of debconf.
    pub answers: BTreeMap<String, Answer>,
    /// Whether documentation stays; copyright files always do.
    pub documentation: bool,
    /// The languages whose translations stay; all of them when nothing is said.
    pub locales: Option<BTreeSet<String>>,
    /// Which paths are left out, and which of those are not: the last pattern that fits decides, as with `path-exclude` and
    /// `path-include` of dpkg(1).
    pub paths: Vec<PathRule>,
    /// Whether the package manager and shells are left out, and what scanners need stays.
    pub distroless: bool,
}

/// An answer to a question of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The package that asks.
    pub package: String,
    /// The type of the question: `string`, `boolean`, `select`.
    pub kind: String,
    /// The answer.
    pub value: String,
}

/// One decision about paths of packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PathRule {
    /// A pattern of glob(7), in which `*` matches `/` as well.
    pub pattern: String,
    /// Whether what fits is left out.
    pub excluded: bool,
}

impl Default for PackageSettings {
    fn default() -> Self {
        Self {
            variant: PackageVariant::default(),
            recommends: false,
            excluded: BTreeSet::new(),
            scripts: Scripts::default(),
            answers: BTreeMap::new(),
            documentation: false,
            locales: Some(BTreeSet::from(["en".to_owned()])),
            paths: Vec::new(),
            distroless: false,
        }
    }
}
