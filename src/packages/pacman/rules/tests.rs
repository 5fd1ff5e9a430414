use proptest::prelude::*;

use super::*;
use crate::packages::model::{Comparison, Reason, Request, merge};
use crate::packages::pacman::groups;
use crate::packages::pacman::index::tests::{desc, pool};
use crate::packages::solve::{Question, Step, check, solve};

/// Makes a pool of lines `name version` with further sections after `;`.
fn repository(lines: &[&str]) -> Pool {
    let one = |line: &&str| {
        let mut parts = line.split(';').map(str::trim);
        let (name, version) = parts.next().unwrap().split_once(' ').unwrap();
        desc(name, version, &parts.filter(|part| !part.ends_with(": ") && !part.ends_with(':')).collect::<Vec<_>>())
    };
    let packages: Vec<(&str, String)> = lines.iter().map(|line| (line.split(';').next().unwrap(), one(line))).collect();
    pool(&packages)
}

fn asking(names: &[&str]) -> Vec<Request> {
    let request = |name: &&str| match name.split_once(">=") {
        Some((name, version)) => {
            Request { name: name.to_owned(), comparison: Comparison::GreaterEqual, version: version.to_owned() }
        }
        None => Request::any(*name),
    };
    names.iter().map(request).collect()
}

fn outcome(pool: &Pool, names: &[&str]) -> String {
    let question = Question { requests: groups::expand(pool, asking(names)), ..Question::default() };
    match solve(pool, &PacmanRules, &question) {
        Ok(solution) => {
            let ids: Vec<PackageId> = solution.packages.keys().copied().collect();
            assert_eq!(check(pool, &PacmanRules, &ids), []);
            ids.iter().map(|id| pool.label(*id).replace(' ', "-")).collect::<Vec<_>>().join(" ")
        }
        Err(explanation) => format!("no: {explanation}"),
    }
}

#[test]
fn cases_written_from_the_rules() {
    let cases: &[(&[&str], &[&str], &str)] = &[
        (&["a 1-1; DEPENDS: b", "b 2-1"], &["a"], "a-1-1 b-2-1"),
        (&["a 1-1; DEPENDS: b>=2", "b 2-1"], &["a"], "a-1-1 b-2-1"),
        (&["a 1-1; DEPENDS: b=2", "b 2-3"], &["a"], "a-1-1 b-2-3"),
        (&["a 1-1; DEPENDS: b=2-1", "b 2-3"], &["a"], "no: "),
        (&["a 1-1; DEPENDS: b>1:0", "b 2-3"], &["a"], "no: "),
        (&["a 1-1; DEPENDS: b", "b 1-1; DEPENDS: a"], &["a"], "a-1-1 b-1-1"),
        (&["a 1-1; DEPENDS: libx.so=1-64", "x 1-1; PROVIDES: libx.so=1-64"], &["a"], "a-1-1 x-1-1"),
        (&["a 1-1; DEPENDS: libx.so=1-64", "x 1-1; PROVIDES: libx.so=2-64"], &["a"], "no: "),
        (&["a 1-1; DEPENDS: lib:libx.so.1", "x 1-1; PROVIDES: lib:libx.so.1"], &["a"], "a-1-1 x-1-1"),
        // The package of the name comes before providers, those by name.
        (&["a 1-1; DEPENDS: v", "v 1-1", "t 1-1; PROVIDES: v=9"], &["a"], "a-1-1 v-1-1"),
        (&["a 1-1; DEPENDS: v", "u 1-1; PROVIDES: v", "t 1-1; PROVIDES: v"], &["a"], "a-1-1 t-1-1"),
        (&["a 1-1; DEPENDS: v", "u 1-1; PROVIDES: v", "t 1-1; PROVIDES: v"], &["a", "u"], "a-1-1 u-1-1"),
        (&["a 1-1; DEPENDS: v>=1", "u 1-1; PROVIDES: v=1", "t 1-1; PROVIDES: v"], &["a"], "a-1-1 u-1-1"),
        (
            &["a 1-1; DEPENDS: v b", "b 1-1; DEPENDS: u", "u 1-1; PROVIDES: v", "t 1-1; PROVIDES: v"],
            &["a"],
            "a-1-1 b-1-1 u-1-1",
        ),
        (&["a 1-1; CONFLICTS: b", "b 1-1"], &["a", "b"], "no: "),
        (&["a 1-1; CONFLICTS: v", "b 1-1; PROVIDES: v"], &["a", "b"], "no: "),
        (&["a 1-1; CONFLICTS: v; PROVIDES: v"], &["a"], "a-1-1"),
        (&["a 1-1; CONFLICTS: b<2", "b 2-1"], &["a", "b"], "a-1-1 b-2-1"),
        (&["a 1-1; DEPENDS: v; CONFLICTS: t", "u 1-1; PROVIDES: v", "t 1-1; PROVIDES: v"], &["a"], "a-1-1 u-1-1"),
        (&["a 1-1; OPTDEPENDS: b"], &["a"], "a-1-1"),
        (&["a 1-1; REPLACES: b", "b 1-1"], &["b"], "b-1-1"),
        // Groups stand for all their members.
        (&["a 1-1; GROUPS: g", "b 1-1; GROUPS: g h", "c 1-1"], &["g"], "a-1-1 b-1-1"),
        (&["a 1-1; GROUPS: g", "g 1-1"], &["g"], "g-1-1"),
        (&["a 1-1; GROUPS: gg"], &["g"], "no: "),
    ];
    for (packages, asked, expected) in cases {
        let found = outcome(&repository(packages), asked);
        match expected.strip_prefix("no: ") {
            None => assert_eq!(&found, expected, "{packages:?} {asked:?}"),
            Some(_) => assert!(found.starts_with("no: "), "{packages:?} {asked:?}: {found}"),
        }
    }
}

#[test]
fn the_first_repository_that_will_do_is_taken() {
    let core = repository(&["a 1-1", "b 1-1; DEPENDS: a", "u 1-1; PROVIDES: v"]);
    let extra =
        repository(&["a 2-1", "c 1-1; DEPENDS: a>=2", "t 1-1; PROVIDES: v", "d 1-1; DEPENDS: v", "a 2-1; GROUPS: g"]);
    let pool = merge(vec![core, extra]).unwrap();
    assert_eq!(outcome(&pool, &["b"]), "a-1-1 b-1-1");
    assert_eq!(outcome(&pool, &["c"]), "a-2-1 c-1-1");
    assert_eq!(outcome(&pool, &["b", "c"]), "a-2-1 b-1-1 c-1-1");
    assert_eq!(outcome(&pool, &["a>=2"]), "a-2-1");
    assert_eq!(outcome(&pool, &["d"]), "d-1-1 u-1-1", "the provider of the earlier repository");
}

#[test]
fn choices_that_nobody_made_are_told() {
    let pool = repository(&[
        "a 1-1; DEPENDS: v w x",
        "t 1-1; PROVIDES: v",
        "u 1-1; PROVIDES: v",
        "w 1-1",
        "y 1-1; PROVIDES: x w",
    ]);
    let question = Question { requests: asking(&["a"]), ..Question::default() };
    let solution = solve(&pool, &PacmanRules, &question).unwrap();
    let found: Vec<String> = choices(&pool, &solution)
        .iter()
        .map(|one| format!("{} by {}: {} of {}", one.name, pool.label(one.by), pool.label(one.taken), one.others.len()))
        .collect();
    assert_eq!(found, ["v by a 1-1: t 1-1 of 1"]);
}

/// Made-up packages: what each depends on, conflicts with and provides, by number.
type Imagined = (Vec<usize>, Vec<usize>, Option<usize>);

fn universe() -> impl Strategy<Value = (Vec<Imagined>, Vec<usize>)> {
    (2..8_usize).prop_flat_map(|count| {
        let name = 0..count + 2;
        let package = (
            proptest::collection::vec(name.clone(), 0..3),
            proptest::collection::vec(name, 0..2),
            proptest::option::of(count..count + 2),
        );
        (proptest::collection::vec(package, count), proptest::collection::vec(0..count, 1..3))
    })
}

fn imagined(packages: &[Imagined]) -> Pool {
    let names = |numbers: &[usize]| numbers.iter().map(|number| format!("p{number}")).collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = (packages.iter().enumerate())
        .map(|(number, (depends, conflicts, provides))| {
            let provides: Vec<usize> = provides.iter().copied().collect();
            format!(
                "p{number} 1-1; DEPENDS: {}; CONFLICTS: {}; PROVIDES: {}",
                names(depends),
                names(conflicts),
                names(&provides)
            )
        })
        .collect();
    repository(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_solution_is_found_when_there_is_one((packages, requests) in universe()) {
        let pool = imagined(&packages);
        let asked: Vec<String> = requests.iter().map(|number| format!("p{number}")).collect();
        let question = Question { requests: asked.iter().map(Request::any).collect(), ..Question::default() };
        let ids: Vec<PackageId> = pool.ids().collect();
        let answers = |set: &[PackageId]| {
            let has = |name: &String| set.iter().any(|id| pool.name(pool.package(*id).name) == name.as_bytes());
            asked.iter().all(has) && check(&pool, &PacmanRules, set).is_empty()
        };
        let sets = || (0..1_u32 << ids.len()).map(|set| -> Vec<PackageId> {
            ids.iter().enumerate().filter(|(bit, _)| set >> bit & 1 == 1).map(|(_, id)| *id).collect()
        });
        match solve(&pool, &PacmanRules, &question) {
            Ok(solution) => {
                let found: Vec<PackageId> = solution.packages.keys().copied().collect();
                prop_assert!(answers(&found));
                for id in &found {
                    let chain = solution.why(*id).expect("every reason is installed");
                    prop_assert!(matches!(chain.last(), Some((_, Reason::Requested(_)))));
                }
                // Where nothing leaves a choice, no smaller set does.
                if packages.iter().all(|(_, _, provides)| provides.is_none()) {
                    let smaller = sets().find(|set| set.len() < found.len() && answers(set));
                    prop_assert!(smaller.is_none(), "{smaller:?}");
                }
            }
            Err(explanation) => {
                prop_assert!(!sets().any(|set| answers(&set)), "{explanation}");
                for step in &explanation.steps {
                    if let Step::Clash { package, other, .. } = step {
                        let find = |label: &String| ids.iter().copied().find(|id| pool.label(*id) == *label).unwrap();
                        let (package, other) = (find(package), find(other));
                        let clash = pool.relations(package).iter().any(|relation| {
                            relation.kind.is_conflict()
                                && pool.alternatives(relation).iter().any(|one| pool.satisfies(&PacmanRules, other, one))
                        });
                        prop_assert!(clash, "{step}");
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    // Providers are taken by their order, which need not be the fewest.
    #[test]
    fn where_nothing_leaves_a_choice_no_smaller_set_does((mut packages, requests) in universe()) {
        packages.iter_mut().for_each(|(_, _, provides)| *provides = None);
        let pool = imagined(&packages);
        let asked: Vec<String> = requests.iter().map(|number| format!("p{number}")).collect();
        let question = Question { requests: asked.iter().map(Request::any).collect(), ..Question::default() };
        let ids: Vec<PackageId> = pool.ids().collect();
        if let Ok(solution) = solve(&pool, &PacmanRules, &question) {
            let does = |set: &Vec<PackageId>| {
                let has = |name: &String| set.iter().any(|id| pool.name(pool.package(*id).name) == name.as_bytes());
                asked.iter().all(has) && check(&pool, &PacmanRules, set).is_empty()
            };
            let sets = (0..1_u32 << ids.len()).map(|set| -> Vec<PackageId> {
                ids.iter().enumerate().filter(|(bit, _)| set >> bit & 1 == 1).map(|(_, id)| *id).collect()
            });
            let smaller = sets.into_iter().find(|set| set.len() < solution.packages.len() && does(set));
            prop_assert!(smaller.is_none(), "{smaller:?}");
        }
    }
}
