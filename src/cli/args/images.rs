//! Arguments of the commands about images and their keys.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use crate::image::signature::KeyType;
use crate::lint::Class;
use crate::spec::Scope;

/// Arguments of `inspect`.
#[derive(Debug, Args)]
#[command(after_help = INSPECT_HELP)]
pub(in crate::cli) struct InspectArguments {
    /// A directory, a tar archive, an EROFS or squashfs image, or a disk image that holds one
    #[arg(value_name = "IMAGE")]
    pub(in crate::cli) image: PathBuf,
    /// Print every path
    #[arg(long, conflicts_with = "mtree")]
    pub(in crate::cli) list: bool,
    /// Print every path with what stands there, in the format of mtree(5)
    #[arg(long, conflicts_with = "json")]
    pub(in crate::cli) mtree: bool,
}

const INSPECT_HELP: &str = "\
Signatures are shown, not checked: `layerforge verify` checks them.
Archives may be compressed with gzip, zstd or xz.";

/// Arguments of `lint`.
#[derive(Debug, Args)]
#[command(after_help = LINT_HELP)]
pub(in crate::cli) struct LintArguments {
    /// An image, a directory, or a folder of published versions
    #[arg(value_name = "PATH", required_unless_present = "list")]
    pub(in crate::cli) path: Option<PathBuf>,
    /// What it is meant for; found out from what is in it when nothing is said
    #[arg(long, value_enum, value_name = "CLASS")]
    pub(in crate::cli) class: Option<Class>,
    /// The oldest systemd that must take it; that of the release that it names when nothing is said, or else 252
    #[arg(long, value_name = "VERSION")]
    pub(in crate::cli) target_systemd: Option<u32>,
    /// The oldest kernel that must mount it, such as 6.1; that of the release that it names when nothing is said
    #[arg(long, value_name = "VERSION", value_parser = kernel)]
    pub(in crate::cli) target_kernel: Option<(u32, u32)>,
    /// Where an extension is merged
    #[arg(long, value_enum, default_value = "system")]
    pub(in crate::cli) scope: Scope,
    /// The profile that a portable service is attached with
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(in crate::cli) profile: String,
    /// It is for systems that enforce SELinux
    #[arg(long)]
    pub(in crate::cli) selinux: bool,
    /// It is for systems that take signed images only
    #[arg(long)]
    pub(in crate::cli) signed: bool,
    /// It is attached to service managers of users
    #[arg(long)]
    pub(in crate::cli) user: bool,
    /// The exposure that services may have, from 0.0 to 10.0
    #[arg(long, value_name = "N", value_parser = tenths)]
    pub(in crate::cli) exposure: Option<u32>,
    /// A rule that may be broken; may be given several times
    #[arg(long, value_name = "RULE")]
    pub(in crate::cli) allow: Vec<String>,
    /// Print the rules instead
    #[arg(long)]
    pub(in crate::cli) list: bool,
    /// Print them as a page of documentation
    #[arg(long, requires = "list", conflicts_with = "json")]
    pub(in crate::cli) markdown: bool,
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
pub(in crate::cli) struct VerifyArguments {
    /// A disk image with a verity hash tree, or a container image as an OCI layout
    #[arg(value_name = "IMAGE")]
    pub(in crate::cli) image: PathBuf,
    /// The certificate whose key must have signed it, PEM; the signature is not checked without one
    #[arg(long = "cert", value_name = "FILE")]
    pub(in crate::cli) certificate: Option<PathBuf>,
}

const VERIFY_HELP: &str = "\
Exit code: 0 when every block or blob and the signature are right, 5 when not.";

/// Arguments of `sign`.
#[derive(Debug, Clone, Args)]
#[command(after_help = SIGN_HELP)]
#[command(group(ArgGroup::new("hand").args(["key", "signer"]).required(true)))]
pub(in crate::cli) struct SignArguments {
    /// A disk image with a verity hash tree, or a container image as an OCI layout
    #[arg(value_name = "IMAGE")]
    pub(in crate::cli) image: PathBuf,
    /// The private key, PEM: RSA, or ECDSA with P-256 or P-384; Ed25519 for container images
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) key: Option<PathBuf>,
    /// The certificate of the key, PEM
    #[arg(long = "cert", value_name = "FILE")]
    pub(in crate::cli) certificate: PathBuf,
    /// A file whose first line is the passphrase of the key
    #[arg(long, value_name = "FILE", conflicts_with = "signer")]
    pub(in crate::cli) passphrase_file: Option<PathBuf>,
    /// A command that signs instead of a key: root hash on its input, PKCS#7 as DER on its output
    #[arg(long, value_name = "CMD")]
    pub(in crate::cli) signer: Option<String>,
}

const SIGN_HELP: &str = "\
Every block or blob is checked before. The passphrase may be in LAYERFORGE_PASSPHRASE, too.

A command for --signer, here one that does what --key does:
openssl smime -sign -binary -noattr -nosmimecap -outform der -signer CERT -inkey KEY";

/// What a folder of versions is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum PublishLayout {
    /// DIR/NAME_VERSION.raw with SHA256SUMS, for systemd-sysupdate of other hosts
    Sysupdate,
    /// DIR/NAME.raw.v/NAME_VERSION.raw, of which this host takes the newest
    V,
}

/// Arguments of `publish`.
#[derive(Debug, Args)]
#[command(after_help = PUBLISH_HELP)]
pub(in crate::cli) struct PublishArguments {
    /// A sysext, confext or portable service: a file system or a disk image
    #[arg(value_name = "IMAGE")]
    pub(in crate::cli) image: PathBuf,
    /// The folder; it is made when it is missing
    #[arg(long = "dir", value_name = "DIR")]
    pub(in crate::cli) directory: PathBuf,
    /// What the folder is for
    #[arg(long, value_name = "LAYOUT", value_enum, default_value = "sysupdate")]
    pub(in crate::cli) layout: PublishLayout,
    /// The version; the one that the image gives itself by default
    #[arg(long = "version", value_name = "VERSION")]
    pub(in crate::cli) image_version: Option<String>,
    /// Remove versions older than the N newest
    #[arg(long, value_name = "N")]
    pub(in crate::cli) keep: Option<std::num::NonZeroUsize>,
    /// Write NAME.transfer, too: hosts find DIR at this URL, or absolute path
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) url: Option<String>,
    /// Make it an optional feature with this title, NAME.feature, which hosts enable
    #[arg(long, value_name = "TITLE", requires = "url")]
    pub(in crate::cli) feature: Option<String>,
    /// A command that signs: SHA256SUMS on its input, a detached OpenPGP signature on its output
    #[arg(long, value_name = "CMD")]
    pub(in crate::cli) gpg: Option<String>,
}

const PUBLISH_HELP: &str = "\
A version that is there is never replaced. Whatever interrupts it, run it again.

layerforge publish out/web/debian/sysext/web.raw --dir /srv/www/images \\
    --url https://example.org/images --gpg 'gpg --detach-sign' --keep 5";

/// Arguments of `key`.
#[derive(Debug, Args)]
pub(in crate::cli) struct KeyArguments {
    /// What to do.
    #[command(subcommand)]
    pub(in crate::cli) command: KeyCommand,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum KeyCommand {
    /// Make a private key and a certificate of it, valid for ten years
    Generate(KeyGenerateArguments),
}

/// Arguments of `key generate`.
#[derive(Debug, Args)]
#[command(after_help = KEY_GENERATE_HELP)]
pub(in crate::cli) struct KeyGenerateArguments {
    /// The kind of key
    #[arg(long = "type", value_name = "TYPE", value_enum, default_value = "rsa")]
    pub(in crate::cli) key_type: KeyKind,
    /// The name in the certificate
    #[arg(long, value_name = "NAME", default_value = "layerforge")]
    pub(in crate::cli) subject: String,
    /// Where the private key goes; only its owner can read it
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) key: PathBuf,
    /// Where the certificate goes
    #[arg(long = "cert", value_name = "FILE")]
    pub(in crate::cli) certificate: PathBuf,
    /// A file whose first line is the passphrase to encrypt the key with
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) passphrase_file: Option<PathBuf>,
}

const KEY_GENERATE_HELP: &str = "\
Nothing is overwritten. The passphrase may be in LAYERFORGE_PASSPHRASE, too; without one the key is not encrypted.";

/// The kinds of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum KeyKind {
    /// 4096 bits
    Rsa,
    EcdsaP256,
    EcdsaP384,
    /// For container images only
    Ed25519,
}

impl From<KeyKind> for KeyType {
    fn from(kind: KeyKind) -> Self {
        match kind {
            KeyKind::Rsa => Self::Rsa,
            KeyKind::EcdsaP256 => Self::EcdsaP256,
            KeyKind::EcdsaP384 => Self::EcdsaP384,
            KeyKind::Ed25519 => Self::Ed25519,
        }
    }
}
