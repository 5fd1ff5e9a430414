//! Which packages to install.
//!
//! Comes in: a [`Pool`] and a [`Question`]: what is asked for, which versions are preferred, what must not be there. Goes out:
//! a [`Solution`] with the reason for every package, or an [`Explanation`] of why there is none. Always holds: the packages
//! of a solution depend on nothing outside of it and none conflicts with another; the same question has the same answer on
//! every machine.
//!
//! The order of choices is that of apt 3.0: what has no alternative first; then one choice after the other, in the order in
//! which packages come in, each for the first alternative as written, and for the best provider of a virtual name. Only when
//! choices turn out to exclude each other the latest one that takes part in that is made differently. Recommended packages
//! follow when everything needed is there.

mod candidates;
mod check;
mod clauses;
mod explain;
mod search;
mod state;
mod table;

use std::collections::{BTreeMap, BTreeSet};

pub use candidates::{Pin, PinTarget};
pub use check::{Violation, check};
pub use explain::{Explanation, Step};

use crate::packages::model::{PackageId, Pool, Reason, Request, Rules};
use candidates::Candidates;
use clauses::Clauses;
use search::Search;

/// What a system has before anything is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Variant {
    /// Nothing.
    #[default]
    None,
    /// The packages that every system has.
    Essential,
    /// Also those without which a system does not work: priority required.
    Minbase,
    /// Also those that people expect: priorities important and standard.
    Standard,
}

/// What to solve.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// What is asked for.
    pub requests: Vec<Request>,
    /// What is there anyway.
    pub variant: Variant,
    /// Whether recommended packages are installed, too.
    pub recommends: bool,
    /// Whether nothing is installed but the requests and the variant, whatever they depend on.
    pub only: bool,
    /// The names of packages that must not be installed.
    pub excluded: BTreeSet<String>,
    /// Which versions are preferred.
    pub pins: Vec<Pin>,
    /// The packages of an earlier solution, with their versions: they stay what they are where that is possible.
    pub kept: BTreeMap<String, String>,
    /// The packages that are there already, with their versions, each of which the pool must have: they are part of every
    /// solution as they are, and what they recommend nobody asks for any more.
    pub installed: BTreeMap<String, String>,
    /// The sources, by their numbers, whose packages are for those who ask for a tag, for what explanations say.
    pub tags: BTreeMap<u16, String>,
}

/// The packages to install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Solution {
    /// Every package with the reason why it is there, sorted by name.
    pub packages: BTreeMap<PackageId, Reason>,
}

impl Solution {
    /// Returns the chain of reasons that leads to a package, the package itself first; nothing when it is not installed.
    pub fn why(&self, package: PackageId) -> Option<Vec<(PackageId, Reason)>> {
        let mut chain = vec![(package, *self.packages.get(&package)?)];
        // Every reason is older than the package it is for, so that chains end; bounded all the same.
        while let Some((_, Reason::Relation { by, .. })) = chain.last().copied() {
            chain.push((by, *self.packages.get(&by)?));
            if chain.len() > self.packages.len() {
                break;
            }
        }
        Some(chain)
    }
}

/// Solves a question.
///
/// # Errors
/// When no set of packages does what is asked for.
pub fn solve(pool: &Pool, rules: &impl Rules, question: &Question) -> Result<Solution, Explanation> {
    attempt(pool, rules, question).map_err(|explanation| narrow(pool, rules, question, explanation))
}

/// Leaves out of a question whatever has no part in its having no answer, so that the explanation has none of it either.
fn narrow(pool: &Pool, rules: &impl Rules, question: &Question, explanation: Explanation) -> Explanation {
    let (mut question, mut explanation) = (question.clone(), explanation);
    let mut place = 0;
    while question.requests.len() > 1 && place < question.requests.len() {
        let request = question.requests.remove(place);
        match attempt(pool, rules, &question) {
            Err(narrower) => explanation = narrower,
            Ok(_) => {
                question.requests.insert(place, request);
                place += 1;
            }
        }
    }
    explanation
}

fn attempt(pool: &Pool, rules: &impl Rules, question: &Question) -> Result<Solution, Explanation> {
    let candidates = Candidates::of(pool, rules, question)?;
    let clauses = Clauses::of(pool, rules, question, &candidates);
    if question.only {
        return Ok(Solution { packages: clauses.roots_only(pool, question)? });
    }
    let mut search = Search::new(pool, question, &clauses);
    search.run()?;
    Ok(Solution { packages: search.solution() })
}

#[cfg(test)]
mod tests;
