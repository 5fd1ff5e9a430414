//! The signed files in `testdata` were made by gpg 2.2 with `--faked-system-time`, the keys without a passphrase.

use std::path::Path;

use super::*;
use crate::fs;

/// 2026-01-01, a year after the files were signed.
const NOW: i64 = 1_767_225_600;
const DAY: i64 = 24 * 60 * 60;
const TEXT: &str = "Origin: Test\nSuite: stable\n- dashed: 1\n-----not the end\nTrailing: space\nDate: x";

fn file(name: &str) -> Vec<u8> {
    fs::read(&Path::new("src/packages/trust/testdata").join(name)).unwrap()
}

fn keyring() -> Keyring {
    Keyring::read("keyring", &file("keyring.asc")).unwrap()
}

fn verify(name: &str, now: i64) -> Result<Signed, String> {
    keyring().verify("InRelease", &file(&format!("{name}.InRelease")), now).map_err(|error| error.to_string())
}

#[track_caller]
fn assert_refused(name: &str, now: i64, part: &str) {
    let error = verify(name, now).unwrap_err();
    assert!(error.starts_with("no signature of `InRelease` is good: "), "{name}: {error}");
    assert!(error.contains(part), "{name}: {error}");
}

#[test]
fn a_good_signature_gives_the_text_and_its_signer() {
    let signed = verify("good", NOW).unwrap();
    assert_eq!(signed.text, TEXT);
    assert_eq!(signed.signer, keyring().fingerprints()[0]);
    assert!(verify("plain", NOW).is_ok(), "RSA with 2048 bits");
}

#[test]
fn one_good_signature_is_enough_and_unknown_keys_say_nothing() {
    assert_eq!(verify("two", NOW).unwrap(), verify("good", NOW).unwrap());
    assert_refused("stranger", NOW, "is not in the keyring");
}

#[test]
fn keys_that_must_not_be_used_are_refused() {
    assert_refused("expired", NOW, "is expired");
    assert!(verify("expired", 1_561_939_200).is_ok(), "it was good in July 2019");
    assert_refused("revoked", NOW, "is revoked");
    assert_refused("short", NOW, "is too weak");
    assert_refused("good", NOW + 10 * 365 * DAY, "is expired");
}

#[test]
fn weak_hashes_are_refused() {
    assert_refused("sha1", NOW, "weaker than SHA-256");
    assert_refused("sha224", NOW, "weaker than SHA-256");
}

#[test]
fn signatures_have_their_time() {
    assert_refused("future", NOW, "in the future");
    assert_refused("over", NOW, "its time is over");
    assert!(verify("over", 1_735_689_600 + DAY).is_ok());
}

#[test]
fn a_change_anywhere_is_noticed() {
    let good = file("good.InRelease");
    for place in 0..good.len() {
        let mut bytes = good.clone();
        bytes[place] ^= 1;
        // What the form does not count: the names of headers of the armour, space.
        if let Ok(signed) = keyring().verify("InRelease", &bytes, NOW) {
            assert_eq!(signed.text, TEXT, "byte {place}");
        }
    }
    for length in 0..good.len() - 1 {
        assert!(keyring().verify("InRelease", &good[..length], NOW).is_err(), "{length} bytes");
    }
}

#[test]
fn text_outside_of_what_is_signed_is_refused() {
    let good = String::from_utf8(file("good.InRelease")).unwrap();
    let refused = |text: &str| keyring().verify("InRelease", text.as_bytes(), NOW).unwrap_err().to_string();
    assert!(refused(&format!("Origin: Evil\n{good}")).contains("does not begin with"));
    refused(&format!("{good}\nOrigin: Evil\n"));
    refused(&format!("{good}{good}"));
    refused(&good.replace("-----BEGIN PGP SIGNATURE-----", "Origin: Evil\n-----BEGIN PGP SIGNATURE-----"));
}

#[test]
fn a_stripped_signature_is_refused() {
    assert!(keyring().verify("InRelease", TEXT.as_bytes(), NOW).is_err());
    let good = String::from_utf8(file("good.InRelease")).unwrap();
    let (head, _) = good.split_once("-----BEGIN PGP SIGNATURE-----").unwrap();
    assert!(keyring().verify("InRelease", head.as_bytes(), NOW).is_err());
    let empty = format!("{head}-----BEGIN PGP SIGNATURE-----\n\n=twTO\n-----END PGP SIGNATURE-----\n");
    assert!(keyring().verify("InRelease", empty.as_bytes(), NOW).is_err());
}

#[test]
fn signatures_may_stand_beside() {
    let keyring = Keyring::read("good", &file("good.pgp")).unwrap();
    for name in ["detached.gpg", "detached.asc"] {
        let signed = keyring.verify_detached("Release", &file("Release"), &file(name), NOW).unwrap();
        assert_eq!(signed.text.as_bytes(), file("Release"));
        assert!(keyring.verify_detached("Release", b"Origin: Evil\n", &file(name), NOW).is_err());
    }
    assert!(keyring.verify_detached("Release", &file("Release"), b"", NOW).is_err());
    assert!(keyring.verify_detached("Release", &file("Release"), &file("good.pgp"), NOW).is_err());
}

#[test]
fn keyrings_are_keys() {
    for bytes in [&b""[..], b"x", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n", &file("detached.gpg")] {
        assert!(Keyring::read("keyring", bytes).is_err());
    }
}

#[test]
fn the_keys_of_the_archives_are_there() {
    let keys = |name: &str| {
        let file = format!("src/distro/keys/{name}.asc");
        Keyring::read(&file, &fs::read(Path::new(&file)).unwrap()).unwrap().fingerprints()
    };
    assert_eq!(keys("debian").len(), 9);
    assert_eq!(keys("ubuntu").len(), 3);
    let documented = fs::read_to_string(Path::new("docs/distros.md")).unwrap();
    for key in keys("debian").into_iter().chain(keys("ubuntu")) {
        assert!(documented.contains(&key), "docs/distros.md does not name {key}");
    }
}
