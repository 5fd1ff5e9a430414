use proptest::prelude::*;

use super::*;
use crate::packages::apt::index;
use crate::packages::apt::rules::AptRules;
use crate::packages::model::Comparison;

const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Makes a pool of lines `name version` with further fields after `;`.
fn pool(lines: &[&str]) -> Pool {
    let stanza = |line: &&str| {
        let mut parts = line.split(';').map(str::trim);
        let (name, version) = parts.next().unwrap().split_once(' ').unwrap();
        let fields: String = parts.map(|field| format!("{field}\n")).collect();
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nFilename: {name}.deb\nSize: 1\nSHA256: {DIGEST}\n{fields}\n"
        )
    };
    let text: String = lines.iter().map(stanza).collect();
    index::parse("Packages", text.as_bytes(), "amd64").unwrap()
}

fn asking(names: &[&str]) -> Question {
    let request = |name: &&str| match name.split_once(' ') {
        Some((name, rest)) => {
            let (sign, version) = rest.split_once(' ').unwrap();
            let comparison = match sign {
                "=" => Comparison::Equal,
                ">=" => Comparison::GreaterEqual,
                _ => Comparison::Less,
            };
            Request { name: name.to_owned(), comparison, version: version.to_owned() }
        }
        None => Request::any(*name),
    };
    Question { requests: names.iter().map(request).collect(), ..Question::default() }
}

fn labels(pool: &Pool, question: &Question) -> Vec<String> {
    let solution = solve(pool, &AptRules, question).map_err(|explanation| explanation.to_string()).unwrap();
    let ids: Vec<PackageId> = solution.packages.keys().copied().collect();
    if !question.only {
        assert_eq!(check(pool, &AptRules, &ids), []);
    }
    ids.iter().map(|id| pool.label(*id)).collect()
}

#[track_caller]
fn assert_solved(lines: &[&str], names: &[&str], expected: &[&str]) {
    assert_eq!(labels(&pool(lines), &asking(names)), expected);
}

fn failure(lines: &[&str], question: &Question) -> Vec<String> {
    let explanation = solve(&pool(lines), &AptRules, question).unwrap_err();
    explanation.steps.iter().map(ToString::to_string).collect()
}

#[test]
fn alternatives_are_taken_as_written() {
    assert_solved(&["a 1; Depends: b | c", "b 1", "c 1"], &["a"], &["a 1", "b 1"]);
    assert_solved(&["a 1; Depends: b (>= 2) | c", "b 1", "c 1"], &["a"], &["a 1", "c 1"]);
    assert_solved(&["a 1; Depends: b | c", "b 1", "c 1"], &["a", "c"], &["a 1", "c 1"]);
}

#[test]
fn what_has_no_alternative_comes_first() {
    let lines = ["a 1; Depends: b | c, d", "b 1", "c 1", "d 1; Depends: c"];
    assert_solved(&lines, &["a"], &["a 1", "c 1", "d 1"]);
}

#[test]
fn providers_have_an_order() {
    let lines = [
        "a 1; Depends: mail",
        "exim 1; Provides: mail; Priority: optional",
        "postfix 1; Provides: mail; Priority: standard",
        "citadel 1; Provides: mail",
    ];
    assert_solved(&lines, &["a"], &["a 1", "postfix 1"]);
    assert_solved(&lines[..2], &["a"], &["a 1", "exim 1"]);
    let lines = ["a 1; Depends: mail (>= 2)", "b 1; Provides: mail", "c 1; Provides: mail (= 2)"];
    assert_solved(&lines, &["a"], &["a 1", "c 1"]);
}

#[test]
fn conflicts_lead_to_other_choices() {
    let lines = ["a 1; Depends: b | c, d | e", "b 1", "c 1", "d 1; Conflicts: b", "e 1; Breaks: b"];
    assert_solved(&lines, &["a"], &["a 1", "c 1", "d 1"]);
    // A package that provides what it conflicts with wants to be the only one.
    let lines = ["a 1; Provides: mail; Conflicts: mail", "b 1; Provides: mail; Conflicts: mail"];
    assert_solved(&lines, &["a"], &["a 1"]);
    assert!(solve(&pool(&lines), &AptRules, &asking(&["a", "b"])).is_err());
}

#[test]
fn deep_contradictions_are_gone_around() {
    // Whatever is taken for x1 to x4 is of no matter; what is taken for y is.
    let lines = [
        "a 1; Depends: y | z, x1 | w1, x2 | w2, x3 | w3, x4 | w4, v",
        "x1 1",
        "x2 1",
        "x3 1",
        "x4 1",
        "w1 1",
        "w2 1",
        "w3 1",
        "w4 1",
        "v 1; Depends: p | q",
        "p 1; Conflicts: y",
        "q 1; Conflicts: y",
        "y 1",
        "z 1",
    ];
    assert_solved(&lines, &["a"], &["a 1", "p 1", "v 1", "x1 1", "x2 1", "x3 1", "x4 1", "z 1"]);
}

#[test]
fn recommended_packages_follow_when_asked_for() {
    let pool = pool(&["a 1; Recommends: b, c | d, missing", "b 1; Conflicts: e", "c 1; Depends: e", "d 1", "e 1"]);
    assert_eq!(labels(&pool, &asking(&["a"])), ["a 1"]);
    let question = Question { recommends: true, ..asking(&["a"]) };
    assert_eq!(labels(&pool, &question), ["a 1", "b 1", "d 1"]);
}

#[test]
fn variants_bring_their_packages() {
    let pool = pool(&[
        "a 1; Essential: yes; Priority: required",
        "b 1; Priority: required",
        "c 1; Priority: standard",
        "d 1; Priority: optional",
    ]);
    for (variant, expected) in [
        (Variant::None, &["d 1"][..]),
        (Variant::Essential, &["a 1", "d 1"]),
        (Variant::Minbase, &["a 1", "b 1", "d 1"]),
        (Variant::Standard, &["a 1", "b 1", "c 1", "d 1"]),
    ] {
        assert_eq!(labels(&pool, &Question { variant, ..asking(&["d"]) }), expected);
    }
}

#[test]
fn versions_are_chosen_by_pins_and_requests() {
    let pool = pool(&["a 1", "a 3", "a 2", "b 1; Depends: a (<< 3)"]);
    assert_eq!(labels(&pool, &asking(&["a"])), ["a 3"]);
    assert_eq!(labels(&pool, &asking(&["a = 1"])), ["a 1"]);
    assert_eq!(labels(&pool, &asking(&["a < 3"])), ["a 2"]);
    assert_eq!(labels(&pool, &asking(&["a >= 2"])), ["a 3"]);
    let pin = |priority| Pin {
        package: Some("a".into()),
        target: PinTarget::Version(Comparison::Equal, "2".into()),
        priority,
    };
    assert_eq!(labels(&pool, &Question { pins: vec![pin(900)], ..asking(&["a"]) }), ["a 2"]);
    assert_eq!(labels(&pool, &Question { pins: vec![pin(900)], ..asking(&["b"]) }), ["a 2", "b 1"]);
    assert_eq!(
        labels(&pool, &Question { pins: vec![pin(-1)], ..asking(&["a < 3"]) }),
        ["a 2"],
        "a request is stronger"
    );
    let kept = [("a".to_owned(), "1".to_owned())].into();
    assert_eq!(labels(&pool, &Question { kept, ..asking(&["a"]) }), ["a 1"]);
}

#[test]
fn what_was_there_is_kept() {
    let lines = ["a 1; Depends: b | c", "b 1", "c 1"];
    let kept = [("c".to_owned(), "1".to_owned())].into();
    assert_eq!(labels(&pool(&lines), &Question { kept, ..asking(&["a"]) }), ["a 1", "c 1"]);
}

#[test]
fn only_and_excluded_are_heeded() {
    let lines = ["a 1; Depends: b | c", "b 1", "c 1"];
    assert_eq!(labels(&pool(&lines), &Question { only: true, ..asking(&["a"]) }), ["a 1"]);
    let excluded = ["b".to_owned()].into();
    assert_eq!(labels(&pool(&lines), &Question { excluded, ..asking(&["a"]) }), ["a 1", "c 1"]);
}

#[test]
fn reasons_lead_to_what_was_asked_for() {
    let pool = pool(&["a 1; Depends: b", "b 1; Depends: c | d", "c 1"]);
    let solution = solve(&pool, &AptRules, &asking(&["a"])).unwrap();
    let c = pool.named(pool.find(b"c").unwrap()).next().unwrap();
    let chain: Vec<String> = solution.why(c).unwrap().iter().map(|(id, _)| pool.label(*id)).collect();
    assert_eq!(chain, ["c 1", "b 1", "a 1"]);
    assert_eq!(solution.why(c).unwrap()[2].1, Reason::Requested(0));
}

#[test]
fn explanations_are_chains_to_the_clash() {
    let lines = ["a 1; Depends: b", "b 1; Depends: c (>= 2)", "c 1", "d 1; Conflicts: b", "e 1; Depends: d"];
    assert_eq!(
        failure(&lines, &asking(&["a"])),
        [
            "b 1 depends on c >= 2, but there is only c 1",
            "a 1 depends on b, and none of it can be installed",
            "you ask for a, and none of it can be installed"
        ]
    );
    assert_eq!(failure(&lines, &asking(&["nothing"])), ["you ask for nothing, and no package is or provides that"]);
    assert_eq!(
        failure(&["nginx 1", "noting-else 1"], &asking(&["ngnix"])),
        ["you ask for ngnix, and no package is or provides that: did you mean nginx?"]
    );
    let lines = ["a 1; Depends: b", "b 1", "d 1; Conflicts: b (<< 2)", "e 1; Depends: d", "other 1"];
    assert_eq!(
        failure(&lines, &asking(&["other", "a", "e"])),
        [
            "you ask for a",
            "a 1 depends on b",
            "you ask for e",
            "e 1 depends on d",
            "d 1 conflicts with b < 2, which rules out b 1",
        ]
    );
    let excluded = ["b".to_owned()].into();
    assert_eq!(
        failure(&lines, &Question { excluded, ..asking(&["a"]) })[0],
        "a 1 depends on b, but there is only b 1 (excluded)"
    );
    assert_eq!(failure(&lines, &asking(&["a = 2"])), ["you ask for a = 2, but there is only a 1"]);
}

#[test]
fn the_checker_finds_what_is_wrong() {
    let pool = pool(&["a 1; Depends: b | c; Conflicts: d", "d 1", "c 1", "a 2"]);
    let ids: Vec<PackageId> = pool.ids().collect();
    let named = |name: &str| ids.iter().copied().find(|id| pool.label(*id) == name).unwrap();
    let wrong = |names: &[&str]| {
        let chosen: Vec<PackageId> = names.iter().map(|name| named(name)).collect();
        check(&pool, &AptRules, &chosen).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(wrong(&["a 1", "c 1"]), [""; 0]);
    assert_eq!(wrong(&["a 1"]), ["a 1 depends on b | c, which is not there"]);
    assert_eq!(wrong(&["a 1", "c 1", "d 1"]), ["a 1 conflicts with d, and d 1 is there"]);
    assert_eq!(wrong(&["a 1", "a 2", "c 1"]), ["a 1 and a 2 are there"]);
}

/// A made-up package: groups of alternatives that it depends on, what it conflicts with, what it provides.
type Imagined = (Vec<Vec<usize>>, Vec<usize>, Option<usize>);

/// Made-up packages, by number, and which of them are asked for.
#[derive(Debug, Clone)]
struct Universe {
    packages: Vec<Imagined>,
    requests: Vec<usize>,
}

fn universe() -> impl Strategy<Value = Universe> {
    (2..8_usize).prop_flat_map(|count| {
        // Numbers beyond the packages are names that are only provided, or not even that.
        let name = 0..count + 2;
        let groups = proptest::collection::vec(proptest::collection::vec(name.clone(), 1..4), 0..3);
        let conflicts = proptest::collection::vec(name, 0..2);
        let provides = proptest::option::of(count..count + 2);
        let packages = proptest::collection::vec((groups, conflicts, provides), count);
        let requests = proptest::collection::vec(0..count, 1..3);
        (packages, requests).prop_map(|(packages, requests)| Universe { packages, requests })
    })
}

impl Universe {
    fn pool(&self) -> Pool {
        let lines: Vec<String> = (self.packages.iter().enumerate())
            .map(|(number, (groups, conflicts, provides))| {
                let names = |numbers: &[usize], join: &str| {
                    numbers.iter().map(|number| format!("p{number}")).collect::<Vec<_>>().join(join)
                };
                let groups: Vec<String> = groups.iter().map(|group| names(group, " | ")).collect();
                let provides = provides.map(|number| format!("p{number}")).unwrap_or_default();
                let conflicts = names(conflicts, ", ");
                format!("p{number} 1; Depends: {}; Conflicts: {conflicts}; Provides: {provides}", groups.join(", "))
            })
            .collect();
        pool(&lines.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn question(&self) -> Question {
        let requests = self.requests.iter().map(|number| Request::any(format!("p{number}"))).collect();
        Question { requests, ..Question::default() }
    }
}

/// Tells whether any set of packages does what is asked for, by trying all.
fn is_possible(pool: &Pool, question: &Question) -> bool {
    let ids: Vec<PackageId> = pool.ids().collect();
    (0..1_u32 << ids.len()).any(|set| {
        let chosen: Vec<PackageId> =
            ids.iter().enumerate().filter(|(bit, _)| set >> bit & 1 == 1).map(|(_, id)| *id).collect();
        let has =
            |request: &Request| chosen.iter().any(|id| pool.name(pool.package(*id).name) == request.name.as_bytes());
        question.requests.iter().all(has) && check(pool, &AptRules, &chosen).is_empty()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_solution_is_found_when_there_is_one(universe in universe()) {
        let (pool, question) = (universe.pool(), universe.question());
        match solve(&pool, &AptRules, &question) {
            Ok(solution) => {
                let ids: Vec<PackageId> = solution.packages.keys().copied().collect();
                prop_assert_eq!(check(&pool, &AptRules, &ids), []);
                for request in &question.requests {
                    let has = ids.iter().any(|id| pool.name(pool.package(*id).name) == request.name.as_bytes());
                    prop_assert!(has, "{} is there", request.name);
                }
                // Nothing is there that nothing leads to.
                for id in &ids {
                    let chain = solution.why(*id).expect("every reason is installed");
                    prop_assert!(matches!(chain.last(), Some((_, Reason::Requested(_)))));
                }
            }
            Err(explanation) => {
                prop_assert!(!is_possible(&pool, &question), "{explanation}");
                prop_assert!(!explanation.steps.is_empty());
                for step in &explanation.steps {
                    if let Step::Clash { package, other, .. } = step {
                        let find = |label: &String| pool.ids().find(|id| pool.label(*id) == *label).unwrap();
                        let (package, other) = (find(package), find(other));
                        let clash = pool.relations(package).iter().any(|relation| {
                            relation.kind.is_conflict()
                                && pool.alternatives(relation).iter().any(|one| pool.satisfies(&AptRules, other, one))
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

    // Alternatives are taken as written, which need not be the fewest.
    #[test]
    fn where_nothing_leaves_a_choice_no_smaller_set_does(mut universe in universe()) {
        for (groups, _, provides) in &mut universe.packages {
            groups.iter_mut().for_each(|group| group.truncate(1));
            *provides = None;
        }
        let (pool, question) = (universe.pool(), universe.question());
        if let Ok(solution) = solve(&pool, &AptRules, &question) {
            let found: Vec<PackageId> = solution.packages.keys().copied().collect();
            for set in 0..(1_u32 << found.len()) - 1 {
                let part: Vec<PackageId> =
                    found.iter().enumerate().filter(|(bit, _)| set >> bit & 1 == 1).map(|(_, id)| *id).collect();
                let has = |request: &Request| {
                    part.iter().any(|id| pool.name(pool.package(*id).name) == request.name.as_bytes())
                };
                let does = question.requests.iter().all(has) && check(&pool, &AptRules, &part).is_empty();
                prop_assert!(!does, "{part:?} of {found:?}");
            }
        }
    }
}

#[test]
fn what_is_installed_stays_exactly_what_it_is() {
    let lines = [
        "app 1; Depends: lib; Recommends: extra",
        "base 1; Recommends: unwanted",
        "extra 1",
        "lib 1",
        "lib 2",
        "new 1; Depends: lib (>= 2)",
        "unwanted 1",
    ];
    let installed = BTreeMap::from([("base".to_owned(), "1".to_owned()), ("lib".to_owned(), "1".to_owned())]);
    let question = |names: &[&str]| Question { installed: installed.clone(), recommends: true, ..asking(names) };
    assert_eq!(labels(&pool(&lines), &question(&["app"])), ["app 1", "base 1", "extra 1", "lib 1"]);
    let excluding = Question { excluded: ["lib".to_owned()].into(), ..question(&["app"]) };
    assert_eq!(labels(&pool(&lines), &excluding), ["app 1", "base 1", "extra 1", "lib 1"], "it is there");
    let told = failure(&lines, &question(&["new"])).join("\n");
    assert!(told.contains("new 1 depends on lib >= 2"), "{told}");
}

#[test]
fn explanations_know_what_was_asked_for() {
    let lines = ["app 1; Depends: lib", "lib 2; Conflicts: other", "other 1", "free 1"];
    let explanation = solve(&pool(&lines), &AptRules, &asking(&["free", "other", "app >= 1"])).unwrap_err();
    assert_eq!(explanation.requests(), BTreeSet::from(["app", "other"]));
    let explanation = solve(&pool(&lines), &AptRules, &asking(&["missing"])).unwrap_err();
    assert_eq!(explanation.requests(), BTreeSet::from(["missing"]));
}
