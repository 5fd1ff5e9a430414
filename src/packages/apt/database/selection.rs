//! What the control files of a package say, as far as its files and the database depend on it.

use super::DatabaseError;
use crate::packages::apt::archive::Unpacked;
use crate::packages::apt::control::{self, Stanza, shown};
use crate::packages::apt::relation::{self, Alternative, Relations};
use crate::packages::apt::version;
use crate::tree::TreePath;

/// A file that all packages but one are to put elsewhere (dpkg-divert(1)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diversion {
    /// The path that packages have.
    pub path: TreePath,
    /// Where the file goes.
    pub to: TreePath,
    /// The package that keeps the path; nothing when the administrator does.
    pub package: Option<String>,
}

/// Owner and mode of a path, whatever its package says (dpkg-statoverride(1)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatOverride {
    /// The path.
    pub path: TreePath,
    /// Owner, as a number.
    pub uid: u32,
    /// Group, as a number.
    pub gid: u32,
    /// Permission bits.
    pub mode: u16,
}

/// A package to install.
#[derive(Debug)]
pub(super) struct Package<'unpacked> {
    pub(super) unpacked: &'unpacked Unpacked,
    pub(super) control: Stanza<'unpacked>,
    pub(super) name: String,
    pub(super) version: &'unpacked [u8],
    pub(super) architecture: String,
    same: bool,
    essential: bool,
}

impl<'unpacked> Package<'unpacked> {
    pub(super) fn of(unpacked: &'unpacked Unpacked) -> Result<Self, DatabaseError> {
        let control = unpacked.control_bytes("control");
        let control = control::single("control", control)?;
        let text = |name: &str| String::from_utf8_lossy(control.get(name).unwrap_or_default()).into_owned();
        let name = text("Package");
        let fault = |reason: String| DatabaseError::Package { package: shown(name.as_bytes()), reason };
        if let Some(words) = relation::name_fault(name.as_bytes()) {
            return Err(fault(words.to_owned()));
        }
        let version = control.get("Version").unwrap_or_default();
        if let Some(words) = version::fault(version) {
            return Err(fault(format!("its version `{}` is none: {words}", shown(version))));
        }
        let architecture = text("Architecture");
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if architecture.is_empty() || !architecture.bytes().all(plain) {
            return Err(fault(format!("its architecture `{}` is none", shown(architecture.as_bytes()))));
        }
        let (same, essential) = (text("Multi-Arch") == "same", text("Essential") == "yes");
        Ok(Self { unpacked, version, architecture, same, essential, name, control })
    }

    /// Returns what decides which package comes first.
    pub(super) fn rank(&self) -> (bool, bool, &str) {
        (self.name != "base-files", !self.essential, &self.name)
    }

    /// Returns the name that its files in the database begin with.
    pub(super) fn file_name(&self) -> String {
        if self.same { format!("{}:{}", self.name, self.architecture) } else { self.name.clone() }
    }

    /// Returns whose files it may overwrite.
    pub(super) fn replaced(&self) -> Result<Vec<Alternative<'unpacked>>, DatabaseError> {
        let relations = self.control.get("Replaces").map(Relations::new).into_iter().flatten();
        let fault = |fault: relation::Fault| DatabaseError::Package {
            package: self.name.clone(),
            reason: format!("in `Replaces`: {}", fault.words),
        };
        relations.map(|alternative| alternative.map_err(fault)).collect()
    }

    /// Returns the paths of its configuration files, in their order, and whether an upgrade removes each: such a one is not
    /// part of the package.
    pub(super) fn conffiles(&self) -> Result<Vec<(TreePath, bool)>, DatabaseError> {
        let mut paths = Vec::new();
        for line in self.lines("conffiles") {
            let removed = line.strip_prefix(b"remove-on-upgrade ");
            let path = TreePath::from_absolute(removed.unwrap_or(line)).map_err(|error| DatabaseError::Package {
                package: self.name.clone(),
                reason: format!("in `conffiles`: {error}"),
            })?;
            paths.push((path, removed.is_some()));
        }
        Ok(paths)
    }

    /// Returns the lines of a control file that say something.
    pub(super) fn lines(&self, name: &str) -> impl Iterator<Item = &'unpacked [u8]> {
        let bytes = self.unpacked.control_bytes(name);
        bytes.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
    }
}
