//! The command that runs a program of an image as its contract says.

use std::collections::BTreeMap;

use super::{DeployError, quote};
use crate::resolve::{Account, HandOver, Limits, Process, Recipe, Writable};
use crate::spec::{Need, WritableKind};

/// A container engine, by the options it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Docker.
    Docker,
    /// Podman.
    Podman,
}

/// A program of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program<'name> {
    /// A process, by name.
    Process(&'name str),
    /// A job, by name.
    Job(&'name str),
}

/// Returns the name that an image of the profile is given when nobody says another: the profile's own, in the letters
/// that image names have.
pub fn image_name(recipe: &Recipe) -> String {
    let lower = recipe.profile.name.to_lowercase();
    let parts = lower.split(|character: char| !character.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    let name = parts.collect::<Vec<_>>().join("-");
    if name.is_empty() { "image".into() } else { name }
}

/// Returns the command line that runs `program` of `image`, an image that starts the process `started`: read-only, as
/// its own user, without capabilities, with nothing writable but what the profile declares. State and logs are on
/// volumes named after the image. The values of secrets are not in it: it takes those that are handed over in the
/// environment from the caller's, and those that are files from `./secrets/NAME`.
///
/// # Errors
/// When the profile has no such program, or one of its paths cannot be an option of the engine.
pub fn run_command(
    recipe: &Recipe,
    image: &str,
    started: Option<&str>,
    program: Program<'_>,
    engine: Engine,
) -> Result<Vec<String>, DeployError> {
    let options = Command { recipe, image, started, engine }.arguments(program)?;
    Ok(options.into_iter().flatten().collect())
}

/// Returns the same command for people: one option on each line, quoted for a shell.
pub(super) fn lines(
    recipe: &Recipe,
    started: Option<&str>,
    program: Program<'_>,
    engine: Engine,
) -> Result<Vec<String>, DeployError> {
    let image = image_name(recipe);
    let options = Command { recipe, image: &image, started, engine }.arguments(program)?;
    let line =
        |words: Vec<String>| words.iter().map(|word| quote::command_line_word(word)).collect::<Vec<_>>().join(" ");
    // Older engines want an absolute path; the shell that reads the line knows where it is.
    let here = |line: String| line.replace("source=./", "source=\"$PWD\"/");
    Ok(options.into_iter().map(line).map(here).collect())
}

struct Command<'run> {
    recipe: &'run Recipe,
    image: &'run str,
    started: Option<&'run str>,
    engine: Engine,
}

/// What processes and jobs have in common.
struct Started<'run> {
    command: &'run [String],
    user: Account,
    directory: Option<&'run str>,
    environment: &'run BTreeMap<String, String>,
    secrets: &'run [String],
    needs: &'run [Need],
    limits: &'run Limits,
    process: Option<&'run Process>,
}

impl<'run> Command<'run> {
    /// Returns the command, each option with its value.
    fn arguments(&self, program: Program<'_>) -> Result<Vec<Vec<String>>, DeployError> {
        let found = self.find(program)?;
        let image_process = self.started.and_then(|name| self.recipe.contract.processes.get(name));
        let is_own = matches!(program, Program::Process(name) if Some(name) == self.started);
        let engine = match self.engine {
            Engine::Docker => "docker",
            Engine::Podman => "podman",
        };
        let fixed = [engine, "run", "--rm", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"];
        let mut options = vec![words(fixed)];
        options.push(words(["--user", &format!("{}:{}", found.user.uid, found.user.gid)]));
        let ports: Vec<u16> = found.process.iter().flat_map(|process| process.ports.values().copied()).collect();
        if ports.is_empty() && !found.needs.contains(&Need::Network) {
            options.push(words(["--network", "none"]));
        }
        for port in ports {
            options.push(words(["--publish", &format!("127.0.0.1:{port}:{port}")]));
        }
        for (name, writable) in &self.recipe.contract.writables {
            options.push(self.writable(name, writable)?);
        }
        for name in found.secrets {
            if let Some(secret) = self.recipe.contract.secrets.get(name) {
                options.push(secret_option(name, &secret.hand_over)?);
            }
        }
        options.extend(limits(found.limits));
        if let Some(process) = found.process {
            options.push(words(["--stop-timeout", &process.stop_timeout.as_secs_f64().ceil().to_string()]));
        }
        let Some((program, arguments)) = found.command.split_first().filter(|_| !is_own) else {
            options.push(vec![self.image.to_owned()]);
            return Ok(options);
        };
        // The image says what its own process is given; any other program is told here.
        let known = image_process.map(|process| &process.environment);
        for (variable, value) in found.environment {
            if known.and_then(|known| known.get(variable)) != Some(value) {
                options.push(vec!["--env".into(), format!("{variable}={value}")]);
            }
        }
        options.push(words(["--workdir", found.directory.unwrap_or("/")]));
        options.push(words(["--no-healthcheck"]));
        options.push(words(["--entrypoint", program]));
        options.push(std::iter::once(self.image).chain(arguments.iter().map(String::as_str)).map(Into::into).collect());
        Ok(options)
    }

    fn find(&self, program: Program<'_>) -> Result<Started<'run>, DeployError> {
        let contract = &self.recipe.contract;
        let found = match program {
            Program::Process(name) => contract.processes.get(name).map(|process| Started {
                command: &process.command,
                user: process.user,
                directory: process.directory.as_deref(),
                environment: &process.environment,
                secrets: &process.secrets,
                needs: &process.needs,
                limits: &process.limits,
                process: Some(process),
            }),
            Program::Job(name) => contract.jobs.get(name).map(|job| Started {
                command: &job.command,
                user: job.user,
                directory: job.directory.as_deref(),
                environment: &job.environment,
                secrets: &job.secrets,
                needs: &job.needs,
                limits: &job.limits,
                process: None,
            }),
        };
        found.ok_or_else(|| {
            let (kind, name) = match program {
                Program::Process(name) => ("process", name),
                Program::Job(name) => ("job", name),
            };
            DeployError::UnknownProgram { kind, name: name.to_owned() }
        })
    }

    fn writable(&self, name: &str, writable: &Writable) -> Result<Vec<String>, DeployError> {
        let path = writable.path.to_string();
        mountable(&format!("the writable path `{name}`"), &path)?;
        if matches!(writable.kind, WritableKind::State | WritableKind::Logs) {
            return Ok(words(["--volume", &format!("{}-{name}:{path}", self.image_part())]));
        }
        let Account { uid, gid } = writable.owner;
        let mode = writable.mode;
        Ok(match self.engine {
            Engine::Docker => {
                let size = writable.size.map(|size| format!(",size={}", bytes(size))).unwrap_or_default();
                words(["--tmpfs", &format!("{path}:uid={uid},gid={gid},mode={mode:04o}{size}")])
            }
            Engine::Podman => {
                // It knows no numbers here, only whether the directory belongs to the user of the container.
                let chown = if uid == 0 { "" } else { ",chown=true" };
                let size = writable.size.map(|size| format!(",tmpfs-size={}", bytes(size))).unwrap_or_default();
                words(["--mount", &format!("type=tmpfs,destination={path},tmpfs-mode={mode:04o}{size}{chown}")])
            }
        })
    }

    /// Returns the image's name without registry and tag, which the names of volumes cannot hold.
    fn image_part(&self) -> &'run str {
        let last = self.image.rsplit('/').next().unwrap_or_default();
        last.split([':', '@']).next().unwrap_or_default()
    }
}

fn words<const COUNT: usize>(words: [&str; COUNT]) -> Vec<String> {
    words.map(Into::into).into()
}

fn secret_option(name: &str, hand_over: &HandOver) -> Result<Vec<String>, DeployError> {
    Ok(match hand_over {
        HandOver::Environment(variable) => words(["--env", variable]),
        HandOver::File(path) => {
            let path = path.to_string();
            mountable(&format!("the path of the secret `{name}`"), &path)?;
            words(["--mount", &format!("type=bind,source=./secrets/{name},target={path},readonly")])
        }
    })
}

/// Returns the options for limits that an engine can set exactly.
fn limits(limits: &Limits) -> Vec<Vec<String>> {
    let memory = limits.memory_max.map(|limit| ["--memory".to_owned(), bytes(limit)]);
    let tasks = limits.tasks.map(|count| ["--pids-limit".to_owned(), count.to_string()]);
    let files = limits.open_files.map(|count| ["--ulimit".to_owned(), format!("nofile={count}")]);
    [memory, tasks, files].into_iter().flatten().map(Vec::from).collect()
}

/// Writes a number of bytes with the largest suffix that loses nothing.
fn bytes(count: u64) -> String {
    match count.trailing_zeros() {
        30.. if count > 0 => format!("{}g", count >> 30),
        20.. if count > 0 => format!("{}m", count >> 20),
        10.. if count > 0 => format!("{}k", count >> 10),
        _ => count.to_string(),
    }
}

/// Checks that the options of engines can hold a path: they separate their parts with `:` and `,`.
fn mountable(what: &str, path: &str) -> Result<(), DeployError> {
    if path.contains([':', ',']) {
        return Err(DeployError::value(what, path, "a `:` or `,`, which separate the parts of a mount"));
    }
    Ok(())
}
