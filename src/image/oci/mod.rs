//! OCI images (image-spec 1.1): what docker, podman, containerd and Kubernetes take.
//!
//! Comes in: trees, and images of others. Goes out: layers, documents and layouts; and back: the tree of an image. Always
//! holds: the same trees and settings give the same bytes, on any number of threads; what is read of a blob is its digest's
//! or an error; what an image of others may take of memory and disk is bounded.
//!
//! The documents are types of our own: those of `oci-spec` keep annotations and labels in hash maps, whose order differs from
//! run to run, and have no health checks.
//!
//! ```text
//! Layout        oci-layout, index.json, blobs/sha256/…    a directory, or a tar archive of one
//!   Index       the manifests in it                        also: the platforms of one image
//!     Manifest  one image: config and layers               also: what is attached to another manifest (subject)
//! ```

mod base;
mod config;
pub mod cosign;
mod descriptor;
mod files;
pub mod layer;
mod layout;
mod manifest;
mod read;
mod sharing;
mod time;

use std::path::PathBuf;

pub use base::{BaseImage, LocalImage};
pub use config::{EmptyObject, HealthCheck, History, ImageConfig, RootFs, RunConfig, Set};
pub use descriptor::{Annotations, Descriptor, Platform, media_type};
pub use files::{Blobs, FilesError, changed_files, docker_files, layout_files};
pub use layout::{Layout, LayoutWriter, annotation};
pub use manifest::{DOCUMENT_MAX, EMPTY, Index, LAYERS_MAX, Manifest};

pub use read::{Checked, Container, ContainerFormat, check, open, recognise};
pub use sharing::{Part, Shared, difference, lay, neutral, parts};
pub use time::rfc3339;

use crate::digest::Digest;
use crate::fs;
use crate::tree::{TarError, TreeError};

/// The file of Docker that names what is in an archive.
const DOCKER_MANIFEST: &str = "manifest.json";

/// An image that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// The file system refused something.
    #[error(transparent)]
    Fs(#[from] fs::Error),
    /// The archive around an image cannot be read.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// It is no image layout.
    #[error("`{}` is no OCI image layout: {reason}", path.display())]
    NotALayout {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        reason: &'static str,
    },
    /// A blob is not there.
    #[error("the blob {digest} is not in the image")]
    Missing {
        /// Its digest.
        digest: Digest,
    },
    /// A blob has not as many bytes as its descriptor says.
    #[error("the blob {digest} has {found} bytes, its descriptor says {expected}: the image is damaged")]
    Size {
        /// The digest in the descriptor.
        digest: Digest,
        /// The bytes in the descriptor.
        expected: u64,
        /// The bytes that are there.
        found: u64,
    },
    /// A blob is not what its digest says.
    #[error("the blob {digest} holds something else, {found}: the image is damaged or was changed")]
    Digest {
        /// The digest in the descriptor.
        digest: Digest,
        /// The digest of what is there.
        found: Digest,
    },
    /// A layer does not decompress to what the configuration says.
    #[error("the layer {digest} holds {found}, the configuration says {expected}: the image is damaged or was changed")]
    DiffId {
        /// The digest of the layer.
        digest: Digest,
        /// The digest in the configuration.
        expected: Digest,
        /// The digest of what it decompresses to.
        found: Digest,
    },
    /// A layer cannot be decompressed.
    #[error("cannot decompress the layer {digest}")]
    Decompress {
        /// The digest of the layer.
        digest: Digest,
        /// What the decoder says.
        source: std::io::Error,
    },
    /// A layer does not fit over those below it.
    #[error("cannot lay the layer {digest} over those below it")]
    Layer {
        /// The digest of the layer.
        digest: Digest,
        /// Why not.
        source: TreeError,
    },
    /// A document is not written as the specification says.
    #[error("the {what} of the image cannot be read: {reason}")]
    Document {
        /// Which: `manifest`.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// There is too much of something.
    #[error("the image has more {what} than {limit}, the most that is taken")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How much is taken.
        limit: u64,
    },
}
