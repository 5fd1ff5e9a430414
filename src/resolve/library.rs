//! A profile with everything it extends, and the layers it stacks: read once, resolved for many distros.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::spec::{
    DistroTable, Folder, FolderEntry, LayerDocument, Located, Merge, Name, Origin, Place, Problem, ProfileDocument,
    Project, Source, SpecError, Tables, Tier, parse,
};

use super::template::Templates;

/// A profile over all that it extends, as written.
#[derive(Debug)]
pub struct ProfileSource {
    /// Where everything was read from.
    pub project: Arc<Project>,
    /// The name of the profile.
    pub name: String,
    /// The file of the profile.
    pub source: Arc<Source>,
    /// Where that was found.
    pub origin: Origin,
    /// The profile over all that it extends, without its tables.
    pub profile: ProfileDocument,
    /// The tables of the profile over those that it extends.
    pub tables: Tables,
}

/// A profile and its layers, as written.
#[derive(Debug)]
pub struct Library {
    /// The profile; its fields are the library's own.
    head: ProfileSource,
    /// Layers from the lowest to the highest.
    pub layers: Vec<LayerSource>,
    /// Renders templates of all of them.
    pub templates: Templates,
    /// Names of the distros that have a description.
    described: BTreeMap<String, Origin>,
}

/// A layer, as written.
#[derive(Debug)]
pub struct LayerSource {
    /// The name of its folder.
    pub name: String,
    /// Its folder.
    pub folder: Folder,
    /// Its `layer.toml`.
    pub source: Arc<Source>,
    /// Where it stands in the stack.
    pub tier: Tier,
    /// What it is for.
    pub summary: Option<Located<String>>,
    /// A directory or archive to take as it is.
    pub tree: Option<Located<String>>,
    /// Its tables.
    pub tables: Tables,
    /// Its file trees: `files/` under the empty name, `files.DISTRO/` under DISTRO.
    pub trees: BTreeMap<String, Vec<FolderEntry>>,
    /// The layers it requires.
    pub requires: Vec<Located<Name>>,
    /// The layers it cannot stand beside.
    conflicts: Vec<Located<Name>>,
}

impl ProfileSource {
    /// Reads the profile `name` (a name in `profiles/`, or a path of a TOML file) with all it extends.
    ///
    /// # Errors
    /// When a file is missing, cannot be read, or is not what it should be.
    pub fn load(project: Arc<Project>, name: &str) -> Result<Self, SpecError> {
        let (source, origin, mut profile) = load_profile(&project, name, None, &mut Reading::default())?;
        let tables = profile.take_tables();
        let file_name = name.rsplit('/').next().unwrap_or(name);
        let own_name = match &profile.name {
            Some(written) => written.to_string(),
            None => name_of_file(&source, file_name)?,
        };
        Ok(Self { project, name: own_name, source, origin, profile, tables })
    }

    /// Returns the distros that the profile names; every described one when it names none.
    ///
    /// # Errors
    /// When the folder of descriptions cannot be listed.
    pub fn distros(&self) -> Result<BTreeMap<Located<Name>, DistroTable>, SpecError> {
        if !self.profile.distro.is_empty() {
            return Ok(self.profile.distro.clone());
        }
        let described = self.project.names("distros", ".toml")?;
        let whole = Place::whole(&self.source);
        let named = |name: String| Some((Located::new(name.parse().ok()?, whole.clone()), DistroTable::default()));
        Ok(described.into_keys().filter_map(named).collect())
    }
}

impl std::ops::Deref for Library {
    type Target = ProfileSource;

    fn deref(&self) -> &ProfileSource {
        &self.head
    }
}

impl Library {
    /// Reads the profile `name` and its layers.
    ///
    /// # Errors
    /// When a file is missing, cannot be read, or is not what it should be.
    pub fn load(project: Arc<Project>, name: &str) -> Result<Self, SpecError> {
        Self::of(ProfileSource::load(project, name)?)
    }

    /// Reads the layers of a profile.
    ///
    /// # Errors
    /// When a file is missing, cannot be read, or is not what it should be.
    pub fn of(head: ProfileSource) -> Result<Self, SpecError> {
        let mut layers = load_layers(&head.project, head.profile.layers.as_deref().unwrap_or_default())?;
        let trees: Vec<_> = layers.par_iter().map(|layer| load_trees(&head.project, &layer.folder)).collect();
        for (layer, trees) in layers.iter_mut().zip(trees) {
            layer.trees = trees?;
        }
        let templates = Templates::new(&head.project);
        let described = head.project.names("distros", ".toml")?;
        let library = Self { head, layers, templates, described };
        library.check_trees()?;
        Ok(library)
    }

    /// Returns the names of the distros that the profile names or that have a description.
    pub fn known_distros(&self) -> impl Iterator<Item = &str> {
        let named = self.profile.distro.keys().map(|name| name.as_str());
        self.described.keys().map(String::as_str).chain(named)
    }

    /// Refuses names of distros that nobody knows, in tables and as names of file trees: they would silently count for
    /// nothing.
    fn check_trees(&self) -> Result<(), SpecError> {
        for layer in &self.layers {
            for section in layer.trees.keys().filter(|section| !section.is_empty()) {
                if !self.known_distros().any(|known| known == section) {
                    let place = Place::file(layer.folder.shown(&format!("files.{section}")));
                    return Err(Problem::at(&place, format!("unknown distro `{section}`"))
                        .rule("`files.DISTRO/` names a distro of the profile, or one with a description")
                        .suggest(section, "known distros", self.known_distros())
                        .into());
                }
            }
        }
        Ok(())
    }
}

/// Returns the name that the file of a profile gives it.
fn name_of_file(source: &Arc<Source>, file_name: &str) -> Result<String, Box<Problem>> {
    let stem = file_name.strip_suffix(".toml").unwrap_or(file_name);
    stem.parse::<Name>().map(|name| name.to_string()).map_err(|error| {
        let mend = error.mend.as_deref().unwrap_or("…");
        let problem = Problem::at(&Place::whole(source), format!("`{stem}` is no name of a profile"))
            .rule(format!("expected {}", error.rule))
            .help(format!("rename the file, or write `name = \"{mend}\"` into it"));
        Box::new(problem)
    })
}

/// The most profiles that one may extend, each counted as often as it is named: two that each extend two, and so on,
/// are many.
const EXTENDED_MAX: usize = 256;

/// The profiles that are being read, to find circles, and how many were.
#[derive(Default)]
struct Reading {
    stack: Vec<String>,
    count: usize,
}

/// Reads a profile and lays it over those it extends.
fn load_profile(
    project: &Project,
    name: &str,
    asked_at: Option<&Place>,
    reading: &mut Reading,
) -> Result<(Arc<Source>, Origin, ProfileDocument), SpecError> {
    let relative = if name.ends_with(".toml") { name.to_owned() } else { format!("profiles/{name}.toml") };
    let Some((source, origin)) = project.source(&relative)? else {
        return Err(unknown_profile(project, name, asked_at)?.into());
    };
    let place = || asked_at.cloned().unwrap_or_else(|| Place::whole(&source));
    if reading.stack.contains(&relative) {
        let circle = reading.stack.join(" → ");
        return Err(Problem::at(&place(), format!("the profile `{name}` extends itself"))
            .rule(format!("profiles cannot extend each other in a circle: {circle} → {relative}"))
            .into());
    }
    reading.count += 1;
    if reading.count > EXTENDED_MAX {
        return Err(Problem::at(&place(), format!("more than {EXTENDED_MAX} profiles are extended"))
            .rule("a profile that is extended in several ways counts each time")
            .into());
    }
    reading.stack.push(relative);
    let document: ProfileDocument = parse(&source)?;
    let mut merged = ProfileDocument::default();
    for parent in document.extends.iter().flatten() {
        merged.merge_with(load_profile(project, parent, Some(&parent.place), reading)?.2);
    }
    reading.stack.pop();
    merged.merge_with(document);
    Ok((source, origin, merged))
}

fn unknown_profile(project: &Project, name: &str, asked_at: Option<&Place>) -> Result<Problem, SpecError> {
    let known = project.names("profiles", ".toml")?;
    let problem = match asked_at {
        Some(place) => Problem::at(place, format!("unknown profile `{name}`")),
        None => Problem::anywhere(format!("unknown profile `{name}`")),
    };
    Ok(problem.rule("a profile is a name in `profiles/` or a path that ends in `.toml`").suggest(
        name,
        "profiles here",
        known.keys().map(String::as_str),
    ))
}

/// Reads the layers that are asked for and those they require, and puts them in order: by tier, within a tier a
/// required layer before the one that requires it, otherwise as written.
fn load_layers(project: &Project, asked: &[Located<Name>]) -> Result<Vec<LayerSource>, SpecError> {
    let mut layers: Vec<LayerSource> = Vec::new();
    for name in asked {
        add_layer(project, name, &mut layers, &mut Vec::new())?;
    }
    let mut problems = Vec::new();
    for layer in &layers {
        for conflict in &layer.conflicts {
            if layers.iter().any(|other| other.name == ***conflict) {
                problems.push(
                    Problem::at(&conflict.place, format!("the layers `{}` and `{}` conflict", layer.name, **conflict))
                        .help("leave one of them out of `layers`"),
                );
            }
        }
    }
    if !problems.is_empty() {
        return Err(SpecError::Problems(problems));
    }
    layers.sort_by_key(|layer| layer.tier);
    Ok(layers)
}

/// Adds a layer after those it requires. `stack` holds the layers being added, to find circles.
fn add_layer(
    project: &Project,
    name: &Located<Name>,
    layers: &mut Vec<LayerSource>,
    stack: &mut Vec<String>,
) -> Result<(), SpecError> {
    if layers.iter().any(|layer| layer.name == ***name) {
        return Ok(());
    }
    if stack.iter().any(|other| *other == ***name) {
        return Err(Problem::at(&name.place, format!("the layer `{}` requires itself", **name))
            .rule(format!("layers cannot require each other in a circle: {} → {}", stack.join(" → "), **name))
            .into());
    }
    stack.push(name.to_string());
    let layer = load_layer(project, name)?;
    for required in &layer.requires {
        add_layer(project, required, layers, stack)?;
    }
    stack.pop();
    layers.push(layer);
    Ok(())
}

fn load_layer(project: &Project, name: &Located<Name>) -> Result<LayerSource, SpecError> {
    let Some((folder, _)) = project.layer_folder(name)? else {
        let known = project.names("layers", "/layer.toml")?;
        return Err(Problem::at(&name.place, format!("unknown layer `{}`", **name))
            .rule("a layer is a folder `layers/NAME/` with a `layer.toml`")
            .suggest(name, "layers here", known.keys().map(String::as_str))
            .into());
    };
    let Some(source) = project.source_in(&folder, "layer.toml")? else {
        return Err(Problem::at(&name.place, format!("the layer `{}` has no `layer.toml`", **name))
            .rule("a layer is a folder `layers/NAME/` with a `layer.toml`")
            .help("write one that says at least `tier = \"application\"`")
            .into());
    };
    let mut document: LayerDocument = parse(&source)?;
    let Some(tier) = document.tier.as_ref().map(|tier| tier.value) else {
        return Err(Problem::at(&Place::whole(&source), format!("the layer `{}` has no `tier`", **name))
            .rule("a layer stands in the tier `base`, `distro`, `application` or `overlay`")
            .help("add `tier = \"application\"`")
            .into());
    };
    let tables = document.take_tables();
    Ok(LayerSource {
        name: name.to_string(),
        tier,
        tables,
        trees: BTreeMap::new(),
        summary: document.summary,
        tree: document.tree,
        requires: document.requires.unwrap_or_default(),
        conflicts: document.conflicts.unwrap_or_default(),
        folder,
        source,
    })
}

fn load_trees(project: &Project, folder: &Folder) -> Result<BTreeMap<String, Vec<FolderEntry>>, SpecError> {
    let mut trees = BTreeMap::new();
    for child in project.children(folder, "files")? {
        let section = match child.strip_prefix("files") {
            Some("") => String::new(),
            Some(rest) if rest.starts_with('.') => rest[1..].to_owned(),
            _ => continue,
        };
        trees.insert(section, project.walk(folder, &child)?);
    }
    Ok(trees)
}
