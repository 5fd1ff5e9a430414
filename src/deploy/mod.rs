//! From a recipe to deployment files.
//!
//! Comes in: a recipe and what is known about the tree it built. Goes out: texts, and command lines that run what they
//! describe. Always holds: a value of a profile stays a value. It cannot add an instruction, an option or a shell
//! command, and what a form cannot hold is an error, never something similar.

mod accounts;
mod container;
mod dockerfile;
mod packages;
mod quote;
mod run;
mod sysusers;
mod tmpfiles;
mod unit;
#[cfg(test)]
mod tests;

pub use container::{Container, Started};
pub use dockerfile::{DOCKERIGNORE, ImageTree, dockerfile};
pub use run::{Engine, Program, image_name, run_command};
pub use tmpfiles::factory;
pub use unit::{Flavour, UnitBody, UnitFile, UnitOptions, mount_points, preparation, unit_name, unit_prefix, units};

use crate::tree::TreePath;

/// A recipe that has no form in what it is deployed with.
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
    /// A value holds what a unit or a file beside it cannot.
    #[error("{what} has no form in a systemd unit: `{value}` holds {fault}")]
    UnitValue {
        /// What the value is: ``the schedule of the job `tidy` ``.
        what: String,
        /// The value, escaped.
        value: String,
        /// What is in it.
        fault: &'static str,
    },
    /// The prefix of units is no name.
    #[error(
        "`{prefix}` cannot begin the names of units: letters, digits, `-`, `.` and `:` can, and `_` ends the name of a \
         portable service"
    )]
    UnitPrefix {
        /// The prefix, escaped.
        prefix: String,
    },
    /// Two programs would have one unit.
    #[error("{one} and {other} would both be `{unit}`: give one of them another name")]
    SameUnit {
        /// The unit.
        unit: String,
        /// One of them.
        one: String,
        /// The other.
        other: String,
    },
    /// A directory that nobody would make.
    #[error(
        "the writable path `{name}` belongs to a user as whom nothing runs, and a portable service has directories of its \
         own users only: make a user of its processes the `owner`"
    )]
    UnmadeDirectory {
        /// The name of the writable path.
        name: String,
    },
    /// Directories of one kind with several modes.
    #[error(
        "the writable paths `{one}` and `{other}` are of one kind and have different modes, but a unit has one mode for \
         each kind: give them the same"
    )]
    DifferentModes {
        /// The name of one of them.
        one: String,
        /// The name of the other.
        other: String,
    },
}

/// What is said of a value that does not fit on a line.
const CONTROL: &str = "a line break or another control character";

impl DeployError {
    /// Returns the error for a value that holds what `fault` says.
    fn value(what: impl Into<String>, value: &str, fault: &'static str) -> Self {
        Self::Value { what: what.into(), value: value.escape_debug().collect(), fault }
    }

    /// Returns the same for a value of a unit.
    fn unit(what: impl Into<String>, value: &str, fault: &'static str) -> Self {
        Self::UnitValue { what: what.into(), value: value.escape_debug().collect(), fault }
    }
}
