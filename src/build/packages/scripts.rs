//! Maintainer scripts, in the order in which dpkg runs them for a new system.
//!
//! Comes in: a tree whose packages are unpacked. Goes out: the tree when all are set up. Always holds: everything runs in one
//! sandbox, without network and services; what scripts ask of people is answered by the set, or by its packages.
//!
//! First `preinst install` of every package that has one, `base-passwd` before all others, for it makes the accounts; then
//! answers are given to debconf; then one `dpkg --configure -a`, which knows order, cycles and triggers itself. An initramfs
//! is made once, at the end: while packages are set up, whoever asks for one is told that it was made.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::needs::Members;
use super::{PackageMaker, PackageSet, PackagesError, disk};
use super::{accounts, dpkg};
use crate::fs;
use crate::packages::apt::archive::Unpacked;
use crate::packages::apt::control::{Reader, Stanza};
use crate::packages::apt::database::Diversion;
use crate::sandbox::{Command, Sandbox};
use crate::tree::{Kind, Meta, Node, Tree, TreePath};

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

/// What is to be set up in a tree.
#[derive(Debug)]
pub(super) struct Todo<'run> {
    /// Packages that are unpacked.
    pub(super) packages: Vec<&'run Unpacked>,
    /// Diversions that are carried out, and that dpkg does not know of.
    pub(super) diversions: Vec<Diversion>,
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

/// Runs the scripts of packages that are unpacked in a tree and not set up yet.
pub(super) fn run(
    maker: &PackageMaker<'_>,
    set: &PackageSet,
    tree: &Tree,
    todo: &Todo<'_>,
) -> Result<Ran, PackagesError> {
    if tree.lookup(&"/usr/bin/dpkg".parse()?).is_none() {
        let with_scripts = todo.packages.iter().copied().filter(|package| super::unpack::has_scripts(package));
        let members = Members::of(with_scripts)?;
        let package = members.all().first().map(|member| member.name.clone()).unwrap_or_default();
        return Err(match set.host {
            Some(_) => PackagesError::NoDpkgOnHost { package },
            None => PackagesError::NoDpkg { package },
        });
    }
    let script = script(set, tree, todo)?;
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
    let packages: Vec<&Unpacked> = packages.iter().collect();
    let script = first_scripts(tree, &packages)?;
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

/// Returns the script that does everything. Names of packages were judged when the database was made.
fn script(set: &PackageSet, tree: &Tree, todo: &Todo<'_>) -> Result<String, PackagesError> {
    // What a host boots from is its own.
    let initramfs = if set.host.is_some() { "" } else { INITRAMFS };
    // Somebody wants nothing of what packages depend on.
    let force = if set.settings.only { "force=--force-depends\n" } else { "force=\n" };
    let preinsts = first_scripts(tree, &todo.packages)?;
    let diversions = diversions(&todo.diversions);
    Ok([&*diversions, &preinsts, &users(set)?, &answers(set)?, force, CONFIGURE, initramfs].concat())
}

/// Returns the commands that tell dpkg of diversions.
fn diversions(diversions: &[Diversion]) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let command = |Diversion { path, to, package }: &Diversion| {
        let whose = package.as_ref().map_or("--local".to_owned(), |name| format!("--package {}", quoted(name)));
        let (path, to) = (quoted(&path.to_string()), quoted(&to.to_string()));
        format!("dpkg-divert --quiet {whose} --add --no-rename --divert {to} {path} || exit 1\n")
    };
    diversions.iter().map(command).collect()
}

/// Returns the script that runs every `preinst`.
fn first_scripts(tree: &Tree, packages: &[&Unpacked]) -> Result<String, PackagesError> {
    let mut script = String::from(PREINST);
    if let Some(version) = running_version(tree)? {
        // Writing to a string cannot fail.
        let _ = writeln!(script, "export DPKG_RUNNING_VERSION={}", version.split('-').next().unwrap_or_default());
    }
    let members = Members::of(packages.iter().copied())?;
    for member in members.order().into_iter().filter(|member| member.unpacked.control_file("preinst").is_some()) {
        let _ = writeln!(script, "preinst {} {} {}", member.name, member.architecture, member.file_name);
    }
    Ok(script)
}

/// Returns the version of dpkg in a tree.
fn running_version(tree: &Tree) -> Result<Option<String>, PackagesError> {
    let status = dpkg::read(tree, "status")?;
    let (mut reader, mut stanza) = (Reader::new("status", &status), Stanza::default());
    while reader.next(&mut stanza)? {
        if stanza.get("Package") == Some(b"dpkg") {
            return Ok(stanza.get("Version").map(|version| String::from_utf8_lossy(version).into_owned()));
        }
    }
    Ok(None)
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
