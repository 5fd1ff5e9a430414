//! What there is: profiles, layers, distros, and the variables of a profile.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::select::Selection;
use crate::error::Error;
use crate::resolve::Variable;
use crate::spec::{DistroDocument, LayerDocument, Origin, ProfileDocument, Project, SpecError, Tier, parse};

/// What there is.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Inventory {
    /// Profiles, by name.
    pub profiles: BTreeMap<String, ProfileLine>,
    /// Layers, by name.
    pub layers: BTreeMap<String, LayerLine>,
    /// Distros, by name.
    pub distros: BTreeMap<String, DistroLine>,
    /// Variables of the selected profile, by name.
    pub variables: BTreeMap<String, Variable>,
}

/// A profile in a list.
#[derive(Debug, Clone, Serialize)]
pub struct ProfileLine {
    /// Where it was found.
    pub origin: Origin,
    /// What is shipped.
    pub summary: String,
    /// The distros it names; nothing when it is for all.
    pub distros: Vec<String>,
}

/// A layer in a list.
#[derive(Debug, Clone, Serialize)]
pub struct LayerLine {
    /// Where it was found.
    pub origin: Origin,
    /// Where it stands in a stack.
    pub tier: Option<Tier>,
    /// What it is for.
    pub summary: String,
}

/// A distro in a list.
#[derive(Debug, Clone, Serialize)]
pub struct DistroLine {
    /// Where its description was found.
    pub origin: Origin,
    /// The distribution's own name for itself.
    pub title: String,
    /// Its releases; the default one first.
    pub releases: Vec<String>,
    /// Its architectures.
    pub architectures: Vec<String>,
}

/// Lists what there is. With `variables` those of the selected profile are listed, with the values of its first
/// selected distro; without a selected profile, those of the project's own `default`.
///
/// # Errors
/// When a document is wrong or cannot be read.
pub fn list(project: &Arc<Project>, selection: &Selection, variables: bool) -> Result<Inventory, Error> {
    let mut inventory = Inventory::default();
    for (name, origin) in project.names("profiles", ".toml")? {
        let document: ProfileDocument = read(project, &format!("profiles/{name}.toml"))?;
        let summary = document.summary.map(|summary| summary.value).unwrap_or_default();
        let distros = document.distro.keys().map(ToString::to_string).collect();
        inventory.profiles.insert(name, ProfileLine { origin, summary, distros });
    }
    for (name, origin) in project.names("layers", "/layer.toml")? {
        let document: LayerDocument = read(project, &format!("layers/{name}/layer.toml"))?;
        let summary = document.summary.map(|summary| summary.value).unwrap_or_default();
        let tier = document.tier.map(|tier| tier.value);
        inventory.layers.insert(name, LayerLine { origin, tier, summary });
    }
    for (name, origin) in project.names("distros", ".toml")? {
        let document: DistroDocument = read(project, &format!("distros/{name}.toml"))?;
        inventory.distros.insert(name, distro_line(project, document, origin)?);
    }
    if variables {
        let library = selection.library(project)?;
        if let Some(recipe) = selection.recipes(&library)?.into_iter().next() {
            inventory.variables = recipe.variables;
        }
    }
    Ok(inventory)
}

fn distro_line(project: &Project, mut document: DistroDocument, origin: Origin) -> Result<DistroLine, Error> {
    let mut below = document.like.clone();
    // Descriptions that are like each other in a circle are told by whatever uses them.
    for _ in 0..LIKENESS {
        let Some(like) = below.filter(|_| document.architecture.is_empty()) else { break };
        let parent: DistroDocument = read(project, &format!("distros/{}.toml", *like))?;
        (document.architecture, below) = (parent.architecture, parent.like);
    }
    let default = document.default_release.as_ref().map(|release| release.value.clone());
    let mut releases: Vec<String> = document.release.keys().map(ToString::to_string).collect();
    releases.sort_by_key(|release| Some(release) != default.as_ref());
    Ok(DistroLine {
        origin,
        title: document.title.map(|title| title.value).unwrap_or_default(),
        releases,
        architectures: document.architecture.keys().map(ToString::to_string).collect(),
    })
}

/// The most distros that a description is looked for in, each like the next.
const LIKENESS: usize = 8;

fn read<T: serde::de::DeserializeOwned>(project: &Project, path: &str) -> Result<T, Error> {
    match project.source(path)? {
        Some((source, _)) => Ok(parse(&source).map_err(SpecError::from)?),
        None => Err(Error::usage(format!("`{path}` went away while it was read"))),
    }
}
