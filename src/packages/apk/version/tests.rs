use super::*;

/// Chains in which every version comes before all that follow it; lines are independent. Made from the rules: numbers by
/// value, fractions by digits, letters, suffixes before and after a release, revisions.
const CHAINS: &[&[&str]] = &[
    &["0", "0.1", "0.9", "0.10", "0.11", "1", "1.0", "1.1", "1.2", "1.10", "2", "10", "100"],
    &[
        "1.0_alpha",
        "1.0_alpha1",
        "1.0_alpha2",
        "1.0_alpha10",
        "1.0_beta",
        "1.0_pre",
        "1.0_pre3",
        "1.0_rc",
        "1.0_rc1",
        "1.0",
    ],
    &["1.0", "1.0_cvs", "1.0_svn", "1.0_git", "1.0_git20240101", "1.0_hg", "1.0_p", "1.0_p1", "1.0_p2", "1.0_p10"],
    &["1.0-r0", "1.0-r1", "1.0-r2", "1.0-r9", "1.0-r10", "1.0_p1-r0", "1.0.1-r0"],
    &["1.0", "1.0-r0", "1.0~abc", "1.0_p1", "1.0a", "1.0.0"],
    &["1.0_rc1-r5", "1.0_rc2-r0", "1.0-r0", "1.0a_rc1", "1.0a-r0", "1.0b"],
    &["1.001", "1.01", "1.010", "1.02", "1.1", "1.2", "1.9", "1.10"],
    &["2023.10.01", "2023.10.02", "2023.10.31", "2023.11.01", "2024.01.01"],
    &["1a", "1b", "1z"],
    &["1.2.3", "1.2.3a", "1.2.3b", "1.2.3.1", "1.2.4"],
    &["5.15.0_alpha_beta", "5.15.0_alpha", "5.15.0_alpha1", "5.15.0_alpha_p1"],
    &["99999999999999999999998", "99999999999999999999999", "100000000000000000000000"],
];

/// Versions that are equal though they are written differently.
const EQUAL: &[(&str, &str)] =
    &[("1", "01"), ("1-r1", "1-r01"), ("1_p1", "1_p01"), ("007", "7"), ("1.0", "1.0"), ("1_rc5", "1_rc05")];

#[test]
fn versions_are_ordered_by_the_rules() {
    let mut pairs = 0;
    for chain in CHAINS {
        for (place, one) in chain.iter().enumerate() {
            for other in &chain[place + 1..] {
                assert_eq!(compare(one.as_bytes(), other.as_bytes()), Ordering::Less, "{one} {other}");
                assert_eq!(compare(other.as_bytes(), one.as_bytes()), Ordering::Greater, "{other} {one}");
                pairs += 1;
            }
        }
    }
    for (one, other) in EQUAL {
        assert_eq!(compare(one.as_bytes(), other.as_bytes()), Ordering::Equal, "{one} {other}");
        pairs += 1;
    }
    assert!(pairs >= 150, "{pairs} pairs");
}

#[test]
fn beginnings_are_whole_parts() {
    for (version, start, expected) in [
        ("1.2", "1.2", true),
        ("1.2.3", "1.2", true),
        ("1.2_p1", "1.2", true),
        ("1.2-r0", "1.2", true),
        ("1.2a", "1.2", true),
        ("1.20", "1.2", false),
        ("1.3", "1.2", false),
        ("1", "1.2", false),
        ("1.2-r0", "1.2-r0", true),
        ("1.2-r01", "1.2-r1", true),
        ("1.2-r1", "1.2-r0", false),
        ("1.02", "1.2", false),
        ("12", "1", false),
    ] {
        assert_eq!(begins_with(version.as_bytes(), start.as_bytes()), expected, "{version} ~ {start}");
    }
}

#[test]
fn what_is_no_version_is_told() {
    for version in ["1", "1.2.3a_rc1_p2~0123abc-r4", "20240101", "1.0_git20240101-r0", "0.0.1_alpha-r0"] {
        assert!(is_valid(version.as_bytes()), "{version}");
    }
    for version in ["", "a", "1.", "1..2", "1_foo", "1-r", "1-1", "1.0ab", "1~xyz", "1:2", "1.0-r1-r2", "1 2", "1.0_P1"]
    {
        assert!(!is_valid(version.as_bytes()), "{version}");
    }
}

proptest::proptest! {
    #[test]
    fn the_order_is_total(versions in proptest::collection::vec("[0-9]{1,2}(\\.[01]{1,2}){0,2}[ab]?(_(rc|p)[0-9]?){0,2}(-r[0-9])?", 3)) {
        let [a, b, c] = [0, 1, 2].map(|place: usize| versions[place].as_bytes());
        assert!(is_valid(a));
        assert_eq!(compare(a, b), compare(b, a).reverse());
        if compare(a, b).is_le() && compare(b, c).is_le() {
            assert!(compare(a, c).is_le(), "{versions:?}");
        }
    }

    #[test]
    fn no_text_is_a_panic(one in "[0-9a.p_~r-]{0,12}", other in "[0-9a.p_~r-]{0,12}") {
        assert_eq!(compare(one.as_bytes(), other.as_bytes()), compare(other.as_bytes(), one.as_bytes()).reverse());
    }
}
