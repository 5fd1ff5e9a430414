//! The packages below the layers, as far as they were put together before.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::diff::describe;
use super::lock_file;
use super::packages::Packages;
use super::why_package::{PackageLink, links};
use crate::build::packages::PackageTree;
use crate::error::Error;
use crate::event::Silent;
use crate::lock::{Bundle, Lock};
use crate::packages::Upgrade;
use crate::resolve::{Library, Recipe};
use crate::store::Store;
use crate::tree::{Kind, Node, TreePath};

/// Where packages that were put together are looked up; nothing is fetched for it.
pub(super) struct Below<'run> {
    store: &'run Store,
    path: PathBuf,
    lock: Option<Lock>,
}

/// What packages have at a path.
#[derive(Debug, Clone, Serialize)]
pub struct OfPackages {
    /// What stands there as far as packages go: `file 0644 0:0 1234 bytes`.
    pub result: String,
    /// The package whose path it is, and why that is there, up to the one that somebody asked for; empty for a directory, and
    /// for what scripts made.
    pub chain: Vec<PackageLink>,
}

/// The packages below the layers of a recipe.
pub(super) struct Known {
    tree: Arc<PackageTree>,
    bundle: Arc<Bundle>,
}

impl<'run> Below<'run> {
    /// Reads the lock of a profile.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn of(library: &Library, store: &'run Store) -> Result<Self, Error> {
        let path = lock_file::path(library);
        let lock = Lock::read(&path)?;
        Ok(Self { store, path, lock })
    }

    /// Returns the packages that outputs of a recipe carry; nothing when it has none, or they are not in the store.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn tree(&self, recipe: &Recipe) -> Result<Option<Known>, Error> {
        let Self { store, path, lock } = self;
        let upgrade = Upgrade::Nothing;
        let packages = Packages {
            store,
            network: None,
            reporter: &Silent,
            lock: lock.as_ref(),
            path,
            locked: true,
            upgrade: &upgrade,
        };
        Ok(packages.known_tree(recipe)?.map(|(tree, bundle)| Known { tree, bundle }))
    }
}

impl Known {
    /// Returns what packages have at a path, which may lead through links such as `/bin`.
    pub(super) fn at(&self, recipe: &Recipe, path: &TreePath) -> Option<OfPackages> {
        let PackageTree { tree, packages, owners, .. } = &*self.tree;
        let real = || tree.follow(&path.parent()?)?.join(path.name()?).ok();
        let path = real().unwrap_or_else(|| path.clone());
        let node = tree.get(&path)?;
        let package = owners.get(&path).and_then(|owner| packages.get(*owner));
        let chain = package.map(|package| links(recipe, &self.bundle, &package.name)).unwrap_or_default();
        Some(OfPackages { result: result(node), chain })
    }
}

/// Writes a node and, of a file, its digest.
pub(super) fn result(node: &Node) -> String {
    match &node.kind {
        Kind::Regular(content) => format!("{} {}", describe(node, true), content.digest),
        _ => describe(node, true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::extension::tests::{package, profile, rendered};
    use crate::engine::{Selection, why};
    use crate::fs;
    use crate::spec::Project;

    #[test]
    fn a_path_is_of_a_package_or_of_a_layer() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path();
        for name in ["packages", "profiles", "layers"] {
            fs::create_directory(&folder.join(name)).unwrap();
        }
        package(&folder.join("packages"), "base", "1", "");
        package(&folder.join("packages"), "app", "1", "Depends: base\n");
        let layer = "[file.'/usr/bin/app']\ncontent = 'other'\n[file.'/usr/bin/mine']\ncontent = ''\n";
        profile(folder, "web", &format!("[package.app]\n[output.rootfs]\npackages = 'bundled'\n{layer}"));
        let ask = |path: &str| {
            let store = Store::open(&folder.join("store")).unwrap();
            let selection = Selection { profile: Some("web".into()), ..Selection::default() };
            why(&Arc::new(Project::open(folder)), &store, &selection, &path.parse().unwrap())
        };
        let error = ask("/usr/bin/base").unwrap_err().to_string();
        assert!(error.contains("no layer"), "{error}");
        rendered(folder, "web", false).unwrap();

        let answer = ask("/usr/bin/base").unwrap().remove(0);
        let packages = answer.packages.unwrap();
        let chain: Vec<_> = packages.chain.iter().map(|link| (link.name.as_str(), link.why.as_str())).collect();
        assert_eq!(chain, [("base", "app depends on base"), ("app", "requested")]);
        assert!(packages.chain[1].asked_at.as_ref().unwrap().contains("profiles/web.toml"));
        assert!(answer.words.is_empty() && answer.result.is_none());
        assert!(packages.result.starts_with("file 0755 0:0 1 byte"), "{}", packages.result);

        let answer = ask("/usr/bin/app").unwrap().remove(0);
        assert_eq!((answer.words.len(), answer.packages.unwrap().chain.len()), (1, 1));
        assert!(ask("/usr/bin/mine").unwrap().remove(0).packages.is_none());
        assert!(ask("/var/lib/dpkg/status").unwrap().remove(0).packages.unwrap().chain.is_empty());
        assert!(ask("/usr/bin/none").is_err());
    }
}
