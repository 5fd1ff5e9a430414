//! What will be done, as data.
//!
//! Comes in: a recipe and the output kinds that are wanted. Goes out: a [`Plan`], a graph of actions. Always holds:
//! making a plan reads and writes nothing; an action names its inputs by the action that makes them, and stands after
//! them.

use std::fmt;

use serde::Serialize;

use crate::resolve::{
    ConfextOutput, ImageOutput, OciOutput, Over, PortableOutput, Recipe, SysextOutput, default_confext, default_oci,
    default_portable, default_rootfs, default_sysext,
};
use crate::spec::{ImageCompression, ImageFormat, Problem, SpecError, TarCompression, Verity};

/// A shape to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputKind {
    /// A directory and a Dockerfile that copies it over a base image.
    Rootfs,
    /// The tree as one tar archive.
    Tar,
    /// An image that systemd-sysext merges into /usr and /opt.
    Sysext,
    /// An image that systemd-confext merges into /etc.
    Confext,
    /// An image that portablectl attaches.
    Portable,
    /// An image that container engines take.
    Oci,
}

impl OutputKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [Self::Rootfs, Self::Tar, Self::Sysext, Self::Confext, Self::Portable, Self::Oci];

    /// Returns its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rootfs => "rootfs",
            Self::Tar => "tar",
            Self::Sysext => "sysext",
            Self::Confext => "confext",
            Self::Portable => "portable",
            Self::Oci => "oci",
        }
    }

    /// Tells whether it is an image that systemd takes, which carries a tree of its own; the others hold the whole one.
    pub fn is_image(self) -> bool {
        matches!(self, Self::Sysext | Self::Confext | Self::Portable)
    }
}

impl fmt::Display for OutputKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The name of the action that puts packages together.
const PACKAGES: &str = "packages";

/// What the caller wants of every image, whatever the profile says.
#[derive(Debug, Clone, Copy, Default)]
pub struct ImageWish {
    /// What holds the tree.
    pub format: Option<ImageFormat>,
    /// How the file system is compressed.
    pub compression: Option<ImageCompression>,
    /// What protects the content.
    pub verity: Option<Verity>,
}

impl ImageWish {
    fn fulfil(self, image: &mut ImageOutput) -> Result<(), SpecError> {
        image.format = self.format.unwrap_or(image.format);
        image.compression = self.compression.unwrap_or(image.compression);
        image.verity = self.verity.unwrap_or(image.verity);
        if self.verity.is_some() && image.format != ImageFormat::Ddi {
            return Err(Problem::anywhere(format!("the image `{}` has no room for verity data", image.name))
                .rule("only a disk image has")
                .help("add `--format ddi`")
                .into());
        }
        Ok(())
    }
}

/// A graph of actions for one target.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// The target: `debian`, `debian-bookworm`.
    pub target: String,
    /// The actions; each stands after those it takes from.
    pub actions: Vec<Action>,
}

/// One step.
#[derive(Debug, Clone, Serialize)]
pub struct Action {
    /// Its name, by which others take from it: `layer:nginx`, `stack`, `rootfs`.
    pub name: String,
    /// What it does.
    pub step: Step,
    /// The actions it takes from.
    pub inputs: Vec<String>,
    /// Whether the packages of the profile are part of what it writes: a whole root filesystem.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub bundled: bool,
}

/// What an action does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Fetches the packages that the lock names, and makes the tree of a root filesystem of them.
    Packages,
    /// Makes the tree of the layer with this index in the recipe.
    Layer(usize),
    /// Lays the layers over each other and adds the directories that are missing.
    Stack,
    /// Writes `rootfs/`, what a COPY cannot carry as `rootfs.tar`, and the Dockerfile, which starts this process.
    Rootfs {
        /// The process that the image starts.
        process: Option<String>,
    },
    /// Writes the whole tree as an archive.
    Tar {
        /// How it is compressed.
        compression: TarCompression,
    },
    /// Writes a system extension.
    Sysext(SysextOutput),
    /// Writes a configuration extension.
    Confext(ConfextOutput),
    /// Writes a portable service.
    Portable(PortableOutput),
    /// Writes an image for container engines.
    Oci(OciOutput),
}

impl Step {
    /// Tells whether it writes a system extension that carries packages.
    pub fn extends(&self) -> bool {
        matches!(self, Self::Sysext(SysextOutput { over: Some(Over::Packages(_)), .. }))
    }

    /// Tells whether what it writes holds the image that the layers stand on. An extension does not, for its host has that;
    /// the Dockerfile of a rootfs names it.
    pub fn holds_base(&self) -> bool {
        match self {
            Self::Tar { .. } | Self::Portable(_) => true,
            Self::Oci(output) => !output.scratch,
            Self::Packages
            | Self::Layer(_)
            | Self::Stack
            | Self::Rootfs { .. }
            | Self::Sysext(_)
            | Self::Confext(_) => false,
        }
    }
}

impl Plan {
    /// Plans the given output kinds of a recipe; a kind that the profile does not declare gets that kind's defaults.
    ///
    /// # Errors
    /// When a kind that is not declared cannot be written without being.
    pub fn of(recipe: &Recipe, kinds: &[OutputKind], wish: ImageWish) -> Result<Self, SpecError> {
        let mut actions = Vec::new();
        if kinds.iter().any(|kind| bundles(recipe, *kind) || extends(recipe, *kind)) {
            actions.push(Action { name: PACKAGES.into(), step: Step::Packages, inputs: Vec::new(), bundled: false });
        }
        for (index, layer) in recipe.layers.iter().enumerate() {
            let name = format!("layer:{}", layer.name);
            actions.push(Action { name, step: Step::Layer(index), inputs: Vec::new(), bundled: false });
        }
        let layers = actions.iter().filter(|action| matches!(action.step, Step::Layer(_)));
        let layers = layers.map(|action| action.name.clone()).collect();
        actions.push(Action { name: "stack".into(), step: Step::Stack, inputs: layers, bundled: false });
        for kind in kinds {
            let bundled = bundles(recipe, *kind);
            let packages = bundled || extends(recipe, *kind);
            let inputs = packages.then_some(PACKAGES).into_iter().chain(["stack"]).map(str::to_owned).collect();
            actions.push(Action { name: kind.to_string(), step: step(recipe, *kind, wish)?, inputs, bundled });
        }
        Ok(Self { target: crate::resolve::target_name(&recipe.distro), actions })
    }

    /// Tells whether a system extension is written that carries packages.
    pub fn extends(&self) -> bool {
        self.actions.iter().any(|action| action.step.extends())
    }

    /// Tells whether the packages of the profile are part of anything that is written.
    pub fn bundles(&self) -> bool {
        self.actions.iter().any(|action| action.bundled)
    }
}

/// Tells whether an output carries the packages of the profile.
fn bundles(recipe: &Recipe, kind: OutputKind) -> bool {
    let bundled = recipe.outputs.bundled;
    match kind {
        OutputKind::Rootfs => bundled.rootfs,
        OutputKind::Tar => bundled.tar,
        OutputKind::Portable => bundled.portable,
        OutputKind::Oci => bundled.oci,
        OutputKind::Sysext | OutputKind::Confext => false,
    }
}

/// Tells whether an output is a system extension that carries packages.
fn extends(recipe: &Recipe, kind: OutputKind) -> bool {
    kind == OutputKind::Sysext && recipe.extension().is_some()
}

fn step(recipe: &Recipe, kind: OutputKind, wish: ImageWish) -> Result<Step, SpecError> {
    let outputs = &recipe.outputs;
    let mut step = match kind {
        OutputKind::Rootfs => Step::Rootfs { process: started_process(recipe)? },
        OutputKind::Tar => Step::Tar { compression: outputs.tar.unwrap_or(TarCompression::None) },
        OutputKind::Sysext => Step::Sysext(declared(outputs.sysext.as_ref(), || default_sysext(recipe))?),
        OutputKind::Confext => Step::Confext(declared(outputs.confext.as_ref(), || default_confext(recipe))?),
        OutputKind::Portable => Step::Portable(declared(outputs.portable.as_ref(), || default_portable(recipe))?),
        OutputKind::Oci => Step::Oci(declared(outputs.oci.as_ref(), || default_oci(recipe))?),
    };
    match &mut step {
        Step::Sysext(SysextOutput { image, .. })
        | Step::Confext(ConfextOutput { image, .. })
        | Step::Portable(PortableOutput { image, .. }) => wish.fulfil(image)?,
        _ => {}
    }
    Ok(step)
}

/// Returns an output as the profile declares it, or else its default.
fn declared<T: Clone>(written: Option<&T>, default: impl FnOnce() -> Result<T, SpecError>) -> Result<T, SpecError> {
    written.cloned().map_or_else(default, Ok)
}

/// Returns the process that an image starts: as the profile says, or else its only one.
fn started_process(recipe: &Recipe) -> Result<Option<String>, SpecError> {
    let rootfs = declared(recipe.outputs.rootfs.as_ref(), || default_rootfs(recipe))?;
    Ok(rootfs.process)
}
