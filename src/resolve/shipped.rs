//! The profiles that come with the program resolve for every distro and release that the program describes.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::{Library, Recipe, Request, resolve};
use crate::distro::{Architecture, Wish};
use crate::spec::{DistroDocument, Project, SpecError, parse};

/// Returns the repository as a project.
fn repository() -> Arc<Project> {
    Arc::new(Project::open(Path::new(env!("CARGO_MANIFEST_DIR"))))
}

fn explain(error: SpecError) -> String {
    match error {
        SpecError::Problems(problems) => problems.iter().map(|problem| format!("{problem:?}\n")).collect(),
        SpecError::File(error) => format!("{error}: {}", error.source),
    }
}

/// Resolves every shipped profile for every distro and release.
fn recipes() -> Vec<Recipe> {
    let project = repository();
    let mut recipes = Vec::new();
    for profile in project.names("profiles", ".toml").unwrap().keys() {
        let library = Library::load(Arc::clone(&project), profile).map_err(explain).unwrap();
        for (distro, table) in library.distros().map_err(explain).unwrap() {
            let (source, _) = project.source(&format!("distros/{}.toml", *distro)).unwrap().unwrap();
            let document: DistroDocument = parse(&source).unwrap();
            for release in document.release.keys() {
                let wish = Wish { release: Some(release.value.clone()), architecture: Some(Architecture::X86_64) };
                let (distro, table) = (distro.clone(), table.clone());
                let request = Request { distro, table, wish, settings: Vec::new(), epoch: None };
                recipes.push(resolve(&library, &request).map_err(explain).unwrap());
            }
        }
    }
    recipes
}

#[test]
fn every_shipped_profile_resolves_for_every_release() {
    let recipes = recipes();
    let names: BTreeSet<&str> = recipes.iter().map(|recipe| recipe.profile.name.as_str()).collect();
    assert_eq!(names, BTreeSet::from(["default", "discourse", "postgresql", "redis"]));
    assert_eq!(recipes.iter().map(|recipe| &recipe.distro.name).collect::<BTreeSet<_>>().len(), 4);
    for recipe in &recipes {
        assert!(recipe.users.values().all(|user| user.uid == 65532), "{}", recipe.profile.name);
        for process in recipe.contract.processes.values() {
            assert!(process.command[0].starts_with('/') && process.user.uid == 65532);
        }
    }
}
