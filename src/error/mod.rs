//! Every way a command can fail, with the exit code of each.
//!
//! Comes in: the errors of the stages. Goes out: one [`Error`] with an exit code and what to do about it. Always holds:
//! 1 a build failed, 2 the command line is wrong, 3 a profile or layer is invalid, 4 the lock is stale or packages cannot
//! be resolved, 5 something could not be fetched or verified. The command `diff` answers as diff(1) does: 0 equal, 1
//! different, 2 a side cannot be read.

use crate::build::BuildError;
use crate::fs;
use crate::image::ddi::DdiError;
use crate::image::oci::cosign::SignLayoutError;
use crate::image::read::OpenError;
use crate::image::signature::SignatureError;
use crate::image::{DestinationError, ManifestError};
use crate::lock::LockError;
use crate::packages::PackageError;
use crate::publish::PublishError;
use crate::registry::RegistryError;
use crate::spec::SpecError;

/// A command that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line asks for something that does not go together.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// A profile, layer, template or distro description is wrong.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The lock is stale, missing or malformed.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A tree could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A destination could not be written.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// A rendered folder cannot be understood.
    #[error("`{path}`: {source}")]
    Manifest {
        /// The manifest.
        path: String,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// A key or certificate cannot be used.
    #[error("`{path}`: {source}")]
    Signature {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: SignatureError,
    },
    /// An image cannot be signed.
    #[error("`{path}`: {source}")]
    Sign {
        /// The image.
        path: String,
        /// Why not.
        source: DdiError,
    },
    /// A container image cannot be signed.
    #[error("`{path}`: {source}")]
    SignLayout {
        /// The image.
        path: String,
        /// Why not.
        source: Box<SignLayoutError>,
    },
    /// An image cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A version cannot be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A registry does not do what is asked of it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Packages cannot be chosen or fetched.
    #[error(transparent)]
    Packages(#[from] PackageError),
    /// An image is not what it says.
    #[error("`{path}` cannot be trusted: {reason}")]
    Unverified {
        /// The image.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] fs::Error),
}

impl Error {
    /// Returns an error of the command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: None }
    }

    /// Returns the exit code of the program.
    pub fn exit_code(&self) -> u8 {
        match self {
            // Layers that do not fit are as wrong as a table that does not; only their trees had to be made first.
            Self::Build(
                BuildError::Layer { .. }
                | BuildError::Stack(_)
                | BuildError::Tier { .. }
                | BuildError::Seed { .. }
                | BuildError::Incomplete { .. }
                | BuildError::NotADirectoryImage { .. }
                | BuildError::BaseDistro { .. }
                | BuildError::Lint { .. },
            ) => 3,
            Self::Build(BuildError::Packages(error)) => error.exit_code(),
            Self::Build(_) | Self::Destination(_) | Self::Manifest { .. } | Self::File(_) => 1,
            Self::Signature { .. } | Self::Sign { .. } | Self::SignLayout { .. } | Self::Open(_) => 1,
            Self::Registry(RegistryError::Reference(_)) => 2,
            Self::Registry(RegistryError::File(_)) => 1,
            Self::Packages(PackageError::File(_)) => 1,
            Self::Packages(error) if error.is_unsolvable() => 4,
            Self::Packages(_) | Self::Registry(_) | Self::Unverified { .. } => 5,
            Self::Usage { .. } | Self::Publish(PublishError::Url(_) | PublishError::Title(_)) => 2,
            Self::Publish(_) => 1,
            Self::Spec(SpecError::Problems(_)) => 3,
            Self::Spec(SpecError::File(_)) => 1,
            Self::Lock(LockError::File(_)) => 1,
            Self::Lock(_) => 4,
        }
    }

    /// Returns what to do about it, when the message does not say so itself.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Usage { hint, .. } => hint.clone(),
            Self::Lock(LockError::Stale { .. } | LockError::Missing { .. }) => {
                Some("render without `--locked` to renew it, then commit it with the profile".into())
            }
            Self::Signature { source: SignatureError::NoPassphrase, .. } => {
                Some("give it with `--passphrase-file FILE` or in `LAYERFORGE_PASSPHRASE`".into())
            }
            Self::Build(BuildError::Packages(error)) => error.hint(),
            Self::Packages(error) if error.is_gone() => Some(
                "mirrors keep the newest versions only: `layerforge lock --upgrade` takes those; a `snapshot` keeps old ones"
                    .into(),
            ),
            Self::Lock(LockError::Malformed { .. }) => {
                Some("`layerforge lock` makes it anew; of one that can be read, packages keep their versions".into())
            }
            _ => None,
        }
    }
}
