//! The command line: the only part that reads the environment and prints.
//!
//! Comes in: arguments and environment. Goes out: data on the standard output, progress and diagnostics on the standard
//! error, and an exit code ([`crate::error`]). Always holds: commands only call the engine; what they print is readable
//! without colours.

mod args;
mod changes;
mod check;
pub mod diagnostic;
mod diff;
mod generate;
mod graph;
mod init;
mod inspect;
mod key;
mod lint;
mod list;
mod lock;
mod manual;
mod network;
mod outdated;
mod plan;
mod progress;
mod publish;
mod push;
mod render;
mod sign;
mod store;
mod terminal;
mod vendor;
mod verify;
mod why;
mod why_package;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;

use crate::engine::{Selection, read_setting, read_settings};
use crate::error::Error;
use crate::resolve::Setting;
use crate::sandbox;
use crate::spec::{Project, Scalar};
use crate::store::Store;

use args::{Arguments, Command, SelectionArguments, TargetArguments};
use terminal::Terminal;

/// Runs the program with the arguments and environment of the process.
pub fn run() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == sandbox::KEEPER) {
        // Started by this program itself: with one thread, and nothing to do with a person.
        return ExitCode::from(sandbox::keep());
    }
    let arguments = Arguments::parse();
    let terminal = Terminal::new(&arguments.global);
    log(arguments.global.verbose);
    if let Some(jobs) = arguments.global.jobs {
        // Only fails when the pool was made before, which nothing does.
        rayon::ThreadPoolBuilder::new().num_threads(jobs.get()).build_global().ok();
    }
    match dispatch(&arguments, &terminal) {
        Ok(code) => code,
        Err(error) => {
            terminal.error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn dispatch(arguments: &Arguments, terminal: &Terminal) -> Result<ExitCode, Error> {
    let session = Session { project: Arc::new(Project::open(&root(arguments))), terminal };
    match &arguments.command {
        Command::Render(arguments) => render::run(&session, arguments),
        Command::Check(arguments) => check::run(&session, arguments),
        Command::Plan(arguments) => plan::run(&session, arguments),
        Command::Why(arguments) => why::run(&session, arguments),
        Command::WhyPackage(arguments) => why_package::run(&session, arguments),
        Command::Outdated(arguments) => outdated::run(&session, arguments),
        Command::Vendor(arguments) => vendor::run(&session, arguments),
        Command::List(arguments) => list::run(&session, arguments),
        Command::Diff(arguments) => diff::run(&session, arguments),
        Command::Graph(arguments) => graph::run(&session, arguments),
        Command::Inspect(arguments) => inspect::run(&session, arguments),
        Command::Lint(arguments) => lint::run(&session, arguments),
        Command::Verify(arguments) => verify::run(&session, arguments),
        Command::Init(command) => init::run(terminal, &arguments.global, command),
        Command::Key(arguments) => key::run(terminal, arguments),
        Command::Sign(arguments) => sign::run(&session, arguments),
        Command::Publish(arguments) => publish::run(&session, arguments),
        Command::Lock(arguments) => lock::run(&session, arguments),
        Command::Push(arguments) => push::push(&session, arguments),
        Command::Pull(arguments) => push::pull(&session, arguments),
        Command::Store(arguments) => store::run(&session, arguments),
        Command::Schema(arguments) => generate::schema(terminal, arguments.kind),
        Command::Completions(arguments) => generate::completions(terminal, arguments.shell),
        Command::Man => manual::run(terminal),
    }
}

/// Returns the root of the project: what `--project` says, or, for a profile that is named by its path, the folder that
/// holds its `profiles/`, or else the folder it is in.
fn root(arguments: &Arguments) -> PathBuf {
    if let Some(project) = &arguments.global.project {
        return project.clone();
    }
    let profile = arguments.command.profile().filter(|profile| profile.ends_with(".toml"));
    let folder = profile.and_then(|profile| Path::new(profile).parent());
    match folder {
        Some(folder) if folder.ends_with("profiles") => folder.parent().unwrap_or(folder).to_owned(),
        Some(folder) => folder.to_owned(),
        None => PathBuf::from("."),
    }
}

/// What every command works with.
struct Session<'run> {
    project: Arc<Project>,
    terminal: &'run Terminal,
}

impl Session<'_> {
    /// Opens the cache folder; one that cannot be written is replaced by a temporary one, with a warning.
    fn store(&self) -> Result<Store, Error> {
        let path = store_path();
        let opened = match &path {
            Some(path) => Store::open(path),
            None => Store::temporary(&std::env::temp_dir()),
        };
        match opened {
            Ok(store) => Ok(store),
            Err(error) => {
                let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
                self.terminal.warning(
                    &format!("the cache folder cannot be used, every file is read again: {error}{source}"),
                    Some("set `LAYERFORGE_STORE` to a folder that can be written"),
                );
                Ok(Store::temporary(&std::env::temp_dir())?)
            }
        }
    }

    /// Turns arguments into a selection, with what the environment adds.
    fn selection(&self, arguments: &SelectionArguments) -> Result<Selection, Error> {
        self.target(arguments.profile.as_ref(), &arguments.target)
    }

    /// Returns the name of a profile as the project knows it: a path is given as seen from the working directory, and
    /// known as seen from the root.
    fn profile_name(&self, profile: &str) -> String {
        let path = Path::new(profile);
        let path = path.strip_prefix(".").unwrap_or(path);
        let below = path.strip_prefix(self.project.root()).ok().filter(|_| profile.ends_with(".toml"));
        below.and_then(Path::to_str).unwrap_or(profile).to_owned()
    }

    fn target(&self, profile: Option<&String>, arguments: &TargetArguments) -> Result<Selection, Error> {
        let mut settings = environment_settings();
        for file in &arguments.setting_files {
            settings.extend(read_settings(file)?);
            self.project.depends_on(file)?;
        }
        for text in &arguments.settings {
            settings.push(read_setting(text)?);
        }
        Ok(Selection {
            profile: profile.map(|profile| self.profile_name(profile)),
            distros: arguments.distros.clone(),
            release: arguments.release.clone(),
            architecture: arguments.arch,
            settings,
            epoch: source_date_epoch()?,
        })
    }
}

/// What begins the name of an environment variable that sets a variable of a profile.
const VARIABLE_PREFIX: &str = "LAYERFORGE_VAR_";

/// Returns the variables that `LAYERFORGE_VAR_NAME` sets.
fn environment_settings() -> Vec<Setting> {
    let mut settings: Vec<_> = std::env::vars_os()
        .filter_map(|(key, value)| {
            let key = key.into_string().ok()?;
            let name = key.strip_prefix(VARIABLE_PREFIX)?.to_lowercase();
            let value = Scalar::Text(value.to_string_lossy().into_owned());
            Some(Setting { name, value, origin: key, place: None, strict: false })
        })
        .collect();
    settings.sort_by(|one, other| one.origin.cmp(&other.origin));
    settings
}

/// Returns the time that `SOURCE_DATE_EPOCH` asks for (reproducible-builds.org specification).
#[expect(clippy::disallowed_methods, reason = "the command line reads the environment")]
fn source_date_epoch() -> Result<Option<i64>, Error> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty()) else { return Ok(None) };
    match text.to_string_lossy().parse() {
        Ok(seconds) if seconds >= 0 => Ok(Some(seconds)),
        _ => Err(Error::usage(format!(
            "`SOURCE_DATE_EPOCH` is `{}`: expected a number of seconds since 1970-01-01 UTC",
            text.to_string_lossy()
        ))),
    }
}

/// Returns the cache folder: `LAYERFORGE_STORE`, or `layerforge` in the user's cache folder (XDG base directory
/// specification).
#[expect(clippy::disallowed_methods, reason = "the command line reads the environment")]
fn store_path() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("LAYERFORGE_STORE")
        .or_else(|| set("XDG_CACHE_HOME").filter(|path| path.is_absolute()).map(|path| path.join("layerforge")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/layerforge")))
}

/// Shows developers what happens inside, as `-v` or `LAYERFORGE_LOG` asks.
fn log(verbose: u8) {
    let level = match verbose {
        0 => "off",
        1 => "layerforge=debug",
        _ => "trace",
    };
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(level.parse().unwrap_or_default())
        .with_env_var("LAYERFORGE_LOG")
        .from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time().init();
}
