//! The command line.

use std::path::PathBuf;

use clap::{ArgAction, ArgGroup, Args, Parser, Subcommand, ValueEnum};

use crate::distro::Architecture;
use crate::image::signature::KeyType;
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
    /// Show what would be written, and what would change against the last render
    Plan(PlanArguments),
    /// Explain why a path of the tree is as it is
    Why(WhyArguments),
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
    /// Check every block of a disk image against its hash tree and signature
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
    /// The private key that signs, PEM: RSA, or ECDSA with P-256 or P-384
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

/// Arguments of `inspect`.
#[derive(Debug, Args)]
#[command(after_help = INSPECT_HELP)]
pub(super) struct InspectArguments {
    /// A directory, a tar archive, an EROFS or squashfs image, or a disk image that holds one
    #[arg(value_name = "IMAGE")]
    pub(super) image: PathBuf,
    /// Print every path
    #[arg(long, conflicts_with = "mtree")]
    pub(super) list: bool,
    /// Print every path with what stands there, in the format of mtree(5)
    #[arg(long, conflicts_with = "json")]
    pub(super) mtree: bool,
}

const INSPECT_HELP: &str = "\
Signatures are shown, not checked: `layerforge verify` checks them.
Archives may be compressed with gzip, zstd or xz.";

/// Arguments of `lint`.
#[derive(Debug, Args)]
#[command(after_help = LINT_HELP)]
pub(super) struct LintArguments {
    /// An image, a directory, or a folder of published versions
    #[arg(value_name = "PATH", required_unless_present = "list")]
    pub(super) path: Option<PathBuf>,
    /// What it is meant for; found out from what is in it when nothing is said
    #[arg(long, value_enum, value_name = "CLASS")]
    pub(super) class: Option<Class>,
    /// The oldest systemd that must take it; that of the release that it names when nothing is said, or else 252
    #[arg(long, value_name = "VERSION")]
    pub(super) target_systemd: Option<u32>,
    /// The oldest kernel that must mount it, such as 6.1; that of the release that it names when nothing is said
    #[arg(long, value_name = "VERSION", value_parser = kernel)]
    pub(super) target_kernel: Option<(u32, u32)>,
    /// Where an extension is merged
    #[arg(long, value_enum, default_value = "system")]
    pub(super) scope: Scope,
    /// The profile that a portable service is attached with
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(super) profile: String,
    /// It is for systems that enforce SELinux
    #[arg(long)]
    pub(super) selinux: bool,
    /// It is for systems that take signed images only
    #[arg(long)]
    pub(super) signed: bool,
    /// It is attached to service managers of users
    #[arg(long)]
    pub(super) user: bool,
    /// The exposure that services may have, from 0.0 to 10.0
    #[arg(long, value_name = "N", value_parser = tenths)]
    pub(super) exposure: Option<u32>,
    /// A rule that may be broken; may be given several times
    #[arg(long, value_name = "RULE")]
    pub(super) allow: Vec<String>,
    /// Print the rules instead
    #[arg(long)]
    pub(super) list: bool,
    /// Print them as a page of documentation
    #[arg(long, requires = "list", conflicts_with = "json")]
    pub(super) markdown: bool,
}

/// Takes the first two numbers of a kernel version.
fn kernel(text: &str) -> Result<(u32, u32), String> {
    let mut parts = text.split('.').map(str::parse);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => Err("expected two numbers, such as 6.1".into()),
    }
}

/// Takes a number with one decimal, in tenths.
fn tenths(text: &str) -> Result<u32, String> {
    let (whole, tenth) = text.split_once('.').unwrap_or((text, "0"));
    let tenth = Some(tenth).filter(|tenth| tenth.len() == 1).and_then(|tenth| tenth.parse::<u32>().ok());
    let tenths =
        whole.parse::<u32>().ok().zip(tenth).and_then(|(whole, tenth)| whole.checked_mul(10)?.checked_add(tenth));
    tenths.filter(|tenths| *tenths <= 100).ok_or_else(|| "expected a number from 0.0 to 10.0".into())
}

const LINT_HELP: &str = "\
Exit code: 0 when nothing worse than a warning is left, 1 when there are errors.";

/// Arguments of `verify`.
#[derive(Debug, Args)]
#[command(after_help = VERIFY_HELP)]
pub(super) struct VerifyArguments {
    /// A disk image with a verity hash tree, or a container image as an OCI layout
    #[arg(value_name = "IMAGE")]
    pub(super) image: PathBuf,
    /// The certificate whose key must have signed it, PEM; the signature is not checked without one
    #[arg(long = "cert", value_name = "FILE")]
    pub(super) certificate: Option<PathBuf>,
}

const VERIFY_HELP: &str = "\
Exit code: 0 when every block or blob and the signature are right, 5 when not.";

/// Arguments of `sign`.
#[derive(Debug, Clone, Args)]
#[command(after_help = SIGN_HELP)]
#[command(group(ArgGroup::new("hand").args(["key", "signer"]).required(true)))]
pub(super) struct SignArguments {
    /// A disk image with a verity hash tree
    #[arg(value_name = "IMAGE")]
    pub(super) image: PathBuf,
    /// The private key, PEM: RSA, or ECDSA with P-256 or P-384
    #[arg(long, value_name = "FILE")]
    pub(super) key: Option<PathBuf>,
    /// The certificate of the key, PEM
    #[arg(long = "cert", value_name = "FILE")]
    pub(super) certificate: PathBuf,
    /// A file whose first line is the passphrase of the key
    #[arg(long, value_name = "FILE", conflicts_with = "signer")]
    pub(super) passphrase_file: Option<PathBuf>,
    /// A command that signs instead of a key: root hash on its input, PKCS#7 as DER on its output
    #[arg(long, value_name = "CMD")]
    pub(super) signer: Option<String>,
}

const SIGN_HELP: &str = "\
Every block is checked before. The passphrase may be in LAYERFORGE_PASSPHRASE, too.

A command for --signer, here one that does what --key does:
openssl smime -sign -binary -noattr -nosmimecap -outform der -signer CERT -inkey KEY";

/// What a folder of versions is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PublishLayout {
    /// DIR/NAME_VERSION.raw with SHA256SUMS, for systemd-sysupdate of other hosts
    Sysupdate,
    /// DIR/NAME.raw.v/NAME_VERSION.raw, of which this host takes the newest
    V,
}

/// Arguments of `publish`.
#[derive(Debug, Args)]
#[command(after_help = PUBLISH_HELP)]
pub(super) struct PublishArguments {
    /// A sysext, confext or portable service: a file system or a disk image
    #[arg(value_name = "IMAGE")]
    pub(super) image: PathBuf,
    /// The folder; it is made when it is missing
    #[arg(long = "dir", value_name = "DIR")]
    pub(super) directory: PathBuf,
    /// What the folder is for
    #[arg(long, value_name = "LAYOUT", value_enum, default_value = "sysupdate")]
    pub(super) layout: PublishLayout,
    /// The version; the one that the image gives itself by default
    #[arg(long = "version", value_name = "VERSION")]
    pub(super) image_version: Option<String>,
    /// Remove versions older than the N newest
    #[arg(long, value_name = "N")]
    pub(super) keep: Option<std::num::NonZeroUsize>,
    /// Write NAME.transfer, too: hosts find DIR at this URL, or absolute path
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// Make it an optional feature with this title, NAME.feature, which hosts enable
    #[arg(long, value_name = "TITLE", requires = "url")]
    pub(super) feature: Option<String>,
    /// A command that signs: SHA256SUMS on its input, a detached OpenPGP signature on its output
    #[arg(long, value_name = "CMD")]
    pub(super) gpg: Option<String>,
}

const PUBLISH_HELP: &str = "\
A version that is there is never replaced. Whatever interrupts it, run it again.

layerforge publish out/web/debian/sysext/web.raw --dir /srv/www/images \\
    --url https://example.org/images --gpg 'gpg --detach-sign' --keep 5";

/// Arguments of `key`.
#[derive(Debug, Args)]
pub(super) struct KeyArguments {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: KeyCommand,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a private key and a certificate of it, valid for ten years
    Generate(KeyGenerateArguments),
}

/// Arguments of `key generate`.
#[derive(Debug, Args)]
#[command(after_help = KEY_GENERATE_HELP)]
pub(super) struct KeyGenerateArguments {
    /// The kind of key
    #[arg(long = "type", value_name = "TYPE", value_enum, default_value = "rsa")]
    pub(super) key_type: KeyKind,
    /// The name in the certificate
    #[arg(long, value_name = "NAME", default_value = "layerforge")]
    pub(super) subject: String,
    /// Where the private key goes; only its owner can read it
    #[arg(long, value_name = "FILE")]
    pub(super) key: PathBuf,
    /// Where the certificate goes
    #[arg(long = "cert", value_name = "FILE")]
    pub(super) certificate: PathBuf,
    /// A file whose first line is the passphrase to encrypt the key with
    #[arg(long, value_name = "FILE")]
    pub(super) passphrase_file: Option<PathBuf>,
}

const KEY_GENERATE_HELP: &str = "\
Nothing is overwritten. The passphrase may be in LAYERFORGE_PASSPHRASE, too; without one the key is not encrypted.";

/// How registries are spoken to.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Network")]
pub(super) struct NetworkArguments {
    /// Never use the network: only what was fetched before
    #[arg(long)]
    pub(super) offline: bool,
    /// Speak plain http to the registry; on this machine that is tried anyway
    #[arg(long)]
    pub(super) plain_http: bool,
}

/// Arguments of `lock`.
#[derive(Debug, Args)]
pub(super) struct LockArguments {
    /// What to lock.
    #[command(flatten)]
    pub(super) selection: SelectionArguments,
    /// Look up again what the lock has already
    #[arg(long)]
    pub(super) upgrade: bool,
    /// Fail when the lock is stale, instead of renewing it
    #[arg(long, conflicts_with = "upgrade")]
    pub(super) check: bool,
    /// How registries are spoken to.
    #[command(flatten)]
    pub(super) network: NetworkArguments,
}

/// Arguments of `push`.
#[derive(Debug, Args)]
#[command(allow_missing_positional = true, after_help = PUSH_HELP)]
pub(super) struct PushArguments {
    /// An OCI image layout or an archive of one, a rendered folder, or a profile that was rendered; `default` when
    /// nothing is said
    #[arg(value_name = "PATH|PROFILE")]
    pub(super) source: Option<String>,
    /// Where to push to: REGISTRY/REPOSITORY:TAG
    #[arg(value_name = "REF")]
    pub(super) reference: String,
    /// Which of the rendered folders of the profile.
    #[command(flatten)]
    pub(super) target: TargetArguments,
    /// How registries are spoken to.
    #[command(flatten)]
    pub(super) network: NetworkArguments,
}

const PUSH_HELP: &str = "\
What the registry has is not sent, and what another repository of it has is taken from there; a push that broke off goes on \
where it stopped. Prints the digest of the image.

Credentials are those of `podman login` and `docker login`.";

/// Arguments of `pull`.
#[derive(Debug, Args)]
#[command(after_help = PULL_HELP)]
pub(super) struct PullArguments {
    /// The image: REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@DIGEST
    #[arg(value_name = "REF")]
    pub(super) reference: String,
    /// A directory to write it into as an OCI image layout; only into the cache when nothing is said
    #[arg(value_name = "DEST")]
    pub(super) destination: Option<PathBuf>,
    /// The architecture: x86_64, aarch64, riscv64; that of this machine by default
    #[arg(long, value_name = "ARCH")]
    pub(super) arch: Option<Architecture>,
    /// Pull every platform
    #[arg(long, conflicts_with = "arch")]
    pub(super) all: bool,
    /// How registries are spoken to.
    #[command(flatten)]
    pub(super) network: NetworkArguments,
}

const PULL_HELP: &str = "\
Everything is checked against its digest. Into DEST come SBOMs, signatures and whatever else is attached to the image, too. \
Prints the digest of the image.

Credentials are those of `podman login` and `docker login`; mirrors those of containers-registries.conf(5).";

/// The kinds of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum KeyKind {
    /// 4096 bits
    Rsa,
    EcdsaP256,
    EcdsaP384,
}

impl From<KeyKind> for KeyType {
    fn from(kind: KeyKind) -> Self {
        match kind {
            KeyKind::Rsa => Self::Rsa,
            KeyKind::EcdsaP256 => Self::EcdsaP256,
            KeyKind::EcdsaP384 => Self::EcdsaP384,
        }
    }
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
