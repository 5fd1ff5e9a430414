//! Trees of Debian that machines are booted from, made once and kept in the cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

use crate::Outcome;
use crate::base::{bootstrap, is_fresh};
use crate::command::{explain, program};

/// What a tree is made of.
pub(crate) struct Suite {
    /// What the tree is called in the cache. One tree of each name is kept.
    name: &'static str,
    /// The suite of Debian that packages come from.
    suite: &'static str,
    /// The variant of mmdebstrap.
    variant: &'static str,
    /// What is installed beyond the variant.
    packages: &'static [&'static str],
}

/// Debian 13 with systemd 257: what most machines boot, and the home of today's erofs-utils and systemd-repart.
pub(crate) const DEBIAN_13: Suite = Suite {
    name: "debian-13",
    suite: "trixie",
    variant: "minbase",
    packages: &[
        "cryptsetup-bin",
        "dbus",
        "dmsetup",
        "erofs-utils",
        "gdisk",
        "gpg",
        "kmod",
        "openssl",
        "squashfs-tools",
        "systemd",
        "systemd-container",
        "systemd-repart",
        "systemd-sysv",
        "udev",
    ],
};

/// Debian 12 with systemd 252, the oldest that layerforge writes images for.
pub(crate) const DEBIAN_12: Suite = Suite {
    name: "debian-12",
    suite: "bookworm",
    variant: "minbase",
    packages: &["dbus", "erofs-utils", "systemd", "systemd-container", "systemd-sysv"],
};

/// Debian testing, with the newest systemd there is.
pub(crate) const TESTING: Suite = Suite {
    name: "debian-testing",
    suite: "testing",
    variant: "minbase",
    packages: &["cryptsetup-bin", "dbus", "openssl", "systemd-container", "systemd-repart", "systemd-sysv"],
};

/// The container engines of Debian 12: docker 20.10 and containerd 1.6.
pub(crate) const ENGINES_12: Suite =
    Suite { name: "engines-12", suite: "bookworm", variant: "minbase", packages: &["containerd", "docker.io"] };

/// The container engines of Debian 13: docker 26 and containerd 1.7.
pub(crate) const ENGINES_13: Suite =
    Suite { name: "engines-13", suite: "trixie", variant: "minbase", packages: &["containerd", "docker.io"] };

/// The kernel that virtual machines boot, a shell for its first process, and the emulator: not that of the host, because
/// older ones crash such kernels. Unpacked only: nothing of it is set up.
pub(crate) const EMULATOR: Suite = Suite {
    name: "emulator",
    suite: "trixie",
    variant: "extract",
    packages: &["busybox-static", "linux-image-cloud-amd64", "qemu-system-x86"],
};

/// An unpacked Debian. It is shared by all machines: none of them writes into it.
pub(crate) struct Tree {
    /// What belongs to the tree: its root, and what was made from it. Goes when the tree is made anew.
    pub(crate) folder: PathBuf,
}

impl Tree {
    /// Returns the tree of `suite`, from the cache when it is there.
    pub(crate) fn find_or_make(cache: &Path, suite: &Suite) -> Outcome<Self> {
        let trees = cache.join("trees");
        fs::create_dir_all(&trees).map_err(explain(format!("make {}", trees.display())))?;
        let name = suite.file_name();
        let folder = trees.join(&name);
        if !is_fresh(&folder) {
            // Whatever an interrupted run, an older list of packages or a week of age has left.
            clear(&trees, |other| other.strip_prefix(suite.name).is_some_and(|rest| rest.starts_with('@')))?;
            let unfinished = trees.join(format!("{}@unfinished", suite.name));
            fs::create_dir(&unfinished).map_err(explain(format!("make {}", unfinished.display())))?;
            let variant = format!("--variant={}", suite.variant);
            let packages = format!("--include={}", suite.packages.join(","));
            let mut options = vec![&*variant, "--format=directory", &*packages];
            if suite.suite == "testing" {
                // A mirror that is a snapshot of some day serves lists whose time is over. They are signed all the same,
                // and a tree of testing only judges.
                options.push("--aptopt=Acquire::Check-Valid-Until \"false\"");
            }
            bootstrap(suite.suite, &unfinished.join("root"), &options)?;
            fs::rename(&unfinished, &folder).map_err(explain(format!("make {}", folder.display())))?;
        }
        Ok(Self { folder })
    }

    /// Returns the root directory.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// Returns a command that runs `name` of the tree, without booting it. The tree is read-only; `shared` is at
    /// `/mnt`, and the command may write there.
    pub(crate) fn program(&self, name: &str, shared: &Path) -> Command {
        let mut command = program("systemd-nspawn");
        command.args(["--quiet", "--register=no", "--keep-unit", "--private-network", "--pipe", "--read-only"]);
        command.arg(format!("--machine=layerforge-tests-{}", std::process::id()));
        command.arg("--directory").arg(self.root()).arg(format!("--bind={}:/mnt", shared.display()));
        command.args([
            "--setenv=LC_ALL=C.UTF-8",
            "--setenv=SYSTEMD_COLORS=0",
            "--setenv=TMPDIR=/tmp",
            "--chdir=/mnt",
            "--",
            name,
        ]);
        command
    }
}

impl Suite {
    fn file_name(&self) -> String {
        let text = format!("{} {} {}", self.suite, self.variant, self.packages.join(" "));
        let digest: String = Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("{}@{digest}", self.name)
    }
}

/// Removes what is in `folder` under names that `wanted` picks.
fn clear(folder: &Path, wanted: impl Fn(&str) -> bool) -> Outcome {
    let entries = fs::read_dir(folder).map_err(explain(format!("list {}", folder.display())))?;
    for entry in entries {
        let path = entry.map_err(explain(format!("list {}", folder.display())))?.path();
        if path.file_name().is_some_and(|name| wanted(&name.to_string_lossy())) {
            fs::remove_dir_all(&path).map_err(explain(format!("remove {}", path.display())))?;
        }
    }
    Ok(())
}
