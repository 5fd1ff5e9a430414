//! Root filesystems that are put together from packages, in the eyes of systemd and of their scripts.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

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
use super::bootstrapped::content;
use super::sandbox::{NOBODY, look};
use crate::command::{explain, program, run};
use crate::machine::boot;
use crate::world::World;
use crate::{Outcome, say};

/// The first argument with which the tests are started again, as another user: see [`make_as_told`].
pub(crate) const AGAIN: &str = "make-packages";

/// The epoch of everything that is made here.
const EPOCH: i64 = 1_750_000_000;

/// Packages of Debian 13 on disk.
pub(super) struct Debs {
    pub(super) packages: Vec<(LockedPackage, PathBuf)>,
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

    pub(super) fn set(&self, settings: PackageSettings) -> PackageSet {
        PackageSet {
            family: Family::Apt,
            distro: ("debian".into(), Some("13".into())),
            architecture: "amd64".into(),
            links: BTreeMap::new(),
            packages: self.packages.clone(),
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
            world: Vec::new(),
            tags: std::collections::BTreeMap::new(),
            unsigned: std::collections::BTreeSet::new(),
            repositories: Vec::new(),
            keys: BTreeMap::new(),
            sources: BTreeMap::new(),
            host: None,
            settings,
            epoch: EPOCH,
        }
    }
}

/// Reads what a lock has about a package.
pub(super) fn locked(path: &Path, requested: &[&str]) -> Outcome<LockedPackage> {
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
pub(super) fn whole() -> PackageSettings {
    PackageSettings { documentation: true, locales: None, ..PackageSettings::default() }
}

/// Writes a tree as root sees it, and not by what reads it in the program.
pub(super) fn unfold(tree: &PackageTree, root: &Path) -> Outcome {
    let archive = root.with_extension("tar");
    let mut file = fs::File::create(&archive).map_err(explain("create an archive"))?;
    layerforge::image::write_tar(&tree.tree, &mut file).map_err(|error| error.to_string())?;
    super::sandbox::unpack(&archive, root)?;
    fs::remove_file(&archive).map_err(explain("remove an archive"))
}

/// Packages whose scripts make users, set owners, capabilities and modes, enable units, and look at all others.
const SERVICES: [&str; 9] = [
    "systemd-sysv",
    "dbus",
    "cron",
    "nginx-light",
    "sudo",
    "iputils-ping",
    "ca-certificates",
    "man-db",
    "libpam-systemd",
];

/// A folder that other users can look into: below that of root nobody else sees anything.
pub(super) fn open_folder() -> Outcome<tempfile::TempDir> {
    let folder = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir();
    folder.map_err(explain("make a folder"))
}

/// The same packages are the same tree whoever puts them together, with one thread and with two; the tree boots.
pub(super) fn alike_and_bootable(world: &World) -> Outcome {
    let folder = open_folder()?;
    let folder = folder.path();
    fs::copy(env!("CARGO_BIN_EXE_layerforge"), folder.join("layerforge")).map_err(explain("copy the program"))?;
    fs::copy("/proc/self/exe", folder.join("tests")).map_err(explain("copy the tests"))?;
    let debs = Debs::fetch(folder, &SERVICES)?;
    run(program("chmod").args(["-R", "a+rX"]).arg(folder))?;
    let mut digests = BTreeMap::new();
    for (name, privilege, threads) in [
        ("one thread", Privilege::Root, 1),
        ("two threads", Privilege::Root, 2),
        ("subordinate ids", Privilege::Subordinate, 2),
        ("one id", Privilege::Single, 2),
    ] {
        let store = folder.join(name);
        digests.insert(make_again(folder, &debs, (privilege, threads), &store)?, name);
    }
    let store = Store::open(&folder.join("two threads")).map_err(|error| error.to_string())?;
    let maker = PackageMaker::new(&store, &Silent).program(env!("CARGO_BIN_EXE_layerforge"));
    let set = debs.set(whole());
    let start = std::time::Instant::now();
    let made = maker.tree(&set).map_err(explain("make a tree"))?;
    say(&format!("  {} packages, {} paths, again in {:?}", made.packages.len(), made.tree.len(), start.elapsed()));
    if digests.len() != 1 {
        return Err(format!("the trees differ: {digests:?}\n{}", explain_difference(folder, &set, &digests)?));
    }
    boots(world, &made)
}

/// Returns what is different between the first trees.
fn explain_difference(folder: &Path, set: &PackageSet, digests: &BTreeMap<String, &str>) -> Outcome<String> {
    let tree = |name: &str| {
        let store = Store::open(&folder.join(name)).map_err(|error| error.to_string())?;
        let maker = PackageMaker::new(&store, &Silent).program(env!("CARGO_BIN_EXE_layerforge"));
        maker.tree(set).map_err(explain(format!("read the tree of {name}")))
    };
    let names: Vec<&&str> = digests.values().collect();
    let changes = layerforge::tree::diff(&tree(names[0])?.tree, &tree(names[1])?.tree);
    Ok(changes.iter().take(30).map(|change| format!("{change:?}\n")).collect())
}

/// Makes a tree as somebody, and returns its digest.
fn make_again(folder: &Path, debs: &Debs, (privilege, threads): (Privilege, usize), store: &Path) -> Outcome<String> {
    let user = if privilege == Privilege::Root { 0 } else { NOBODY };
    fs::create_dir(store).map_err(explain("make a folder"))?;
    std::os::unix::fs::chown(store, Some(user), Some(user)).map_err(explain("give a folder away"))?;
    let ids = folder.join("ids");
    fs::write(&ids, format!("{NOBODY}:300000:65536\n")).map_err(explain("write ids"))?;
    let script = "mount --bind \"$IDS\" /etc/subuid; mount --bind \"$IDS\" /etc/subgid
        exec setpriv --reuid=\"$USER\" --regid=\"$USER\" --clear-groups \"$@\"";
    let mut command = program("unshare");
    command.args(["--mount", "sh", "-euc", script, "sh"]).arg(folder.join("tests")).arg(AGAIN);
    command.arg(store).arg(folder.join("layerforge")).arg(format!("{privilege:?}"));
    command.env("IDS", &ids).env("USER", user.to_string()).env("RAYON_NUM_THREADS", threads.to_string());
    let mut child = command
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(explain("run the tests again"))?;
    let mut input = child.stdin.take().ok_or("no input")?;
    let text = serde_json::to_vec(&debs.packages).map_err(explain("write packages"))?;
    input.write_all(&text).map_err(explain("write packages"))?;
    drop(input);
    let output = child.wait_with_output().map_err(explain("run the tests again"))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() { Ok(text) } else { Err(format!("{privilege:?}: {text}")) }
}

/// What the tests do when they are started again: reads packages from the input, puts them together, writes the digest.
pub(crate) fn make_as_told(arguments: &[String]) -> Outcome {
    let [store, layerforge, privilege] = arguments else { return Err("three arguments".into()) };
    let privilege = match privilege.as_str() {
        "Root" => Privilege::Root,
        "Subordinate" => Privilege::Subordinate,
        _ => Privilege::Single,
    };
    let packages = serde_json::from_reader(std::io::stdin()).map_err(explain("read packages"))?;
    let store = Store::open(Path::new(store)).map_err(|error| error.to_string())?;
    let maker = PackageMaker::new(&store, &Silent).program(layerforge).privilege(privilege);
    let start = std::time::Instant::now();
    let made = maker.tree(&Debs { packages }.set(whole())).map_err(explain("make a tree"))?;
    if std::env::var_os("LAYERFORGE_TIMES").is_some() {
        writeln!(std::io::stderr(), "{privilege:?}: {:?}", start.elapsed()).map_err(explain("tell"))?;
    }
    say(&made.tree.digest().to_string());
    Ok(())
}

/// A tree with systemd in it boots, and nothing in it fails.
fn boots(world: &World, made: &PackageTree) -> Outcome {
    let folder = world.folder("packages-boot")?;
    let root = folder.join("root");
    unfold(made, &root)?;
    let units = root.join("etc/systemd/system");
    let target = "[Unit]\nWants=probe.service multi-user.target\n";
    let probe = "[Unit]\nAfter=multi-user.target\n[Service]\nType=oneshot\n\
                 ExecStart=/bin/sh -c 'systemctl --failed --no-legend --plain > /failed; systemctl is-active nginx cron dbus > /active; \
                 systemctl --no-block poweroff'\n";
    for (name, text) in [("layerforge-tests.target", target), ("probe.service", probe)] {
        fs::write(units.join(name), text).map_err(explain("write a unit"))?;
    }
    let console = folder.join("console");
    let ended = boot(&root, &console)?;
    let read = |name: &str| {
        fs::read_to_string(root.join(name)).map_err(|_| {
            let console = fs::read(&console).unwrap_or_default();
            format!("the system did not come up:\n{}", String::from_utf8_lossy(&console))
        })
    };
    let (failed, active) = (read("failed")?, read("active")?);
    if ended && failed.is_empty() && active == "active\nactive\nactive\n" {
        return Ok(());
    }
    Err(format!("ended: {ended}; failed: {failed}; active: {active}"))
}

/// A minimal Debian 13 whose scripts are not run has accounts, alternatives and shells nevertheless.
pub(super) fn without_scripts(world: &World) -> Outcome {
    let folder = world.folder("packages-without-scripts")?;
    let debs = Debs::fetch(&folder, &["ca-certificates"])?;
    let store = Store::open(&folder.join("store")).map_err(|error| error.to_string())?;
    let maker = PackageMaker::new(&store, &Silent).program(env!("CARGO_BIN_EXE_layerforge"));
    let skipped = PackageSettings { scripts: Scripts::Skip, ..whole() };
    let timed = |what: &str, settings: PackageSettings| {
        let start = std::time::Instant::now();
        let made = maker.tree(&debs.set(settings)).map_err(explain("make a tree"))?;
        say(&format!("  {what}: {:?}", start.elapsed()));
        Ok::<_, String>(made)
    };
    let made = timed("unpacked, without scripts", skipped.clone())?;
    let full = timed("known packs, with scripts", whole())?;
    for settings in [skipped, whole()] {
        timed("again", settings)?;
    }
    let (own, other) = (folder.join("own"), folder.join("other"));
    unfold(&made, &own)?;
    unfold(&full, &other)?;
    content(&own)?;
    listed_alike(&own)?;
    let bare =
        maker.tree(&debs.set(PackageSettings { distroless: true, ..whole() })).map_err(explain("make a tree"))?;
    let distroless = folder.join("distroless");
    unfold(&bare, &distroless)?;
    run(program("chroot").arg(&distroless).args(["/usr/bin/cat", "/var/lib/dpkg/status.d/libc6"]))?;
    for gone in ["usr/bin/dpkg", "usr/bin/apt-get", "usr/bin/sh", "usr/bin/bash", "var/lib/dpkg/status"] {
        if distroless.join(gone).symlink_metadata().is_ok() {
            return Err(format!("`{gone}` is in a tree without package manager and shells"));
        }
    }
    let (own, other) = (look(&own)?, look(&other)?);
    let mut differences = Vec::new();
    for (path, seen) in &other {
        let alike = [
            "/etc/alternatives/",
            "/var/lib/dpkg/alternatives/",
            "/etc/ssl/certs/ca-certificates.crt",
            "/root/",
            "/etc/profile",
        ];
        let certificate = path.starts_with("/etc/ssl/certs/") && path.ends_with(".pem");
        if (certificate || alike.iter().any(|begin| path.starts_with(begin))) && own.get(path) != Some(seen) {
            differences.push(format!("{path}\n  without: {:?}\n  with:    {seen:?}", own.get(path)));
        }
    }
    let only: Vec<&String> = other.keys().filter(|path| !own.contains_key(*path)).collect();
    say(&format!(
        "  only scripts make {} of {} paths; missed: {:?}",
        only.len(),
        other.len(),
        made.skipped.iter().filter(|one| one.matters).map(|one| &one.package).collect::<Vec<_>>()
    ));
    if differences.is_empty() { Ok(()) } else { Err(differences.join("\n")) }
}

/// The cache of the loader has what ldconfig puts into one.
fn listed_alike(root: &Path) -> Outcome {
    let listed = || -> Outcome<String> {
        let text = run(program("chroot").arg(root).args(["/sbin/ldconfig", "-p"]))?;
        Ok(text.lines().filter(|line| !line.starts_with("Cache generated by")).collect::<Vec<_>>().join("\n"))
    };
    let own = listed()?;
    run(program("chroot").arg(root).args(["/sbin/ldconfig"]))?;
    let other = listed()?;
    if own == other && own.contains("libc.so.6 (libc6,x86-64)") {
        return Ok(());
    }
    Err(format!("the cache of the loader is another one than that of ldconfig:\n{own}\n\n{other}"))
}

/// A script that tries to get out finds nothing, one that forks without end is stopped, and one that fails is quoted.
pub(super) fn contained(world: &World) -> Outcome {
    let folder = world.folder("packages-contained")?;
    let mut debs = Debs::fetch(&folder, &[])?;
    let victim = folder.join("victim");
    fs::create_dir(&victim).map_err(explain("make a folder"))?;
    fs::write(victim.join("secret"), "secret").map_err(explain("write a file"))?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(explain("listen"))?;
    let port = listener.local_addr().map_err(explain("listen"))?.port();
    let victim = victim.display();
    // Each thing that works is an exit code.
    let escape = format!(
        "#!/bin/bash\ncat {victim}/secret && exit 1\n(exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null && exit 2\n\
         (echo b > /proc/sysrq-trigger) 2>/dev/null && exit 3\nmount -t proc proc /mnt 2>/dev/null && exit 4\n\
         chroot /proc/1/root true 2>/dev/null && test -e /proc/1/root{victim}/secret && exit 5\n\
         mkdir -p {victim} && echo hacked > {victim}/secret\nexit 0\n"
    );
    debs.packages.push(own_package(&folder, "escape", &escape)?);
    let store = Store::open(&folder.join("store")).map_err(|error| error.to_string())?;
    let maker = PackageMaker::new(&store, &Silent).program(env!("CARGO_BIN_EXE_layerforge"));
    maker.tree(&debs.set(whole())).map_err(explain("keep a script in"))?;
    if fs::read_to_string(folder.join("victim/secret")).map_err(explain("read a file"))? != "secret" {
        return Err("a script has written to the host".into());
    }
    // One that kills the dpkg that runs it does not go unnoticed.
    debs.packages.pop();
    debs.packages.push(own_package(&folder, "killing", "#!/bin/sh\nkill -9 $PPID\nexit 0\n")?);
    match maker.tree(&debs.set(whole())) {
        Err(error) if error.to_string().contains("cannot set the packages up") => {}
        other => {
            return Err(format!(
                "a killed dpkg goes unnoticed: {:?}",
                other.map(drop).map_err(|error| error.to_string())
            ));
        }
    }
    debs.packages.pop();
    let script = "#!/bin/sh\nexec perl -e 'while (1) { my $p = fork; if (defined $p && !$p) { sleep 1000; exit } \
                  select undef, undef, undef, 0.002 }'\n";
    debs.packages.push(own_package(&folder, "forking", script)?);
    match maker.tree(&debs.set(whole())) {
        Err(error) if error.to_string().contains("was stopped") => {}
        other => {
            let told = other.map(drop).map_err(|error| error.to_string());
            return Err(format!("a script that forks without end goes on: {told:?}"));
        }
    }
    debs.packages.pop();
    debs.packages.push(own_package(&folder, "failing", "#!/bin/sh\necho the well is dry >&2\nexit 7\n")?);
    match maker.tree(&debs.set(whole())) {
        Err(error) if error.to_string().contains("the well is dry") => Ok(()),
        other => {
            Err(format!("a failing script is not quoted: {:?}", other.map(drop).map_err(|error| error.to_string())))
        }
    }
}

/// Makes a package whose `postinst` is `script`.
fn own_package(folder: &Path, name: &str, script: &str) -> Outcome<(LockedPackage, PathBuf)> {
    let content = folder.join(name).join("DEBIAN");
    fs::create_dir_all(&content).map_err(explain("make a folder"))?;
    let control = format!(
        "Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\nDescription: {name}\n"
    );
    fs::write(content.join("control"), control).map_err(explain("write a package"))?;
    let postinst = content.join("postinst");
    fs::write(&postinst, script).map_err(explain("write a package"))?;
    fs::set_permissions(&postinst, Permissions::from_mode(0o755)).map_err(explain("write a package"))?;
    let path = folder.join(format!("{name}.deb"));
    run(program("dpkg-deb").args(["--root-owner-group", "--build"]).arg(folder.join(name)).arg(&path))?;
    Ok((locked(&path, &[name])?, path))
}
