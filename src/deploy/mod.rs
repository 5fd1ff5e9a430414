//! From a recipe to deployment files.
//!
//! Comes in: a recipe and what is known about the tree it built. Goes out: texts, and command lines that run what they
//! describe. Always holds: a value of a profile stays a value. It cannot add an instruction, an option or a shell
//! command, and what a form cannot hold is an error, never something similar.

mod accounts;
mod dockerfile;
mod packages;
mod quote;
mod run;
#[cfg(test)]
mod tests;

pub use dockerfile::{DOCKERIGNORE, ImageTree, dockerfile};
pub use run::{Engine, Program, image_name, run_command};

use crate::tree::TreePath;

/// A recipe that has no form in a container image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeployError {
    /// A value holds a character that its place cannot.
    #[error("{what} has no form in a Dockerfile: `{value}` holds {fault}")]
    Value {
        /// What the value is: ``the variable `MOTD` ``.
        what: String,
        /// The value, escaped.
        value: String,
        /// What is in it: `a line break or another control character`.
        fault: &'static str,
    },
    /// A name that image layers read as "remove".
    #[error("`{path}` cannot be in a container image: names that begin with `.wh.` remove other files there")]
    WhiteoutName {
        /// The path.
        path: TreePath,
    },
    /// The root was to be removed.
    #[error("`/` cannot be removed from the base image")]
    RemovedRoot,
    /// A program that the profile does not have.
    #[error("the profile has no {kind} `{name}`")]
    UnknownProgram {
        /// `process` or `job`.
        kind: &'static str,
        /// The name that was asked for.
        name: String,
    },
}

/// What is said of a value that does not fit on a line.
const CONTROL: &str = "a line break or another control character";

impl DeployError {
    /// Returns the error for a value that holds what `fault` says.
    fn value(what: impl Into<String>, value: &str, fault: &'static str) -> Self {
        Self::Value { what: what.into(), value: value.escape_debug().collect(), fault }
    }
}
