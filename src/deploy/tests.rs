//! The Dockerfiles of the shipped profiles, and what a hostile profile cannot do to one.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::distro::{Architecture, Wish};
use crate::resolve::{Library, Recipe, Request, resolve};
use crate::spec::Project;
use crate::tree::Tree;

/// Resolves a profile of the repository.
fn recipe(profile: &str, distro: &str) -> Recipe {
    let project = Arc::new(Project::open(Path::new(env!("CARGO_MANIFEST_DIR"))));
    let library = Library::load(project, profile).unwrap();
    let (distro, table) = library.distros().unwrap().into_iter().find(|(name, _)| name.as_str() == distro).unwrap();
    let wish = Wish { release: None, architecture: Some(Architecture::X86_64) };
    resolve(&library, &Request { distro, table, wish, settings: Vec::new(), epoch: None }).unwrap()
}

/// Renders a recipe over an empty tree.
fn render(recipe: &Recipe) -> Result<String, DeployError> {
    let tree = Tree::new();
    let process = recipe.outputs.rootfs.as_ref().and_then(|rootfs| rootfs.process.as_deref());
    dockerfile(recipe, &ImageTree { tree: &tree, removed: &[], special: true, process })
}

#[test]
fn shipped_profiles() {
    for (profile, distro) in [
        ("default", "alpine"),
        ("default", "arch"),
        ("default", "debian"),
        ("discourse", "ubuntu"),
        ("postgresql", "debian"),
        ("redis", "alpine"),
    ] {
        insta::assert_snapshot!(format!("{profile}-{distro}"), render(&recipe(profile, distro)).unwrap());
    }
}
