//! What the control files of a package say, as far as its files and the database depend on it.

use super::DatabaseError;
use crate::packages::accounts::Accounts;
use crate::packages::apk::archive::FILES;
use crate::packages::apk::info::Info;
use crate::packages::apk::relation::{self, Dependency};
use crate::packages::archive::Unpacked;

/// A package to install.
#[derive(Debug)]
pub(in crate::packages::apk) struct Package<'unpacked> {
    pub(in crate::packages::apk) unpacked: &'unpacked Unpacked,
    pub(in crate::packages::apk) info: Info<'unpacked>,
    /// The identity as the database has it, and the length of the file.
    pub(super) identity: &'unpacked str,
    pub(super) size: &'unpacked str,
    /// For each entry the checksum, user and group.
    pub(super) files: Vec<[&'unpacked str; 3]>,
}

impl<'unpacked> Package<'unpacked> {
    pub(super) fn of(unpacked: &'unpacked Unpacked) -> Result<Self, DatabaseError> {
        let file = |name: &str| unpacked.control_bytes(name);
        let info =
            Info::parse(file(".PKGINFO")).map_err(|reason| DatabaseError::Package { package: "?".into(), reason })?;
        let fault = || DatabaseError::Package {
            package: info.name.to_owned(),
            reason: "it was not unpacked as it should be".into(),
        };
        let lines = std::str::from_utf8(file(FILES)).map_err(|_| fault())?;
        let mut lines = lines.lines().map(|line| line.split(' '));
        let mut first = lines.next().ok_or_else(fault)?;
        let (identity, size) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
        let files: Option<Vec<[&str; 3]>> =
            lines.map(|mut words| Some([words.next()?, words.next()?, words.next()?])).collect();
        let files = files.filter(|files| files.len() == unpacked.entries.len()).ok_or_else(fault)?;
        Ok(Self { unpacked, identity, size, files, info })
    }

    /// Returns the script of a kind: `post-install`.
    pub(in crate::packages::apk) fn script(&self, kind: &str) -> Option<&'unpacked [u8]> {
        self.unpacked.control_file(&format!(".{kind}")).map(|file| file.bytes.as_slice())
    }

    /// Tells whether this package may overwrite files of another.
    pub(super) fn replaces(&self, other: &Self) -> bool {
        self.info.replaces.iter().any(|word| {
            Dependency::parse(word.as_bytes()).is_ok_and(|dependency| {
                dependency.name == other.info.name.as_bytes()
                    && relation::matches(other.info.version.as_bytes(), dependency.comparison, dependency.version)
                        != dependency.conflict
            })
        })
    }

    /// Returns user and group of an entry: those with the names that it has, or else with its numbers.
    pub(super) fn owner(&self, entry: usize, accounts: &Accounts) -> (u32, u32) {
        let [_, user, group] = self.files[entry];
        let meta = &self.unpacked.entries[entry].meta;
        let uid = if user == "root" { Some(0) } else { accounts.user(user) };
        let gid = if group == "root" { Some(0) } else { accounts.group(group) };
        (uid.unwrap_or(meta.uid), gid.unwrap_or(meta.gid))
    }
}
