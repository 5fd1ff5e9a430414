//! Buildah and podman, with storage and settings of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;
use crate::base::Base;
use crate::command::{explain, program, run};
use crate::docker::BASE;

/// Buildah and podman on a storage below the scratch folder.
pub(crate) struct Containers {
    storage: PathBuf,
    settings: PathBuf,
}

impl Containers {
    /// Writes the settings of a storage below `scratch`.
    pub(crate) fn set_up(scratch: &Path) -> Outcome<Self> {
        let folder = scratch.join("containers");
        fs::create_dir_all(&folder).map_err(explain(format!("make {}", folder.display())))?;
        let this = Self { storage: folder.join("storage.conf"), settings: folder.join("containers.conf") };
        let storage = format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = \"{0}/graph\"\nrunroot = \"{0}/run\"\n",
            folder.display()
        );
        fs::write(&this.storage, storage).map_err(explain("write storage.conf"))?;
        // Limits below those that the tests themselves have: raising them is not possible everywhere.
        let settings = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n\
                        [engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n";
        fs::write(&this.settings, settings).map_err(explain("write containers.conf"))?;
        Ok(this)
    }

    /// Returns a command of `buildah` or `podman`.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = program(name);
        command.env("CONTAINERS_STORAGE_CONF", &self.storage).env("CONTAINERS_CONF", &self.settings);
        command
    }

    /// Makes the base image known.
    pub(crate) fn import(&self, base: &Base) -> Outcome {
        run(self.command("podman").arg("import").arg(&base.archive).arg(BASE)).map(drop)
    }

    /// Builds the image `name` from a rendered folder with buildah.
    pub(crate) fn build(&self, folder: &Path, name: &str) -> Outcome {
        let mut command = self.command("buildah");
        command.args(["build", "--isolation", "chroot", "--network=host", "--pull-never", "--format", "docker"]);
        command.args(["--build-arg", &format!("BASE={BASE}"), "--tag", name]);
        run(command.arg(folder)).map(drop)
    }

    /// Looks at the root filesystem of the image `name`.
    pub(crate) fn look_into(&self, name: &str, look: impl FnOnce(&Path) -> Outcome) -> Outcome {
        let container = run(self.command("buildah").args(["from", "--pull-never", name]))?;
        let container = container.trim();
        let mounted = run(self.command("buildah").args(["mount", container]));
        let outcome = mounted.and_then(|path| look(Path::new(path.trim())));
        run(self.command("buildah").args(["rm", container]))?;
        outcome
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        let _ = run(self.command("podman").args(["rm", "--all", "--force"]));
        let _ = run(self.command("buildah").args(["rm", "--all"]));
    }
}
