//! Brings rendered images to registries, and images of registries here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::render::{RenderRequest, targets};
use super::select::Selection;
use crate::digest::Digest;
use crate::error::Error;
use crate::event::Reporter;
use crate::fs;
use crate::image::oci::{Layout, Manifest};
use crate::plan::OutputKind;
use crate::registry::{Client, Pulled, Pushed, Reference, Selected};
use crate::resolve::ProfileSource;
use crate::spec::Project;
use crate::store::Store;

/// The file that marks a layout (image-spec, image-layout.md).
const MARK: &str = "oci-layout";

/// Where the image to push is.
#[derive(Debug, Clone)]
pub enum PushSource {
    /// A layout, an archive of one, or a rendered folder that has one.
    Path(PathBuf),
    /// What was rendered of a profile.
    Profile(Selection),
}

/// Brings an image to where a reference says, with all that is attached to it.
///
/// # Errors
/// When there is no image, it is damaged, or the registry does not take it.
pub fn push(
    project: &Arc<Project>,
    store: &Store,
    client: &Client,
    (source, reference): (&PushSource, &Reference),
    reporter: &dyn Reporter,
) -> Result<Pushed, Error> {
    let path = match source {
        PushSource::Path(path) => layout_at(path)?,
        PushSource::Profile(selection) => layout_at(&rendered(project, selection)?)?,
    };
    let layout = Layout::open(&path, &store.archives()).map_err(crate::registry::RegistryError::from)?;
    Ok(client.push(store, &layout, reference, reporter)?)
}

/// Returns the folder that a profile was rendered into.
fn rendered(project: &Arc<Project>, selection: &Selection) -> Result<PathBuf, Error> {
    let head = ProfileSource::load(Arc::clone(project), selection.profile())?;
    let request = RenderRequest { selection: selection.clone(), ..RenderRequest::default() };
    let mut targets = targets(project, &head, &request)?;
    if targets.len() > 1 {
        let names: Vec<_> = targets.iter().map(|target| target.name.clone()).collect();
        return Err(Error::Usage {
            message: format!(
                "the profile `{}` is rendered for {}: one reference names one of them",
                head.name,
                names.join(", ")
            ),
            hint: Some(format!("choose one with `--distro {}`", names[0])),
        });
    }
    let target = targets.pop().ok_or_else(|| Error::usage(format!("the profile `{}` is for no distro", head.name)))?;
    match fs::exists(&target.path)? {
        true => Ok(target.path),
        false => Err(Error::Usage {
            message: format!("`{}` does not exist: `{}` is not rendered", target.path.display(), head.name),
            hint: Some("render it with `layerforge render --output oci`".into()),
        }),
    }
}

/// Returns the layout at `path`: itself, or the only one that was rendered into it.
fn layout_at(path: &Path) -> Result<PathBuf, Error> {
    if !path.is_dir() || path.join(MARK).exists() {
        return Ok(path.to_owned());
    }
    let output = path.join(OutputKind::Oci.as_str());
    let folder = if output.is_dir() { output } else { path.to_owned() };
    let children = fs::list(&folder)?.into_iter().map(|name| folder.join(name));
    let is_layout = |child: &PathBuf| {
        child.join(MARK).is_file() || child.extension().is_some_and(|kind| kind == "tar") && folder != path
    };
    let mut layouts: Vec<PathBuf> = children.filter(is_layout).collect();
    match (layouts.pop(), layouts.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err(Error::Usage {
            message: format!("there is no OCI image in `{}`", path.display()),
            hint: Some("declare `[output.oci]` in the profile and render it".into()),
        }),
        _ => Err(Error::usage(format!("several OCI images are in `{}`: name one of them", folder.display()))),
    }
}

/// An image to pull.
#[derive(Debug, Clone)]
pub struct PullRequest {
    /// Its name.
    pub reference: Reference,
    /// What of it.
    pub selected: Selected,
    /// The directory that it is written into as a layout; into the store only when nothing is said.
    pub destination: Option<PathBuf>,
}

/// An image that was pulled.
#[derive(Debug, Clone, Serialize)]
pub struct PullReport {
    /// Its name, with the digest that the registry has under it.
    pub reference: String,
    /// The digest of the image, which is another one when an index names it.
    pub digest: Digest,
    /// The platform, when the registry says it.
    pub platform: Option<String>,
    /// How many layers it has; those of all platforms when all were pulled.
    pub layers: usize,
    /// Their bytes.
    pub bytes: u64,
    /// How many manifests are attached to it.
    pub attached: usize,
    /// Where it was written.
    pub destination: Option<PathBuf>,
}

/// Fetches an image, with all that is attached to it.
///
/// # Errors
/// When it cannot be had, is not what it says, or cannot be written.
pub fn pull(
    store: &Store,
    client: &Client,
    request: &PullRequest,
    reporter: &dyn Reporter,
) -> Result<PullReport, Error> {
    let mut pulled = client.pull(store, &request.reference, &request.selected, reporter)?;
    let own = pulled.documents.len();
    if request.destination.is_some() {
        client.pull_attached(store, &mut pulled, reporter)?;
    }
    if let Some(path) = &request.destination {
        pulled.write(store, path)?;
    }
    let (mut layers, mut bytes) = (0, 0);
    for document in pulled.documents[..own].iter().filter(|document| !document.is_index()) {
        let manifest = Manifest::read(&document.bytes).map_err(crate::registry::RegistryError::from)?;
        layers += manifest.layers.len();
        bytes += manifest.layers.iter().map(|layer| layer.size).sum::<u64>();
    }
    Ok(report(&pulled, request, (layers, bytes), own))
}

fn report(pulled: &Pulled, request: &PullRequest, (layers, bytes): (usize, u64), own: usize) -> PullReport {
    let platform = pulled.root.descriptor.platform.as_ref();
    PullReport {
        reference: pulled.reference.to_string(),
        digest: pulled.root.descriptor.digest,
        platform: platform.map(|platform| format!("{}/{}", platform.os, platform.architecture)),
        layers,
        bytes,
        attached: pulled.documents.len() - own,
        destination: request.destination.clone(),
    }
}
