//! Outputs: how trees become files of the host.
//!
//! Comes in: trees and texts. Goes out: artifacts in a destination folder. Always holds: artifacts appear whole, at
//! once, and nothing that somebody else put into the destination is lost.

pub mod ddi;
mod destination;
mod directory;
mod elf;
pub mod erofs;
mod extension;
mod file;
pub mod gpt;
mod manifest;
mod mtree;
pub mod oci;
pub mod read;
pub mod signature;
pub mod squashfs;
mod tar;
pub mod verity;

pub use destination::{
    Artifact, Body, Committed, Destination, DestinationError, Edit, EditKind, Options, Output, Rendered, Standing,
    Witness,
};
pub use directory::{DirectoryError, Layout, Old, carried_by_copy};
pub use elf::Elf;
pub use extension::{
    Carried, ExtensionClass, FactoryEntry, NeededProgram, PortableError, ReleaseFields, ReleaseFile, Subtracted, Whole,
    confext, portable, subtract, sysext, yield_mount_points,
};
pub use file::{Makers, WriteImageError, write_image};
pub use manifest::{
    GENERATOR, Manifest, ManifestEntry, ManifestError, ManifestFile, ManifestHead, ManifestPackage, ManifestSource,
};
pub use mtree::mtree;
pub use tar::{WriteTarError, write_tar, write_tar_selected};
