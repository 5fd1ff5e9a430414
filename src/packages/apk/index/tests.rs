use super::*;
use crate::packages::apk::archive::tests::{gzip, signed};
use crate::packages::apk::key::{Algorithm, tests::public};
use crate::packages::archive::made::tar;
use crate::packages::model::PackageId;
use crate::packages::model::shown;

const IDENTITY: &str = "Q1AAECAwQFBgcICQoLDA0ODxAREhM=";

/// Makes the record of a package.
pub(in crate::packages::apk) fn record(name: &str, version: &str, more: &str) -> String {
    let end = if more.is_empty() { "" } else { "\n" };
    format!("C:{IDENTITY}\nP:{name}\nV:{version}\nA:x86_64\nS:12\nI:34\nT:text\nU:\nL:MIT\n{more}{end}\n")
}

pub(in crate::packages::apk) fn pool(text: &str) -> Pool {
    parse("APKINDEX", text.as_bytes(), "x86_64").unwrap()
}

/// Makes an index that nobody signed.
pub(in crate::packages::apk) fn index(text: &str) -> Vec<u8> {
    gzip(&tar(&[("DESCRIPTION", b'0', 0o644, "", "v3.23 main\n"), ("APKINDEX", b'0', 0o644, "", text)]))
}

fn dump(pool: &Pool) -> Vec<String> {
    let line = |id: PackageId| {
        let (relations, provides) = (shown::relations(pool, id), shown::provides(pool, id));
        let package = pool.package(id);
        let location = pool.location(id).unwrap();
        format!("{} {location} {} [{}] [{}]", pool.label(id), package.size, relations, provides)
    };
    pool.ids().map(line).collect()
}

#[test]
fn packages_come_with_all_they_say() {
    let text = record("b", "2-r1", "o:src\nD:a>=1 !c so:x.so.1~1.2\np:cmd:b=2-r1 virtual\ni:a=1 d !e\nk:7\nz:later")
        + &record("a", "1", "")
        + &record("other", "1", "").replace("x86_64", "armv7")
        + &record("strange", "1", "X:what is this");
    let pool = pool(&text);
    assert_eq!(
        dump(&pool),
        [
            "a 1 x86_64/a-1.apk 12 [] []",
            "b 2-r1 x86_64/b-2-r1.apk 12 [depends on a >= 1; conflicts with c; depends on so:x.so.1 ~ 1.2; is installed with \
             a = 1; is installed with d; is not installed with e] [cmd:b=2-r1; virtual=]"
        ]
    );
    let b = pool.ids().nth(1).unwrap();
    assert_eq!((pool.package(b).provider_priority, pool.package(b).installed_size), (7, 34));
    assert_eq!(
        (Identity::of(&pool, b).unwrap().unwrap().to_string(), pool.digest(b).unwrap()),
        (IDENTITY.to_owned(), None)
    );
}

#[test]
fn an_index_is_believed_when_a_trusted_key_signed_it() {
    let plain = index(&record("a", "1", ""));
    let key = [public()];
    for algorithm in [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512] {
        let index = read("APKINDEX", &signed(algorithm, &plain), Trust::Keys(&key), "x86_64").unwrap();
        assert_eq!((index.pool.len(), index.signer.as_deref()), (1, Some("test.rsa.pub")));
        assert_eq!(index.description, "v3.23 main");
    }
    let refused = |bytes: &[u8], keys: &[Key], part: &str| {
        let error = read("APKINDEX", bytes, Trust::Keys(keys), "x86_64").unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    refused(&plain, &key, "there is none");
    refused(&signed(Algorithm::Sha1, &plain), &[], "the key `test.rsa.pub` is not trusted");
    let other = [signed(Algorithm::Sha1, &plain), Vec::new()].concat();
    let swapped = [&other[..other.len() - plain.len()], &index(&record("a", "2", ""))[..]].concat();
    refused(&swapped, &key, "does not fit");
    refused(&[&other[..], &gzip(b"")[..]].concat(), &key, "does not fit");
    for bytes in [plain.clone(), signed(Algorithm::Sha1, &plain)] {
        assert!(read("APKINDEX", &bytes, Trust::Nobody, "x86_64").unwrap().signer.is_none());
    }
    let error = read("Packages.adb", b"ADBd", Trust::Keys(&key), "x86_64").unwrap_err();
    assert!(matches!(error, IndexError::ThirdFormat { .. }), "{error}");
}

#[test]
fn cut_and_flipped_indexes_are_refused_without_panic() {
    let bytes = signed(Algorithm::Sha256, &index(&record("a", "1", "D:b")));
    let key = [public()];
    for length in 0..bytes.len() {
        assert!(read("APKINDEX", &bytes[..length], Trust::Keys(&key), "x86_64").is_err(), "{length} bytes");
        let _ = read("APKINDEX", &bytes[..length], Trust::Nobody, "x86_64");
    }
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        if let Ok(index) = read("APKINDEX", &changed, Trust::Keys(&key), "x86_64") {
            // What the form of the first member does not count.
            assert_eq!(dump(&index.pool), ["a 1 x86_64/a-1.apk 12 [depends on b] []"], "byte {place}");
        }
        let _ = read("APKINDEX", &changed, Trust::Nobody, "x86_64");
    }
}

#[test]
fn mistakes_are_told_with_their_line() {
    for (text, expected) in [
        (record("../a", "1", ""), "line 2: `../a` is no package"),
        (record("a", "1/2", ""), "line 3: the package `a` has no valid `V`"),
        (record("a", "1", "D:b="), "line 10: the package `a` has no valid `D`"),
        (record("a", "1", "D:b><Q1x"), "`><`"),
        (record("a", "1", "p:b>1"), "expected `NAME` or `NAME=VERSION`"),
        (record("a", "1", "k:many"), "no valid `k`"),
        (record("a", "1", "P:b"), "line 10: the field `P` stands twice"),
        (record("a", "1", "nothing"), "line 10: expected a letter, a colon and a value"),
        (record("a", "1", "").replace("Q1A", "Q1"), "line 1: the package `a` has no valid `C`"),
        (record("a", "1", "").replace("S:12", "S:x"), "line 5: the package `a` has no valid `S`"),
    ] {
        let error = parse("APKINDEX", text.as_bytes(), "x86_64").unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_is_a_panic(text in "([CPVASIDpik]:[a1=<>!@~ Q]{0,6}\n|\n|x){0,12}") {
        let _ = parse("APKINDEX", text.as_bytes(), "x86_64");
    }
}
