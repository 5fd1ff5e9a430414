//! The Dockerfile: packages and users the distribution's way, the tree over them, the runtime contract.
//!
//! It uses nothing that the legacy builder, BuildKit or buildah lack, and in an order that serves all three: what is
//! removed is removed in the layer that brings it, the directory comes after that, the archive with what a COPY loses
//! over the directory, and triggers, which look at the whole, last.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::container::{Container, Started};
use super::{DeployError, Engine, Program, accounts, image_name, packages, quote, run};
use crate::resolve::{Probe, Recipe};
use crate::spec::JobTime;
use crate::tree::{Kind, Tree, TreePath};

/// What a Dockerfile needs to know about the tree beside it.
#[derive(Debug, Clone, Copy)]
pub struct ImageTree<'tree> {
    /// The tree, complete.
    pub tree: &'tree Tree,
    /// Paths that the base image must lose.
    pub removed: &'tree [TreePath],
    /// Whether a `rootfs.tar` stands beside `rootfs/`.
    pub special: bool,
    /// The process that the image starts.
    pub process: Option<&'tree str>,
    /// Whether the tree is a whole root filesystem, which needs no image below.
    pub bundled: bool,
}

/// The `.dockerignore` beside the Dockerfile: builders that send the whole folder send no other outputs with it.
pub const DOCKERIGNORE: &str =
    "# What the Dockerfile takes, and nothing else in this folder.\n*\n!rootfs\n!rootfs.tar\n";

/// Writes the Dockerfile. It is built in the folder that holds `rootfs/` and, when there is one, `rootfs.tar`.
///
/// # Errors
/// When something of the recipe or the tree has no form in a Dockerfile or in an image.
pub fn dockerfile(recipe: &Recipe, image: &ImageTree<'_>) -> Result<String, DeployError> {
    let container = Container::of(recipe, image.process)?;
    let mut sections = vec![header(recipe)];
    if image.bundled {
        sections
            .push("# The whole root filesystem, with its packages, lies in this folder.\nFROM scratch\n".to_owned());
    } else {
        sections.push(base(recipe, container.started.is_some())?);
        sections.extend(preparation(recipe, image)?);
    }
    sections.push(files(image)?);
    sections.extend(triggers(recipe));
    sections.push(labels(&container, image.bundled)?);
    if let Some(started) = &container.started {
        sections.push(contract(started)?);
        sections.push(usage(recipe, started.name)?);
    }
    Ok(sections.join("\n"))
}

fn header(recipe: &Recipe) -> String {
    let (profile, distro) = (&recipe.profile, &recipe.distro);
    format!(
        "# Written by layerforge from the profile `{}` for {} {} on {}.\n\
         # Do not edit: change the profile and render again.\n\
         #\n\
         #     docker build --platform linux/{} --tag {} .\n",
        quote::comment(&profile.name),
        quote::comment(&distro.title),
        quote::comment(&distro.release),
        distro.architecture,
        distro.architecture.oci_name(),
        image_name(recipe),
    )
}

fn base(recipe: &Recipe, starts: bool) -> Result<String, DeployError> {
    let image = quote::word("the name of the base image", &recipe.image)?;
    let mut text = format!(
        "# Any image of the same distribution can take its place: --build-arg BASE=...\nARG BASE={image}\nFROM ${{BASE}}\nARG BASE\n"
    );
    if starts {
        text.push_str("USER 0:0\n");
    }
    Ok(text)
}

/// Writes the one RUN that comes before the files: accounts, packages, removals.
fn preparation(recipe: &Recipe, image: &ImageTree<'_>) -> Result<Option<String>, DeployError> {
    let accounts = accounts::create(recipe)?;
    let packages = packages::install(recipe)?;
    let removal = removal(image)?;
    let mut text = String::new();
    if !packages.is_empty()
        && let Some(rule) = packages::pinning_rule(recipe.distro.family)
    {
        text.push_str("# Versions are those of the repositories: they keep no older ones that could be pinned.\n");
        text.push_str(&format!("# hadolint ignore={rule}\n"));
    }
    let statements: Vec<String> = accounts.into_iter().chain(packages).chain(removal).collect();
    if statements.is_empty() {
        return Ok(None);
    }
    let script = format!("set -e;\n{}", statements.join(";\n"));
    text.push_str(&format!("RUN {}\n", script.replace('\n', " \\\n    ")));
    Ok(Some(text))
}

/// Returns the command that takes from the base and its packages what shall not be there, when there is anything: the
/// paths that layers remove, and what is in directories that layers say they replace.
fn removal(image: &ImageTree<'_>) -> Result<Option<String>, DeployError> {
    let opaque = image.tree.iter().filter(|(_, node)| node.kind == Kind::Directory { opaque: true });
    let doomed: BTreeSet<&TreePath> = image.removed.iter().chain(opaque.map(|(path, _)| path)).collect();
    let mut words = String::new();
    for path in &doomed {
        if path.is_root() {
            return Err(DeployError::RemovedRoot);
        }
        let text = path.to_string();
        if std::str::from_utf8(path.as_bytes()).is_err() {
            return Err(DeployError::value("a removed path", &text, "bytes that are not UTF-8"));
        }
        words.push_str("\n    ");
        words.push_str(&quote::shell_word("a removed path", &text)?);
    }
    Ok((!doomed.is_empty()).then(|| format!("rm -rf --{words}")))
}

fn files(image: &ImageTree<'_>) -> Result<String, DeployError> {
    let is_whiteout =
        |path: &TreePath| path.as_bytes().split(|&byte| byte == b'/').any(|name| name.starts_with(b".wh."));
    if let Some((path, _)) = image.tree.iter().find(|(path, _)| is_whiteout(path)) {
        return Err(DeployError::WhiteoutName { path: path.clone() });
    }
    let mut text = String::from("COPY rootfs/ /\n");
    if image.special {
        text.push_str("# Owners and modes that a COPY does not keep.\nADD rootfs.tar /\n");
    }
    Ok(text)
}

/// Writes the triggers. The exec form hands each its arguments as they are; a shell that joined them into one layer would
/// have to be told how.
fn triggers(recipe: &Recipe) -> Option<String> {
    let commands = recipe.triggers.values().map(|command| format!("RUN {}\n", quote::exec_form(command)));
    let text = commands.collect::<Vec<_>>().join("# hadolint ignore=DL3059\n");
    (!text.is_empty()).then(|| format!("# What can only be made where everything is in its place.\n{text}"))
}

/// Writes the labels. There is no `created`: the builder knows when it ran, and a rendering has no time.
fn labels(container: &Container<'_>, bundled: bool) -> Result<String, DeployError> {
    let mut labels = BTreeMap::new();
    if !bundled {
        labels.insert("org.opencontainers.image.base.name", "\"${BASE}\"".to_owned());
    }
    for (name, value) in &container.labels {
        labels.insert(name, quote::word(&format!("the label `{name}`"), value)?);
    }
    let mut pairs = Vec::new();
    for (name, value) in labels {
        pairs.push(format!("{}={value}", quote::word("the name of a label", name)?));
    }
    if pairs.is_empty() {
        return Ok(String::new());
    }
    Ok(format!("LABEL {}\n", pairs.join(" \\\n      ")))
}

/// Writes what the runtime contract says about the started process.
fn contract(started: &Started<'_>) -> Result<String, DeployError> {
    let Started { name, process, .. } = started;
    let mut text = String::new();
    let mut variables = Vec::new();
    for (variable, value) in &process.environment {
        let value = quote::word(&format!("the environment variable `{variable}` of the process `{name}`"), value)?;
        variables.push(format!("{variable}={value}"));
    }
    if !variables.is_empty() {
        // A secret has no value here, so none of these is one; hadolint takes some names for those of secrets.
        if process.environment.keys().any(|variable| variable.contains("USERNAME")) {
            text.push_str("# hadolint ignore=DL3064\n");
        }
        text.push_str(&format!("ENV {}\n", variables.join(" \\\n    ")));
    }
    let directory = quote::word(&format!("the directory of the process `{name}`"), started.directory)?;
    text.push_str(&format!("WORKDIR {directory}\n"));
    if !started.ports.is_empty() {
        let ports: Vec<String> = started.ports.iter().map(|port| format!("{port}/tcp")).collect();
        text.push_str(&format!("EXPOSE {}\n", ports.join(" ")));
    }
    text.push_str(&format!("STOPSIGNAL {}\n", process.stop_signal));
    if let Some(probe) = started.probe {
        text.push_str(&health_check(probe));
    }
    text.push_str(&format!("USER {}:{}\n", process.user.uid, process.user.gid));
    text.push_str(&format!("ENTRYPOINT {}\n", quote::exec_form(&process.command)));
    Ok(text)
}

fn health_check(probe: &Probe) -> String {
    format!(
        "HEALTHCHECK --interval={} --timeout={} --start-period={} --retries={} \\\n    CMD {}\n",
        duration(probe.interval),
        duration(probe.timeout),
        duration(probe.start_period),
        probe.retries,
        quote::exec_form(&probe.command),
    )
}

/// Writes a duration as Go reads it.
fn duration(duration: Duration) -> String {
    match duration.as_millis() {
        whole if whole % 1000 == 0 => format!("{}s", whole / 1000),
        other => format!("{other}ms"),
    }
}

/// Writes how the image is run, as comments that can be copied.
fn usage(recipe: &Recipe, started: &str) -> Result<String, DeployError> {
    let contract = &recipe.contract;
    let mut paragraphs = Vec::new();
    for writable in contract.writables.values() {
        let mut content: Vec<String> = writable.subdirectories.iter().map(|name| format!("`{name}/`")).collect();
        content.extend(writable.seed.as_ref().map(|seed| format!("a copy of what is in `{seed}`")));
        if !content.is_empty() {
            paragraphs.push(format!("Before it starts, `{}` has to hold {}.", writable.path, content.join(", ")));
        }
    }
    let mut explain = |sentence: &str, program| {
        let lines = run::lines(recipe, Some(started), program, Engine::Docker)?;
        paragraphs.push(format!("{sentence}\n\n    {}", lines.join(" \\\n      ")));
        Ok(())
    };
    let mut others = Vec::new();
    for (name, job) in &contract.jobs {
        match job.when {
            JobTime::PreDeploy => explain(&format!("Before it starts, the job `{name}`:"), Program::Job(name))?,
            JobTime::PostDeploy | JobTime::Schedule => others.push(format!("the job `{name}`")),
        }
    }
    explain("Run it with nothing writable but what it declares:", Program::Process(started))?;
    others
        .extend(contract.processes.keys().filter(|name| *name != started).map(|name| format!("the process `{name}`")));
    if !others.is_empty() {
        paragraphs.push(format!("For other containers of this image: {}.", others.join(", ")));
    }
    let text = paragraphs.join("\n\n");
    Ok(text.split('\n').map(|line| format!("# {}", quote::comment(line)).trim_end().to_owned() + "\n").collect())
}
