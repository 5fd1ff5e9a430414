//! What decides between packages of Arch.

use std::cmp::Ordering;

use super::version;
use crate::packages::model::{Candidate, Package, PackageId, Pool, Qualifier, RelationKind, Requirement, Rules};
use crate::packages::solve::Solution;

/// The rules of pacman for a system of one architecture.
///
/// Of what serves a name the package with that name comes first, from the earliest repository that has one that will do;
/// then providers, by repository and name, as pacman takes them when nobody is asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct PacmanRules;

impl Rules for PacmanRules {
    fn compare(&self, one: &[u8], other: &[u8]) -> Ordering {
        version::compare(one, other)
    }

    fn serves(&self, _: &Package, _: Qualifier) -> bool {
        // All packages of a pool are of one architecture or of none.
        true
    }

    fn prefer(&self, pool: &Pool, one: Candidate, other: Candidate) -> Ordering {
        let key = |candidate: Candidate| {
            let package = pool.package(candidate.package);
            (!candidate.own, package.source, package.name, candidate.package)
        };
        key(one).cmp(&key(other))
    }

    fn keeps_versions(&self) -> bool {
        true
    }
}

/// A choice among providers that pacman would ask a person about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The name that is asked for.
    pub name: String,
    /// The package that asks.
    pub by: PackageId,
    /// The package that was taken.
    pub taken: PackageId,
    /// The others that would do.
    pub others: Vec<PackageId>,
}

/// Returns the choices of a solution that nobody made: names that several packages provide and none has, where the provider
/// that is there is not there for another reason.
pub fn choices(pool: &Pool, solution: &Solution) -> Vec<Choice> {
    use crate::packages::model::Reason;
    let mut choices = Vec::new();
    for (taken, reason) in &solution.packages {
        let Reason::Relation { by, relation } = reason else { continue };
        let [requirement] = pool.alternatives(relation) else { continue };
        let own = pool.named(requirement.name).next().is_some();
        let serving = |requirement: &Requirement| -> Vec<PackageId> {
            let fitting = pool.serving(requirement.name).filter(|one| pool.fits(&PacmanRules, *one, requirement));
            fitting.map(|candidate| candidate.package).filter(|id| id != taken).collect()
        };
        let others = serving(requirement);
        if relation.kind == RelationKind::Depends && !own && !others.is_empty() {
            let name = String::from_utf8_lossy(pool.name(requirement.name)).into_owned();
            choices.push(Choice { name, by: *by, taken: *taken, others });
        }
    }
    choices
}

#[cfg(test)]
mod tests;
