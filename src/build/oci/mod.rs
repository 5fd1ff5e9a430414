//! Images for container engines: layers from parts, what they say about themselves, the files they are written as.

mod attached;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::num::NonZero;

use super::artifacts::{Artifact, Body, Product, Remark};
use super::images::Means;
use super::{BuildError, Stacked, manifest};
use crate::deploy::{Container, Started, image_name};
use crate::digest::{Digest, Hasher};
use crate::image::oci::layer::{ARCHIVER, Codec, write_layer};
use crate::image::oci::{
    self, Annotations, BaseImage, Blobs, Descriptor, HealthCheck, History, ImageConfig, Index, Manifest, Part,
    Platform, RootFs, RunConfig, Shared, annotation, media_type, rfc3339,
};
use crate::image::{ManifestFile, write_tar};
use crate::plan::OutputKind;
use crate::resolve::{OciOutput, Probe, Recipe, target_name};
use crate::spec::{LayerCompression, Mode, OciFormat};
use crate::store::MadeLayer;
use crate::tree::{Content, ContentSource, Kind, Meta, Node, Stack, Tree, TreePath};

/// What of each layer is the same for every distro of a profile, by the name of the layer.
#[derive(Debug, Clone, Default)]
pub struct Neutrals(BTreeMap<String, Tree>);

impl Neutrals {
    /// Compares the layers of recipes of one profile, one recipe for each of its distros.
    pub fn of(recipes: &[(&Recipe, &Stack)]) -> Self {
        let mut layers: BTreeMap<&str, Vec<&Tree>> = BTreeMap::new();
        for layer in recipes.iter().flat_map(|(_, stack)| &stack.layers) {
            layers.entry(&layer.name).or_default().push(&layer.tree);
        }
        let neutral = |trees: &[&Tree]| oci::neutral(trees, |path| directory(recipes, path));
        Self(layers.into_iter().map(|(name, trees)| (name.to_owned(), neutral(&trees))).collect())
    }

    fn get(&self, layer: &str) -> Cow<'_, Tree> {
        self.0.get(layer).map_or_else(|| Cow::Owned(Tree::new()), Cow::Borrowed)
    }
}

/// Returns what a directory that only leads somewhere is like where all distros agree about that.
fn directory(recipes: &[(&Recipe, &Stack)], path: &TreePath) -> Meta {
    let path = path.to_string();
    let mut modes = recipes.iter().map(|(recipe, _)| recipe.distro.directories.get(&path).map(|Mode(mode)| *mode));
    let first = modes.next().flatten();
    let mode = first.filter(|mode| modes.all(|other| other == Some(*mode))).unwrap_or(0o755);
    Meta::root_owned(mode, recipes.first().map_or(0, |(recipe, _)| recipe.profile.epoch))
}

/// Makes the container image of a recipe.
pub(super) fn oci<'tree>(
    recipe: &Recipe,
    stacked: &Stacked,
    (output, bundled): (&OciOutput, bool),
    means: &Means<'_>,
) -> Result<Product<'tree>, BuildError> {
    let others = means.platforms.get(&target_name(&recipe.distro)).map(Vec::as_slice).unwrap_or_default();
    let others = others.iter().map(|(recipe, stacked)| Ok((recipe, stacked.for_output(bundled)?)));
    let others = others.collect::<Result<Vec<_>, BuildError>>()?;
    let mut platforms: Vec<(&Recipe, &Stacked)> = std::iter::once((recipe, stacked)).chain(others).collect();
    let wanted = &output.architectures;
    platforms.retain(|(recipe, _)| wanted.is_empty() || wanted.contains(&recipe.distro.architecture));
    platforms.sort_by_key(|(recipe, _)| recipe.distro.architecture);
    let reference = reference(recipe, output);
    let mut blobs = Blobs::default();
    let (mut images, mut descriptors, mut attached) = (Vec::new(), Vec::new(), Vec::new());
    for (recipe, stacked) in platforms {
        let container = Container::of(recipe, output.process.as_deref())?;
        let base = stacked.base.as_deref().filter(|_| !output.scratch);
        let run = run_config(&container, tree_of(stacked, output));
        let inside = Inside { run, base, parts: parts(stacked, base, output, means)? };
        let image = image(recipe, output, inside, &mut blobs, means)?;
        let descriptor = blobs.add_manifest(&image);
        if output.format != OciFormat::DockerArchive {
            let subject = attached::Subject { recipe, stacked, output, reference: &reference, manifest: &descriptor };
            attached.extend(attached::attach(&subject, &mut blobs, means.signer)?);
        }
        descriptors.push(Descriptor { platform: Some(Platform::linux(recipe.distro.architecture)), ..descriptor });
        images.push(image);
    }
    let image = images.swap_remove(0);
    let mut manifests = if let [only] = descriptors.as_slice() {
        vec![only.clone()]
    } else {
        let index = Index::new(descriptors);
        let descriptor = blobs.add_bytes(media_type::INDEX, index.to_bytes());
        if output.format != OciFormat::DockerArchive {
            attached.extend(attached::signature(output, &descriptor, &reference, &mut blobs, means.signer)?);
        }
        vec![descriptor]
    };
    manifests[0].annotations = Annotations::from([
        (annotation::REF_NAME.into(), reference.clone()),
        (annotation::CONTAINERD_NAME.into(), reference.clone()),
    ]);
    manifests.extend(attached);
    let index = Index::new(manifests);
    let tags = [reference];
    let epoch = recipe.profile.epoch;
    let files = match output.format {
        OciFormat::Directory => oci::layout_files(&blobs, &index, None, epoch),
        OciFormat::Tar => oci::layout_files(&blobs, &index, Some((&image, &tags)), epoch),
        OciFormat::DockerArchive => oci::docker_files(&blobs, &image, &tags, epoch),
    };
    finish(recipe, stacked, output, &files?, means)
}

/// Returns what a container of the image sees.
fn tree_of<'run>(stacked: &'run Stacked, output: &OciOutput) -> &'run Tree {
    if output.scratch { &stacked.tree } else { stacked.whole() }
}

/// Returns the layers that an image has, before they are written.
fn parts(
    stacked: &Stacked,
    base: Option<&BaseImage>,
    output: &OciOutput,
    means: &Means<'_>,
) -> Result<Vec<Part>, BuildError> {
    let layers = &stacked.stack.layers;
    let neutrals: Vec<Cow<'_, Tree>> = layers.iter().map(|layer| means.neutrals.get(&layer.name)).collect();
    let shared: Vec<Shared<'_>> = layers
        .iter()
        .zip(&neutrals)
        .map(|(layer, neutral)| Shared { name: &layer.name, own: &layer.tree, neutral })
        .collect();
    if let Some(base) = base {
        let limit = output.max_layers.saturating_sub(base.layers.len()).max(1);
        return Ok(oci::parts(&base.tree, &shared, stacked.whole(), limit)?);
    }
    if let Some(packages) = stacked.packages.as_deref() {
        // The same packages are the same layer, whatever lies over them.
        let lowest = Part { tree: packages.tree.clone(), neutral: false, layers: vec!["packages".into()] };
        let limit = output.max_layers.saturating_sub(1).max(1);
        let above = oci::parts(&packages.tree, &shared, &stacked.tree, limit)?;
        return Ok(std::iter::once(lowest).chain(above).collect());
    }
    let mut whole = Tree::new();
    oci::lay(&mut whole, &stacked.tree)?;
    Ok(oci::parts(&Tree::new(), &shared, &whole, output.max_layers)?)
}

/// What an image is made of.
struct Inside<'run> {
    /// How it is started.
    run: RunConfig,
    /// The image below.
    base: Option<&'run BaseImage>,
    /// Its own layers.
    parts: Vec<Part>,
}

/// Writes the layers and the configuration, and returns the manifest.
fn image(
    recipe: &Recipe,
    output: &OciOutput,
    inside: Inside<'_>,
    blobs: &mut Blobs,
    means: &Means<'_>,
) -> Result<Manifest, BuildError> {
    let Inside { run, base, parts } = inside;
    let codec = match output.compression {
        LayerCompression::None => Codec::Plain,
        LayerCompression::Gzip => Codec::Gzip(output.level),
        LayerCompression::Zstd => Codec::Zstd(output.level),
    };
    let created = rfc3339(recipe.profile.epoch);
    let labels = run.labels.iter().flatten();
    let mut annotations: Annotations = labels
        .filter(|(name, _)| name.starts_with("org.opencontainers.image."))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    annotations.insert(annotation::CREATED.into(), created.clone());
    if let Some(base) = base {
        annotations.extend(base.name.clone().map(|name| (annotation::BASE_NAME.into(), name)));
        annotations.insert(annotation::BASE_DIGEST.into(), base.digest.to_string());
    }
    annotations.extend(output.annotations.clone());
    let (mut layers, mut diff_ids, mut history) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(base) = base {
        layers.extend(base.layers.iter().map(|(layer, content)| blobs.add(&layer.media_type, content.clone())));
        diff_ids.extend(base.config.rootfs.diff_ids.iter().copied());
        history.extend(base.config.history.iter().cloned());
    }
    for part in parts {
        let (diff_id, content) = layer(output, &part.tree, codec, means)?;
        layers.push(blobs.add(codec.media_type(), content));
        diff_ids.push(diff_id);
        history.push(History {
            created: Some(created.clone()),
            created_by: Some("layerforge".into()),
            comment: Some(comment(&part)),
            empty_layer: false,
        });
    }
    let config = ImageConfig {
        created: Some(created),
        architecture: recipe.distro.architecture.oci_name().into(),
        os: "linux".into(),
        variant: base.and_then(|base| base.config.variant.clone()),
        config: Some(match base.and_then(|base| base.config.config.as_ref()) {
            Some(below) => over(below, run),
            None => run,
        }),
        rootfs: RootFs::layers(diff_ids),
        history,
    };
    let config = blobs.add_bytes(media_type::CONFIG, config.to_bytes());
    Ok(Manifest::image(config, layers, annotations))
}

/// Says where a layer comes from.
fn comment(part: &Part) -> String {
    let kind = if part.neutral { "the same for every distro" } else { "for this distro" };
    format!("{}: {kind}", part.layers.join(", "))
}

/// Returns a layer as a file of the store, and the digest of its archive. One that was made before is taken as it is.
fn layer(output: &OciOutput, tree: &Tree, codec: Codec, means: &Means<'_>) -> Result<(Digest, Content), BuildError> {
    let threads = NonZero::new(rayon::current_num_threads()).unwrap_or(NonZero::<usize>::MIN);
    let stored = means.store.layer(&tree.digest(), (ARCHIVER, &codec.identity()), |file| {
        let written = write_layer(tree, codec, threads, file);
        let written = written.map_err(|source| BuildError::Container { name: output.name.clone(), source })?;
        Ok::<_, BuildError>(MadeLayer { diff_id: written.diff_id, digest: written.digest, length: written.size })
    })?;
    let source = ContentSource::File(stored.path.into());
    Ok((stored.diff_id, Content { digest: stored.digest, length: stored.length, source }))
}

/// Returns how an image is started. Writable paths are volumes where the image has a directory that gives a new volume its
/// owner; elsewhere the engine would make one of root's.
fn run_config(container: &Container<'_>, tree: &Tree) -> RunConfig {
    let some = |set: oci::Set| (!set.is_empty()).then_some(set);
    let labels = container.labels.iter().map(|(name, value)| (name.clone(), (*value).to_owned())).collect();
    let is_there = |path: &&&TreePath| tree.get(path).is_some_and(|node| node.kind.is_directory());
    let volumes = container.writables.iter().filter(is_there);
    let volumes = volumes.map(|path| (path.to_string(), oci::EmptyObject {})).collect();
    let config = RunConfig {
        labels: (!container.labels.is_empty()).then_some(labels),
        volumes: some(volumes),
        ..RunConfig::default()
    };
    let Some(Started { process, directory, ports, probe, .. }) = &container.started else { return config };
    let variables = process.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    RunConfig {
        user: format!("{}:{}", process.user.uid, process.user.gid),
        exposed_ports: some(ports.iter().map(|port| (format!("{port}/tcp"), oci::EmptyObject {})).collect()),
        env: (!process.environment.is_empty()).then_some(variables),
        entrypoint: Some(process.command.clone()),
        working_dir: (*directory).to_owned(),
        stop_signal: Some(process.stop_signal.clone()),
        healthcheck: probe.map(health_check),
        ..config
    }
}

/// Lays what an image says about how it is started over what the image below says, as a Dockerfile does.
fn over(below: &RunConfig, own: RunConfig) -> RunConfig {
    let text = |own: String, below: &String| if own.is_empty() { below.clone() } else { own };
    let set = |own: Option<oci::Set>, below: &Option<oci::Set>| match (own, below) {
        (Some(own), Some(below)) => Some(below.clone().into_iter().chain(own).collect()),
        (own, below) => own.or_else(|| below.clone()),
    };
    let starts = own.entrypoint.is_some();
    let mut labels = below.labels.clone().unwrap_or_default();
    labels.extend(own.labels.unwrap_or_default());
    RunConfig {
        user: text(own.user, &below.user),
        exposed_ports: set(own.exposed_ports, &below.exposed_ports),
        env: variables(own.env, below.env.as_deref()),
        // The arguments of the program below are none of another one's.
        cmd: if starts { own.cmd } else { below.cmd.clone() },
        entrypoint: own.entrypoint.or_else(|| below.entrypoint.clone()),
        volumes: set(own.volumes, &below.volumes),
        working_dir: text(own.working_dir, &below.working_dir),
        labels: (!labels.is_empty()).then_some(labels),
        stop_signal: own.stop_signal.or_else(|| below.stop_signal.clone()),
        healthcheck: if starts { own.healthcheck } else { below.healthcheck.clone() },
    }
}

/// Returns the variables below and the own ones, which win; each once, in the order in which they come first.
fn variables(own: Option<Vec<String>>, below: Option<&[String]>) -> Option<Vec<String>> {
    let name = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
    let own = own.unwrap_or_default();
    let named: BTreeMap<String, &String> = own.iter().map(|variable| (name(variable), variable)).collect();
    let mut all: Vec<String> = Vec::new();
    for variable in below.unwrap_or_default().iter().chain(&own) {
        let chosen = named.get(&name(variable)).copied().unwrap_or(variable);
        if !all.contains(chosen) {
            all.push(chosen.clone());
        }
    }
    (!all.is_empty()).then_some(all)
}

fn health_check(probe: &Probe) -> HealthCheck {
    let nanoseconds = |duration: std::time::Duration| u64::try_from(duration.as_nanos()).ok();
    HealthCheck {
        test: std::iter::once("CMD").map(str::to_owned).chain(probe.command.iter().cloned()).collect(),
        interval: nanoseconds(probe.interval),
        timeout: nanoseconds(probe.timeout),
        start_period: nanoseconds(probe.start_period),
        retries: Some(probe.retries),
    }
}

/// Returns what an image is called: as the profile says, or its own name and version; with a tag in any case.
fn reference(recipe: &Recipe, output: &OciOutput) -> String {
    let version = recipe.profile.version.as_str();
    let is_tag = version.len() <= 128
        && version.starts_with(|letter: char| letter.is_ascii_alphanumeric())
        && version.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.-".contains(letter));
    match &output.reference {
        Some(reference) if reference.rsplit('/').next().is_some_and(|name| name.contains(':')) => reference.clone(),
        Some(reference) => format!("{reference}:latest"),
        None if is_tag => format!("{}:{version}", image_name(recipe)),
        None => format!("{}:latest", image_name(recipe)),
    }
}

/// Puts the files of an image into a folder or an archive and describes it.
fn finish<'tree>(
    recipe: &Recipe,
    stacked: &Stacked,
    output: &OciOutput,
    files: &Tree,
    means: &Means<'_>,
) -> Result<Product<'tree>, BuildError> {
    let kind = OutputKind::Oci;
    let epoch = recipe.profile.epoch;
    let mut folder = Tree::new();
    if output.format == OciFormat::Directory {
        folder.graft(&TreePath::root().join(output.name.as_bytes())?, files)?;
    } else {
        let content = archive(output, files, means)?;
        let node = Node { kind: Kind::Regular(content), meta: Meta::root_owned(0o644, epoch) };
        folder.insert(TreePath::root().join(format!("{}.tar", output.name).as_bytes())?, node)?;
    }
    folder.complete(|_| Meta::root_owned(0o755, epoch));
    let mut description = manifest(recipe, tree_of(stacked, output), stacked);
    for (path, node) in folder.iter() {
        if let Kind::Regular(content) = &node.kind {
            let file = ManifestFile { size: content.length, digest: content.digest };
            description.files.insert(format!("{kind}{path}"), file);
        }
    }
    let artifacts = vec![
        Artifact { name: kind.to_string(), body: Body::Directory(Cow::Owned(folder)) },
        Artifact { name: format!("{kind}.manifest.json"), body: Body::Bytes(description.to_text().into_bytes()) },
    ];
    let base = stacked.base.as_deref().filter(|_| !output.scratch);
    let remarks = remark(recipe, base, stacked.packages.is_some()).into_iter().collect();
    Ok(Product { kind, artifacts, remarks })
}

/// Tells what the profile has that is in none of its layers, nor in `base`, whose packages have been checked, nor in the
/// packages that are `bundled`.
fn remark(recipe: &Recipe, base: Option<&BaseImage>, bundled: bool) -> Option<Remark> {
    let absent: Vec<&str> = [
        ("packages", bundled || recipe.packages.is_empty() || base.is_some()),
        ("users", bundled || recipe.users.is_empty()),
        ("triggers", recipe.triggers.is_empty()),
    ]
    .into_iter()
    .filter(|(_, none)| !none)
    .map(|(word, _)| word)
    .collect();
    (!absent.is_empty()).then(|| Remark {
        message: format!(
            "the oci of {} for {} holds its {}layers only: its {} are not in it",
            recipe.profile.name,
            target_name(&recipe.distro),
            if base.is_some() { "base image and its " } else { "" },
            absent.join(" and ")
        ),
        hint: match base {
            Some(_) => "bring along what is made by them with a layer, or stand on an image that has it".into(),
            None => {
                "lay it over an image that has them: `COPY --from=IMAGE / /`, or bring them along with a layer".into()
            }
        },
    })
}

/// Returns files as an archive in the store.
fn archive(output: &OciOutput, files: &Tree, means: &Means<'_>) -> Result<Content, BuildError> {
    let mut hasher = Hasher::new();
    hasher.field(b"archive of a container image");
    hasher.field(ARCHIVER.as_bytes());
    hasher.field(files.digest().as_bytes());
    let stored = means.store.image(&hasher.finish().0, |mut file| {
        write_tar(files, &mut file).map_err(|source| BuildError::Container { name: output.name.clone(), source })
    })?;
    let source = ContentSource::File(stored.path.into());
    Ok(Content { digest: stored.digest, length: stored.length, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> RunConfig {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_the_image_below_says_stays_unless_the_profile_says_otherwise() {
        let below = r#"{"User":"1:1","Env":["PATH=/bin","A=1"],"Entrypoint":["/bin/sh"],"Cmd":["-l"],"WorkingDir":"/srv",
            "Volumes":{"/a":{}},"Labels":{"a":"1","b":"1"},"StopSignal":"SIGINT","ExposedPorts":{"1/tcp":{}}}"#;
        assert_eq!(over(&config(below), RunConfig::default()), config(below));
        let own = r#"{"User":"7:7","Env":["A=2","B=3"],"Entrypoint":["/app"],"Volumes":{"/b":{}},"Labels":{"b":"2"}}"#;
        let expected = r#"{"User":"7:7","Env":["PATH=/bin","A=2","B=3"],"Entrypoint":["/app"],"WorkingDir":"/srv",
            "Volumes":{"/a":{},"/b":{}},"Labels":{"a":"1","b":"2"},"StopSignal":"SIGINT","ExposedPorts":{"1/tcp":{}}}"#;
        assert_eq!(over(&config(below), config(own)), config(expected), "arguments of another program are gone");
    }
}
