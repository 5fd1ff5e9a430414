//! Where packages come from, as meant.

use std::path::PathBuf;

use serde::Serialize;
use url::Url;

use super::names;
use super::resolver::Resolver;
use crate::digest::Digest;
use crate::spec::{Conditional, Family, FolderEntryKind, Import, Located, Name, Place, Problem, SourceTable};

/// A repository of packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageSource {
    /// Its name.
    pub name: String,
    /// What is taken of it.
    pub content: SourceContent,
    /// Its addresses, the first is asked first; every one ends with `/`.
    pub mirrors: Vec<Url>,
    /// Whether the profile says so: otherwise the user and the machine may know better ones.
    pub fixed: bool,
    /// Addresses of it as it was at a moment, still with `{{ snapshot }}`.
    pub snapshot: Option<String>,
    /// Who has to vouch for it.
    pub keys: Keys,
    /// How much its versions are preferred to others, as in apt_preferences(5).
    pub priority: Option<i32>,
    /// What somebody has to ask for to get its packages, for apk (apk-repositories(5)), without its `@`.
    pub tag: Option<String>,
}

/// What is taken of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceContent {
    /// Some components of some suites.
    Suites {
        /// The suites, in their order.
        suites: Vec<String>,
        /// The components of each.
        components: Vec<String>,
    },
    /// All of it: it has no suites.
    Flat,
    /// A folder of the project.
    Directory {
        /// Where it is.
        #[serde(skip)]
        path: PathBuf,
        /// What is in it: name, digest and length of every file, sorted by name.
        files: Vec<(String, Digest, u64)>,
    },
}

/// Who has to vouch for a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Keys {
    /// The keys of a package of the distribution that are part of the program.
    Archive(String),
    /// The keys in a file; for apk in all files of a folder where it is one.
    File {
        /// As the profile names it.
        name: String,
        /// Where it is.
        #[serde(skip)]
        path: PathBuf,
    },
    /// Nobody.
    None,
}

/// What only repositories have: says nothing of a folder of packages.
const OF_REPOSITORIES: &str = "a folder of packages is part of the project: it has no mirrors, suites or signatures";

impl Resolver<'_> {
    /// Resolves the repositories of the distribution and those of the profile, sorted by name within each.
    pub(super) fn package_sources(&mut self) -> Vec<PackageSource> {
        let own = self.distro.sources.clone();
        let library = self.library;
        let mut sources = Vec::new();
        for (name, table) in &own {
            if self.holds(table.condition()) {
                sources.extend(self.package_source(name, table, true));
            }
        }
        for (name, table) in &library.profile.source {
            if !self.holds(table.condition()) {
                continue;
            }
            if own.contains_key(name.as_str()) {
                let distro = self.distro.name.clone();
                self.problems.push(
                    Problem::at(&name.place, format!("`{}` is a source of the distro `{distro}`", **name))
                        .rule("sources have names of their own")
                        .help(format!("to change that one, write `[distro.{distro}.source.{}]`", **name)),
                );
                continue;
            }
            sources.extend(self.package_source(name, table, false));
        }
        sources
    }

    fn package_source(&mut self, name: &Located<Name>, table: &SourceTable, own: bool) -> Option<PackageSource> {
        let before = self.problems.len();
        let content = self.taken_of_source(name, table)?;
        let snapshot = self.read(table.snapshot.as_ref(), moment);
        let mirrors = self.source_mirrors(name, table, own, snapshot.as_deref());
        let keys = self.source_keys(name, table, own);
        let priority = self.number(table.priority.as_ref(), -32_768..=32_767).map(|priority| priority as i32);
        let tag = self.source_tag(table);
        if self.problems.len() > before {
            return None;
        }
        // The addresses of a description are the last resort; those of a snapshot and of the profile are meant.
        let fixed = !own || snapshot.is_some() || self.distro.moved_sources.contains(name.as_str());
        Some(PackageSource { name: name.to_string(), content, mirrors, fixed, snapshot, keys: keys?, priority, tag })
    }

    /// Reads the tag of a source, which only apk knows.
    fn source_tag(&mut self, table: &SourceTable) -> Option<String> {
        let written = table.tag.as_ref()?;
        if self.distro.family != Family::Apk {
            let distro = &self.distro.name;
            self.problems.push(
                Problem::at(&written.place, format!("a source of the distro `{distro}` cannot have a tag"))
                    .rule("tags are known to apk only, the package manager of Alpine")
                    .help("`priority` says which source is preferred; `only = [\"alpine\"]` makes it one of Alpine"),
            );
            return None;
        }
        self.read(Some(written), names::tag)
    }

    /// Returns the tags of all sources, sorted; those that cannot be read are reported where they are resolved.
    pub(super) fn source_tags(&mut self) -> Vec<String> {
        let own = self.distro.sources.clone();
        let library = self.library;
        let mut tags = Vec::new();
        for table in own.values().chain(library.profile.source.values()) {
            if let Some(written) = table.tag.as_ref()
                && self.holds(table.condition())
            {
                let mut part = self.part();
                tags.extend(part.read(Some(written), names::tag));
                self.used.extend(part.used);
            }
        }
        tags.sort();
        tags.dedup();
        tags
    }

    fn taken_of_source(&mut self, name: &Located<Name>, table: &SourceTable) -> Option<SourceContent> {
        let flat = table.flat.as_ref().filter(|flat| flat.value);
        let places = [
            table.suites.as_ref().and_then(|list| list.first()).map(|first| ("suites", &first.place)),
            flat.map(|flat| ("flat", &flat.place)),
            table.directory.as_ref().map(|directory| ("directory", &directory.place)),
        ];
        let kinds: Vec<(&str, &Place)> = places.into_iter().flatten().collect();
        let rule = "a source has `suites`, or is `flat = true`, or is a `directory` of the project";
        match kinds.as_slice() {
            [] => {
                let message = format!("what is taken of the source `{}`?", **name);
                self.problems.push(Problem::at(&name.place, message).rule(rule));
                None
            }
            [_] => {
                let whole = table.suites.is_none() || self.distro.family == Family::Pacman;
                if let Some(component) = table.components.iter().flatten().next().filter(|_| whole) {
                    self.problems.push(Problem::at(&component.place, "`components` says nothing here").rule(
                        match table.suites {
                            Some(_) => "a suite of pacman is one repository, without parts",
                            None => "components are parts of suites",
                        },
                    ));
                }
                match (&table.directory, flat) {
                    (Some(directory), _) => self.source_directory(table, directory),
                    (None, Some(_)) => Some(SourceContent::Flat),
                    (None, None) => {
                        let suites = self.words(table.suites.as_deref().unwrap_or_default());
                        let components = match table.components.as_deref() {
                            _ if self.distro.family == Family::Pacman => Vec::new(),
                            Some(components) => self.words(components),
                            None => vec!["main".into()],
                        };
                        Some(SourceContent::Suites { suites, components })
                    }
                }
            }
            [(one, place), (other, other_place), ..] => {
                self.problems.push(
                    Problem::at(place, format!("`{one}` and `{other}` say two things"))
                        .related(other_place, "the other one")
                        .rule(rule),
                );
                None
            }
        }
    }

    /// Renders names of suites or components; one that renders to nothing is left out.
    fn words(&mut self, texts: &[Located<String>]) -> Vec<String> {
        let read = |text: &str| match text.is_empty() {
            true => Ok(String::new()),
            false => names::part_of_repository(text),
        };
        let words: Vec<String> = texts.iter().filter_map(|text| self.read(Some(text), read)).collect();
        words.into_iter().filter(|word| !word.is_empty()).collect()
    }

    fn source_directory(&mut self, table: &SourceTable, directory: &Located<String>) -> Option<SourceContent> {
        let first = |list: &Option<Vec<Located<String>>>| Some(list.as_ref()?.first()?.place.clone());
        let place = |text: &Option<Located<String>>| text.as_ref().map(|text| text.place.clone());
        let pointless = [
            ("mirrors", first(&table.mirrors)),
            ("snapshot_mirrors", first(&table.snapshot_mirrors)),
            ("snapshot", place(&table.snapshot)),
            ("signed_by", place(&table.signed_by)),
            ("trusted", table.trusted.as_ref().map(|trusted| trusted.place.clone())),
        ];
        for (key, place) in pointless.into_iter().filter_map(|(key, place)| Some((key, place?))) {
            self.problems.push(Problem::at(&place, format!("`{key}` says nothing here")).rule(OF_REPOSITORIES));
        }
        let rendered = self.render(directory)?;
        let found = self.project().import(&self.project().folder(), &rendered);
        let Some(Import { path, .. }) = self.found(found, directory)? else {
            self.problems.push(
                Problem::at(&directory.place, format!("`{rendered}` does not exist"))
                    .rule("`directory` is a folder of packages, relative to the project"),
            );
            return None;
        };
        let walked = self.project().walk(&self.project().folder(), &rendered);
        let mut files = Vec::new();
        for entry in self.found(walked, directory)? {
            let (Ok(name), FolderEntryKind::File(file)) = (String::from_utf8(entry.path), entry.kind) else { continue };
            let is_package = match self.distro.family {
                Family::Apt => name.ends_with(".deb"),
                Family::Apk => name.ends_with(".apk"),
                Family::Pacman => name.contains(".pkg.tar.") && !name.ends_with(".sig"),
            };
            if name.contains('/') || !is_package {
                continue;
            }
            let content = self.project().content(&file).map_err(crate::spec::SpecError::File);
            let content = self.found(content, directory)?;
            files.push((name, content.digest, content.length));
        }
        Some(SourceContent::Directory { path, files })
    }

    /// Finds the addresses of a source.
    fn source_mirrors(
        &mut self,
        name: &Located<Name>,
        table: &SourceTable,
        own: bool,
        snapshot: Option<&str>,
    ) -> Vec<Url> {
        if table.directory.is_some() {
            return Vec::new();
        }
        let mut part = self.part();
        let written = match (snapshot, &table.snapshot) {
            (Some(moment), _) => {
                part.define("snapshot", moment);
                table.snapshot_mirrors.as_deref()
            }
            (None, _) => table.mirrors.as_deref(),
        };
        let mirrors: Vec<Url> =
            written.unwrap_or_default().iter().filter_map(|text| part.read(Some(text), address)).collect();
        let failed = !part.problems.is_empty();
        self.join(part);
        let described: Vec<Url> = self.distro.mirrors.iter().filter_map(|mirror| address(mirror).ok()).collect();
        match mirrors.is_empty() && !failed {
            true if own && snapshot.is_none() && !described.is_empty() => described,
            true => {
                let key = if snapshot.is_some() { "snapshot_mirrors" } else { "mirrors" };
                let place = table.snapshot.as_ref().filter(|_| snapshot.is_some()).map(|text| &text.place);
                let problem = Problem::at(place.unwrap_or(&name.place), format!("where is the source `{}`?", **name));
                self.problems.push(match snapshot {
                    Some(_) => problem
                        .rule("a snapshot comes from a service that keeps old states of the repository")
                        .help(format!("add `{key} = [\"https://…/{{{{ snapshot }}}}\"]`")),
                    None => problem
                        .rule("a source has at least one address")
                        .help(format!("add `{key} = [\"https://…\"]`, or `directory` for a folder of the project")),
                });
                Vec::new()
            }
            false => mirrors,
        }
    }

    fn source_keys(&mut self, name: &Located<Name>, table: &SourceTable, own: bool) -> Option<Keys> {
        let trusted = table.trusted.as_ref().filter(|trusted| trusted.value);
        match (&table.signed_by, trusted) {
            _ if table.directory.is_some() => Some(Keys::None),
            (Some(file), Some(trusted)) => {
                self.problems.push(
                    Problem::at(&trusted.place, "a source that nobody has to vouch for has no keys")
                        .related(&file.place, "the keys")
                        .help("leave `trusted` out, so that signatures are checked"),
                );
                None
            }
            (Some(file), None) => {
                let rendered = self.render(file)?;
                let found = self.project().import(&self.project().folder(), &rendered);
                let rule = match self.distro.family {
                    Family::Apk => "`signed_by` is a key, or a folder of keys, relative to the project",
                    _ => "`signed_by` is a file of OpenPGP keys, relative to the project",
                };
                let Some(Import { path, .. }) = self.found(found, file)? else {
                    let message = format!("`{rendered}` does not exist");
                    self.problems.push(Problem::at(&file.place, message).rule(rule));
                    return None;
                };
                if self.distro.family != Family::Apk
                    && crate::fs::Stamp::of(&path).is_ok_and(|stamp| stamp.is_directory())
                {
                    let message = format!("`{rendered}` is a folder");
                    self.problems.push(Problem::at(&file.place, message).rule(rule));
                    return None;
                }
                Some(Keys::File { name: rendered, path })
            }
            (None, Some(_)) => Some(Keys::None),
            (None, None) => match self.distro.keyring.clone().filter(|_| own) {
                Some(keyring) => Some(Keys::Archive(keyring)),
                None => {
                    let message = format!("nobody vouches for the source `{}`", **name);
                    self.problems.push(
                        Problem::at(&name.place, message)
                            .rule("the keys of a source are part of the project, and its signatures are checked")
                            .help(
                                "add `signed_by = \"keys/NAME.asc\"`; `trusted = true` takes whatever is there, and is \
                                 told in the lock",
                            ),
                    );
                    None
                }
            },
        }
    }
}

/// Reads a moment as snapshot services have it.
fn moment(text: &str) -> Result<String, String> {
    let digits = |part: &str, count| part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts = text.strip_suffix('Z').and_then(|rest| rest.split_once('T'));
    match parts {
        Some((day, time)) if digits(day, 8) && digits(time, 6) => Ok(text.to_owned()),
        _ => Err(format!("`{}` is no moment: expected one in UTC such as `20260401T000000Z`", text.escape_debug())),
    }
}

/// Reads the address of a repository.
pub fn address(text: &str) -> Result<Url, String> {
    let expected = "expected one such as `https://packages.example.org/debian`";
    let wrong = |what: &str| format!("`{}` {what}: {expected}", text.escape_debug());
    let mut url: Url = text.trim().parse().map_err(|_| wrong("is no address"))?;
    if !matches!(url.scheme(), "http" | "https" | "file") || url.cannot_be_a_base() {
        return Err(wrong("is not an address of `https:`, `http:` or `file:`"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("an address with a user or password is no part of a profile: {expected}"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("has a `?` or `#`"));
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}
