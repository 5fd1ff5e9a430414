//! How packages become part of a tree, as meant.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::names;
use super::recipe::Package;
use super::resolver::Resolver;
use super::sources::{Keys, PackageSource, SourceContent};
use crate::digest::Digest;
use crate::spec::{AnswerTable, Family, Located, PackageVariant, PackagesTable, Problem, Scalar, Scripts};

/// What `[packages]` says, and what holds where it is silent. Which packages there are is in the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageSettings {
    /// What is there before anything is asked for.
    pub variant: PackageVariant,
    /// Whether recommended packages are installed, too.
    pub recommends: bool,
    /// Whether nothing is installed but what is asked for and the variant, whatever that depends on.
    pub only: bool,
    /// The names of packages that must not be installed.
    pub excluded: BTreeSet<String>,
    /// What is done with the scripts of packages.
    pub scripts: Scripts,
    /// Answers to the questions of packages, by package and question: type and value of debconf.
    pub answers: BTreeMap<String, Answer>,
    /// Whether documentation stays; copyright files always do.
    pub documentation: bool,
    /// The languages whose translations stay; all of them when nothing is said.
    pub locales: Option<BTreeSet<String>>,
    /// Which paths are left out, and which of those are not: the last pattern that fits decides, as with `path-exclude` and
    /// `path-include` of dpkg(1).
    pub paths: Vec<PathRule>,
    /// Whether the package manager and shells are left out, and what scanners need stays.
    pub distroless: bool,
}

/// An answer to a question of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The package that asks.
    pub package: String,
    /// The type of the question: `string`, `boolean`, `select`.
    pub kind: String,
    /// The answer.
    pub value: String,
}

/// One decision about paths of packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PathRule {
    /// A pattern of glob(7), in which `*` matches `/` as well.
    pub pattern: String,
    /// Whether what fits is left out.
    pub excluded: bool,
}

impl Default for PackageSettings {
    fn default() -> Self {
        Self {
            variant: PackageVariant::default(),
            recommends: false,
            only: false,
            excluded: BTreeSet::new(),
            scripts: Scripts::default(),
            answers: BTreeMap::new(),
            documentation: false,
            locales: Some(BTreeSet::from(["en".to_owned()])),
            paths: Vec::new(),
            distroless: false,
        }
    }
}

/// The versions of a package that will do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VersionWish {
    /// How a version has to compare with this one.
    pub comparison: VersionComparison,
    /// The version.
    pub version: String,
}

/// How a version has to compare with the one that is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionComparison {
    /// It must be earlier.
    Less,
    /// It must be earlier or equal.
    LessEqual,
    /// It must be equal.
    Equal,
    /// It must be equal or later.
    GreaterEqual,
    /// It must be later.
    Greater,
    /// It must begin with the same parts (`~` of apk).
    Similar,
}

/// What is asked of the packages that outputs carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundled {
    /// The packages, by the distribution's own names, with the versions that will do.
    pub requests: BTreeMap<String, Option<VersionWish>>,
    /// The tags of the sources that some of them should come from, by name; for apk.
    pub tags: BTreeMap<String, String>,
    /// How they are chosen and installed.
    pub settings: PackageSettings,
    /// Where they come from, the first preferred where versions are equal.
    pub sources: Vec<PackageSource>,
}

impl Bundled {
    /// Puts together what is asked for.
    pub(super) fn of(
        packages: &BTreeMap<String, Package>,
        settings: PackageSettings,
        sources: Vec<PackageSource>,
    ) -> Self {
        let mut requests: BTreeMap<String, Option<VersionWish>> = BTreeMap::new();
        let mut tags = BTreeMap::new();
        for package in packages.values() {
            tags.extend(package.tags.clone());
            for name in &package.names {
                let wish = requests.entry(name.clone()).or_default();
                *wish = wish.take().or(package.version.clone());
            }
        }
        Self { requests, tags, settings, sources }
    }

    /// Returns the digest of all that decides which packages are chosen, but not where they are fetched from.
    pub fn digest(&self) -> Digest {
        #[derive(Serialize)]
        struct Source<'source> {
            name: &'source str,
            content: &'source SourceContent,
            snapshot: &'source Option<String>,
            keys: &'source Keys,
            priority: Option<i32>,
        }
        let sources: Vec<Source<'_>> = self
            .sources
            .iter()
            .map(|source| Source {
                name: &source.name,
                content: &source.content,
                snapshot: &source.snapshot,
                keys: &source.keys,
                priority: source.priority,
            })
            .collect();
        let PackageSettings { variant, recommends, only, excluded, .. } = &self.settings;
        let asked = (&self.requests, variant, recommends, excluded, sources);
        let mut bytes = serde_json::to_vec(&asked).expect("what is asked for has only maps, lists and texts");
        // Locks from before it could be asked for are as good as ever.
        bytes.extend_from_slice(if *only { b"only" } else { b"" });
        let of_sources = self.sources.iter().filter_map(|source| Some((&source.name, source.tag.as_ref()?)));
        let of_sources: Vec<_> = of_sources.collect();
        if !(self.tags.is_empty() && of_sources.is_empty()) {
            let tags = (&self.tags, of_sources);
            bytes.extend(serde_json::to_vec(&tags).expect("tags are texts"));
        }
        Digest::of(bytes)
    }
}

/// The types of questions (debconf-devel(7)).
const QUESTIONS: [&str; 7] = ["boolean", "multiselect", "note", "password", "select", "string", "text"];

impl Resolver<'_> {
    /// Resolves `[packages]`.
    pub(super) fn package_settings(&mut self, table: &PackagesTable) -> PackageSettings {
        let default = PackageSettings::default();
        let is = |written: &Option<Located<bool>>, default: bool| written.as_ref().map_or(default, |value| value.value);
        let family = self.distro.family;
        let excluded = table.exclude.as_deref().unwrap_or_default();
        let excluded =
            excluded.iter().filter_map(|name| self.read(Some(name), |text| names::package(family, text))).collect();
        let mut paths = Vec::new();
        for (patterns, excluded) in [(&table.exclude_paths, true), (&table.include_paths, false)] {
            for pattern in patterns.iter().flatten() {
                let pattern = self.read(Some(pattern), path_pattern);
                paths.extend(pattern.map(|pattern| PathRule { pattern, excluded }));
            }
        }
        let mut answers = BTreeMap::new();
        for (question, answer) in &table.answers {
            let answer = self.answer(question, answer);
            answers.extend(answer.map(|answer| (question.value.clone(), answer)));
        }
        PackageSettings {
            variant: table.variant.as_ref().map_or(default.variant, |variant| variant.value),
            recommends: is(&table.recommends, default.recommends),
            only: is(&table.only, default.only),
            excluded,
            scripts: table.scripts.as_ref().map_or(default.scripts, |scripts| scripts.value),
            answers,
            documentation: is(&table.documentation, default.documentation),
            locales: self.locales(table).unwrap_or(default.locales),
            paths,
            distroless: is(&table.distroless, default.distroless),
        }
    }

    fn locales(&mut self, table: &PackagesTable) -> Option<Option<BTreeSet<String>>> {
        let written = table.locales.as_ref()?;
        if let [all] = written.as_slice()
            && all.value == "*"
        {
            return Some(None);
        }
        Some(Some(written.iter().filter_map(|text| self.read(Some(text), locale)).collect()))
    }

    fn answer(&mut self, question: &Located<String>, table: &AnswerTable) -> Option<Answer> {
        let rule = "questions are called `PACKAGE/QUESTION`, such as `postfix/main_mailer_type`";
        let word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let Some((package, _)) = question.split_once('/').filter(|(package, name)| word(package) && word(name)) else {
            let message = format!("`{}` is no question of a package", question.escape_debug());
            self.problems.push(Problem::at(&question.place, message).rule(rule));
            return None;
        };
        let family = self.distro.family;
        let asks = match &table.package {
            Some(written) => self.read(Some(written), |text| names::package(family, text))?,
            None => package.to_owned(),
        };
        let Some(written) = &table.value else {
            self.missing(&question.place, &format!("the answer to `{}`", **question), "value");
            return None;
        };
        let (usual, value) = match &written.value {
            Scalar::Boolean(value) => ("boolean", value.to_string()),
            Scalar::Integer(value) => ("string", value.to_string()),
            Scalar::List(values) => ("multiselect", values.join(", ")),
            Scalar::Text(text) => {
                ("string", self.read(Some(&Located::new(text.clone(), written.place.clone())), one_line)?)
            }
        };
        let kind = table.kind.as_ref().map_or(usual, |kind| kind.as_str());
        if let Some(written) = table.kind.as_ref().filter(|kind| !QUESTIONS.contains(&kind.as_str())) {
            let problem = Problem::at(&written.place, format!("`{}` is no type of a question", written.escape_debug()));
            self.problems.push(problem.suggest(written, "types", QUESTIONS));
            return None;
        }
        Some(Answer { package: asks, kind: kind.to_owned(), value })
    }

    /// Reads the versions of a package that will do.
    pub(super) fn version_wish(&mut self, written: Option<&Located<String>>) -> Option<VersionWish> {
        let family = self.distro.family;
        self.read(written, |text| version_wish(family, text))
    }
}

/// Reads `>=1.26`.
fn version_wish(family: Family, text: &str) -> Result<VersionWish, String> {
    let signs = [
        (">=", VersionComparison::GreaterEqual),
        ("<=", VersionComparison::LessEqual),
        (">", VersionComparison::Greater),
        ("<", VersionComparison::Less),
        ("=", VersionComparison::Equal),
        ("~", VersionComparison::Similar),
    ];
    // Only apk knows parts of versions.
    let (count, expected) = match family {
        Family::Apk => (signs.len(), "`=`, `<`, `<=`, `>=`, `>` or `~`"),
        Family::Apt | Family::Pacman => (signs.len() - 1, "`=`, `<`, `<=`, `>=` or `>`"),
    };
    let found = signs[..count]
        .iter()
        .find_map(|(sign, comparison)| Some((text.trim().strip_prefix(sign)?.trim(), *comparison)));
    // An epoch is only known to dpkg and pacman; `~` sorts before everything for dpkg, and is a part of hashes for apk.
    let others: &[u8] = if family == Family::Apk { b"._-~" } else { b"._-~+:" };
    let valid = |version: &str| {
        version.bytes().next().is_some_and(|byte| byte.is_ascii_digit())
            && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
    };
    match found {
        Some((version, comparison)) if valid(version) => Ok(VersionWish { comparison, version: version.to_owned() }),
        _ => Err(format!(
            "`{}` is no wish for a version: expected {expected} and one version, such as `>=1.26`",
            text.escape_debug()
        )),
    }
}

fn path_pattern(text: &str) -> Result<String, String> {
    if (text.starts_with('/') || text.starts_with('*')) && !text.contains(['\n', '\0']) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "`{}` fits no path: expected a pattern that begins with `/`, such as `/usr/share/info/*`",
        text.escape_debug()
    ))
}

fn locale(text: &str) -> Result<String, String> {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_@.-".contains(&byte);
    if text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase()) && text.bytes().all(inner) {
        return Ok(text.to_owned());
    }
    Err(format!("`{}` is no language: expected one such as `de` or `pt_BR`, or only `*` for all", text.escape_debug()))
}

fn one_line(text: &str) -> Result<String, String> {
    if text.contains('\n') {
        return Err("the answer has several lines: expected a text of one line".into());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_for_versions() {
        let wish = |comparison, version: &str| Ok(VersionWish { comparison, version: version.into() });
        assert_eq!(version_wish(Family::Apt, ">=1.26"), wish(VersionComparison::GreaterEqual, "1.26"));
        assert_eq!(version_wish(Family::Apt, "= 1:2.3-4+deb13u1"), wish(VersionComparison::Equal, "1:2.3-4+deb13u1"));
        assert_eq!(version_wish(Family::Apk, "<3.0-r1"), wish(VersionComparison::Less, "3.0-r1"));
        for text in ["1.26", "", ">=", ">=x", ">=1 2", "~1.2", ">=1,<2", "=>1", ">=1\n"] {
            let read = version_wish(Family::Apt, text);
            assert_eq!(read.is_err(), text != ">=1\n", "{text}: {read:?}");
        }
        assert!(version_wish(Family::Apk, ">=1:2").is_err());
        assert_eq!(version_wish(Family::Apk, "~8.3"), wish(VersionComparison::Similar, "8.3"));
        assert!(version_wish(Family::Pacman, "~8.3").is_err());
    }

    #[test]
    fn the_digest_is_of_what_decides() {
        let one = Bundled {
            requests: BTreeMap::from([("nginx".to_owned(), None)]),
            tags: BTreeMap::new(),
            settings: PackageSettings::default(),
            sources: Vec::new(),
        };
        let mut other = one.clone();
        other.settings.documentation = true;
        assert_eq!(one.digest(), other.digest(), "what is unpacked does not decide what is chosen");
        other.settings.recommends = true;
        assert_ne!(one.digest(), other.digest());
        other.settings = PackageSettings { only: true, ..PackageSettings::default() };
        assert_ne!(one.digest(), other.digest());
        let tagged = Bundled { tags: BTreeMap::from([("nginx".to_owned(), "edge".to_owned())]), ..one.clone() };
        assert_ne!(one.digest(), tagged.digest());
    }
}
