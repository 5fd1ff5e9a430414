//! What a command works on: a profile, some of its distros, values of variables.

use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use crate::distro::{Architecture, Wish};
use crate::error::Error;
use crate::resolve::{
    Library, ProfileSource, Recipe, Request, Requirements, Setting, each_once, requirements, resolve,
};
use crate::spec::{Located, Place, Problem, Project, Scalar, Source, SpecError, Table, parse};

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// A name in `profiles/` or the path of a TOML file; `default` when nothing is said.
    pub profile: Option<String>,
    /// Distros of the profile; `all` stands for every one. The only one, or all, when nothing is said.
    pub distros: Vec<String>,
    /// Another release.
    pub release: Option<String>,
    /// Another architecture.
    pub architecture: Option<Architecture>,
    /// Values of variables, the strongest last.
    pub settings: Vec<Setting>,
    /// The time of every file, when the caller says so.
    pub epoch: Option<i64>,
}

/// The profile that is taken when none is named.
pub(super) const DEFAULT_PROFILE: &str = "default";

impl Selection {
    /// Returns the name of the profile.
    pub fn profile(&self) -> &str {
        self.profile.as_deref().unwrap_or(DEFAULT_PROFILE)
    }

    /// Reads the profile and its layers.
    ///
    /// # Errors
    /// When something in it is wrong or cannot be read.
    pub fn library(&self, project: &Arc<Project>) -> Result<Library, Error> {
        Ok(Library::load(Arc::clone(project), self.profile())?)
    }

    /// Returns one request for each distro that is asked for.
    ///
    /// # Errors
    /// When the profile does not have one of them.
    pub fn requests(&self, library: &ProfileSource) -> Result<Vec<Request>, Error> {
        let distros = library.distros()?;
        let all = self.distros.is_empty() || self.distros.iter().any(|name| name == "all");
        let unknown = self.distros.iter().find(|name| *name != "all" && !distros.contains_key(name.as_str()));
        if let Some(name) = unknown {
            return Err(SpecError::from(
                Problem::anywhere(format!("the profile `{}` is not made for the distro `{name}`", library.name))
                    .rule("a profile names its distros as `[distro.NAME]`")
                    .suggest(name, "its distros", distros.keys().map(|name| name.as_str())),
            )
            .into());
        }
        let asked = |name: &str| all || self.distros.iter().any(|asked| asked == name);
        let wish = Wish { release: self.release.clone(), architecture: self.architecture };
        let request = |(distro, table): (Located<crate::spec::Name>, crate::spec::DistroTable)| Request {
            distro,
            table,
            wish: wish.clone(),
            settings: self.settings.clone(),
            epoch: self.epoch,
        };
        Ok(distros.into_iter().filter(|(name, _)| asked(name)).map(request).collect())
    }

    /// Resolves the profile for each distro that is asked for, in parallel. Problems that all of them have are told
    /// once.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn recipes(&self, library: &Library) -> Result<Vec<Recipe>, Error> {
        resolve_all(library, &self.requests(library)?)
    }

    /// Returns what the profile as it is requires for every distro it names, whatever is asked for on the command line:
    /// what its lock has to cover.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn declared_requirements(&self, library: &Library) -> Result<Vec<Requirements>, Error> {
        for_each(&self.declared(library)?, |request| requirements(library, request))
    }

    /// Returns one request for each distro that the profile names, whatever is asked for on the command line.
    ///
    /// # Errors
    /// When the profile is invalid.
    pub(super) fn declared(&self, library: &ProfileSource) -> Result<Vec<Request>, Error> {
        let whole = Self { distros: Vec::new(), release: None, architecture: None, ..self.clone() };
        whole.requests(library)
    }
}

pub(super) fn resolve_all(library: &Library, requests: &[Request]) -> Result<Vec<Recipe>, Error> {
    for_each(requests, |request| resolve(library, request))
}

/// Resolves something for each request, in parallel.
fn for_each<T: Send>(
    requests: &[Request],
    resolve: impl Fn(&Request) -> Result<T, SpecError> + Sync,
) -> Result<Vec<T>, Error> {
    // The first one reads the files that all share, on all threads; nobody waits for another or reads them again then.
    let Some((first, others)) = requests.split_first() else { return Ok(Vec::new()) };
    let mut resolved = vec![resolve(first)];
    resolved.par_extend(others.par_iter().map(&resolve));
    let mut done = Vec::new();
    let mut problems = Vec::new();
    for (request, result) in requests.iter().zip(resolved) {
        let mut found = Vec::new();
        match result {
            Ok(one) => done.push(one),
            Err(SpecError::Problems(of_distro)) => found = of_distro,
            Err(error) => return Err(error.into()),
        }
        problems.push((request.distro.to_string(), found));
    }
    let problems = each_once(&problems);
    if problems.is_empty() { Ok(done) } else { Err(SpecError::Problems(problems).into()) }
}

/// Reads `NAME=VALUE`, as `--set` takes it.
///
/// # Errors
/// When there is no `=`.
pub fn read_setting(text: &str) -> Result<Setting, Error> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(Error::usage(format!("`--set {text}` sets nothing: expected NAME=VALUE")));
    };
    Ok(Setting {
        name: name.trim().to_owned(),
        value: Scalar::Text(value.to_owned()),
        origin: "--set".into(),
        place: None,
        strict: true,
    })
}

/// Reads a TOML file of `NAME = VALUE` lines, as `--vars` takes it.
///
/// # Errors
/// When it cannot be read or a value is of no type that variables have.
pub fn read_settings(path: &Path) -> Result<Vec<Setting>, Error> {
    let text = crate::fs::read_to_string(path)?;
    let source = Arc::new(Source { name: path.display().to_string(), path: Some(path.to_owned()), text });
    let values: Table<String, Located<Scalar>> = parse(&source).map_err(SpecError::from)?;
    let setting = |(name, value): (Located<String>, Located<Scalar>)| {
        let place: Place = value.place.clone();
        Setting { name: name.value, value: value.value, origin: place.to_string(), place: Some(place), strict: true }
    };
    Ok(values.into_iter().map(setting).collect())
}
