//! Maintainer scripts, in the order in which dpkg runs them for a new system.
//!
//! Comes in: a tree whose packages are unpacked. Goes out: the tree when all are set up. Always holds: everything runs in one
//! sandbox, without network and services; what scripts ask of people is answered by the set, or by its packages.
//!
//! First `preinst install` of every package that has one, `base-passwd` before all others, for it makes the accounts; then
//! answers are given to debconf; then one `dpkg --configure -a`, which knows order, cycles and triggers itself. An initramfs
//! is made once, at the end: while packages are set up, whoever asks for one is told that it was made.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::accounts;
use super::{PackageMaker, PackageSet, PackagesError, disk};
use crate::fs;
use crate::packages::apt::archive::Unpacked;
use crate::packages::apt::control;
use crate::packages::apt::relation::Relations;
use crate::sandbox::{Command, Sandbox};
use crate::tree::{Kind, Meta, Node, Tree, TreePath};

/// What comes before all other packages, in this order.
const FIRST: [&str; 5] = ["base-passwd", "base-files", "libc6", "dpkg", "dash"];

/// The beginning of the script that does everything.
const PREINST: &str = r#"set -e
export DPKG_ADMINDIR=/var/lib/dpkg DPKG_ROOT= DPKG_MAINTSCRIPT_NAME=preinst DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1
preinst() {
    echo "preinst of $1 ..."
    DPKG_MAINTSCRIPT_PACKAGE=$1 DPKG_MAINTSCRIPT_ARCH=$2 "/var/lib/dpkg/info/$3.preinst" install || {
        echo "the preinst of $1 failed with exit code $?" >&2
        exit 1
    }
}
"#;

/// The rest of it.
const CONFIGURE: &str = r#"
unset DPKG_ADMINDIR DPKG_ROOT DPKG_MAINTSCRIPT_NAME DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT DPKG_RUNNING_VERSION
update=/usr/sbin/update-initramfs
if [ -x "$update" ]; then
    mv "$update" "$update.real"
    printf '#!/bin/sh\nexit 0\n' > "$update"
    chmod 0755 "$update"
fi
dpkg --configure -a --abort-after=1 $force
if [ -x "$update.real" ]; then
    mv -f "$update.real" "$update"
fi
"#;

/// Makes the initramfs that was put off.
const INITRAMFS: &str = r#"
if [ -x /usr/sbin/update-initramfs ]; then
    update=/usr/sbin/update-initramfs
    for modules in /lib/modules/*; do
        if [ -e "$modules/modules.dep" ]; then
            "$update" -c -k "${modules##*/}"
        fi
    done
fi
"#;

/// A tree whose packages are set up.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) tree: Tree,
    /// What the scripts wrote.
    pub(super) log: String,
    /// The folder that contents of the tree are in.
    pub(super) folder: Folder,
    /// The packages with scripts that failed and that the package manager goes on after.
    pub(super) failed: BTreeSet<String>,
}

/// A folder that a root is in. It goes away with the value.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The root is not the folder itself, which nobody else may enter: people inside are other people.
    fn root(&self) -> PathBuf {
        self.path.join("root")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed now is tried again by a later run.
        fs::remove_tree(&self.path).ok();
    }
}

/// Runs the scripts of all packages.
pub(super) fn run(
    maker: &PackageMaker<'_>,
    set: &PackageSet,
    tree: &Tree,
    packages: &[Unpacked],
) -> Result<Ran, PackagesError> {
    let first = || super::unpack::has_scripts(packages).map(name_of).transpose().map(Option::unwrap_or_default);
    let is_dpkg = |package: &Unpacked| name_of(package).is_ok_and(|name| name == "dpkg");
    match &set.host {
        Some(host) if host.tree.lookup(&"/usr/bin/dpkg".parse()?).is_none() => {
            return Err(PackagesError::NoDpkgOnHost { package: first()? });
        }
        None if !packages.iter().any(is_dpkg) => return Err(PackagesError::NoDpkg { package: first()? }),
        _ => {}
    }
    let script = script(set, packages)?;
    let tree = with_shell(tree, set.epoch)?;
    let command = Command::new("/bin/sh").arguments(["-c", &script, "sh"]);
    let debconf =
        [("DEBIAN_FRONTEND", "noninteractive"), ("DEBCONF_NONINTERACTIVE_SEEN", "true"), ("DEBCONF_NOWARNINGS", "yes")];
    let command = debconf.into_iter().fold(command, |command, (name, value)| command.environment(name, value));
    execute(maker, set, &tree, command)
}

/// Runs every `preinst` of packages, and nothing else.
pub(super) fn preinst(
    maker: &PackageMaker<'_>,
    set: &PackageSet,
    tree: &Tree,
    packages: &[Unpacked],
) -> Result<Ran, PackagesError> {
    let script = first_scripts(set, packages)?;
    execute(maker, set, &with_shell(tree, set.epoch)?, Command::new("/bin/sh").arguments(["-c", &script, "sh"]))
}

/// Runs a command in a sandbox whose root is a tree.
pub(super) fn execute(
    maker: &PackageMaker<'_>,
    set: &PackageSet,
    tree: &Tree,
    command: Command,
) -> Result<Ran, PackagesError> {
    for root in maker.store.abandoned_roots()? {
        // Another run may be removing it as well; what cannot be removed hurts nobody.
        sandbox(maker, &root.join("root")).take_back().ok();
        fs::remove_tree(&root).ok();
    }
    let folder = Folder { path: maker.store.new_root()? };
    let root = folder.root();
    let written = disk::write(tree, &root)?;
    let sandbox = sandbox(maker, &root).facts(disk::facts(tree));
    let command = environment(set).into_iter().fold(command, |command, (name, value)| command.environment(name, value));
    let ran = match sandbox.run_well(&command) {
        Ok(ran) => ran,
        Err(error) => {
            // What was killed may belong to others; this is about removing it, and the first error is the one to report.
            sandbox.take_back().ok();
            return Err(error.into());
        }
    };
    let tree = disk::read(&root, (tree, &written), &ran.facts, set.epoch)?;
    Ok(Ran { tree, log: ran.log.text(), folder, failed: BTreeSet::new() })
}

fn sandbox(maker: &PackageMaker<'_>, root: &Path) -> Sandbox {
    let mut sandbox = Sandbox::new(root);
    if let Some(program) = &maker.program {
        sandbox = sandbox.program(program);
    }
    if let Some(privilege) = maker.privilege {
        sandbox = sandbox.privilege(privilege);
    }
    sandbox
}

/// What scripts know from the environment. What follows the names of variables keeps hash tables in one order.
fn environment(set: &PackageSet) -> [(&'static str, String); 3] {
    [
        ("SOURCE_DATE_EPOCH", set.epoch.max(0).to_string()),
        ("PERL_HASH_SEED", "0".into()),
        ("PYTHONHASHSEED", "0".into()),
    ]
}

/// Puts a shell there where the package of the shell leaves that to its scripts.
fn with_shell(tree: &Tree, epoch: i64) -> Result<Tree, PackagesError> {
    let mut tree = tree.clone();
    let (shell, dash) = (TreePath::from_absolute(b"/bin/sh")?, TreePath::from_absolute(b"/bin/dash")?);
    if tree.lookup(&shell).is_none()
        && let Some(real) = tree.follow(&dash)
        && let Some(folder) = real.parent()
    {
        let node = Node { kind: Kind::Symlink((*b"dash").into()), meta: Meta::root_owned(0o777, epoch) };
        tree.insert(folder.join(b"sh")?, node)?;
    }
    Ok(tree)
}

fn name_of(package: &Unpacked) -> Result<String, PackagesError> {
    Ok(String::from_utf8_lossy(control_of(package)?.get("Package").unwrap_or_default()).into_owned())
}

fn control_of(package: &Unpacked) -> Result<control::Stanza<'_>, PackagesError> {
    let bytes = package.control_file("control").map_or(&b""[..], |file| &file.bytes);
    Ok(control::single("control", bytes)?)
}

/// Returns the script that does everything. Names of packages were judged when the database was made.
fn script(set: &PackageSet, packages: &[Unpacked]) -> Result<String, PackagesError> {
    // What a host boots from is its own.
    let initramfs = if set.host.is_some() { "" } else { INITRAMFS };
    // Somebody wants nothing of what packages depend on.
    let force = if set.settings.only { "force=--force-depends\n" } else { "force=\n" };
    Ok([&*first_scripts(set, packages)?, &users(set)?, &answers(set)?, force, CONFIGURE, initramfs].concat())
}

/// Returns the script that runs every `preinst`.
fn first_scripts(set: &PackageSet, packages: &[Unpacked]) -> Result<String, PackagesError> {
    let mut script = String::from(PREINST);
    let order = order(packages)?;
    let dpkg = order.iter().find(|member| member.name == "dpkg").map(|member| member.version.as_str());
    let on_host = set.host.as_ref().and_then(|host| host.installed.versions().get("dpkg"));
    if let Some(version) = dpkg.or(on_host.map(String::as_str)) {
        // Writing to a string cannot fail.
        let _ = writeln!(script, "export DPKG_RUNNING_VERSION={}", version.split('-').next().unwrap_or_default());
    }
    for Member { name, architecture, file_name, .. } in order.iter().filter(|member| member.has_preinst) {
        let _ = writeln!(script, "preinst {name} {architecture} {file_name}");
    }
    Ok(script)
}

/// Returns the commands that make the users and groups of the profile; nothing where it has none.
fn users(set: &PackageSet) -> Result<String, PackagesError> {
    const END: &str = "END-OF-ACCOUNTS";
    let (passwd, group) = accounts::lines(set)?;
    let add = |file: &str, lines: &str| match lines {
        "" => String::new(),
        lines => format!("cat >> /etc/{file} <<'{END}'\n{lines}{END}\n"),
    };
    Ok(add("group", &group) + &add("passwd", &passwd))
}

/// Returns the commands that answer what packages ask; nothing where nobody is asked for anything.
fn answers(set: &PackageSet) -> Result<String, PackagesError> {
    const END: &str = "END-OF-ANSWERS";
    let mut lines = String::new();
    for (question, answer) in &set.settings.answers {
        let fault = |reason| PackagesError::Answer { question: question.clone(), reason };
        if [question, &answer.package, &answer.kind]
            .iter()
            .any(|word| word.is_empty() || word.contains(char::is_whitespace))
        {
            return Err(fault("package, question and type are single words"));
        }
        if answer.value.contains(['\n', '\r']) {
            return Err(fault("it has more than one line"));
        }
        let _ = writeln!(lines, "{} {question} {} {}", answer.package, answer.kind, answer.value);
    }
    if lines.is_empty() {
        return Ok(lines);
    }
    Ok(format!("if [ -x /usr/bin/debconf-set-selections ]; then\ndebconf-set-selections <<'{END}'\n{lines}{END}\nfi\n"))
}

/// A package, as far as the order of scripts depends on it.
struct Member {
    name: String,
    version: String,
    architecture: String,
    file_name: String,
    has_preinst: bool,
    needs: Vec<String>,
    provides: Vec<String>,
}

impl Member {
    fn of(package: &Unpacked) -> Result<Self, PackagesError> {
        let control = control_of(package)?;
        let text = |name: &str| String::from_utf8_lossy(control.get(name).unwrap_or_default()).into_owned();
        let names = |fields: &[&str]| {
            let fields = fields.iter().filter_map(|field| control.get(field));
            let alternatives = fields.flat_map(|value| Relations::new(value).filter_map(Result::ok));
            alternatives.map(|one| String::from_utf8_lossy(one.name).into_owned()).collect()
        };
        let (name, architecture) = (text("Package"), text("Architecture"));
        let same = text("Multi-Arch") == "same";
        Ok(Self {
            file_name: if same { format!("{name}:{architecture}") } else { name.clone() },
            version: text("Version"),
            has_preinst: package.control_file("preinst").is_some(),
            needs: names(&["Pre-Depends", "Depends"]),
            provides: names(&["Provides"]),
            name,
            architecture,
        })
    }
}

/// Returns the packages in an order in which a package comes after those that it needs, as far as they do not need each other.
fn order(packages: &[Unpacked]) -> Result<Vec<Member>, PackagesError> {
    let mut members: BTreeMap<String, Member> = BTreeMap::new();
    for package in packages {
        let member = Member::of(package)?;
        members.insert(member.name.clone(), member);
    }
    let mut providers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for member in members.values() {
        for name in member.provides.iter().chain([&member.name]) {
            providers.entry(name).or_default().push(&member.name);
        }
    }
    let mut sorted: Vec<&str> = Vec::new();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    // What is still to do, and not by recursion: chains are long.
    let mut left: Vec<(&str, bool)> = members.keys().rev().map(|name| (name.as_str(), false)).collect();
    left.extend(FIRST.iter().rev().filter(|name| members.contains_key(**name)).map(|name| (*name, true)));
    while let Some((name, done)) = left.pop() {
        if done {
            if !sorted.contains(&name) {
                seen.insert(name);
                sorted.push(name);
            }
            continue;
        }
        if !seen.insert(name) {
            continue;
        }
        left.push((name, true));
        let needed = members[name].needs.iter().filter_map(|needed| providers.get(needed.as_str()));
        left.extend(needed.flatten().rev().map(|needed| (*needed, false)));
    }
    let names: Vec<String> = sorted.into_iter().map(str::to_owned).collect();
    drop(providers);
    Ok(names.iter().filter_map(|name| members.remove(name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::apt::archive::ControlFile;

    fn package(control: &str) -> Unpacked {
        let file = |name: &str, text: &str| ControlFile {
            name: name.into(),
            mode: 0o755,
            mtime: 0,
            bytes: text.as_bytes().to_vec(),
        };
        Unpacked { control: vec![file("control", control), file("preinst", "#!/bin/sh\n")], entries: Vec::new() }
    }

    #[test]
    fn what_is_needed_comes_first_and_circles_end() {
        let packages = [
            package("Package: a\nVersion: 1\nArchitecture: all\nDepends: c | nothing, virtual\n"),
            package("Package: b\nVersion: 1\nArchitecture: all\nProvides: virtual\nDepends: a\n"),
            package("Package: c\nVersion: 1\nArchitecture: all\n"),
            package("Package: dpkg\nVersion: 1.22.21-1\nArchitecture: amd64\nDepends: c\n"),
            package("Package: libc6\nVersion: 1\nArchitecture: amd64\nMulti-Arch: same\n"),
        ];
        let names: Vec<String> = order(&packages).unwrap().into_iter().map(|member| member.file_name).collect();
        assert_eq!(names, ["libc6:amd64", "dpkg", "c", "b", "a"]);
    }
}
