//! Packages that are added to the tree of a host.
//!
//! Comes in: the tree of a host as it is, and packages that were put together by themselves. Goes out: the host with the packages
//! unpacked over it, known to its package manager as far as scripts look. Always holds: of the host nothing is replaced that one
//! of its packages has, unless the added package may replace files of that one; links to directories stay what they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::dpkg;
use super::unpack::{Link, paths};
use super::{PackageSet, PackageTree, PackagesError};
use crate::image::{Subtracted, subtract};
use crate::packages::apt::control;
use crate::packages::apt::relation::Relations;
use crate::packages::apt::version;
use crate::packages::archive::Unpacked;
use crate::packages::installed::{Installed, owners};
use crate::packages::model::Comparison;
use crate::spec::Family;
use crate::tree::{Kind, Node, Tree, TreePath};

/// The tree of a host.
#[derive(Debug, Clone)]
pub struct HostTree {
    /// The tree.
    pub tree: Arc<Tree>,
    /// What is installed in it.
    pub installed: Arc<Installed>,
}

impl HostTree {
    /// Returns what packages add to the host, in place of the tree of both.
    pub(super) fn without(&self, made: PackageTree) -> Result<PackageTree, PackagesError> {
        let Subtracted { tree, .. } = subtract(&made.tree, &self.tree)?;
        let owners = made.owners.into_iter().filter(|(path, _)| tree.get(path).is_some()).collect();
        Ok(PackageTree { tree, owners, ..made })
    }

    /// Returns the host with what packages add to it. What scripts remove is there again: no extension could remove it.
    pub(super) fn with(&self, added: PackageTree) -> Result<PackageTree, PackagesError> {
        let mut tree = Tree::clone(&self.tree);
        put(&mut tree, &added.tree)?;
        Ok(PackageTree { tree, ..added })
    }
}

/// Puts everything of one tree into another.
pub(super) fn put(tree: &mut Tree, added: &Tree) -> Result<(), PackagesError> {
    for (path, node, first) in added.links() {
        match (first, tree.get_mut(path)) {
            (None, Some(known)) if known.kind.is_directory() && node.kind.is_directory() => {
                known.meta = node.meta.clone();
            }
            (Some(first), _) => tree.link(path.clone(), first)?,
            (None, _) => drop(tree.insert(path.clone(), node.clone())?),
        }
    }
    Ok(())
}

/// Returns the links of a host to directories that packages have something behind.
pub(super) fn links(host: &HostTree, packages: &[Unpacked]) -> Vec<Link> {
    let mut links: BTreeMap<TreePath, Box<[u8]>> = BTreeMap::new();
    for entry in packages.iter().flat_map(|package| &package.entries) {
        let own = entry.is_directory().then(|| entry.path.clone());
        for path in own.into_iter().chain(entry.path.ancestors()) {
            let Some(Node { kind: Kind::Symlink(target), .. }) = host.tree.get(&path) else { continue };
            if host.tree.lookup(&path).is_some_and(|node| node.kind.is_directory()) {
                links.insert(path, target.clone());
            }
        }
    }
    links.into_iter().collect()
}

/// Lays packages that were put together by themselves over the host of a set; without one they stay what they are.
pub(super) fn lay(set: &PackageSet, own: Tree, packages: &[Unpacked]) -> Result<Tree, PackagesError> {
    let Some(host) = &set.host else { return Ok(own) };
    let mut work = Work { set, host, packages, own: &own, tree: Tree::clone(&host.tree), owners: None };
    for (path, node, first) in own.links() {
        if !path.is_root() && !is_of_database(set.family, path) {
            work.take(path, node, first)?;
        }
    }
    if set.family == Family::Apt && !packages.is_empty() {
        work.database()?;
    }
    Ok(work.tree)
}

/// Tells whether a path is of the database that the added packages would have alone.
fn is_of_database(family: Family, path: &TreePath) -> bool {
    let text = path.to_string();
    let is_in = |folder: &str| text.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    match family {
        Family::Apt => {
            dpkg::name(path).is_some_and(|name| name == "info/format" || name != "info" && !name.starts_with("info/"))
        }
        Family::Apk => ["/lib/apk", "/usr/lib/apk", "/etc/apk"].iter().any(|folder| is_in(folder)),
        Family::Pacman => is_in("/var/lib/pacman"),
    }
}

struct Work<'run> {
    set: &'run PackageSet,
    host: &'run HostTree,
    packages: &'run [Unpacked],
    own: &'run Tree,
    tree: Tree,
    /// Which package of the host has which path, once somebody asked.
    owners: Option<BTreeMap<TreePath, String>>,
}

impl Work<'_> {
    /// Takes a path of the added packages.
    fn take(&mut self, path: &TreePath, node: &Node, first: Option<&TreePath>) -> Result<(), PackagesError> {
        match self.host.tree.get(path).map(|known| &known.kind) {
            None => {}
            Some(known) if known.is_directory() && node.kind.is_directory() => return Ok(()),
            Some(Kind::Symlink(target)) if matches!(&node.kind, Kind::Symlink(own) if own == target) => return Ok(()),
            Some(known) if known.is_directory() || node.kind.is_directory() => {
                return Err(self.conflict(path, format!("a {}", known.word())));
            }
            Some(_) => self.check(path)?,
        }
        match first.filter(|first| self.tree.get(first).is_some()) {
            Some(first) => self.tree.link(path.clone(), first)?,
            None => drop(self.tree.insert(path.clone(), node.clone())?),
        }
        Ok(())
    }

    /// Refuses to replace a file of a package of the host without the right to.
    fn check(&mut self, path: &TreePath) -> Result<(), PackagesError> {
        if self.owners.is_none() {
            self.owners = Some(owners(&self.host.tree, self.set.family)?);
        }
        let Some(owner) = self.owners.as_ref().and_then(|owners| owners.get(path)).cloned() else { return Ok(()) };
        let may_replace = match self.package(path) {
            Some(package) => self.replaces(package, &owner)?,
            None => false,
        };
        if may_replace { Ok(()) } else { Err(self.conflict(path, format!("of `{owner}`"))) }
    }

    /// Returns the added package that has a path.
    fn package(&self, path: &TreePath) -> Option<&Unpacked> {
        self.packages.iter().find(|package| paths(self.own, package).any(|own| own == *path))
    }

    fn conflict(&self, path: &TreePath, owner: String) -> PackagesError {
        let name = self.package(path).and_then(|package| {
            let control = control::single("control", &package.control_file("control")?.bytes).ok()?;
            Some(String::from_utf8_lossy(control.get("Package")?).into_owned())
        });
        let only =
            || self.set.packages.first().filter(|_| self.set.packages.len() == 1).map(|(one, _)| one.name.clone());
        let package = name.or_else(only).unwrap_or_else(|| "that is added".into());
        PackagesError::OfHost { path: path.clone(), package, owner }
    }

    /// Tells whether a package may overwrite files of one of the host (Debian policy, 7.6.1). Of other families none may.
    fn replaces(&self, package: &Unpacked, owner: &str) -> Result<bool, PackagesError> {
        let (Family::Apt, Some(control)) = (self.set.family, package.control_file("control")) else { return Ok(false) };
        let control = control::single("control", &control.bytes)?;
        let there = self.host.installed.versions().get(owner).map_or(&b""[..], |version| version.as_bytes());
        let relations = control.get("Replaces").map(Relations::new).into_iter().flatten();
        Ok(relations.filter_map(Result::ok).any(|one| {
            one.name == owner.as_bytes()
                && (one.comparison == Comparison::Any || one.comparison.allows(version::compare(there, one.version)))
        }))
    }

    /// Adds the packages to what dpkg of the host knows: their states, what they want to hear of, and what those of the host
    /// want to hear of them (deb-triggers(5)).
    fn database(&mut self) -> Result<(), PackagesError> {
        let mut status = dpkg::read(&self.host.tree, "status")?.trim_ascii_end().to_vec();
        status.extend(if status.is_empty() { &b""[..] } else { b"\n\n" });
        status.extend(dpkg::read(self.own, "status")?);
        self.write("status", status)?;
        let names: Vec<String> = (self.own.below(&dpkg::path("triggers")?))
            .filter_map(|(path, _)| String::from_utf8(path.name()?.to_vec()).ok())
            .filter(|name| name != "Lock" && name != "Unincorp")
            .collect();
        for name in names {
            let name = format!("triggers/{name}");
            let all = [dpkg::lines(&self.host.tree, &name)?, dpkg::lines(self.own, &name)?].concat();
            self.write(&name, all.iter().map(|line| format!("{line}\n")).collect::<String>().into_bytes())?;
        }
        let activated = dpkg::activated(&self.host.tree, |path| self.has(path))?;
        self.write("triggers/Unincorp", activated)
    }

    /// Tells whether the added packages have anything but directories at or below a path.
    fn has(&self, path: &TreePath) -> bool {
        let is_file = |node: &Node| !node.kind.is_directory();
        self.own.get(path).is_some_and(is_file) || self.own.below(path).any(|(_, node)| is_file(node))
    }

    fn write(&mut self, name: &str, bytes: Vec<u8>) -> Result<(), PackagesError> {
        dpkg::write(&mut self.tree, name, bytes, self.set.epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::packages::PackageSet;
    use crate::build::packages::dpkg::Decided;
    use crate::build::packages::tests::sample::{link, regular, set, tree_of, unpacked};
    use crate::digest::Digest;
    use crate::packages::apt::database::{Decisions, install};
    use crate::resolve::PackageSettings;

    fn host(files: &[(&str, Kind)]) -> HostTree {
        let tree = tree_of(files);
        let installed = Installed::read(&tree, Digest::of([]), Family::Apt, "amd64").unwrap().unwrap();
        HostTree { tree: Arc::new(tree), installed: Arc::new(installed) }
    }

    fn package(control: &str, files: &[(&str, Kind)]) -> Unpacked {
        unpacked(&[("control", control)], files)
    }

    /// Adds packages to a host as it is done for a set, but for their scripts.
    fn added(host: &HostTree, packages: &[Unpacked]) -> Result<Tree, PackagesError> {
        let set = PackageSet { host: Some(host.clone()), epoch: 0, ..set(Vec::new(), PackageSettings::default()) };
        let Decided { diversions, overrides } = Decided::of(&host.tree)?;
        let decisions = Decisions {
            architecture: "amd64".into(),
            links: links(host, packages),
            diversions,
            overrides,
            ..Decisions::default()
        };
        lay(&set, install(packages, &decisions, |_| false)?, packages)
    }

    const STATUS: &str = "Package: tool\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n";

    #[test]
    fn packages_are_added_by_the_rules_of_the_host() {
        let host = host(&[
            ("/usr/bin/tool", regular("host")),
            ("/bin", link("usr/bin")),
            ("/etc/passwd", regular("root:x:0:0::/root:/bin/sh\n")),
            ("/var/lib/dpkg/status", regular(STATUS)),
            ("/var/lib/dpkg/diversions", regular("/usr/bin/moved\n/usr/bin/moved.real\n:\n")),
            ("/var/lib/dpkg/statoverride", regular("root #7 4750 /usr/bin/app\n")),
            ("/var/lib/dpkg/triggers/File", regular("/usr/share/words words\n/usr/share/none none/noawait\n")),
        ]);
        let control = "Package: app\nVersion: 2\nArchitecture: all\n";
        let files = [
            ("/bin", Kind::directory()),
            ("/bin/app", regular("app")),
            ("/usr/bin/moved", regular("moved")),
            ("/usr/share/words/one", regular("one")),
        ];
        let tree = added(&host, &[package(control, &files)]).unwrap();
        let get = |path: &str| tree.get(&path.parse().unwrap());
        assert_eq!(get("/bin").unwrap().kind, link("usr/bin"));
        let app = get("/usr/bin/app").unwrap();
        assert_eq!((&app.kind, app.meta.mode, app.meta.gid), (&regular("app"), 0o4750, 7));
        assert!(get("/usr/bin/moved").is_none() && get("/usr/bin/moved.real").is_some());
        assert_eq!(get("/usr/bin/tool").unwrap().kind, regular("host"));
        assert_eq!(get("/var/lib/dpkg/triggers/Unincorp").unwrap().kind, regular("/usr/share/words -\n"));
        let status = dpkg::lines(&tree, "status").unwrap().join("\n") + "\n";
        let app = "Package: app\nStatus: install ok unpacked\nArchitecture: all\nVersion: 2\n";
        assert_eq!(status.trim_end(), format!("{STATUS}{app}").trim_end());
        assert!(get("/var/lib/dpkg/info/app.list").is_some());
        // What is kept in place of the whole is enough to have the whole again.
        let made = |tree: Tree| PackageTree {
            key: Digest::of([]),
            tree,
            packages: Vec::new(),
            owners: BTreeMap::new(),
            skipped: Vec::new(),
            log: String::new(),
        };
        let small = host.without(made(tree.clone())).unwrap();
        assert!(small.tree.get(&"/usr/bin/tool".parse().unwrap()).is_none());
        assert_eq!(crate::tree::diff(&host.with(small).unwrap().tree, &tree), []);
    }

    #[test]
    fn files_of_the_host_stay_its_own() {
        let host = host(&[
            ("/usr/bin/tool", regular("host")),
            ("/usr/bin/loose", regular("nobody's")),
            ("/var/lib/dpkg/status", regular(STATUS)),
            ("/var/lib/dpkg/info/tool.list", regular("/.\n/usr\n/usr/bin\n/usr/bin/tool\n")),
        ]);
        let tool = |fields: &str| {
            let control = format!("Package: app\nVersion: 2\nArchitecture: all\n{fields}");
            added(&host, &[package(&control, &[("/usr/bin/tool", regular("app"))])])
        };
        let error = tool("").unwrap_err().to_string();
        assert!(error.contains("the package `app` has `/usr/bin/tool`, which is of `tool` on its host"), "{error}");
        assert!(tool("Replaces: tool (<< 1)\n").is_err());
        let tree = tool("Replaces: tool (<< 2)\n").unwrap();
        assert_eq!(tree.get(&"/usr/bin/tool".parse().unwrap()).unwrap().kind, regular("app"));
        let control = "Package: app\nVersion: 2\nArchitecture: all\n";
        added(&host, &[package(control, &[("/usr/bin/loose", regular("app"))])]).unwrap();
        let error = added(&host, &[package(control, &[("/usr/bin", regular("app"))])]).unwrap_err().to_string();
        assert!(error.contains("`/usr/bin`, which is a directory on its host"), "{error}");
    }
}
