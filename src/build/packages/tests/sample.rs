//! What the tests of these rooms begin with: trees, packages that are unpacked, and a set.

use std::path::PathBuf;

use crate::build::packages::PackageSet;
use crate::lock::LockedPackage;
use crate::packages::archive::{ControlFile, Entry, Item, Unpacked};
use crate::resolve::PackageSettings;
use crate::spec::Family;
use crate::tree::{Content, Kind, Meta, Node, Tree};

/// A file with a text.
pub(in crate::build::packages) fn regular(text: &str) -> Kind {
    Kind::Regular(Content::inline(text.as_bytes()))
}

/// A symbolic link.
pub(in crate::build::packages) fn link(target: &str) -> Kind {
    Kind::Symlink(target.as_bytes().into())
}

/// Makes a tree of paths and what is there.
pub(in crate::build::packages) fn tree_of(files: &[(&str, Kind)]) -> Tree {
    let mut tree = Tree::new();
    for (path, kind) in files {
        let node = Node { kind: kind.clone(), meta: Meta::root_owned(0o644, 0) };
        tree.insert(path.parse().unwrap(), node).unwrap();
    }
    tree.complete(|_| Meta::root_owned(0o755, 0));
    tree
}

/// Makes a package of control files and of what it puts where.
pub(in crate::build::packages) fn unpacked(control: &[(&str, &str)], files: &[(&str, Kind)]) -> Unpacked {
    let file = |(name, text): &(&str, &str)| ControlFile {
        name: (*name).into(),
        mode: 0o755,
        mtime: 0,
        bytes: text.as_bytes().to_vec(),
    };
    let entry = |(path, kind): &(&str, Kind)| Entry {
        path: path.parse().unwrap(),
        item: Item::Node(kind.clone()),
        meta: Meta::root_owned(0o755, 0),
    };
    Unpacked { control: control.iter().map(file).collect(), entries: files.iter().map(entry).collect() }
}

/// Makes a set of Debian, with some of the links of a merged `/usr`.
pub(in crate::build::packages) fn set(
    packages: Vec<(LockedPackage, PathBuf)>,
    settings: PackageSettings,
) -> PackageSet {
    PackageSet {
        host: None,
        family: Family::Apt,
        distro: ("debian".into(), Some("13".into())),
        architecture: "amd64".into(),
        links: [("/bin".into(), "usr/bin".into()), ("/lib64".into(), "usr/lib64".into())].into(),
        packages,
        users: Default::default(),
        groups: Default::default(),
        world: Vec::new(),
        tags: Default::default(),
        unsigned: Default::default(),
        repositories: Vec::new(),
        keys: Default::default(),
        sources: Default::default(),
        settings,
        epoch: 500,
    }
}
