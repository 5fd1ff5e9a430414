use proptest::prelude::*;

use super::*;
use crate::packages::apk::index::tests::{pool, record};
use crate::packages::apk::world::World;
use crate::packages::model::{Reason, RelationKind, merge};
use crate::packages::solve::{Question, Step, check, solve};

/// Makes a pool of lines `name version` with further fields after `;`.
fn repository(lines: &[&str]) -> Pool {
    let one = |line: &&str| {
        let mut parts = line.split(';').map(str::trim);
        let (name, version) = parts.next().unwrap().split_once(' ').unwrap();
        record(name, version, &parts.collect::<Vec<_>>().join("\n"))
    };
    pool(&lines.iter().map(one).collect::<String>())
}

fn question(asked: &[&str]) -> (Question, World) {
    let world = World::parse(asked.iter().copied()).unwrap();
    let (requests, excluded, pins) = (world.requests.clone(), world.excluded.clone(), world.pins.clone());
    (Question { requests, excluded, pins, ..Question::default() }, world)
}

/// Solves, checks the solution, and writes it down; or writes down why there is none.
fn outcome(pool: &Pool, rules: &ApkRules, asked: &[&str]) -> String {
    match solve(pool, rules, &question(asked).0) {
        Ok(solution) => {
            let ids: Vec<PackageId> = solution.packages.keys().copied().collect();
            assert_eq!(check(pool, rules, &ids), [], "{asked:?}");
            let mut labels: Vec<String> = ids.iter().map(|id| pool.label(*id).replace(' ', "-")).collect();
            labels.sort();
            labels.join(" ")
        }
        Err(explanation) => format!("no: {explanation}"),
    }
}

/// Packages, what is asked for, and what comes of it: packages, or a part of the explanation after `no`.
type Case = (&'static [&'static str], &'static [&'static str], &'static str);

const CASES: &[Case] = &[
    // Names and versions.
    (&["a 1"], &["a"], "a-1"),
    (&["a 1", "b 1"], &["a", "b"], "a-1 b-1"),
    (&["a 1; D:b", "b 1; D:c", "c 1"], &["a"], "a-1 b-1 c-1"),
    (&["a 1; D:b", "b 1; D:a"], &["a"], "a-1 b-1"),
    (&["a 1", "a 2"], &["a"], "a-2"),
    (&["a 2", "a 10"], &["a"], "a-10"),
    (&["a 1.0_rc1", "a 1.0"], &["a"], "a-1.0"),
    (&["a 1", "a 2"], &["a<2"], "a-1"),
    (&["a 1", "a 2"], &["a=1"], "a-1"),
    (&["a 1", "a 2"], &["a>2"], "no: you ask for a > 2"),
    (&["a 1"], &["missing"], "no: you ask for missing, and no package is or provides that"),
    (&["a 1; D:missing"], &["a"], "no: a 1 depends on missing"),
    (&["a 1; D:b<2", "b 1", "b 2"], &["a"], "a-1 b-1"),
    (&["a 1; D:b<2", "b 1", "b 2"], &["b", "a"], "a-1 b-1"),
    (&["a 1; D:b<2", "c 1; D:b>1", "b 1", "b 2"], &["a", "c"], "no: "),
    (&["a 1; D:b=2", "b 1", "b 2", "b 3"], &["a"], "a-1 b-2"),
    (&["a 1; D:b>=2 b<3", "b 1", "b 2", "b 3"], &["a"], "a-1 b-2"),
    (&["a 2; D:missing", "a 1"], &["a"], "a-1"),
    (&["a 2; D:b<1", "a 1", "b 1"], &["a", "b"], "a-1 b-1"),
    // Similar versions.
    (&["a 1.2.3", "a 1.3"], &["a~1.2"], "a-1.2.3"),
    (&["a 1.20"], &["a~1.2"], "no: "),
    (&["a 1.2-r5"], &["a~1.2"], "a-1.2-r5"),
    (&["a 1.2_p3", "a 1.2.1"], &["a~1.2"], "a-1.2.1"),
    (&["a 1; D:py~3.11", "py 3.11.9", "py 3.12.1"], &["a"], "a-1 py-3.11.9"),
    (&["a 1.1", "a 1.2.9", "a 1.3"], &["a<~1.2"], "a-1.2.9"),
    (&["a 1.1", "a 1.2.9", "a 1.3"], &["a>~1.2"], "a-1.3"),
    (&["a 1; D:!b~2", "b 2.1", "b 1"], &["a", "b"], "a-1 b-1"),
    // What has a version is a name as good as the package's own.
    (&["a 1; D:so:x.so.1", "lib 3; p:so:x.so.1=1.2"], &["a"], "a-1 lib-3"),
    (&["a 1; D:so:x.so.1>=1.3", "lib 3; p:so:x.so.1=1.2"], &["a"], "no: "),
    (&["a 1; D:cmd:tool", "t 1; p:cmd:tool=1", "u 1; p:cmd:tool=2"], &["a"], "a-1 u-1"),
    (&["a 1; D:cmd:tool", "t 1; p:cmd:tool=1", "u 1; p:cmd:tool=2"], &["a", "t"], "a-1 t-1"),
    (&["a 1; D:pc:x>=2", "t 1; p:pc:x=1", "u 1; p:pc:x=2"], &["a"], "a-1 u-1"),
    (&["t 1; p:cmd:tool=1", "u 1; p:cmd:tool=2"], &["t", "u"], "no: "),
    (&["old 1", "new 2; p:old=2"], &["old"], "new-2"),
    (&["old 3", "new 2; p:old=2"], &["old"], "old-3"),
    (&["old 1", "new 2; p:old=2"], &["old", "new"], "new-2"),
    (&["a 1; D:old new", "old 1", "new 2; p:old=2"], &["a"], "a-1 new-2"),
    (&["a 1; D:x", "t 1; p:x=1; k:5", "u 1; p:x=1; k:10"], &["a"], "a-1 u-1"),
    (&["a 1; D:x", "t 1; p:x=2; k:5", "u 1; p:x=1; k:10"], &["a"], "a-1 t-1"),
    (&["a 1; D:x", "t 1; p:x=1", "u 1; p:x=1"], &["a"], "a-1 t-1"),
    // What has none is chosen by priority, or by a person.
    (&["a 1; D:v", "t 1; p:v", "u 1; p:v"], &["a"], "no: "),
    (
        &["a 1; D:v", "t 1; p:v", "u 1; p:v"],
        &["a"],
        "no: these packages cannot be installed together:\n  you ask for a\n  a 1 depends on v, and nothing is taken for that by itself: ask for t 1 or u 1",
    ),
    (&["a 1; D:v", "t 1; p:v", "u 1; p:v"], &["a", "u"], "a-1 u-1"),
    (&["a 1; D:v", "t 1; p:v", "u 1; p:v"], &["a", "t", "u"], "a-1 t-1 u-1"),
    (&["a 1; D:v b", "b 1; D:t", "t 1; p:v", "u 1; p:v"], &["a"], "a-1 b-1 t-1"),
    (&["a 1; D:v", "t 1; p:v; k:1", "u 1; p:v"], &["a"], "a-1 t-1"),
    (&["a 1; D:v", "t 1; p:v; k:1", "u 1; p:v; k:2"], &["a"], "a-1 u-1"),
    (&["a 1; D:v", "t 1; p:v; k:1", "u 1; p:v"], &["a", "u"], "a-1 u-1"),
    (&["a 1; D:v>=1", "t 1; p:v; k:9"], &["a"], "no: "),
    (&["a 1; D:v", "t 1; p:v", "w 1; p:v=1"], &["a"], "a-1 w-1"),
    (&["t 1; p:v", "u 1; p:v"], &["v"], "no: "),
    (&["t 1; p:v; k:3", "u 1; p:v"], &["v"], "t-1"),
    // What must not be there.
    (&["a 1; D:!b", "b 1"], &["a"], "a-1"),
    (
        &["a 1; D:!b", "b 1"],
        &["a", "b"],
        "no: these packages cannot be installed together:\n  you ask for a\n  you ask for b\n  a 1 conflicts with b, which rules out b 1",
    ),
    (&["a 1; D:!b<2", "b 1", "b 2"], &["a", "b"], "a-1 b-2"),
    (&["a 1; D:!b>1", "b 1", "b 2"], &["a", "b"], "a-1 b-1"),
    (&["a 1; D:x !t", "t 1; p:x=2", "u 1; p:x=1"], &["a"], "a-1 u-1"),
    (&["a 1; D:!v", "t 1; p:v"], &["a", "t"], "no: "),
    (&["a 1; D:!v; p:v"], &["a"], "a-1"),
    (&["a 1; D:x", "t 1; p:x=2", "u 1; p:x=1"], &["a", "!t"], "a-1 u-1"),
    (&["a 1; D:b", "b 1"], &["a", "!b"], "no: a 1 depends on b, but there is only b 1 (excluded)"),
    (&["a 1", "a 2"], &["a", "!a>1"], "a-1"),
    // What comes by itself.
    (&["a 1", "d 1", "a-d 1; i:a=1 d"], &["a", "d"], "a-1 a-d-1 d-1"),
    (&["a 1", "d 1", "a-d 1; i:a=1 d"], &["a"], "a-1"),
    (&["a 1", "d 1", "a-d 1; i:a=2 d"], &["a", "d"], "a-1 d-1"),
    (&["a 1; D:b d", "b 1", "d 1", "b-d 1; i:b=1 d; D:e", "e 1"], &["a"], "a-1 b-1 b-d-1 d-1 e-1"),
    (&["a 1", "d 1", "a-d 1; i:a d", "x 1; i:a-d"], &["a", "d"], "a-1 a-d-1 d-1 x-1"),
    (&["a 1", "a-x 1; i:a !n", "n 1"], &["a"], "a-1 a-x-1"),
    (&["a 1", "a-x 1; i:a !n", "n 1"], &["a", "n"], "a-1 n-1"),
    (&["a 1", "a-d 1; i:a; D:missing"], &["a"], "a-1"),
    (&["a 1", "a-d 1; i:a; D:!a"], &["a"], "a-1"),
    (&["a 1", "a-d 1; i:a; D:v", "t 1; p:v"], &["a"], "a-1"),
    (&["a 1", "d 1", "a-d 1; i:a d"], &["a", "d", "!a-d"], "a-1 d-1"),
    (&["a 1", "s 2; p:init=2", "a-s 1; i:a init"], &["a", "s"], "a-1 a-s-1 s-2"),
    (&["a 1.2.3", "a-d 1; i:a~1.2"], &["a"], "a-1.2.3 a-d-1"),
];

#[test]
fn cases_written_from_the_rules() {
    assert!(CASES.len() >= 60, "{}", CASES.len());
    for (packages, asked, expected) in CASES {
        let found = outcome(&repository(packages), &ApkRules::new(), asked);
        let reversed: Vec<&str> = packages.iter().rev().copied().collect();
        let again = outcome(&repository(&reversed), &ApkRules::new(), asked);
        match expected.strip_prefix("no: ") {
            None => {
                assert_eq!(&found, expected, "{packages:?} {asked:?}");
                assert_eq!(&again, expected, "{packages:?} {asked:?}, the other way round");
            }
            Some(part) => {
                assert!(found.starts_with("no: ") && found.contains(part), "{packages:?} {asked:?}: {found}");
                assert!(again.starts_with("no: "), "{packages:?} {asked:?}, the other way round: {again}");
            }
        }
    }
}

/// Solves over repositories of which the second and the third have tags.
fn tagged(pool: &Pool, asked: &[&str]) -> Result<String, String> {
    let tags = [(1, "edge"), (2, "edge"), (3, "own")].map(|(source, name)| Tag { source, name: name.into() });
    let (question, world) = question(asked);
    let wanted = world.tags.iter().map(|(name, tag)| (name.as_str(), tag.as_str()));
    let rules = ApkRules::with_tags(pool, &tags, wanted)?;
    let solution = rules.settled(pool, |rules| solve(pool, rules, &question));
    let solution = solution.map_err(|explanation| explanation.to_string())?;
    let labels = solution.packages.keys().map(|id| pool.label(*id).replace(' ', "-"));
    Ok(labels.collect::<Vec<_>>().join(" "))
}

#[test]
fn what_has_a_tag_is_taken_where_it_is_asked_for() {
    let main = repository(&["a 1; D:b", "b 1", "c 1", "f 1; D:g", "h 1; D:b>=2", "openrc 1"]);
    let edge = repository(&["a 2; D:b>=2 n", "b 2", "c 2", "n 1", "d 5", "g 2", "c-openrc 2; i:c=2 openrc"]);
    let community = repository(&["e 1; D:f", "m 2; p:so:m=2"]);
    let own = repository(&["c 3", "g 3"]);
    let pool = merge(vec![main, edge, community, own]).unwrap();
    for (asked, expected) in [
        (&["a", "c"][..], "a-1 b-1 c-1"),
        (&["c@edge", "a"], "a-1 b-1 c-2"),
        // What it needs may come from there, and comes from elsewhere where that will do.
        (&["a@edge", "c"], "a-2 b-2 c-1 n-1"),
        (&["d@edge"], "d-5"),
        (&["c@edge<2"], "c-1"),
        (&["c@own"], "c-3"),
        // A tag of several repositories.
        (&["m@edge"], "m-2"),
        (&["so:m@edge"], "m-2"),
        // The tag goes through packages of no tag.
        (&["e@edge"], "e-1 f-1 g-2"),
        // What comes by itself beside a package comes from where that does.
        (&["c@edge", "openrc"], "c-2 c-openrc-2 openrc-1"),
        (&["c", "openrc"], "c-1 openrc-1"),
        // What somebody else brings in serves all.
        (&["a@edge", "h"], "a-2 b-2 h-1 n-1"),
    ] {
        assert_eq!(tagged(&pool, asked).as_deref(), Ok(expected), "{asked:?}");
    }
    for asked in [&["d"][..], &["h"], &["f"], &["m"], &["f@own>1"], &["c@edge>2"]] {
        assert!(tagged(&pool, asked).is_err(), "{asked:?}: {:?}", tagged(&pool, asked));
    }
    assert_eq!(tagged(&pool, &["a@testing"]), Err("testing".into()));
    // Without tags the latest of all is taken.
    assert_eq!(outcome(&pool, &ApkRules::new(), &["a", "c"]), "a-2 b-2 c-3 n-1");
}

#[test]
fn a_tag_is_inherited_by_what_is_chosen_only() {
    // `a` could have needed `x`, and does not: `b` cannot have it from there.
    let main = repository(&["b 1; D:x>=2", "t 1; p:v; k:5", "x 1"]);
    let edge = repository(&["a 1; D:v", "x 2; p:v; k:1"]);
    let pool = merge(vec![main, edge]).unwrap();
    assert_eq!(tagged(&pool, &["a@edge"]).as_deref(), Ok("a-1 t-1"));
    // The same when something asks for more: `x` serves `a` then.
    assert_eq!(tagged(&pool, &["a@edge", "b"]).as_deref(), Ok("a-1 b-1 x-2"));
    assert!(tagged(&pool, &["b"]).is_err());
    let pool =
        merge(vec![repository(&["b 1; D:x>=2", "t 1", "x 1"]), repository(&["a 1; D:y", "y 1", "x 2"])]).unwrap();
    assert!(tagged(&pool, &["a@edge", "b"]).is_err());
}

#[test]
fn the_first_repository_is_taken_among_equal_packages() {
    let pool = merge(vec![
        repository(&["a 1"]),
        repository(&["a 1", "b 1; D:v", "t 1; p:v; k:1"]),
        repository(&["s 1; p:v; k:1"]),
    ])
    .unwrap();
    let solution = solve(&pool, &ApkRules::new(), &question(&["a", "b"]).0).unwrap();
    let sources: Vec<_> = solution.packages.keys().map(|id| (pool.label(*id), pool.package(*id).source)).collect();
    assert_eq!(sources, [("a 1".into(), 0), ("b 1".into(), 1), ("t 1".into(), 1)]);
}

#[test]
fn a_kept_package_stays_where_it_can() {
    let pool = repository(&["a 1", "a 2", "b 1; D:x", "t 1; p:x=1", "u 1; p:x=2", "c 1; D:a>1"]);
    let kept = [("a".to_owned(), "1".to_owned()), ("t".to_owned(), "1".to_owned())];
    let solved = |asked: &[&str]| {
        let question = Question { kept: kept.clone().into(), ..question(asked).0 };
        let solution = solve(&pool, &ApkRules::new(), &question).unwrap();
        solution.packages.keys().map(|id| pool.label(*id)).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(solved(&["a", "b"]), "a 1, b 1, t 1");
    assert_eq!(solved(&["a", "c"]), "a 2, c 1");
}

#[test]
fn what_came_by_itself_says_with_what() {
    let pool = repository(&["a 1", "d 1", "a-d 1; i:a=1 d"]);
    let solution = solve(&pool, &ApkRules::new(), &question(&["a", "d"]).0).unwrap();
    let id = pool.named(pool.find(b"a-d").unwrap()).next().unwrap();
    let chain = solution.why(id).unwrap();
    let Reason::Relation { by, relation } = chain[0].1 else { panic!("{chain:?}") };
    assert_eq!((pool.label(by), relation.kind), ("a 1".into(), RelationKind::InstallIf));
    assert_eq!(chain[1].1, Reason::Requested(0));
}

/// A made-up package: what it depends on, what it conflicts with, what it provides with and without a version and a
/// priority, and what it comes with.
#[derive(Debug, Clone)]
struct Imagined {
    depends: Vec<usize>,
    conflicts: Vec<usize>,
    provides: Option<(usize, bool)>,
    priority: bool,
    with: Vec<usize>,
}

fn universe() -> impl Strategy<Value = (Vec<Imagined>, Vec<usize>)> {
    (2..8_usize).prop_flat_map(|count| {
        // Numbers beyond the packages are names that are only provided, or not even that.
        let name = 0..count + 2;
        let package = (
            proptest::collection::vec(name.clone(), 0..3),
            proptest::collection::vec(name.clone(), 0..2),
            proptest::option::of((count..count + 2, any::<bool>())),
            any::<bool>(),
            proptest::collection::vec(name, 0..3),
        )
            .prop_map(|(depends, conflicts, provides, priority, with)| Imagined {
                depends,
                conflicts,
                provides,
                priority,
                with,
            });
        (proptest::collection::vec(package, count), proptest::collection::vec(0..count, 1..3))
    })
}

fn imagined(packages: &[Imagined]) -> Pool {
    repository(&lines(packages).iter().map(String::as_str).collect::<Vec<_>>())
}

fn lines(packages: &[Imagined]) -> Vec<String> {
    (packages.iter().enumerate())
        .map(|(number, package)| {
            let mut depends: Vec<String> = package.depends.iter().map(|name| format!("p{name}")).collect();
            depends.extend(package.conflicts.iter().map(|name| format!("!p{name}")));
            let provides = package
                .provides
                .map(|(name, version)| format!("p{name}{}", if version { "=1" } else { "" }))
                .unwrap_or_default();
            let with: Vec<String> = package.with.iter().map(|name| format!("p{name}")).collect();
            let priority = u8::from(package.priority);
            format!("p{number} 1; D:{}; p:{provides}; k:{priority}; i:{}", depends.join(" "), with.join(" "))
        })
        .collect()
}

/// Every set of packages, as a list.
fn sets(pool: &Pool) -> impl Iterator<Item = Vec<PackageId>> {
    let ids: Vec<PackageId> = pool.ids().collect();
    (0..1_u32 << ids.len())
        .map(move |set| ids.iter().enumerate().filter(|(bit, _)| set >> bit & 1 == 1).map(|(_, id)| *id).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_solution_is_whole_and_an_explanation_true((packages, requests) in universe()) {
        let (pool, rules) = (imagined(&packages), ApkRules::new());
        let asked: Vec<String> = requests.iter().map(|number| format!("p{number}")).collect();
        let (question, _) = question(&asked.iter().map(String::as_str).collect::<Vec<_>>());
        let named = |id: PackageId, name: &str| pool.name(pool.package(id).name) == name.as_bytes();
        let answers = |set: &[PackageId]| asked.iter().all(|name| set.iter().any(|id| named(*id, name)));
        match solve(&pool, &rules, &question) {
            Ok(solution) => {
                let ids: Vec<PackageId> = solution.packages.keys().copied().collect();
                prop_assert_eq!(check(&pool, &rules, &ids), []);
                prop_assert!(answers(&ids));
                for id in &ids {
                    let chain = solution.why(*id).expect("every reason is installed");
                    prop_assert!(matches!(chain.last(), Some((_, Reason::Requested(_)))));
                }
                // Nothing is missing that comes by itself and could be there.
                for id in pool.ids().filter(|id| !ids.contains(id)) {
                    let with: Vec<_> = pool.relations(id).iter().filter(|one| one.kind == RelationKind::InstallIf).collect();
                    let holds = !with.is_empty() && with.iter().all(|relation| {
                        ids.iter().any(|other| pool.alternatives(relation).iter().any(|one| pool.satisfies(&rules, *other, one)))
                    });
                    let together: Vec<PackageId> = ids.iter().copied().chain([id]).collect();
                    prop_assert!(!holds || !check(&pool, &rules, &together).is_empty(), "{} is missing", pool.label(id));
                }
                // Where nothing leaves a choice and nothing comes by itself, no smaller set does.
                let plain = packages.iter().all(|package| package.with.is_empty() && package.provides.is_none());
                if plain {
                    let smaller = sets(&pool).find(|set| set.len() < ids.len() && answers(set) && check(&pool, &rules, set).is_empty());
                    prop_assert!(smaller.is_none(), "{smaller:?}");
                }
            }
            Err(explanation) => {
                let unchosen = explanation.steps.iter().any(|step| matches!(step, Step::Unchosen { .. }));
                let possible = sets(&pool).any(|set| answers(&set) && check(&pool, &rules, &set).is_empty());
                prop_assert!(unchosen || !possible, "{explanation}");
                for step in &explanation.steps {
                    if let Step::Clash { package, other, .. } = step {
                        let find = |label: &String| pool.ids().find(|id| pool.label(*id) == *label).unwrap();
                        let pair = [find(package), find(other)];
                        let violations = check(&pool, &rules, &pair);
                        let clash = violations.iter().any(|one| !one.to_string().contains("which is not there"));
                        prop_assert!(clash, "{step}");
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    // Providers are taken by their order and some packages come by themselves: that need not be the fewest.
    #[test]
    fn where_nothing_leaves_a_choice_no_smaller_set_does((mut packages, requests) in universe()) {
        for package in &mut packages {
            (package.provides, package.with) = (None, Vec::new());
        }
        let pool = imagined(&packages);
        let asked: Vec<String> = requests.iter().map(|number| format!("p{number}")).collect();
        let (question, _) = question(&asked.iter().map(String::as_str).collect::<Vec<_>>());
        if let Ok(solution) = solve(&pool, &ApkRules::new(), &question) {
            let named = |set: &[PackageId], name: &String| set.iter().any(|id| pool.name(pool.package(*id).name) == name.as_bytes());
            let does = |set: &Vec<PackageId>| asked.iter().all(|name| named(set, name)) && check(&pool, &ApkRules::new(), set).is_empty();
            let smaller = sets(&pool).find(|set| set.len() < solution.packages.len() && does(set));
            prop_assert!(smaller.is_none(), "{smaller:?}");
        }
    }

    // The second of two repositories has a tag: with and without it a solution is whole, and nothing comes by the tag unasked.
    #[test]
    fn solutions_with_tags_are_whole((packages, requests) in universe(), split in any::<u8>(), by_tag in any::<bool>()) {
        let lines = lines(&packages);
        let (one, two): (Vec<_>, Vec<_>) =
            lines.iter().map(String::as_str).enumerate().partition(|(number, _)| split >> (number % 8) & 1 == 0);
        let part = |lines: Vec<(usize, &str)>| repository(&lines.into_iter().map(|(_, line)| line).collect::<Vec<_>>());
        let pool = merge(vec![part(one), part(two)]).unwrap();
        let asked: Vec<String> =
            requests.iter().map(|number| format!("p{number}{}", if by_tag { "@edge" } else { "" })).collect();
        let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
        if let Ok(labels) = tagged(&pool, &asked) {
            let find = |label: &str| pool.ids().find(|id| pool.label(*id).replace(' ', "-") == label).unwrap();
            let ids: Vec<PackageId> = labels.split(' ').map(find).collect();
            prop_assert_eq!(check(&pool, &ApkRules::new(), &ids), []);
            prop_assert!(by_tag || ids.iter().all(|id| pool.package(*id).source == 0), "{labels}");
        }
    }
}
