//! What must hold: every package that may come in, with what it needs and what it cannot stand beside.
//!
//! Comes in: a question. Goes out: [`Clauses`]. Always holds: everything that a choice may bring in is there before the first
//! choice is made.

use std::collections::{BTreeMap, VecDeque};

use super::candidates::Candidates;
use super::table::Table;
use super::{Explanation, Question, Step, Variant};
use crate::packages::model::{
    Candidate, Comparison, NameId, PackageId, Pool, Priority, Qualifier, Reason, Relation, RelationKind, Request,
    Requirement, Rules,
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
    /// Nobody: it is there already.
    Installed,
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
    /// How many of them, the last, are not chosen for this: they do when something else brings them in.
    pub(super) passive: usize,
    /// Whether the owner can do without.
    pub(super) optional: bool,
}

impl Clause {
    /// Returns the candidates that may be chosen.
    pub(super) fn choosable(&self) -> &[PackageId] {
        &self.candidates[..self.candidates.len() - self.passive]
    }
}

/// Two packages that cannot both be installed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clash {
    pub(super) other: PackageId,
    /// The one of the two that says so.
    pub(super) by: PackageId,
    pub(super) why: Discord,
}

/// Why two packages cannot both be installed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Discord {
    /// One of them says so.
    Relation(Relation),
    /// Both have a name that only one package may have.
    Name(NameId),
}

/// A package that is installed by itself when others are.
#[derive(Debug)]
pub(super) struct Trigger {
    pub(super) package: PackageId,
    pub(super) conditions: Vec<Condition>,
}

/// One of several packages is installed, or none.
#[derive(Debug)]
pub(super) struct Condition {
    pub(super) relation: Relation,
    pub(super) packages: Vec<PackageId>,
}

/// Everything that must hold.
#[derive(Debug)]
pub(super) struct Clauses {
    pub(super) all: Vec<Clause>,
    /// Those of requests and the variant come first.
    pub(super) roots: usize,
    /// The clauses of each package, in the order in which they count.
    pub(super) ranges: Table<std::ops::Range<u32>>,
    /// The clauses that each package is a candidate of.
    pub(super) uses: Table<Vec<ClauseId>>,
    pub(super) clashes: Table<Vec<Clash>>,
    /// Packages of which one at most may be installed, with the name that they share.
    groups: Vec<(NameId, Vec<PackageId>)>,
    /// The groups of each package.
    groups_of: Table<Vec<u32>>,
    /// Sorted by package.
    pub(super) triggers: Vec<Trigger>,
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
                all: Vec::new(),
                roots: 0,
                ranges: Table::new(pool.len(), 0..0),
                uses: Table::new(pool.len(), Vec::new()),
                clashes: Table::new(pool.len(), Vec::new()),
                groups: Vec::new(),
                groups_of: Table::new(pool.len(), Vec::new()),
                triggers: Vec::new(),
                allowed: pool.ids().map(|id| candidates.allows(id)).collect(),
            },
            known: vec![false; pool.len()],
            queue: VecDeque::new(),
        };
        maker.roots(question);
        if !question.only {
            maker.follow_all(question.recommends);
            maker.clash();
            maker.group();
        }
        maker.clauses
    }

    pub(super) fn get(&self, id: ClauseId) -> &Clause {
        &self.all[id.index()]
    }

    /// Returns what a package cannot stand beside.
    pub(super) fn clashes_of(&self, package: PackageId) -> impl Iterator<Item = Clash> {
        let groups = self.groups_of[package].iter().map(|group| &self.groups[*group as usize]);
        let sharing = groups.flat_map(move |(name, members)| {
            let others = members.iter().filter(move |other| **other != package);
            others.map(move |other| Clash { other: *other, by: package, why: Discord::Name(*name) })
        });
        self.clashes[package].iter().copied().chain(sharing)
    }

    /// Returns the clauses of a package.
    pub(super) fn of_package(&self, package: PackageId) -> impl Iterator<Item = ClauseId> + use<> {
        self.ranges[package].clone().map(ClauseId)
    }

    /// Returns the first candidate of each request and the variant, and nothing else.
    pub(super) fn roots_only(
        &self,
        pool: &Pool,
        question: &Question,
    ) -> Result<BTreeMap<PackageId, Reason>, Explanation> {
        let mut packages = BTreeMap::new();
        for clause in &self.all {
            let Some(first) = clause.choosable().first() else {
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
            Self::Installed => Reason::Installed,
            Self::Package(by, relation) => Reason::Relation { by, relation },
        }
    }
}

/// Packages that would do, those that may be chosen first.
#[derive(Debug, Default)]
struct Found {
    candidates: Vec<PackageId>,
    /// How many of them, the last, are not chosen.
    passive: usize,
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
    /// Makes the clauses of what is there already, of requests and of the variant.
    fn roots(&mut self, question: &Question) {
        for id in self.candidates.installed().to_vec() {
            self.add(Owner::Installed, Found { candidates: vec![id], passive: 0 }, false);
        }
        for (number, request) in question.requests.iter().enumerate() {
            let found = self.requested(request);
            self.add(Owner::Request(number), found, false);
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
            self.add(Owner::Variant, Found { candidates: vec![id], passive: 0 }, false);
        }
        self.clauses.roots = self.clauses.all.len();
    }

    fn requested(&self, request: &Request) -> Found {
        let Some(name) = self.pool.find(request.name.as_bytes()) else { return Found::default() };
        let matches =
            |version| self.rules.matches(self.pool.text(version), request.comparison, request.version.as_bytes());
        let fits = |candidate: Candidate| {
            let named = candidate.own || request.comparison == Comparison::Any || !candidate.version.is_empty();
            named && matches(candidate.version)
        };
        let mut found = Vec::new();
        self.serving(name, Qualifier::Own, fits, &mut found);
        self.found(found)
    }

    /// Makes the clauses of everything that roots may bring in, and of what is installed by itself beside it.
    fn follow_all(&mut self, recommends: bool) {
        let pool = self.pool;
        if !pool.has_relations(RelationKind::InstallIf) {
            return self.follow(recommends);
        }
        let conditional =
            |id: &PackageId| pool.relations(*id).iter().any(|relation| relation.kind == RelationKind::InstallIf);
        let mut waiting: Vec<PackageId> =
            pool.ids().filter(conditional).filter(|id| self.candidates.allows(*id)).collect();
        loop {
            self.follow(recommends);
            let known = self.clauses.triggers.len();
            waiting.retain(|id| {
                let conditions = self.conditions(*id);
                let possible = conditions.iter().all(|condition| {
                    condition.relation.kind == RelationKind::InstallUnless
                        || condition.packages.iter().any(|package| self.known[package.index()])
                });
                if possible {
                    self.clauses.triggers.push(Trigger { package: *id, conditions });
                    if !std::mem::replace(&mut self.known[id.index()], true) {
                        self.queue.push_back(*id);
                    }
                }
                !possible
            });
            if self.clauses.triggers.len() == known {
                break;
            }
        }
        self.clauses.triggers.sort_by_key(|trigger| trigger.package);
    }

    /// Returns what has to be installed, or not, for a package to be installed by itself.
    fn conditions(&self, id: PackageId) -> Vec<Condition> {
        let relations = self.pool.relations(id).iter();
        let conditions =
            relations.filter(|relation| matches!(relation.kind, RelationKind::InstallIf | RelationKind::InstallUnless));
        conditions
            .map(|relation| {
                let found = self.satisfying(self.pool.alternatives(relation));
                Condition { relation: *relation, packages: found.candidates }
            })
            .collect()
    }

    /// Makes the clauses of everything that is in the queue, and of what that may bring in.
    fn follow(&mut self, recommends: bool) {
        while let Some(id) = self.queue.pop_front() {
            let first = self.clauses.all.len() as u32;
            let recommends = recommends && self.candidates.installed().binary_search(&id).is_err();
            for relation in self.pool.relations(id) {
                let optional = relation.kind == RelationKind::Recommends;
                if relation.kind.is_hard() || recommends && optional {
                    let found = self.satisfying(self.pool.alternatives(relation));
                    // What it has itself it does not need from others.
                    if !found.candidates.contains(&id) {
                        self.add(Owner::Package(id, *relation), found, optional);
                    }
                }
            }
            self.clauses.ranges[id] = first..self.clauses.all.len() as u32;
        }
    }

    /// Returns the packages that satisfy one of the alternatives.
    fn satisfying(&self, alternatives: &[Requirement]) -> Found {
        let mut found: Vec<Candidate> = Vec::new();
        for requirement in alternatives {
            let fits = |candidate: Candidate| self.pool.fits(self.rules, candidate, requirement);
            self.serving(requirement.name, requirement.qualifier, fits, &mut found);
        }
        self.found(found)
    }

    /// Adds those that have or provide a name, in the order of preference.
    fn serving(
        &self,
        name: NameId,
        qualifier: Qualifier,
        fits: impl Fn(Candidate) -> bool,
        found: &mut Vec<Candidate>,
    ) {
        let pool = self.pool;
        let allowed = |id: PackageId| self.candidates.allows(id) && self.rules.serves(pool.package(id), qualifier);
        let first = found.len();
        found.extend(pool.serving(name).filter(|candidate| allowed(candidate.package) && fits(*candidate)));
        found[first..].sort_by(|one, other| self.rules.prefer(pool, *one, *other));
    }

    /// Orders what was found: each package once, those that may be chosen first.
    fn found(&self, found: Vec<Candidate>) -> Found {
        let mut active: Vec<PackageId> = Vec::new();
        let mut passive: Vec<PackageId> = Vec::new();
        for candidate in found {
            let list = if self.rules.may_be_chosen(self.pool, candidate) { &mut active } else { &mut passive };
            if !list.contains(&candidate.package) {
                list.push(candidate.package);
            }
        }
        passive.retain(|id| !active.contains(id));
        // What was there before stays what is chosen.
        active.sort_by_key(|id| !self.candidates.is_kept(*id));
        let count = passive.len();
        active.extend(passive);
        Found { candidates: active, passive: count }
    }

    fn add(&mut self, owner: Owner, Found { candidates, passive }: Found, optional: bool) {
        let clause = ClauseId(self.clauses.all.len() as u32);
        for candidate in &candidates {
            self.clauses.uses[*candidate].push(clause);
            if !std::mem::replace(&mut self.known[candidate.index()], true) {
                self.queue.push_back(*candidate);
            }
        }
        self.clauses.all.push(Clause { owner, candidates: candidates.into(), passive, optional });
    }

    /// Finds every two packages that cannot stand beside each other.
    fn clash(&mut self) {
        for id in self.pool.ids().filter(|id| self.known[id.index()]) {
            for relation in self.pool.relations(id).iter().filter(|relation| relation.kind.is_conflict()) {
                for other in self.satisfying(self.pool.alternatives(relation)).candidates {
                    // A package that provides what it conflicts with wants to be the only one.
                    if other != id && self.known[other.index()] {
                        let clash = |other| Clash { other, by: id, why: Discord::Relation(*relation) };
                        self.clauses.clashes[id].push(clash(other));
                        self.clauses.clashes[other].push(clash(id));
                    }
                }
            }
        }
    }

    /// Finds the packages that share a name which only one may have.
    fn group(&mut self) {
        let (pool, rules) = (self.pool, self.rules);
        if !rules.keeps_versions() && !rules.names_are_exclusive() {
            return;
        }
        for name in pool.name_ids() {
            let counts = |candidate: &Candidate| {
                let has = candidate.own || rules.names_are_exclusive() && !candidate.version.is_empty();
                has && self.known[candidate.package.index()]
            };
            let mut members: Vec<PackageId> =
                pool.serving(name).filter(counts).map(|candidate| candidate.package).collect();
            members.sort();
            members.dedup();
            if members.len() > 1 {
                let group = self.clauses.groups.len() as u32;
                members.iter().for_each(|member| self.clauses.groups_of[*member].push(group));
                self.clauses.groups.push((name, members));
            }
        }
    }
}
