//! What must hold: every package that may come in, with what it needs and what it cannot stand beside.
//!
//! Comes in: a question. Goes out: [`Clauses`]. Always holds: everything that a choice may bring in is there before the first
//! choice is made.

use std::collections::{BTreeMap, VecDeque};

use super::candidates::Candidates;
use super::{Explanation, Question, Step, Variant};
use crate::packages::model::{
    Comparison, PackageId, Pool, Priority, Qualifier, Reason, Relation, RelationKind, Request, Requirement, Rules,
};

/// The number of a clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ClauseId(pub(super) u32);

impl ClauseId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// The request with this number.
    Request(usize),
    /// The variant.
    Variant,
    /// A package, by one of its relations.
    Package(PackageId, Relation),
}

impl Owner {
    pub(super) fn package(self) -> Option<PackageId> {
        match self {
            Self::Package(package, _) => Some(package),
            _ => None,
        }
    }
}

/// One of the candidates has to be installed when the owner is.
#[derive(Debug)]
pub(super) struct Clause {
    pub(super) owner: Owner,
    /// In the order of preference.
    pub(super) candidates: Box<[PackageId]>,
    /// Whether the owner can do without.
    pub(super) optional: bool,
}

/// Two packages that cannot both be installed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clash {
    pub(super) other: PackageId,
    /// The one of the two that says so.
    pub(super) by: PackageId,
    pub(super) relation: Relation,
}

/// Everything that must hold.
#[derive(Debug, Default)]
pub(super) struct Clauses {
    pub(super) all: Vec<Clause>,
    /// Those of requests and the variant come first.
    pub(super) roots: usize,
    /// The clauses of each package, in the order in which they count.
    pub(super) ranges: Vec<std::ops::Range<u32>>,
    /// The clauses that each package is a candidate of.
    pub(super) uses: Vec<Vec<ClauseId>>,
    pub(super) clashes: Vec<Vec<Clash>>,
    /// Whether each package may be installed: one version of each name.
    pub(super) allowed: Vec<bool>,
}

impl Clauses {
    pub(super) fn of(pool: &Pool, rules: &impl Rules, question: &Question, candidates: &Candidates) -> Self {
        let mut maker = Maker {
            pool,
            rules,
            candidates,
            clauses: Self {
                ranges: vec![0..0; pool.len()],
                uses: vec![Vec::new(); pool.len()],
                clashes: vec![Vec::new(); pool.len()],
                allowed: pool.ids().map(|id| candidates.allows(id)).collect(),
                ..Self::default()
            },
            known: vec![false; pool.len()],
            queue: VecDeque::new(),
        };
        maker.roots(question);
        if !question.only {
            maker.follow(question.recommends);
            maker.clash();
        }
        maker.clauses
    }

    pub(super) fn get(&self, id: ClauseId) -> &Clause {
        &self.all[id.index()]
    }

    /// Returns the clauses of a package.
    pub(super) fn of_package(&self, package: PackageId) -> impl Iterator<Item = ClauseId> + use<> {
        self.ranges[package.index()].clone().map(ClauseId)
    }

    /// Returns the first candidate of each request and the variant, and nothing else.
    pub(super) fn roots_only(
        &self,
        pool: &Pool,
        question: &Question,
    ) -> Result<BTreeMap<PackageId, Reason>, Explanation> {
        let mut packages = BTreeMap::new();
        for clause in &self.all {
            let Some(first) = clause.candidates.first() else {
                return Err(Explanation::of(vec![Step::nothing(pool, question, clause, &self.allowed)]));
            };
            packages.entry(*first).or_insert(clause.owner.reason());
        }
        Ok(packages)
    }
}

impl Owner {
    pub(super) fn reason(self) -> Reason {
        match self {
            Self::Request(number) => Reason::Requested(number),
            Self::Variant => Reason::Variant,
            Self::Package(by, relation) => Reason::Relation { by, relation },
        }
    }
}

struct Maker<'question, R> {
    pool: &'question Pool,
    rules: &'question R,
    candidates: &'question Candidates,
    clauses: Clauses,
    /// The packages whose clauses are made, or will be.
    known: Vec<bool>,
    queue: VecDeque<PackageId>,
}

impl<R: Rules> Maker<'_, R> {
    /// Makes the clauses of requests and the variant.
    fn roots(&mut self, question: &Question) {
        for (number, request) in question.requests.iter().enumerate() {
            let candidates = self.requested(request);
            self.add(Owner::Request(number), candidates, false);
        }
        let pool = self.pool;
        let wanted = |id: &PackageId| {
            let package = pool.package(*id);
            let priority = match question.variant {
                Variant::None => return false,
                Variant::Essential => return package.essential,
                Variant::Minbase => Priority::Required,
                Variant::Standard => Priority::Standard,
            };
            package.essential || package.priority <= priority
        };
        for id in pool.ids().filter(wanted).filter(|id| self.candidates.allows(*id)) {
            self.add(Owner::Variant, vec![id], false);
        }
        self.clauses.roots = self.clauses.all.len();
    }

    fn requested(&self, request: &Request) -> Vec<PackageId> {
        let Some(name) = self.pool.find(request.name.as_bytes()) else { return Vec::new() };
        let any = Requirement {
            name,
            comparison: Comparison::Any,
            qualifier: Qualifier::Own,
            version: crate::packages::model::Text::default(),
        };
        let mut found = self.satisfying(&[any]);
        found.retain(|id| self.fits(*id, request));
        found
    }

    /// Tells whether a package that has or provides the name of a request does so in a version that will do.
    fn fits(&self, id: PackageId, request: &Request) -> bool {
        let matches =
            |version| self.rules.matches(self.pool.text(version), request.comparison, request.version.as_bytes());
        let package = self.pool.package(id);
        let is = |name| self.pool.name(name) == request.name.as_bytes();
        is(package.name) && matches(package.version)
            || self.pool.provides(id).iter().any(|provide| {
                is(provide.name)
                    && (request.comparison == Comparison::Any
                        || !provide.version.is_empty() && matches(provide.version))
            })
    }

    /// Makes the clauses of everything that roots may bring in.
    fn follow(&mut self, recommends: bool) {
        while let Some(id) = self.queue.pop_front() {
            let first = self.clauses.all.len() as u32;
            for relation in self.pool.relations(id) {
                let optional = relation.kind == RelationKind::Recommends;
                if relation.kind.is_hard() || recommends && optional {
                    let candidates = self.satisfying(self.pool.alternatives(relation));
                    // What it has itself it does not need from others.
                    if !candidates.contains(&id) {
                        self.add(Owner::Package(id, *relation), candidates, optional);
                    }
                }
            }
            self.clauses.ranges[id.index()] = first..self.clauses.all.len() as u32;
        }
    }

    /// Returns the packages that satisfy one of the alternatives, in the order of preference.
    fn satisfying(&self, alternatives: &[Requirement]) -> Vec<PackageId> {
        let mut found: Vec<PackageId> = Vec::new();
        let pool = self.pool;
        for requirement in alternatives {
            let take = |id: PackageId, found: &mut Vec<PackageId>| {
                if !found.contains(&id) {
                    found.push(id);
                }
            };
            let allowed = |id: &PackageId| {
                self.candidates.allows(*id) && self.rules.serves(pool.package(*id), requirement.qualifier)
            };
            for id in pool.named(requirement.name).filter(allowed) {
                let version = pool.text(pool.package(id).version);
                if self.rules.matches(version, requirement.comparison, pool.text(requirement.version)) {
                    take(id, &mut found);
                }
            }
            let provided = |version| pool.provided(self.rules, version, requirement);
            let providers = pool.providers(requirement.name).iter();
            let mut providers: Vec<PackageId> =
                providers.filter(|(id, version)| allowed(id) && provided(*version)).map(|(id, _)| *id).collect();
            providers.sort_by(|one, other| self.rules.prefer(pool, *one, *other));
            providers.into_iter().for_each(|id| take(id, &mut found));
        }
        // What was there before stays what is chosen.
        found.sort_by_key(|id| !self.candidates.is_kept(*id));
        found
    }

    fn add(&mut self, owner: Owner, candidates: Vec<PackageId>, optional: bool) {
        let clause = ClauseId(self.clauses.all.len() as u32);
        for candidate in &candidates {
            self.clauses.uses[candidate.index()].push(clause);
            if !std::mem::replace(&mut self.known[candidate.index()], true) {
                self.queue.push_back(*candidate);
            }
        }
        self.clauses.all.push(Clause { owner, candidates: candidates.into(), optional });
    }

    /// Finds every two packages that cannot stand beside each other.
    fn clash(&mut self) {
        for id in self.pool.ids().filter(|id| self.known[id.index()]) {
            for relation in self.pool.relations(id).iter().filter(|relation| relation.kind.is_conflict()) {
                for other in self.satisfying(self.pool.alternatives(relation)) {
                    // A package that provides what it conflicts with wants to be the only one.
                    if other != id && self.known[other.index()] {
                        let clash = |other| Clash { other, by: id, relation: *relation };
                        self.clauses.clashes[id.index()].push(clash(other));
                        self.clauses.clashes[other.index()].push(clash(id));
                    }
                }
            }
        }
    }
}
