//! What repositories say: whatever the bytes, they are read or refused, and versions have one order.

#![no_main]

use std::cmp::Ordering;

use layerforge::packages::apt::compression::Compression;
use layerforge::packages::apt::release::Release;
use layerforge::packages::apt::trust::{Keyring, unverified};
use layerforge::packages::model::Pool;
use layerforge::packages::{apk, apt, pacman};
use libfuzzer_sys::fuzz_target;

/// The keys of Debian's archive.
const KEYS: &[u8] = include_bytes!("../../../src/distro/keys/debian.asc");

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 8 {
        0 => release(bytes),
        1 => apt::index::read("Packages", bytes, Compression::None, "amd64").iter().for_each(look),
        2 => drop(apt::control::single("control", bytes)),
        3 => apk::index::parse("APKINDEX", bytes, "x86_64").iter().for_each(look),
        4 => drop(apk::index::read("APKINDEX.tar.gz", bytes, apk::index::Trust::Nobody, "x86_64")),
        5 => pacman::index::read("core.db", bytes, "x86_64").iter().for_each(look),
        6 => infos(bytes),
        _ => versions(bytes),
    }
});

fn release(bytes: &[u8]) {
    if let Ok(keys) = Keyring::read("keys", KEYS) {
        assert!(keys.verify("InRelease", bytes, 1_780_000_000).is_err(), "nobody has the keys of Debian");
    }
    Keyring::read("keys", bytes).ok();
    let text = unverified("InRelease", bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned());
    if let Ok(release) = Release::parse("Release", &text) {
        release.indexes("main", "amd64").ok();
        release.flat_index().ok();
    }
}

fn infos(bytes: &[u8]) {
    apk::info::Info::parse(bytes).ok();
    pacman::info::Info::parse(bytes).ok();
}

/// Looks at everything that a pool has.
fn look(pool: &Pool) {
    for id in pool.ids() {
        pool.label(id);
        pool.digest(id).ok();
        pool.location(id).ok();
        pool.relations(id).iter().for_each(|relation| drop(pool.relation_label(relation)));
        pool.provides(id).iter().for_each(|provide| drop(pool.shown(provide.version)));
    }
    for name in pool.name_ids() {
        assert_eq!(pool.find(pool.name(name)), Some(name));
    }
}

fn versions(bytes: &[u8]) {
    let mut parts = bytes.split(|byte| *byte == b'\n');
    let [a, b, c] = std::array::from_fn(|_| parts.next().unwrap_or_default());
    for compare in [apt::version::compare, apk::version::compare, pacman::version::compare] {
        assert_eq!(compare(a, a), Ordering::Equal);
        assert_eq!(compare(a, b), compare(b, a).reverse());
    }
    // What is no version has no place among versions.
    let checked: [(fn(&[u8]) -> bool, fn(&[u8], &[u8]) -> Ordering); 2] = [
        (|version| apt::version::fault(version).is_none(), apt::version::compare),
        (apk::version::is_valid, apk::version::compare),
    ];
    for (is_valid, compare) in checked {
        if [a, b, c].into_iter().all(is_valid) && compare(a, b).is_le() && compare(b, c).is_le() {
            assert!(compare(a, c).is_le());
        }
    }
}
