//! A root filesystem without package manager and shells.
use std::collections::BTreeMap;

use super::{InstalledPackage, PackagesError};
use crate::packages::apt::archive::Unpacked;
use crate::tree::{Tree, TreePath};

pub(super) fn strip(
    _tree: &mut Tree,
    _unpacked: &[Unpacked],
    _owners: &BTreeMap<TreePath, usize>,
    _packages: &[InstalledPackage],
    _epoch: i64,
) -> Result<(), PackagesError> {
    Ok(())
}
