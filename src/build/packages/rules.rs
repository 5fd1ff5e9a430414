//! Which paths of packages are left out.
//!
//! Comes in: settings. Goes out: [`Rules`] to ask. Always holds: the last rule that fits decides, as with `path-exclude` and
//! `path-include` of dpkg(1); copyright files stay unless a rule of the profile names them.

use globset::{GlobBuilder, GlobMatcher};

use super::PackagesError;
use crate::resolve::{PackageSettings, PathRule};
use crate::tree::TreePath;

/// What is left out without documentation, and what of it stays.
const DOCUMENTATION: [(&str, bool); 8] = [
    ("/usr/share/doc/*", true),
    ("/usr/share/doc/*/copyright", false),
    ("/usr/share/man/*", true),
    ("/usr/share/info/*", true),
    ("/usr/share/groff/*", true),
    ("/usr/share/gtk-doc/*", true),
    ("/usr/share/lintian/*", true),
    ("/usr/share/linda/*", true),
];

/// Decides about paths.
#[derive(Debug)]
pub(super) struct Rules {
    rules: Vec<(PathRule, GlobMatcher)>,
}

impl Rules {
    pub(super) fn of(settings: &PackageSettings) -> Result<Self, PackagesError> {
        let mut rules: Vec<PathRule> = Vec::new();
        let mut add = |pattern: String, excluded| rules.push(PathRule { pattern, excluded });
        if let Some(locales) = &settings.locales {
            add("/usr/share/locale/*".into(), true);
            add("/usr/share/locale/locale.alias".into(), false);
            // Pages in other languages stand in a directory of the language each.
            add("/usr/share/man/*".into(), true);
            add("/usr/share/man/man[0-9]*".into(), false);
            for language in locales {
                for folder in ["locale", "man"] {
                    for end in ["", ".*", "_*", "@*"] {
                        add(format!("/usr/share/{folder}/{language}{end}/*"), false);
                    }
                }
            }
        }
        if !settings.documentation {
            DOCUMENTATION.iter().for_each(|(pattern, excluded)| add((*pattern).into(), *excluded));
        }
        rules.extend(settings.paths.iter().cloned());
        let matcher = |rule: PathRule| Ok((matcher(&rule.pattern)?, rule)).map(|(matcher, rule)| (rule, matcher));
        Ok(Self { rules: rules.into_iter().map(matcher).collect::<Result<_, PackagesError>>()? })
    }

    /// Tells whether `path`, which is no directory, is left out.
    pub(super) fn exclude(&self, path: &TreePath) -> bool {
        if self.rules.is_empty() {
            return false;
        }
        let path = path.to_string();
        self.rules.iter().rev().find(|(_, matcher)| matcher.is_match(&path)).is_some_and(|(rule, _)| rule.excluded)
    }

    /// Tells whether an empty directory at `path` is left out. Those for manuals stay: scripts put links there.
    pub(super) fn exclude_empty(&self, path: &TreePath) -> bool {
        !path.as_bytes().starts_with(b"usr/share/man") && self.exclude(path)
    }

    /// Returns the rules as dpkg reads them from a file of `/etc/dpkg/dpkg.cfg.d`; nothing when there are none.
    pub(super) fn configuration(&self) -> Option<String> {
        let line = |(rule, _): &(PathRule, GlobMatcher)| {
            format!("path-{}={}\n", if rule.excluded { "exclude" } else { "include" }, rule.pattern)
        };
        let text: String = self.rules.iter().map(line).collect();
        (!text.is_empty()).then(|| format!("# What is left out of packages here.\n{text}"))
    }
}

/// Reads a pattern of glob(7) in which `*` and `?` match a slash as well.
fn matcher(pattern: &str) -> Result<GlobMatcher, PackagesError> {
    let fault = |reason: String| PackagesError::Pattern { pattern: pattern.to_owned(), reason };
    if pattern.contains(['\n', '\0']) {
        return Err(fault("it has more than one line".into()));
    }
    let mut plain = String::new();
    for letter in pattern.chars() {
        match letter {
            // To glob(7) they are letters like any other.
            '{' | '}' => plain.extend(['[', letter, ']']),
            // Two stars are one.
            '*' if plain.ends_with('*') && !plain.ends_with("\\*") => {}
            letter => plain.push(letter),
        }
    }
    let glob = GlobBuilder::new(&plain).literal_separator(false).backslash_escape(true).build();
    Ok(glob.map_err(|error| fault(error.kind().to_string()))?.compile_matcher())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn rules(settings: &PackageSettings) -> Rules {
        Rules::of(settings).unwrap()
    }

    fn everything() -> PackageSettings {
        PackageSettings { documentation: true, locales: None, ..PackageSettings::default() }
    }

    fn left_out(rules: &Rules, paths: &[&str]) -> Vec<String> {
        let paths = paths.iter().map(|path| path.parse::<TreePath>().unwrap());
        paths.filter(|path| rules.exclude(path)).map(|path| path.to_string()).collect()
    }

    #[test]
    fn copyright_stays_without_documentation() {
        let settings = PackageSettings { documentation: false, ..everything() };
        let paths =
            ["/usr/share/doc/a/copyright", "/usr/share/doc/a/NEWS.gz", "/usr/share/man/man1/a.1.gz", "/usr/bin/a"];
        assert_eq!(left_out(&rules(&settings), &paths), ["/usr/share/doc/a/NEWS.gz", "/usr/share/man/man1/a.1.gz"]);
        assert!(left_out(&rules(&everything()), &paths).is_empty());
    }

    #[test]
    fn languages_that_are_named_stay() {
        let paths = [
            "/usr/share/locale/de/LC_MESSAGES/a.mo",
            "/usr/share/locale/de_AT/LC_MESSAGES/a.mo",
            "/usr/share/locale/den/LC_MESSAGES/a.mo",
            "/usr/share/locale/fr/LC_MESSAGES/a.mo",
            "/usr/share/locale/locale.alias",
            "/usr/share/man/man1/a.1.gz",
            "/usr/share/man/fr/man1/a.1.gz",
            "/usr/share/man/de/man1/a.1.gz",
        ];
        let settings = PackageSettings { locales: Some(BTreeSet::from(["de".to_owned()])), ..everything() };
        let expected = [
            "/usr/share/locale/den/LC_MESSAGES/a.mo",
            "/usr/share/locale/fr/LC_MESSAGES/a.mo",
            "/usr/share/man/fr/man1/a.1.gz",
        ];
        assert_eq!(left_out(&rules(&settings), &paths), expected);
    }

    #[test]
    fn the_last_rule_decides_and_stars_match_slashes() {
        let rule = |pattern: &str, excluded| PathRule { pattern: pattern.into(), excluded };
        let paths =
            vec![rule("/opt/**/x", true), rule("/opt/keep/*", false), rule("/opt/{a}", true), rule("/o?t/[b]", true)];
        let rules = rules(&PackageSettings { paths, ..everything() });
        let paths = ["/opt/a/b/x", "/opt/keep/x", "/opt/a", "/opt/{a}", "/opt/b"];
        assert_eq!(left_out(&rules, &paths), ["/opt/a/b/x", "/opt/{a}", "/opt/b"]);
        assert!(rules.configuration().unwrap().contains("\npath-exclude=/opt/**/x\npath-include=/opt/keep/*\n"));
        let bad = PackageSettings { paths: vec![rule("/opt/[", true)], ..everything() };
        assert!(Rules::of(&bad).unwrap_err().to_string().starts_with("the path pattern `/opt/[` is none"));
    }
}
