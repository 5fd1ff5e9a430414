//! Which version of each package may be installed.

use std::cmp::Ordering;

use super::{Explanation, Question, Step};
use crate::packages::model::{Comparison, PackageId, Pool, Rules};

/// The priority of a version that no pin speaks of (apt_preferences(5)).
const DEFAULT_PRIORITY: i32 = 500;

/// What a pin is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinTarget {
    /// All versions from the source with this number.
    Source(u16),
    /// Versions that begin or compare like this.
    Version(Comparison, String),
}

/// A preference for versions: the one with the highest priority is taken, of several the latest; one below 0 never.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The package; nothing for all that no other pin names.
    pub package: Option<String>,
    /// Which versions.
    pub target: PinTarget,
    /// The priority; those that nothing is said about have 500.
    pub priority: i32,
}

/// The versions of each package that may be installed: one, unless the family leaves a choice.
#[derive(Debug)]
pub(super) struct Candidates {
    allowed: Vec<bool>,
    /// Whether a package was in the earlier solution.
    kept: Vec<bool>,
    /// The packages that are there already, sorted.
    installed: Vec<PackageId>,
}

impl Candidates {
    /// Decides for every package.
    pub(super) fn of(pool: &Pool, rules: &impl Rules, question: &Question) -> Result<Self, Explanation> {
        let mut allowed = vec![false; pool.len()];
        let mut kept = vec![false; pool.len()];
        for name in pool.name_ids() {
            let mut ids = pool.named(name);
            let Some(first) = ids.next() else { continue };
            if ids.next().is_none() && question.pins.is_empty() && rules.is_available(first) {
                allowed[first.index()] = true;
            } else {
                choose(pool, rules, question, first).into_iter().for_each(|id| allowed[id.index()] = true);
            }
        }
        let mut candidates = Self { allowed, kept: Vec::new(), installed: Vec::new() };
        for (name, version) in &question.kept {
            let Some(name) = pool.find(name.as_bytes()) else { continue };
            let same = |id: &PackageId| pool.text(pool.package(*id).version) == version.as_bytes();
            if let Some(id) = pool.named(name).find(same) {
                if !rules.keeps_versions() {
                    candidates.only(pool, id);
                }
                kept[id.index()] = true;
            }
        }
        candidates.kept = kept;
        for request in &question.requests {
            candidates.take_request(pool, rules, question, request)?;
        }
        for name in &question.excluded {
            if let Some(name) = pool.find(name.as_bytes()) {
                pool.named(name).for_each(|id| candidates.allowed[id.index()] = false);
            }
        }
        candidates.installed = installed(pool, question);
        for id in candidates.installed.clone() {
            candidates.only(pool, id);
        }
        Ok(candidates)
    }

    /// Allows one version of a package and no other.
    fn only(&mut self, pool: &Pool, id: PackageId) {
        pool.named(pool.package(id).name).for_each(|other| self.allowed[other.index()] = other == id);
    }

    /// Lets a request for certain versions decide about its package: the one that may be installed when it will do, otherwise
    /// the latest that does.
    fn take_request(
        &mut self,
        pool: &Pool,
        rules: &impl Rules,
        question: &Question,
        request: &crate::packages::model::Request,
    ) -> Result<(), Explanation> {
        let Some(name) = pool.find(request.name.as_bytes()) else { return Ok(()) };
        let fits = |id: &PackageId| {
            let version = pool.text(pool.package(*id).version);
            rules.matches(version, request.comparison, request.version.as_bytes())
        };
        if request.comparison == Comparison::Any || pool.named(name).any(|id| self.allows(id) && fits(&id)) {
            return Ok(());
        }
        let newest = pool
            .named(name)
            .filter(fits)
            .filter(|id| rules.is_available(*id))
            .max_by(|one, other| newer(pool, rules, *one, *other));
        match newest {
            Some(id) => self.only(pool, id),
            None if pool.named(name).next().is_some() => {
                let note = |id| if rules.is_available(id) { String::new() } else { by_tag(pool, question, id) };
                let there = pool.named(name).map(|id| format!("{}{}", pool.label(id), note(id))).collect();
                return Err(Explanation::of(vec![Step::NoVersion { wanted: request.label(), there }]));
            }
            // A name that packages only provide.
            None => {}
        }
        Ok(())
    }

    pub(super) fn allows(&self, id: PackageId) -> bool {
        self.allowed[id.index()]
    }

    /// Returns the packages that are there already, sorted.
    pub(super) fn installed(&self) -> &[PackageId] {
        &self.installed
    }

    pub(super) fn is_kept(&self, id: PackageId) -> bool {
        self.kept[id.index()]
    }
}

/// Returns what explanations say of a package of a source with a tag that may not be installed.
pub(super) fn by_tag(pool: &Pool, question: &Question, id: PackageId) -> String {
    let tag = question.tags.get(&pool.package(id).source);
    tag.map(|tag| format!(" (only for who asks for it by the tag `@{tag}`)")).unwrap_or_default()
}

/// Finds the packages that are there already; of several sources that have the same one, the first.
fn installed(pool: &Pool, question: &Question) -> Vec<PackageId> {
    let find = |(name, version): (&String, &String)| {
        let same = |id: &PackageId| pool.text(pool.package(*id).version) == version.as_bytes();
        pool.named(pool.find(name.as_bytes())?).find(same)
    };
    let mut found: Vec<PackageId> = question.installed.iter().filter_map(find).collect();
    found.sort();
    found
}

/// Returns the versions of the package of `first` with the highest priority; of several the latest, and of several sources
/// that have it the first, unless the family leaves the choice.
fn choose(pool: &Pool, rules: &impl Rules, question: &Question, first: PackageId) -> Vec<PackageId> {
    let versions = pool.named(pool.package(first).name).filter(|id| rules.is_available(*id));
    let with_priority: Vec<(i32, PackageId)> =
        versions.map(|id| (priority(pool, rules, question, id), id)).filter(|(priority, _)| *priority >= 0).collect();
    let Some(highest) = with_priority.iter().map(|(priority, _)| *priority).max() else { return Vec::new() };
    let best = with_priority.into_iter().filter(|(priority, _)| *priority == highest).map(|(_, id)| id);
    if rules.keeps_versions() {
        return best.collect();
    }
    best.max_by(|one, other| newer(pool, rules, *one, *other)).into_iter().collect()
}

/// Compares by version; among equal ones the first source counts as newer.
fn newer(pool: &Pool, rules: &impl Rules, one: PackageId, other: PackageId) -> Ordering {
    let version = |id| pool.text(pool.package(id).version);
    rules.compare(version(one), version(other)).then_with(|| other.cmp(&one))
}

/// Returns the priority of a version: that of the first pin that names its package, else of the first for all.
fn priority(pool: &Pool, rules: &impl Rules, question: &Question, id: PackageId) -> i32 {
    let package = pool.package(id);
    let matches = |pin: &&Pin| match &pin.target {
        PinTarget::Source(source) => package.source == *source,
        PinTarget::Version(comparison, version) => {
            rules.matches(pool.text(package.version), *comparison, version.as_bytes())
        }
    };
    let named = |pin: &&Pin| pin.package.as_ref().is_some_and(|name| name.as_bytes() == pool.name(package.name));
    let pins = || question.pins.iter().filter(matches);
    let pin = pins().find(named).or_else(|| pins().find(|pin| pin.package.is_none()));
    pin.map_or(DEFAULT_PRIORITY, |pin| pin.priority)
}
