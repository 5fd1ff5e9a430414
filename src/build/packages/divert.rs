//! Files that packages put aside before they are unpacked (dpkg-divert(1)).
//!
//! Comes in: packages of which two have one path. Goes out: which paths a `preinst` diverts. Always holds: whether a file is
//! diverted is what `dpkg-divert` says when the script runs, in a sandbox in which everything else is unpacked; nobody
//! guesses it from the text of a script.

use std::collections::BTreeSet;

use super::dpkg::Decided;
use super::{PackageMaker, PackageSet, PackagesError, scripts, unpack};
use crate::packages::archive::{Entry, Item, Unpacked};
use crate::tree::TreePath;

/// What a `preinst` calls to divert files.
const PROGRAM: &[u8] = b"dpkg-divert";

/// Runs every `preinst` that diverts files, over what the other packages have, and returns what is decided then.
pub(super) fn found(maker: &PackageMaker<'_>, set: &PackageSet) -> Result<Decided, PackagesError> {
    let mut packages = unpack::packages(set, maker.store)?;
    let shared = shared(&packages);
    let diverting: Vec<bool> = packages.iter().map(|package| diverts(package, &shared)).collect();
    if !diverting.contains(&true) {
        return Ok(Decided::default());
    }
    for (package, diverting) in packages.iter_mut().zip(diverting) {
        if diverting {
            package.entries.clear();
        }
        // What has no files has none to configure.
        package.control.retain(|file| file.name != if diverting { "conffiles" } else { "preinst" });
    }
    let tree = unpack::over(set, &packages, Decided::default())?;
    let ran = scripts::preinst(maker, set, &tree, &packages)?;
    Ok(Decided { overrides: Vec::new(), ..Decided::of(&ran.tree)? })
}

/// Returns the paths of files that several packages have.
fn shared(packages: &[Unpacked]) -> BTreeSet<TreePath> {
    let (mut seen, mut shared) = (BTreeSet::new(), BTreeSet::new());
    for entry in packages.iter().flat_map(|package| &package.entries).filter(|entry| !is_directory(entry)) {
        if !seen.insert(&entry.path) {
            shared.insert(entry.path.clone());
        }
    }
    shared
}

fn is_directory(entry: &Entry) -> bool {
    matches!(&entry.item, Item::Node(kind) if kind.is_directory())
}

/// Tells whether a package has a file that another has, too, and a script that diverts files.
fn diverts(package: &Unpacked, shared: &BTreeSet<TreePath>) -> bool {
    let script = package.control_file("preinst");
    script.is_some_and(|script| memchr::memmem::find(&script.bytes, PROGRAM).is_some())
        && package.entries.iter().any(|entry| shared.contains(&entry.path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::packages::tests::sample::{regular, unpacked};
    use crate::tree::Kind;

    fn package(script: &str, paths: &[&str]) -> Unpacked {
        let kind = |path: &str| if path.ends_with("dir") { Kind::directory() } else { regular("x") };
        let files: Vec<_> = paths.iter().map(|path| (*path, kind(path))).collect();
        unpacked(&[("preinst", script)], &files)
    }

    #[test]
    fn who_shares_a_file_and_diverts_is_asked_first() {
        let packages = [
            package("dpkg-divert --add /a", &["/dir", "/a"]),
            package("exit 0", &["/dir", "/a"]),
            package("dpkg-divert --add /b", &["/dir", "/b"]),
        ];
        let shared = shared(&packages);
        assert_eq!(shared.iter().map(ToString::to_string).collect::<Vec<_>>(), ["/a"]);
        assert_eq!(packages.each_ref().map(|package| diverts(package, &shared)), [true, false, false]);
    }
}
