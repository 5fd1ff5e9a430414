use super::*;

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const DATE: i64 = 1_757_146_141;

fn text(more: &str) -> String {
    format!(
        "Origin: Debian\nSuite: stable\nCodename: trixie\nVersion: 13.1\nDate: Sat, 06 Sep 2025 08:09:01 UTC\n\
         Acquire-By-Hash: yes\nArchitectures: all amd64 arm64\nComponents: main updates/contrib\n{more}SHA256:\n \
         {EMPTY} 12 main/binary-amd64/Packages\n {EMPTY} 5 main/binary-amd64/Packages.gz\n {EMPTY} 4 \
         main/binary-amd64/Packages.xz\n {EMPTY} 3 main/binary-all/Packages.xz\n {EMPTY} 3 contrib/binary-amd64/Packages.gz\n"
    )
}

fn release(more: &str) -> Release {
    Release::parse("Release", &text(more)).unwrap()
}

fn expected(suite: &str) -> Expected<'_> {
    Expected { suite: Some(suite), now: DATE + 100, expired: false, locked: None }
}

#[test]
fn indexes_are_found_in_the_form_that_costs_least() {
    let indexes = release("").indexes("main", "amd64").unwrap();
    let paths: Vec<_> = indexes.iter().map(|index| (index.path.as_str(), index.size)).collect();
    assert_eq!(paths, [("main/binary-amd64/Packages.xz", 4), ("main/binary-all/Packages.xz", 3)]);
    assert_eq!(indexes[0].by_hash, Some(format!("main/binary-amd64/by-hash/SHA256/{EMPTY}")));
    let included = release("No-Support-for-Architecture-all: Packages\n").indexes("main", "amd64").unwrap();
    assert_eq!(included.len(), 1);
    // The security archive has another name for its components than for their folders.
    assert_eq!(release("").indexes("contrib", "amd64").unwrap()[0].path, "contrib/binary-amd64/Packages.gz");
}

#[test]
fn what_is_not_there_is_told() {
    let error = release("").indexes("universe", "amd64").unwrap_err().to_string();
    assert_eq!(error, "`Release` has no component `universe` for amd64: it has main, updates/contrib");
    assert!(release("").indexes("main", "riscv64").is_err());
}

#[test]
fn a_release_is_the_one_expected() {
    assert!(release("").check(&expected("trixie")).is_ok());
    assert!(release("").check(&expected("stable")).is_ok());
    assert!(release("").check(&expected("trixie/updates")).is_ok());
    let error = release("").check(&expected("bookworm")).unwrap_err();
    assert!(matches!(error, ReleaseError::Suite { .. }), "{error}");
    assert!(release("").check(&Expected { suite: None, ..expected("") }).is_ok(), "flat repositories have no suite");
}

#[test]
fn a_release_has_its_time() {
    let until = release("Valid-Until: Sat, 13 Sep 2025 08:09:01 UTC\n");
    assert!(until.check(&expected("trixie")).is_ok());
    let late = Expected { now: DATE + 8 * 86_400, ..expected("trixie") };
    assert!(matches!(until.check(&late), Err(ReleaseError::Expired { .. })));
    assert!(until.check(&Expected { expired: true, ..late }).is_ok(), "a snapshot");
    assert!(release("").check(&late).is_ok());
    let early = Expected { now: DATE - 11, ..expected("trixie") };
    assert!(matches!(release("").check(&early), Err(ReleaseError::Future { .. })));
    let locked = |date| release("").check(&Expected { locked: Some(date), ..expected("trixie") });
    assert!(locked(DATE).is_ok() && locked(DATE - 1).is_ok());
    assert!(matches!(locked(DATE + 1), Err(ReleaseError::Rollback { .. })));
}

#[test]
fn mistakes_are_told() {
    let fault = |text: &str| Release::parse("Release", text).unwrap_err().to_string();
    assert!(fault("Origin: x\n").contains("no valid `Date`"));
    assert!(fault(&text("Valid-Until: tomorrow\n")).contains("no valid `Valid-Until`"));
    assert!(fault("Date: 6 Sep 2025 08:09:01 UTC\nMD5Sum:\n a 1 b\n").contains("no valid `SHA256`"));
    assert!(fault(&text("").replace("main/binary-all", "../binary-all")).contains("leaves the repository"));
    assert!(
        fault(&text("").replace(" 12 main/binary-amd64/Packages", " x main/binary-amd64/Packages")).contains("length")
    );
    assert!(
        fault(&text("").replace(" 5 main/binary-amd64/Packages.gz", " 6 main/binary-amd64/Packages")).contains("twice")
    );
    assert!(fault(&format!("{}\nOrigin: y\n", text(""))).contains("second stanza"));
}
