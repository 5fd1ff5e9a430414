//! What every system has is set up before everything else, once for all sets that share it.
//!
//! Comes in: a set of Debian that is put together, before any script. Goes out: the same set up. Always holds: the packages of the
//! variant, those that are essential and what these need are a set of their own, whose tree is kept as any other; all other
//! packages are set up in that tree, by a system that works, as debootstrap and mmdebstrap do it. Whether a set goes in two steps
//! depends on the set alone, not on what is kept.

use std::collections::{BTreeMap, BTreeSet};

use super::dpkg::{self, Decided};
use super::needs::Members;
use super::scripts::{self, Folder, Todo};
use super::unpack::{self, Together};
use super::{PackageMaker, PackageSet, PackagesError, host, list};
use crate::lock::LockedPackage;
use crate::packages::apt::archive::Unpacked;
use crate::packages::apt::control::{self, Reader, Stanza};
use crate::packages::apt::database::Diversion;
use crate::resolve::{PackageSettings, User};
use crate::tree::{Node, Tree, TreePath};

/// Why a package of the set of essential ones is in it: for all sets alike.
const WHY: &str = "variant";

/// Sets the packages of a set up. Returns what their scripts wrote, and the folders that contents of the tree are in.
pub(super) fn run(
    maker: &PackageMaker<'_>,
    set: &PackageSet,
    together: &mut Together,
) -> Result<(String, Vec<Folder>), PackagesError> {
    let Some(first) = first(set, &together.packages)? else { return at_once(maker, set, together) };
    let begun = maker.tree(&first.of(set))?;
    // What the first have decided about files holds for those of the others.
    let mut decided = Decided::of(&begun.tree)?;
    let diversions = Decided::of(&together.tree)?.diversions;
    if !decided.is_empty() {
        decided.diversions.extend(diversions.iter().cloned());
        together.tree = unpack::over(set, &together.packages, decided)?;
    }
    let Some(tree) = over(set, put_aside(begun.tree, &diversions)?, together, &first)? else {
        return at_once(maker, set, together);
    };
    let others: Vec<&Unpacked> = together.packages.iter().filter(|package| !first.has(package)).collect();
    if others.is_empty() {
        together.tree = tree;
        return Ok((begun.log, Vec::new()));
    }
    let ran = scripts::run(maker, &first.left(set), &tree, &Todo { packages: others, diversions })?;
    together.tree = ran.tree;
    Ok((begun.log + &ran.log, vec![ran.folder]))
}

/// Sets all packages up in one step.
fn at_once(
    maker: &PackageMaker<'_>,
    set: &PackageSet,
    together: &mut Together,
) -> Result<(String, Vec<Folder>), PackagesError> {
    let todo = Todo { packages: together.packages.iter().collect(), diversions: Vec::new() };
    let ran = scripts::run(maker, set, &together.tree, &todo)?;
    together.tree = ran.tree;
    Ok((ran.log, vec![ran.folder]))
}

/// The packages that are set up first, by name and architecture.
struct First(BTreeSet<(String, String)>);

/// Returns what is set up first; nothing where everything is set up at once: over a host, without a dpkg that could do the
/// rest, and for a set that is all of a variant, as the first one itself is.
fn first(set: &PackageSet, packages: &[Unpacked]) -> Result<Option<First>, PackagesError> {
    let of_variant: BTreeSet<&str> =
        set.packages.iter().filter(|(package, _)| package.why == WHY).map(|(package, _)| &*package.name).collect();
    if set.host.is_some() || set.settings.only || set.packages.iter().all(|(package, _)| package.why == WHY) {
        return Ok(None);
    }
    let members = Members::of(packages)?;
    let first = members.with_needed(|member| member.is_essential || of_variant.contains(&*member.name));
    let first = first.into_iter().map(|place| &members.all()[place]);
    let first: BTreeSet<_> = first.map(|member| (member.name.clone(), member.architecture.clone())).collect();
    Ok(first.iter().any(|(name, _)| name == "dpkg").then_some(First(first)))
}

impl First {
    fn has(&self, package: &Unpacked) -> bool {
        let bytes = package.control_bytes("control");
        control::single("control", bytes).is_ok_and(|control| self.names(&control))
    }

    /// Tells whether a stanza is of one of the packages.
    fn names(&self, control: &Stanza<'_>) -> bool {
        let text = |name: &str| String::from_utf8_lossy(control.get(name).unwrap_or_default()).into_owned();
        self.0.contains(&(text("Package"), text("Architecture")))
    }

    /// Returns the set of the packages alone: nothing in it says what else there is, so that other sets have the same.
    fn of(&self, set: &PackageSet) -> PackageSet {
        let is_first = |package: &LockedPackage| self.0.contains(&(package.name.clone(), package.architecture.clone()));
        let packages = set.packages.iter().filter(|(package, _)| is_first(package));
        let packages =
            packages.map(|(package, path)| (LockedPackage { why: WHY.into(), ..package.clone() }, path.clone()));
        // The groups that they are in may be made by other packages.
        let users = set.users.iter().map(|(name, user)| (name.clone(), User { groups: Vec::new(), ..user.clone() }));
        let sources = if set.settings.distroless { BTreeMap::new() } else { set.sources.clone() };
        PackageSet {
            packages: packages.collect(),
            users: users.collect(),
            sources,
            settings: self.settings(set, true),
            ..set.clone()
        }
    }

    /// Returns the set as it is to be set up when the packages are: its accounts are there.
    fn left(&self, set: &PackageSet) -> PackageSet {
        let settings = self.settings(set, false);
        PackageSet { users: BTreeMap::new(), groups: BTreeMap::new(), settings, ..set.clone() }
    }

    /// Returns the settings with the answers to what the packages ask, or to what the others do.
    fn settings(&self, set: &PackageSet, first: bool) -> PackageSettings {
        let asks = |name: &str| self.0.iter().any(|(first, _)| first == name);
        let answers = set.settings.answers.iter().filter(|(_, answer)| asks(&answer.package) == first);
        let answers = answers.map(|(question, answer)| (question.clone(), answer.clone())).collect();
        PackageSettings { answers, distroless: false, ..set.settings.clone() }
    }
}

/// Renames the files of the first that others divert.
fn put_aside(mut begun: Tree, diversions: &[Diversion]) -> Result<Tree, PackagesError> {
    for Diversion { path, to, .. } in diversions {
        let is_file = begun.get(path).is_some_and(|node| !node.kind.is_directory());
        if is_file && begun.get(to).is_none() {
            begun.link(to.clone(), path)?;
            begun.remove(path);
        }
    }
    Ok(begun)
}

/// Unpacks the other packages over the tree in which the first are set up. Returns nothing where a directory of the ones is
/// something else in the other, which only scripts could tell apart.
fn over(set: &PackageSet, mut begun: Tree, together: &Together, first: &First) -> Result<Option<Tree>, PackagesError> {
    let installed = list::packages(&together.packages)?;
    let owners = list::owners(&together.tree, &installed)?;
    let is_other = |owner: &usize| {
        let package = &installed[*owner];
        !first.0.contains(&(package.name.clone(), package.architecture.clone()))
    };
    let (mut files, mut added) = (BTreeSet::new(), Tree::new());
    for (path, node, link) in together.tree.links() {
        let of_other = owners.get(path).map(is_other);
        if !of_other.unwrap_or_else(|| begun.get(path).is_none() || is_of_all(path)) {
            continue;
        }
        if !fits(&begun, path, node) {
            return Ok(None);
        }
        if of_other.is_some() {
            files.insert(path.clone());
        }
        match link.filter(|first| added.get(first).is_some()) {
            Some(first) => added.link(path.clone(), first)?,
            None => drop(added.insert(path.clone(), node.clone())?),
        }
    }
    let has = |path: &TreePath| files.contains(path) || added.below(path).any(|(path, _)| files.contains(path));
    let activated = dpkg::activated(&begun, has)?;
    let status = status(&begun, &together.tree, first)?;
    host::put(&mut begun, &added)?;
    dpkg::write(&mut begun, "status", status, set.epoch)?;
    dpkg::write(&mut begun, "triggers/Unincorp", activated, set.epoch)?;
    Ok(Some(begun))
}

/// Tells whether a path is a file of the database that is as all packages together make it.
fn is_of_all(path: &TreePath) -> bool {
    dpkg::name(path).is_some_and(|name| ["info", "triggers"].contains(&name.split('/').next().unwrap_or_default()))
}

/// Tells whether something can be put into a tree, or over what is there.
fn fits(tree: &Tree, path: &TreePath, node: &Node) -> bool {
    let is_directory = |path: &TreePath| tree.get(path).map(|known| known.kind.is_directory());
    is_directory(path).is_none_or(|known| known == node.kind.is_directory())
        && path.ancestors().all(|folder| is_directory(&folder).unwrap_or(true))
}

/// Returns the states of the first packages as they are, and of the others as they are unpacked.
fn status(begun: &Tree, unpacked: &Tree, first: &First) -> Result<Vec<u8>, PackagesError> {
    let mut status = dpkg::read(begun, "status")?;
    let all = dpkg::read(unpacked, "status")?;
    for text in stanzas(&all) {
        let (mut reader, mut stanza) = (Reader::new("status", text), Stanza::default());
        if reader.next(&mut stanza)? && !first.names(&stanza) {
            status.extend(text);
        }
    }
    Ok(status)
}

/// Returns the stanzas of a file, each with the empty line behind it.
fn stanzas(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if text.is_empty() {
            return None;
        }
        let end = memchr::memmem::find(text, b"\n\n").map_or(text.len(), |end| end + 2);
        let (stanza, rest) = text.split_at(end);
        text = rest;
        Some(stanza)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::packages::tests::sample::{self, link, regular, tree_of, unpacked};
    use crate::resolve::Answer;
    use crate::tree::Kind;

    fn package(control: &str, files: &[(&str, Kind)]) -> Unpacked {
        let control = format!("{control}Architecture: all\nVersion: 1\n");
        unpacked(&[("control", &control), ("postinst", "#!/bin/sh\n")], files)
    }

    fn packages() -> Vec<Unpacked> {
        vec![
            package("Package: app\nDepends: lib\nReplaces: tool\n", &[("/usr/bin/tool", regular("app"))]),
            package("Package: dpkg\nDepends: lib\nEssential: yes\n", &[("/usr/bin/dpkg", regular("dpkg"))]),
            package("Package: lib\n", &[("/usr/lib/lib", regular("lib")), ("/usr/lib/old", regular("old"))]),
            package("Package: tool\n", &[("/usr/bin/tool", regular("tool")), ("/usr/bin/more", regular("tool"))]),
            package("Package: words\nTag: x\n", &[("/usr/share/words/one", regular("one"))]),
        ]
    }

    fn set(names: &[(&str, &str)]) -> PackageSet {
        let locked = |(name, why): &(&str, &str)| LockedPackage {
            name: (*name).into(),
            version: "1".into(),
            architecture: "all".into(),
            source: "debian".into(),
            path: String::new(),
            size: 1,
            sha256: crate::digest::Digest::of(name.as_bytes()),
            why: (*why).into(),
        };
        let names = names.iter().map(|name| (locked(name), "file".into())).collect();
        let answer = |package: &str| {
            let answer = Answer { package: package.into(), kind: "string".into(), value: "x".into() };
            (format!("{package}/question"), answer)
        };
        let settings =
            PackageSettings { answers: [answer("app"), answer("tool")].into(), ..PackageSettings::default() };
        sample::set(names, settings)
    }

    const SET: [(&str, &str); 5] = [
        ("app", "requested"),
        ("dpkg", "variant"),
        ("lib", "app depends on lib"),
        ("tool", "variant"),
        ("words", "requested"),
    ];

    #[test]
    fn what_every_system_has_is_a_set_of_its_own() {
        let (set_of_all, packages) = (set(&SET), packages());
        let found = first(&set_of_all, &packages).unwrap().unwrap();
        let names: Vec<&str> = found.0.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["dpkg", "lib", "tool"]);
        let base = found.of(&set_of_all);
        assert_eq!(base.settings.answers.keys().collect::<Vec<_>>(), ["tool/question"]);
        assert_eq!(found.left(&set_of_all).settings.answers.keys().collect::<Vec<_>>(), ["app/question"]);
        // It is the same for a set with fewer others, and is itself set up at once.
        let mut fewer = set(&SET[..4]);
        fewer.users.insert("web".into(), user(&["shadow"]));
        let mut same = base.clone();
        same.users.insert("web".into(), user(&[]));
        let found = first(&fewer, &packages[..4]).unwrap().unwrap();
        assert_eq!(found.of(&fewer).key(), same.key());
        assert!(first(&base, &packages[1..4]).unwrap().is_none());
        let only = PackageSettings { only: true, ..set_of_all.settings.clone() };
        assert!(first(&PackageSet { settings: only, ..set_of_all }, &packages).unwrap().is_none());
        assert!(first(&set(&[SET[4]]), &packages[4..]).unwrap().is_none(), "nothing can set it up");
    }

    fn user(groups: &[&str]) -> User {
        User {
            uid: 1000,
            gid: 1000,
            home: "/".into(),
            shell: "/bin/sh".into(),
            comment: String::new(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        }
    }

    /// Returns what is unpacked over a tree in which the first are set up.
    fn unpacked_over(changes: &[(&str, Kind)], triggers: &str) -> Option<Tree> {
        let (set, packages) = (set(&SET), packages());
        let whole = unpack::over(&set, &packages, Decided::default()).unwrap();
        let first = first(&set, &packages).unwrap().unwrap();
        let mut begun = unpack::over(&first.of(&set), &packages[1..4], Decided::default()).unwrap();
        let status = String::from_utf8(dpkg::read(&begun, "status").unwrap()).unwrap();
        dpkg::write(&mut begun, "status", status.replace("ok unpacked", "ok installed").into(), 0).unwrap();
        dpkg::write(&mut begun, "triggers/File", triggers.into(), 0).unwrap();
        begun.remove(&"/usr/lib/old".parse().unwrap());
        host::put(&mut begun, &tree_of(changes)).unwrap();
        let together = Together { tree: whole, packages };
        over(&set, begun, &together, &first).unwrap()
    }

    #[test]
    fn the_others_are_unpacked_over_what_is_set_up() {
        let triggers = "/usr/share/words words\n/usr/share/words dpkg/noawait\n/usr/lib lib\n";
        let tree = unpacked_over(&[("/etc/made", regular("by a script"))], triggers).unwrap();
        let get = |path: &str| tree.get(&path.parse().unwrap()).map(|node| node.kind.clone());
        assert_eq!(get("/usr/bin/tool"), Some(regular("app")), "which may replace it");
        assert_eq!(get("/usr/bin/more"), Some(regular("tool")));
        assert_eq!(get("/usr/lib/old"), None, "a script has removed it");
        assert_eq!(
            (get("/etc/made"), get("/usr/share/words/one")),
            (Some(regular("by a script")), Some(regular("one")))
        );
        assert_eq!(dpkg::lines(&tree, "info/tool.list").unwrap(), ["/.", "/usr/bin/more"], "it has lost the other");
        assert_eq!(dpkg::lines(&tree, "triggers/Unincorp").unwrap(), ["/usr/share/words -"]);
        let status = dpkg::lines(&tree, "status").unwrap();
        let states: Vec<&str> = status.iter().filter_map(|line| line.strip_prefix("Status: install ok ")).collect();
        assert_eq!(states, ["installed", "installed", "installed", "unpacked", "unpacked"]);
        assert!(status.contains(&"Tag: x".to_owned()));
    }

    #[test]
    fn what_others_divert_is_put_aside() {
        let diversion = |path: &str, to: &str| Diversion {
            path: path.parse().unwrap(),
            to: to.parse().unwrap(),
            package: Some("app".into()),
        };
        let begun =
            tree_of(&[("/a", regular("changed by a script")), ("/c", regular("c")), ("/c.old", regular("aside"))]);
        let aside =
            put_aside(begun, &[diversion("/a", "/a.old"), diversion("/b", "/b.old"), diversion("/c", "/c.old")]);
        let expected =
            tree_of(&[("/a.old", regular("changed by a script")), ("/c", regular("c")), ("/c.old", regular("aside"))]);
        assert_eq!(crate::tree::diff(&expected, &aside.unwrap()), []);
    }

    #[test]
    fn what_scripts_made_of_directories_is_left_to_dpkg() {
        assert!(unpacked_over(&[("/usr/share", link("lib"))], "").is_none());
        assert!(unpacked_over(&[("/usr/share/words", regular("a file"))], "").is_none());
        assert!(unpacked_over(&[("/usr/share/words/one/two", regular("below"))], "").is_none());
    }
}
