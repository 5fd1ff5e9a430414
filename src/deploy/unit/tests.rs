//! The units of the shipped profiles, and what a hostile profile cannot do to one.

use super::*;
use crate::deploy::tests::recipe;

fn options(flavour: Flavour, version: u16, prefix: &str) -> UnitOptions {
    UnitOptions { flavour, systemd: SystemdVersion(version), prefix: prefix.into(), start: true }
}

/// Writes files one after another, as people read them.
fn listing(files: &[UnitFile]) -> String {
    let text = |file: &UnitFile| match &file.body {
        UnitBody::Text(text) => format!("==> {} {:04o}\n{text}", file.path, file.mode),
        UnitBody::Link(target) => format!("==> {} -> {target}\n", file.path),
    };
    files.iter().map(text).collect::<Vec<_>>().join("\n")
}

#[test]
fn shipped_profiles() {
    for (profile, distro) in
        [("default", "debian"), ("discourse", "debian"), ("postgresql", "debian"), ("redis", "debian")]
    {
        for (flavour, name, version) in [(Flavour::Sysext, "sysext", 257), (Flavour::Portable, "portable", 252)] {
            let files = units(&recipe(profile, distro), &options(flavour, version, profile)).unwrap();
            insta::assert_snapshot!(format!("{profile}-{name}"), listing(&files));
        }
    }
}

#[test]
fn a_portable_service_can_open_an_image_with_verity() {
    let has_namespace = |flavour| {
        let files = units(&recipe("redis", "debian"), &options(flavour, 257, "redis")).unwrap();
        listing(&files).contains("PrivateIPC=")
    };
    assert!(has_namespace(Flavour::Sysext) && !has_namespace(Flavour::Portable));
}
