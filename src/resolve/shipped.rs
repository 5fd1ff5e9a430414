//! The profiles that come with the program resolve for every distro and release that the program describes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Library, Recipe, Request, resolve};
use crate::distro::{Architecture, Wish};
use crate::spec::{DistroDocument, DocumentKind, Project, SpecError, parse, schema};

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
    let recipes = recipes(&repository("src/engine/starter"), ["default"]);
    assert!(recipes.iter().any(|recipe| recipe.distro.name == "alpine"));
    for recipe in recipes {
        let layers: Vec<&str> = recipe.layers.iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(layers, ["hardened", "base", "nginx", "site", "profile:default"]);
    }
}

#[test]
fn the_schemas_in_the_repository_are_those_of_the_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (kind, name) in
        [(DocumentKind::Profile, "profile"), (DocumentKind::Layer, "layer"), (DocumentKind::Distro, "distro")]
    {
        let text = crate::fs::read(&root.join(format!("docs/schema/{name}.json"))).unwrap();
        let written: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let current = serde_json::to_value(schema(kind)).unwrap();
        assert!(written == current, "run `layerforge schema {name} > docs/schema/{name}.json`");
    }
}

/// Editors complete and check a document whose first line names its schema.
#[test]
fn every_shipped_document_names_its_schema() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for folder in ["profiles", "layers", "src/distro/data", "src/engine/starter"] {
        for entry in documents(&root.join(folder)) {
            let text = String::from_utf8(crate::fs::read(&entry).unwrap()).unwrap();
            let schema = text.lines().next().and_then(|line| line.strip_prefix("#:schema ")).expect("a first line");
            let kind = match folder {
                "src/distro/data" => "distro",
                _ if entry.ends_with("layer.toml") => "layer",
                _ => "profile",
            };
            // `init` writes the schemas into the project that it makes, where the path then leads to them.
            let home = if folder == "src/engine/starter" { ".layerforge" } else { "docs" };
            assert!(schema.ends_with(&format!("../{home}/schema/{kind}.json")), "{}: {schema}", entry.display());
            assert!(
                folder == "src/engine/starter" || entry.parent().unwrap().join(schema).exists(),
                "{}",
                entry.display()
            );
            count += 1;
        }
    }
    assert!(count > 15, "{count} documents");
}

/// Returns the TOML documents below `folder`.
fn documents(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for name in crate::fs::list(folder).unwrap() {
        let path = folder.join(name);
        if path.is_dir() {
            found.extend(documents(&path));
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            found.push(path);
        }
    }
    found
}
