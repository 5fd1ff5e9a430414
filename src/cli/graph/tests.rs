//! What graphs look like.

use super::layout::{Card, layout};
use super::{dot, rows, svg};
use crate::engine::{Graph, GraphEntry, GraphLayer, GraphProfile, Group};
use crate::spec::{Origin, Tier};

fn entry(path: &str, kind: &'static str) -> GraphEntry {
    GraphEntry { path: path.parse().unwrap(), kind, link: None, targets: Vec::new(), replaced_by: None }
}

fn layer(name: &str, tier: Tier, requires: &[usize], groups: Vec<Group>) -> GraphLayer {
    GraphLayer {
        name: name.into(),
        tier,
        origin: Origin::Builtin,
        summary: format!("What the layer {name} is for, in one sentence & with <signs>"),
        requires: requires.to_vec(),
        groups,
    }
}

fn profile(name: &str, extends: &[usize], layers: &[usize]) -> GraphProfile {
    GraphProfile {
        name: name.into(),
        origin: Origin::Project,
        summary: String::new(),
        extends: extends.to_vec(),
        layers: layers.to_vec(),
    }
}

fn group(directory: &str, entries: Vec<GraphEntry>) -> Group {
    Group { directory: directory.parse().unwrap(), entries }
}

/// A graph in which every sign occurs.
fn graph() -> Graph {
    let link = GraphEntry { link: Some("../\"x\\n\"".into()), ..entry("/etc/l", "symlink") };
    let replaced = GraphEntry { replaced_by: Some(2), ..entry("/etc/\u{7}<&>", "file") };
    let some = GraphEntry { targets: vec!["alpine".into(), "arch".into()], ..entry("/srv/www/i", "file") };
    let one = group("/etc", vec![replaced, entry("/etc/d", "directory"), link]);
    let two = group("/srv/www", vec![some, entry("/srv/www/x", "whiteout")]);
    Graph {
        targets: vec!["alpine".into(), "arch".into(), "debian".into()],
        profiles: vec![profile("web", &[1, 2], &[1, 2]), profile("low", &[2], &[0]), profile("lowest", &[], &[0])],
        layers: vec![
            layer("base", Tier::Base, &[], Vec::new()),
            layer("one", Tier::Application, &[0], vec![one]),
            layer("two", Tier::Application, &[1, 0], vec![two]),
        ],
    }
}

/// A graph of `count` layers in every tier, with many paths and lines.
fn large(count: usize) -> Graph {
    let tiers = [Tier::Base, Tier::Distro, Tier::Application, Tier::Overlay];
    let tiers = tiers.into_iter().flat_map(|tier| std::iter::repeat_n(tier, count));
    let layers = tiers.enumerate().map(|(index, tier)| {
        let files = |directory: &str, count: usize| {
            group(
                directory,
                (0..count).map(|n| entry(&format!("{directory}/{:04}/\u{65e5}{n:05}", n % 400), "file")).collect(),
            )
        };
        let requires: Vec<usize> = (0..index).filter(|other| (index + other) % 3 == 0).collect();
        let groups = (0..index % 4).map(|n| files(&format!("/g{n}/{}", "m".repeat(index * 7)), 3 + n * 900)).collect();
        layer(&"W".repeat(index * 3), tier, &requires, groups)
    });
    let layers: Vec<GraphLayer> = layers.collect();
    let all: Vec<usize> = (0..layers.len()).collect();
    let profiles = vec![profile("a", &[1, 2], &all), profile("b", &[2], &all), profile("c", &[], &all)];
    Graph { targets: vec!["debian".into()], profiles, layers }
}

#[test]
fn the_text_for_graphviz() {
    insta::assert_snapshot!(dot::text(&graph()));
}

#[test]
fn the_picture() {
    insta::assert_snapshot!(svg::text(&graph()));
}

#[test]
fn many_paths_are_counted_by_directory() {
    let many = group("/m", (0..3000).map(|n| entry(&format!("/m/{:03}/{n:05}", n / 10), "file")).collect());
    let words: Vec<String> = rows(&many).into_iter().map(|row| format!("{} {}", row.text, row.note)).collect();
    let expected =
        ["000/ 10 paths", "001/ 10 paths", "002/ 10 paths", "003/ 10 paths", "004/ 10 paths", "+ 2,950 more "];
    assert_eq!(words, expected);
    let six = group("/m", (0..6).map(|n| entry(&format!("/m/x/{n}"), "file")).collect());
    assert_eq!(rows(&six).len(), 6, "no line is spent to hide one path");
}

#[test]
fn cards_do_not_overlap_and_no_line_crosses_one() {
    for graph in [graph(), large(1), large(3), large(6)] {
        let picture = layout(&graph);
        let overlap = |one: &Card, (x, y): (i32, i32), (right, bottom): (i32, i32)| {
            one.x < right && x < one.x + one.width && one.y < bottom && y < one.y + one.height
        };
        for (index, card) in picture.cards.iter().enumerate() {
            assert!(card.x >= 0 && card.x + card.width <= picture.width && card.y + card.height <= picture.height);
            for other in &picture.cards[index + 1..] {
                let end = (other.x + other.width, other.y + other.height);
                assert!(!overlap(card, (other.x, other.y), end), "{card:?} {other:?}");
            }
            for wire in &picture.wires {
                for ends in wire.points.windows(2) {
                    let ((x, y), (to_x, to_y)) = (ends[0], ends[1]);
                    assert!(x == to_x || y == to_y, "{wire:?} is straight");
                    let (least, most) = ((x.min(to_x), y.min(to_y)), (x.max(to_x), y.max(to_y)));
                    // A line that only touches the edge of a card has no width inside of it.
                    assert!(!overlap(card, least, most), "{card:?} {wire:?}");
                }
            }
        }
    }
}

#[test]
fn lines_run_over_each_other_only_when_they_share_an_end() {
    let picture = layout(&large(4));
    let upright = |ends: &&[(i32, i32)]| ends[0].0 == ends[1].0 && ends[0].1 != ends[1].1;
    let mut seen = 0;
    for (index, one) in picture.wires.iter().enumerate() {
        for other in &picture.wires[index + 1..] {
            for (one_part, part) in one
                .points
                .windows(2)
                .filter(upright)
                .flat_map(|own| other.points.windows(2).filter(upright).map(move |part| (own, part)))
            {
                let span = |part: &[(i32, i32)]| (part[0].1.min(part[1].1), part[0].1.max(part[1].1));
                let ((top, bottom), (other_top, other_bottom)) = (span(one_part), span(part));
                if one_part[0].0 == part[0].0 && top < other_bottom && other_top < bottom {
                    assert!(one.points[0] == other.points[0] || one.points[3] == other.points[3], "{one:?} {other:?}");
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 100, "there are lines that share an end");
}
