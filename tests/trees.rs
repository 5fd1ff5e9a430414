//! Random trees: merging is what a naive merge does, and tar archives and directories hold what was put into them.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use layerforge::image::write_tar;
use layerforge::tree::{
    Content, DeviceNumber, Kind, Meta, Node, NodeId, Stack, StackLayer, Tree, TreePath, diff, read_tar, scan,
};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// The same cases every time: a failure is a failure for everyone.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(2), ..ProptestConfig::default() }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

// Random trees.

/// Few and similar names, so that paths meet: `a-b` stands between `a` and what is in it.
fn any_path() -> impl Strategy<Value = TreePath> {
    let name = prop::sample::select(vec!["a", "a-b", "b", "ü", "c d"]);
    prop::collection::vec(name, 1..4).prop_map(|names| TreePath::from_relative(names.join("/").as_bytes()).unwrap())
}

fn any_meta() -> impl Strategy<Value = Meta> {
    let owner = prop_oneof![Just((0, 0)), Just((1000, 100)), Just((3_000_000, 4_000_000))];
    let xattr = prop_oneof![9 => Just(None), 1 => any::<[u8; 3]>().prop_map(Some)];
    (0..0o10000_u16, owner, 0..2_000_000_000_i64, xattr).prop_map(|(mode, (uid, gid), mtime, xattr)| {
        let mut meta = Meta { uid, gid, ..Meta::root_owned(mode, mtime) };
        if let Some(value) = xattr {
            meta.xattrs.insert((*b"user.x=y").into(), value.into());
        }
        meta
    })
}

fn any_kind() -> impl Strategy<Value = Kind> {
    let number = (1..4096_u32, 0..100_000_u32).prop_map(|(major, minor)| DeviceNumber { major, minor });
    prop_oneof![
        6 => prop::collection::vec(any::<u8>(), 0..1200).prop_map(|bytes| Kind::Regular(Content::inline(bytes))),
        6 => Just(Kind::directory()),
        1 => Just(Kind::Directory { opaque: true }),
        2 => "[a-zü/.]{1,120}".prop_map(|target| Kind::Symlink(target.into_bytes().into())),
        1 => number.prop_map(Kind::CharacterDevice),
        1 => Just(Kind::Fifo),
        3 => Just(Kind::Whiteout),
    ]
}

/// A tree made by putting nodes and hard links at random paths; what cannot stand there is left out.
fn any_tree() -> impl Strategy<Value = Tree> {
    let step = (any_path(), any_kind(), any_meta(), prop::option::weighted(0.2, any_path()));
    prop::collection::vec(step, 0..12).prop_map(|steps| {
        let mut tree = Tree::new();
        for (path, kind, meta, target) in steps {
            let node = if kind == Kind::Whiteout { Node::whiteout() } else { Node { kind, meta } };
            if let Some(target) = target {
                tree.link(path, &target).ok();
            } else {
                tree.insert(path, node).ok();
            }
        }
        tree
    })
}

/// A tree as it can stand on a disk: no removals, and only what this user may create.
fn possible(mut tree: Tree) -> Tree {
    let removals: Vec<TreePath> =
        tree.iter().filter(|(_, node)| node.kind == Kind::Whiteout).map(|(path, _)| path.clone()).collect();
    for path in &removals {
        tree.remove(path);
    }
    tree.complete(|_| Meta::root_owned(0o755, 1));
    let paths: Vec<TreePath> = tree.iter().map(|(path, _)| path.clone()).collect();
    for path in paths {
        let Node { kind, meta } = tree.get_mut(&path).unwrap();
        match kind {
            Kind::Directory { opaque } => *opaque = false,
            Kind::CharacterDevice(_) if !is_root() => *kind = Kind::Fifo,
            Kind::Symlink(_) => meta.mode = 0o777,
            _ => {}
        }
        if !matches!(kind, Kind::Directory { .. } | Kind::Regular(_)) {
            meta.xattrs.clear();
        }
        if !is_root() {
            meta.uid = rustix::process::geteuid().as_raw();
            meta.gid = rustix::process::getegid().as_raw();
            meta.mode = meta.mode & 0o777 | 0o700;
        }
    }
    tree
}

// The naive merge: directories as nested maps, laid over each other by recursion.

#[derive(Clone, Default)]
struct Nested {
    /// What stands here, with the layer and id it came from; nothing for a directory that is only implied.
    node: Option<(usize, NodeId, Kind)>,
    children: BTreeMap<Vec<u8>, Self>,
}

impl Nested {
    fn of(layer: usize, tree: &Tree) -> Self {
        let mut root = Self::default();
        for (path, id) in tree.ids() {
            let names = path.as_bytes().split(|&byte| byte == b'/').filter(|name| !name.is_empty());
            let place = names.fold(&mut root, |place, name| place.children.entry(name.to_vec()).or_default());
            place.node = Some((layer, id, tree.node(id).kind.clone()));
        }
        root
    }

    fn is_directory(&self) -> bool {
        self.node.as_ref().is_none_or(|(_, _, kind)| kind.is_directory())
    }

    /// Lays `self` over `lower`; nothing is left of a removal.
    fn over(self, lower: Option<Self>, path: &str, unmatched: &mut BTreeSet<String>) -> Result<Option<Self>, String> {
        match &self.node {
            Some((_, _, Kind::Whiteout)) => {
                if lower.is_none() {
                    unmatched.insert(path.to_owned());
                }
                return Ok(None);
            }
            Some((_, _, kind)) if !kind.is_directory() => return Ok(Some(self)),
            _ => {}
        }
        let mut merged = Self { node: self.node.clone(), children: BTreeMap::new() };
        match lower {
            Some(lower) if lower.is_directory() => {
                let opaque = |nested: &Self| matches!(nested.node, Some((_, _, Kind::Directory { opaque: true })));
                if !opaque(&self) {
                    merged.children = lower.children.clone();
                }
                if opaque(&lower)
                    && let Some((_, _, kind)) = &mut merged.node
                {
                    *kind = Kind::Directory { opaque: true };
                }
                merged.node = merged.node.or(lower.node);
            }
            Some(_) if self.node.is_none() => return Err(path.to_owned()),
            _ => {}
        }
        for (name, child) in self.children {
            let path = format!("{path}/{}", String::from_utf8_lossy(&name));
            let below = merged.children.remove(&name);
            if let Some(child) = child.over(below, &path, unmatched)? {
                merged.children.insert(name, child);
            }
        }
        // A directory that nothing names is there only as long as something is in it.
        Ok(Some(merged).filter(|merged| merged.node.is_some() || !merged.children.is_empty()))
    }

    fn flatten(&self, path: &str, into: &mut Vec<(String, usize, NodeId, Kind)>) {
        if let Some((layer, id, kind)) = &self.node {
            let path = if path.is_empty() { "/" } else { path };
            into.push((path.to_owned(), *layer, *id, kind.clone()));
        }
        for (name, child) in &self.children {
            child.flatten(&format!("{path}/{}", String::from_utf8_lossy(name)), into);
        }
    }
}

/// Groups paths by what they have in common.
fn groups<K: Ord>(items: impl Iterator<Item = (String, K)>) -> BTreeSet<Vec<String>> {
    let mut groups: BTreeMap<K, Vec<String>> = BTreeMap::new();
    items.for_each(|(path, key)| groups.entry(key).or_default().push(path));
    groups.into_values().collect()
}

fn unpack_with_gnu_tar(archive: &Path, directory: &Path) {
    let output = Command::new("tar")
        .args(["--extract", "--same-permissions", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--file"])
        .arg(archive)
        .arg("--directory")
        .arg(directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn merging_is_what_the_naive_merge_does(trees in prop::collection::vec(any_tree(), 0..5)) {
        let layers = trees.iter().enumerate();
        let layers = layers.map(|(n, tree)| StackLayer { name: n.to_string(), tree: tree.clone() }).collect();
        let merged = Stack { layers }.merge();

        let mut unmatched = BTreeSet::new();
        let naive = trees.iter().enumerate().try_fold(None, |lower, (layer, tree)| {
            let upper = Nested::of(layer, tree);
            if tree.is_empty() { Ok(lower) } else { upper.over(lower, "", &mut unmatched) }
        });
        let (merged, naive) = match (merged, naive) {
            (Ok(merged), Ok(naive)) => (merged, naive.unwrap_or_default()),
            // Of several paths that stand in the way, each names the one it meets first.
            (Err(_), Err(_)) => return Ok(()),
            (merged, naive) => panic!("{merged:?} {:?}", naive.err()),
        };
        let mut expected = Vec::new();
        naive.flatten("", &mut expected);

        let mut found = Vec::new();
        for (path, layer) in &merged.origins {
            let node = merged.tree.get(path).unwrap();
            let id = trees[*layer].id(path).unwrap();
            prop_assert_eq!(&node.meta, &trees[*layer].node(id).meta);
            found.push((path.to_string(), *layer, id, node.kind.clone()));
        }
        let show = |items: &[(String, usize, NodeId, Kind)]| -> BTreeSet<String> {
            items.iter().map(|item| format!("{item:?}")).collect()
        };
        prop_assert_eq!(show(&found), show(&expected));
        prop_assert_eq!(merged.tree.len(), merged.origins.len());
        prop_assert_eq!(
            groups(merged.tree.ids().map(|(path, id)| (path.to_string(), id))),
            groups(expected.iter().map(|(path, layer, id, _)| (path.clone(), (*layer, *id))))
        );
        prop_assert_eq!(merged.unmatched.iter().map(ToString::to_string).collect::<BTreeSet<_>>(), unmatched);
        for (layer, tree) in trees.iter().enumerate() {
            for (path, _) in tree.iter().filter(|(_, node)| node.kind == Kind::Whiteout) {
                prop_assert!(merged.removed[path] >= layer);
            }
        }
    }

    #[test]
    fn no_difference_is_an_equal_digest(one in any_tree(), other in any_tree(), path in any_path(), meta in any_meta()) {
        prop_assert_eq!(diff(&one, &other).is_empty(), one.digest() == other.digest());
        let mut edited = one.clone();
        if let Some(node) = edited.get_mut(&path) {
            node.meta = meta;
        }
        prop_assert_eq!(diff(&one, &edited).is_empty(), one.digest() == edited.digest());
        prop_assert!(diff(&one, &one).is_empty());
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn an_archive_is_read_as_what_was_written(tree in any_tree()) {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("x.tar");
        let mut written = Vec::new();
        write_tar(&tree, &mut written).unwrap();
        layerforge::fs::create(&archive).unwrap().write_all(&written).unwrap();
        let read = read_tar(&archive, folder.path()).unwrap();
        prop_assert_eq!(diff(&tree, &read), []);
        let mut again = Vec::new();
        write_tar(&read, &mut again).unwrap();
        prop_assert!(written == again, "from slices of the archive come the same bytes");
    }
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn a_directory_is_scanned_as_what_was_unpacked(tree in any_tree()) {
        let tree = possible(tree);
        let folder = tempfile::tempdir().unwrap();
        let (archive, root) = (folder.path().join("x.tar"), folder.path().join("root"));
        let mut written = Vec::new();
        write_tar(&tree, &mut written).unwrap();
        layerforge::fs::create(&archive).unwrap().write_all(&written).unwrap();
        layerforge::fs::create_directory(&root).unwrap();
        unpack_with_gnu_tar(&archive, &root);
        for threads in [1, 4] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let scanned = pool.install(|| scan(&root)).unwrap();
            prop_assert_eq!(diff(&tree, &scanned), []);
        }
    }
}
