//! Which scripts and hooks of packages are to be run, and in which order (alpm-install-scriptlet(5), alpm-hooks(5)).
//!
//! Packages come in the order of what they need; what needs each other in a circle comes as it is met. All files are there
//! before the first script, which pacman puts there package by package. The functions of a package are read from the local
//! database. Hooks that run before a transaction are not there yet when the first packages are installed.

use std::collections::BTreeMap;

use super::database::{DatabaseError, Package, sorted};
use super::hooks::Hook;
use super::relation::Relation;
use super::version;
use crate::packages::archive::Unpacked;
use crate::packages::claims::ClaimError;
use crate::packages::model::Comparison;
use crate::packages::order::by_needs;
use crate::packages::step::Step;
use crate::tree::{Kind, Tree, TreePath};

/// The most bytes of a hook.
const LARGEST: usize = 1 << 20;
/// Where hooks are, those that replace others of their name last.
const HOOKS: [&str; 2] = ["/usr/share/libalpm/hooks", "/etc/pacman.d/hooks"];

/// Returns the steps for packages that were installed into an empty root: `tree`.
///
/// # Errors
/// When packages say something about themselves that cannot be, or a hook is not written as it should be.
pub fn steps(tree: &Tree, packages: &[Unpacked]) -> Result<Vec<Step>, DatabaseError> {
    let packages = sorted(packages)?;
    let mut steps = Vec::new();
    for package in order(&packages).into_iter().map(|place| &packages[place]) {
        for function in ["pre_install", "post_install"] {
            steps.extend(scriptlet(package, function));
        }
    }
    if tree.get(&path("/etc/ld.so.conf")?).is_some() {
        steps.push(step("glibc", "ldconfig", &["/usr/bin/ldconfig".to_owned()]));
    }
    steps.extend(hook_steps(tree, &packages)?);
    Ok(steps)
}

fn path(text: &str) -> Result<TreePath, DatabaseError> {
    Ok(text.parse::<TreePath>().map_err(ClaimError::from)?)
}

fn step(package: &str, name: &str, command: &[String]) -> Step {
    let (program, arguments) =
        command.split_first().map_or((String::new(), &[][..]), |(first, rest)| (first.clone(), rest));
    Step {
        package: package.to_owned(),
        name: name.to_owned(),
        script: None,
        program,
        arguments: arguments.to_vec(),
        input: String::new(),
        environment: vec![("PATH".to_owned(), "/usr/local/sbin:/usr/local/bin:/usr/bin".to_owned())],
        may_fail: true,
    }
}

/// Returns the step for a function of the script of a package, where it has one.
fn scriptlet(package: &Package<'_>, function: &str) -> Option<Step> {
    let script = package.unpacked.control_file(".INSTALL")?;
    // As pacman does: the name standing in the script is what makes it be run.
    memchr::memmem::find(&script.bytes, function.as_bytes())?;
    let (name, version) = (package.info.name, package.info.version);
    let place = format!("/var/lib/pacman/local/{name}-{version}/install");
    let command = ["/usr/bin/bash".to_owned(), "-c".to_owned(), format!(". {place}; {function} {version}")];
    Some(step(name, function, &command))
}

/// Returns the places of packages in the order of their installation.
fn order(packages: &[Package<'_>]) -> Vec<usize> {
    let mut serving: BTreeMap<&[u8], Vec<(usize, &[u8])>> = BTreeMap::new();
    for (place, package) in packages.iter().enumerate() {
        let own = (place, package.info.version.as_bytes());
        serving.entry(package.info.name.as_bytes()).or_default().push(own);
        for provided in package.info.provides.iter().filter_map(|word| Relation::parse(word.as_bytes()).ok()) {
            serving.entry(provided.name).or_default().push((place, provided.version));
        }
    }
    let found = |word: &str| -> Option<usize> {
        let wanted = Relation::parse(word.as_bytes()).ok()?;
        let fits = |(_, have): &&(usize, &[u8])| {
            wanted.comparison == Comparison::Any
                || !have.is_empty() && wanted.comparison.allows(version::compare(have, wanted.version))
        };
        serving.get(wanted.name)?.iter().find(fits).map(|(place, _)| *place)
    };
    by_needs(packages.len(), [], |place| packages[place].info.depends.iter().filter_map(|word| found(word)).collect())
}

/// Returns the steps of the hooks that an installation of all packages triggers, in the order of their names.
fn hook_steps(tree: &Tree, packages: &[Package<'_>]) -> Result<Vec<Step>, DatabaseError> {
    let names: Vec<&str> = packages.iter().map(|package| package.info.name).collect();
    let mut paths: Vec<String> = Vec::new();
    let mut owners: BTreeMap<&[u8], &str> = BTreeMap::new();
    for package in packages {
        for entry in &package.unpacked.entries {
            let slash = if entry.is_directory() { "/" } else { "" };
            paths.push(format!("{}{slash}", String::from_utf8_lossy(entry.path.as_bytes())));
            owners.insert(entry.path.as_bytes(), package.info.name);
        }
    }
    let mut steps = Vec::new();
    for (name, hook_path) in hook_paths(tree)? {
        let owner = owners.get(hook_path.as_bytes()).copied().unwrap_or_default();
        let fault = |reason: String| DatabaseError::Package { package: owner.to_owned(), reason };
        let Some(Kind::Regular(content)) = tree.lookup(&hook_path).map(|node| &node.kind) else {
            // A link to `/dev/null` is how an administrator says that a hook is not wanted.
            continue;
        };
        let bytes = content.read(LARGEST)?.ok_or_else(|| fault(format!("the hook `{name}` is too long")))?;
        let text = String::from_utf8_lossy(&bytes);
        let hook =
            Hook::parse(&text).map_err(|(line, words)| fault(format!("in the hook `{name}`, line {line}: {words}")))?;
        let targets = hook.targets(&names, &paths);
        let targets = targets.map_err(|target| fault(format!("in the hook `{name}`: `{target}` is no pattern")))?;
        if !hook.after || targets.is_empty() || !depends_are_there(&hook, packages) {
            continue;
        }
        let input = if hook.needs_targets {
            targets.iter().map(|target| format!("{target}\n")).collect()
        } else {
            String::new()
        };
        steps.push(Step { input, ..step(owner, &name, &hook.command) });
    }
    Ok(steps)
}

/// Returns the hooks by their names, those of the administrator in place of others.
fn hook_paths(tree: &Tree) -> Result<BTreeMap<String, TreePath>, DatabaseError> {
    let mut found = BTreeMap::new();
    for directory in HOOKS {
        let directory = path(directory)?;
        for (below, _) in tree.below(&directory) {
            let name = String::from_utf8_lossy(below.name().unwrap_or_default()).into_owned();
            if name.ends_with(".hook") && below.parent().as_ref() == Some(&directory) {
                found.insert(name, below.clone());
            }
        }
    }
    Ok(found)
}

/// Tells whether the packages that a hook needs are there; without them pacman does not run it.
fn depends_are_there(hook: &Hook, packages: &[Package<'_>]) -> bool {
    hook.depends.iter().all(|word| {
        let Ok(wanted) = Relation::parse(word.as_bytes()) else { return false };
        packages.iter().any(|package| {
            let own = (package.info.name.as_bytes(), package.info.version.as_bytes());
            let provided = package.info.provides.iter().filter_map(|word| Relation::parse(word.as_bytes()).ok());
            provided.map(|one| (one.name, one.version)).chain([own]).any(|(name, have)| {
                name == wanted.name
                    && (wanted.comparison == Comparison::Any
                        || !have.is_empty() && wanted.comparison.allows(version::compare(have, wanted.version)))
            })
        })
    })
}
