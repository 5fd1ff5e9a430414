//! Extensions that carry packages: chosen over a host, merged on one.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::site::contains;
use crate::Outcome;
use crate::command::{explain, program, run, run_refused};
use crate::machine::tree::DEBIAN_13;
use crate::world::World;

/// A project with a folder of packages, and with a cache folder of its own.
struct Project {
    folder: PathBuf,
}

/// The package with the program, what it needs of other packages, and what its script does.
const GREETER: &str = "Depends: greeting, dash\n";
const PROGRAM: &str = "#!/bin/sh\ncat /usr/share/greeting/note\n";
const SCRIPT: &str = "#!/bin/sh\nset -e\necho 'made by its script' >/usr/share/greeter/made\n\
                      update-alternatives --install /usr/bin/greet greet /usr/bin/greeter 10\n";

/// What is asked of an extension with the packages, whose image has this name, once it is merged.
fn greets(name: &str) -> String {
    format!(
        r#"mkdir -p /var/lib/extensions
cp -a /images/{name}.raw /var/lib/extensions/
test ! -e /usr/bin/greeter
systemd-sysext merge
greeter | grep -x 'note of greeting'
greet | grep -x 'note of greeting'
grep -x 'made by its script' /usr/share/greeter/made
timeout 60 sh -c 'until grep -x words /etc/greeter/words; do sleep 0.1; done'
# The host knows nothing of them, and is well.
refused dpkg-query --status greeter
test -z "$(dpkg --audit)"
dpkg --verify base-files dash
test ! -e /var/lib/dpkg/info/greeter.list
grep '"pkg:deb/debian/greeter@1?arch=all' /usr/share/sbom/{name}.spdx.json
refused grep 'pkg:deb/debian/dash' /usr/share/sbom/{name}.spdx.json
systemd-sysext unmerge
test ! -e /usr/bin/greeter
rm -r /var/lib/extensions/{name}.raw /etc/greeter
"#
    )
}

/// What is asked of an extension whose host has one of the packages.
fn greets_with_a_note_of_the_host(name: &str) -> String {
    format!(
        r#"mkdir -p /var/lib/extensions /usr/share/greeting
cp -a /images/{name}.raw /var/lib/extensions/
echo 'note of the host' >/usr/share/greeting/note
systemd-sysext merge
greeter | grep -x 'note of the host'
systemd-sysext unmerge
rm -r /var/lib/extensions/{name}.raw /usr/share/greeting
"#
    )
}

impl Project {
    fn new(folder: PathBuf) -> Outcome<Self> {
        for name in ["profiles", "packages", "package"] {
            fs::create_dir_all(folder.join(name)).map_err(explain("make a project"))?;
        }
        let this = Self { folder };
        let words = ("etc/greeter/words", "words\n", 0o644);
        let keep = ("usr/share/greeter/keep", "", 0o644);
        let program = ("usr/bin/greeter", PROGRAM, 0o755);
        let script = ("DEBIAN/postinst", SCRIPT, 0o755);
        let configured = ("DEBIAN/conffiles", "/etc/greeter/words\n", 0o644);
        this.package("greeter", "1", GREETER, &[words, keep, program, script, configured])?;
        this.package("greeting", "1", "", &[("usr/share/greeting/note", "note of greeting\n", 0o644)])?;
        this.package("newer", "1", "Depends: base-files (>= 99)\n", &[])?;
        this.package("base-files", "99", "", &[])?;
        this.package("thief", "1", "", &[("usr/bin/dash", "mine\n", 0o755)])?;
        Ok(this)
    }

    /// Builds a package of these files.
    fn package(&self, name: &str, version: &str, fields: &str, files: &[(&str, &str, u32)]) -> Outcome {
        let tree = self.folder.join("package").join(name);
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\n\
             {fields}Description: a package of the tests\n"
        );
        for (path, text, mode) in files.iter().chain([&("DEBIAN/control", control.as_str(), 0o644)]) {
            let place = tree.join(path);
            fs::create_dir_all(place.parent().unwrap_or(&tree)).map_err(explain("make a package"))?;
            fs::write(&place, text).map_err(explain("write a file of a package"))?;
            fs::set_permissions(&place, Permissions::from_mode(*mode)).map_err(explain("set a mode"))?;
        }
        let target = self.folder.join(format!("packages/{name}_{version}_all.deb"));
        run(program("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&tree).arg(target)).map(drop)
    }

    /// Writes a profile that takes packages from the folder alone.
    fn write(&self, name: &str, more: &str) -> Outcome {
        let text = format!(
            "[distro.debian]\nrelease = 'trixie'\n[distro.debian.source.debian]\nwhen = 'false'\n\
             [distro.debian.source.debian-security]\nwhen = 'false'\n[source.own]\ndirectory = 'packages'\n{more}"
        );
        fs::write(self.folder.join(format!("profiles/{name}.toml")), text).map_err(explain("write a profile"))
    }

    fn layerforge(&self, arguments: &[&str]) -> Command {
        let mut command = program(env!("CARGO_BIN_EXE_layerforge"));
        command.current_dir(&self.folder).args(arguments);
        command.env("LAYERFORGE_STORE", self.folder.join("store")).env("XDG_CONFIG_HOME", self.folder.join("config"));
        command
    }

    /// Renders a profile that was written, and returns the image.
    fn render(&self, name: &str, arguments: &[&str]) -> Outcome<PathBuf> {
        run(self.layerforge(&["render", name, "--dest", name]).args(arguments))?;
        Ok(self.folder.join(name).join(format!("sysext/{name}.raw")))
    }

    fn has(&self, image: &Path, path: &str) -> Outcome<bool> {
        let manifest = image.with_file_name("../sysext.manifest.json");
        let text = fs::read_to_string(&manifest).map_err(explain("read a manifest"))?;
        Ok(text.contains(&format!("\"{path}\"")))
    }
}

/// Packages are chosen over a host, unpacked and set up, and run on it when they are merged; what would change the host is
/// refused.
pub(super) fn carry_packages(world: &World) -> Outcome {
    let tree = world.tree(&DEBIAN_13)?;
    let project = Project::new(world.folder("added")?)?;
    let archive = project.folder.join("host.tar");
    run(program("tar").arg("--create").arg("--file").arg(&archive).arg("--directory").arg(tree.root()).arg("."))?;

    let output = |over: &str| {
        format!("[output.sysext]\npackages = 'bundled'\nsystemd = 257\nscanners = true\nsbom = ['cyclonedx']\n{over}\n")
    };
    project.write("over-tree", &format!("[package.greeter]\n{}", output("over.path = 'host.tar'")))?;
    let over_tree = project.render("over-tree", &[])?;
    for (path, there) in [("/usr/bin/greeter", true), ("/usr/share/greeting/note", true), ("/usr/bin/dash", false)] {
        if project.has(&over_tree, path)? != there {
            return Err(format!("{path} is in the image: {}", !there));
        }
    }
    let list = fs::read_to_string(project.folder.join("over-tree/sysext.cdx.json")).map_err(explain("read a list"))?;
    contains(&list, "pkg:deb/debian/greeting@1?arch=all&distro=debian-13")?;
    project.render("over-tree", &["--locked"])?;

    // What is known of it is told.
    let plan = run(&mut project.layerforge(&["plan", "over-tree"]))?;
    contains(&plan, "sysext over the tree of `host.tar`: adds 2 packages: greeter 1, greeting 1\n")?;
    let why = run(&mut project.layerforge(&["why-package", "greeting", "over-tree"]))?;
    contains(&why, "greeting 1 (own): greeter depends on greeting\n")?;

    // Another host is another extension.
    let note = project.folder.join("note");
    fs::write(&note, "another host\n").map_err(explain("write a note"))?;
    run(program("tar")
        .arg("--append")
        .arg("--file")
        .arg(&archive)
        .arg("--directory")
        .arg(&project.folder)
        .arg("note"))?;
    let told = run_refused(&mut project.layerforge(&["render", "over-tree", "--dest", "again", "--locked"]))?;
    contains(&told, "over-tree.lock` is stale: host of the extension of debian: ")?;

    // A host of a few packages, one of which the extension needs.
    let skipped = "[packages]\nvariant = 'none'\nscripts = 'skip'\n[package.greeter]\n";
    project.package("dash", "1", "", &[])?;
    project.write("over-packages", &format!("{skipped}{}", output("over.packages = ['greeting', 'dash']")))?;
    let over_packages = project.render("over-packages", &[])?;
    if !project.has(&over_packages, "/usr/bin/greeter")? || project.has(&over_packages, "/usr/share/greeting/note")? {
        return Err("the extension has what its host has".into());
    }

    // What would change the host is refused, and says what.
    let script = "dpkg-query --admindir \"$0/var/lib/dpkg\" --show --showformat '${Version}' base-files";
    let there = run(program("sh").args(["-euc", script]).arg(tree.root()))?;
    project.write("upgrade", &format!("[package.newer]\n{}", output("over.path = 'host.tar'")))?;
    let told = run_refused(&mut project.layerforge(&["render", "upgrade"]))?;
    contains(
        &told,
        &format!(
            "for debian, the extension would change packages of its host, which it cannot:\n  `base-files` is {there} there, \
             and would become 99: newer 1 depends on base-files >= 99\n"
        ),
    )?;
    project.write("theft", &format!("[package.thief]\n{}", output("over.path = 'host.tar'")))?;
    let told = run_refused(&mut project.layerforge(&["render", "theft"]))?;
    contains(&told, "the package `thief` has `/usr/bin/dash`, which is of `dash` on its host, and may not replace it")?;

    // What could be newer is told.
    project.package("greeting", "2", "", &[])?;
    let outdated = run(&mut project.layerforge(&["outdated", "over-tree"]))?;
    if outdated.split_whitespace().collect::<Vec<_>>() != ["debian", "greeting", "1", "2"] {
        return Err(format!("outdated tells:\n{outdated}"));
    }

    world
        .machine("added", &tree)?
        .with(&over_tree, "/images/over-tree.raw")?
        .with(&over_packages, "/images/over-packages.raw")?
        .script("tree", &greets("over-tree"))?
        .script("packages", &greets_with_a_note_of_the_host("over-packages"))?
        .run_in_container()
        .map(drop)
}
