//! Locks of packages in the eyes of apt: what is chosen, and what is refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::apt::{Archive, host_apt};
use crate::base::mirror;
use crate::command::{explain, program, run, run_refused};
use crate::machine::tree::{DEBIAN_13, Tree};
use crate::repository::{Repository, SUITE};
use crate::world::World;
use crate::{Outcome, say};

/// Removes a folder when it is there.
pub(super) fn remove(folder: &Path) -> Outcome {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("cannot remove {}: {error}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// A project whose lock is looked at, with a cache folder of its own.
pub(super) struct Project {
    pub(super) folder: PathBuf,
}

impl Project {
    /// Makes an empty project.
    pub(super) fn new(folder: PathBuf) -> Outcome<Self> {
        fs::create_dir_all(folder.join("profiles")).map_err(explain("make a project"))?;
        Ok(Self { folder })
    }

    /// Writes a file of it.
    pub(super) fn write(&self, path: &str, text: &str) -> Outcome {
        fs::write(self.folder.join(path), text).map_err(explain(format!("write {path}")))
    }

    /// Returns layerforge with these arguments, without mirrors of whoever runs the tests.
    pub(super) fn layerforge(&self, arguments: &[&str]) -> Command {
        let mut command = program(env!("CARGO_BIN_EXE_layerforge"));
        command.current_dir(&self.folder).args(arguments);
        command.env("LAYERFORGE_STORE", self.folder.join("store")).env("XDG_CONFIG_HOME", self.folder.join("config"));
        command
    }

    /// Renders the profile `web` for a distro with a tar archive, and returns the tree of that as root unpacks it, and what was
    /// said.
    pub(super) fn unpacked(&self, distro: &str, epoch: &str, arguments: &[&str]) -> Outcome<(PathBuf, String)> {
        let (rendered, own) = (self.folder.join("rendered"), self.folder.join("own"));
        [&rendered, &own].into_iter().try_for_each(|folder| remove(folder))?;
        let mut command = self.layerforge(&["render", "web", "--distro", distro, "--arch", "x86_64"]);
        command.args(arguments).arg("--dest").arg(&rendered).env("SOURCE_DATE_EPOCH", epoch);
        let output = command.output().map_err(explain("run layerforge"))?;
        let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        if !output.status.success() {
            return Err(told);
        }
        super::sandbox::unpack(&rendered.join("web.tar"), &own)?;
        Ok((own, told))
    }

    /// Checks that layerforge ends with this code and says these words.
    pub(super) fn refused(&self, arguments: &[&str], code: i32, words: &str) -> Outcome {
        let output = self.layerforge(arguments).output().map_err(explain("run layerforge"))?;
        let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        if output.status.code() == Some(code) && told.contains(words) {
            return Ok(());
        }
        Err(format!("{arguments:?} ended with {}, expected {code} and `{words}`:\n{told}", output.status))
    }

    /// Returns the versions of the lock for Debian, by name.
    fn locked(&self) -> Outcome<BTreeMap<String, String>> {
        self.locked_for("debian")
    }

    /// Returns the versions of the lock for a distro, by name.
    pub(super) fn locked_for(&self, distro: &str) -> Outcome<BTreeMap<String, String>> {
        let text = fs::read_to_string(self.folder.join("profiles/web.lock")).map_err(explain("read the lock"))?;
        let lock: toml::Value = toml::from_str(&text).map_err(explain("parse the lock"))?;
        let packages = lock["target"][distro]["bundle"]["x86_64"]["package"].as_array().ok_or("no packages")?;
        let text = |package: &toml::Value, key: &str| package[key].as_str().unwrap_or_default().to_owned();
        Ok(packages.iter().map(|package| (text(package, "name"), text(package, "version"))).collect())
    }
}

/// Returns a profile that takes packages from a repository and nothing else.
fn profile(address: &str, variant: &str, more: &str) -> String {
    format!(
        "[distro.debian]\nrelease = \"trixie\"\n[distro.debian.source.debian]\nmirrors = [\"{address}\"]\n\
         [distro.debian.source.debian-security]\nwhen = \"false\"\n[output.rootfs]\npackages = \"bundled\"\n\
         [packages]\nvariant = \"{variant}\"\n{more}"
    )
}

const LOCK: [&str; 4] = ["lock", "web", "--arch", "x86_64"];

/// Returns what apt would install, with versions, by name: lines `Inst NAME (VERSION …`.
fn simulated(output: &str) -> BTreeMap<String, String> {
    let lines = output.lines().filter_map(|line| line.strip_prefix("Inst "));
    let pair = |line: &str| {
        let (name, rest) = line.split_once(" (")?;
        Some((name.to_owned(), rest.split_whitespace().next()?.to_owned()))
    };
    lines.filter_map(pair).collect()
}

/// Returns what apt 3.0 would install of the lists in `folder`, with versions, by name.
fn installed(tree: &Tree, folder: &Path, set: &[&str], recommends: bool) -> Outcome<BTreeMap<String, String>> {
    let mut apt = tree.program("apt-get", folder);
    apt.args(["-s", "--solver", "3.0", "-o", &format!("APT::Install-Recommends={recommends}")]);
    for option in [
        "Dir::State::lists=/mnt/lists",
        "Dir::State::status=/mnt/empty",
        "Dir::Cache=/mnt/cache",
        "Dir::Etc::sourcelist=/mnt/sources.list",
        "Dir::Etc::sourceparts=/mnt/none",
        "pkgCacheGen::ForceEssential=,",
    ] {
        apt.args(["-o", option]);
    }
    Ok(simulated(&run(apt.arg("install").args(set))?))
}

/// From the mirror of the host, a profile locks what apt 3.0 would install.
pub(super) fn as_apt_installs(world: &World) -> Outcome {
    let archive = Archive::fetch(world.folder("repositories-archive")?)?;
    let project = Project::new(world.folder("repositories-host")?)?;
    let suites = "suites = [\"trixie\"]\n";
    let tree = world.tree(&DEBIAN_13)?;
    for (variant, sets) in [("none", vec!["nginx"]), ("minbase", vec!["nginx", "?essential", "?priority(required)"])] {
        let text = profile(&mirror()?, variant, "[package.nginx]\n")
            .replace("[distro.debian.source.debian]\n", &format!("[distro.debian.source.debian]\n{suites}"));
        project.write("profiles/web.toml", &text)?;
        run(&mut project.layerforge(&LOCK))?;
        let locked = project.locked()?;
        let theirs = installed(&tree, &archive.folder, &sets, false)?;
        if locked != theirs {
            let only = |one: &BTreeMap<String, String>, other: &BTreeMap<String, String>| {
                one.iter()
                    .filter(|(name, version)| other.get(*name) != Some(version))
                    .map(|(name, _)| name.clone())
                    .collect::<Vec<_>>()
            };
            return Err(format!(
                "{variant}: only locked {:?}, only apt's {:?}",
                only(&locked, &theirs),
                only(&theirs, &locked)
            ));
        }
        say(&format!("  {variant}: {} packages are the same", locked.len()));
    }
    Ok(())
}

/// A repository of tools that others wrote, with what solvers stumble over.
fn filled(world: &World, name: &str) -> Outcome<(Repository, Project)> {
    let folder = world.folder(name)?;
    let repository = Repository::start(&folder)?;
    for (name, version, fields) in [
        ("app", "1", "Depends: lib (>= 1), mail-agent\n"),
        ("lib", "1", ""),
        ("lib", "2", ""),
        ("mail-a", "1", "Provides: mail-agent\nConflicts: mail-agent\nPriority: optional\n"),
        ("mail-b", "1", "Provides: mail-agent\nConflicts: mail-agent\nPriority: important\n"),
        ("old", "1", "Depends: lib (= 1)\n"),
        ("new", "1", "Depends: lib (= 2)\n"),
        ("hater", "1", "Breaks: lib (<< 3)\n"),
        ("helper", "1:2.0~rc1+b", "Recommends: lib\n"),
    ] {
        repository.package(name, version, fields)?;
    }
    repository.publish("Acquire-By-Hash: yes\n")?;
    let project = Project::new(folder.join("project"))?;
    fs::copy(&repository.key, project.folder.join("key.asc")).map_err(explain("copy the key"))?;
    Ok((repository, project))
}

/// Returns a profile that asks for packages of a repository.
fn asks(repository: &Repository, packages: &[&str], more: &str) -> String {
    let signed = format!("suites = [\"{SUITE}\"]\nsigned_by = \"key.asc\"\n");
    let tables: String = packages.iter().map(|name| format!("[package.{name}]\n")).collect();
    profile(&repository.address, "none", &format!("{more}{tables}"))
        .replace("[distro.debian.source.debian]\n", &format!("[distro.debian.source.debian]\n{signed}"))
}

/// Conflicts, virtual packages and epochs come out as with apt, and what cannot be is explained.
pub(super) fn are_solved(world: &World) -> Outcome {
    let (repository, project) = filled(world, "repositories-solved")?;
    let source = format!("[arch=amd64 signed-by={}] {}", repository.key.display(), repository.address);
    let folder = apt_folder(world, "repositories-judge", &source)?;
    run(host_apt(&folder).arg("update"))?;
    let tree = world.tree(&DEBIAN_13)?;
    for (set, recommends) in [
        (&["app"][..], false),
        (&["app", "mail-a"], false),
        (&["helper"], false),
        (&["helper"], true),
        (&["hater", "mail-b"], false),
    ] {
        project.write("profiles/web.toml", &asks(&repository, set, &format!("recommends = {recommends}\n")))?;
        run(project.layerforge(&LOCK).arg("--upgrade"))?;
        let theirs = installed(&tree, &folder, set, recommends)?;
        let ours = project.locked()?;
        if ours != theirs {
            return Err(format!("{set:?}: {ours:?} is locked, apt installs {theirs:?}"));
        }
    }
    for (set, words) in [
        (&["app", "old"][..], "old 1 depends on lib = 1"),
        (&["app", "hater"], "app 1 depends on lib >= 1"),
        (&["nothing"], "no package is or provides that"),
    ] {
        project.write("profiles/web.toml", &asks(&repository, set, ""))?;
        project.refused(&LOCK, 4, words)?;
        run_refused(host_apt(&folder).args(["-s", "install"]).args(set))?;
    }
    Ok(())
}

/// Makes folders for apt, which takes packages from `source`: options and address.
fn apt_folder(world: &World, name: &str, source: &str) -> Outcome<PathBuf> {
    let folder = world.folder(name)?;
    for path in ["lists/partial", "cache/archives/partial", "none"] {
        fs::create_dir_all(folder.join(path)).map_err(explain("make folders for apt"))?;
    }
    let source = format!("deb {source} {SUITE} main\n");
    for (name, text) in [("sources.list", source.as_str()), ("empty", "")] {
        fs::write(folder.join(name), text).map_err(explain("write what apt reads"))?;
    }
    Ok(folder)
}

/// What is done to a repository, what layerforge says then, and whether apt refuses it as well.
type Fault = (&'static str, fn(&Repository) -> Outcome, &'static str, bool);

const FAULTS: [Fault; 9] = [
    (
        "expired",
        |repository| repository.publish("Valid-Until: Sat, 06 Sep 2025 08:09:01 UTC\n"),
        "was valid until",
        true,
    ),
    ("signed by a stranger", |repository| repository.sign("stranger"), "no signature of", true),
    ("stripped signature", |repository| strip(repository, "InRelease"), "-----BEGIN PGP SIGNED MESSAGE-----", true),
    ("no signature at all", |repository| strip(repository, ""), "answered with the status 404", true),
    (
        "text before the signed one",
        |repository| edit(&repository.dists().join("InRelease"), |text| [b"Suite: x\n", text].concat()),
        "is not signed as it should be",
        true,
    ),
    (
        "edited",
        |repository| {
            edit(&repository.dists().join("InRelease"), |text| replaced(text, "Components: main", "Components: evil"))
        },
        "no signature of",
        true,
    ),
    ("another suite", |repository| relabel(repository), "is about the suite", false),
    (
        "index of another digest",
        |repository| indexes(repository, |index| index.iter().map(|byte| byte ^ 1).collect()),
        "has the digest",
        true,
    ),
    (
        "truncated index",
        |repository| indexes(repository, |index| index[..index.len() / 2].to_vec()),
        "bytes, expected",
        true,
    ),
];

fn strip(repository: &Repository, kept: &str) -> Outcome {
    let folder = repository.dists();
    for name in ["InRelease", "Release.gpg"] {
        fs::remove_file(folder.join(name)).map_err(explain("remove a signature"))?;
    }
    if kept.is_empty() {
        Ok(())
    } else {
        fs::copy(folder.join("Release"), folder.join(kept)).map(drop).map_err(explain("copy"))
    }
}

fn edit(path: &Path, change: impl Fn(&[u8]) -> Vec<u8>) -> Outcome {
    let bytes = fs::read(path).map_err(explain("read what is edited"))?;
    fs::write(path, change(&bytes)).map_err(explain("write what was edited"))
}

fn replaced(text: &[u8], old: &str, new: &str) -> Vec<u8> {
    String::from_utf8_lossy(text).replace(old, new).into_bytes()
}

fn relabel(repository: &Repository) -> Outcome {
    let path = repository.dists().join("Release");
    edit(&path, |text| replaced(&replaced(text, "Suite: test", "Suite: other"), "Codename: test", "Codename: other"))?;
    repository.sign("archive")
}

/// Changes the indexes where they are served.
fn indexes(repository: &Repository, change: impl Fn(&[u8]) -> Vec<u8>) -> Outcome {
    let folder = repository.dists().join("main/binary-amd64");
    let by_hash = fs::read_dir(folder.join("by-hash/SHA256")).map_err(explain("list the indexes"))?;
    let by_hash = by_hash.filter_map(|entry| Some(entry.ok()?.path()));
    by_hash.chain([folder.join("Packages"), folder.join("Packages.xz")]).try_for_each(|path| edit(&path, &change))
}

/// Whatever is done to a repository is noticed, and the lock stays what it was.
pub(super) fn are_guarded(world: &World) -> Outcome {
    let (repository, project) = filled(world, "repositories-guarded")?;
    project.write("profiles/web.toml", &asks(&repository, &["app"], ""))?;
    for (what, harm, words, apt) in FAULTS {
        repository.publish("Acquire-By-Hash: yes\n")?;
        harm(&repository)?;
        project.refused(&LOCK, 5, words).map_err(|message| format!("{what}: {message}"))?;
        if project.folder.join("profiles/web.lock").exists() {
            return Err(format!("{what}: a lock was written"));
        }
        if apt {
            let source = format!("[arch=amd64 signed-by={}] {}", repository.key.display(), repository.address);
            let folder = apt_folder(world, &format!("repositories-apt-{}", what.replace(' ', "-")), &source)?;
            // A machine whose mirror is a snapshot may have switched this off.
            let options =
                ["APT::Update::Error-Mode=any", "Acquire::Check-Date=true", "Acquire::Check-Valid-Until=true"];
            let options = options.iter().flat_map(|option| ["-o", option]);
            run_refused(host_apt(&folder).args(options).arg("update")).map_err(|told| format!("{what}: {told}"))?;
        }
    }
    repository.publish("Acquire-By-Hash: yes\n")?;
    run(&mut project.layerforge(&LOCK))?;
    run(project.layerforge(&LOCK).arg("--check"))?;
    // Packages of another content or length.
    let deb = repository.root.join("pool/lib_2_all.deb");
    let good = fs::read(&deb).map_err(explain("read a package"))?;
    for (bad, words) in [
        (good.iter().map(|byte| byte ^ 1).collect::<Vec<u8>>(), "has the digest"),
        (good[..good.len() - 1].to_vec(), "bytes, expected"),
    ] {
        fs::write(&deb, bad).map_err(explain("damage a package"))?;
        project.refused(&["vendor", "vendored", "web", "--arch", "x86_64"], 5, words)?;
    }
    fs::write(&deb, good).map_err(explain("mend a package"))?;
    // An older state is refused once a newer one was seen.
    let old = "Date: Sat, 06 Sep 2025 08:09:01 UTC";
    edit(&repository.dists().join("Release"), |text| {
        let text = String::from_utf8_lossy(text).into_owned();
        text.lines()
            .map(|line| if line.starts_with("Date:") { old } else { line })
            .flat_map(|line| [line, "\n"])
            .collect::<String>()
            .into_bytes()
    })?;
    repository.sign("archive")?;
    let upgrade: Vec<&str> = LOCK.into_iter().chain(["--upgrade"]).collect();
    project.refused(&upgrade, 5, "but the lock knows one of")
}

/// A folder that was vendored is enough, without a server and without a cache.
pub(super) fn are_vendored(world: &World) -> Outcome {
    let (repository, project) = filled(world, "repositories-vendored")?;
    project.write("profiles/web.toml", &asks(&repository, &["app", "helper"], ""))?;
    run(&mut project.layerforge(&LOCK))?;
    let locked = project.locked()?;
    run(&mut project.layerforge(&["vendor", "vendored", "web", "--arch", "x86_64"]))?;
    drop(repository);
    fs::remove_dir_all(project.folder.join("store")).map_err(explain("remove the cache"))?;
    project.refused(&["lock", "web", "--arch", "x86_64", "--upgrade"], 5, "127.0.0.1")?;
    let again = ["lock", "web", "--arch", "x86_64", "--upgrade", "--vendored", "vendored"];
    run(&mut project.layerforge(&again))?;
    if project.locked()? != locked {
        return Err("the lock from the vendored folder is another one".into());
    }
    // The folder is a repository in the eyes of apt, too.
    let (key, place) = (project.folder.join("key.asc"), project.folder.join("vendored/debian"));
    let source = format!("[arch=amd64 signed-by={}] file:{}", key.display(), place.display());
    let folder = apt_folder(world, "repositories-vendored-judge", &source)?;
    run(host_apt(&folder).arg("update"))?;
    run(host_apt(&folder).args([
        "install",
        "--download-only",
        "-y",
        "-o",
        "APT::Install-Recommends=false",
        "app",
        "helper",
        "mail-b",
    ]))
    .map(drop)
}

/// A tree with apt in it takes packages from the sources of its profile: apt reads them and believes them.
pub(super) fn are_known_later(world: &World) -> Outcome {
    let (repository, project) = filled(world, "repositories-later")?;
    let tools = format!(
        "[source.tools]\nmirrors = [\"{}\"]\nsuites = [\"{SUITE}\"]\nsigned_by = \"key.asc\"\n",
        repository.address
    );
    fs::copy(&repository.key, project.folder.join("key.asc")).map_err(explain("copy a key"))?;
    let suites = "suites = [\"trixie\"]\n";
    let text = profile(&mirror()?, "minbase", &tools)
        .replace("[distro.debian.source.debian]\n", &format!("[distro.debian.source.debian]\n{suites}"));
    project.write("profiles/web.toml", &text)?;
    run(&mut project.layerforge(&["render", "web", "--arch", "x86_64"]))?;
    let root = project.folder.join("out/web/debian/rootfs");
    let sources = root.join("etc/apt/sources.list.d");
    let debian = fs::read_to_string(sources.join("debian.sources")).map_err(explain("read the sources of apt"))?;
    if !debian.ends_with("Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n") {
        return Err(format!("the keys of Debian are others:\n{debian}"));
    }
    // What is no part of the test is not asked.
    fs::remove_file(sources.join("debian.sources")).map_err(explain("remove a source"))?;
    let options = ["-o", "APT::Sandbox::User=root", "-o", "APT::Update::Error-Mode=any"];
    run(program("chroot").arg(&root).arg("apt-get").args(options).arg("update"))?;
    let policy = run(program("chroot").arg(&root).args(["apt-cache", "policy", "app"]))?;
    if policy.contains(&repository.address) { Ok(()) } else { Err(format!("apt does not know the package: {policy}")) }
}

/// Scripts of another architecture are refused before anything is fetched, where nothing runs them.
pub(super) fn need_an_emulator(world: &World) -> Outcome {
    let project = Project::new(world.folder("repositories-foreign")?)?;
    // Nobody answers there: whoever asks is found out.
    project.write("profiles/web.toml", &profile("http://127.0.0.1:9/debian", "minbase", ""))?;
    let emulated = |name: &&str| !Path::new("/proc/sys/fs/binfmt_misc").join(format!("qemu-{name}")).exists();
    let Some(foreign) =
        ["aarch64", "riscv64"].into_iter().filter(|name| *name != std::env::consts::ARCH).find(emulated)
    else {
        return Err("this machine has an emulator for every architecture, so that nothing is refused here".into());
    };
    let render = ["render", "web", "--arch", foreign];
    project.refused(&render, 1, "no emulator is registered")?;
    project.refused(&render, 1, "`qemu-user-static` or `qemu-user-binfmt`")?;
    project.write("profiles/web.toml", &profile("http://127.0.0.1:9/debian", "minbase", "scripts = \"skip\"\n"))?;
    project.refused(&render, 5, "http://127.0.0.1:9/debian")
}
