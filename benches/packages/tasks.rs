//! What is measured, and in which order.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use layerforge::digest::Digest;
use layerforge::packages::apt::archive::{Fetched, unpack_all};

use crate::Result;
use crate::command::{done, said};
use crate::measure::{self, Sample};
use crate::project;

/// The names under which tasks are found again.
pub(crate) const MINBASE: &str = "layerforge, minbase";
pub(crate) const OVERLAY: &str = "layerforge, the same under another overlay";
pub(crate) const OTHER: &str = "layerforge, three more packages";
pub(crate) const SKIPPED: &str = "layerforge, minbase, scripts skipped";
pub(crate) const OTHER_SKIPPED: &str = "layerforge, three more packages, scripts skipped";
pub(crate) const UNCHANGED: &str = "layerforge, unchanged";
pub(crate) const IMAGE: &str = "layerforge, minbase to an image, scripts skipped";
pub(crate) const LARGE_SET: &str = "layerforge, large set";
pub(crate) const UNPACKED: &str = "layerforge, large set unpacked into packs";
pub(crate) const DECOMPRESSED: &str = "dpkg-deb --fsys-tarfile of the large set, two at a time";
pub(crate) const PEER: &str = "mmdebstrap minbase";
pub(crate) const PEER_EXTRACT: &str = "mmdebstrap extract";
pub(crate) const PEER_LARGE: &str = "mmdebstrap, large set";

const SMALL: [&str; 9] = [PEER, MINBASE, OVERLAY, UNCHANGED, OTHER, PEER_EXTRACT, SKIPPED, OTHER_SKIPPED, IMAGE];
const ALL: [&str; 13] = [
    PEER,
    MINBASE,
    OVERLAY,
    UNCHANGED,
    OTHER,
    PEER_EXTRACT,
    SKIPPED,
    OTHER_SKIPPED,
    IMAGE,
    DECOMPRESSED,
    UNPACKED,
    PEER_LARGE,
    LARGE_SET,
];

/// One thing that was measured.
pub(crate) struct Task {
    pub(crate) name: &'static str,
    pub(crate) samples: Vec<Sample>,
}

/// Everything that was measured in one place.
pub(crate) struct Measured {
    pub(crate) tasks: Vec<Task>,
    /// How many packages the sets have, and how many bytes they are: minbase and the large one.
    pub(crate) sets: [(usize, u64); 2],
}

/// The folders and lists that the tasks work on.
struct Bench {
    folder: PathBuf,
    /// What mmdebstrap takes packages from: for minbase and for the large set.
    sources: [Vec<String>; 2],
    /// The names of the packages of minbase and of the large set.
    names: [String; 2],
    /// The packages of the large set, each as it is told to [`unpack`].
    packages: Vec<String>,
}

/// Unpacks packages, each given as `PATH:SIZE:DIGEST`, into a folder of packs.
pub(crate) fn unpack(packs: &Path, packages: &[&str]) -> Result<()> {
    let fetched = packages.iter().map(|package| {
        let [path, size, digest] = package.splitn(3, ':').collect::<Vec<_>>()[..] else {
            return Err("PATH:SIZE:DIGEST is expected".into());
        };
        let digest: Digest = digest.parse().map_err(|error| format!("{error}"))?;
        Ok(Fetched { path: path.into(), size: size.parse()?, digest })
    });
    let fetched = fetched.collect::<Result<Vec<_>>>()?;
    fs::create_dir(packs)?;
    Ok(unpack_all(&fetched, packs).map(drop)?)
}

/// Makes the input and runs every task once per round; the large set only where `large`.
pub(crate) fn run(folder: PathBuf, rounds: usize, large: bool) -> Result<Measured> {
    project::write(&folder)?;
    project::prepare(&folder)?;
    let bench = Bench::new(folder)?;
    bench.is_the_same_work()?;
    let names = if large { ALL.as_slice() } else { SMALL.as_slice() };
    let mut tasks: Vec<Task> = names.iter().map(|name| Task { name, samples: Vec::new() }).collect();
    for round in 0..rounds {
        eprint!("\rround {} of {rounds} ", round + 1);
        for task in &mut tasks {
            let command = bench.command(task.name, round)?;
            task.samples.push(measure::run(&command)?);
        }
    }
    eprint!("\r                    \r");
    let set = |profile| {
        let packages = project::downloads(&bench.folder, profile)?;
        Ok((packages.len(), packages.iter().map(|(_, size)| size).sum()))
    };
    let sets: Result<[(usize, u64); 2]> = set("minbase").and_then(|small| Ok([small, set("large")?]));
    Ok(Measured { tasks, sets: sets? })
}

impl Bench {
    fn new(folder: PathBuf) -> Result<Self> {
        let sources = [project::repository(&folder, "minbase")?, project::repository(&folder, "large")?];
        let names = [project::names(&folder, "minbase")?, project::names(&folder, "large")?];
        let packages = project::downloads(&folder, "large")?;
        let told = |(path, size): &(PathBuf, u64)| {
            let digest = path.file_name().unwrap_or_default().to_string_lossy();
            format!("{}:{size}:sha256:{digest}", path.display())
        };
        let packages = packages.iter().map(told).collect();
        let bench = Self { folder, sources, names, packages };
        // What a task finds in the store: only what was downloaded, or also what was made of minbase.
        let store = bench.folder.join("store");
        for bucket in ["packs-1", "trees-1", "records-2", "layers-1", "diffs-1", "images-1", "chunks-1"] {
            fs::remove_dir_all(store.join(bucket)).ok();
        }
        fs::rename(&store, bench.folder.join("cold"))?;
        bench.take_store("cold")?;
        for profile in ["minbase", "skipped"] {
            bench.clear()?;
            done(&mut bench.render(profile))?;
        }
        fs::rename(&store, bench.folder.join("warm"))?;
        Ok(bench)
    }

    /// Puts a copy of a store in place.
    fn take_store(&self, kind: &str) -> Result<()> {
        let store = self.folder.join("store");
        fs::remove_dir_all(&store).ok();
        done(Command::new("cp").arg("-al").arg(self.folder.join(kind)).arg(store))
    }

    /// Removes what was written.
    fn clear(&self) -> Result<()> {
        fs::remove_dir_all(self.out()).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error.into()),
        })
    }

    fn out(&self) -> PathBuf {
        self.folder.join("out")
    }

    fn render(&self, profile: &str) -> Command {
        let mut command = project::layerforge(&self.folder);
        command.args(["render", profile, "--locked", "--offline", "--quiet", "--dest"]).arg(self.out());
        command
    }

    fn mmdebstrap(&self, variant: &str, sources: &[String], packages: &str) -> Command {
        let mut command = Command::new("mmdebstrap");
        command.args(["--quiet", "--mode=root"]).arg(format!("--variant={variant}"));
        if !packages.is_empty() {
            command.arg(format!("--include={packages}"));
        }
        command.arg("trixie").arg(self.out()).args(sources);
        command
    }

    /// Puts in place what a task begins with, and returns its command.
    fn command(&self, name: &str, round: usize) -> Result<Command> {
        let (store, profile) = match name {
            MINBASE => ("cold", "minbase"),
            SKIPPED => ("cold", "skipped"),
            IMAGE => ("cold", "image"),
            LARGE_SET => ("cold", "large"),
            OTHER => ("warm", "other"),
            OTHER_SKIPPED => ("warm", "other-skipped"),
            OVERLAY => ("warm", "minbase"),
            UNCHANGED => return Ok(self.render("minbase")),
            _ => {
                self.clear()?;
                return self.peer(name);
            }
        };
        self.clear()?;
        self.take_store(store)?;
        if name == OVERLAY {
            project::change(&self.folder, round)?;
        }
        Ok(self.render(profile))
    }

    fn peer(&self, name: &str) -> Result<Command> {
        Ok(match name {
            PEER => self.mmdebstrap("minbase", &self.sources[0], ""),
            PEER_EXTRACT => self.mmdebstrap("extract", &self.sources[0], &self.names[0]),
            // By all names: where one of several packages would do, an older apt chooses another one.
            PEER_LARGE => self.mmdebstrap("minbase", &self.sources[1], &self.names[1]),
            DECOMPRESSED => {
                let mut command = Command::new("sh");
                command.args([
                    "-euc",
                    "printf '%s\\0' \"$@\" | xargs -0 -P2 -n1 sh -c 'dpkg-deb --fsys-tarfile \"$0\" >/dev/null'",
                ]);
                command.arg("sh");
                command.args(self.packages.iter().filter_map(|package| package.split(':').next()));
                command
            }
            UNPACKED => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("unpack").arg(self.out()).args(&self.packages);
                command
            }
            _ => return Err(format!("nothing is known of {name}").into()),
        })
    }

    /// Checks that both install the same packages and set them up alike: by what dpkg says of them.
    fn is_the_same_work(&self) -> Result<()> {
        for (peer, profile) in [(PEER, "minbase"), (PEER_LARGE, "large")] {
            self.clear()?;
            done(&mut self.peer(peer)?)?;
            let expected = fs::read_to_string(self.out().join("var/lib/dpkg/status"))?;
            self.clear()?;
            self.take_store("cold")?;
            done(&mut self.render(profile))?;
            let found = said(Command::new("cat").arg(self.out().join("rootfs/var/lib/dpkg/status")))?;
            if expected != found {
                return Err(format!("{peer} and {profile} are not the same: the status of dpkg differs").into());
            }
        }
        Ok(())
    }
}
