//! What will be done, as data.
//!
//! Comes in: a recipe and the output kinds that are wanted. Goes out: a [`Plan`], a graph of actions. Always holds:
//! making a plan reads and writes nothing; an action names its inputs by the action that makes them, and stands after
//! them.

use std::fmt;

use serde::Serialize;

use crate::resolve::{Recipe, RootfsOutput};
use crate::spec::TarCompression;

/// A shape to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputKind {
    /// A directory and a Dockerfile that copies it over a base image.
    Rootfs,
    /// The tree as one tar archive.
    Tar,
}

impl OutputKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Rootfs, Self::Tar];

    /// Returns its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rootfs => "rootfs",
            Self::Tar => "tar",
        }
    }
}

impl fmt::Display for OutputKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A graph of actions for one target.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// The target: `debian`, `debian-bookworm`.
    pub target: String,
    /// The actions; each stands after those it takes from.
    pub actions: Vec<Action>,
}

/// One step.
#[derive(Debug, Clone, Serialize)]
pub struct Action {
    /// Its name, by which others take from it: `layer:nginx`, `stack`, `rootfs`.
    pub name: String,
    /// What it does.
    pub step: Step,
    /// The actions it takes from.
    pub inputs: Vec<String>,
}

/// What an action does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Makes the tree of the layer with this index in the recipe.
    Layer(usize),
    /// Lays the layers over each other and adds the directories that are missing.
    Stack,
    /// Writes `rootfs/`, what a COPY cannot carry as `rootfs.tar`, and the Dockerfile, which starts this process.
    Rootfs {
        /// The process that the image starts.
        process: Option<String>,
    },
    /// Writes the whole tree as an archive.
    Tar {
        /// How it is compressed.
        compression: TarCompression,
    },
}

impl Plan {
    /// Plans the given output kinds of a recipe.
    pub fn of(recipe: &Recipe, kinds: &[OutputKind]) -> Self {
        let mut actions = Vec::new();
        for (index, layer) in recipe.layers.iter().enumerate() {
            let name = format!("layer:{}", layer.name);
            actions.push(Action { name, step: Step::Layer(index), inputs: Vec::new() });
        }
        let layers = actions.iter().map(|action| action.name.clone()).collect();
        actions.push(Action { name: "stack".into(), step: Step::Stack, inputs: layers });
        for kind in kinds {
            let step = match kind {
                OutputKind::Rootfs => Step::Rootfs { process: started_process(recipe) },
                OutputKind::Tar => Step::Tar { compression: recipe.outputs.tar.unwrap_or(TarCompression::None) },
            };
            actions.push(Action { name: kind.to_string(), step, inputs: vec!["stack".into()] });
        }
        Self { target: crate::resolve::target_name(&recipe.distro), actions }
    }
}

/// Returns the process that an image starts: as the profile says, or else its only one.
fn started_process(recipe: &Recipe) -> Option<String> {
    match &recipe.outputs.rootfs {
        Some(RootfsOutput { process }) => process.clone(),
        None => recipe.contract.processes.keys().next().cloned(),
    }
}
