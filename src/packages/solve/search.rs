//! The search: choices, what they lead to, and going back.

use std::collections::{BTreeMap, BTreeSet};

use super::clauses::{Clauses, Condition};
use super::explain::{Explanation, explain};
use super::state::{Cause, Contradiction, Fate, Next, State};
use super::{Question, Step};
use crate::packages::model::{PackageId, Pool, Reason};

/// The contradictions after which the search gives up. Real questions meet some dozens; only made-up ones come near.
const PATIENCE: usize = 20_000;

/// The lessons that are explained: nobody reads more.
const EXPLAINED: usize = 100;

/// A search for a solution.
pub(super) struct Search<'question> {
    pool: &'question Pool,
    question: &'question Question,
    state: State<'question>,
}

impl<'question> Search<'question> {
    pub(super) fn new(pool: &'question Pool, question: &'question Question, clauses: &'question Clauses) -> Self {
        Self { pool, question, state: State::new(clauses, pool.len()) }
    }

    /// Searches until everything is decided that has to be.
    pub(super) fn run(&mut self) -> Result<(), Explanation> {
        let mut outcome = self.state.begin();
        for _ in 0..PATIENCE {
            while outcome.is_ok() {
                match self.state.next() {
                    Next::Done => return Ok(()),
                    Next::Unchosen(clause) => outcome = Err(Contradiction::Unchosen(clause)),
                    Next::Choose(package, cause) => {
                        self.state.choose(package, cause);
                        outcome = self.state.propagate();
                    }
                }
            }
            if let Err(contradiction) = outcome {
                self.go_back(contradiction)?;
            }
            outcome = self.state.propagate();
        }
        Err(Explanation::of(vec![Step::TooHard { contradictions: PATIENCE }]))
    }

    /// Goes back to where the last of the choices that a contradiction follows from was the only one missing, and rules it
    /// out there.
    fn go_back(&mut self, contradiction: Contradiction) -> Result<(), Explanation> {
        let mut choices = self.choices_of(contradiction);
        if choices.is_empty() {
            return Err(explain(self.pool, self.question, &self.state, contradiction));
        }
        let why = match self.state.lessons.len() {
            ..EXPLAINED => explain(self.pool, self.question, &self.state, contradiction).steps,
            _ => Vec::new(),
        };
        choices.sort_by_key(|package| self.state.level(*package));
        let level = choices.iter().rev().nth(1).map_or(0, |package| self.state.level(*package));
        self.state.go_back(level);
        self.state.learn(choices, why);
        Ok(())
    }

    /// Returns the choices that a contradiction follows from.
    fn choices_of(&self, contradiction: Contradiction) -> Vec<PackageId> {
        let mut seen = BTreeSet::new();
        let mut queue = match contradiction {
            Contradiction::Clause(clause) => {
                let clause = self.state.clauses.get(clause);
                clause.owner.package().into_iter().chain(clause.candidates.iter().copied()).collect()
            }
            Contradiction::Clash(package, clash) => vec![package, clash.other],
            Contradiction::Lesson(number) => self.state.lessons[number].choices.clone(),
            Contradiction::Unchosen(clause) => self.state.clauses.get(clause).owner.package().into_iter().collect(),
        };
        let mut choices = Vec::new();
        while let Some(package) = queue.pop() {
            if !seen.insert(package) {
                continue;
            }
            match self.state.fate(package) {
                Fate::Open => {}
                Fate::In(Cause::Choice(_) | Cause::Trigger(_)) => choices.push(package),
                fate => queue.extend(causes(&self.state, package, fate)),
            }
        }
        if matches!(contradiction, Contradiction::Unchosen(_)) {
            // It is for a person to choose, unless what needs it is not needed itself.
            choices.retain(|package| matches!(self.state.fate(*package), Fate::In(Cause::Trigger(_))));
            choices.sort_by_key(|package| self.state.level(*package));
            choices.drain(..choices.len().saturating_sub(1));
        }
        choices
    }

    /// Returns what is in, each with the reason that brought it in.
    pub(super) fn solution(&self) -> BTreeMap<PackageId, Reason> {
        let mut packages = BTreeMap::new();
        for package in self.state.trail() {
            let reason = match self.state.fate(*package) {
                Fate::In(Cause::Choice(clause) | Cause::Clause(clause)) => {
                    Some(self.state.clauses.get(clause).owner.reason())
                }
                Fate::In(Cause::Trigger(number)) => {
                    // What it came with was there before it.
                    let held = |condition: &Condition| {
                        let by = condition.packages.iter().copied().find(|other| packages.contains_key(other))?;
                        Some(Reason::Relation { by, relation: condition.relation })
                    };
                    self.state.clauses.triggers[number].conditions.iter().find_map(held)
                }
                _ => None,
            };
            if let Some(reason) = reason {
                packages.insert(*package, reason);
            }
        }
        packages
    }
}

/// Returns the packages whose fates led to that of `package`.
pub(super) fn causes(state: &State<'_>, package: PackageId, fate: Fate) -> Vec<PackageId> {
    match fate {
        Fate::Open
        | Fate::In(Cause::Choice(_) | Cause::Trigger(_))
        | Fate::Out(Cause::Choice(_) | Cause::Trigger(_)) => Vec::new(),
        Fate::In(Cause::Clause(clause)) => {
            let clause = state.clauses.get(clause);
            let others = clause.candidates.iter().copied().filter(|other| *other != package);
            clause.owner.package().into_iter().chain(others).collect()
        }
        Fate::Out(Cause::Clause(clause)) => state.clauses.get(clause).candidates.to_vec(),
        Fate::In(Cause::Clash(clash)) | Fate::Out(Cause::Clash(clash)) => vec![clash.other],
        Fate::In(Cause::Lesson(number)) | Fate::Out(Cause::Lesson(number)) => {
            state.lessons[number].choices.iter().copied().filter(|other| *other != package).collect()
        }
    }
}
