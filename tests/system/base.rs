//! Base images, made from the Debian mirror that the host itself uses.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Outcome;
use crate::command::{explain, program, run};

/// The root filesystem of a minimal Debian as a tar archive.
pub(crate) struct Base {
    pub(crate) archive: PathBuf,
}

/// After this time what was made from a mirror is made anew: its packages are old by then.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Returns the base image of a Debian release, from the cache when it is there.
pub(crate) fn debian(cache: &Path, release: &str) -> Outcome<Base> {
    let archive = cache.join(format!("debian-{release}.tar"));
    if !is_fresh(&archive) {
        let unfinished = cache.join("unfinished.tar");
        bootstrap(release, &unfinished, &["--variant=minbase", "--format=tar"])?;
        fs::rename(&unfinished, &archive).map_err(explain(format!("write {}", archive.display())))?;
    }
    Ok(Base { archive })
}

/// Returns the archive of a Debian 13 whose packages, all required ones and `packages`, are unpacked but not configured.
pub(crate) fn unpacked_debian(cache: &Path, name: &str, packages: &str) -> Outcome<PathBuf> {
    let archive = cache.join(format!("debian-unpacked-{name}.tar"));
    if is_fresh(&archive) {
        return Ok(archive);
    }
    let (root, unfinished) = (cache.join("unfinished-root"), cache.join("unfinished.tar"));
    if root.exists() {
        fs::remove_dir_all(&root).map_err(explain("remove what another run left"))?;
    }
    let keep = "--extract-hook=mkdir \"$1\"/packages && cp \"$1\"/var/cache/apt/archives/*.deb \"$1\"/packages/";
    let mut options =
        vec!["--variant=extract", "--include=?priority(required)", "--include=?essential", "--include=apt", keep];
    let include = format!("--include={packages}");
    if !packages.is_empty() {
        options.push(&include);
    }
    bootstrap("trixie", &root, &options)?;
    // mmdebstrap has unpacked the files, to have a dpkg; this writes its database and runs the scripts before unpacking.
    let script = "mkdir -p \"$1/var/lib/dpkg/info\" \"$1/var/lib/dpkg/updates\" \"$1/var/lib/dpkg/triggers\"
        touch \"$1/var/lib/dpkg/status\"; mount -t proc proc \"$1/proc\"
        chroot \"$1\" sh -euc 'dpkg --unpack --force-depends --force-unsafe-io /packages/*.deb'
        umount \"$1/proc\"; rm -r \"$1/packages\"; tar --create --numeric-owner --xattrs --directory \"$1\" --file \"$2\" .";
    let mut command = program("unshare");
    command.args(["--mount", "--net", "sh", "-euc", script, "sh"]).arg(&root).arg(&unfinished);
    run(command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("DEBIAN_FRONTEND", "noninteractive"))?;
    fs::remove_dir_all(&root).map_err(explain("remove the unpacked root"))?;
    fs::rename(&unfinished, &archive).map_err(explain(format!("write {}", archive.display())))?;
    Ok(archive)
}

/// Tells whether `path` is there and was made recently enough to be used again.
pub(crate) fn is_fresh(path: &Path) -> bool {
    let age = fs::metadata(path).and_then(|metadata| metadata.modified()).ok().and_then(|time| time.elapsed().ok());
    age.is_some_and(|age| age < KEPT)
}

/// Runs mmdebstrap for the suite `release` of Debian.
pub(crate) fn bootstrap(release: &str, target: &Path, options: &[&str]) -> Outcome {
    let mut command = program("mmdebstrap");
    command.args(["--quiet", "--mode=root"]).args(options);
    for option in proxy()? {
        command.arg(format!("--aptopt={option}"));
    }
    let source = format!("deb [signed-by={KEYRING}] {} {release} main", mirror()?);
    run(command.arg(release).arg(target).arg(source)).map(drop)
}

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Returns the mirror of Debian itself, not of its security updates, that the host installs packages from.
pub(crate) fn mirror() -> Outcome<String> {
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
