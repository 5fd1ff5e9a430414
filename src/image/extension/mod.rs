//! What of a tree an image for systemd carries, and what it says about itself.
//!
//! Comes in: the merged tree of a profile. Goes out: the tree of a system extension, a configuration extension or a
//! portable service, and the list of what it does not carry. Always holds: nothing is left out in silence; a directory
//! that an extension shares with its host has the mode a host expects; what systemd mounts over is there.
//!
//! The rules are those of the UAPI group's extension image specification (UAPI.4), systemd-sysext(8) and portablectl(1),
//! as systemd 252 to 262 carry them out.

mod carry;
mod portable;
mod release;
mod subtract;
#[cfg(test)]
mod tests;

pub use carry::{Carried, FactoryEntry, confext, sysext};
pub use portable::{NeededProgram, PortableError, Whole, portable, yield_mount_points};
pub use release::{ExtensionClass, ReleaseFields, ReleaseFile};
pub use subtract::{Subtracted, subtract};
