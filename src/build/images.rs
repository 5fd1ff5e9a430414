//! Images that systemd takes: judged, and written as a file or directory.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::artifacts::{Artifact, Body, Product, Remark};
use super::contents::Contents;
use super::oci::Neutrals;
use super::{BuildError, Stacked, manifest};
use crate::digest::{Digest, Hasher};
use crate::distro::Architecture;
use crate::image::read::Format;
use crate::image::signature::Signer;
use crate::image::{self, Makers, ManifestFile, carried_by_copy};
use crate::lint::{Class, Finding, Severity, Subject, Target, lint};
use crate::plan::OutputKind;
use crate::resolve::{ImageOutput, Recipe, target_name};
use crate::spec::{ImageFormat, Verity};
use crate::store::Store;
use crate::tree::{Content, ContentSource, Kind, Meta, Node, Tree, TreePath};

/// What making an image needs besides recipe and tree.
#[derive(Debug)]
pub struct Means<'run> {
    /// Where images that were made before are kept.
    pub store: &'run Store,
    /// Who signs, when a signature is asked for.
    pub signer: Option<&'run Signer>,
    /// What of each layer is the same for every distro; only container images need to know.
    pub neutrals: &'run Neutrals,
    /// By target, what it is for the other architectures of a container image.
    pub platforms: &'run BTreeMap<String, Vec<(Recipe, Stacked)>>,
}

/// How many bytes of compressed chunks are kept.
const CHUNKS_KEPT: u64 = 2 << 30;
/// How many paths a remark names.
const NAMED: usize = 5;

/// Writes the tree of an image in its format and describes it.
pub(super) fn write<'tree>(
    kind: OutputKind,
    recipe: &Recipe,
    stacked: &Stacked,
    output: &ImageOutput,
    contents: Contents,
    means: &Means<'_>,
) -> Result<Product<'tree>, BuildError> {
    let Contents { tree, left_out, hides, mut remarks, lists } = contents;
    remarks.extend(judge(kind, recipe, output, &tree)?);
    let mut description = manifest(recipe, &tree, stacked);
    description.set_carried(&left_out, &hides);
    let mut folder = Tree::new();
    if output.format == ImageFormat::Directory {
        check_directory(kind, output, &tree)?;
        folder.graft(&TreePath::root().join(output.name.as_bytes())?, &tree)?;
        description.directory = Some(format!("{kind}/{}", output.name));
    } else {
        let (name, content) = file(recipe, output, &tree, means)?;
        description
            .files
            .insert(format!("{kind}/{name}"), ManifestFile { size: content.length, digest: content.digest });
        let meta = Meta::root_owned(0o644, recipe.profile.epoch);
        folder.insert(TreePath::root().join(name.as_bytes())?, Node { kind: Kind::Regular(content), meta })?;
    }
    folder.complete(|_| Meta::root_owned(0o755, recipe.profile.epoch));
    remarks.extend(remark(kind, recipe, "does not carry", &left_out, "the manifest lists all of them"));
    remarks.extend(remark(
        kind,
        recipe,
        "hides what its host has at",
        &hides,
        "this is meant when a layer replaces it",
    ));
    let mut artifacts = vec![Artifact { name: kind.to_string(), body: Body::Directory(Cow::Owned(folder)) }];
    for (end, bytes) in lists {
        let (name, digest) = (format!("{kind}.{end}"), Digest::of(&bytes));
        description.files.insert(name.clone(), ManifestFile { size: bytes.len() as u64, digest });
        artifacts.push(Artifact { name, body: Body::Bytes(bytes) });
    }
    let described = description.to_text().into_bytes();
    artifacts.push(Artifact { name: format!("{kind}.manifest.json"), body: Body::Bytes(described) });
    Ok(Product { kind, artifacts, remarks })
}

/// Judges the tree of an image before it is written; what the profile allows is not told.
fn judge(kind: OutputKind, recipe: &Recipe, output: &ImageOutput, tree: &Tree) -> Result<Vec<Remark>, BuildError> {
    let class = match kind {
        OutputKind::Confext => Class::Confext,
        OutputKind::Portable => Class::Portable,
        _ => Class::Sysext,
    };
    let format = match output.format {
        ImageFormat::Directory => Format::Directory,
        ImageFormat::Raw => Format::Raw,
        ImageFormat::Ddi => Format::Ddi,
    };
    let target = Target {
        systemd: output.systemd.0.into(),
        kernel: Some((output.kernel.major.into(), output.kernel.minor.into())),
        ..Target::default()
    };
    let name =
        if output.format == ImageFormat::Directory { output.name.clone() } else { format!("{}.raw", output.name) };
    let mut subject = Subject::new(class, &name, format, &target);
    subject.tree = Some(tree);
    let allowed = |finding: &Finding| recipe.allowed_rules.keys().any(|id| id.as_str() == finding.id);
    let (errors, warnings): (Vec<_>, Vec<_>) =
        lint(&subject).into_iter().filter(|finding| !allowed(finding)).partition(|one| one.severity == Severity::Error);
    if !errors.is_empty() {
        return Err(BuildError::Lint { kind, title: title(recipe), findings: errors });
    }
    let remark = |finding: Finding| Remark {
        message: format!("the {kind} of {}: {}", title(recipe), super::Told(&finding)),
        hint: format!("{}; or allow it: `[lint.allow]` with `{} = \"why\"`", finding.mend, finding.id),
    };
    Ok(warnings.into_iter().map(remark).collect())
}

/// Returns how messages name what is rendered.
fn title(recipe: &Recipe) -> String {
    format!("{} for {}", recipe.profile.name, target_name(&recipe.distro))
}

fn remark(kind: OutputKind, recipe: &Recipe, what: &str, paths: &[TreePath], hint: &str) -> Option<Remark> {
    let mut shown: Vec<_> = paths.iter().take(NAMED).map(|path| format!("`{path}`")).collect();
    shown.extend((paths.len() > NAMED).then(|| format!("{} more", paths.len() - NAMED)));
    let message = format!("the {kind} of {} {what} {}", title(recipe), shown.join(", "));
    (!paths.is_empty()).then(|| Remark { message, hint: hint.into() })
}

/// Refuses what a directory of whoever renders cannot hold.
fn check_directory(kind: OutputKind, output: &ImageOutput, tree: &Tree) -> Result<(), BuildError> {
    match tree.iter().find(|(_, node)| !carried_by_copy(node)) {
        Some((path, _)) => Err(BuildError::NotADirectoryImage { kind, name: output.name.clone(), path: path.clone() }),
        None => Ok(()),
    }
}

/// Returns the file of an image and its name. One that was made before from the same is taken from the store.
fn file(
    recipe: &Recipe,
    output: &ImageOutput,
    tree: &Tree,
    means: &Means<'_>,
) -> Result<(String, Content), BuildError> {
    let signed = (output.format, output.verity) == (ImageFormat::Ddi, Verity::Signed);
    let signer = means.signer.filter(|_| signed);
    let architecture = recipe.distro.architecture;
    let key = key(output, architecture, tree.digest(), signer);
    let chunks = means.store.chunks(CHUNKS_KEPT);
    let makers = Makers { signer, chunks: Some(&chunks) };
    let write = |file: &std::fs::File| {
        image::write_image(tree, output, architecture, makers, file)
            .map_err(|source| BuildError::Image { name: output.name.clone(), source: Box::new(source) })
    };
    let stored = means.store.image(&key, write)?;
    chunks.collect()?;
    let source = ContentSource::File(stored.path.into());
    Ok((format!("{}.raw", output.name), Content { digest: stored.digest, length: stored.length, source }))
}

/// Returns the digest of everything that decides about the bytes of an image.
fn key(output: &ImageOutput, architecture: Architecture, tree: Digest, signer: Option<&Signer>) -> Digest {
    let mut hasher = Hasher::new();
    hasher.field(env!("CARGO_PKG_VERSION").as_bytes());
    hasher.field(image::erofs::FORMAT);
    hasher.field(format!("{output:?}").as_bytes());
    hasher.field(architecture.as_str().as_bytes());
    hasher.field(tree.as_bytes());
    if let Some(signer) = signer {
        hasher.field(signer.certificate().fingerprint().as_bytes());
    }
    hasher.finish().0
}
