//! The units of the shipped profiles, and what a hostile profile cannot do to one.

use super::*;
use crate::deploy::tests::recipe;

fn options(flavour: Flavour, version: u16, prefix: &str) -> UnitOptions {
    UnitOptions { flavour, systemd: SystemdVersion::new(version).unwrap(), prefix: prefix.into() }
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
