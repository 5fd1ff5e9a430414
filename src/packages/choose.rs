//! Which packages, exactly: from what a profile asks for to what its lock says.
//!
//! Comes in: what is asked for, the packages of an earlier lock. Goes out: a [`Bundle`]. Always holds: packages stay what they
//! are unless they have to change or somebody wants them newer; everything is signed, or its source says that nobody signs.

use std::collections::{BTreeMap, BTreeSet};

use super::apt::repository;
use super::apt::rules::AptRules;
use super::error::PackageError;
use super::means::Means;
use super::model::{Comparison, PackageId, Pool, Reason, Request, Rules, merge};
use super::solve::{Explanation, Pin, PinTarget, Question, Solution, Variant, solve};
use crate::digest::Digest;
use crate::distro::Distro;
use crate::lock::{Bundle, LockedPackage, LockedSource};
use crate::resolve::{Bundled, VersionComparison, target_name};
use crate::spec::{Family, PackageVariant};

/// What is to be chosen.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'run> {
    /// For which distro.
    pub distro: &'run Distro,
    /// What is asked for.
    pub bundled: &'run Bundled,
    /// What an earlier lock says.
    pub earlier: Option<&'run Bundle>,
    /// What shall be newer than there.
    pub upgrade: &'run Upgrade,
}

/// What shall be newer than an earlier lock says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Upgrade {
    /// Nothing that need not.
    #[default]
    Nothing,
    /// Some packages, and what they need.
    Packages(BTreeSet<String>),
    /// Everything.
    All,
}

/// The index of one part of a source.
pub(super) struct Index {
    /// Its packages.
    pub(super) pool: Pool,
    /// The name of the source.
    pub(super) source: String,
    /// How much its versions are preferred, as in apt_preferences(5).
    pub(super) priority: i32,
}

/// The indexes of all sources, the first preferred where versions are equal.
pub(super) struct Loaded {
    /// What was read.
    pub(super) indexes: Vec<Index>,
    /// What the lock says about where that comes from.
    pub(super) sources: Vec<LockedSource>,
}

/// The priority of versions that nothing is said about (apt_preferences(5)).
pub(super) const USUAL: i32 = 500;

/// Chooses packages.
///
/// # Errors
/// When a source cannot be reached or trusted, or no set of packages does what is asked for.
pub fn choose(wanted: &Wanted<'_>, means: &Means<'_>) -> Result<Bundle, PackageError> {
    check_sources(wanted)?;
    let Loaded { indexes, sources } = load(wanted, means)?;
    let (pool, names, pins) = together(indexes);
    let question = question(wanted, pins);
    let solution = match wanted.distro.family {
        Family::Apt => solve_keeping(&pool, &AptRules, question),
        Family::Apk | Family::Pacman => return Err(unsupported(wanted.distro)),
    };
    let target = target_name(wanted.distro);
    let solution =
        solution.map_err(|explanation| PackageError::Unsolvable { target, explanation, asked: Vec::new() })?;
    let packages = solution.packages.iter().map(|(id, reason)| locked(&pool, *id, reason, &names)).collect();
    Ok(Bundle { asked: wanted.bundled.digest(), over: None, sources, packages, below: Vec::new() })
}

/// Refuses to choose from nothing.
pub(super) fn check_sources(wanted: &Wanted<'_>) -> Result<(), PackageError> {
    match wanted.bundled.sources.is_empty() && wanted.distro.family == Family::Apt {
        true => Err(PackageError::NoSources { distro: wanted.distro.name.clone() }),
        false => Ok(()),
    }
}

/// Makes one pool of indexes; returns it with the names of their sources and which of these are preferred.
pub(super) fn together(indexes: Vec<Index>) -> (Pool, Vec<String>, Vec<Pin>) {
    let names = indexes.iter().map(|index| index.source.clone()).collect();
    let pin = |(number, index): (usize, &Index)| Pin {
        package: None,
        target: PinTarget::Source(number as u16),
        priority: index.priority,
    };
    let pins = indexes.iter().enumerate().filter(|(_, index)| index.priority != USUAL).map(pin).collect();
    (merge(indexes.into_iter().map(|index| index.pool).collect()), names, pins)
}

/// Reads the indexes of every source.
pub(super) fn load(wanted: &Wanted<'_>, means: &Means<'_>) -> Result<Loaded, PackageError> {
    match wanted.distro.family {
        Family::Apt => repository::load(wanted, means),
        Family::Apk | Family::Pacman => Err(unsupported(wanted.distro)),
    }
}

fn unsupported(distro: &Distro) -> PackageError {
    PackageError::Family { distro: distro.name.clone() }
}

/// Makes the question of what is asked for.
pub(super) fn question(wanted: &Wanted<'_>, pins: Vec<Pin>) -> Question {
    let Bundled { requests, settings, .. } = wanted.bundled;
    let request = |(name, wish): (&String, &Option<crate::resolve::VersionWish>)| match wish {
        None => Request::any(name),
        Some(wish) => Request {
            name: name.clone(),
            comparison: match wish.comparison {
                VersionComparison::Less => Comparison::Less,
                VersionComparison::LessEqual => Comparison::LessEqual,
                VersionComparison::Equal => Comparison::Equal,
                VersionComparison::GreaterEqual => Comparison::GreaterEqual,
                VersionComparison::Greater => Comparison::Greater,
            },
            version: wish.version.clone(),
        },
    };
    let earlier = wanted.earlier.map(|bundle| bundle.packages.as_slice()).unwrap_or_default();
    let stays = |package: &&LockedPackage| match wanted.upgrade {
        Upgrade::Nothing => true,
        Upgrade::Packages(names) => !names.contains(&package.name),
        Upgrade::All => false,
    };
    let kept = earlier.iter().filter(stays).map(|package| (package.name.clone(), package.version.clone()));
    Question {
        requests: requests.iter().map(request).collect(),
        variant: match settings.variant {
            PackageVariant::None => Variant::None,
            PackageVariant::Essential => Variant::Essential,
            PackageVariant::Minbase => Variant::Minbase,
            PackageVariant::Standard => Variant::Standard,
        },
        recommends: settings.recommends,
        excluded: settings.excluded.clone(),
        pins,
        kept: kept.collect(),
        ..Question::default()
    }
}

/// Solves a question. Packages that would stay what they are and take part in its having no answer may change, and no
/// others.
pub(super) fn solve_keeping(pool: &Pool, rules: &impl Rules, mut question: Question) -> Result<Solution, Explanation> {
    loop {
        let explanation = match solve(pool, rules, &question) {
            Ok(solution) => return Ok(solution),
            Err(explanation) if question.kept.is_empty() => return Err(explanation),
            Err(explanation) => explanation,
        };
        let words = explanation.to_string();
        let words: BTreeSet<&str> = words.split([' ', ',', '\n']).collect();
        let before = question.kept.len();
        question.kept.retain(|name, _| !words.contains(name.as_str()));
        if question.kept.len() == before {
            // Whatever it is, it is not told by name.
            question.kept = BTreeMap::new();
        }
    }
}

/// Writes down a package of a solution.
pub(super) fn locked(pool: &Pool, id: PackageId, reason: &Reason, sources: &[String]) -> LockedPackage {
    let package = pool.package(id);
    let name = |id: PackageId| String::from_utf8_lossy(pool.name(pool.package(id).name)).into_owned();
    let path = pool.shown(package.location);
    LockedPackage {
        name: name(id),
        version: pool.shown(package.version),
        architecture: pool.shown(package.architecture),
        source: sources[usize::from(package.source)].clone(),
        path: path.strip_prefix("./").map_or_else(|| path.clone(), str::to_owned),
        size: package.size,
        // Every index that is read has one.
        sha256: pool.digest(id).unwrap_or_else(|| Digest::from_bytes([0; 32])),
        why: match reason {
            Reason::Requested(_) => "requested".into(),
            Reason::Variant => "variant".into(),
            Reason::Installed => "installed".into(),
            Reason::Relation { by, relation } => {
                format!("{} {} {}", name(*by), relation.kind.verb(), pool.relation_label(relation))
            }
        },
    }
}
