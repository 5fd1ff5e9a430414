//! Base images, made from the Debian mirror that the host itself uses.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

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
    let archive = cache.join(format!("debian-{release}.tar"));
    if is_old(&archive) {
        let unfinished = cache.join("unfinished.tar");
        run(debootstrap(release, &unfinished)?.arg("--format=tar"))?;
        fs::rename(&unfinished, &archive).map_err(explain(format!("write {}", archive.display())))?;
    }
    Ok(Base { release: release.to_owned(), archive })
}

/// Returns the folder of a minimal Debian with some packages more, from the cache when it is there: a place to run the
/// programs of that release in.
pub(crate) fn tree(cache: &Path, release: &str, packages: &[&str]) -> Outcome<PathBuf> {
    let tree = cache.join(format!("tree-{release}-{}", packages.join("-")));
    if is_old(&tree) {
        let unfinished = cache.join("unfinished-tree");
        for path in [&unfinished, &tree] {
            if path.exists() {
                fs::remove_dir_all(path).map_err(explain(format!("remove {}", path.display())))?;
            }
        }
        let mut command = debootstrap(release, &unfinished)?;
        if release == "testing" {
            // A mirror that is a snapshot of some day serves lists whose time is over. They are signed all the same, and
            // a tree of testing only judges.
            command.arg("--aptopt=Acquire::Check-Valid-Until \"false\"");
        }
        run(command.arg("--format=directory").arg(format!("--include={}", packages.join(","))))?;
        // Its time is that of the archive it was unpacked from.
        File::open(&unfinished)
            .and_then(|folder| folder.set_modified(SystemTime::now()))
            .map_err(explain("mark the tree as new"))?;
        fs::rename(&unfinished, &tree).map_err(explain(format!("write {}", tree.display())))?;
    }
    Ok(tree)
}

fn is_old(path: &Path) -> bool {
    let age = fs::metadata(path).and_then(|metadata| metadata.modified()).ok().and_then(|time| time.elapsed().ok());
    age.is_none_or(|age| age > KEPT)
}

/// Returns the command that makes a minimal Debian.
fn debootstrap(release: &str, target: &Path) -> Outcome<Command> {
    let mut command = program("mmdebstrap");
    command.args(["--quiet", "--mode=root", "--variant=minbase"]);
    for option in proxy()? {
        command.arg(format!("--aptopt={option}"));
    }
    let source = format!("deb [signed-by={KEYRING}] {} {release} main", mirror()?);
    command.arg(release).arg(target).arg(source);
    Ok(command)
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
