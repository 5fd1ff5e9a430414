//! The keys of archives, as their distributions publish them.

mod alpine;

pub use alpine::{ApkKey, apk_keys};

/// Returns the keys that the package `keyring` holds, armoured (RFC 9580, 6.2); nothing for a package that is not known.
///
/// Those of `debian-archive-keyring` 2025.1 and `ubuntu-keyring` 2023.11.28.1 are part of the program; `docs/distros.md`
/// names their fingerprints.
pub fn archive_keys(keyring: &str) -> Option<&'static str> {
    match keyring {
        "debian-archive-keyring" => Some(include_str!("debian.asc")),
        "ubuntu-keyring" => Some(include_str!("ubuntu.asc")),
        _ => None,
    }
}
