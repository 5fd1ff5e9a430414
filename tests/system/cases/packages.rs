//! Root filesystems that are put together from packages, in the eyes of mmdebstrap, dpkg, apt and systemd.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use layerforge::build::packages::{PackageMaker, PackageSet, PackageTree};
use layerforge::digest::Digest;
use layerforge::event::Silent;
use layerforge::lock::LockedPackage;
use layerforge::packages::apt::rules::AptRules;
use layerforge::packages::model::Request;
use layerforge::packages::solve::{Question, Variant, solve};
use layerforge::resolve::PackageSettings;
use layerforge::sandbox::Privilege;
use layerforge::spec::{Family, Scripts};
use layerforge::store::Store;

use super::apt::{Archive, host_apt};
use super::sandbox::{NOBODY, Seen, look};
use crate::Outcome;
use crate::base::bootstrap;
use crate::command::{explain, program, run};
use crate::world::World;

/// The first argument with which the tests are started again, as another user: see [`make_as_told`].
pub(crate) const AGAIN: &str = "make-packages";

/// The epoch of everything that is made here: all packages are older.
const EPOCH: i64 = 1_800_000_000;

/// Packages of Debian 13 on disk.
pub(super) struct Debs {
    packages: Vec<(LockedPackage, PathBuf)>,
}

impl Debs {
    /// Fetches what every system has and `requested`, with what these need.
    pub(super) fn fetch(folder: &Path, requested: &[&str]) -> Outcome<Self> {
        let archive = Archive::fetch(folder.join("archive"))?;
        let requests = requested.iter().map(|name| Request::any(*name)).collect();
        let question = Question { requests, variant: Variant::Minbase, ..Question::default() };
        let solution = solve(&archive.pool, &AptRules, &question).map_err(|explanation| explanation.to_string())?;
        let debs = folder.join("debs");
        fs::create_dir(&debs).map_err(explain("make a folder"))?;
        let names: Vec<String> = solution.packages.keys().map(|id| archive.name(*id)).collect();
        run(host_apt(&archive.folder).arg("download").args(&names).current_dir(&debs))?;
        let mut packages = Vec::new();
        for entry in fs::read_dir(&debs).map_err(explain("list packages"))? {
            let path = entry.map_err(explain("list packages"))?.path();
            packages.push((locked(&path, requested)?, path));
        }
        if packages.len() == names.len() { Ok(Self { packages }) } else { Err("packages are missing".into()) }
    }

    fn set(&self, settings: PackageSettings) -> PackageSet {
        PackageSet {
            family: Family::Apt,
            distro: ("debian".into(), Some("13".into())),
            architecture: "amd64".into(),
            links: BTreeMap::new(),
            packages: self.packages.clone(),
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
            settings,
            epoch: EPOCH,
        }
    }
}

/// Reads what a lock has about a package.
fn locked(path: &Path, requested: &[&str]) -> Outcome<LockedPackage> {
    let field = |name: &str| -> Outcome<String> {
        Ok(run(program("dpkg-deb").arg("--field").arg(path).arg(name))?.trim().to_owned())
    };
    let bytes = fs::read(path).map_err(explain(format!("read {}", path.display())))?;
    let name: String = field("Package")?;
    let required = field("Priority")? == "required" || field("Essential")? == "yes";
    let why = if requested.contains(&name.as_str()) {
        "requested"
    } else if required {
        "variant"
    } else {
        "something depends on it"
    };
    Ok(LockedPackage {
        version: field("Version")?,
        architecture: field("Architecture")?,
        source: "debian".into(),
        path: path.display().to_string(),
        size: bytes.len() as u64,
        sha256: Digest::of(&bytes),
        why: why.into(),
        name,
    })
}

/// Everything that packages have.
fn whole() -> PackageSettings {
    PackageSettings { documentation: true, locales: None, ..PackageSettings::default() }
}

/// Writes a tree as root sees it, and not by what reads it in the program.
fn unfold(tree: &PackageTree, root: &Path) -> Outcome {
    let archive = root.with_extension("tar");
    let mut file = fs::File::create(&archive).map_err(explain("create an archive"))?;
    layerforge::image::write_tar(&tree.tree, &mut file).map_err(|error| error.to_string())?;
    super::sandbox::unpack(&archive, root)?;
    fs::remove_file(&archive).map_err(explain("remove an archive"))
}

/// What only mmdebstrap has: what it writes itself, and locks of the apt that it runs in the tree.
const ONLY_THEIRS: [&str; 7] = [
    "/etc/apt/sources.list",
    "/etc/fstab",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/var/cache/apt/archives/lock",
    "/var/lib/apt/extended_states",
    "/var/lib/apt/lists/lock",
];

/// What is different: of debconf the packages that own a question, where mmdebstrap has apt ask them beforehand; of dpkg
/// which package it diverted for first; directories that apt gives to its own user when it runs.
const DIFFERENT: [&str; 8] = [
    "/var/cache/apt/archives/partial",
    "/var/cache/debconf/config.dat",
    "/var/cache/debconf/config.dat-old",
    "/var/cache/debconf/templates.dat-old",
    "/var/lib/apt/lists/partial",
    "/var/lib/dpkg/diversions-old",
    "/var/lib/dpkg/status-old",
    "/var/lib/dpkg/triggers/Lock",
];

/// A minimal Debian 13 is what mmdebstrap makes, path by path; dpkg and apt find nothing wrong with it and go on with it.
pub(super) fn minimal(world: &World) -> Outcome {
    let folder = world.folder("packages-minimal")?;
    let debs = Debs::fetch(&folder, &[])?;
    let store = Store::open(&folder.join("store")).map_err(|error| error.to_string())?;
    let maker = PackageMaker::new(&store, &Silent).program(env!("CARGO_BIN_EXE_layerforge"));
    let made = maker.tree(&debs.set(whole())).map_err(explain("make a tree"))?;
    let (own, other) = (folder.join("own"), folder.join("other"));
    unfold(&made, &own)?;
    bootstrap("trixie", &other, &["--variant=minbase"])?;
    let differences = differences(&look(&own)?, &look(&other)?);
    if !differences.is_empty() {
        return Err(format!("what mmdebstrap makes is different:\n{}", differences.join("\n")));
    }
    for question in [&["dpkg", "--audit"][..], &["dpkg", "--verify"], &["apt-get", "check"]] {
        let answer = run(program("chroot").arg(&own).args(question))?;
        if question[0] == "dpkg" && !answer.is_empty() {
            return Err(format!("{question:?}: {answer}"));
        }
    }
    Ok(())
}

fn differences(own: &BTreeMap<String, Seen>, other: &BTreeMap<String, Seen>) -> Vec<String> {
    let mut differences = Vec::new();
    let of_the_run = |path: &str| ["/proc/", "/sys/", "/dev/", "/run/"].iter().any(|above| path.starts_with(above));
    for (path, seen) in own {
        match other.get(path) {
            None => differences.push(format!("only ours: {path} {seen:?}")),
            Some(theirs) if theirs != seen && !DIFFERENT.contains(&path.as_str()) => {
                differences.push(format!("{path}\n  ours:   {seen:?}\n  theirs: {theirs:?}"));
            }
            Some(_) => {}
        }
    }
    let only = other.keys().filter(|path| !own.contains_key(*path));
    let unknown = only.filter(|path| !ONLY_THEIRS.contains(&path.as_str()) && !DIFFERENT.contains(&path.as_str()) && !of_the_run(path));
    differences.extend(unknown.map(|path| format!("only theirs: {path}")));
    differences
}
