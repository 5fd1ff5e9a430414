//! Arguments of the commands about registries and the lock.

use std::path::PathBuf;

use clap::Args;

use super::{SelectionArguments, TargetArguments};
use crate::distro::Architecture;

/// How registries are spoken to.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Network")]
pub(in crate::cli) struct NetworkArguments {
    /// Never use the network: only what was fetched before
    #[arg(long)]
    pub(in crate::cli) offline: bool,
    /// Speak plain http to the registry; on this machine that is tried anyway
    #[arg(long)]
    pub(in crate::cli) plain_http: bool,
}

/// Arguments of `lock`.
#[derive(Debug, Args)]
pub(in crate::cli) struct LockArguments {
    /// What to lock.
    #[command(flatten)]
    pub(in crate::cli) selection: SelectionArguments,
    /// Look up again what the lock has already: everything, or only these packages and what they need
    #[arg(
        long,
        value_name = "PACKAGE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        value_delimiter = ','
    )]
    pub(in crate::cli) upgrade: Option<Vec<String>>,
    /// Fail when the lock is stale, instead of renewing it
    #[arg(long, conflicts_with = "upgrade")]
    pub(in crate::cli) check: bool,
    /// How registries are spoken to.
    #[command(flatten)]
    pub(in crate::cli) network: NetworkArguments,
    /// Take packages from a folder that `layerforge vendor` wrote, and nothing from elsewhere
    #[arg(long, value_name = "DIR", help_heading = "Network")]
    pub(in crate::cli) vendored: Option<PathBuf>,
}

/// Arguments of `outdated`.
#[derive(Debug, Args)]
pub(in crate::cli) struct OutdatedArguments {
    /// Whose lock.
    #[command(flatten)]
    pub(in crate::cli) selection: SelectionArguments,
    /// Never use the network: only what was fetched before
    #[arg(long, help_heading = "Network")]
    pub(in crate::cli) offline: bool,
}

/// Arguments of `why-package`.
#[derive(Debug, Args)]
pub(in crate::cli) struct WhyPackageArguments {
    /// The name of a package, as the distribution has it
    #[arg(value_name = "PACKAGE")]
    pub(in crate::cli) package: String,
    /// Whose lock.
    #[command(flatten)]
    pub(in crate::cli) selection: SelectionArguments,
}

/// Arguments of `vendor`.
#[derive(Debug, Args)]
#[command(after_help = VENDOR_HELP)]
pub(in crate::cli) struct VendorArguments {
    /// The folder to write into; several profiles may share one
    #[arg(value_name = "DIR")]
    pub(in crate::cli) directory: PathBuf,
    /// Whose lock.
    #[command(flatten)]
    pub(in crate::cli) selection: SelectionArguments,
    /// Never use the network: only what was fetched before
    #[arg(long, help_heading = "Network")]
    pub(in crate::cli) offline: bool,
}

const VENDOR_HELP: &str = "\
Writes the packages of the lock, and the signed indexes that they were chosen from. `render --vendored DIR` and \
`lock --vendored DIR` then need no network. Signatures are checked all the same.";

/// Arguments of `push`.
#[derive(Debug, Args)]
#[command(allow_missing_positional = true, after_help = PUSH_HELP)]
pub(in crate::cli) struct PushArguments {
    /// An OCI image layout or an archive of one, a rendered folder, or a profile that was rendered; `default` when
    /// nothing is said
    #[arg(value_name = "PATH|PROFILE")]
    pub(in crate::cli) source: Option<String>,
    /// Where to push to: REGISTRY/REPOSITORY:TAG
    #[arg(value_name = "REF")]
    pub(in crate::cli) reference: String,
    /// Which of the rendered folders of the profile.
    #[command(flatten)]
    pub(in crate::cli) target: TargetArguments,
    /// How registries are spoken to.
    #[command(flatten)]
    pub(in crate::cli) network: NetworkArguments,
}

const PUSH_HELP: &str = "\
What the registry has is not sent, and what another repository of it has is taken from there; a push that broke off goes on \
where it stopped. Prints the digest of the image.

Credentials are those of `podman login` and `docker login`.";

/// Arguments of `pull`.
#[derive(Debug, Args)]
#[command(after_help = PULL_HELP)]
pub(in crate::cli) struct PullArguments {
    /// The image: REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@DIGEST
    #[arg(value_name = "REF")]
    pub(in crate::cli) reference: String,
    /// A directory to write it into as an OCI image layout; only into the cache when nothing is said
    #[arg(value_name = "DEST")]
    pub(in crate::cli) destination: Option<PathBuf>,
    /// The architecture: x86_64, aarch64, riscv64; that of this machine by default
    #[arg(long, value_name = "ARCH")]
    pub(in crate::cli) arch: Option<Architecture>,
    /// Pull every platform
    #[arg(long, conflicts_with = "arch")]
    pub(in crate::cli) all: bool,
    /// How registries are spoken to.
    #[command(flatten)]
    pub(in crate::cli) network: NetworkArguments,
}

const PULL_HELP: &str = "\
Everything is checked against its digest. Into DEST come SBOMs, signatures and whatever else is attached to the image, too. \
Prints the digest of the image.

Credentials are those of `podman login` and `docker login`; mirrors those of containers-registries.conf(5).";
