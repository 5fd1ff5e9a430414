//! The tables of a pool and how to look things up in them.

use super::stored::{Shelf, Stored};
use super::{Candidate, Comparison, NameId, Package, PackageId, Provide, Relation, RelationKind, Requirement, Rules};
use crate::digest::Digest;
use crate::fs;

/// A piece of the text of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Text {
    pub(super) start: u32,
    pub(super) length: u32,
}

impl Text {
    /// Tells whether it has no bytes.
    pub fn is_empty(self) -> bool {
        self.length == 0
    }
}

/// Consecutive rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Range {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Range {
    pub(super) fn of(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Tells whether it has no rows.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// Packages of one or several indexes, for one architecture.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    pub(super) text: Vec<u8>,
    pub(super) shelf: Shelf,
    /// How many indexes the packages come from, less one.
    pub(super) last_source: u16,
    /// Sorted by their bytes.
    pub(super) names: Vec<Text>,
    /// Sorted by name.
    pub(super) packages: Vec<Package>,
    pub(super) relations: Vec<Relation>,
    pub(super) requirements: Vec<Requirement>,
    pub(super) provides: Vec<Provide>,
    /// For each name, and one more, the first of its packages.
    pub(super) first_package: Vec<u32>,
    /// For each name, and one more, the first of its providers.
    pub(super) first_provider: Vec<u32>,
    /// Who provides a name, sorted by name, then package.
    pub(super) providers: Vec<(PackageId, Text)>,
}

impl Pool {
    /// Makes the tables that others are found by. The packages must be sorted by name, and every id and range be in its
    /// table.
    pub(super) fn indexed(mut self) -> Self {
        let count = self.names.len();
        self.first_package = starts(count, self.packages.iter().map(|package| package.name));
        self.first_provider = starts(count, self.provides.iter().map(|provide| provide.name));
        let mut next = self.first_provider.clone();
        self.providers = vec![(PackageId(0), Text::default()); self.provides.len()];
        for (id, package) in self.packages.iter().enumerate() {
            for provide in &self.provides[package.provides.of()] {
                let place = &mut next[provide.name.index()];
                self.providers[*place as usize] = (PackageId(id as u32), provide.version);
                *place += 1;
            }
        }
        self
    }

    /// Returns the bytes of a text of this pool.
    pub fn text(&self, text: Text) -> &[u8] {
        &self.text[text.start as usize..][..text.length as usize]
    }

    /// Returns the bytes of a text of this pool that is looked up when it is asked for.
    ///
    /// # Errors
    /// When the file cannot be read that the pool is kept in.
    pub fn stored(&self, text: Stored) -> fs::Result<Vec<u8>> {
        self.shelf.get(text)
    }

    /// Returns a text of this pool for messages.
    pub fn shown(&self, text: Text) -> String {
        String::from_utf8_lossy(self.text(text)).into_owned()
    }

    /// Returns the bytes of a name.
    pub fn name(&self, id: NameId) -> &[u8] {
        self.text(self.names[id.index()])
    }

    /// Returns the number of names.
    pub fn name_count(&self) -> usize {
        self.names.len()
    }

    /// Returns the id of every name, sorted by its bytes.
    pub fn name_ids(&self) -> impl Iterator<Item = NameId> + use<> {
        (0..self.names.len() as u32).map(NameId)
    }

    /// Returns the id of a name, when any package has it or speaks of it.
    pub fn find(&self, name: &[u8]) -> Option<NameId> {
        self.names.binary_search_by(|text| self.text(*text).cmp(name)).ok().map(|place| NameId(place as u32))
    }

    /// Returns the number of packages.
    pub fn len(&self) -> usize {
        self.packages.len()
    }

    /// Tells whether there are no packages.
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty()
    }

    /// Returns the id of every package, sorted by name.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = PackageId> + use<> {
        (0..self.packages.len() as u32).map(PackageId)
    }

    /// Returns a package.
    pub fn package(&self, id: PackageId) -> &Package {
        &self.packages[id.index()]
    }

    /// Returns the digest of a package, when its index names one.
    ///
    /// # Errors
    /// When the file cannot be read that the pool is kept in.
    pub fn digest(&self, id: PackageId) -> fs::Result<Option<Digest>> {
        let bytes = self.stored(self.package(id).digest)?;
        Ok(bytes.try_into().ok().map(Digest::from_bytes))
    }

    /// Returns where a package is, relative to its source.
    ///
    /// # Errors
    /// When the file cannot be read that the pool is kept in.
    pub fn location(&self, id: PackageId) -> fs::Result<String> {
        Ok(String::from_utf8_lossy(&self.stored(self.package(id).location)?).into_owned())
    }

    /// Returns the packages that have a name, in the order in which they were added.
    pub fn named(&self, name: NameId) -> impl DoubleEndedIterator<Item = PackageId> + use<> {
        (self.first_package[name.index()]..self.first_package[name.index() + 1]).map(PackageId)
    }

    /// Returns the packages that provide a name, with the version they provide it in; empty for none.
    pub fn providers(&self, name: NameId) -> &[(PackageId, Text)] {
        &self.providers[self.first_provider[name.index()] as usize..self.first_provider[name.index() + 1] as usize]
    }

    /// Tells whether any package asks something of this kind.
    pub fn has_relations(&self, kind: RelationKind) -> bool {
        self.relations.iter().any(|relation| relation.kind == kind)
    }

    /// Returns what a package asks of others, in written order of its fields.
    pub fn relations(&self, id: PackageId) -> &[Relation] {
        &self.relations[self.package(id).relations.of()]
    }

    /// Returns the alternatives of a relation.
    pub fn alternatives(&self, relation: &Relation) -> &[Requirement] {
        &self.requirements[relation.alternatives.of()]
    }

    /// Returns what else a package can be asked for by.
    pub fn provides(&self, id: PackageId) -> &[Provide] {
        &self.provides[self.package(id).provides.of()]
    }

    /// Returns a package by its own name.
    pub fn candidate(&self, id: PackageId) -> Candidate {
        Candidate { package: id, version: self.package(id).version, own: true }
    }

    /// Returns the packages that have or provide a name, first those whose own it is.
    pub fn serving(&self, name: NameId) -> impl Iterator<Item = Candidate> {
        let provided =
            |(package, version): &(PackageId, Text)| Candidate { package: *package, version: *version, own: false };
        self.named(name).map(|id| self.candidate(id)).chain(self.providers(name).iter().map(provided))
    }

    /// Tells whether a package, by its own name or one that it provides, satisfies a requirement.
    pub fn satisfies(&self, rules: &impl Rules, id: PackageId, requirement: &Requirement) -> bool {
        let package = self.package(id);
        let wanted = self.text(requirement.version);
        if !rules.serves(package, requirement.qualifier) {
            return false;
        }
        if package.name == requirement.name && rules.matches(self.text(package.version), requirement.comparison, wanted)
        {
            return true;
        }
        self.provides(id)
            .iter()
            .any(|provide| provide.name == requirement.name && self.provided(rules, provide.version, requirement))
    }

    /// Tells whether a package that has or provides the name of a requirement does so in a version that will do.
    pub fn fits(&self, rules: &impl Rules, candidate: Candidate, requirement: &Requirement) -> bool {
        if candidate.own {
            let version = self.text(candidate.version);
            return rules.matches(version, requirement.comparison, self.text(requirement.version));
        }
        self.provided(rules, candidate.version, requirement)
    }

    /// Tells whether what is provided in `version` satisfies a requirement for that name. What has no version satisfies
    /// only who asks for none.
    pub fn provided(&self, rules: &impl Rules, version: Text, requirement: &Requirement) -> bool {
        requirement.comparison == Comparison::Any
            || !version.is_empty()
                && rules.matches(self.text(version), requirement.comparison, self.text(requirement.version))
    }

    /// Writes a package as people do: `name 1.2-3`.
    pub fn label(&self, id: PackageId) -> String {
        let package = self.package(id);
        format!("{} {}", String::from_utf8_lossy(self.name(package.name)), self.shown(package.version))
    }

    /// Writes a requirement as people do: `name >= 1.2`.
    pub fn requirement_label(&self, requirement: &Requirement) -> String {
        let name = String::from_utf8_lossy(self.name(requirement.name));
        match requirement.comparison {
            Comparison::Any => name.into_owned(),
            comparison => format!("{name} {} {}", comparison.sign(), self.shown(requirement.version)),
        }
    }

    /// Writes the alternatives of a relation as people do: `a | b >= 2`.
    pub fn relation_label(&self, relation: &Relation) -> String {
        let labels: Vec<String> =
            self.alternatives(relation).iter().map(|requirement| self.requirement_label(requirement)).collect();
        labels.join(" | ")
    }

    /// Returns the first relation of a package that `pick` takes.
    pub fn find_relation(
        &self,
        id: PackageId,
        mut pick: impl FnMut(RelationKind, &[Requirement]) -> bool,
    ) -> Option<&Relation> {
        self.relations(id).iter().find(|relation| pick(relation.kind, self.alternatives(relation)))
    }
}

/// Returns, for each name and one more, how many of `names` come before it.
fn starts(count: usize, names: impl Iterator<Item = NameId>) -> Vec<u32> {
    let mut starts = vec![0; count + 1];
    for name in names {
        starts[name.index() + 1] += 1;
    }
    for place in 1..starts.len() {
        starts[place] += starts[place - 1];
    }
    starts
}
