//! Judged by laying the parts over each other: with what lays stacks, for any layers, distros and limits.

use super::*;
use crate::tree::{Content, Stack, StackLayer};

fn path(text: &str) -> TreePath {
    text.parse().unwrap()
}

fn plain(_: &TreePath) -> Meta {
    Meta::root_owned(0o755, 0)
}

/// Makes a tree of `/directory/`, `/opaque/!`, `/file=text`, `/removed-` and `/name&other name`.
fn tree(items: &[&str]) -> Tree {
    let mut tree = Tree::new();
    for item in items {
        let node = |kind| Node { kind, meta: Meta::root_owned(0o644, 0) };
        if let Some((name, target)) = item.split_once('&') {
            tree.link(path(name), &path(target)).unwrap();
        } else if let Some((name, text)) = item.split_once('=') {
            tree.insert(path(name), node(Kind::Regular(Content::inline(text.as_bytes())))).unwrap();
        } else if let Some(name) = item.strip_suffix('-') {
            tree.insert(path(name), Node::whiteout()).unwrap();
        } else {
            let opaque = item.ends_with('!');
            tree.insert(path(item.trim_end_matches(['!', '/'])), node(Kind::Directory { opaque })).unwrap();
        }
    }
    tree
}

fn lines(tree: &Tree) -> Vec<String> {
    let line = |(path, node, first): (&TreePath, &Node, Option<&TreePath>)| match (&node.kind, first) {
        (_, Some(first)) => format!("{path}&{first}"),
        (Kind::Whiteout, _) => format!("{path}-"),
        (Kind::Directory { opaque: false }, _) => format!("{}/", path.to_string().trim_end_matches('/')),
        (Kind::Regular(content), _) => {
            format!("{path}={}", String::from_utf8(content.read(99).unwrap().unwrap()).unwrap())
        }
        (kind, _) => panic!("{kind:?}"),
    };
    tree.links().map(line).collect()
}

/// Returns what is seen when trees are looked at from above, by what lays stacks.
fn whole(trees: &[&Tree]) -> Tree {
    let layers = trees.iter().map(|tree| StackLayer { name: String::new(), tree: (*tree).clone() }).collect();
    let mut tree = Stack { layers }.merge().unwrap().tree;
    tree.complete(plain);
    let paths: Vec<_> = tree.iter().map(|(path, _)| path.clone()).collect();
    for path in paths {
        let kind = &mut tree.get_mut(&path).unwrap().kind;
        if kind.is_directory() {
            *kind = Kind::directory();
        }
    }
    tree
}

#[test]
fn what_is_the_same_everywhere_is_neutral() {
    let one = tree(&["/etc/", "/etc/a=1", "/etc/b=1", "/etc/c=1", "/l=x", "/m&/l", "/n=y", "/o&/n", "/gone-", "/d!"]);
    let other = tree(&["/etc/", "/etc/a=1", "/etc/b=2", "/l=x", "/m&/l", "/n=y", "/o=y", "/gone-", "/d"]);
    let same = ["/", "/d/", "/etc/", "/etc/a=1", "/l=x", "/m&/l"];
    assert_eq!(lines(&neutral(&[&one, &other], plain)), same);
    assert_eq!(lines(&neutral(&[&other, &one], plain)), same);
    let alone = ["/", "/d/", "/etc/", "/etc/a=1", "/etc/b=2", "/l=x", "/m&/l", "/n=y", "/o=y"];
    assert_eq!(lines(&neutral(&[&other], plain)), alone);
    assert!(neutral(&[&tree(&["/a=1"]), &tree(&["/b=1"])], plain).is_empty());
}

#[test]
fn a_difference_removes_only_what_is_seen_to_go() {
    let below = whole(&[&tree(&["/d/a=1", "/d/e/f=1", "/f=1", "/same=1", "/x/y=1", "/l=1", "/k&/l"])]);
    let above = whole(&[&tree(&["/d/b=1", "/f/g=1", "/same=1", "/x=1", "/l=1", "/k=1"])]);
    assert_eq!(
        lines(&difference(&below, &above).unwrap()),
        ["/", "/d/", "/d/a-", "/d/b=1", "/d/e-", "/f/", "/f/g=1", "/l=1", "/x=1"],
    );
    assert!(difference(&above, &above).unwrap().is_empty());
}

#[test]
fn every_layer_has_its_two_parts() {
    let debian =
        [tree(&["/etc/a=1", "/etc/b=debian"]), tree(&["/etc/c=1", "/etc/a-", "/nothing-"]), tree(&["/etc/d=1"])];
    let alpine =
        [tree(&["/etc/a=1", "/etc/b=alpine"]), tree(&["/etc/c=1", "/etc/a-", "/nothing-"]), tree(&["/etc/d=1"])];
    let neutrals: Vec<_> = debian.iter().zip(&alpine).map(|(one, other)| neutral(&[one, other], plain)).collect();
    let shared: Vec<_> = (0..3)
        .map(|at| Shared { name: ["one", "two", "three"][at], own: &debian[at], neutral: &neutrals[at] })
        .collect();
    let whole = whole(&debian.each_ref());
    let shown = |limit| -> Vec<(bool, Vec<String>, String)> {
        let parts = parts(&Tree::new(), &shared, &whole, limit).unwrap();
        parts.into_iter().map(|part| (part.neutral, lines(&part.tree), part.layers.join(" "))).collect()
    };
    let part = |neutral, lines: &[&str], layers: &str| {
        let lines = ["/", "/etc/"].iter().chain(lines).map(|line| (*line).to_owned()).collect();
        (neutral, lines, layers.to_owned())
    };
    let [one, two, three] = [["/etc/a=1"], ["/etc/c=1"], ["/etc/d=1"]];
    let all = [
        part(true, &one, "one"),
        part(false, &["/etc/b=debian"], "one"),
        part(true, &two, "two"),
        part(false, &["/etc/a-"], "two"),
        part(true, &three, "three"),
    ];
    assert_eq!(shown(5), all);
    let joined = part(false, &["/etc/a-", "/etc/b=debian"], "one two");
    assert_eq!(shown(4), [all[0].clone(), all[2].clone(), joined, all[4].clone()]);
    let merged = part(true, &["/etc/a=1", "/etc/c=1"], "one two");
    let rest = part(false, &["/etc/a-", "/etc/b=debian"], "one two");
    assert_eq!(shown(3), [merged, rest, part(true, &three, "three")]);
    assert_eq!(shown(1), [part(false, &["/etc/b=debian", "/etc/c=1", "/etc/d=1"], "one two three")]);
}

/// Numbers that look random and are the same every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn layer(&mut self) -> Tree {
        let mut tree = Tree::new();
        for _ in 0..self.below(7) {
            let names = (0..=self.below(3)).map(|_| ["a", "b", "c"][self.below(3) as usize]).collect::<Vec<_>>();
            let (path, text) = (path(&format!("/{}", names.join("/"))), self.below(3).to_string());
            let mut meta = Meta::root_owned(0o644, 0);
            let kind = match self.below(9) {
                0 => Kind::Whiteout,
                1 => Kind::Directory { opaque: true },
                2 | 3 => Kind::directory(),
                4 => Kind::Symlink((*b"a").into()),
                _ => Kind::Regular(Content::inline(text.as_bytes())),
            };
            if kind.is_directory() {
                meta.mode = [0o755, 0o700][self.below(2) as usize];
            }
            let node = if kind == Kind::Whiteout { Node::whiteout() } else { Node { kind, meta } };
            tree.insert(path, node).ok();
            let other = tree.iter().map(|(path, _)| path.clone()).nth(self.below(4) as usize);
            if let Some(other) = other.filter(|other| !other.is_root()) {
                tree.link(other.parent().unwrap().join(b"link").unwrap(), &other).ok();
            }
        }
        tree
    }
}

#[test]
fn the_parts_are_the_whole_whatever_the_layers() {
    let mut numbers = Numbers(1);
    let (mut checked, mut removals) = (0, 0);
    while checked < 400 {
        let base = whole(&[&numbers.layer()]);
        let common: Vec<Tree> = (0..=numbers.below(4)).map(|_| numbers.layer()).collect();
        // What a distro has more than another, laid over what is common.
        let distros: Vec<Vec<Tree>> = (0..3)
            .map(|_| {
                let own = |tree: &Tree| {
                    let mut tree = tree.clone();
                    if numbers.below(2) == 0 {
                        for (path, node) in numbers.layer().iter() {
                            tree.insert(path.clone(), node.clone()).ok();
                        }
                    }
                    tree
                };
                common.iter().map(own).collect()
            })
            .collect();
        let stacks = distros.iter().map(|layers| {
            let layers = std::iter::once(&base).chain(layers);
            let layers = layers.map(|tree| StackLayer { name: String::new(), tree: tree.clone() }).collect();
            Stack { layers }.merge().is_ok()
        });
        if !stacks.collect::<Vec<_>>().iter().all(|fits| *fits) {
            continue;
        }
        checked += 1;
        let neutrals: Vec<Tree> = (0..common.len())
            .map(|at| neutral(&distros.iter().map(|layers| &layers[at]).collect::<Vec<_>>(), plain))
            .collect();
        for limit in 1..=6 {
            let mut shared_by_all: Vec<Vec<_>> = Vec::new();
            for layers in &distros {
                let trees: Vec<&Tree> = std::iter::once(&base).chain(layers).collect();
                let whole = whole(&trees);
                let shared: Vec<_> =
                    layers.iter().zip(&neutrals).map(|(own, neutral)| Shared { name: "x", own, neutral }).collect();
                let parts = parts(&base, &shared, &whole, limit).unwrap();
                assert!((1..=limit).contains(&parts.len()), "{} parts, {limit} allowed", parts.len());
                let mut state = base.clone();
                for part in &parts {
                    for (path, _) in part.tree.iter().filter(|(_, node)| node.kind == Kind::Whiteout) {
                        assert!(state.get(path).is_some(), "{path} is removed and not there");
                        removals += 1;
                    }
                    lay(&mut state, &part.tree).unwrap();
                }
                assert_eq!(diff(&state, &whole), []);
                let of_parts: Vec<&Tree> = std::iter::once(&base).chain(parts.iter().map(|part| &part.tree)).collect();
                assert_eq!(diff(&self::whole(&of_parts), &whole), []);
                let shared = parts.iter().filter(|part| part.neutral).map(|part| part.tree.digest()).collect();
                shared_by_all.push(shared);
            }
            assert!(shared_by_all.iter().all(|one| *one == shared_by_all[0]), "the same for every distro");
        }
    }
    assert!(removals > 100, "{removals}");
}
