//! Which extended attributes are part of a tree.
//!
//! Kept are those that a file carries wherever it goes: `user.*`, `trusted.*`, `security.*` (file capabilities, IMA
//! signatures) and `system.posix_acl_access` and `_default`. Left out is what belongs to the machine that the file stood
//! on: `security.selinux` and `security.SMACK64*` (labels by the policy of that machine), `security.apparmor`,
//! `security.evm` (keyed to that machine), and whatever a file system makes up itself (`system.nfs4_acl`, `btrfs.*`).
//!
//! The attributes of overlayfs, `trusted.overlay.*` and `user.overlay.*`, are read as what they mean: `opaque` and
//! `whiteout`. Its bookkeeping is left out, except `redirect` and `metacopy`: what has them lies elsewhere in part.

use super::Xattrs;

/// Extended attributes as they belong into a tree, and what those of overlayfs said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sorted {
    /// What is kept.
    pub xattrs: Xattrs,
    /// The directory hides what lower trees have in it.
    pub opaque: bool,
    /// The empty file stands for a removal.
    pub whiteout: bool,
}

/// An extended attribute that says that part of the file or directory lies in another layer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the extended attribute `{0}` says that part of it lies in a lower layer of an overlay mount: copy it out of the \
     mounted overlay instead"
)]
pub struct Incomplete(String);

/// Tells whether the attribute called `name` belongs to the machine and not to the tree.
pub(super) fn is_foreign(name: &[u8]) -> bool {
    if let Some(label) = name.strip_prefix(b"security.") {
        return matches!(label, b"selinux" | b"apparmor" | b"evm") || label.starts_with(b"SMACK64");
    }
    let portable = name.starts_with(b"user.") || name.starts_with(b"trusted.");
    !portable && name != b"system.posix_acl_access" && name != b"system.posix_acl_default"
}

impl Sorted {
    /// Takes one attribute.
    ///
    /// # Errors
    /// When it says that part of the file or directory lies elsewhere.
    pub fn take(&mut self, name: &[u8], value: &[u8]) -> Result<(), Incomplete> {
        let overlay = name.strip_prefix(b"trusted.overlay.").or_else(|| name.strip_prefix(b"user.overlay."));
        match overlay {
            Some(b"opaque") => self.opaque |= value == b"y",
            Some(b"whiteout") => self.whiteout = true,
            Some(b"redirect" | b"metacopy") => {
                return Err(Incomplete(String::from_utf8_lossy(name).into_owned()));
            }
            None if !is_foreign(name) => drop(self.xattrs.insert(name.into(), value.into())),
            Some(_) | None => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_the_machine_is_left_out() {
        let mut sorted = Sorted::default();
        for name in [
            "security.selinux",
            "security.SMACK64EXEC",
            "security.evm",
            "security.apparmor",
            "system.nfs4_acl",
            "btrfs.compression",
            "trusted.overlay.origin",
        ] {
            sorted.take(name.as_bytes(), b"x").unwrap();
        }
        assert_eq!(sorted, Sorted::default());
        let kept = ["security.capability", "security.ima", "system.posix_acl_access", "trusted.note", "user.note"];
        kept.iter().for_each(|name| sorted.take(name.as_bytes(), b"x").unwrap());
        assert_eq!(sorted.xattrs.len(), kept.len());
    }

    #[test]
    fn overlay_attributes_are_read() {
        let mut sorted = Sorted::default();
        sorted.take(b"trusted.overlay.opaque", b"x").unwrap();
        assert!(!sorted.opaque, "`x` says only that attribute whiteouts are in the directory");
        sorted.take(b"user.overlay.opaque", b"y").unwrap();
        sorted.take(b"trusted.overlay.whiteout", b"").unwrap();
        assert!(sorted.opaque && sorted.whiteout && sorted.xattrs.is_empty());
        let error = sorted.take(b"trusted.overlay.metacopy", b"").unwrap_err();
        assert!(error.to_string().contains("`trusted.overlay.metacopy`"), "{error}");
    }
}
