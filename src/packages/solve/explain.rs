//! Why there is no solution, in words a person can act on.
//!
//! Comes in: the state of a search in which nothing is left to choose. Goes out: an [`Explanation`]: from what was asked for,
//! link by link, to what cannot be. Always holds: every package it names takes part in the contradiction.

use std::collections::BTreeSet;
use std::fmt;

use super::Question;
use super::candidates::by_tag;
use super::clauses::{Clash, Clause, Discord, Owner, Trigger};
use super::state::{Cause, Contradiction, Fate, State};
use crate::packages::model::{PackageId, Pool, Relation, RelationKind};
use crate::spec::nearest;

/// The links of one explanation; those of a choice that failed early may be left out.
const MOST_STEPS: usize = 60;

/// Why there is no solution.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", words(steps))]
pub struct Explanation {
    /// The links of the chain, each following from those before it.
    pub steps: Vec<Step>,
}

impl Explanation {
    pub(super) fn of(steps: Vec<Step>) -> Self {
        Self { steps }
    }

    /// Returns the names of the requests that take part.
    pub fn requests(&self) -> BTreeSet<&str> {
        let names = self.steps.iter().filter_map(Step::request);
        names.filter_map(|request| request.split(' ').next()).collect()
    }
}

fn words(steps: &[Step]) -> String {
    let lines: Vec<String> = steps.iter().map(|step| format!("  {step}")).collect();
    format!("these packages cannot be installed together:\n{}", lines.join("\n"))
}

/// One link of an explanation. Packages are written `name version`, requirements as in their index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Somebody asks for something.
    Asked {
        /// Who: `you`, `the variant`, or a package.
        who: String,
        /// What for, with the verb: `depends on a | b`.
        what: String,
        /// The package that this brings in, when it is not named as such.
        takes: Option<String>,
    },
    /// Nothing that may be installed satisfies what is asked for.
    Nothing {
        /// Who asks.
        who: String,
        /// What for, with the verb.
        what: String,
        /// The versions that there are, and why others may not be installed.
        there: Vec<String>,
        /// A package whose name is much like the one that somebody asks for, when none has that.
        near: Option<String>,
    },
    /// None of those that would do can be installed: each for a reason told before.
    AllOut {
        /// Who asks.
        who: String,
        /// What for, with the verb.
        what: String,
    },
    /// Two packages cannot stand beside each other.
    Clash {
        /// The package that says so.
        package: String,
        /// What it says, with the verb.
        what: String,
        /// The other package.
        other: String,
    },
    /// Packages that would each do cannot be chosen together; why was told before.
    Together {
        /// The packages.
        packages: Vec<String>,
    },
    /// Nothing is taken by itself for what is asked for: a person has to choose.
    Unchosen {
        /// Who asks.
        who: String,
        /// What for, with the verb.
        what: String,
        /// The packages that would do.
        providers: Vec<String>,
    },
    /// The version that is asked for does not exist.
    NoVersion {
        /// What is asked for.
        wanted: String,
        /// The versions that there are.
        there: Vec<String>,
    },
    /// The search was given up.
    TooHard {
        /// After how many contradictions.
        contradictions: usize,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked { who, what, takes: None } => write!(formatter, "{who} {what}"),
            Self::Asked { who, what, takes: Some(package) } => {
                write!(formatter, "{who} {what}, and only {package} is left of it")
            }
            Self::Nothing { who, what, there, near } if there.is_empty() => {
                write!(formatter, "{who} {what}, and no package is or provides that")?;
                near.iter().try_for_each(|near| write!(formatter, ": did you mean {near}?"))
            }
            Self::Nothing { who, what, there, .. } => {
                write!(formatter, "{who} {what}, but there is only {}", there.join(", "))
            }
            Self::AllOut { who, what } => write!(formatter, "{who} {what}, and none of it can be installed"),
            Self::Unchosen { who, what, providers } => {
                write!(
                    formatter,
                    "{who} {what}, and nothing is taken for that by itself: ask for {}",
                    providers.join(" or ")
                )
            }
            Self::Clash { package, what, other } => write!(formatter, "{package} {what}, which rules out {other}"),
            Self::Together { packages } => write!(formatter, "{} cannot be installed together", packages.join(", ")),
            Self::NoVersion { wanted, there } => {
                write!(formatter, "you ask for {wanted}, but there is only {}", there.join(", "))
            }
            Self::TooHard { contradictions } => write!(
                formatter,
                "no solution was found after {contradictions} contradictions: name the packages to choose where others \
                 leave a choice"
            ),
        }
    }
}

impl Step {
    /// Returns what somebody asked for, when it is about that.
    fn request(&self) -> Option<&str> {
        match self {
            Self::Asked { who, what, .. }
            | Self::Nothing { who, what, .. }
            | Self::AllOut { who, what }
            | Self::Unchosen { who, what, .. } => what.strip_prefix("ask for ").filter(|_| who == "you"),
            Self::NoVersion { wanted, .. } => Some(wanted),
            Self::Clash { .. } | Self::Together { .. } | Self::TooHard { .. } => None,
        }
    }

    /// Returns the link for a clause that no package may satisfy.
    pub(super) fn nothing(pool: &Pool, question: &Question, clause: &Clause, allowed: &[bool]) -> Self {
        let (who, what) = asker(pool, question, clause.owner);
        let mut there = Vec::new();
        for name in names(pool, question, clause.owner) {
            let excluded = question.excluded.contains(&*String::from_utf8_lossy(&name));
            let Some(name) = pool.find(&name) else { continue };
            let note = |id: PackageId| match (excluded, allowed[id.index()], by_tag(pool, question, id)) {
                (true, ..) => " (excluded)".to_owned(),
                (false, true, _) => String::new(),
                (false, false, tag) if tag.is_empty() => " (another version is preferred)".to_owned(),
                (false, false, tag) => tag,
            };
            there.extend(pool.named(name).map(|id| format!("{}{}", pool.label(id), note(id))));
            there.extend(pool.providers(name).iter().map(|(id, version)| {
                let version = pool.shown(*version);
                let version = if version.is_empty() { "no version".to_owned() } else { version };
                let excluded = question.excluded.contains(&*String::from_utf8_lossy(pool.name(pool.package(*id).name)));
                let note = if excluded { " (excluded)" } else { "" };
                format!("{}{note}, which provides it in {version}", pool.label(*id))
            }));
        }
        let near = match clause.owner {
            Owner::Request(number) if there.is_empty() => near(pool, &question.requests[number].name),
            _ => None,
        };
        Self::Nothing { who, what, there, near }
    }
}

/// Returns the name of a package, or one that packages provide, that `wanted` was most likely meant to be.
fn near(pool: &Pool, wanted: &str) -> Option<String> {
    // Names of another length are further away than the nearest may be, and there are many.
    let names = pool.name_ids().filter(|id| pool.serving(*id).next().is_some()).map(|id| pool.name(id));
    let alike = names.filter(|name| name.len().abs_diff(wanted.len()) <= (wanted.len() / 3).max(1));
    let alike: Vec<&str> = alike.filter_map(|name| std::str::from_utf8(name).ok()).collect();
    nearest(wanted, &alike).map(str::to_owned)
}

/// Returns who asks, and what for with the verb.
fn asker(pool: &Pool, question: &Question, owner: Owner) -> (String, String) {
    match owner {
        Owner::Request(number) => ("you".into(), format!("ask for {}", question.requests[number].label())),
        Owner::Variant => ("the variant".into(), "has it".into()),
        Owner::Installed => ("what is there already".into(), "has it".into()),
        Owner::Package(package, relation) => (pool.label(package), said(pool, &relation)),
    }
}

fn said(pool: &Pool, relation: &Relation) -> String {
    format!("{} {}", relation.kind.verb(), pool.relation_label(relation))
}

/// Returns the names that would satisfy an owner.
fn names(pool: &Pool, question: &Question, owner: Owner) -> Vec<Vec<u8>> {
    match owner {
        Owner::Request(number) => vec![question.requests[number].name.clone().into_bytes()],
        Owner::Variant | Owner::Installed => Vec::new(),
        Owner::Package(_, relation) => {
            pool.alternatives(&relation).iter().map(|alternative| pool.name(alternative.name).to_vec()).collect()
        }
    }
}

/// Explains a contradiction.
pub(super) fn explain(
    pool: &Pool,
    question: &Question,
    state: &State<'_>,
    contradiction: Contradiction,
) -> Explanation {
    let mut writer = Writer { pool, question, state, told: BTreeSet::new(), steps: Vec::new() };
    match contradiction {
        Contradiction::Clause(clause) => {
            let clause = state.clauses.get(clause);
            clause.owner.package().into_iter().for_each(|owner| writer.tell(owner));
            writer.tell_failed(clause);
        }
        Contradiction::Clash(package, clash) => {
            writer.tell(package);
            writer.tell(clash.other);
            writer.clash(package, &clash);
        }
        Contradiction::Lesson(number) => writer.lesson(number),
        Contradiction::Unchosen(clause) => {
            let clause = state.clauses.get(clause);
            clause.owner.package().into_iter().for_each(|owner| writer.tell(owner));
            let (who, what) = asker(pool, question, clause.owner);
            let providers = clause.candidates.iter().map(|id| pool.label(*id)).collect();
            writer.steps.push(Step::Unchosen { who, what, providers });
        }
    }
    Explanation::of(writer.steps)
}

struct Writer<'state> {
    pool: &'state Pool,
    question: &'state Question,
    state: &'state State<'state>,
    told: BTreeSet<PackageId>,
    steps: Vec<Step>,
}

impl Writer<'_> {
    /// Tells why the fate of a package is what it is, after what led to it.
    fn tell(&mut self, package: PackageId) {
        if !self.told.insert(package) || self.steps.len() > MOST_STEPS {
            return;
        }
        match self.state.fate(package) {
            Fate::In(Cause::Clause(clause) | Cause::Choice(clause)) => {
                self.came_in(package, self.state.clauses.get(clause))
            }
            Fate::In(Cause::Trigger(number)) => self.fired(package, &self.state.clauses.triggers[number]),
            Fate::Out(Cause::Clause(clause)) => self.tell_failed(self.state.clauses.get(clause)),
            Fate::Out(Cause::Clash(clash)) => {
                self.tell(clash.other);
                self.clash(package, &clash);
            }
            Fate::Out(Cause::Lesson(number)) => self.lesson(number),
            _ => {}
        }
    }

    fn came_in(&mut self, package: PackageId, clause: &Clause) {
        if let Some(owner) = clause.owner.package() {
            self.tell(owner);
        }
        for other in clause.candidates.iter().copied().filter(|other| *other != package) {
            self.tell(other);
        }
        let (who, what) = asker(self.pool, self.question, clause.owner);
        let takes = match clause.owner {
            Owner::Variant | Owner::Installed => {
                let what = format!("has {}", self.pool.label(package));
                return self.steps.push(Step::Asked { who, what, takes: None });
            }
            _ if clause.candidates.len() > 1 => Some(self.pool.label(package)),
            _ => None,
        };
        self.steps.push(Step::Asked { who, what, takes });
    }

    fn fired(&mut self, package: PackageId, trigger: &Trigger) {
        let mut names = Vec::new();
        for condition in
            trigger.conditions.iter().filter(|condition| condition.relation.kind == RelationKind::InstallIf)
        {
            condition.packages.iter().copied().filter(|id| self.state.is_in(*id)).for_each(|id| self.tell(id));
            names.push(self.pool.relation_label(&condition.relation));
        }
        let what = format!("{} {}", RelationKind::InstallIf.verb(), names.join(", "));
        self.steps.push(Step::Asked { who: self.pool.label(package), what, takes: None });
    }

    /// Tells that nothing is left for a clause.
    fn tell_failed(&mut self, clause: &Clause) {
        if clause.candidates.is_empty() {
            self.steps.push(Step::nothing(self.pool, self.question, clause, &self.state.clauses.allowed));
            return;
        }
        for candidate in &clause.candidates {
            self.tell(*candidate);
        }
        let (who, what) = asker(self.pool, self.question, clause.owner);
        self.steps.push(Step::AllOut { who, what });
    }

    fn clash(&mut self, package: PackageId, clash: &Clash) {
        let other = if clash.by == package { clash.other } else { package };
        let what = match clash.why {
            Discord::Relation(relation) => said(self.pool, &relation),
            Discord::Name(name) => format!("has the name {} to itself", String::from_utf8_lossy(self.pool.name(name))),
        };
        self.steps.push(Step::Clash { package: self.pool.label(clash.by), what, other: self.pool.label(other) });
    }

    fn lesson(&mut self, number: usize) {
        let lesson = &self.state.lessons[number];
        for step in &lesson.why {
            if !self.steps.contains(step) && self.steps.len() <= MOST_STEPS {
                self.steps.push(step.clone());
            }
        }
        if lesson.choices.len() > 1 {
            let packages = lesson.choices.iter().map(|package| self.pool.label(*package)).collect();
            self.steps.push(Step::Together { packages });
        }
    }
}
