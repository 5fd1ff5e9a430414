//! Maintainer scripts in a sandbox, judged by what they do as root in a chroot.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use layerforge::sandbox::{self, Device, Fact, Privilege, Sandbox};
use layerforge::tree::TreePath;

use crate::Outcome;
use crate::base::unpacked_debian;
use crate::command::{explain, program, run};
use crate::world::World;

/// The first argument with which the tests are started again, as another user: see [`run_as_told`].
pub(crate) const AGAIN: &str = "run-in-a-sandbox";

/// Who other users are.
pub(super) const NOBODY: u32 = 65534;

/// Packages whose scripts make users, set owners, capabilities and modes, and ask for services.
const PACKAGES: &str =
    "systemd,dbus,openssh-server,cron,nginx-light,sudo,iputils-ping,exim4-daemon-light,man-db,rsyslog";

/// A minimal Debian 13 is configured alike whoever does it.
pub(crate) fn minimal(world: &World) -> Outcome {
    alike(world, "minimal", "")
}

/// So is one with services.
pub(crate) fn services(world: &World) -> Outcome {
    alike(world, "services", PACKAGES)
}

fn alike(world: &World, name: &str, packages: &str) -> Outcome {
    let archive = unpacked_debian(world.cache(), name, packages)?;
    // Below the folder of root nobody else sees anything.
    let folder = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir();
    let folder = folder.map_err(explain("make a folder"))?;
    let folder = folder.path();
    fs::copy(env!("CARGO_BIN_EXE_layerforge"), folder.join("layerforge")).map_err(explain("copy the program"))?;
    fs::copy("/proc/self/exe", folder.join("tests")).map_err(explain("copy the tests"))?;

    let [one, two] = ["chroot", "chroot-again"].map(|name| in_a_chroot(&archive, &folder.join(name)));
    let (truth, again) = (one?, two?);
    // What two runs of the same make differently is nobody's property.
    let unsteady: Vec<&String> =
        truth.keys().chain(again.keys()).filter(|path| truth.get(*path) != again.get(*path)).collect();

    for privilege in [Privilege::Root, Privilege::Subordinate, Privilege::Single] {
        let root = folder.join(format!("{privilege:?}"));
        let found = in_a_sandbox(&archive, &root, privilege, folder)?;
        let mut differences: Vec<String> = Vec::new();
        for path in truth.keys().chain(found.keys().filter(|path| !truth.contains_key(*path))) {
            if truth.get(path) != found.get(path) && !unsteady.contains(&path) && !is_of_the_run(path) {
                differences.push(format!("{path}\n  chroot:  {:?}\n  sandbox: {:?}", truth.get(path), found.get(path)));
            }
        }
        if !differences.is_empty() {
            return Err(format!("{privilege:?} is not alike:\n{}", differences.join("\n")));
        }
        run(program("rm").arg("-rf").arg(&root))?;
    }
    Ok(())
}

/// Tells whether a path is about the run, not about what was configured.
fn is_of_the_run(path: &str) -> bool {
    // The chroot's own mounts and locks; a cache of ldconfig's that holds numbers of inodes.
    let about =
        ["/proc", "/sys", "/dev", "/run", "/tmp", "/var/log", "/var/cache/ldconfig", "/var/lib/dpkg/triggers/Lock"];
    about.iter().any(|about| Path::new(path).starts_with(about))
}

fn configure() -> [&'static str; 3] {
    ["dpkg", "--configure", "-a"]
}

/// Configures as root in a chroot, with the namespaces that keep it from the host.
fn in_a_chroot(archive: &Path, root: &Path) -> Outcome<BTreeMap<String, Seen>> {
    unpack(archive, root)?;
    let policy = root.join("usr/sbin/policy-rc.d");
    fs::write(&policy, "#!/bin/sh\nexit 101\n").map_err(explain("write policy-rc.d"))?;
    fs::set_permissions(&policy, Permissions::from_mode(0o755)).map_err(explain("write policy-rc.d"))?;
    let script = "mount -t proc proc \"$1/proc\"; mount -t tmpfs tmpfs \"$1/run\"; mount -t tmpfs tmpfs \"$1/tmp\"
        mount -t tmpfs -o ro tmpfs \"$1/sys\"
        mount -t tmpfs tmpfs \"$1/dev\"; mkdir \"$1/run/lock\"
        for name in null zero full random urandom tty; do touch \"$1/dev/$name\"; mount --bind /dev/$name \"$1/dev/$name\"; done
        ln -s /proc/self/fd \"$1/dev/fd\"; ln -s /proc/self/fd/0 \"$1/dev/stdin\"; ln -s /proc/self/fd/1 \"$1/dev/stdout\"
        ln -s /proc/self/fd/2 \"$1/dev/stderr\"
        echo localhost > /proc/sys/kernel/hostname; exec chroot \"$@\"";
    let mut command = program("unshare");
    command.args(["--mount", "--pid", "--fork", "--net", "--ipc", "--uts", "--kill-child", "sh", "-euc", script, "sh"]);
    command.arg(root).args(configure()).env_clear().current_dir("/");
    command.envs([("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", "/root")]);
    command.envs([("LC_ALL", "C.UTF-8"), ("TERM", "dumb"), ("SYSTEMD_OFFLINE", "1")]);
    run(command.envs(SETTINGS))?;
    fs::remove_file(&policy).map_err(explain("remove policy-rc.d"))?;
    let seen = look(root)?;
    run(program("rm").arg("-rf").arg(root))?;
    Ok(seen)
}

const SETTINGS: [(&str, &str); 3] = [
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
    ("SOURCE_DATE_EPOCH", "1700000000"),
];

/// Configures in a sandbox, as the user that has that privilege.
fn in_a_sandbox(archive: &Path, root: &Path, privilege: Privilege, folder: &Path) -> Outcome<BTreeMap<String, Seen>> {
    unpack(archive, root)?;
    let user = if privilege == Privilege::Root { 0 } else { NOBODY };
    let facts = facts_of(&look(root)?)?;
    give(root, user)?;
    let ids = folder.join("ids");
    fs::write(&ids, format!("{NOBODY}:300000:65536\n")).map_err(explain("write ids"))?;
    let script = "mount --bind \"$IDS\" /etc/subuid; mount --bind \"$IDS\" /etc/subgid
        exec setpriv --reuid=\"$USER\" --regid=\"$USER\" --clear-groups \"$@\"";
    let mut command = program("unshare");
    command.args(["--mount", "sh", "-euc", script, "sh"]).arg(folder.join("tests")).arg(AGAIN);
    command.arg(root).arg(folder.join("layerforge")).arg(format!("{privilege:?}"));
    command
        .env("IDS", &ids)
        .env("USER", user.to_string())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().map_err(explain("run the tests again"))?;
    let mut input = child.stdin.take().ok_or("no input")?;
    serde_json::to_writer(&mut input, &facts).map_err(explain("write facts"))?;
    drop(input);
    let output = child.wait_with_output().map_err(explain("run the tests again"))?;
    if !output.status.success() {
        return Err(format!("{privilege:?}: {}", String::from_utf8_lossy(&output.stdout)));
    }
    let facts: Vec<Fact> = serde_json::from_slice(&output.stdout).map_err(explain("read facts"))?;
    let mut seen = look(root)?;
    for (path, seen) in &mut seen {
        let foreign = seen.uid != user || seen.gid != user || seen.capability.is_some();
        if foreign {
            return Err(format!("{path} is not the caller's: {seen:?}"));
        }
        (seen.uid, seen.gid) = (0, 0);
    }
    for fact in facts {
        let path = format!("/{}", String::from_utf8_lossy(fact.path.as_bytes()));
        let seen = seen.get_mut(&path).ok_or_else(|| format!("there is a fact of {path}, which is not there"))?;
        seen.take(&fact);
    }
    Ok(seen)
}

/// What the tests do when they are started again: reads facts from the input, runs dpkg in a sandbox, writes facts.
pub(crate) fn run_as_told(arguments: &[String]) -> Outcome {
    let [root, layerforge, privilege] = arguments else { return Err("three arguments".into()) };
    let privilege = match privilege.as_str() {
        "Root" => Privilege::Root,
        "Subordinate" => Privilege::Subordinate,
        _ => Privilege::Single,
    };
    let facts: Vec<Fact> = serde_json::from_reader(std::io::stdin()).map_err(explain("read facts"))?;
    let [dpkg, arguments @ ..] = configure();
    let mut command = sandbox::Command::new(dpkg).arguments(arguments);
    for (name, value) in SETTINGS {
        command = command.environment(name, value);
    }
    let sandbox = Sandbox::new(root).program(layerforge).privilege(privilege).facts(facts);
    let start = std::time::Instant::now();
    let ran = sandbox.run_well(&command).map_err(explain("configure"))?;
    if std::env::var_os("LAYERFORGE_TIMES").is_some() {
        use std::io::Write as _;
        writeln!(std::io::stderr(), "{privilege:?}: {:?}", start.elapsed()).map_err(explain("tell"))?;
    }
    serde_json::to_writer(std::io::stdout(), &ran.facts).map_err(explain("write facts"))
}

pub(super) fn unpack(archive: &Path, root: &Path) -> Outcome {
    fs::create_dir(root).map_err(explain("make a root"))?;
    let mut command = program("tar");
    command.args([
        "--extract",
        "--numeric-owner",
        "--same-owner",
        "--same-permissions",
        "--xattrs",
        "--xattrs-include=*",
    ]);
    run(command.arg("--directory").arg(root).arg("--file").arg(archive)).map(drop)
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) kind: char,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    device: Option<(u32, u32)>,
    pub(super) content: String,
    capability: Option<Vec<u8>>,
}

impl Seen {
    /// Gives it to other users and groups, by their numbers.
    pub(super) fn give(&mut self, users: &BTreeMap<u32, u32>, groups: &BTreeMap<u32, u32>) {
        self.uid = *users.get(&self.uid).unwrap_or(&self.uid);
        self.gid = *groups.get(&self.gid).unwrap_or(&self.gid);
    }

    fn take(&mut self, fact: &Fact) {
        (self.uid, self.gid) = (fact.uid, fact.gid);
        if self.kind != 'l' {
            self.mode = u32::from(fact.mode);
        }
        if let Some(device) = fact.device {
            self.kind = if device.block { 'b' } else { 'c' };
            self.device = Some((device.major, device.minor));
            self.content = String::new();
        }
        self.capability = fact.xattrs.get("security.capability").cloned();
    }
}

pub(super) fn look(root: &Path) -> Outcome<BTreeMap<String, Seen>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(explain(format!("list {}", folder.display())))? {
            let path = entry.map_err(explain("list"))?.path();
            let seen = look_at(&path)?;
            if seen.kind == 'd' {
                folders.push(path.clone());
            }
            let name = path.strip_prefix(root).map_err(explain("name a path"))?;
            found.insert(format!("/{}", name.display()), seen);
        }
    }
    Ok(found)
}

fn look_at(path: &Path) -> Outcome<Seen> {
    let explained = || explain(format!("look at {}", path.display()));
    let status = fs::symlink_metadata(path).map_err(explained())?;
    let kind = status.file_type();
    let (letter, content) = if kind.is_dir() {
        ('d', String::new())
    } else if kind.is_symlink() {
        ('l', fs::read_link(path).map_err(explained())?.display().to_string())
    } else if kind.is_file() {
        ('f', layerforge::digest::Digest::of(&fs::read(path).map_err(explained())?).to_string())
    } else if kind.is_char_device() {
        ('c', String::new())
    } else if kind.is_block_device() {
        ('b', String::new())
    } else {
        ('p', String::new())
    };
    let device =
        matches!(letter, 'c' | 'b').then(|| (rustix::fs::major(status.rdev()), rustix::fs::minor(status.rdev())));
    let mut value = [0; 64];
    let capability = match rustix::fs::lgetxattr(path, "security.capability", &mut value) {
        Ok(length) => Some(value[..length].to_vec()),
        Err(_) => None,
    };
    let (uid, gid, mode) = (status.uid(), status.gid(), status.mode() & 0o7777);
    Ok(Seen { kind: letter, mode, uid, gid, device, content, capability })
}

/// Returns what an unprivileged user could not unpack.
fn facts_of(seen: &BTreeMap<String, Seen>) -> Outcome<Vec<Fact>> {
    let special = seen
        .iter()
        .filter(|(_, seen)| seen.uid != 0 || seen.gid != 0 || seen.device.is_some() || seen.capability.is_some());
    let facts = special.map(|(path, seen)| {
        let device = seen.device.map(|(major, minor)| Device { block: seen.kind == 'b', major, minor });
        let path = TreePath::from_absolute(Path::new(path).as_os_str().as_bytes()).map_err(explain("name a path"))?;
        let capability = seen.capability.iter().map(|value| ("security.capability".to_owned(), value.clone()));
        let mode = u16::try_from(seen.mode).map_err(explain("know a mode"))?;
        Ok(Fact { path, mode, uid: seen.uid, gid: seen.gid, device, xattrs: capability.collect() })
    });
    facts.collect()
}

/// Makes of a root what `user` would have unpacked.
fn give(root: &Path, user: u32) -> Outcome {
    let all = look(root)?;
    for (path, seen) in all.iter().chain([(&"/".to_owned(), &look_at(root)?)]) {
        let path: PathBuf = root.join(path.trim_start_matches('/'));
        if seen.device.is_some() {
            fs::remove_file(&path).map_err(explain("remove a device"))?;
            continue;
        }
        lchown(&path, Some(user), Some(user)).map_err(explain("give a root away"))?;
        if seen.kind != 'l' {
            fs::set_permissions(&path, Permissions::from_mode(seen.mode)).map_err(explain("give a root away"))?;
        }
    }
    Ok(())
}
