//! From documents to a recipe: everything a profile leaves open is decided for one distro.
//!
//! Comes in: a [`Library`] (a profile, what it extends, its layers) and a [`Request`]. Goes out: a [`Recipe`]. Always
//! holds: defaults are applied here and nowhere else; every name that is used was declared; every problem of a profile
//! is collected, so that a user sees all of them at once.

mod attributes;
mod calendar;
mod conflicts;
mod contract;
mod entries;
mod fault;
mod filters;
mod library;
mod mount_points;
mod names;
mod oci;
mod output;
mod over;
mod packages;
mod quantity;
mod recipe;
mod resolver;
mod sources;
#[cfg(test)]
mod shipped;
mod template;
#[cfg(test)]
mod tests;
mod variables;
mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rayon::prelude::*;

pub use library::{LayerSource, Library, ProfileSource};
pub use oci::{OciOutput, default_oci};
pub use output::{
    Bundling, ConfextOutput, ImageOutput, Outputs, PortableOutput, ReleaseMatch, RootfsOutput, SysextOutput,
    default_confext, default_portable, default_rootfs, default_sysext,
};
pub use over::{ExtensionPackages, Over, OverPackages};
pub use packages::{Answer, Bundled, PackageSettings, PathRule, VersionComparison, VersionWish};
pub use recipe::{
    Account, Action, Base, Contract, Entry, HandOver, Job, Layer, Limits, Origin, OriginPlace, Package, Probe, Process,
    Profile, Question, Recipe, Requirements, Secret, User, Variable, Writable,
};
pub use sources::{Keys, PackageSource, SourceContent, address};
pub use template::{Rendered, Scope, Templates, Used};
pub use variables::Setting;

use crate::distro::{self, Distro, Wish};
use crate::spec::{
    self, Conditional, DistroTable, Import, Located, Merge, Name, Place, Problem, RuleId, SpecError, Tables, Tier,
    UserTable,
};
use resolver::Resolver;

/// What a profile is resolved for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The distro, as the profile names it.
    pub distro: Located<Name>,
    /// What the profile says about it.
    pub table: DistroTable,
    /// Another release or architecture.
    pub wish: Wish,
    /// Values of variables from outside, the strongest last.
    pub settings: Vec<Setting>,
    /// The time of every file, when the caller says so; the profile's own `epoch`, or 0, otherwise.
    pub epoch: Option<i64>,
}

/// Resolves the profile of `library` for one distro.
///
/// # Errors
/// Every problem that was found, or the file that could not be read.
pub fn resolve(library: &Library, request: &Request) -> Result<Recipe, SpecError> {
    with_resolver(library, request, |resolver, tables, variables| resolver.recipe(request, tables, variables))
}

/// Resolves only what the profile asks of the outside world for one distro. No file of a layer is read.
///
/// # Errors
/// Every problem that was found on the way.
pub fn requirements(library: &Library, request: &Request) -> Result<Requirements, SpecError> {
    with_resolver(library, request, |resolver, tables, _| {
        resolver.head(request, tables);
        let image = resolver.image();
        let base_path = match resolver.base() {
            Some(Base::Path { name, .. }) => Some(name),
            _ => None,
        };
        let packages = resolver.packages(tables);
        let bundled = resolver.bundling().any().then(|| {
            let settings = resolver.package_settings(&resolver.library.profile.packages);
            let sources = resolver.package_sources();
            Bundled::of(&packages, settings, sources)
        });
        let extension = resolver.extension(&packages);
        Requirements { image, base_path, packages, bundled, extension, distro: resolver.distro.clone() }
    })
}

/// Does `work` with a resolver that knows distro and variables, and the tables of all layers together.
fn with_resolver<T>(
    library: &Library,
    request: &Request,
    work: impl FnOnce(&mut Resolver<'_>, &Tables, BTreeMap<String, Variable>) -> T,
) -> Result<T, SpecError> {
    let distro = distro::describe(&library.project, &request.distro, &request.table, &request.wish)?;
    let mut tables = Tables::default();
    for layer in &library.layers {
        tables.merge_with(named_tables(&layer.tables));
    }
    tables.merge_with(named_tables(&library.tables));
    let variables = variables::decide(&tables.variable, &request.settings).map_err(SpecError::Problems)?;
    let mut resolver = Resolver {
        library,
        distro,
        scope: Arc::default(),
        users: BTreeMap::new(),
        groups: BTreeMap::new(),
        problems: Vec::new(),
        used: Used::new(),
    };
    for (name, variable) in &variables {
        resolver.define(name, &variable.value);
    }
    let done = work(&mut resolver, &tables, variables);
    let mut problems: Vec<Problem> = Vec::new();
    for problem in resolver.problems {
        // One mistake may be met on several ways.
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    if problems.is_empty() { Ok(done) } else { Err(SpecError::Problems(problems)) }
}

/// Puts the problems of several distros together, each once. What only some of them have says which.
pub fn each_once(found: &[(String, Vec<Problem>)]) -> Vec<Problem> {
    let mut distros: Vec<(Problem, Vec<&str>)> = Vec::new();
    for (distro, problems) in found {
        for problem in problems {
            match distros.iter_mut().find(|(known, _)| known == problem) {
                Some((_, names)) => names.push(distro),
                None => distros.push((problem.clone(), vec![distro])),
            }
        }
    }
    let told = distros.into_iter().map(|(mut problem, names)| {
        if names.len() < found.len() {
            problem.message = format!("{}, for {}", problem.message, names.join(" and "));
        }
        problem
    });
    told.collect()
}

/// Returns the tables whose names mean the same thing in every layer; entries belong to one layer and stay there.
fn named_tables(tables: &Tables) -> Tables {
    Tables {
        file: BTreeMap::new(),
        link: BTreeMap::new(),
        directory: BTreeMap::new(),
        remove: BTreeMap::new(),
        ..tables.clone()
    }
}

impl Resolver<'_> {
    fn recipe(&mut self, request: &Request, tables: &Tables, variables: BTreeMap<String, Variable>) -> Recipe {
        let (profile, contract) = self.head(request, tables);
        let image = self.image();
        let base = self.base();
        let layers = self.layers(&contract);
        self.check_seeds(tables, &contract, &layers);
        let packages = self.packages(tables);
        let mut triggers = BTreeMap::new();
        for (name, table) in &tables.trigger {
            if self.holds(table.condition()) {
                let what = format!("the trigger `{}`", **name);
                if let Some(command) = self.command(table.command.as_deref(), &name.place, &what) {
                    triggers.insert(name.to_string(), command);
                }
            }
        }
        let outputs = self.outputs(&contract);
        let allowed_rules = self.allowed_rules();
        let package_settings = self.package_settings(&self.library.profile.packages);
        let package_sources = self.package_sources();
        Recipe {
            profile,
            image,
            base,
            variables,
            layers,
            packages,
            package_settings,
            package_sources,
            users: std::mem::take(&mut self.users),
            groups: std::mem::take(&mut self.groups),
            triggers,
            contract,
            outputs,
            allowed_rules,
            used: std::mem::take(&mut self.used),
            distro: self.distro.clone(),
        }
    }

    /// Returns the rules that may be broken; each needs a reason.
    fn allowed_rules(&mut self) -> BTreeMap<RuleId, String> {
        let library = self.library;
        let mut allowed = BTreeMap::new();
        for (id, reason) in &library.profile.lint.allow {
            if reason.value.trim().is_empty() {
                let message = format!("there is no reason why `{}` may be broken", **id);
                let rule = "whoever reads the profile later needs to know whether the reason still holds";
                self.problems.push(Problem::at(&reason.place, message).rule(rule));
            }
            allowed.insert(id.value.clone(), reason.value.trim().to_owned());
        }
        allowed
    }

    /// Resolves what everything else may look up, and makes it known to templates.
    fn head(&mut self, request: &Request, tables: &Tables) -> (Profile, Contract) {
        let distro = self.distro.clone();
        self.define("distro", &distro);
        let profile = self.profile(request);
        self.define("profile", &profile);
        self.accounts(tables);
        let contract = self.contract(tables);
        (profile, contract)
    }

    fn image(&mut self) -> String {
        let image = self.library.profile.from.image.as_ref().unwrap_or(&self.distro.image).clone();
        self.read(Some(&image), names::image).unwrap_or_default()
    }

    /// Finds what is below the layers.
    fn base(&mut self) -> Option<Base> {
        let from = &self.library.profile.from;
        match (&from.image, &from.path) {
            (None, None) => None,
            (Some(_), None) => Some(Base::Image),
            (Some(image), Some(path)) => {
                self.problems.push(
                    Problem::at(&path.place, "the layers stand on one image, and two are named")
                        .related(&image.place, "the other one")
                        .rule("`[from]` has `image` or `path`"),
                );
                None
            }
            (None, Some(path)) => {
                let name = self.render(path)?;
                let found = self.project().import(&self.project().folder(), &name);
                match self.found(found, path) {
                    Some(Some(found)) => Some(Base::Path { path: found.path, name }),
                    Some(None) => {
                        self.problems.push(
                            Problem::at(&path.place, format!("`{name}` does not exist"))
                                .rule("`path` is an image layout or an archive, relative to the project"),
                        );
                        None
                    }
                    None => None,
                }
            }
        }
    }

    /// Returns what was looked for at a path that was written at `at`, or collects why that cannot be said.
    fn found<T>(&mut self, found: Result<T, SpecError>, at: &Located<String>) -> Option<T> {
        match found {
            Ok(found) => Some(found),
            Err(SpecError::Problems(problems)) => {
                self.problems.extend(problems.into_iter().map(|problem| problem.asked_at(&at.place)));
                None
            }
            Err(SpecError::File(error)) => {
                self.problems.push(Problem::at(&at.place, format!("{error}: {}", error.source)));
                None
            }
        }
    }

    fn profile(&mut self, request: &Request) -> Profile {
        let document = &self.library.profile;
        if let Some(epoch) = document.epoch.as_ref().filter(|epoch| epoch.value < 0) {
            self.problems.push(
                Problem::at(&epoch.place, format!("the epoch {} lies before 1970", **epoch))
                    .rule("a number of seconds since 1970-01-01 UTC, from 0"),
            );
        }
        let mut profile = Profile {
            name: self.library.name.clone(),
            version: document.version.as_ref().and_then(|version| self.render(version)).unwrap_or_else(|| "0".into()),
            summary: document.summary.as_ref().and_then(|summary| self.render(summary)).unwrap_or_default(),
            epoch: request.epoch.or(document.epoch.as_ref().map(|epoch| epoch.value)).unwrap_or(0),
            labels: BTreeMap::new(),
        };
        // Labels say what the profile is: its name and version are known to them.
        self.define("profile", &profile);
        for (name, value) in &document.labels {
            if !names::is_label(name) {
                let message = format!("`{}` is no name of a label", name.escape_debug());
                let rule = "letters, digits, `.`, `-`, `_` and `/`, such as `org.opencontainers.image.source`";
                self.problems.push(Problem::at(&name.place, message).rule(rule));
            }
            if let Some(value) = self.render(value) {
                profile.labels.insert(name.value.clone(), value);
            }
        }
        profile
    }

    /// Resolves users and groups and makes them known to templates.
    fn accounts(&mut self, tables: &Tables) {
        let roots = [
            tables.user.get_key_value("root").map(|(name, _)| name),
            tables.group.get_key_value("root").map(|(name, _)| name),
        ];
        for name in roots.into_iter().flatten() {
            self.problems.push(
                Problem::at(&name.place, "`root` cannot be described")
                    .rule("every image has the user and the group `root` with the number 0"),
            );
        }
        for (name, table) in &tables.group {
            let Some(gid) = &table.gid else {
                self.missing(&name.place, &format!("the group `{}`", **name), "gid");
                continue;
            };
            if let Some(gid) = self.number(Some(gid), ID_RANGE) {
                if let Some((other, _)) = self.groups.iter().find(|(_, known)| i64::from(**known) == gid) {
                    let problem = Problem::at(
                        &name.place,
                        format!("the groups `{other}` and `{}` have the same gid {gid}", **name),
                    );
                    self.problems
                        .push(with_other(problem, &tables.group, other).rule("each group has a gid of its own"));
                }
                self.groups.insert(name.to_string(), gid as u32);
            }
        }
        for (name, table) in &tables.user {
            if let Some(user) = self.user(name, table) {
                if let Some((other, _)) = self.users.iter().find(|(_, known)| known.uid == user.uid) {
                    let message = format!("the users `{other}` and `{}` have the same uid {}", **name, user.uid);
                    let problem = with_other(Problem::at(&name.place, message), &tables.user, other);
                    self.problems.push(problem.rule("each user has a uid of its own"));
                }
                if let Some(gid) = self.groups.get(name.as_str()).filter(|gid| **gid != user.gid) {
                    let message =
                        format!("the group `{}` has the gid {gid}, the user of that name {}", **name, user.gid);
                    let problem = with_other(Problem::at(&name.place, message), &tables.group, name);
                    self.problems.push(
                        problem
                            .rule("the group of a user has its name, and the gid of both is one number")
                            .help(format!("write `gid = {gid}` for the user, or give the group another name")),
                    );
                }
                self.users.insert(name.to_string(), user);
            }
        }
        let (users, groups) = (self.users.clone(), self.groups.clone());
        self.define("user", users);
        self.define("group", groups);
    }

    fn user(&mut self, name: &Located<Name>, table: &UserTable) -> Option<User> {
        let Some(uid) = &table.uid else {
            self.missing(&name.place, &format!("the user `{}`", **name), "uid");
            return None;
        };
        let uid = self.number(Some(uid), ID_RANGE)? as u32;
        let gid = self.number(table.gid.as_ref(), ID_RANGE).map_or(uid, |gid| gid as u32);
        for group in table.groups.iter().flatten() {
            if !self.groups.contains_key(group.as_str()) {
                let known: Vec<String> = self.groups.keys().cloned().collect();
                let problem = Problem::at(&group.place, format!("unknown group `{}`", **group))
                    .rule("groups are declared as `[group.NAME]`");
                self.problems.push(problem.suggest(group, "declared groups", known.iter().map(String::as_str)));
            }
        }
        let home = table.home.as_ref().and_then(|home| self.path(home)).map(|home| home.to_string());
        let shell = table.shell.as_ref().and_then(|shell| self.path(shell)).map(|shell| shell.to_string());
        let nologin = self.distro.paths.get("nologin").cloned();
        Some(User {
            uid,
            gid,
            groups: table.groups.iter().flatten().map(ToString::to_string).collect(),
            home: home.unwrap_or_else(|| "/nonexistent".into()),
            shell: shell.or(nologin).unwrap_or_else(|| "/bin/false".into()),
            comment: table.comment.as_ref().and_then(|comment| self.render(comment)).unwrap_or_default(),
        })
    }

    fn packages(&mut self, tables: &Tables) -> BTreeMap<String, Package> {
        let mut packages = BTreeMap::new();
        for (name, table) in &tables.package {
            if !self.holds(table.condition()) {
                continue;
            }
            table.names.keys().for_each(|distro| self.check_distro_name(distro));
            let names = match self.distro.nearest(&table.names) {
                Some(names) => names.clone(),
                None => vec![Located::new(name.to_string(), name.place.clone())],
            };
            let family = self.distro.family;
            let mut tags = BTreeMap::new();
            let mut read = Vec::new();
            for written in &names {
                let Some((name, tag)) = self.read(Some(written), |text| names::asked_for(family, text)) else {
                    continue;
                };
                if let Some(tag) = tag.and_then(|tag| self.known_tag(tag, &written.place)) {
                    tags.insert(name.clone(), tag);
                }
                read.push(name);
            }
            let names = read;
            let version = self.version_wish(table.version.as_ref());
            if let (Some(written), [_, _, ..]) = (&table.version, names.as_slice()) {
                self.problems.push(
                    Problem::at(&written.place, "which of these packages has this version?")
                        .rule("`version` is that of one package, and the distro has several for this name")
                        .help("give the others tables of their own"),
                );
            }
            packages.insert(name.to_string(), Package { names, tags, version, place: name.place.clone() });
        }
        self.check_tags(&packages);
        packages
    }

    /// Returns a tag when a source has it; reports it otherwise.
    fn known_tag(&mut self, tag: String, place: &Place) -> Option<String> {
        let known = self.source_tags();
        if known.contains(&tag) {
            return Some(tag);
        }
        let problem = Problem::at(place, format!("no source has the tag `{tag}`"))
            .rule("a tag is what a source has as its `tag`: `[source.NAME]`")
            .suggest(&tag, "tags of sources", known.iter().map(String::as_str));
        self.problems.push(problem);
        None
    }

    /// Reports packages that are asked for with two tags.
    fn check_tags(&mut self, packages: &BTreeMap<String, Package>) {
        let mut seen: BTreeMap<&str, (&str, &Place)> = BTreeMap::new();
        for package in packages.values() {
            for (name, tag) in &package.tags {
                let (first, place) = *seen.entry(name).or_insert((tag, &package.place));
                if first != tag {
                    self.problems.push(
                        Problem::at(&package.place, format!("`{name}@{tag}` is asked for as `{name}@{first}`, too"))
                            .related(place, "the other one")
                            .rule("a package comes from one source"),
                    );
                }
            }
        }
    }

    /// Resolves the layers; the tables of the profile itself become the last one.
    fn layers(&mut self, contract: &Contract) -> Vec<Layer> {
        let resolve = |source: &LayerSource| {
            let mut part = self.part();
            part.define("layer", BTreeMap::from([("name", source.name.as_str()), ("tier", source.tier.word())]));
            let entries = part.layer_entries(source);
            let tree = part.tree_of(source);
            (Layer { name: source.name.clone(), tier: source.tier, entries, tree }, part)
        };
        let resolved: Vec<_> = self.library.layers.par_iter().map(resolve).collect();
        let mut layers = Vec::with_capacity(resolved.len() + 1);
        for (layer, part) in resolved {
            self.join(part);
            layers.push(layer);
        }
        let name = format!("profile:{}", self.library.name);
        self.define("layer", BTreeMap::from([("name", name.as_str()), ("tier", Tier::Overlay.word())]));
        let mut entries = self.profile_entries(&self.library.tables, &mut layers);
        mount_points::add(contract, &self.distro, &layers, &mut entries);
        layers.push(Layer { name, tier: Tier::Overlay, entries, tree: None });
        self.check_layers(&layers);
        layers
    }

    /// Refuses seeds that are nowhere in the tree. What a layer imports is not known here: building looks for those.
    fn check_seeds(&mut self, tables: &Tables, contract: &Contract, layers: &[Layer]) {
        let seeds = contract.writables.iter().filter_map(|(name, writable)| Some((name, writable.seed.as_ref()?)));
        for (name, seed) in seeds {
            let entries = || layers.iter().flat_map(|layer| &layer.entries);
            let kept = |entry: &&Entry| !matches!(entry.action, Action::Remove);
            let there = entries().filter(kept).any(|entry| entry.path == *seed || entry.path.is_below(seed));
            if there || layers.iter().any(|layer| layer.tree.is_some()) {
                continue;
            }
            let written = tables.writable.get(name.as_str()).and_then(|table| table.seed.as_ref());
            let place = written.map_or_else(|| Place::whole(&self.library.source), |written| written.place.clone());
            let known: BTreeSet<String> = entries()
                .filter(kept)
                .flat_map(|entry| std::iter::once(entry.path.clone()).chain(entry.path.ancestors()))
                .filter(|path| !path.is_root())
                .map(|path| path.to_string())
                .collect();
            let problem = Problem::at(&place, format!("the seed `{seed}` is not in the tree"))
                .rule("a seed is a path that a layer or the profile puts into the tree");
            self.problems.push(
                match spec::nearest(&seed.to_string(), &known.iter().map(String::as_str).collect::<Vec<_>>()) {
                    Some(near) => problem.help(format!("did you mean `{near}`?")),
                    None => problem.help("put the files there, or leave `seed` out for a path that begins empty"),
                },
            );
        }
    }

    fn tree_of(&mut self, source: &LayerSource) -> Option<Import> {
        let tree = source.tree.as_ref()?;
        let rendered = self.render(tree)?;
        match self.project().import(&source.folder, &rendered) {
            Ok(Some(import)) => Some(import),
            Ok(None) => {
                self.problems.push(
                    Problem::at(&tree.place, format!("`{rendered}` does not exist"))
                        .rule("`tree` is a directory or tar archive, relative to the layer's folder"),
                );
                None
            }
            Err(SpecError::Problems(problems)) => {
                self.problems.extend(problems.into_iter().map(|problem| problem.asked_at(&tree.place)));
                None
            }
            Err(SpecError::File(error)) => {
                self.problems.push(Problem::at(&tree.place, format!("{error}: {}", error.source)));
                None
            }
        }
    }
}

/// Adds the place of the other table of two that do not agree.
fn with_other<V>(problem: Problem, table: &spec::Table<Name, V>, other: &str) -> Problem {
    match table.get_key_value(other) {
        Some((key, _)) => problem.related(&key.place, "the other one"),
        None => problem,
    }
}

/// The numbers a user or group may have; the last one means "leave as it is" to chown(2).
const ID_RANGE: std::ops::RangeInclusive<i64> = 1..=4_294_967_294;

/// Returns the distro of a request, for messages and paths: with a suffix for what is not its default.
pub fn target_name(distro: &Distro) -> String {
    let mut name = distro.name.clone();
    if !distro.default_release {
        name = format!("{name}-{}", distro.release);
    }
    if distro.architecture != distro::Architecture::host() {
        name = format!("{name}-{}", distro.architecture);
    }
    name
}
