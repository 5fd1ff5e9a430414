//! Packages of Debian in the eyes of apt and dpkg.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use layerforge::digest::Digest;
use layerforge::distro::archive_keys;
use layerforge::packages::apt::archive::{Fetched, unpack_all};
use layerforge::packages::apt::compression::Compression;
use layerforge::packages::apt::database::{Decisions, install};
use layerforge::packages::apt::release::{Expected, Release};
use layerforge::packages::apt::rules::AptRules;
use layerforge::packages::apt::{index, trust::Keyring};
use layerforge::packages::model::{PackageId, Pool, Request};
use layerforge::packages::solve::{Question, Variant, check, solve};
use layerforge::tree::{Kind, Tree};

use crate::base::mirror;
use crate::command::{explain, program, run};
use crate::machine::tree::DEBIAN_13;
use crate::world::World;
use crate::{Outcome, say};

/// What people install, one set a line.
const NAMED: &str = "nginx
postgresql
openssh-server
systemd
apache2
redis-server
python3
ruby
nodejs
openjdk-21-jre-headless
gnome-core
kde-plasma-desktop
xfce4
libreoffice-writer
firefox-esr
chromium
vim
emacs
git
build-essential
gcc g++ make
cmake
docker.io
podman
qemu-system-x86
libvirt-daemon-system
mariadb-server
exim4
postfix
dovecot-imapd
samba
cups
bind9
haproxy
squid
prometheus prometheus-alertmanager
prometheus-node-exporter
texlive
pandoc
r-base
octave
gimp
inkscape
vlc
ffmpeg
imagemagick
network-manager
linux-image-amd64 initramfs-tools
wireguard strongswan
golang rustc cargo ghc";

/// The sets that are put together at random, of one to four packages.
const RANDOM: usize = 200;

/// What apt of Debian 13 does with every set: a line of sorted names, or `UNSATISFIABLE`.
const ORACLE: &str = r#"
answer() {
  while read -r set; do
    if out=$(apt-get -s --solver 3.0 -o Dir::State::lists=/mnt/lists -o Dir::State::status=/mnt/empty -o Dir::Cache=/mnt/cache \
        -o Dir::Etc::sourcelist=/mnt/sources.list -o Dir::Etc::sourceparts=/mnt/none -o pkgCacheGen::ForceEssential=, \
        -o APT::Install-Recommends=$1 install $set 2>"/mnt/errors-$2" </dev/null); then
        printf '%s\n' "$out" | sed -n 's/^Inst \([^ ]*\) .*/\1/p' | sort | tr '\n' ' '
        echo
    else
        echo UNSATISFIABLE
    fi
  done
}
# Each apt takes a second: two answer at a time, the first question alone, for it makes the cache that the others read.
sed 1q /mnt/sets | answer "$1" 0
sed 1d /mnt/sets | sed -n 'p;n' | answer "$1" 1 >/mnt/odd &
sed 1d /mnt/sets | sed -n 'n;p' | answer "$1" 2 >/mnt/even
wait
paste -d '\n' /mnt/odd /mnt/even | head -n "$(($(wc -l </mnt/sets) - 1))"
"#;

/// The index of Debian 13 as the host's apt fetched and verified it.
pub(super) struct Archive {
    pub(super) folder: PathBuf,
    pool: Pool,
}

impl Archive {
    pub(super) fn fetch(folder: PathBuf) -> Outcome<Self> {
        for name in ["lists/partial", "cache/archives/partial", "none"] {
            fs::create_dir_all(folder.join(name)).map_err(explain("make folders for apt"))?;
        }
        let source = format!("deb [arch=amd64] {} trixie main\n", mirror()?);
        for (name, text) in [("sources.list", source.as_str()), ("empty", "")] {
            fs::write(folder.join(name), text).map_err(explain("write what apt reads"))?;
        }
        run(host_apt(&folder).arg("update"))?;
        let lists = folder.join("lists");
        let find = |end: &str| {
            let entries = fs::read_dir(&lists).map_err(explain("list what apt fetched"))?;
            let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
            paths.find(|path| path.to_string_lossy().ends_with(end)).ok_or(format!("apt fetched no {end}"))
        };
        let read = |path: PathBuf| fs::read(&path).map_err(explain(format!("read {}", path.display())));
        let text = read(find("_Packages")?)?;
        check_release(&read(find("_InRelease")?)?, &text)?;
        let pool = index::read("Packages", &text, Compression::None, "amd64").map_err(|error| error.to_string())?;
        Ok(Self { folder, pool })
    }

    /// Returns the named sets and those at random.
    fn sets(&self) -> Vec<String> {
        let mut names: Vec<String> = self.pool.ids().map(|id| self.name(id)).collect();
        names.dedup();
        let mut state = 20_261_121_u64;
        let mut next = || {
            // Knuth's generator: the same sets on every machine.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            names[(state >> 33) as usize % names.len()].clone()
        };
        let random = (0..RANDOM).map(|number| (0..=number % 4).map(|_| next()).collect::<Vec<_>>().join(" "));
        NAMED.lines().map(str::to_owned).chain(random).collect()
    }

    fn name(&self, id: PackageId) -> String {
        String::from_utf8_lossy(self.pool.name(self.pool.package(id).name)).into_owned()
    }
}

/// The host's apt, for other lists than its own.
pub(super) fn host_apt(folder: &Path) -> Command {
    let mut command = program("apt-get");
    let path = folder.display();
    for option in [
        format!("Dir::State::lists={path}/lists"),
        format!("Dir::State::status={path}/empty"),
        format!("Dir::Cache={path}/cache"),
        format!("Dir::Etc::sourcelist={path}/sources.list"),
        format!("Dir::Etc::sourceparts={path}/none"),
        "APT::Sandbox::User=root".into(),
        "APT::Architecture=amd64".into(),
        "Acquire::GzipIndexes=false".into(),
        "Acquire::Languages=none".into(),
    ] {
        command.arg("-o").arg(option);
    }
    command
}

/// Takes the Release file by the keys of the program, and finds the index in it.
fn check_release(signed: &[u8], packages: &[u8]) -> Outcome {
    let keys = archive_keys("debian-archive-keyring").ok_or("the keys of Debian are part of the program")?;
    let keyring = Keyring::read("debian.asc", keys.as_bytes()).map_err(|error| error.to_string())?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_err(explain("read the clock"))?;
    let now = now.as_secs().cast_signed();
    let signed = keyring.verify("InRelease", signed, now).map_err(|error| error.to_string())?;
    let release = Release::parse("InRelease", &signed.text).map_err(|error| error.to_string())?;
    let expected = Expected { suite: Some("trixie"), now, expired: false, locked: None };
    release.check(&expected).map_err(|error| error.to_string())?;
    let listed = release.files.get("main/binary-amd64/Packages");
    if listed != Some(&(Digest::of(packages), packages.len() as u64)) {
        return Err("the Release file names another index than the one apt has".into());
    }
    let indexes = release.indexes("main", "amd64").map_err(|error| error.to_string())?;
    if indexes.len() == 1 && indexes[0].by_hash.is_some() { Ok(()) } else { Err(format!("{indexes:?}")) }
}

/// What is chosen is what apt 3.0 chooses, and always holds together.
pub(super) fn solver_without_recommends(world: &World) -> Outcome {
    solver(world, false, 98)
}

/// The same with recommended packages.
pub(super) fn solver_with_recommends(world: &World) -> Outcome {
    solver(world, true, 95)
}

fn solver(world: &World, recommends: bool, percent: usize) -> Outcome {
    let archive = Archive::fetch(world.folder(&format!("apt-solver-{recommends}"))?)?;
    let sets = archive.sets();
    fs::write(archive.folder.join("sets"), sets.join("\n") + "\n").map_err(explain("write the sets"))?;
    let tree = world.tree(&DEBIAN_13)?;
    let answers = run(tree.program("sh", &archive.folder).args(["-c", ORACLE, "sh", &recommends.to_string()]))?;
    let answers: Vec<&str> = answers.lines().collect();
    if answers.len() != sets.len() {
        return Err(format!("apt answered {} of {} questions", answers.len(), sets.len()));
    }
    let mut same = 0;
    for (set, answer) in sets.iter().zip(answers) {
        let theirs: BTreeSet<String> = answer.split_whitespace().map(str::to_owned).collect();
        let ours = ours(&archive, set, recommends)?;
        if ours == theirs {
            same += 1;
        } else {
            let (only_theirs, only_ours) = (theirs.difference(&ours), ours.difference(&theirs));
            say(&format!(
                "  {set}: apt {:?}, layerforge {:?}",
                only_theirs.collect::<Vec<_>>(),
                only_ours.collect::<Vec<_>>()
            ));
        }
    }
    say(&format!("  {same} of {} sets are the same", sets.len()));
    if same * 100 >= sets.len() * percent { Ok(()) } else { Err(format!("only {same} of {} are the same", sets.len())) }
}

/// Returns what we choose, which must hold together.
fn ours(archive: &Archive, set: &str, recommends: bool) -> Outcome<BTreeSet<String>> {
    let requests = set.split_whitespace().map(Request::any).collect();
    let question = Question { requests, recommends, ..Question::default() };
    let Ok(solution) = solve(&archive.pool, &AptRules, &question) else {
        return Ok(BTreeSet::from(["UNSATISFIABLE".to_owned()]));
    };
    let ids: Vec<PackageId> = solution.packages.keys().copied().collect();
    let names: BTreeSet<String> = ids.iter().map(|id| archive.name(*id)).collect();
    let wrong = check(&archive.pool, &AptRules, &ids);
    if let Some(missing) = set.split_whitespace().find(|name| !names.contains(*name)) {
        // A name that packages only provide is there through one of them.
        if archive.pool.find(missing.as_bytes()).is_some_and(|name| archive.pool.named(name).next().is_some()) {
            return Err(format!("{set}: {missing} is not there"));
        }
    }
    if wrong.is_empty() { Ok(names) } else { Err(format!("{set}: {wrong:?}")) }
}

/// A minimal Debian that is put together without dpkg is what dpkg and tar unpack, and dpkg and apt find nothing wrong with it.
pub(super) fn minimal_system_in_the_eyes_of_dpkg(world: &World) -> Outcome {
    let archive = Archive::fetch(world.folder("apt-database")?)?;
    let question = Question { variant: Variant::Minbase, ..Question::default() };
    let solution = solve(&archive.pool, &AptRules, &question).map_err(|explanation| explanation.to_string())?;
    let debs = archive.folder.join("debs");
    fs::create_dir(&debs).map_err(explain("make a folder"))?;
    let names: Vec<String> = solution.packages.keys().map(|id| archive.name(*id)).collect();
    run(host_apt(&archive.folder).arg("download").args(&names).current_dir(&debs))?;
    let fetched = fetched(&debs)?;
    if fetched.len() != names.len() {
        return Err(format!("{} packages were fetched for {} names", fetched.len(), names.len()));
    }
    let unpacked = unpack_all(&fetched, &archive.folder.join("packs")).map_err(|error| format!("{error:?}"))?;
    let decisions = Decisions { architecture: "amd64".into(), configured: true, ..Decisions::default() };
    let tree = install(&unpacked, &decisions, |_| false).map_err(|error| error.to_string())?;
    let (own, other) = (archive.folder.join("own"), archive.folder.join("other"));
    write(&tree, &own)?;
    fs::create_dir(&other).map_err(explain("make a folder"))?;
    // Directories first, as dpkg has them: the package with the links of a merged /usr comes before all others.
    let script = "for deb in base-files_* '' *; do [ -z \"$deb\" ] || dpkg-deb --fsys-tarfile $deb | \
                  tar --extract --keep-directory-symlink --preserve-permissions --numeric-owner --directory \"$0\" || exit 1; done";
    run(program("sh").args(["-c", script]).arg(&other).current_dir(&debs))?;
    let listing = |root: &Path| {
        let script = "find . -path ./var/lib/dpkg -prune -o ! -type d -printf '%p %y %m %U %G %s %l %n\n' -o \
                      -printf '%p %y %U %G\n' | sort";
        run(program("sh").args(["-c", script]).current_dir(root))
    };
    let (listed, expected) = (listing(&own)?, listing(&other)?);
    if listed != expected {
        let differs = listed.lines().zip(expected.lines()).find(|(one, other)| one != other);
        return Err(format!("the trees differ: {differs:?}"));
    }
    for question in [&["dpkg", "--audit"][..], &["dpkg", "--verify"], &["apt-get", "check"]] {
        let answer = run(program("chroot").arg(&own).args(question))?;
        if question[0] == "dpkg" && !answer.is_empty() {
            return Err(format!("{question:?}: {answer}"));
        }
    }
    // dpkg itself agrees about versions and states.
    let shown = run(program("chroot").arg(&own).args(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Abbrev}\n"]))?;
    let expected: String = names.iter().map(|name| format!("{name} ii \n")).collect();
    if shown == expected { Ok(()) } else { Err(format!("dpkg knows other packages:\n{shown}")) }
}

fn fetched(folder: &Path) -> Outcome<Vec<Fetched>> {
    let entries = fs::read_dir(folder).map_err(explain("list packages"))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let package = |path: PathBuf| {
        let bytes = fs::read(&path).map_err(explain(format!("read {}", path.display())))?;
        Ok(Fetched { size: bytes.len() as u64, digest: Digest::of(&bytes), path })
    };
    paths.into_iter().map(package).collect()
}

/// Writes a tree as root sees it.
fn write(tree: &Tree, root: &Path) -> Outcome {
    let failed = |path: &Path| explain(format!("write {}", path.display()));
    for (path, node, first) in tree.links() {
        let at = root.join(path.as_path());
        if let Some(first) = first {
            fs::hard_link(root.join(first.as_path()), &at).map_err(failed(&at))?;
            continue;
        }
        match &node.kind {
            Kind::Regular(content) => {
                let mut file = fs::File::create(&at).map_err(failed(&at))?;
                let mut bytes = content.open().map_err(explain("read a file of a package"))?;
                std::io::copy(&mut bytes, &mut file).map_err(failed(&at))?;
            }
            Kind::Directory { .. } => fs::create_dir(&at).map_err(failed(&at))?,
            Kind::Symlink(target) => symlink(std::ffi::OsStr::from_bytes(target), &at).map_err(failed(&at))?,
            other => return Err(format!("{path} is a {}", other.word())),
        }
        lchown(&at, Some(node.meta.uid), Some(node.meta.gid)).map_err(failed(&at))?;
        if !matches!(node.kind, Kind::Symlink(_)) {
            let mode = fs::Permissions::from_mode(u32::from(node.meta.mode));
            fs::set_permissions(&at, mode).map_err(failed(&at))?;
        }
    }
    Ok(())
}
