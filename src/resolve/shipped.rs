//! The profiles that come with the program resolve for every distro and release that the program describes.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::{Library, Recipe, Request, resolve};
use crate::distro::{Architecture, Wish};
use crate::spec::{DistroDocument, Project, SpecError, parse};

/// Returns the folder `below` of the repository as a project.
fn repository(below: &str) -> Arc<Project> {
    Arc::new(Project::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join(below)))
}

fn explain(error: SpecError) -> String {
    match error {
        SpecError::Problems(problems) => problems.iter().map(|problem| format!("{problem:?}\n")).collect(),
        SpecError::File(error) => format!("{error}: {}", error.source),
    }
}

/// Resolves the profiles `names` of `project` for every distro and release.
fn recipes<'name>(project: &Arc<Project>, names: impl IntoIterator<Item = &'name str>) -> Vec<Recipe> {
    let mut recipes = Vec::new();
    for profile in names {
        let library = Library::load(Arc::clone(project), profile).map_err(explain).unwrap();
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
    let project = repository("");
    let names = project.names("profiles", ".toml").unwrap();
    assert_eq!(names.keys().collect::<Vec<_>>(), ["default", "discourse", "postgresql", "redis"]);
    let recipes = recipes(&project, names.keys().map(String::as_str));
    assert_eq!(recipes.iter().map(|recipe| &recipe.distro.name).collect::<BTreeSet<_>>().len(), 4);
    for recipe in &recipes {
        assert!(recipe.users.values().all(|user| user.uid == 65532), "{}", recipe.profile.name);
        for process in recipe.contract.processes.values() {
            assert!(process.command[0].starts_with('/') && process.user.uid == 65532);
        }
    }
}

#[test]
fn the_project_that_init_writes_resolves() {
    let recipes = recipes(&repository("init"), ["default"]);
    assert!(recipes.iter().any(|recipe| recipe.distro.name == "alpine"));
    for recipe in recipes {
        let layers: Vec<&str> = recipe.layers.iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(layers, ["hardened", "base", "nginx", "site", "profile:default"]);
    }
}
