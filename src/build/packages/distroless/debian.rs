//! What goes of Debian and its derivatives; what scanners read of packages stands in `var/lib/dpkg/status.d`, one file for
//! each, as distroless images have it.

use super::{Gone, Lists};
use crate::build::packages::PackagesError;
use crate::packages::apt::control;
use crate::packages::archive::Unpacked;
use crate::tree::{Content, Kind, Meta, Node, TreePath};

pub(super) const GONE: Gone = Gone {
    packages: &[
        "apt",
        "bash",
        "busybox",
        "dash",
        "debconf",
        "debian-archive-keyring",
        "dpkg",
        "ksh",
        "mksh",
        "perl-base",
        "sqv",
        "ubuntu-keyring",
        "zsh",
        "zsh-common",
    ],
    directories: &[
        "/etc/apt",
        "/etc/dpkg",
        "/usr/lib/apt",
        "/usr/lib/dpkg",
        "/usr/share/dpkg",
        "/var/cache/apt",
        "/var/cache/debconf",
        "/var/lib/apt",
        "/var/lib/dpkg",
    ],
};
/// Where scanners look.
const STATUS: &str = "/var/lib/dpkg/status.d";

/// Returns what each package that stays says of itself.
pub(super) fn lists(unpacked: &[Unpacked], epoch: i64) -> Result<Lists, PackagesError> {
    let folder: TreePath = STATUS.parse()?;
    let mut lists = Lists::new();
    for package in unpacked {
        let bytes = package.control_bytes("control");
        let name = control::single("control", bytes)?.get("Package").unwrap_or_default().to_vec();
        if GONE.packages.iter().any(|gone| gone.as_bytes() == name) {
            continue;
        }
        let mut put = |name: &[u8], bytes: Vec<u8>| -> Result<(), PackagesError> {
            let kind = Kind::Regular(Content::inline(bytes));
            lists.push((folder.join(name)?, Node { kind, meta: Meta::root_owned(0o644, epoch) }));
            Ok(())
        };
        put(&name, bytes.to_vec())?;
        if let Some(sums) = package.control_file("md5sums") {
            put(&[&name[..], b".md5sums"].concat(), sums.bytes.clone())?;
        }
    }
    Ok(lists)
}
