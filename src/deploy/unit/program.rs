//! What processes and jobs have in common, as a unit needs it.

use std::collections::{BTreeMap, BTreeSet};

use super::{DeployError, UnitOptions, names};
use crate::resolve::{Account, Job, Limits, Process, Recipe};
use crate::spec::{JobTime, Need};

/// A process or job with everything that its unit is made of.
#[derive(Debug)]
pub(super) struct Program<'recipe> {
    /// The recipe it is of.
    pub(super) recipe: &'recipe Recipe,
    /// What units are made for.
    pub(super) options: &'recipe UnitOptions,
    /// The name of the unit, without suffix.
    pub(super) unit: String,
    /// Its own name.
    pub(super) name: &'recipe str,
    /// The program and its arguments.
    pub(super) command: &'recipe [String],
    /// As whom it runs.
    pub(super) user: Account,
    /// The directory it starts in.
    pub(super) directory: Option<&'recipe str>,
    /// Environment variables.
    pub(super) environment: &'recipe BTreeMap<String, String>,
    /// Names of secrets.
    pub(super) secrets: &'recipe [String],
    /// What it needs, with what its ports say it does.
    pub(super) needs: BTreeSet<Need>,
    /// What it may use.
    pub(super) limits: &'recipe Limits,
    /// When it is a process: the rest.
    pub(super) process: Option<&'recipe Process>,
    /// When it is a job: the rest.
    pub(super) job: Option<&'recipe Job>,
    /// When a job runs.
    pub(super) when: Option<JobTime>,
}

impl Program<'_> {
    /// Returns how messages name it.
    pub(super) fn title(&self) -> String {
        let kind = if self.process.is_some() { "process" } else { "job" };
        format!("the {kind} `{}`", self.name)
    }

    /// Tells whether it listens on a port that only a capability opens.
    pub(super) fn has_privileged_port(&self) -> bool {
        self.process.is_some_and(|process| process.ports.values().any(|port| *port < 1024))
    }

    /// Tells whether it is a process of which one runs. A host runs one, however many replicas a cluster has.
    pub(super) fn is_running(&self) -> bool {
        self.process.is_some_and(|process| process.replicas > 0)
    }

    /// Tells whether it is a job before or after a deployment.
    pub(super) fn is(&self, when: JobTime) -> bool {
        self.when == Some(when)
    }
}

/// Returns all programs, processes first, each sorted by name.
pub(super) fn all<'recipe>(
    recipe: &'recipe Recipe,
    options: &'recipe UnitOptions,
) -> Result<Vec<Program<'recipe>>, DeployError> {
    let contract = &recipe.contract;
    let is_only = contract.processes.len() == 1;
    let processes = contract.processes.iter().map(|(name, process)| {
        let mut needs: BTreeSet<Need> = process.needs.iter().copied().collect();
        needs.extend((!process.ports.is_empty()).then_some(Need::Network));
        Program {
            recipe,
            options,
            unit: names::unit_name(&options.prefix, name, is_only),
            name,
            command: &process.command,
            user: process.user,
            directory: process.directory.as_deref(),
            environment: &process.environment,
            secrets: &process.secrets,
            needs,
            limits: &process.limits,
            process: Some(process),
            job: None,
            when: None,
        }
    });
    let jobs = contract.jobs.iter().map(|(name, job)| Program {
        recipe,
        options,
        unit: names::unit_name(&options.prefix, name, false),
        name,
        command: &job.command,
        user: job.user,
        directory: job.directory.as_deref(),
        environment: &job.environment,
        secrets: &job.secrets,
        needs: job.needs.iter().copied().collect(),
        limits: &job.limits,
        process: None,
        job: Some(job),
        when: Some(job.when),
    });
    let programs: Vec<Program<'_>> = processes.chain(jobs).collect();
    let mut taken = BTreeMap::new();
    for program in &programs {
        names::check(&program.unit)?;
        if let Some(other) = taken.insert(program.unit.clone(), program.title()) {
            return Err(DeployError::SameUnit {
                unit: format!("{}.service", program.unit),
                one: other,
                other: program.title(),
            });
        }
    }
    Ok(programs)
}
