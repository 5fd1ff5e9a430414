//! Which packages, exactly: layerforge and apt-get, with and without what they keep of the indexes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use layerforge::lock::Lock;

use crate::command::{done, said};
use crate::measure::{self, Sample};
use crate::{Result, Task, file, layerforge};

/// The names under which tasks are found again.
pub(crate) const COLD: &str = "layerforge lock";
pub(crate) const CACHED: &str = "layerforge lock, indexes read before";
pub(crate) const PEER: &str = "apt-get -s install, without its cache";
pub(crate) const PEER_CACHED: &str = "apt-get -s install, with its cache";

const ALL: [&str; 4] = [PEER, PEER_CACHED, COLD, CACHED];
/// What is asked for.
const REQUESTS: [&str; 6] = ["linux-image-amd64", "nginx", "postgresql", "python3", "ruby", "systemd-sysv"];
/// The keys of the archive, in the tree in which apt-get runs.
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Runs every task once per round; returns them with the number of packages that are chosen.
pub(crate) fn run(folder: &Path, rounds: usize) -> Result<(Vec<Task>, usize)> {
    let requests: String = REQUESTS.iter().map(|name| format!("[package.{name}]\n")).collect();
    for (name, variant, requests) in [("minbase", "minbase", ""), ("choice", "none", &*requests)] {
        let text = format!(
            "[distro.debian]\nrelease = 'trixie'\n[packages]\nvariant = '{variant}'\nscripts = 'skip'\n{requests}\
             [output.rootfs]\npackages = 'bundled'\n"
        );
        file(folder, &format!("profiles/{name}.toml"), &text)?;
        done(layerforge(folder).args(["lock", name, "--quiet"]))?;
    }
    let bench = Bench { folder: folder.to_owned(), tree: folder.join("tree") };
    bench.make_tree()?;
    let count = bench.is_the_same_choice()?;
    let mut tasks = Task::all(&ALL);
    for round in 0..rounds {
        eprint!("\rchoice: round {} of {rounds} ", round + 1);
        for task in &mut tasks {
            task.samples.push(bench.sample(task.name)?);
        }
    }
    eprint!("\r                              \r");
    Ok((tasks, count))
}

struct Bench {
    folder: PathBuf,
    /// A Debian 13 with the indexes of the same repositories.
    tree: PathBuf,
}

impl Bench {
    fn make_tree(&self) -> Result<()> {
        let vendored = self.folder.join("vendored");
        done(layerforge(&self.folder).args(["vendor", "--quiet"]).arg(&vendored).arg("minbase"))?;
        let suites = [("debian", "trixie"), ("debian", "trixie-updates"), ("debian-security", "trixie-security")];
        let lines = |at: &Path| {
            let at = at.display();
            suites.map(|(name, suite)| format!("deb [signed-by={KEYS}] copy://{at}/{name} {suite} main\n")).concat()
        };
        let sources = self.folder.join("sources.list");
        fs::write(&sources, lines(&vendored))?;
        done(Command::new("mmdebstrap").args(["--variant=minbase", "--quiet", "trixie"]).args([&self.tree, &sources]))?;
        fs::create_dir_all(self.tree.join("mnt/cache/archives/partial"))?;
        fs::write(self.tree.join("mnt/empty"), "")?;
        // What was outside for mmdebstrap has to be inside for apt-get.
        fs::rename(vendored, self.tree.join("mnt/vendored"))?;
        fs::remove_dir_all(self.tree.join("etc/apt/sources.list.d"))?;
        fs::write(self.tree.join("etc/apt/sources.list"), lines("/mnt/vendored".as_ref()))?;
        done(Command::new("chroot").arg(&self.tree).args(["apt-get", "-o", "Acquire::Languages=none", "update"]))
    }

    /// Returns the command that runs apt-get of Debian 13 on an empty system.
    fn apt(&self, options: &[&str]) -> Command {
        let mut command = Command::new("chroot");
        command.arg(&self.tree).args(["apt-get", "-s", "--solver", "3.0", "-o", "Dir::State::status=/mnt/empty"]);
        command.args(["-o", "Dir::Cache=/mnt/cache", "-o", "pkgCacheGen::ForceEssential=,"]);
        command.args(["-o", "APT::Install-Recommends=false"]).args(options).arg("install").args(REQUESTS);
        command
    }

    /// Makes sure that both choose the same, and returns how many that is.
    fn is_the_same_choice(&self) -> Result<usize> {
        let theirs = said(&mut self.apt(&[]))?;
        let theirs: BTreeSet<String> =
            theirs.lines().filter_map(|line| Some(line.strip_prefix("Inst ")?.split(' ').next()?.to_owned())).collect();
        let lock = Lock::read(&self.folder.join("project/profiles/choice.lock"))?.ok_or("there is no lock")?;
        let bundles = lock.target.into_values().flat_map(|target| target.bundle.into_values());
        let ours: BTreeSet<String> = bundles.flat_map(|bundle| bundle.packages).map(|package| package.name).collect();
        if ours != theirs {
            let only = |one: &BTreeSet<String>, other| one.difference(other).cloned().collect::<Vec<_>>().join(" ");
            let (ours, theirs) = (only(&ours, &theirs), only(&theirs, &ours));
            return Err(format!("the choices differ: `{ours}` only by layerforge, `{theirs}` only by apt-get").into());
        }
        Ok(ours.len())
    }

    fn sample(&self, task: &str) -> Result<Sample> {
        match task {
            PEER => measure::run(&self.apt(&["-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="])),
            PEER_CACHED => measure::run(&self.apt(&[])),
            _ => {
                fs::remove_file(self.folder.join("project/profiles/choice.lock"))?;
                if task == COLD {
                    fs::remove_dir_all(self.folder.join("store/pools-1"))?;
                }
                measure::run(layerforge(&self.folder).args(["lock", "choice", "--offline", "--quiet"]))
            }
        }
    }
}
