//! Which scripts and triggers of packages are to be run, and in which order.
//!
//! Packages come in the order of what they need, beginning with what the system asks for by name; what needs each other in a
//! circle comes as it is met. All files are there before the first script, which apk puts there package by package:
//! scripts that run before the installation make accounts, which files get with [`settle`](super::database::settle).

use std::collections::{BTreeMap, BTreeSet};

use globset::GlobBuilder;

use super::database::{DatabaseError, Package, sorted};
use super::relation::{self, Dependency};
use crate::packages::archive::Unpacked;
use crate::packages::claims::ClaimError;
use crate::packages::order::by_needs;
use crate::packages::step::Step;
use crate::tree::TreePath;

/// What scripts find in their environment besides what says whose they are.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Steps {
    /// Before files get their owners.
    pub before: Vec<Step>,
    /// After that: what finishes the installation of packages, then triggers.
    pub after: Vec<Step>,
}

/// Returns the steps for packages that were installed into an empty root. `world` is what the system asks for.
///
/// # Errors
/// When packages say something about themselves that cannot be.
pub fn steps(packages: &[Unpacked], world: &[String]) -> Result<Steps, DatabaseError> {
    let packages = sorted(packages)?;
    let order = order(&packages, world);
    let mut steps = Steps::default();
    for package in order.iter().map(|place| &packages[*place]) {
        let arguments = || vec![package.info.version.to_owned()];
        steps.before.extend(step(package, "pre-install", arguments())?);
        steps.after.extend(step(package, "post-install", arguments())?);
    }
    let directories = directories(&packages);
    for package in order.iter().map(|place| &packages[*place]) {
        let arguments = matching(package, &directories)?;
        if !arguments.is_empty() {
            steps.after.extend(step(package, "trigger", arguments)?);
        }
    }
    Ok(steps)
}

fn step(package: &Package<'_>, kind: &str, arguments: Vec<String>) -> Result<Option<Step>, DatabaseError> {
    let Some(bytes) = package.script(kind) else { return Ok(None) };
    let path = format!("/lib/apk/exec/{}-{}.{kind}", package.info.name, package.info.version);
    let script: TreePath = path.parse().map_err(ClaimError::from)?;
    Ok(Some(Step {
        package: package.info.name.to_owned(),
        name: kind.to_owned(),
        script: Some((script, bytes.to_vec())),
        program: path,
        arguments,
        input: String::new(),
        environment: [("PATH", PATH), ("APK_PACKAGE", package.info.name), ("APK_SCRIPT", kind)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        may_fail: true,
    }))
}

/// Returns the places of packages in the order of their installation.
fn order(packages: &[Package<'_>], world: &[String]) -> Vec<usize> {
    let mut serving: BTreeMap<&[u8], Vec<(usize, &str)>> = BTreeMap::new();
    for (place, package) in packages.iter().enumerate() {
        serving.entry(package.info.name.as_bytes()).or_default().push((place, package.info.version));
        for word in &package.info.provides {
            let (name, version) = word.split_once('=').unwrap_or((word, ""));
            serving.entry(name.as_bytes()).or_default().push((place, version));
        }
    }
    let found = |word: &str| -> Option<usize> {
        let wanted = Dependency::parse(word.as_bytes()).ok().filter(|dependency| !dependency.conflict)?;
        let fits =
            |(_, version): &&(usize, &str)| relation::matches(version.as_bytes(), wanted.comparison, wanted.version);
        serving.get(wanted.name)?.iter().find(fits).map(|(place, _)| *place)
    };
    let mut roots: Vec<&str> = world.iter().map(String::as_str).collect();
    roots.sort_unstable();
    let needs = |place: usize| packages[place].info.depends.iter().filter_map(|word| found(word)).collect();
    by_needs(packages.len(), roots.into_iter().filter_map(found), needs)
}

/// Returns the directories that packages have put files into, with a slash before them, sorted.
fn directories(packages: &[Package<'_>]) -> Vec<String> {
    let entries = packages.iter().flat_map(|package| &package.unpacked.entries);
    let parents = entries.filter(|entry| !entry.is_directory()).filter_map(|entry| entry.path.parent());
    let sorted: BTreeSet<TreePath> = parents.collect();
    sorted.iter().map(ToString::to_string).collect()
}

/// Returns the directories that fit one of the patterns of a package.
fn matching(package: &Package<'_>, directories: &[String]) -> Result<Vec<String>, DatabaseError> {
    let mut patterns = Vec::new();
    for pattern in &package.info.triggers {
        // A plus sign asks for changed directories only, of which there are no others here.
        let pattern = pattern.strip_prefix('+').unwrap_or(pattern);
        let glob = GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).build();
        let glob = glob.map_err(|error| DatabaseError::Package {
            package: package.info.name.to_owned(),
            reason: format!("`{pattern}` in its `triggers` is no pattern: {}", error.kind()),
        })?;
        patterns.push(glob.compile_matcher());
    }
    let fits = |directory: &&String| patterns.iter().any(|pattern| pattern.is_match(directory));
    Ok(directories.iter().filter(fits).cloned().collect())
}
