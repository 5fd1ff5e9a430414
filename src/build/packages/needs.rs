//! Which packages of Debian need which.
//!
//! Comes in: unpacked packages. Goes out: an order in which each comes after those that it needs, and everything that some of
//! them need. Always holds: where one of several packages would do, all that are there count as needed; the order in which the
//! packages are named does not matter.

use std::collections::{BTreeMap, BTreeSet};

use super::PackagesError;
use crate::packages::apt::archive::Unpacked;
use crate::packages::apt::control;
use crate::packages::apt::relation::Relations;
use crate::packages::order::by_needs;

/// What is set up before all other packages, in this order: what makes the accounts comes first.
const FIRST: [&str; 5] = ["base-passwd", "base-files", "libc6", "dpkg", "dash"];

/// A package, as far as others need it.
#[derive(Debug)]
pub(super) struct Member<'run> {
    pub(super) name: String,
    pub(super) architecture: String,
    /// What its files in the database begin with.
    pub(super) file_name: String,
    pub(super) is_essential: bool,
    pub(super) unpacked: &'run Unpacked,
    needs: Vec<String>,
    provides: Vec<String>,
}

impl<'run> Member<'run> {
    fn of(unpacked: &'run Unpacked) -> Result<Self, PackagesError> {
        let bytes = unpacked.control_bytes("control");
        let control = control::single("control", bytes)?;
        let text = |name: &str| String::from_utf8_lossy(control.get(name).unwrap_or_default()).into_owned();
        let names = |fields: &[&str]| {
            let fields = fields.iter().filter_map(|field| control.get(field));
            let alternatives = fields.flat_map(|value| Relations::new(value).filter_map(Result::ok));
            alternatives.map(|one| String::from_utf8_lossy(one.name).into_owned()).collect()
        };
        let (name, architecture) = (text("Package"), text("Architecture"));
        let is_same = text("Multi-Arch") == "same";
        Ok(Self {
            file_name: if is_same { format!("{name}:{architecture}") } else { name.clone() },
            is_essential: text("Essential") == "yes",
            unpacked,
            needs: names(&["Pre-Depends", "Depends"]),
            provides: names(&["Provides"]),
            name,
            architecture,
        })
    }
}

/// Packages and what they need of each other, sorted by name and architecture.
#[derive(Debug)]
pub(super) struct Members<'run> {
    members: Vec<Member<'run>>,
    /// Who is there by which name.
    providers: BTreeMap<String, Vec<usize>>,
}

impl<'run> Members<'run> {
    /// Reads what packages say about themselves.
    pub(super) fn of(packages: impl IntoIterator<Item = &'run Unpacked>) -> Result<Self, PackagesError> {
        let mut members = packages.into_iter().map(Member::of).collect::<Result<Vec<_>, _>>()?;
        members.sort_by(|one, other| (&one.name, &one.architecture).cmp(&(&other.name, &other.architecture)));
        let mut providers: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (place, member) in members.iter().enumerate() {
            for name in member.provides.iter().chain([&member.name]) {
                providers.entry(name.clone()).or_default().push(place);
            }
        }
        Ok(Self { members, providers })
    }

    /// Returns the packages, sorted.
    pub(super) fn all(&self) -> &[Member<'run>] {
        &self.members
    }

    fn needs(&self, place: usize) -> Vec<usize> {
        let needed = self.members[place].needs.iter().filter_map(|name| self.providers.get(name));
        needed.flatten().copied().collect()
    }

    /// Returns the packages so that each comes after those that it needs, as far as they do not need each other.
    pub(super) fn order(&self) -> Vec<&Member<'run>> {
        let is = |name: &'static str| move |place: &usize| self.members[*place].name == name;
        let first: Vec<usize> = FIRST.iter().flat_map(|name| (0..self.members.len()).filter(is(name))).collect();
        let order = by_needs(self.members.len(), first.iter().copied(), |place| self.needs(place));
        let others = order.iter().filter(|place| !first.contains(place));
        first.iter().chain(others).map(|place| &self.members[*place]).collect()
    }

    /// Returns which packages are among `roots` or needed by what is, as places in [`Members::all`].
    pub(super) fn with_needed(&self, roots: impl Fn(&Member<'_>) -> bool) -> BTreeSet<usize> {
        let mut left: Vec<usize> = (0..self.members.len()).filter(|place| roots(&self.members[*place])).collect();
        let mut found: BTreeSet<usize> = left.iter().copied().collect();
        while let Some(place) = left.pop() {
            left.extend(self.needs(place).into_iter().filter(|needed| found.insert(*needed)));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::apt::archive::ControlFile;

    fn package(control: &str) -> Unpacked {
        let bytes = control.as_bytes().to_vec();
        let control = ControlFile { name: "control".into(), mode: 0o644, mtime: 0, bytes };
        Unpacked { control: vec![control], entries: Vec::new() }
    }

    fn packages() -> [Unpacked; 6] {
        [
            package("Package: a\nVersion: 1\nArchitecture: all\nDepends: c | nothing, virtual\n"),
            package("Package: b\nVersion: 1\nArchitecture: all\nProvides: virtual\nDepends: a\n"),
            package("Package: c\nVersion: 1\nArchitecture: all\n"),
            package("Package: dpkg\nEssential: yes\nVersion: 1.22.21-1\nArchitecture: amd64\nDepends: c\n"),
            package("Package: libc6\nVersion: 1\nArchitecture: i386\nMulti-Arch: same\n"),
            package("Package: libc6\nVersion: 1\nArchitecture: amd64\nMulti-Arch: same\n"),
        ]
    }

    #[test]
    fn what_is_needed_comes_first_and_circles_end() {
        let packages = packages();
        let members = Members::of(packages.iter().rev()).unwrap();
        let names: Vec<&str> = members.order().iter().map(|member| &*member.file_name).collect();
        assert_eq!(names, ["libc6:amd64", "libc6:i386", "dpkg", "c", "b", "a"]);
    }

    #[test]
    fn what_some_need_is_found() {
        let packages = packages();
        let members = Members::of(&packages).unwrap();
        let found = |roots: &dyn Fn(&Member<'_>) -> bool| -> Vec<String> {
            members.with_needed(roots).into_iter().map(|place| members.all()[place].name.clone()).collect()
        };
        assert_eq!(found(&|member| member.is_essential), ["c", "dpkg"]);
        assert_eq!(found(&|member| member.name == "b"), ["a", "b", "c"]);
        assert!(found(&|_| false).is_empty());
    }
}
