//! Renders a profile into destination folders.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use serde::Serialize;

use super::base::{Bases, Given, Images};
use super::containers;
use super::extension::Extensions;
use super::lock::other_architectures;
use super::lock_file::{self, Keep, Wanted};
use super::memory::Memory;
use super::packages::{Bundles, Packages};
use super::select::Selection;
use super::witness::witness;
use crate::build::{self, Body, Means, Product, Stacked};
use crate::digest::{Digest, Hasher};
use crate::distro::{self, Distro};
use crate::error::Error;
use crate::event::{Event, Reporter};
use crate::image::oci::BaseImage;
use crate::image::signature::Signer;
use crate::image::{self, Destination, Options, Output, Rendered, Standing};
use crate::lock::{Lock, target_of};
use crate::packages::{Network, Upgrade};
use crate::plan::{ImageWish, OutputKind, Plan};
use crate::registry::Client;
use crate::resolve::{Library, OciOutput, ProfileSource, Recipe, Request, target_name};
use crate::spec::{Project, SpecError};
use crate::store::{Listing, Store};

/// What to render, and how.
#[derive(Debug, Clone, Default)]
pub struct RenderRequest {
    /// The profile, its distros, values of variables.
    pub selection: Selection,
    /// The shapes to write; those the profile declares when nothing is said.
    pub outputs: Vec<OutputKind>,
    /// Where to write; `out/PROFILE/` when nothing is said.
    pub destination: Option<PathBuf>,
    /// Whether a stale lock is an error.
    pub locked: bool,
    /// Whether what was changed by hand, or made by somebody else, is replaced.
    pub force: bool,
    /// What is wanted of every image, whatever the profile says.
    pub image: ImageWish,
    /// Who signs images that are to be signed.
    pub signer: Option<Arc<Signer>>,
    /// Who fetches images that layers stand on.
    pub client: Option<Arc<Client>>,
    /// How packages that outputs carry are fetched.
    pub network: Option<Arc<Network>>,
}

/// What was rendered for one target.
#[derive(Debug, Clone, Serialize)]
pub struct RenderReport {
    /// The target: `debian`, `debian-bookworm`.
    pub target: String,
    /// The destination folder.
    pub destination: PathBuf,
    /// The artifacts that are different now; empty when nothing changed on disk.
    pub changed: Vec<String>,
}

/// One distro to render, and where to.
pub(super) struct Target {
    pub(super) request: Request,
    pub(super) name: String,
    pub(super) path: PathBuf,
}

/// Renders every target of `request`. `told` gets the reports once all results are in place; old results are removed
/// after that.
///
/// # Errors
/// When the profile is invalid, its lock is stale and must not change, or a destination cannot be written. A destination
/// that could not be written holds what it held.
pub fn render(
    project: &Arc<Project>,
    store: &Store,
    request: &RenderRequest,
    reporter: &dyn Reporter,
    told: &mut dyn FnMut(&[RenderReport]),
) -> Result<(), Error> {
    if let Ok(program) = std::env::current_exe() {
        // Another build of the program may render something else.
        project.depends_on(&program)?;
    }
    let head = ProfileSource::load(Arc::clone(project), request.selection.profile())?;
    let targets = targets(project, &head, request)?;
    refuse_shared(&targets)?;
    let witness = |folder: &Path| witness(folder);
    let options = Options { store, force: request.force, witness: &witness, reporter };
    let mut destinations = Vec::new();
    let mut unchanged = true;
    for target in &targets {
        let destination = Destination::lock(&target.path, &options)?;
        unchanged &= destination.standing(&key(request, target))? == Standing::Unchanged;
        destinations.push(destination);
    }
    if unchanged {
        told(&targets.iter().map(|target| report(target, Vec::new())).collect::<Vec<_>>());
        return Ok(());
    }
    if let Some(earlier) = destinations.iter_mut().find_map(Destination::earlier) {
        project.remember(earlier);
    }
    let library = Library::of(head)?;
    let memory = Memory::of(&library, store, &targets.iter().map(|target| &*target.name).collect::<Vec<_>>());
    let requests: Vec<Request> = targets.iter().map(|target| target.request.clone()).collect();
    let mut recipes = super::select::resolve_all(&library, &requests)?;
    let mut requirements = request.selection.declared_requirements(&library)?;
    requirements.extend(recipes.iter().map(Recipe::requirements));
    let path = lock_file::path(&library);
    let stands = recipes
        .iter()
        .any(|recipe| recipe.base.is_some() || recipe.outputs.bundled.any() || recipe.extension().is_some());
    let lock = if stands { Lock::read(&path)? } else { None };
    let (lock, client, locked) = (lock.as_ref(), request.client.as_deref(), request.locked);
    let bases = Bases { store, client, reporter, lock, path: &path, locked, upgrade: false };
    let network = request.network.as_deref();
    let upgrade = Upgrade::Nothing;
    let packages = Packages { store, network, reporter, lock, path: &path, locked, upgrade: &upgrade };
    let others = other_architectures(&library, &requests, &recipes)?;
    for recipe in &recipes {
        let bundles = Plan::of(recipe, &kinds(request, recipe), request.image)?.bundles();
        packages.check_scripts(recipe, bundles)?;
    }
    let bundles = packages.look_up(&recipes.iter().chain(&others).collect::<Vec<_>>())?;
    let extensions = packages.extensions(&library, &recipes, &bases)?;
    let (grounds, given) = grounds(request, &mut recipes, &bases)?;
    let plans = recipes.iter().map(|recipe| Plan::of(recipe, &kinds(request, recipe), request.image));
    let plans = plans.collect::<Result<Vec<_>, SpecError>>()?;
    // A mistake in the layers of one target is found before anything is written for another.
    let built: Vec<_> = recipes
        .par_iter()
        .zip(plans)
        .zip(grounds)
        .map(|((recipe, plan), base)| prepare(recipe, plan, base, (&packages, &bundles, &extensions, &bases)))
        .collect();
    let built = built.into_iter().collect::<Result<Vec<_>, Error>>()?;
    let how = if request.locked { Keep::Unchanged } else { Keep::Renewed };
    lock_file::keep(
        &library,
        Wanted { requirements, given: given.clone(), bundles: bundles.clone(), extensions },
        how,
    )?;
    let rendered: Vec<_> =
        requests.iter().zip(&recipes).zip(&built).map(|((one, recipe), built)| (one, recipe, built)).collect();
    let below = |recipe: &Recipe, output: &OciOutput, stacked: Stacked| {
        let base = if output.scratch { None } else { bases.other(recipe, &given)? };
        packages.below(recipe, recipe.outputs.bundled.oci, stacked.standing_on(recipe, base)?, &bundles)
    };
    let containers = containers::prepare(&request.selection, &library, &rendered, store, &below)?;
    let inputs = vec![project.inputs(); targets.len()];
    let signer = request.signer.as_deref();
    let means = Means { store, signer, neutrals: &containers.neutrals, platforms: &containers.platforms };
    let common = Work { request, means, reporter };
    let work: Vec<_> = targets.iter().zip(destinations).zip(recipes.iter().zip(&built)).zip(inputs).collect();
    let committed: Vec<_> = work
        .into_par_iter()
        .map(|(((target, destination), (recipe, built)), inputs)| {
            let progress = format!("render {} for {}", library.name, target.name);
            reporter.report(Event::Started { work: progress.clone(), total: 1 });
            let committed = write(&common, target, (recipe, built), destination, inputs);
            reporter.report(Event::Finished { work: progress });
            committed
        })
        .collect();
    finish(&targets, committed, told)?;
    memory.keep(&library, reporter);
    if let Some(target) = targets.first()
        && let Err(error) = store.collect_some(&target.path)
    {
        let message = format!("{error} ({}): old records stay in the cache folder", error.source);
        reporter.report(Event::Warning { message, hint: None });
    }
    Ok(())
}

/// Refuses targets that would be written into one folder: each would wait for the other.
fn refuse_shared(targets: &[Target]) -> Result<(), Error> {
    let mut seen: BTreeMap<PathBuf, &Target> = BTreeMap::new();
    for target in targets {
        // Only what exists can be a symbolic link.
        let existing = target.path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
        let real = match existing {
            Some((above, real)) => real.join(target.path.strip_prefix(above).unwrap_or(&target.path)),
            None => target.path.clone(),
        };
        if let Some(other) = seen.insert(real, target) {
            return Err(Error::Usage {
                message: format!(
                    "the targets `{}` and `{}` have one destination: `{}` and `{}` are the same folder",
                    other.name,
                    target.name,
                    other.path.display(),
                    target.path.display()
                ),
                hint: Some(
                    "remove the symbolic link, or render one of them with `--distro` and a `--dest` of its own".into(),
                ),
            });
        }
    }
    Ok(())
}

/// Tells what is in place and removes what it replaced. Where one target failed, the others are whole nevertheless.
fn finish(
    targets: &[Target],
    committed: Vec<Result<image::Committed<'_>, Error>>,
    told: &mut dyn FnMut(&[RenderReport]),
) -> Result<(), Error> {
    let (mut reports, mut done, mut failure) = (Vec::new(), Vec::new(), None);
    for (target, result) in targets.iter().zip(committed) {
        match result {
            Ok(committed) => {
                reports.push(report(target, committed.changed().to_vec()));
                done.push(committed);
            }
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    if failure.is_none() || !reports.is_empty() {
        told(&reports);
    }
    done.into_par_iter().try_for_each(image::Committed::finish)?;
    failure.map_or(Ok(()), Err)
}

/// Finds out what the recipes stand on, and fetches it for those that write what holds it. From then on the recipes name
/// their base image by its digest.
fn grounds(request: &RenderRequest, recipes: &mut [Recipe], bases: &Bases<'_>) -> Result<(Images, Given), Error> {
    let (mut images, mut given) = (Vec::new(), Given::new());
    for recipe in recipes {
        let Some(ground) = bases.look_up(recipe)? else {
            images.push(None);
            continue;
        };
        given.insert(target_of(&recipe.distro), ground.digest);
        let plan = Plan::of(recipe, &kinds(request, recipe), request.image)?;
        let needed = plan.actions.iter().any(|action| action.step.holds_base());
        images.push(if needed { Some(bases.fetch(recipe, &ground)?) } else { None });
        if let Some(reference) = ground.reference {
            recipe.image = reference.to_string();
        }
    }
    Ok((images, given))
}

/// Lays the layers of one target over each other, and over what is below them: an image, or the packages where an output
/// carries these.
fn prepare(
    recipe: &Recipe,
    plan: Plan,
    base: Option<Arc<BaseImage>>,
    (packages, bundles, extensions, bases): (&Packages<'_>, &Bundles, &Extensions, &Bases<'_>),
) -> Result<(Plan, Stacked), Error> {
    let stacked = build::stack(recipe, &packages.store.archives())?.standing_on(recipe, base)?;
    let stacked = packages.below(recipe, plan.bundles(), stacked, bundles)?;
    let stacked = packages.over_host(recipe, plan.extends(), stacked, (extensions, bases))?;
    Ok((plan, stacked))
}

/// Makes the artifacts of one target, tells what should be known about them, and puts them in place.
fn write<'run>(
    work: &Work<'_>,
    target: &Target,
    (recipe, (plan, stacked)): (&Recipe, &(Plan, Stacked)),
    destination: Destination<'run>,
    inputs: Listing,
) -> Result<image::Committed<'run>, Error> {
    let products = build::artifacts(plan, recipe, stacked, &work.means)?;
    for remark in products.iter().flat_map(|product| &product.remarks) {
        work.reporter.report(Event::Warning { message: remark.message.clone(), hint: Some(remark.hint.clone()) });
    }
    let outputs = products.iter().map(output).collect();
    let key = key(work.request, target);
    Ok(destination.commit(Rendered { key, inputs, outputs, seconds: recipe.profile.epoch })?)
}

/// What the work for all targets has in common.
struct Work<'run> {
    request: &'run RenderRequest,
    means: Means<'run>,
    reporter: &'run dyn Reporter,
}

fn output<'run>(product: &'run Product<'_>) -> Output<'run> {
    let artifact = |artifact: &'run build::Artifact<'_>| image::Artifact {
        name: &artifact.name,
        body: match &artifact.body {
            Body::Directory(tree) => image::Body::Directory(tree),
            Body::Bytes(bytes) => image::Body::Bytes(bytes),
            Body::Writer(write) => image::Body::Writer(&**write),
            Body::Text(write) => image::Body::Text(&**write),
        },
    };
    Output { kind: product.kind.as_str(), artifacts: product.artifacts.iter().map(artifact).collect() }
}

/// Returns the output kinds to write: those asked for, or those declared, or a rootfs.
pub(super) fn kinds(request: &RenderRequest, recipe: &Recipe) -> Vec<OutputKind> {
    let outputs = &recipe.outputs;
    let declared = [
        (OutputKind::Rootfs, outputs.rootfs.is_some()),
        (OutputKind::Tar, outputs.tar.is_some()),
        (OutputKind::Sysext, outputs.sysext.is_some()),
        (OutputKind::Confext, outputs.confext.is_some()),
        (OutputKind::Portable, outputs.portable.is_some()),
        (OutputKind::Oci, outputs.oci.is_some()),
    ];
    let mut kinds: Vec<OutputKind> = match request.outputs.as_slice() {
        [] => declared.iter().filter(|(_, declared)| *declared).map(|(kind, _)| *kind).collect(),
        asked => asked.to_vec(),
    };
    if kinds.is_empty() {
        kinds.push(OutputKind::Rootfs);
    }
    kinds.sort();
    kinds.dedup();
    kinds
}

/// Finds out what to render where, without reading any layer.
pub(super) fn targets(project: &Project, head: &ProfileSource, request: &RenderRequest) -> Result<Vec<Target>, Error> {
    let mut targets: Vec<Target> = Vec::new();
    let requests = request.selection.requests(head)?;
    let single = requests.len() == 1;
    for one in requests {
        let distro: Distro = distro::describe(project, &one.distro, &one.table, &one.wish)?;
        let name = target_name(&distro);
        let path = match &request.destination {
            Some(destination) if single => destination.clone(),
            Some(destination) => destination.join(&name),
            None => project.root().join("out").join(&head.name).join(&name),
        };
        targets.push(Target { request: one, name, path });
    }
    Ok(targets)
}

fn report(target: &Target, changed: Vec<String>) -> RenderReport {
    RenderReport { target: target.name.clone(), destination: target.path.clone(), changed }
}

/// Returns the digest of everything that decides about a target and is no file.
fn key(request: &RenderRequest, target: &Target) -> Digest {
    let mut hasher = Hasher::new();
    hasher.field(env!("CARGO_PKG_VERSION").as_bytes());
    hasher.field(request.selection.profile().as_bytes());
    hasher.field(target.name.as_bytes());
    hasher.field(format!("{:?}", target.request.wish).as_bytes());
    hasher.field(format!("{:?}", request.selection.epoch).as_bytes());
    for kind in &request.outputs {
        hasher.field(kind.as_str().as_bytes());
    }
    hasher.field(format!("{:?}", request.image).as_bytes());
    if let Some(signer) = &request.signer {
        hasher.field(signer.certificate().fingerprint().as_bytes());
    }
    for setting in &request.selection.settings {
        hasher.field(setting.name.as_bytes());
        hasher.field(format!("{:?}", setting.value).as_bytes());
    }
    hasher.finish().0
}
