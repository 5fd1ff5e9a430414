//! What decides between packages of Alpine.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::relation;
use super::version;
use crate::packages::model::{Candidate, Comparison, NameId, Package, PackageId, Pool, Qualifier, Rules};

/// A repository with a tag: what is in it is only taken where somebody asks for the tag (apk-repositories(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// The number of the repository among the merged indexes.
    pub source: u16,
    /// The tag, without its `@`.
    pub name: String,
}

/// The rules of apk for a system of one architecture.
///
/// Of what serves a name the package from the repository that was asked for comes first, then the one that has the name in
/// the latest version, then the one with the higher priority, then the one that the earlier repository has, then the later
/// version of it. What only provides a name without a version and has no priority is not chosen for it.
#[derive(Debug, Clone, Default)]
pub struct ApkRules {
    /// For each package whether it may be installed; empty when all may.
    available: Vec<bool>,
    /// The sources that were asked for by name, for names that were.
    preferred: BTreeMap<NameId, u16>,
    /// The sources that have a tag.
    tagged: Vec<u16>,
}

impl ApkRules {
    /// Returns the rules for indexes that have no tags.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the rules for indexes some of which have tags. Of `wanted`, names and the tags they were asked for with, the
    /// packages come from the repository with the tag; what those need may come from there as well.
    ///
    /// # Errors
    /// When no repository has a tag that is asked for; returns the tag.
    pub fn with_tags(pool: &Pool, tags: &[Tag], wanted: &[(String, String)]) -> Result<Self, String> {
        let tagged: Vec<u16> = tags.iter().map(|tag| tag.source).collect();
        let mut available: Vec<bool> = pool.ids().map(|id| !tagged.contains(&pool.package(id).source)).collect();
        let mut preferred = BTreeMap::new();
        let mut queue: Vec<(NameId, u16)> = Vec::new();
        for (name, tag) in wanted {
            let mut sources = tags.iter().filter(|known| known.name == *tag).map(|known| known.source).peekable();
            let Some(first) = sources.peek().copied() else { return Err(tag.clone()) };
            if let Some(name) = pool.find(name.as_bytes()) {
                preferred.insert(name, first);
                queue.extend(sources.map(|source| (name, source)));
            }
        }
        while let Some((name, source)) = queue.pop() {
            for candidate in pool.serving(name) {
                let id = candidate.package;
                if pool.package(id).source != source || std::mem::replace(&mut available[id.index()], true) {
                    continue;
                }
                let hard = pool.relations(id).iter().filter(|relation| relation.kind.is_hard());
                queue.extend(hard.flat_map(|relation| pool.alternatives(relation)).map(|one| (one.name, source)));
            }
        }
        Ok(Self { available, preferred, tagged })
    }

    /// Returns how well the repository of a package fits its name: what was asked for, what has no tag, what else may be.
    fn pinning(&self, pool: &Pool, id: PackageId) -> u8 {
        let package = pool.package(id);
        match self.preferred.get(&package.name) {
            Some(source) if *source == package.source => 0,
            _ if self.tagged.contains(&package.source) => 2,
            _ => 1,
        }
    }
}

impl Rules for ApkRules {
    fn compare(&self, one: &[u8], other: &[u8]) -> Ordering {
        version::compare(one, other)
    }

    fn matches(&self, version: &[u8], comparison: Comparison, wanted: &[u8]) -> bool {
        relation::matches(version, comparison, wanted)
    }

    fn serves(&self, _: &Package, _: Qualifier) -> bool {
        // All packages of a pool are of one architecture or of none.
        true
    }

    fn prefer(&self, pool: &Pool, one: Candidate, other: Candidate) -> Ordering {
        let version = |candidate: Candidate| pool.text(candidate.version);
        let own = |candidate: Candidate| pool.text(pool.package(candidate.package).version);
        let rank = |candidate: Candidate| {
            let package = pool.package(candidate.package);
            let first = pool.named(package.name).next().map(|id| pool.package(id).source);
            (std::cmp::Reverse(package.provider_priority), first, package.name)
        };
        let last = |candidate: Candidate| (pool.package(candidate.package).source, candidate.package);
        self.pinning(pool, one.package)
            .cmp(&self.pinning(pool, other.package))
            // A version is more than none.
            .then_with(|| version(one).is_empty().cmp(&version(other).is_empty()))
            .then_with(|| version::compare(version(other), version(one)))
            .then_with(|| rank(one).cmp(&rank(other)))
            .then_with(|| version::compare(own(other), own(one)))
            .then_with(|| last(one).cmp(&last(other)))
    }

    fn keeps_versions(&self) -> bool {
        true
    }

    fn is_available(&self, id: PackageId) -> bool {
        self.available.get(id.index()).copied().unwrap_or(true)
    }

    fn may_be_chosen(&self, pool: &Pool, candidate: Candidate) -> bool {
        candidate.own || !candidate.version.is_empty() || pool.package(candidate.package).provider_priority > 0
    }

    fn names_are_exclusive(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
