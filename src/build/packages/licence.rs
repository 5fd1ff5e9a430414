//! Licences that copyright files (Machine-readable debian/copyright 1.0, DEP-5) and packages of Alpine and Arch name, and what
//! SPDX calls them.

use std::collections::BTreeSet;

/// What a copyright file that a machine can read begins with.
const FORMATS: [&str; 2] = ["Format:", "Format-Specification:"];

/// Returns the licences that a copyright file names, in its own words, sorted; none when no machine can read it.
pub(super) fn named(text: &str) -> Vec<String> {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    if !FORMATS.iter().any(|format| first.starts_with(format)) {
        return Vec::new();
    }
    let mut names = BTreeSet::new();
    for line in text.lines() {
        let Some((field, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        // A name is short; what is long is the text of a licence in the wrong place.
        if field.eq_ignore_ascii_case("License") && !value.is_empty() && value.len() <= 200 {
            names.insert(value.to_owned());
        }
    }
    names.into_iter().collect()
}

/// Names of DEP-5 that SPDX has others for; a `+` behind a version is `-or-later` to SPDX.
const NAMES: [(&str, &str); 20] = [
    ("Expat", "MIT"),
    ("MIT", "MIT"),
    ("X11", "X11"),
    ("Apache-2.0", "Apache-2.0"),
    ("Apache-2", "Apache-2.0"),
    ("BSD-2-clause", "BSD-2-Clause"),
    ("BSD-3-clause", "BSD-3-Clause"),
    ("BSD-4-clause", "BSD-4-Clause"),
    ("ISC", "ISC"),
    ("Zlib", "Zlib"),
    ("zlib", "Zlib"),
    ("MPL-1.1", "MPL-1.1"),
    ("MPL-2.0", "MPL-2.0"),
    ("CC0", "CC0-1.0"),
    ("CC0-1.0", "CC0-1.0"),
    ("Artistic", "Artistic-1.0"),
    ("Artistic-2.0", "Artistic-2.0"),
    ("PSF-2", "PSF-2.0"),
    ("Unlicense", "Unlicense"),
    ("0BSD", "0BSD"),
];

/// Families of licences that have versions, and the versions that SPDX knows.
const FAMILIES: [(&str, &[&str]); 4] = [
    ("LGPL", &["2.0", "2.1", "3.0"]),
    ("AGPL", &["3.0"]),
    ("GFDL", &["1.1", "1.2", "1.3"]),
    ("GPL", &["1.0", "2.0", "3.0"]),
];

/// Returns the SPDX expression of a licence named as in a copyright file, `GPL-2+ or Expat`, or as SPDX does, as packages of
/// Alpine and Arch have it; nothing where SPDX has no name for a part of it.
pub fn spdx(name: &str) -> Option<String> {
    of_copyright(name).or_else(|| of_spdx(name))
}

/// Returns an expression of SPDX as it is; nothing for one with parts that SPDX does not name.
fn of_spdx(name: &str) -> Option<String> {
    // In lower case these words are those of copyright files, which bind otherwise (SPDX 2.3, annex D.2).
    if name.split_whitespace().any(|word| matches!(word, "and" | "or" | "with")) {
        return None;
    }
    let expression = ::spdx::Expression::parse(name).ok()?;
    let named = expression.requirements().all(|one| one.req.license.id().is_some());
    named.then(|| name.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn of_copyright(name: &str) -> Option<String> {
    let mut words: Vec<String> = Vec::new();
    let mut expected = true;
    for word in name.split_whitespace() {
        match word {
            "or" | "and" if !expected => {
                words.push(word.to_uppercase());
                expected = true;
            }
            word if expected => {
                words.push(identifier(word)?);
                expected = false;
            }
            // An exception, a comma, a bracket: nothing that is certain.
            _ => return None,
        }
    }
    let mixed = words.iter().any(|word| word == "OR") && words.iter().any(|word| word == "AND");
    (!expected && !mixed).then(|| words.join(" "))
}

fn identifier(name: &str) -> Option<String> {
    if let Some((_, identifier)) = NAMES.iter().find(|(own, _)| *own == name) {
        return Some((*identifier).to_owned());
    }
    let (family, versions) =
        FAMILIES.iter().find(|(family, _)| name.strip_prefix(family).is_some_and(|rest| rest.starts_with('-')))?;
    let version = &name[family.len() + 1..];
    let (version, later) = match version.strip_suffix('+') {
        Some(version) => (version, "-or-later"),
        None => (version, "-only"),
    };
    let version = if version.contains('.') { version.to_owned() } else { format!("{version}.0") };
    versions.contains(&version.as_str()).then(|| format!("{family}-{version}{later}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_of_a_copyright_file() {
        let text = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: GPL-2+\n\n\
                    Files: a\nLicense: Expat\n text\n\nLicense: GPL-2+\n long: text\n";
        assert_eq!(named(text), ["Expat", "GPL-2+"]);
        assert!(named("This package was debianized.\nLicense: GPL\n").is_empty());
    }

    #[test]
    fn names_of_spdx() {
        let known = [
            ("GPL-2+", "GPL-2.0-or-later"),
            ("LGPL-2.1", "LGPL-2.1-only"),
            ("GPL-3", "GPL-3.0-only"),
            ("Expat", "MIT"),
            ("GPL-2+ or Artistic", "GPL-2.0-or-later OR Artistic-1.0"),
            ("MIT AND (GPL-2.0-or-later OR BSD-3-Clause)", "MIT AND (GPL-2.0-or-later OR BSD-3-Clause)"),
            ("GPL-3.0-or-later WITH GCC-exception-3.1", "GPL-3.0-or-later WITH GCC-exception-3.1"),
            ("CC-BY-SA-4.0", "CC-BY-SA-4.0"),
        ];
        for (name, expected) in known {
            assert_eq!(spdx(name).as_deref(), Some(expected), "{name}");
        }
        for name in [
            "public-domain",
            "custom",
            "custom:x",
            "LicenseRef-x",
            "MIT BSD",
            "GPL",
            "MIT AND custom",
            "GPL-9",
            "GPL-2+ with OpenSSL exception",
            "",
            "or",
            "MIT or",
            "MIT and ISC or X11",
        ] {
            assert_eq!(spdx(name), None, "{name}");
        }
    }
}
