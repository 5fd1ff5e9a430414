//! systemd units of the runtime contract, and what goes with them.
//!
//! Comes in: a recipe and [`UnitOptions`]. Goes out: files below `/usr/lib`, as a list that the caller puts into a tree.
//! Always holds: every unit is hardened; what a process needs beyond that is in its `needs`, its ports or its writable
//! paths, and nowhere else. A value of a profile stays a value: it adds no line, no specifier and no variable. No
//! directive is newer than the oldest systemd that the units are for. `docs/units.md` says what becomes what.

mod command;
mod credentials;
mod directories;
mod file;
mod hardening;
mod names;
mod program;
mod service;
mod start;
mod text;
#[cfg(test)]
mod tests;

pub use file::{UnitBody, UnitFile};
pub use names::{unit_name, unit_prefix};

use std::str::FromStr;

use self::program::Program;
pub(super) use self::text::word;
use super::{DeployError, sysusers, tmpfiles};
use crate::resolve::Recipe;
use crate::spec::JobTime;
use crate::tree::TreePath;

/// How units come to the host that runs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// In a system extension: they are part of the host's `/usr` and see its files. A target starts them at merge.
    Sysext,
    /// In a portable service: portablectl(1) copies them to the host, and they see the files of the image.
    Portable,
}

/// The oldest version of systemd that units are for: 252 to 262.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SystemdVersion(u16);

impl SystemdVersion {
    /// Returns a version.
    ///
    /// # Errors
    /// When it is below 252, the oldest whose extensions and credentials do what units here ask of them.
    pub fn new(version: u16) -> Result<Self, DeployError> {
        if version < 252 { Err(DeployError::OldSystemd { version }) } else { Ok(Self(version)) }
    }

    /// Tells whether every systemd that the units are for has what came with `version`.
    pub(super) fn has(self, version: u16) -> bool {
        self.0 >= version
    }
}

/// What units are made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitOptions {
    /// How they come to the host.
    pub flavour: Flavour,
    /// The oldest systemd they are for.
    pub systemd: SystemdVersion,
    /// What their names begin with; see [`unit_prefix`].
    pub prefix: String,
}

/// Returns the units of a recipe with their companions, sorted by path.
///
/// Each process and job is a service; a scheduled job has a timer. A system extension gets a target that wants its
/// processes and timers, a drop-in that starts the target, users (sysusers.d) and directories that no service makes
/// (tmpfiles.d).
///
/// # Errors
/// When something of the contract has no form in a unit, or two units would have one name.
pub fn units(recipe: &Recipe, options: &UnitOptions) -> Result<Vec<UnitFile>, DeployError> {
    names::check_prefix(&options.prefix)?;
    let programs = program::all(recipe, options)?;
    let mut files = Vec::new();
    for program in &programs {
        files.push(UnitFile::unit(&format!("{}.service", program.unit), service::text(program, &programs)?)?);
        if let Some(timer) = start::timer(program)? {
            files.push(UnitFile::unit(&format!("{}.timer", program.unit), timer)?);
        }
    }
    if options.flavour == Flavour::Sysext {
        files.extend(start::at_merge(recipe, options, &programs)?);
        files.extend(sysusers::file(recipe, options)?);
        files.extend(tmpfiles::file(recipe, options, &directories::unmade(recipe, &programs))?);
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// Returns the directories that a read-only image must have so that its units can start, sorted: where systemd mounts
/// what is writable. `/run` is the host's to fill.
///
/// # Errors
/// As [`units`].
pub fn mount_points(recipe: &Recipe, options: &UnitOptions) -> Result<Vec<TreePath>, DeployError> {
    Ok(directories::mount_points(&program::all(recipe, options)?))
}

/// Returns the names of the units that start when the contract starts, sorted: its processes and timers. Processes pull in
/// the jobs of a deployment; without a process these start by themselves.
fn started(programs: &[Program<'_>]) -> Vec<String> {
    let has_process = programs.iter().any(Program::is_running);
    let mut names = Vec::new();
    for program in programs {
        match program.when {
            Some(JobTime::Schedule) => names.push(format!("{}.timer", program.unit)),
            Some(JobTime::PreDeploy | JobTime::PostDeploy) if has_process => {}
            None if !program.is_running() => {}
            _ => names.push(format!("{}.service", program.unit)),
        }
    }
    names.sort();
    names
}

impl FromStr for SystemdVersion {
    type Err = DeployError;

    fn from_str(text: &str) -> Result<Self, DeployError> {
        Self::new(text.parse().map_err(|_| DeployError::OldSystemd { version: 0 })?)
    }
}
