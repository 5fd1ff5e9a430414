//! What is decided so far, and what follows from it.

use super::Step;
use super::clauses::{Clash, Clause, ClauseId, Clauses, Condition, Trigger};
use super::table::Table;
use crate::packages::model::{PackageId, RelationKind};

/// Whether a package is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Not decided.
    Open,
    /// It is.
    In(Cause),
    /// It is not.
    Out(Cause),
}

/// Why a fate is what it is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cause {
    /// It was chosen among the candidates of a clause.
    Choice(ClauseId),
    /// In: all other candidates of the clause are out. Out: all candidates of a clause of the package are.
    Clause(ClauseId),
    /// It cannot stand beside a package that is in.
    Clash(Clash),
    /// Others are installed that it is installed with: the trigger with this number.
    Trigger(usize),
    /// It cannot be chosen together with others: the lesson with this number.
    Lesson(usize),
}

impl PartialEq for Cause {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Choice(one), Self::Choice(other)) | (Self::Clause(one), Self::Clause(other)) => one == other,
            (Self::Lesson(one), Self::Lesson(other)) | (Self::Trigger(one), Self::Trigger(other)) => one == other,
            (Self::Clash(one), Self::Clash(other)) => (one.other, one.by) == (other.other, other.by),
            _ => false,
        }
    }
}

impl Eq for Cause {}

/// What cannot hold.
#[derive(Debug, Clone, Copy)]
pub(super) enum Contradiction {
    /// No candidate of the clause of a package that is in, or of a root, can be installed.
    Clause(ClauseId),
    /// The package is in and cannot stand beside another that is.
    Clash(PackageId, Clash),
    /// All choices of a lesson are made.
    Lesson(usize),
    /// Nothing that may be chosen for the clause is left, and nothing else brought in what would do.
    Unchosen(ClauseId),
}

/// What to do next.
#[derive(Debug, Clone, Copy)]
pub(super) enum Next {
    /// To bring a package in.
    Choose(PackageId, Cause),
    /// To see that a clause cannot be had.
    Unchosen(ClauseId),
    /// Nothing: all is decided.
    Done,
}

/// Choices that cannot be made together.
#[derive(Debug)]
pub(super) struct Lesson {
    pub(super) choices: Vec<PackageId>,
    /// What led to it, for an explanation.
    pub(super) why: Vec<Step>,
}

/// Clauses to choose for, in the order in which their packages came in, and the first of them that is still to be looked
/// at.
#[derive(Debug, Default)]
struct Queue {
    clauses: Vec<ClauseId>,
    next: usize,
}

/// The queues, the one to be emptied first at the beginning: what is needed; what is needed and may come in by itself, later;
/// wishes for one certain package; wishes that leave a choice, which others may have made by then.
const NEEDED: usize = 0;
const LATE: usize = 1;
const CERTAIN: usize = 2;
const WISHED: usize = 3;
const QUEUES: usize = 4;

/// How much of the state a level of choices found.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    trail: usize,
    /// For each queue its length, and what of it had been looked at.
    queues: [(usize, usize); QUEUES],
}

/// The decisions so far, undone level by level.
#[derive(Debug)]
pub(super) struct State<'clauses> {
    pub(super) clauses: &'clauses Clauses,
    fates: Table<Fate>,
    level_of: Vec<u32>,
    trail: Vec<PackageId>,
    /// What of the trail has been followed up.
    done: usize,
    levels: Vec<Level>,
    /// For each clause the candidates that are not out, and those that are in.
    open: Vec<u32>,
    held: Vec<u32>,
    queues: [Queue; QUEUES],
    pub(super) lessons: Vec<Lesson>,
    lessons_of: Table<Vec<usize>>,
}

impl<'clauses> State<'clauses> {
    pub(super) fn new(clauses: &'clauses Clauses, packages: usize) -> Self {
        Self {
            clauses,
            fates: Table::new(packages, Fate::Open),
            level_of: vec![0; packages],
            trail: Vec::new(),
            done: 0,
            levels: Vec::new(),
            open: clauses.all.iter().map(|clause| clause.candidates.len() as u32).collect(),
            held: vec![0; clauses.all.len()],
            queues: Default::default(),
            lessons: Vec::new(),
            lessons_of: Table::new(packages, Vec::new()),
        }
    }

    pub(super) fn fate(&self, package: PackageId) -> Fate {
        self.fates[package]
    }

    pub(super) fn is_in(&self, package: PackageId) -> bool {
        matches!(self.fate(package), Fate::In(_))
    }

    pub(super) fn is_out(&self, package: PackageId) -> bool {
        matches!(self.fate(package), Fate::Out(_))
    }

    pub(super) fn level(&self, package: PackageId) -> u32 {
        self.level_of[package.index()]
    }

    /// Returns what was decided, in that order.
    pub(super) fn trail(&self) -> &[PackageId] {
        &self.trail
    }

    fn set(&mut self, package: PackageId, fate: Fate) {
        self.fates[package] = fate;
        self.level_of[package.index()] = self.levels.len() as u32;
        self.trail.push(package);
        let uses = &self.clauses.uses[package];
        match fate {
            Fate::In(_) => uses.iter().for_each(|clause| self.held[clause.index()] += 1),
            _ => uses.iter().for_each(|clause| self.open[clause.index()] -= 1),
        }
    }

    /// Follows up what no choice can change: clauses without candidates, and the roots.
    pub(super) fn begin(&mut self) -> Result<(), Contradiction> {
        for number in self.clauses.roots..self.clauses.all.len() {
            self.look_at(ClauseId(number as u32))?;
        }
        self.propagate()?;
        // Requests and the variant come before what they need, in their order.
        for number in 0..self.clauses.roots {
            self.activate(ClauseId(number as u32))?;
        }
        self.propagate()
    }

    /// Begins a level with a choice.
    pub(super) fn choose(&mut self, package: PackageId, cause: Cause) {
        let queues = [NEEDED, LATE, CERTAIN, WISHED]
            .map(|queue: usize| (self.queues[queue].clauses.len(), self.queues[queue].next));
        self.levels.push(Level { trail: self.trail.len(), queues });
        self.set(package, Fate::In(cause));
    }

    /// Undoes every level above `level`.
    pub(super) fn go_back(&mut self, level: u32) {
        let Some(found) = self.levels.get(level as usize).copied() else { return };
        self.levels.truncate(level as usize);
        for package in self.trail.split_off(found.trail) {
            let uses = &self.clauses.uses[package];
            match self.fates[package] {
                Fate::In(_) => uses.iter().for_each(|clause| self.held[clause.index()] -= 1),
                _ => uses.iter().for_each(|clause| self.open[clause.index()] += 1),
            }
            self.fates[package] = Fate::Open;
        }
        for (queue, (length, next)) in self.queues.iter_mut().zip(found.queues) {
            queue.clauses.truncate(length);
            queue.next = next;
        }
        self.done = self.trail.len();
    }

    /// Keeps that `choices` cannot be made together; the last of them, not decided any more, is out now.
    pub(super) fn learn(&mut self, choices: Vec<PackageId>, why: Vec<Step>) {
        let number = self.lessons.len();
        choices.iter().for_each(|package| self.lessons_of[*package].push(number));
        if let Some(last) = choices.last().copied() {
            self.set(last, Fate::Out(Cause::Lesson(number)));
        }
        self.lessons.push(Lesson { choices, why });
    }

    /// Returns what to do next: first all that is needed, then what is installed by itself, then wishes.
    pub(super) fn next(&mut self) -> Next {
        if let Some(next) = self.next_of(NEEDED) {
            return next;
        }
        if let Some((number, trigger)) = self.clauses.triggers.iter().enumerate().find(|(_, one)| self.fires(one)) {
            return Next::Choose(trigger.package, Cause::Trigger(number));
        }
        (LATE..QUEUES).find_map(|queue| self.next_of(queue)).unwrap_or(Next::Done)
    }

    fn next_of(&mut self, queue: usize) -> Option<Next> {
        while let Some(clause) = self.queues[queue].clauses.get(self.queues[queue].next).copied() {
            if let Some(package) = self.first_open(clause) {
                return Some(Next::Choose(package, Cause::Choice(clause)));
            }
            if self.held[clause.index()] == 0 && !self.clauses.get(clause).optional {
                return Some(Next::Unchosen(clause));
            }
            self.queues[queue].next += 1;
        }
        None
    }

    /// Tells whether a package is to be installed now because others are.
    fn fires(&self, trigger: &Trigger) -> bool {
        let holds = |condition: &Condition| {
            let wanted = condition.relation.kind == RelationKind::InstallIf;
            condition.packages.iter().any(|package| self.is_in(*package)) == wanted
        };
        self.fate(trigger.package) == Fate::Open && trigger.conditions.iter().all(holds)
    }

    /// Returns the first candidate that may be chosen, when none has been yet.
    fn first_open(&self, id: ClauseId) -> Option<PackageId> {
        if self.held[id.index()] > 0 {
            return None;
        }
        self.clauses.get(id).choosable().iter().copied().find(|package| self.fate(*package) == Fate::Open)
    }

    /// Follows up everything that has been decided.
    pub(super) fn propagate(&mut self) -> Result<(), Contradiction> {
        while let Some(package) = self.trail.get(self.done).copied() {
            self.done += 1;
            match self.fate(package) {
                Fate::In(_) => self.came_in(package)?,
                _ => {
                    for clause in &self.clauses.uses[package] {
                        self.look_at(*clause)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn came_in(&mut self, package: PackageId) -> Result<(), Contradiction> {
        let clauses = self.clauses;
        for clash in clauses.clashes_of(package) {
            match self.fate(clash.other) {
                Fate::Open => self.set(clash.other, Fate::Out(Cause::Clash(Clash { other: package, ..clash }))),
                Fate::In(_) => return Err(Contradiction::Clash(package, clash)),
                Fate::Out(_) => {}
            }
        }
        for place in 0..self.lessons_of[package].len() {
            self.heed(self.lessons_of[package][place])?;
        }
        clauses.of_package(package).try_for_each(|clause| self.activate(clause))
    }

    /// Rules out the last choice of a lesson when all others are made.
    fn heed(&mut self, number: usize) -> Result<(), Contradiction> {
        let lesson = &self.lessons[number];
        let mut left = lesson.choices.iter().copied().filter(|package| !self.is_in(*package));
        match (left.next(), left.next()) {
            (None, _) => Err(Contradiction::Lesson(number)),
            (Some(last), None) if self.fate(last) == Fate::Open => {
                self.set(last, Fate::Out(Cause::Lesson(number)));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Takes up a clause whose owner is in.
    fn activate(&mut self, id: ClauseId) -> Result<(), Contradiction> {
        let clause = self.clauses.get(id);
        let queue = match clause.optional {
            false if clause.passive > 0 => LATE,
            false => NEEDED,
            true if self.open[id.index()] < 2 => CERTAIN,
            true => WISHED,
        };
        self.queues[queue].clauses.push(id);
        self.look_at(id)
    }

    /// Follows up a clause that may have lost candidates.
    fn look_at(&mut self, id: ClauseId) -> Result<(), Contradiction> {
        let clause: &Clause = self.clauses.get(id);
        if clause.optional || self.open[id.index()] > 1 || self.held[id.index()] > 0 {
            return Ok(());
        }
        let owner_fate = clause.owner.package().map(|owner| (owner, self.fate(owner)));
        match owner_fate {
            Some((_, Fate::Out(_))) => Ok(()),
            Some((owner, Fate::Open)) => {
                if self.open[id.index()] == 0 {
                    self.set(owner, Fate::Out(Cause::Clause(id)));
                }
                Ok(())
            }
            None | Some((_, Fate::In(_))) => {
                if !clause.candidates.iter().any(|candidate| !self.is_out(*candidate)) {
                    return Err(Contradiction::Clause(id));
                }
                // What may not be chosen is not forced either.
                if let Some(last) = clause.choosable().iter().copied().find(|candidate| !self.is_out(*candidate)) {
                    self.set(last, Fate::In(Cause::Clause(id)));
                }
                Ok(())
            }
        }
    }
}
