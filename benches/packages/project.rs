//! The project that layerforge renders, and the folder of packages that mmdebstrap takes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use layerforge::lock::{Lock, LockedPackage};

use crate::Result;
use crate::command::done;

/// Packages with much to set up: an init, a kernel, servers, about three hundred with what they need.
const LARGE: &str = "systemd-sysv,dbus,openssh-server,nginx,postgresql,cron,rsyslog,linux-image-cloud-amd64,git,python3,openjdk-21-jre-headless,\
     man-db,exim4-daemon-light,cups,locales,build-essential";

/// A small set that shares nine tenths of its packages with minbase.
const OTHER: &str = "less,nano,ca-certificates";

/// One profile and what it is called.
pub(crate) struct Profile {
    pub(crate) name: &'static str,
    pub(crate) packages: &'static str,
    pub(crate) scripts: &'static str,
    pub(crate) output: &'static str,
}

/// Every profile of the benchmark.
pub(crate) const PROFILES: [Profile; 6] = [
    Profile { name: "minbase", packages: "", scripts: "run", output: "rootfs" },
    Profile { name: "other", packages: OTHER, scripts: "run", output: "rootfs" },
    Profile { name: "skipped", packages: "", scripts: "skip", output: "rootfs" },
    Profile { name: "other-skipped", packages: OTHER, scripts: "skip", output: "rootfs" },
    Profile { name: "large", packages: LARGE, scripts: "run", output: "rootfs" },
    Profile { name: "image", packages: "", scripts: "skip", output: "oci" },
];

/// Writes the project.
pub(crate) fn write(folder: &Path) -> Result<()> {
    for Profile { name, packages, scripts, output } in PROFILES {
        let mut text = format!(
            "layers = ['top']\n[distro.debian]\nrelease = 'trixie'\n[packages]\nscripts = '{scripts}'\n\
             documentation = true\nlocales = ['*']\n[lint.allow]\nHY01 = 'measured only'\nHY02 = 'measured only'\nHY03 = 'measured only'\n[output.{output}]\npackages = 'bundled'\n"
        );
        for package in packages.split(',').filter(|package| !package.is_empty()) {
            text.push_str(&format!("[package.{package}]\n"));
        }
        file(folder, &format!("profiles/{name}.toml"), &text)?;
    }
    file(folder, "layers/top/layer.toml", "tier = 'application'\n")
}

/// Changes the layer over the packages.
pub(crate) fn change(folder: &Path, round: usize) -> Result<()> {
    let text = format!("tier = 'application'\n[file.'/etc/motd']\ncontent = 'round {round}'\n");
    file(folder, "layers/top/layer.toml", &text)
}

fn file(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path = folder.join("project").join(name);
    fs::create_dir_all(path.parent().unwrap_or(folder))?;
    Ok(fs::write(path, text)?)
}

/// Returns the program, in the project, with a cache folder of its own.
pub(crate) fn layerforge(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_layerforge"));
    command.current_dir(folder.join("project")).env("LAYERFORGE_STORE", folder.join("store"));
    command
}

/// Renders every profile once, so that the locks and all downloads are there.
pub(crate) fn prepare(folder: &Path) -> Result<()> {
    for Profile { name, .. } in PROFILES {
        done(layerforge(folder).args(["render", name, "--quiet", "--dest"]).arg(folder.join("out")))?;
        fs::remove_dir_all(folder.join("out"))?;
    }
    Ok(())
}

/// Returns the packages of a profile as they were downloaded, with length and digest.
pub(crate) fn downloads(folder: &Path, profile: &str) -> Result<Vec<(PathBuf, u64)>> {
    let path = |package: &LockedPackage| folder.join("store/downloads-1").join(package.sha256.hex());
    Ok(locked(folder, profile)?.iter().map(|package| (path(package), package.size)).collect())
}

fn locked(folder: &Path, profile: &str) -> Result<Vec<LockedPackage>> {
    let lock = Lock::read(&folder.join(format!("project/profiles/{profile}.lock")))?.ok_or("there is no lock")?;
    let target = lock.target.into_values().next().ok_or("the lock is empty")?;
    Ok(target.bundle.into_values().flat_map(|bundle| bundle.packages).collect())
}

/// Returns the names of the packages of a profile, with commas between.
pub(crate) fn names(folder: &Path, profile: &str) -> Result<String> {
    let names: Vec<String> = locked(folder, profile)?.into_iter().map(|package| package.name).collect();
    Ok(names.join(","))
}

/// Writes the packages of a profile, and the signed indexes of the repositories that they come from, into a folder, and returns
/// it as sources of apt.
pub(crate) fn repository(folder: &Path, profile: &str) -> Result<Vec<String>> {
    const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let vendored = folder.join("vendored").join(profile);
    done(layerforge(folder).args(["vendor", "--quiet"]).arg(&vendored).arg(profile))?;
    let suites = [("debian", "trixie"), ("debian", "trixie-updates"), ("debian-security", "trixie-security")];
    let source = |(name, suite)| format!("deb [signed-by={KEYS}] copy://{}/{name} {suite} main", vendored.display());
    Ok(suites.map(source).into())
}
