//! What the container images of a profile need to know about each other: what they share, and their other architectures.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::select::{Selection, resolve_all};
use crate::build::{self, Neutrals, Stacked};
use crate::distro::{Architecture, Wish};
use crate::error::Error;
use crate::plan::{Plan, Step};
use crate::resolve::{Library, OciOutput, Recipe, Request, target_name};
use crate::store::Store;

/// What container images need besides their own recipe.
#[derive(Debug, Default)]
pub(super) struct Containers {
    /// What of each layer is the same for every distro and architecture.
    pub(super) neutrals: Neutrals,
    /// By target, what it is for the other architectures of its image.
    pub(super) platforms: BTreeMap<String, Vec<(Recipe, Stacked)>>,
}

/// Puts below the layers of a recipe for another architecture what they stand on there.
pub(super) type Below<'run> = dyn Fn(&Recipe, &OciOutput, Stacked) -> Result<Stacked, Error> + 'run;

/// Compares the layers for every distro of the profile, also for those that are not rendered now: only then is what they share
/// the same blob whatever is rendered together. `below` knows what a recipe for another architecture stands on. Nothing is done
/// when no container image is written.
///
/// # Errors
/// When the profile is invalid for one of its distros, or a layer cannot be read.
pub(super) fn prepare(
    selection: &Selection,
    library: &Library,
    rendered: &[(&Request, &Recipe, &(Plan, Stacked))],
    store: &Store,
    below: &Below<'_>,
) -> Result<Containers, Error> {
    let output = rendered.iter().flat_map(|(_, _, (plan, _))| &plan.actions).find_map(|action| match &action.step {
        Step::Oci(output) => Some(output),
        _ => None,
    });
    let Some(output) = output else { return Ok(Containers::default()) };
    let archives = store.archives();
    let mut platforms: BTreeMap<String, Vec<(Recipe, Stacked)>> = BTreeMap::new();
    for (request, recipe, _) in rendered {
        let own = recipe.distro.architecture;
        let variants = resolve_all(library, &variants(request, own, &output.architectures))?;
        let stacks: Vec<_> = variants.par_iter().map(|recipe| build::stack(recipe, &archives)).collect();
        let stacks = stacks.into_iter().zip(&variants).map(|(stacked, recipe)| below(recipe, output, stacked?));
        let stacks = stacks.collect::<Result<Vec<_>, Error>>()?;
        platforms.insert(target_name(&recipe.distro), variants.into_iter().zip(stacks).collect());
    }
    // Another release or architecture is another recipe.
    let same = selection.release.is_none() && selection.architecture.is_none();
    let is_rendered = |name: &str| same && rendered.iter().any(|(_, recipe, _)| recipe.distro.name == name);
    let mut others = selection.declared(library)?;
    others.retain(|other| !is_rendered(other.distro.as_str()));
    let host = Architecture::host();
    let more: Vec<Request> = others.iter().flat_map(|other| variants(other, host, &output.architectures)).collect();
    others.extend(more);
    let others = resolve_all(library, &others)?;
    let stacks: Vec<_> = others.par_iter().map(|recipe| build::layers(recipe, &archives)).collect();
    let stacks = stacks.into_iter().collect::<Result<Vec<_>, _>>()?;
    let own = rendered.iter().map(|(_, recipe, (_, stacked))| (*recipe, &stacked.stack));
    let more = platforms.values().flatten().map(|(recipe, stacked)| (recipe, &stacked.stack));
    let mut all: Vec<_> = own.chain(more).chain(others.iter().zip(&stacks)).collect();
    all.sort_by_key(|(recipe, _)| (target_name(&recipe.distro), recipe.distro.architecture.as_str()));
    Ok(Containers { neutrals: Neutrals::of(&all), platforms })
}

/// Returns what is asked for the other architectures of an image.
pub(super) fn variants(request: &Request, own: Architecture, architectures: &[Architecture]) -> Vec<Request> {
    let other = |architecture: &Architecture| Request {
        wish: Wish { architecture: Some(*architecture), ..request.wish.clone() },
        ..request.clone()
    };
    architectures.iter().filter(|architecture| **architecture != own).map(other).collect()
}
