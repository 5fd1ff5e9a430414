//! What each image that systemd takes holds, before it is written.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::artifacts::Remark;
use super::extension::OverHost;
use super::sbom::{self, Described};
use super::{BuildError, Stacked, base, bundled};
use crate::deploy::{self, Flavour, UnitBody, UnitFile, UnitOptions};
use crate::distro::{Architecture, Distro};
use crate::image::{self, Elf, ExtensionClass, ReleaseFields, ReleaseFile, Subtracted};
use crate::plan::{OutputKind, Plan, Step};
use crate::resolve::{ConfextOutput, ImageOutput, Over, PortableOutput, Recipe, ReleaseMatch, SysextOutput};
use crate::spec::{EtcContent, Host, ImageFormat, Init, SbomFormat};
use crate::store::Store;
use crate::tree::{Content, Kind, Meta, Node, Tree, TreePath};

/// What one image holds, before it is written.
pub(super) struct Contents {
    /// Everything that it carries.
    pub(super) tree: Tree,
    /// Paths of the profile that it does not carry.
    pub(super) left_out: Vec<TreePath>,
    /// Paths of its host that it hides.
    pub(super) hides: Vec<TreePath>,
    /// What whoever reads the report should know.
    pub(super) remarks: Vec<Remark>,
    /// Lists of what is in it, by the ends of their names.
    pub(super) lists: Vec<(&'static str, Vec<u8>)>,
}

/// Returns the image that a step writes and what it holds; nothing for a step that writes none.
pub(super) fn contents<'plan>(
    recipe: &Recipe,
    stacked: &Stacked,
    step: &'plan Step,
    store: &Store,
) -> Result<Option<(OutputKind, &'plan ImageOutput, Contents)>, BuildError> {
    Ok(match step {
        Step::Sysext(output) => Some((OutputKind::Sysext, &output.image, sysext(recipe, stacked, output, store)?)),
        Step::Confext(output) => Some((OutputKind::Confext, &output.image, confext(recipe, stacked, output, store)?)),
        Step::Portable(output) => Some((OutputKind::Portable, &output.image, portable(recipe, stacked, output)?)),
        Step::Packages | Step::Layer(_) | Step::Stack | Step::Rootfs { .. } | Step::Tar { .. } | Step::Oci(_) => None,
    })
}

/// Returns the tree that each image of `plan` holds, without writing any.
///
/// # Errors
/// When an image cannot hold what the profile asks for, or a base that is subtracted cannot be read.
pub fn image_trees(
    plan: &Plan,
    recipe: &Recipe,
    stacked: &Stacked,
    store: &Store,
) -> Result<Vec<(OutputKind, Tree)>, BuildError> {
    let mut trees = Vec::new();
    for action in &plan.actions {
        let stacked = stacked.for_output(action.bundled)?;
        trees.extend(contents(recipe, stacked, &action.step, store)?.map(|(kind, _, contents)| (kind, contents.tree)));
    }
    Ok(trees)
}

/// Returns what the system extension of a recipe holds.
fn sysext(recipe: &Recipe, stacked: &Stacked, output: &SysextOutput, store: &Store) -> Result<Contents, BuildError> {
    let options = UnitOptions { start: output.start, ..unit_options(Flavour::Sysext, &output.image) };
    let elsewhere = |path: &TreePath| output.etc == EtcContent::Confext && is_in(path, "/etc");
    let counts = |path: &TreePath, node: &Node| counts(recipe, stacked, path, node) && !elsewhere(path);
    let host = match output.over {
        Some(Over::Packages(_)) => Some(stacked.over_host.as_deref().ok_or(BuildError::NoPackages)?),
        _ => None,
    };
    let added = host.map(OverHost::added).transpose()?;
    let seen = added.as_ref().map_or(&stacked.tree, |added| &added.tree);
    let carried = image::sysext(seen, output.etc == EtcContent::Factory, counts)?;
    let path = match &output.over {
        Some(Over::Path(path)) => Some(path.as_path()),
        _ => None,
    };
    let mut contents = over(carried.tree, path, store)?;
    contents.left_out = carried.left_out;
    contents.left_out.extend(stacked.removed.iter().filter(|path| !elsewhere(path)).cloned());
    if let Some(added) = added {
        // Before a key that a script made gets into the factory.
        contents.remarks.extend(bundled::judge(OutputKind::Sysext, recipe, &added.tree)?);
        contents.remarks.extend(missing_accounts(recipe, &added.accounts));
        contents.left_out.extend(added.left_out);
        contents.left_out.sort();
        contents.left_out.dedup();
        contents.hides = added.hides;
    }
    let mut files = deploy::units(recipe, &options)?;
    files.extend(deploy::factory(&carried.factory, &options)?);
    files.extend(deploy::preparation(&files, &options)?);
    put(&mut contents.tree, files, recipe.profile.epoch)?;
    let units = TreePath::from_absolute(b"/usr/lib/systemd/system")?;
    let reload = contents.tree.below(&units).next().is_some();
    add_release(&mut contents.tree, recipe, ExtensionClass::Sysext, &output.image, &output.release, reload)?;
    list(&mut contents, recipe, host.map_or(stacked, |host| &host.stacked), (output, host))?;
    let whole = host.map_or_else(|| stacked.whole(), |host| &host.stacked.tree);
    contents.remarks.extend(without_systemd(OutputKind::Sysext, recipe, &output.release));
    let needed = programs(recipe).filter(|program| {
        let path = program.parse::<TreePath>();
        path.is_ok_and(|path| whole.lookup(&path).is_none())
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
    Ok(contents)
}

/// Tells that an extension is made for hosts of a distro that has no systemd, which is what merges extensions.
fn without_systemd(kind: OutputKind, recipe: &Recipe, release: &ReleaseMatch) -> Option<Remark> {
    let Distro { init, title, id, .. } = &recipe.distro;
    (*init != Init::Systemd && release.host == Host::Distro).then(|| Remark {
        message: format!(
            "the {kind} of {} is for hosts with `ID={id}`, and {title} has no systemd that could merge it",
            recipe.profile.name
        ),
        hint: format!(
            "where it needs nothing of its host, as a static program or one that brings its own C library, set `host = \"any\"` \
             under `[output.{kind}]`; a portable service runs on every host with systemd"
        ),
    })
}

/// Where an extension has the list of its packages. Scanners know such a list by the end of its name.
const SBOM_FOLDER: &str = "/usr/share/sbom";

/// Makes the lists of what a system extension holds that are asked for, and puts the one for scanners into it.
fn list(
    contents: &mut Contents,
    recipe: &Recipe,
    stacked: &Stacked,
    (output, host): (&SysextOutput, Option<&OverHost>),
) -> Result<(), BuildError> {
    let text = |tree: &Tree, format| {
        let described = Described {
            recipe,
            stacked,
            tree,
            packages: host.map(OverHost::packages).unwrap_or_default(),
            name: &output.image.name,
            kind: sbom::EXTENSION,
            identity: tree.digest(),
            digest: None,
        };
        serde_json::to_vec_pretty(&described.document(format)).expect("a document is made of texts and numbers")
    };
    if output.scanners {
        let bytes = text(&contents.tree, SbomFormat::Spdx);
        let path = format!("{SBOM_FOLDER}/{}.spdx.json", output.image.name).parse()?;
        let meta = Meta::root_owned(0o644, recipe.profile.epoch);
        contents.tree.insert(path, Node { kind: Kind::Regular(Content::inline(bytes)), meta })?;
        contents.tree.complete(|_| Meta::root_owned(0o755, recipe.profile.epoch));
    }
    for format in &output.sbom {
        let end = match format {
            SbomFormat::Spdx => "spdx.json",
            SbomFormat::Cyclonedx => "cdx.json",
        };
        contents.lists.push((end, text(&contents.tree, *format)));
    }
    Ok(())
}

/// Tells which accounts the packages of a system extension made that its host does not have.
fn missing_accounts(recipe: &Recipe, accounts: &BTreeSet<String>) -> Option<Remark> {
    let is_news = |name: &&String| !recipe.users.contains_key(*name) && !recipe.groups.contains_key(*name);
    let names: Vec<String> = accounts.iter().filter(is_news).map(|name| format!("`{name}`")).collect();
    (!names.is_empty()).then(|| Remark {
        message: format!(
            "the packages of the sysext of {} make the accounts {}, which its host does not have",
            recipe.profile.name,
            names.join(", ")
        ),
        hint: "a merge makes no accounts: make them on the host, for example with a file of sysusers.d(5)".into(),
    })
}

/// Returns what its configuration extension holds.
fn confext(recipe: &Recipe, stacked: &Stacked, output: &ConfextOutput, store: &Store) -> Result<Contents, BuildError> {
    // What a sysext of the same profile carries is not lost.
    let elsewhere = |path: &TreePath| recipe.outputs.sysext.is_some() && (is_in(path, "/usr") || is_in(path, "/opt"));
    let counts = |path: &TreePath, node: &Node| counts(recipe, stacked, path, node) && !elsewhere(path);
    let carried = image::confext(&stacked.tree, counts)?;
    let mut contents = over(carried.tree, output.over.as_deref(), store)?;
    contents.left_out = carried.left_out;
    contents.left_out.extend(stacked.removed.iter().filter(|path| !elsewhere(path)).cloned());
    contents.remarks.extend(without_systemd(OutputKind::Confext, recipe, &output.release));
    add_release(&mut contents.tree, recipe, ExtensionClass::Confext, &output.image, &output.release, false)?;
    Ok(contents)
}

/// Returns what its portable service holds.
fn portable(recipe: &Recipe, stacked: &Stacked, output: &PortableOutput) -> Result<Contents, BuildError> {
    let options = unit_options(Flavour::Portable, &output.image);
    let mut tree = stacked.whole().clone();
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
    Ok(Contents { tree: whole.tree, left_out: Vec::new(), hides: Vec::new(), remarks: Vec::new(), lists: Vec::new() })
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
fn over(tree: Tree, path: Option<&std::path::Path>, store: &Store) -> Result<Contents, BuildError> {
    let (tree, hides) = match path {
        Some(path) => {
            let Subtracted { tree, changed } = image::subtract(&tree, &base::tree(path, &store.archives())?)?;
            (tree, changed)
        }
        None => (tree, Vec::new()),
    };
    Ok(Contents { tree, left_out: Vec::new(), hides, remarks: Vec::new(), lists: Vec::new() })
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
    let read = |content: &&Content| Elf::read(content).map(|elf| elf.and_then(|elf| elf.architecture())).transpose();
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::distro::Wish;
    use crate::resolve::{Library, Request, default_sysext, resolve};
    use crate::spec::Project;

    #[test]
    fn an_extension_for_hosts_without_systemd_is_told() {
        let project = Arc::new(Project::open(Path::new(env!("CARGO_MANIFEST_DIR"))));
        let library = Library::load(project, "default").unwrap();
        let told = |name: &str, host| {
            let (distro, table) = library.distros().unwrap().into_iter().find(|(own, _)| own.as_str() == name).unwrap();
            let wish = Wish { release: None, architecture: Some(Architecture::X86_64) };
            let recipe =
                resolve(&library, &Request { distro, table, wish, settings: Vec::new(), epoch: None }).unwrap();
            let release = ReleaseMatch { host, ..default_sysext(&recipe).unwrap().release };
            without_systemd(OutputKind::Sysext, &recipe, &release).map(|remark| remark.message)
        };
        let message =
            "the sysext of default is for hosts with `ID=alpine`, and Alpine Linux has no systemd that could merge it";
        assert_eq!(told("alpine", Host::Distro).as_deref(), Some(message));
        assert_eq!(told("alpine", Host::Any), None);
        assert_eq!(told("debian", Host::Distro), None);
    }
}
