//! Whether a set of packages holds together: a judge that shares nothing with the search.
//!
//! Comes in: packages, however they were chosen. Goes out: everything that is wrong with them. It looks at names and versions
//! one by one, slowly and plainly.

use std::collections::BTreeSet;

use crate::packages::model::{PackageId, Pool, Relation, Requirement, Rules};

/// Something that is wrong with a set of packages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A package depends on what is not there.
    #[error("{package} {what}, which is not there")]
    Missing {
        /// The package.
        package: String,
        /// What it asks, with the verb.
        what: String,
    },
    /// A package stands beside another that it excludes.
    #[error("{package} {what}, and {other} is there")]
    Clash {
        /// The package.
        package: String,
        /// What it says, with the verb.
        what: String,
        /// The other package.
        other: String,
    },
    /// Two packages have a name that only one may have.
    #[error("{one} and {other} both have the name {name}")]
    Name {
        /// The name.
        name: String,
        /// One of them.
        one: String,
        /// The other.
        other: String,
    },
    /// A package is there in several versions.
    #[error("{one} and {other} are there")]
    Twice {
        /// One of them.
        one: String,
        /// The other.
        other: String,
    },
}

/// Returns everything that is wrong with a set of packages.
pub fn check(pool: &Pool, rules: &impl Rules, packages: &[PackageId]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (place, package) in packages.iter().enumerate() {
        for relation in pool.relations(*package) {
            violations.extend(wrong(pool, rules, packages, *package, relation));
        }
        let name = pool.package(*package).name;
        for other in packages[..place].iter().filter(|other| pool.package(**other).name == name) {
            violations.push(Violation::Twice { one: pool.label(*other), other: pool.label(*package) });
        }
        if rules.names_are_exclusive() {
            violations.extend(shared_names(pool, *package, &packages[..place]));
        }
    }
    violations
}

/// Finds the names that a package shares with earlier ones, each with a version.
fn shared_names(pool: &Pool, package: PackageId, earlier: &[PackageId]) -> Vec<Violation> {
    let names = |id: PackageId| {
        let provided = pool.provides(id).iter().filter(|provide| !provide.version.is_empty());
        provided.map(|provide| provide.name).chain([pool.package(id).name]).collect::<BTreeSet<_>>()
    };
    let own = names(package);
    let mut violations = Vec::new();
    for other in earlier {
        for name in names(*other).intersection(&own) {
            let name = String::from_utf8_lossy(pool.name(*name)).into_owned();
            violations.push(Violation::Name { name, one: pool.label(*other), other: pool.label(package) });
        }
    }
    violations
}

fn wrong(
    pool: &Pool,
    rules: &impl Rules,
    packages: &[PackageId],
    package: PackageId,
    relation: &Relation,
) -> Vec<Violation> {
    let alternatives = pool.alternatives(relation);
    let satisfies =
        |id: PackageId| alternatives.iter().any(|requirement: &Requirement| pool.satisfies(rules, id, requirement));
    let what = || format!("{} {}", relation.kind.verb(), pool.relation_label(relation));
    let label = || pool.label(package);
    if relation.kind.is_hard() && !packages.iter().any(|id| satisfies(*id)) {
        return vec![Violation::Missing { package: label(), what: what() }];
    }
    if relation.kind.is_conflict() {
        let others = packages.iter().filter(|other| **other != package && satisfies(**other));
        return others
            .map(|other| Violation::Clash { package: label(), what: what(), other: pool.label(*other) })
            .collect();
    }
    Vec::new()
}
