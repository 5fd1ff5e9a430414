//! Which packages an extension adds to those of its host.
//!
//! Comes in: what is asked for, the packages of the host: those of a lock, or what the package manager of a tree has written
//! down. Goes out: a [`Bundle`] of what has to come along. Always holds: the packages of the host are part of the solution as
//! they are; where none fits beside them, that is an error.

use std::collections::BTreeMap;

use super::apt::folder;
use super::choose::{Loaded, Merged, Place, Preferences, Wanted, check_sources, load, question, written};
use super::error::{PackageChange, PackageError};
use super::fetch::fetch;
use super::installed::Installed;
use super::means::Means;
use super::model::{Comparison, PackageId, Pool, Reason};
use super::solve::{Explanation, Question, Solution, Variant};
use crate::lock::{Bundle, LockedPackage};
use crate::resolve::{PackageSource, target_name};
use crate::spec::Family;

/// The packages of the host of an extension.
#[derive(Debug, Clone, Copy)]
pub enum Host<'run> {
    /// Those that a lock names.
    Locked {
        /// Every package, sorted by name.
        packages: &'run [LockedPackage],
        /// Where they come from.
        sources: &'run [PackageSource],
    },
    /// Those of a tree: what it says of them is all that is asked.
    Installed(&'run Installed),
}

/// Chooses the packages that an extension adds to those of its host. What the host has of what is asked for is not among
/// them.
///
/// # Errors
/// When a source cannot be reached or trusted, or nothing fits over the host as it is.
pub fn choose_over(wanted: &Wanted<'_>, host: &Host<'_>, means: &Means<'_>) -> Result<Bundle, PackageError> {
    check_sources(wanted)?;
    let Loaded { mut pools, mut places, sources } = load(wanted, means)?;
    match host {
        Host::Locked { packages, sources } => {
            if let Some(pool) = vanished(wanted, (packages, sources), &pools, means)? {
                pools.push(pool);
                places.push(Place::nowhere());
            }
        }
        // What a host says of its own packages counts, whatever an index says of those of the same version.
        Host::Installed(installed) => {
            let pool = installed.pool().map_err(|source| PackageError::Installed(Box::new(source)))?;
            pools.insert(0, pool);
            places.insert(0, Place::nowhere());
        }
    }
    let merged = Merged::of(pools, places)?;
    let (pool, family) = (&merged.pool, Preferences::of(wanted, &merged)?);
    let mut question = Question { variant: Variant::None, ..question(wanted, &merged) };
    question.installed = match host {
        Host::Locked { packages, .. } => {
            packages.iter().map(|package| (package.name.clone(), package.version.clone())).collect()
        }
        Host::Installed(installed) => installed.versions().clone(),
    };
    question.kept.retain(|name, _| !question.installed.contains_key(name));
    let solution = family
        .answer(pool, question.clone())
        .map_err(|explanation| refusal(&family, pool, question.clone(), explanation, target_name(wanted.distro)))?;
    let is_new = |id: PackageId| !question.installed.contains_key(&*name(pool, id));
    let packages = written(&solution, is_new, &merged, wanted, means)?;
    let over = match host {
        Host::Locked { packages, .. } => Bundle::digest_of(packages),
        Host::Installed(installed) => installed.of(),
    };
    Ok(Bundle { asked: wanted.bundled.digest(), over: Some(over), sources, packages, below: Vec::new() })
}

/// Reads what packages of the host say of themselves that no index has any more.
fn vanished(
    wanted: &Wanted<'_>,
    (packages, sources): (&[LockedPackage], &[PackageSource]),
    pools: &[Pool],
    means: &Means<'_>,
) -> Result<Option<Pool>, PackageError> {
    let is_known = |package: &&LockedPackage| !pools.iter().any(|pool| has(pool, package));
    let missing: Vec<LockedPackage> = packages.iter().filter(is_known).cloned().collect();
    if missing.is_empty() {
        return Ok(None);
    }
    if wanted.distro.family != Family::Apt {
        let packages = missing.iter().map(|package| format!("{} {}", package.name, package.version)).collect();
        return Err(PackageError::Vanished { packages });
    }
    let files = fetch(&missing, wanted.distro, sources, means)?;
    Ok(Some(folder::read_fetched(&missing, &files, &wanted.distro.native_architecture)?))
}

fn has(pool: &Pool, package: &LockedPackage) -> bool {
    let same = |id: PackageId| pool.text(pool.package(id).version) == package.version.as_bytes();
    pool.find(package.name.as_bytes()).is_some_and(|name| pool.named(name).any(same))
}

fn name(pool: &Pool, id: PackageId) -> String {
    String::from_utf8_lossy(pool.name(pool.package(id).name)).into_owned()
}

/// Returns why nothing fits over the host: what would have to be another version there, or else the contradiction.
fn refusal(
    family: &Preferences,
    pool: &Pool,
    question: Question,
    explanation: Explanation,
    target: String,
) -> PackageError {
    let installed = question.installed.clone();
    let mut free = Question { installed: BTreeMap::new(), ..question };
    free.kept.extend(installed.clone());
    // Who asks for what is there anyway explains nothing.
    free.requests.retain(|request| request.comparison != Comparison::Any || !installed.contains_key(&request.name));
    let changes = match family.answer(pool, free) {
        Ok(solution) => changes(pool, &solution, &installed),
        Err(_) => Vec::new(),
    };
    match changes.is_empty() {
        true => PackageError::Over { target, explanation },
        false => PackageError::OverChange { target, changes },
    }
}

/// Returns the packages of the host that a solution has in another version.
fn changes(pool: &Pool, solution: &Solution, installed: &BTreeMap<String, String>) -> Vec<PackageChange> {
    let change = |(id, reason): (&PackageId, &Reason)| {
        let name = name(pool, *id);
        let (there, wanted) = (installed.get(&name)?.clone(), pool.shown(pool.package(*id).version));
        let why = match reason {
            Reason::Relation { by, relation } => {
                format!("{} {} {}", pool.label(*by), relation.kind.verb(), pool.relation_label(relation))
            }
            _ => "you ask for it".into(),
        };
        (there != wanted).then_some(PackageChange { name, there, wanted, why })
    };
    solution.packages.iter().filter_map(change).collect()
}
