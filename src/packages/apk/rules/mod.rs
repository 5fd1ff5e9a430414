//! What decides between packages of Alpine.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::relation;
use super::version;
use crate::packages::model::{Candidate, Comparison, NameId, Package, PackageId, Pool, Qualifier, RelationKind, Rules};
use crate::packages::solve::Solution;

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
    /// The packages that somebody asks for by the tag of their repository.
    preferred: BTreeSet<PackageId>,
    /// The repositories that have a tag.
    tagged: BTreeSet<u16>,
    /// Names that somebody asks for by a tag, each with the repositories that have it.
    asked: Vec<(NameId, Vec<u16>)>,
    /// The packages that come by themselves beside a name.
    along: BTreeMap<NameId, Vec<PackageId>>,
}

impl ApkRules {
    /// Returns the rules for indexes that have no tags.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the rules for indexes some of which have tags. Of `wanted`, names and the tags they were asked for with, the
    /// packages come from a repository with the tag where one has them; what those need, and what comes by itself beside
    /// them, may come from there as well (apk-world(5)).
    ///
    /// # Errors
    /// When no repository has a tag that is asked for; returns the tag.
    pub fn with_tags<'tag>(
        pool: &Pool,
        tags: &[Tag],
        wanted: impl IntoIterator<Item = (&'tag str, &'tag str)>,
    ) -> Result<Self, String> {
        if tags.is_empty() {
            return match wanted.into_iter().next() {
                Some((_, tag)) => Err(tag.to_owned()),
                None => Ok(Self::new()),
            };
        }
        let tagged: BTreeSet<u16> = tags.iter().map(|tag| tag.source).collect();
        let available = pool.ids().map(|id| !tagged.contains(&pool.package(id).source)).collect();
        let along = along(pool, &tagged);
        let mut rules = Self { available, preferred: BTreeSet::new(), tagged, asked: Vec::new(), along };
        for (name, tag) in wanted {
            let sources: Vec<u16> = tags.iter().filter(|known| known.name == *tag).map(|known| known.source).collect();
            if sources.is_empty() {
                return Err(tag.to_owned());
            }
            let Some(name) = pool.find(name.as_bytes()) else { continue };
            let serving = pool.serving(name).map(|candidate| candidate.package);
            rules.preferred.extend(serving.filter(|id| sources.contains(&pool.package(*id).source)));
            rules.asked.push((name, sources));
        }
        for id in rules.reached(pool, |_| true) {
            rules.available[id.index()] = true;
        }
        Ok(rules)
    }

    /// Solves by the rules until no package with a tag is chosen that nothing leads to: such a package is there for nobody, and
    /// the question is solved again.
    ///
    /// # Errors
    /// Those of `solve`.
    pub fn settled<E>(mut self, pool: &Pool, solve: impl Fn(&Self) -> Result<Solution, E>) -> Result<Solution, E> {
        loop {
            let solution = solve(&self)?;
            let astray = self.astray(pool, &solution.packages.keys().copied().collect());
            if astray.is_empty() {
                return Ok(solution);
            }
            astray.into_iter().for_each(|id| self.available[id.index()] = false);
        }
    }

    /// Returns the packages of repositories with a tag that nothing of `chosen` leads to from a request with that tag: they
    /// would do, but only beside something else that asks for them.
    fn astray(&self, pool: &Pool, chosen: &BTreeSet<PackageId>) -> Vec<PackageId> {
        let is_tagged = |id: &&PackageId| self.tagged.contains(&pool.package(**id).source);
        let mut tagged = chosen.iter().filter(is_tagged).copied().peekable();
        if tagged.peek().is_none() {
            return Vec::new();
        }
        let reached = self.reached(pool, |id| chosen.contains(&id));
        tagged.filter(|id| !reached.contains(id)).collect()
    }

    /// Returns the packages of repositories with a tag that somebody asks for, or that are needed for that, or come beside
    /// it: of those that `is_there` knows.
    fn reached(&self, pool: &Pool, is_there: impl Fn(PackageId) -> bool) -> BTreeSet<PackageId> {
        let mut reached = BTreeSet::new();
        for (name, sources) in &self.asked {
            let (mut seen, mut queue) = (BTreeSet::new(), vec![*name]);
            while let Some(name) = queue.pop() {
                if !seen.insert(name) {
                    continue;
                }
                let serving = pool.serving(name).map(|candidate| candidate.package);
                let along = self.along.get(&name).into_iter().flatten().copied();
                for id in serving.chain(along).filter(|id| is_there(*id)) {
                    let package = pool.package(id);
                    if sources.contains(&package.source) {
                        reached.insert(id);
                    } else if self.tagged.contains(&package.source) {
                        continue;
                    }
                    let hard = pool.relations(id).iter().filter(|relation| relation.kind.is_hard());
                    queue.extend(hard.flat_map(|relation| pool.alternatives(relation)).map(|one| one.name));
                    queue.push(package.name);
                }
            }
        }
        reached
    }

    /// Returns how well the repository of a package fits: what was asked for, what has no tag, what else may be.
    fn pinning(&self, pool: &Pool, id: PackageId) -> u8 {
        match self.tagged.contains(&pool.package(id).source) {
            _ if self.preferred.contains(&id) => 0,
            true => 2,
            false => 1,
        }
    }
}

/// Returns the packages of repositories with a tag that come by themselves, by the names that they come beside.
fn along(pool: &Pool, tagged: &BTreeSet<u16>) -> BTreeMap<NameId, Vec<PackageId>> {
    let mut along: BTreeMap<NameId, Vec<PackageId>> = BTreeMap::new();
    for id in pool.ids().filter(|id| tagged.contains(&pool.package(*id).source)) {
        let with = pool.relations(id).iter().filter(|relation| relation.kind == RelationKind::InstallIf);
        for one in with.flat_map(|relation| pool.alternatives(relation)) {
            along.entry(one.name).or_default().push(id);
        }
    }
    along
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
