//! What a container image says about itself, and how it is started: the same in a Dockerfile and in an image that is written
//! without one.

use std::collections::{BTreeMap, BTreeSet};

use super::DeployError;
use crate::resolve::{Probe, Process, Recipe};
use crate::tree::TreePath;

/// The facts of a container image.
#[derive(Debug, Clone)]
pub struct Container<'recipe> {
    /// What it says about itself: `org.opencontainers.image.title`, `.version` and `.description`, and the labels of the
    /// profile.
    pub labels: BTreeMap<String, &'recipe str>,
    /// Paths that are written to.
    pub writables: Vec<&'recipe TreePath>,
    /// The process it starts.
    pub started: Option<Started<'recipe>>,
}

/// How an image starts its process.
#[derive(Debug, Clone)]
pub struct Started<'recipe> {
    /// The name of the process.
    pub name: &'recipe str,
    /// All that is said about it.
    pub process: &'recipe Process,
    /// The directory it starts in.
    pub directory: &'recipe str,
    /// The ports it listens on.
    pub ports: BTreeSet<u16>,
    /// How its health is asked for.
    pub probe: Option<&'recipe Probe>,
}

impl<'recipe> Container<'recipe> {
    /// Returns the facts of the image of a recipe that starts `process`.
    ///
    /// # Errors
    /// When the profile has no such process.
    pub fn of(recipe: &'recipe Recipe, process: Option<&str>) -> Result<Self, DeployError> {
        let profile = &recipe.profile;
        let own = [("title", &profile.name), ("version", &profile.version), ("description", &profile.summary)];
        let mut labels: BTreeMap<String, &str> = own
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (format!("org.opencontainers.image.{name}"), value.as_str()))
            .collect();
        labels.extend(profile.labels.iter().map(|(name, value)| (name.clone(), value.as_str())));
        let writables = recipe.contract.writables.values().map(|writable| &writable.path).collect();
        let started = process.map(|name| Started::of(recipe, name)).transpose()?;
        Ok(Self { labels, writables, started })
    }
}

impl<'recipe> Started<'recipe> {
    fn of(recipe: &'recipe Recipe, name: &str) -> Result<Self, DeployError> {
        let found = recipe.contract.processes.get_key_value(name);
        let (name, process) =
            found.ok_or_else(|| DeployError::UnknownProgram { kind: "process", name: name.to_owned() })?;
        Ok(Self {
            name,
            process,
            directory: process.directory.as_deref().unwrap_or("/"),
            ports: process.ports.values().copied().collect(),
            probe: process.ready.as_ref().or(process.live.as_ref()),
        })
    }
}
