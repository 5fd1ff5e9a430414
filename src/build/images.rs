//! Images that systemd takes: which tree each carries, and its file or directory.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rayon::prelude::*;

use super::artifacts::{Artifact, Body, Product, Remark};
use super::oci::Neutrals;
use super::{BuildError, Stacked, base, manifest};
use crate::deploy::{self, Flavour, UnitBody, UnitFile, UnitOptions};
use crate::digest::{Digest, Hasher};
use crate::distro::Architecture;
use crate::image::read::Format;
use crate::image::signature::Signer;
use crate::image::{
    self, Elf, ExtensionClass, Makers, ManifestFile, ReleaseFields, ReleaseFile, Subtracted, carried_by_copy,
};
use crate::lint::{Class, Finding, Severity, Subject, Target, lint};
use crate::plan::OutputKind;
use crate::resolve::{ConfextOutput, ImageOutput, PortableOutput, Recipe, ReleaseMatch, SysextOutput, target_name};
use crate::spec::{EtcContent, ImageFormat, Verity};
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

/// What one image holds, before it is written.
struct Contents {
    tree: Tree,
    left_out: Vec<TreePath>,
    hides: Vec<TreePath>,
    remarks: Vec<Remark>,
}

/// Makes the system extension of a recipe.
pub(super) fn sysext<'tree>(
    recipe: &Recipe,
    stacked: &Stacked,
    output: &SysextOutput,
    means: &Means<'_>,
) -> Result<Product<'tree>, BuildError> {
    let options = UnitOptions { start: output.start, ..unit_options(Flavour::Sysext, &output.image) };
    let elsewhere = |path: &TreePath| output.etc == EtcContent::Confext && is_in(path, "/etc");
    let counts = |path: &TreePath, node: &Node| counts(recipe, stacked, path, node) && !elsewhere(path);
    let carried = image::sysext(&stacked.tree, output.etc == EtcContent::Factory, counts)?;
    let mut contents = over(carried.tree, output.over.as_deref(), means)?;
    contents.left_out = carried.left_out;
    contents.left_out.extend(stacked.removed.iter().filter(|path| !elsewhere(path)).cloned());
    let mut files = deploy::units(recipe, &options)?;
    files.extend(deploy::factory(&carried.factory, &options)?);
    files.extend(deploy::preparation(&files, &options)?);
    put(&mut contents.tree, files, recipe.profile.epoch)?;
    let units = TreePath::from_absolute(b"/usr/lib/systemd/system")?;
    let reload = contents.tree.below(&units).next().is_some();
    add_release(&mut contents.tree, recipe, ExtensionClass::Sysext, &output.image, &output.release, reload)?;
    let needed = programs(recipe).filter(|program| {
        let path = program.parse::<TreePath>();
        path.is_ok_and(|path| stacked.tree.lookup(&path).is_none())
    });
    let needed: Vec<String> = needed.map(|program| format!("`{program}`")).collect();
    if !needed.is_empty() {
        contents.remarks.push(Remark {
            message: format!(
                "the sysext of {} starts {}, which no layer has",
                recipe.profile.name,
                needed.join(" and ")
            ),
            hint: "the host must have it, or a layer must bring it along".into(),
        });
    }
    finish(OutputKind::Sysext, recipe, stacked, &output.image, contents, means)
}

/// Makes the configuration extension of a recipe.
pub(super) fn confext<'tree>(
    recipe: &Recipe,
    stacked: &Stacked,
    output: &ConfextOutput,
    means: &Means<'_>,
) -> Result<Product<'tree>, BuildError> {
    // What a sysext of the same profile carries is not lost.
    let elsewhere = |path: &TreePath| recipe.outputs.sysext.is_some() && (is_in(path, "/usr") || is_in(path, "/opt"));
    let counts = |path: &TreePath, node: &Node| counts(recipe, stacked, path, node) && !elsewhere(path);
    let carried = image::confext(&stacked.tree, counts)?;
    let mut contents = over(carried.tree, output.over.as_deref(), means)?;
    contents.left_out = carried.left_out;
    contents.left_out.extend(stacked.removed.iter().filter(|path| !elsewhere(path)).cloned());
    add_release(&mut contents.tree, recipe, ExtensionClass::Confext, &output.image, &output.release, false)?;
    finish(OutputKind::Confext, recipe, stacked, &output.image, contents, means)
}

/// Makes the portable service of a recipe.
pub(super) fn portable<'tree>(
    recipe: &Recipe,
    stacked: &Stacked,
    output: &PortableOutput,
    means: &Means<'_>,
) -> Result<Product<'tree>, BuildError> {
    let options = unit_options(Flavour::Portable, &output.image);
    let mut tree = stacked.tree.clone();
    put(&mut tree, deploy::units(recipe, &options)?, recipe.profile.epoch)?;
    let mounts = deploy::mount_points(recipe, &options)?;
    for path in &mounts {
        if tree.lookup(path).is_none() {
            let meta = Meta::root_owned(0o755, recipe.profile.epoch);
            tree.insert(path.clone(), Node { kind: Kind::directory(), meta })?;
        }
    }
    if output.image.format == ImageFormat::Directory {
        image::yield_mount_points(&mut tree, &mounts);
    }
    let release = ReleaseFile::os_release(fields(recipe, &output.image));
    let whole = image::portable(&tree, &release, &output.prefixes, programs(recipe))?;
    if !whole.missing.is_empty() {
        let missing = whole.missing.iter().map(|needed| match needed.program == needed.missing {
            true => format!("`{}`", needed.program),
            false => format!("`{}`, which runs `{}`", needed.missing, needed.program),
        });
        return Err(BuildError::Incomplete {
            name: output.image.name.clone(),
            missing: missing.collect::<Vec<_>>().join(" and "),
        });
    }
    let contents = Contents { tree: whole.tree, left_out: Vec::new(), hides: Vec::new(), remarks: Vec::new() };
    finish(OutputKind::Portable, recipe, stacked, &output.image, contents, means)
}

/// Tells whether a path that an extension cannot carry is worth telling: what a layer put there, and not a directory
/// that its units make.
fn counts(recipe: &Recipe, stacked: &Stacked, path: &TreePath, node: &Node) -> bool {
    let made_by_units = || {
        let mut writables = recipe.contract.writables.values();
        writables.any(|writable| *path == writable.path || path.is_below(&writable.path))
    };
    !path.is_root() && stacked.origins.contains_key(path) && !(node.kind.is_directory() && made_by_units())
}

/// Takes out of a tree what its host has already.
fn over(tree: Tree, path: Option<&std::path::Path>, means: &Means<'_>) -> Result<Contents, BuildError> {
    let (tree, hides) = match path {
        Some(path) => {
            let Subtracted { tree, changed } = image::subtract(&tree, &base::tree(path, &means.store.archives())?)?;
            (tree, changed)
        }
        None => (tree, Vec::new()),
    };
    Ok(Contents { tree, left_out: Vec::new(), hides, remarks: Vec::new() })
}

/// Puts files that go with units into a tree. What a layer put at the same path wins.
fn put(tree: &mut Tree, files: Vec<UnitFile>, epoch: i64) -> Result<(), BuildError> {
    for file in files {
        let (kind, mode) = match file.body {
            UnitBody::Text(text) => (Kind::Regular(Content::inline(text.into_bytes())), file.mode),
            UnitBody::Link(target) => (Kind::Symlink(target.into_bytes().into()), 0o777),
        };
        if tree.get(&file.path).is_none() {
            tree.insert(file.path, Node { kind, meta: Meta::root_owned(mode, epoch) })?;
        }
    }
    tree.complete(|_| Meta::root_owned(0o755, epoch));
    Ok(())
}

fn add_release(
    tree: &mut Tree,
    recipe: &Recipe,
    class: ExtensionClass,
    image: &ImageOutput,
    release: &ReleaseMatch,
    reload: bool,
) -> Result<(), BuildError> {
    let architecture = architecture(tree)?;
    let text = ReleaseFile::extension(class, fields(recipe, image), release, architecture, reload).to_string();
    let file = UnitFile { path: class.release_path(&image.name)?, mode: 0o644, body: UnitBody::Text(text) };
    put(tree, vec![file], recipe.profile.epoch)
}

fn fields<'run>(recipe: &'run Recipe, image: &'run ImageOutput) -> ReleaseFields<'run> {
    ReleaseFields { distro: &recipe.distro, name: &image.name, version: &recipe.profile.version }
}

/// Returns the architecture of the programs in a tree; nothing when there is none.
fn architecture(tree: &Tree) -> Result<Option<Architecture>, BuildError> {
    let files: Vec<&Content> = tree
        .iter()
        .filter_map(|(_, node)| match &node.kind {
            Kind::Regular(content) => Some(content),
            _ => None,
        })
        .collect();
    let read = |content: &&Content| Elf::read(content).map(|elf| elf.and_then(|elf| elf.machine)).transpose();
    let found = files.par_iter().filter_map(read).find_first(|_| true);
    found.transpose().map_err(|source| BuildError::Archive { name: "the programs of an extension".into(), source })
}

/// Returns the programs that the units of a recipe start.
fn programs(recipe: &Recipe) -> impl Iterator<Item = &str> {
    let processes = recipe.contract.processes.values().map(|process| &process.command);
    let jobs = recipe.contract.jobs.values().map(|job| &job.command);
    processes.chain(jobs).filter_map(|command| command.first().map(String::as_str))
}

fn unit_options(flavour: Flavour, image: &ImageOutput) -> UnitOptions {
    UnitOptions { flavour, systemd: image.systemd, prefix: deploy::unit_prefix(&image.name), start: true }
}

fn is_in(path: &TreePath, top: &str) -> bool {
    top.parse::<TreePath>().is_ok_and(|top| *path == top || path.is_below(&top))
}

/// Writes the tree of an image in its format and describes it.
fn finish<'tree>(
    kind: OutputKind,
    recipe: &Recipe,
    stacked: &Stacked,
    output: &ImageOutput,
    contents: Contents,
    means: &Means<'_>,
) -> Result<Product<'tree>, BuildError> {
    let Contents { tree, left_out, hides, mut remarks } = contents;
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
    let artifacts = vec![
        Artifact { name: kind.to_string(), body: Body::Directory(Cow::Owned(folder)) },
        Artifact { name: format!("{kind}.manifest.json"), body: Body::Bytes(description.to_text().into_bytes()) },
    ];
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
    hasher.field(format!("{output:?}").as_bytes());
    hasher.field(architecture.as_str().as_bytes());
    hasher.field(tree.as_bytes());
    if let Some(signer) = signer {
        hasher.field(signer.certificate().fingerprint().as_bytes());
    }
    hasher.finish().0
}
