//! The service of a process or job: systemd.service(5).

use std::collections::BTreeSet;

use super::directories::{self, Directories};
use super::program::Program;
use super::text::{self, UnitText};
use super::{DeployError, Flavour, command, credentials, hardening};
use crate::resolve::{Limits, Process};
use crate::spec::{JobTime, Need, Restart};

/// Writes the service of `program`, one of `all`.
pub(super) fn text(program: &Program<'_>, all: &[Program<'_>]) -> Result<String, DeployError> {
    let directories = directories::of(program, all)?;
    let credentials = credentials::of(program)?;
    let mut unit = UnitText::default();
    unit.comment(&format!("Written by layerforge from the profile `{}`.", program.recipe.profile.name));
    unit.comment("Change the profile, or add a drop-in; this file is replaced.");
    unit_section(&mut unit, program, all);
    unit.section("Service");
    running(&mut unit, program)?;
    for line in &directories.prepare {
        unit.set("ExecStartPre", line);
    }
    unit.set("ExecStart", command::start(program, &credentials.environment)?);
    match (program.process, program.job) {
        (Some(process), _) => staying(&mut unit, program, process)?,
        (None, job) => {
            let timeout = job.and_then(|job| job.timeout);
            unit.set("TimeoutStartSec", timeout.map_or_else(|| "infinity".into(), text::duration));
        }
    }
    limits(&mut unit, program.limits);
    unit.paragraph("What it may write, and what it is given.");
    paths(&mut unit, &directories);
    unit.set_list("BindReadOnlyPaths", &credentials.bound);
    for credential in &credentials.loaded {
        unit.set("LoadCredential", credential);
    }
    unit.paragraph("What it may not do.");
    hardening::write(&mut unit, program, &directories);
    install(&mut unit, program, all);
    Ok(unit.finish())
}

fn unit_section(unit: &mut UnitText, program: &Program<'_>, all: &[Program<'_>]) {
    unit.section("Unit");
    let profile = &program.recipe.profile;
    let summary = if profile.summary.is_empty() { String::new() } else { format!(": {}", profile.summary) };
    unit.set("Description", text::description(&format!("{} {}{summary}", profile.name, program.name)));
    if let Some(process) = program.process {
        for (name, port) in &process.ports {
            unit.comment(&format!("listens on {port} ({name})"));
        }
    }
    let Relations { requires, wants, after } = relations(program, all);
    unit.set_list("Requires", &requires);
    unit.set_list("Wants", &wants);
    unit.set_list("After", &after);
    if program.options.flavour == Flavour::Sysext && !program.is(JobTime::Schedule) {
        unit.set("PartOf", super::start::target(program.options));
    }
    if program.process.is_some_and(|process| process.restart != Restart::No) {
        // As in a container engine, there is no number of failures after which it stays down.
        unit.set("StartLimitIntervalSec", "0");
    }
}

/// Names of units that a unit goes with.
struct Relations {
    requires: Vec<String>,
    wants: Vec<String>,
    after: Vec<String>,
}

/// Jobs of a deployment run one after another in the order of their names: those before the processes, which need them
/// done; those after, pulled in by the processes, which are ready by then.
fn relations(program: &Program<'_>, all: &[Program<'_>]) -> Relations {
    let service = |other: &Program<'_>| format!("{}.service", other.unit);
    let of = |when| all.iter().filter(move |other: &&Program<'_>| other.is(when));
    let earlier = |when| of(when).filter(|other| other.unit < program.unit).map(service).collect::<Vec<_>>();
    let before: Vec<String> = of(JobTime::PreDeploy).map(service).collect();
    let mut relations = Relations { requires: Vec::new(), wants: Vec::new(), after: Vec::new() };
    if program.needs.contains(&Need::Network) {
        relations.wants.push("network-online.target".into());
        relations.after.push("network-online.target".into());
    }
    match program.when {
        Some(JobTime::Schedule) => {}
        Some(JobTime::PreDeploy) => relations.after.extend(earlier(JobTime::PreDeploy)),
        Some(JobTime::PostDeploy) => {
            relations.requires = before;
            relations.after.extend(relations.requires.iter().cloned());
            relations.after.extend(all.iter().filter(|other| other.process.is_some()).map(service));
            relations.after.extend(earlier(JobTime::PostDeploy));
        }
        None => {
            relations.requires = before;
            relations.after.extend(relations.requires.iter().cloned());
            relations.wants.extend(of(JobTime::PostDeploy).map(service));
        }
    }
    relations
}

fn running(unit: &mut UnitText, program: &Program<'_>) -> Result<(), DeployError> {
    unit.set("Type", if program.process.is_some() { "exec" } else { "oneshot" });
    if program.is(JobTime::PreDeploy) || program.is(JobTime::PostDeploy) {
        // Once for a deployment: not again when a process is started again.
        unit.set("RemainAfterExit", "yes");
    }
    // Numbers, as in the tree: a name would be looked up on the host.
    unit.set("User", program.user.uid.to_string());
    unit.set("Group", program.user.gid.to_string());
    unit.set_list("SupplementaryGroups", &supplementary_groups(program));
    let title = program.title();
    let directory = program.directory.unwrap_or("/");
    unit.set("WorkingDirectory", text::rest_of_line(&format!("the directory of {title}"), directory)?);
    for (variable, value) in program.environment {
        let what = format!("the environment variable `{variable}` of {title}");
        let is_refused = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
        if value.chars().any(is_refused) {
            return Err(DeployError::unit(what, value, "a control character"));
        }
        unit.set("Environment", text::word(&what, &format!("{variable}={value}"))?);
    }
    unit.set("SyslogIdentifier", &program.unit);
    Ok(())
}

/// Returns the numbers of the other groups of the user that a program runs as.
fn supplementary_groups(program: &Program<'_>) -> Vec<String> {
    let recipe = program.recipe;
    let number = |name: &String| {
        let own = recipe.users.get(name).map(|user| user.gid);
        recipe.groups.get(name).copied().or(own)
    };
    let users = recipe.users.values().filter(|user| user.uid == program.user.uid);
    let groups: BTreeSet<u32> = users.flat_map(|user| &user.groups).filter_map(number).collect();
    groups.iter().map(u32::to_string).collect()
}

/// Writes what only programs that stay have.
fn staying(unit: &mut UnitText, program: &Program<'_>, process: &Process) -> Result<(), DeployError> {
    if let Some(probe) = &process.ready {
        unit.set("ExecStartPost", command::wait(program, probe)?);
        let patience = probe.interval.saturating_add(probe.timeout).saturating_mul(probe.retries);
        unit.set("TimeoutStartSec", text::duration(probe.start_period.saturating_add(patience)));
    }
    unit.set("KillSignal", &process.stop_signal);
    // The signal goes to the program itself, as in a container; what is left is killed with it.
    unit.set("KillMode", "mixed");
    unit.set("TimeoutStopSec", text::duration(process.stop_timeout));
    let restart = match process.restart {
        Restart::Always => "always",
        Restart::OnFailure => "on-failure",
        Restart::No => "no",
    };
    unit.set("Restart", restart);
    if process.restart != Restart::No {
        unit.set("RestartSec", "1s");
        if program.options.systemd.has(254) {
            unit.set("RestartSteps", "6");
            unit.set("RestartMaxDelaySec", "1min");
        }
    }
    Ok(())
}

fn limits(unit: &mut UnitText, limits: &Limits) {
    unit.set_some("MemoryHigh", limits.memory_high.map(text::bytes));
    unit.set_some("MemoryMax", limits.memory_max.map(text::bytes));
    unit.set_some("TasksMax", limits.tasks.map(|count| count.to_string()));
    unit.set_some("CPUWeight", limits.cpu_weight.map(|weight| weight.to_string()));
    unit.set_some("LimitNOFILE", limits.open_files.map(|count| count.to_string()));
}

fn paths(unit: &mut UnitText, directories: &Directories) {
    for (kind, made) in &directories.made {
        let (directive, _) = directories::directive(*kind);
        unit.set_list(directive, &made.directories);
        unit.set(&format!("{directive}Mode"), format!("{:04o}", made.mode));
        if directive == "RuntimeDirectory" && directories.is_runtime_shared {
            unit.set("RuntimeDirectoryPreserve", "yes");
        }
    }
    unit.set_list("BindPaths", &directories.bound);
    unit.set_list("TemporaryFileSystem", &directories.temporary);
}

/// Says what enables a unit of a portable service; a system extension starts its own at merge.
fn install(unit: &mut UnitText, program: &Program<'_>, all: &[Program<'_>]) {
    let name = format!("{}.service", program.unit);
    if program.options.flavour == Flavour::Portable && super::started(all).contains(&name) {
        unit.section("Install");
        unit.set("WantedBy", "multi-user.target");
    }
}
