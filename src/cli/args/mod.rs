//! The command line.

mod images;
mod registries;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

pub(super) use images::{
    InspectArguments, KeyArguments, KeyCommand, KeyGenerateArguments, LintArguments, PublishArguments, PublishLayout,
    SignArguments, VerifyArguments,
};
pub(super) use registries::{
    LockArguments, NetworkArguments, OutdatedArguments, PullArguments, PushArguments, VendorArguments,
    WhyPackageArguments,
};

use crate::distro::Architecture;
use crate::lint::Class;
use crate::plan::{ImageWish, OutputKind};
use crate::spec::{ImageCompression, ImageFormat, Scope, Verity};

/// Renders one declarative description of a Linux userland into every shape it is deployed in.
#[derive(Debug, Parser)]
#[command(name = "layerforge", version, max_term_width = 100)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// Options of every command.
    #[command(flatten)]
    pub(super) global: GlobalOptions,
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
}

const HELP: &str = "\
Start with `layerforge init my-project`, then `layerforge render` in it. `layerforge man | man -l -` is the manual.

Exit codes: 0 done, 1 build failed, 2 wrong command line, 3 profile or layer invalid, 4 lock stale, 5 fetch failed";

/// The heading above options that every command has.
pub(super) const GLOBAL: &str = "Global options";

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub(super) struct GlobalOptions {
    /// The folder that holds profiles/, layers/ and templates/; this one by default
    #[arg(long, short = 'C', global = true, value_name = "DIR", help_heading = GLOBAL)]
    pub(super) project: Option<PathBuf>,
    /// Threads to use; as many as there are processors by default
    #[arg(long, short = 'j', global = true, value_name = "N", help_heading = GLOBAL)]
    pub(super) jobs: Option<std::num::NonZeroUsize>,
    /// Print data as JSON
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(super) json: bool,
    /// Say less: -q leaves out what went well
    #[arg(long, short, global = true, help_heading = GLOBAL)]
    pub(super) quiet: bool,
    /// Tell developers what happens inside; -vv tells more
    #[arg(long, short, global = true, action = ArgAction::Count, help_heading = GLOBAL)]
    pub(super) verbose: u8,
    /// When to use colours; auto: on terminals, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = GLOBAL)]
    pub(super) color: ColorChoice,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorChoice {
    Auto,
    Always,
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write a root filesystem and a Dockerfile for each distro
    Render(RenderArguments),
    /// Look for mistakes and waste in all profiles, for every distro
    Check(CheckArguments),
    /// Write the lock of a profile, or check it
    Lock(LockArguments),
    /// List packages of a lock that could be newer
    Outdated(OutdatedArguments),
    /// Write all that a lock needs of repositories into a folder
    Vendor(VendorArguments),
    /// Show what would be written, and what would change against the last render
    Plan(PlanArguments),
    /// Explain why a path of the tree is as it is
    Why(WhyArguments),
    /// Explain from the lock why a package is there
    WhyPackage(WhyPackageArguments),
    /// List profiles, layers, distros and variables
    List(ListArguments),
    /// Compare two trees: directories, images, tar archives, rendered folders or manifests
    Diff(DiffArguments),
    /// Draw profile, layers and files as a graph
    Graph(GraphArguments),
    /// Write a small commented project to start from
    Init(InitArguments),
    /// Tell what an image is: partitions, file system, signature, release, units, what is in it
    Inspect(InspectArguments),
    /// Judge an image or directory by the rules of systemd and containers
    Lint(LintArguments),
    /// Check what a disk image or a container image says of itself, and its signature
    Verify(VerifyArguments),
    /// Sign an image, or sign it anew, in place
    Sign(SignArguments),
    /// Add a version of an image to a folder that hosts update from
    Publish(PublishArguments),
    /// Bring a rendered image to a registry
    Push(PushArguments),
    /// Fetch an image from a registry
    Pull(PullArguments),
    /// Make keys that sign images
    Key(KeyArguments),
    /// Look after the cache folder
    Store(StoreArguments),
    /// Print the JSON Schema of a document, for editors
    Schema(SchemaArguments),
    /// Print a completion script for a shell
    Completions(CompletionsArguments),
    /// Print the manual page
    Man,
}

impl Command {
    /// Returns the profile that the command is about, when one is named.
    pub(super) fn profile(&self) -> Option<&str> {
        let selection = match self {
            Self::Check(arguments) => return arguments.profile.as_deref(),
            Self::Render(arguments) => &arguments.selection,
            Self::Lock(arguments) => &arguments.selection,
            Self::Plan(arguments) => &arguments.selection,
            Self::Why(arguments) => &arguments.selection,
            Self::WhyPackage(arguments) => &arguments.selection,
            Self::Outdated(arguments) => &arguments.selection,
            Self::Vendor(arguments) => &arguments.selection,
            Self::List(arguments) => &arguments.selection,
            Self::Graph(arguments) => &arguments.selection,
            Self::Diff(_)
            | Self::Init(_)
            | Self::Inspect(_)
            | Self::Lint(_)
            | Self::Verify(_)
            | Self::Sign(_)
            | Self::Publish(_)
            | Self::Push(_)
            | Self::Pull(_)
            | Self::Key(_)
            | Self::Store(_)
            | Self::Schema(_)
            | Self::Completions(_)
            | Self::Man => return None,
        };
        selection.profile.as_deref()
    }
}

/// `layerforge store`
#[derive(Debug, Clone, Args)]
pub(super) struct StoreArguments {
    /// What to do
    #[command(subcommand)]
    pub(super) action: StoreAction,
}

/// What `layerforge store` does.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum StoreAction {
    /// Remove what is kept for folders that are gone, and print what is left
    Gc,
}

/// A profile, its distros, values of variables.
#[derive(Debug, Clone, Args)]
pub(super) struct SelectionArguments {
    /// A name in profiles/ or the path of a TOML file; `default` when nothing is said
    #[arg(value_name = "PROFILE")]
    pub(super) profile: Option<String>,
    /// Options without the profile.
    #[command(flatten)]
    pub(super) target: TargetArguments,
}

/// Distros, and values of variables.
#[derive(Debug, Clone, Args)]
pub(super) struct TargetArguments {
    /// A distro of the profile, or `all`; may be given several times
    #[arg(long = "distro", short = 'd', value_name = "DISTRO")]
    pub(super) distros: Vec<String>,
    /// An architecture other than this machine's: x86_64, aarch64, riscv64
    #[arg(long, value_name = "ARCH")]
    pub(super) arch: Option<Architecture>,
    /// A release other than the profile's
    #[arg(long, value_name = "RELEASE")]
    pub(super) release: Option<String>,
    /// Set a variable; may be given several times
    #[arg(long = "set", short = 's', value_name = "NAME=VALUE")]
    pub(super) settings: Vec<String>,
    /// Set variables from a TOML file; may be given several times
    #[arg(long = "vars", value_name = "FILE")]
    pub(super) setting_files: Vec<PathBuf>,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// A name in profiles/ or the path of a TOML file; every profile when nothing is said
    #[arg(value_name = "PROFILE")]
    pub(super) profile: Option<String>,
    /// For what it is checked.
    #[command(flatten)]
    pub(super) target: TargetArguments,
}

/// Arguments of `render`.
#[derive(Debug, Args)]
pub(super) struct RenderArguments {
    /// What to render.
    #[command(flatten)]
    pub(super) selection: SelectionArguments,
    /// A shape to write; those the profile declares by default
    #[arg(long = "output", short = 'o', value_name = "KIND", value_enum)]
    pub(super) outputs: Vec<OutputKind>,
    /// Where to write; out/PROFILE/DISTRO by default. With several distros, a folder for each inside
    #[arg(long, value_name = "DIR")]
    pub(super) dest: Option<PathBuf>,
    /// Fail when the lock is stale, instead of renewing it
    #[arg(long)]
    pub(super) locked: bool,
    /// Never use the network: only what was fetched before
    #[arg(long)]
    pub(super) offline: bool,
    /// Take packages from a folder that `layerforge vendor` wrote, and nothing from elsewhere
    #[arg(long, value_name = "DIR")]
    pub(super) vendored: Option<PathBuf>,
    /// Replace what was changed by hand in the destination
    #[arg(long)]
    pub(super) force: bool,
    /// How images are written.
    #[command(flatten)]
    pub(super) image: ImageArguments,
    /// Who signs images.
    #[command(flatten)]
    pub(super) signing: SigningArguments,
}

/// How images are written, whatever the profile says.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Images (sysext, confext, portable)")]
pub(super) struct ImageArguments {
    /// Write images in this format; that of the profile by default
    #[arg(long, value_enum)]
    pub(super) format: Option<ImageFormat>,
    /// Compress images this much; as the profile says by default
    #[arg(long, value_enum)]
    pub(super) compression: Option<ImageCompression>,
    /// Protect the content of a ddi like this; as the profile says by default
    #[arg(long, value_enum)]
    pub(super) verity: Option<Verity>,
}

/// Who signs images that are to be signed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Images (sysext, confext, portable)")]
pub(super) struct SigningArguments {
    /// The private key that signs, PEM: RSA, or ECDSA with P-256 or P-384; Ed25519 for container images
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub(super) key: Option<PathBuf>,
    /// The certificate of the key, PEM
    #[arg(long = "cert", value_name = "FILE")]
    pub(super) certificate: Option<PathBuf>,
    /// A file whose first line is the passphrase of the key
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(super) passphrase_file: Option<PathBuf>,
    /// A command that signs instead of a key: root hash on its input, PKCS#7 as DER on its output
    #[arg(long, value_name = "CMD", conflicts_with = "key", requires = "certificate")]
    pub(super) signer: Option<String>,
}

impl ImageArguments {
    pub(super) fn wish(self) -> ImageWish {
        ImageWish { format: self.format, compression: self.compression, verity: self.verity }
    }
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub(super) struct PlanArguments {
    /// What to plan.
    #[command(flatten)]
    pub(super) selection: SelectionArguments,
    /// A shape to write; those the profile declares by default
    #[arg(long = "output", short = 'o', value_name = "KIND", value_enum)]
    pub(super) outputs: Vec<OutputKind>,
    /// Where it would be written; out/PROFILE/DISTRO by default
    #[arg(long, value_name = "DIR")]
    pub(super) dest: Option<PathBuf>,
    /// How images would be written.
    #[command(flatten)]
    pub(super) image: ImageArguments,
}

/// Arguments of `why`.
#[derive(Debug, Args)]
pub(super) struct WhyArguments {
    /// An absolute path of the tree
    #[arg(value_name = "PATH")]
    pub(super) path: String,
    /// Where to look for it.
    #[command(flatten)]
    pub(super) selection: SelectionArguments,
}

/// What to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ListKind {
    Profiles,
    Layers,
    Distros,
    Variables,
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub(super) struct ListArguments {
    /// What to list; everything when nothing is said. Variables come with their values and who set them
    #[arg(value_name = "KIND", value_enum)]
    pub(super) kind: Option<ListKind>,
    /// Whose variables.
    #[command(flatten)]
    pub(super) selection: SelectionArguments,
}

/// Arguments of `diff`.
#[derive(Debug, Args)]
#[command(after_help = DIFF_HELP)]
pub(super) struct DiffArguments {
    /// A directory, image, tar archive, rendered folder, the rootfs/ in one, or a manifest.json
    #[arg(value_name = "OLD")]
    pub(super) old: PathBuf,
    /// What to compare it with
    #[arg(value_name = "NEW")]
    pub(super) new: PathBuf,
    /// Compare times too
    #[arg(long)]
    pub(super) times: bool,
    /// Compare owners of directories too, although they are those of whoever wrote them
    #[arg(long)]
    pub(super) owners: bool,
}

const DIFF_HELP: &str = "\
A rendered folder stands for the tree as it was rendered, the rootfs/ in it for what an image gets from it now.
Archives may be compressed with gzip, zstd or xz.

Exit code: 0 when both are equal, 1 when they differ, 2 when they cannot be compared.";

/// The form of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum GraphFormat {
    Dot,
    Svg,
}

/// Arguments of `graph`.
#[derive(Debug, Args)]
pub(super) struct GraphArguments {
    /// What to draw.
    #[command(flatten)]
    pub(super) selection: SelectionArguments,
    /// A picture, or the language of Graphviz
    #[arg(long, value_enum, default_value = "svg")]
    pub(super) format: GraphFormat,
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub(super) struct InitArguments {
    /// The folder to write into; the working directory, or that of --project, when nothing is said
    #[arg(value_name = "DIR")]
    pub(super) directory: Option<PathBuf>,
    /// Start from a shipped profile, copied with its layers, instead of from the small one
    #[arg(long, value_name = "NAME")]
    pub(super) example: Option<String>,
}

/// The kinds of documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SchemaKind {
    Profile,
    Layer,
    Distro,
}

/// Arguments of `schema`.
#[derive(Debug, Args)]
#[command(after_help = SCHEMA_HELP)]
pub(super) struct SchemaArguments {
    /// The kind of document
    #[arg(value_enum, default_value = "profile")]
    pub(super) kind: SchemaKind,
}

const SCHEMA_HELP: &str = "\
`layerforge init` writes all three to .layerforge/schema/, where the first line of its documents names them for editors:
#:schema ../.layerforge/schema/profile.json";

/// Arguments of `completions`.
#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS_HELP)]
pub(super) struct CompletionsArguments {
    /// The shell
    #[arg(value_enum)]
    pub(super) shell: clap_complete::Shell,
}

const COMPLETIONS_HELP: &str = "\
bash: layerforge completions bash > ~/.local/share/bash-completion/completions/layerforge
zsh:  layerforge completions zsh > \"${fpath[1]}/_layerforge\"
fish: layerforge completions fish > ~/.config/fish/completions/layerforge.fish";

/// Makes the values of an enum those of an option, by the words that documents use.
macro_rules! value_enum {
    ($type:ty, $($value:ident = $word:literal),* $(,)?) => {
        impl ValueEnum for $type {
            fn value_variants<'a>() -> &'a [Self] {
                &[$(Self::$value),*]
            }

            fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
                Some(clap::builder::PossibleValue::new(match self {
                    $(Self::$value => $word,)*
                }))
            }
        }
    };
}

value_enum!(Class, Sysext = "sysext", Confext = "confext", Portable = "portable", Oci = "oci", Publish = "publish");
value_enum!(Scope, System = "system", Initrd = "initrd", Portable = "portable");
value_enum!(ImageFormat, Directory = "directory", Raw = "raw", Ddi = "ddi");
value_enum!(ImageCompression, None = "none", Fast = "fast", Default = "default", Small = "small");
value_enum!(Verity, None = "none", Hash = "hash", Signed = "signed", Defer = "defer");

impl ValueEnum for OutputKind {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.as_str()))
    }
}
