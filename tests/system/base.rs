//! Base images, made from the Debian mirror that the host itself uses.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Outcome;
use crate::command::{explain, program, run};

/// The root filesystem of a minimal Debian as a tar archive.
pub(crate) struct Base {
    pub(crate) release: String,
    pub(crate) archive: PathBuf,
}

/// After this time a base image is made anew: its packages are old by then.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Returns the base image of a Debian release, from the cache when it is there.
pub(crate) fn debian(cache: &Path, release: &str) -> Outcome<Base> {
    debian_with(cache, release, &[])
}

/// Returns the base image of a Debian release with some packages more, from the cache when it is there.
pub(crate) fn debian_with(cache: &Path, release: &str, packages: &[&str]) -> Outcome<Base> {
    let name = [&[release], packages].concat().join("-");
    let archive = cache.join(format!("debian-{name}.tar"));
    let age = fs::metadata(&archive).and_then(|metadata| metadata.modified()).ok().and_then(|time| time.elapsed().ok());
    if age.is_none_or(|age| age > KEPT) {
        let unfinished = cache.join("unfinished.tar");
        let mut command = program("mmdebstrap");
        command.args(["--quiet", "--mode=root", "--variant=minbase", "--format=tar"]);
        for option in proxy()? {
            command.arg(format!("--aptopt={option}"));
        }
        if !packages.is_empty() {
            command.arg(format!("--include={}", packages.join(",")));
        }
        let source = format!("deb [signed-by={KEYRING}] {} {release} main", mirror()?);
        run(command.arg(release).arg(&unfinished).arg(source))?;
        fs::rename(&unfinished, &archive).map_err(explain(format!("write {}", archive.display())))?;
    }
    Ok(Base { release: release.to_owned(), archive })
}

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Returns the mirror of Debian itself, not of its security updates, that the host installs packages from.
fn mirror() -> Outcome<String> {
    let format = "$(LABEL)|$(COMPONENT)|$(REPO_URI)";
    let targets = run(program("apt-get").args(["indextargets", "--format", format, "Created-By: Packages"]))?;
    let main = targets.lines().find_map(|line| line.strip_prefix("Debian|main|"));
    main.map(str::to_owned).ok_or_else(|| {
        "the host has no Debian mirror that base images could come from: run `apt-get update` on a Debian system".into()
    })
}

/// Returns the proxy settings of the host's apt: packages are installed into images, too.
fn proxy() -> Outcome<Vec<String>> {
    let settings = run(program("apt-config").arg("dump"))?;
    let proxies = settings.lines().filter(|line| {
        let name = line.split(' ').next().unwrap_or_default();
        name.starts_with("Acquire::http") && name.ends_with("::Proxy")
    });
    Ok(proxies.map(str::to_owned).collect())
}
