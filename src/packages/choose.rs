//! Which packages, exactly: from what a profile asks for to what its lock says.
//!
//! Comes in: what is asked for, the packages of an earlier lock. Goes out: a [`Bundle`]. Always holds: packages stay what they
//! are unless they have to change or somebody wants them newer; everything is signed, or its source says that nobody signs.

use std::collections::{BTreeMap, BTreeSet};

use super::apk::rules::{ApkRules, Tag};
use super::apt::rules::AptRules;
use super::error::PackageError;
use super::means::Means;
use super::model::{Comparison, PackageId, Pool, Reason, Request, Rules, merge};
use super::pacman::groups;
use super::pacman::rules::PacmanRules;
use super::solve::{Explanation, Pin, PinTarget, Question, Solution, Variant, solve};
use super::{apk, apt, pacman};
use crate::digest::Digest;
use crate::distro::Distro;
use crate::event::Event;
use crate::fs;
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

/// Where an index of a pool comes from.
pub(super) struct Place {
    /// The name of the source.
    pub(super) source: String,
    /// What stands before the paths of its packages, as seen from a mirror.
    pub(super) folder: String,
    /// How much its versions are preferred, as in apt_preferences(5).
    pub(super) priority: i32,
    /// What has to be asked for to get packages of it, for apk.
    pub(super) tag: Option<String>,
}

impl Place {
    /// Returns the place of packages that come from no source.
    pub(super) fn nowhere() -> Self {
        Self { source: String::new(), folder: String::new(), priority: USUAL, tag: None }
    }
}

/// The indexes of all sources, the first preferred where versions are equal.
pub(super) struct Loaded {
    /// What was read.
    pub(super) pools: Vec<Pool>,
    /// The places of all indexes: first those of the first pool.
    pub(super) places: Vec<Place>,
    /// What the lock says about where that comes from.
    pub(super) sources: Vec<LockedSource>,
}

/// The indexes of all sources as one.
pub(super) struct Merged {
    /// Every package.
    pub(super) pool: Pool,
    /// The place of each index, by its number.
    pub(super) places: Vec<Place>,
    /// Which indexes are preferred.
    pins: Vec<Pin>,
    /// Which indexes have tags, for apk.
    tags: Vec<Tag>,
}

/// A package that was chosen.
pub(super) struct Chosen {
    /// The package in the pool.
    pub(super) id: PackageId,
    /// What the lock says of it.
    pub(super) locked: LockedPackage,
}

/// The priority of versions that nothing is said about (apt_preferences(5)).
pub(super) const USUAL: i32 = 500;

/// Chooses packages.
///
/// # Errors
/// When a source cannot be reached or trusted, or no set of packages does what is asked for.
pub fn choose(wanted: &Wanted<'_>, means: &Means<'_>) -> Result<Bundle, PackageError> {
    check_sources(wanted)?;
    let Loaded { pools, places, sources } = load(wanted, means)?;
    let merged = Merged::of(pools, places)?;
    let question = question(wanted, &merged);
    let family = Preferences::of(wanted, &merged)?;
    let solution = family.answer(&merged.pool, question).map_err(|explanation| PackageError::Unsolvable {
        target: target_name(wanted.distro),
        explanation,
        asked: Vec::new(),
    })?;
    let packages = written(&solution, |_| true, &merged, wanted, means)?;
    Ok(Bundle { asked: wanted.bundled.digest(), over: None, sources, packages, below: Vec::new() })
}

/// Refuses to choose from nothing.
pub(super) fn check_sources(wanted: &Wanted<'_>) -> Result<(), PackageError> {
    match wanted.bundled.sources.is_empty() {
        true => Err(PackageError::NoSources { distro: wanted.distro.name.clone() }),
        false => Ok(()),
    }
}

impl Merged {
    /// Makes one pool of several.
    pub(super) fn of(pools: Vec<Pool>, places: Vec<Place>) -> Result<Self, PackageError> {
        let pin = |(number, place): (usize, &Place)| Pin {
            package: None,
            target: PinTarget::Source(number as u16),
            priority: place.priority,
        };
        let pins = places.iter().enumerate().filter(|(_, place)| place.priority != USUAL).map(pin).collect();
        let tag = |(number, place): (usize, &Place)| Some(Tag { source: number as u16, name: place.tag.clone()? });
        let tags = places.iter().enumerate().filter_map(tag).collect();
        Ok(Self { pool: merge(pools)?, places, pins, tags })
    }
}

/// How a family chooses.
#[derive(Debug, Clone)]
pub(super) enum Preferences {
    /// As apt does.
    Apt,
    /// As apk does.
    Apk(ApkRules),
    /// As pacman does.
    Pacman,
}

impl Preferences {
    /// Returns how the family of `wanted` chooses from what was read.
    ///
    /// # Errors
    /// When a tag is asked for that no index has.
    pub(super) fn of(wanted: &Wanted<'_>, merged: &Merged) -> Result<Self, PackageError> {
        Ok(match wanted.distro.family {
            Family::Apt => Self::Apt,
            Family::Pacman => Self::Pacman,
            Family::Apk => {
                let asked = wanted.bundled.tags.iter().map(|(name, tag)| (name.as_str(), tag.as_str()));
                let rules = ApkRules::with_tags(&merged.pool, &merged.tags, asked);
                Self::Apk(rules.map_err(|tag| PackageError::NoTag { tag })?)
            }
        })
    }

    /// Solves a question; what stays as it is may change where it must ([`solve_keeping`]).
    pub(super) fn answer(&self, pool: &Pool, mut question: Question) -> Result<Solution, Explanation> {
        // Where indexes do not say what a variant has, its packages are asked for after those of the profile.
        let asked = question.requests.len();
        let base = match self {
            Self::Apt => &[],
            Self::Apk(_) => apk::repository::variant(question.variant),
            Self::Pacman => pacman::repository::variant(question.variant),
        };
        question.requests.extend(base.iter().map(|name| Request::any(*name)));
        let mut solution = match self {
            Self::Apt => solve_keeping(pool, &AptRules, question),
            Self::Apk(rules) => rules.clone().settled(pool, |rules| solve_keeping(pool, rules, question.clone())),
            Self::Pacman => solve_keeping(pool, &PacmanRules, question),
        }?;
        for reason in solution.packages.values_mut() {
            if matches!(reason, Reason::Requested(number) if *number >= asked) {
                *reason = Reason::Variant;
            }
        }
        Ok(solution)
    }
}

/// Writes down those packages of a solution that `is_wanted` names, once the family has vouched for them.
pub(super) fn written(
    solution: &Solution,
    is_wanted: impl Fn(PackageId) -> bool,
    merged: &Merged,
    wanted: &Wanted<'_>,
    means: &Means<'_>,
) -> Result<Vec<LockedPackage>, PackageError> {
    let Merged { pool, places, .. } = merged;
    let chosen = solution.packages.iter().filter(|(id, _)| is_wanted(**id));
    let chosen = chosen.map(|(id, reason)| Ok(Chosen { id: *id, locked: locked(pool, *id, reason, places)? }));
    let mut chosen = chosen.collect::<Result<Vec<_>, fs::Error>>()?;
    match wanted.distro.family {
        Family::Apt => {}
        Family::Apk => {
            warn_of_older(pool, &ApkRules::new(), places, wanted, means);
            apk::repository::seal(&mut chosen, pool, wanted, means)?;
        }
        Family::Pacman => {
            warn_of_older(pool, &PacmanRules, places, wanted, means);
            pacman::repository::warn_of_choices(pool, solution, means);
            pacman::repository::seal(&chosen, pool, wanted, means)?;
        }
    }
    Ok(chosen.into_iter().map(|one| one.locked).collect())
}

/// Warns of sources that have packages of the lock in older versions only: indexes without a time of their own can be replayed.
fn warn_of_older(pool: &Pool, rules: &impl Rules, places: &[Place], wanted: &Wanted<'_>, means: &Means<'_>) {
    let earlier = wanted.earlier.map(|bundle| bundle.packages.as_slice()).unwrap_or_default();
    let mut older: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for package in earlier {
        // Who asks for another moment has a reason to.
        let source = wanted.bundled.sources.iter().find(|source| source.name == package.source);
        let Some(name) =
            pool.find(package.name.as_bytes()).filter(|_| source.is_some_and(|one| one.snapshot.is_none()))
        else {
            continue;
        };
        let own = pool.named(name).filter(|id| places[usize::from(pool.package(*id).source)].source == package.source);
        let newest = own.map(|id| pool.text(pool.package(id).version)).max_by(|one, other| rules.compare(one, other));
        if newest.is_some_and(|newest| rules.compare(newest, package.version.as_bytes()).is_lt()) {
            older.entry(&package.source).or_default().push(format!("{} {}", package.name, package.version));
        }
    }
    for (source, packages) in older {
        means.reporter.report(Event::Warning {
            message: format!(
                "the source `{source}` went back: of {} packages, such as {}, the lock knows a later version than it has",
                packages.len(),
                packages[0]
            ),
            hint: Some("a mirror may lag behind, or somebody replays an old state: compare with another mirror".into()),
        });
    }
}

/// Reads the indexes of every source.
pub(super) fn load(wanted: &Wanted<'_>, means: &Means<'_>) -> Result<Loaded, PackageError> {
    match wanted.distro.family {
        Family::Apt => apt::repository::load(wanted, means),
        Family::Apk => apk::repository::load(wanted, means),
        Family::Pacman => pacman::repository::load(wanted, means),
    }
}

/// Makes the question of what is asked for.
pub(super) fn question(wanted: &Wanted<'_>, merged: &Merged) -> Question {
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
                VersionComparison::Similar => Comparison::Similar,
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
    let tags = &wanted.bundled.tags;
    let tag_of = |package: &LockedPackage| wanted.earlier.and_then(|bundle| bundle.tag(package));
    // Who asks for another repository than before does not want what that one has.
    let is_from_there =
        |package: &&LockedPackage| tags.get(&package.name).is_none_or(|tag| tag_of(package) == Some(tag.as_str()));
    let kept = earlier
        .iter()
        .filter(stays)
        .filter(is_from_there)
        .map(|package| (package.name.clone(), package.version.clone()));
    let requests: Vec<Request> = requests.iter().map(request).collect();
    Question {
        requests: match wanted.distro.family {
            Family::Pacman => groups::expand(&merged.pool, requests),
            Family::Apt | Family::Apk => requests,
        },
        variant: match settings.variant {
            PackageVariant::None => Variant::None,
            PackageVariant::Essential => Variant::Essential,
            PackageVariant::Minbase => Variant::Minbase,
            PackageVariant::Standard => Variant::Standard,
        },
        recommends: settings.recommends,
        only: settings.only,
        excluded: settings.excluded.clone(),
        pins: merged.pins.clone(),
        tags: merged.tags.iter().map(|tag| (tag.source, tag.name.clone())).collect(),
        kept: kept.collect(),
        ..Question::default()
    }
}

/// Solves a question. Packages that would stay what they are and take part in its having no answer may change, and no
/// others.
fn solve_keeping(pool: &Pool, rules: &impl Rules, mut question: Question) -> Result<Solution, Explanation> {
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
fn locked(pool: &Pool, id: PackageId, reason: &Reason, places: &[Place]) -> Result<LockedPackage, fs::Error> {
    let package = pool.package(id);
    let name = |id: PackageId| String::from_utf8_lossy(pool.name(pool.package(id).name)).into_owned();
    let Place { source, folder, .. } = &places[usize::from(package.source)];
    let path = format!("{folder}{}", pool.location(id)?);
    Ok(LockedPackage {
        name: name(id),
        version: pool.shown(package.version),
        architecture: pool.shown(package.architecture),
        source: source.clone(),
        path: path.strip_prefix("./").map_or_else(|| path.clone(), str::to_owned),
        size: package.size,
        // An index of Alpine has none: sealing completes it.
        sha256: pool.digest(id)?.unwrap_or_else(|| Digest::from_bytes([0; 32])),
        why: match reason {
            Reason::Requested(_) => "requested".into(),
            Reason::Variant => "variant".into(),
            Reason::Installed => "installed".into(),
            Reason::Relation { by, relation } => {
                format!("{} {} {}", name(*by), relation.kind.verb(), pool.relation_label(relation))
            }
        },
    })
}
