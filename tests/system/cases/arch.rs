//! Profiles for Arch, from a signed repository to a tree, in the eyes of pacman.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::pacman::{compare_descriptions, listing};
use super::repositories::{Project, remove};
use super::sandbox::{Seen, look};
use crate::command::{explain, program, run, run_refused};
use crate::makepkg::Repository;
use crate::repository::Server;
use crate::world::World;
use crate::{Outcome, say};

/// A system with everything that packages of Arch do: accounts by scripts and by `sysusers.d`, owners, hooks for paths and
/// packages, one that an administrator has masked, a script that fails, what is provided and what is a group.
const PKGBUILD: &str = r#"
pkgbase=system
pkgname=(filesystem base busybox libkeep keeper notes fragile extra)
pkgver=1.0
pkgrel=1
arch=(any)
license=(MIT 'GPL-2.0-or-later')
url=https://example.org
options=(!strip !debug)
package_filesystem() {
    backup=(etc/passwd etc/group etc/shadow)
    install -d -m755 "$pkgdir"/{etc/pacman.d/hooks,usr/{bin,lib,share},var/lib}
    install -d -m1777 "$pkgdir"/{tmp,var/tmp}
    install -d -m750 "$pkgdir/root"
    local link
    for link in bin:usr/bin sbin:usr/bin lib:usr/lib lib64:usr/lib usr/sbin:bin usr/lib64:lib etc/os-release:../usr/lib/os-release \
        etc/pacman.d/hooks/50-masked.hook:/dev/null; do
        ln -s "${link#*:}" "$pkgdir/${link%%:*}"
    done
    echo 'ID=arch' > "$pkgdir/usr/lib/os-release"
    echo 'root:x:0:0::/root:/usr/bin/bash' > "$pkgdir/etc/passwd"
    echo 'root:x:0:root' > "$pkgdir/etc/group"
    install -m600 /dev/stdin "$pkgdir/etc/shadow" <<< 'root:*:20833::::::'
}
package_base() {
    depends=(filesystem sh)
}
package_busybox() {
    provides=(sh bash)
    install -Dm755 "$startdir/busybox" "$pkgdir/usr/bin/busybox"
    local name
    for name in sh cat chmod chown ln mkdir sort; do
        ln -s busybox "$pkgdir/usr/bin/$name"
    done
    install -m755 /dev/stdin "$pkgdir/usr/bin/bash" <<< $'#!/usr/bin/busybox sh\nexec /usr/bin/busybox sh "$@"'
}
package_libkeep() {
    provides=('libkeep.so=1-64')
    install -Dm755 /dev/stdin "$pkgdir/usr/lib/libkeep.so.1.2" <<< library
    ln -s libkeep.so.1.2 "$pkgdir/usr/lib/libkeep.so.1"
}
package_keeper() {
    depends=('libkeep.so=1-64' 'libkeep>=1')
    groups=(services)
    install=keeper.install
    backup=(etc/keeper.conf)
    install -Dm4755 /dev/stdin "$pkgdir/usr/bin/keeper" <<< program
    ln "$pkgdir/usr/bin/keeper" "$pkgdir/usr/bin/keep"
    install -Dm640 /dev/stdin "$pkgdir/etc/keeper.conf" <<< "a = 1"
    install -Dm644 /dev/stdin "$pkgdir/usr/lib/sysusers.d/keeper.conf" <<< 'u warden 71 "A warden" /var/empty'
    install -d -m2750 "$pkgdir/var/lib/keeper"
    chown 70:70 "$pkgdir/var/lib/keeper" "$pkgdir/etc/keeper.conf"
}
package_notes() {
    groups=(services)
    install -Dm644 /dev/stdin "$pkgdir/usr/share/notes/b.txt" <<< b
    install -Dm644 /dev/stdin "$pkgdir/usr/share/notes/a ü.txt" <<< a
    install -Dm644 "$startdir/30-notes.hook" "$startdir/40-packages.hook" "$startdir/50-masked.hook" -t \
        "$pkgdir/usr/share/libalpm/hooks"
}
package_fragile() {
    install=fragile.install
}
package_extra() {
    depends=(keeper)
    install=extra.install
    install -Dm644 /dev/stdin "$pkgdir/usr/share/extra/x" <<< x
}
"#;

const FILES: [(&str, &str); 6] = [
    (
        "keeper.install",
        "pre_install() {\n  echo 'keeper:x:70:70::/var/lib/keeper:/usr/bin/nologin' >> /etc/passwd\n  \
         echo keeper:x:70: >> /etc/group\n}\npost_install() {\n  mkdir /var/lib/keeper/state\n  chmod 0700 \
         /var/lib/keeper/state\n  echo \"$1\" > /var/lib/keeper/state/version\n  chown 70:70 /var/lib/keeper/state \
         /var/lib/keeper/state/version\n  ln -s state /var/lib/keeper/now\n}\n",
    ),
    ("fragile.install", "post_install() {\n  echo before > /var/lib/fragile\n  return 7\n}\n"),
    ("extra.install", "post_remove() {\n  echo gone\n}\n"),
    (
        "30-notes.hook",
        "[Trigger]\nType = Path\nOperation = Install\nOperation = Upgrade\nTarget = usr/share/notes/*\nTarget = \
         !usr/share/notes/b*\n[Action]\nDescription = List notes\nWhen = PostTransaction\nExec = /usr/bin/sh -c 'sort > \
         /usr/share/notes/index'\nNeedsTargets\nDepends = sh\n",
    ),
    (
        "40-packages.hook",
        "[Trigger]\nType = Package\nOperation = Install\nTarget = k*\nTarget = l*\nTarget = !libkeep\n[Action]\nWhen = \
         PostTransaction\nExec = /usr/bin/sh -c \"sort > /var/lib/packages\"\nNeedsTargets\n",
    ),
    (
        "50-masked.hook",
        "[Trigger]\nType = Package\nOperation = Install\nTarget = *\n[Action]\nWhen = PostTransaction\nExec = /usr/bin/sh -c \
         'echo masked > /masked'\n",
    ),
];

/// What installs packages.
const PACMAN: &str = r#"
pkgname=pacman
pkgver=1.0
pkgrel=1
arch=(any)
license=(MIT)
package() {
    install -Dm755 /dev/stdin "$pkgdir/usr/bin/pacman" <<< program
    install -Dm755 /dev/stdin "$pkgdir/usr/lib/libalpm.so.15" <<< library
    install -Dm644 /dev/stdin "$pkgdir/etc/pacman.conf" <<< setting
}
"#;

/// A newer version of one package, and one that is new.
const NEWER: &str = r#"
pkgname=libkeep
pkgver=1.1
pkgrel=1
arch=(any)
license=(MIT)
provides=('libkeep.so=1-64')
package() {
    install -Dm755 /dev/stdin "$pkgdir/usr/lib/libkeep.so.1.3" <<< library
}
"#;

/// The epoch of what is rendered: after that of the packages.
const EPOCH: &str = "1800000000";

/// A repository that is served, and a project with its keys.
struct Site {
    repository: Repository,
    server: Server,
    project: Project,
}

impl Site {
    fn make(world: &World, name: &str) -> Outcome<Self> {
        let folder = world.folder(name)?;
        let repository = Repository::start(folder.join("arch"))?;
        fs::copy(world.emulator()?.busybox, repository.folder.join("build/busybox"))
            .map_err(explain("copy busybox"))?;
        let files: Vec<_> = FILES.into_iter().chain([("PKGBUILD", PKGBUILD)]).collect();
        repository.add(&files, "packager")?;
        let server = Server::start(&repository.folder.join("repo"))?;
        let project = Project::new(folder.join("project"))?;
        fs::create_dir(project.folder.join("keys")).map_err(explain("make a folder"))?;
        repository.export(&project.folder.join("keys/test.gpg"), 3)?;
        Ok(Self { repository, server, project })
    }

    /// Writes the profile `web`.
    fn profile(&self, more: &str) -> Outcome {
        let text = format!(
            "[distro.arch]\n[distro.arch.source.arch]\nwhen = \"false\"\n[source.test]\nmirrors = [\"{}\"]\n\
             suites = [\"test\"]\nsigned_by = \"keys/test.gpg\"\n[package.services]\n[package.fragile]\n\
             [output.rootfs]\npackages = \"bundled\"\n[output.tar]\npackages = \"bundled\"\n\
             [packages]\ndocumentation = true\nlocales = [\"*\"]\n{more}",
            self.server.address
        );
        self.project.write("profiles/web.toml", &text)
    }

    /// Renders the profile, and returns the tree of its archive as root unpacks it, and what was said.
    fn render(&self, arguments: &[&str]) -> Outcome<(PathBuf, String)> {
        self.project.unpacked("arch", EPOCH, arguments)
    }

    /// Makes the same root with pacman.
    fn by_pacman(&self, packages: &[&str]) -> Outcome<PathBuf> {
        let other = self.project.folder.join("other");
        fs::create_dir_all(other.join("var/lib/pacman")).map_err(explain("make a folder"))?;
        self.repository.pacman(&other, &[&["-Sy"], packages].concat())?;
        Ok(other)
    }
}

/// Where the same root is different: pacman gives its database the modes of whoever runs it, and keeps what it fetched.
fn is_of_pacman(path: &str) -> bool {
    path.starts_with("/var/lib/pacman/sync") || path.starts_with("/var/lib/pacman/local/") && path.ends_with("/desc")
}

/// Returns how two roots differ.
fn differences(own: &Path, other: &Path) -> Outcome<Vec<String>> {
    let (own, other) = (look(own)?, look(other)?);
    let of_the_database = |path: &str| path.starts_with("/var/lib/pacman");
    let alike = |path: &str, one: &Seen, other: &Seen| match of_the_database(path) {
        true => (one.kind, &one.content) == (other.kind, &other.content),
        false => one == other,
    };
    let paths: BTreeMap<&String, ()> = own.keys().chain(other.keys()).map(|path| (path, ())).collect();
    let mut differences = Vec::new();
    for path in paths.into_keys().filter(|path| !is_of_pacman(path)) {
        match (own.get(path), other.get(path)) {
            (Some(one), Some(other)) if alike(path, one, other) => {}
            (one, other) => differences.push(format!("{path}\n  ours:   {one:?}\n  pacman: {other:?}")),
        }
    }
    Ok(differences)
}

/// What a profile becomes is what pacman installs; pacman finds nothing wrong with it, and goes on with it.
pub(super) fn from_profile_to_tree(world: &World) -> Outcome {
    let site = Site::make(world, "arch-tree")?;
    site.profile("")?;
    let (own, told) = site.render(&[])?;
    if !told.contains("the post_install of fragile failed with exit code 7") {
        return Err(format!("nothing is said of a script that fails:\n{told}"));
    }
    let other = site.by_pacman(&["base", "services", "fragile"])?;
    let found = differences(&own, &other)?;
    if !found.is_empty() {
        return Err(format!("pacman makes something else:\n{}", found.join("\n")));
    }
    compare_descriptions(&own, &other)?;
    let pacman = |arguments: &[&str]| site.repository.pacman(&own, arguments);
    for question in [&["-Qkk"][..], &["-Qk"], &["-Dk"]] {
        pacman(question)?;
    }
    for question in ["-Qqd", "-Qqe", "-Qqg"] {
        if pacman(&[question])? != site.repository.pacman(&other, &[question])? {
            return Err(format!("{question} is answered differently"));
        }
    }
    // One more package comes and goes.
    let before = listing(&own)?;
    pacman(&["-Sy", "extra"])?;
    pacman(&["-Qkk"])?;
    pacman(&["-R", "extra"])?;
    let after: String =
        listing(&own)?.lines().filter(|line| !line.contains("/sync")).map(|line| format!("{line}\n")).collect();
    if after != before {
        let differs = before.lines().zip(after.lines()).find(|(one, other)| one != other);
        return Err(format!("pacman left something behind: {differs:?}"));
    }
    let refused = run_refused(&mut site.repository.pacman_command(&own, &["-R", "libkeep"]))?;
    if !refused.contains("keeper") {
        return Err(format!("pacman does not know that keeper needs libkeep:\n{refused}"));
    }
    Ok(())
}

/// Without scripts there is what packages carry, and the accounts of `sysusers.d`.
pub(super) fn without_scripts(world: &World) -> Outcome {
    let site = Site::make(world, "arch-skip")?;
    site.profile("scripts = \"skip\"\n")?;
    let (own, told) = site.render(&[])?;
    let missed = "the scripts of these packages were not run, and may be missed: fragile, keeper, notes";
    if !told.contains(missed) {
        return Err(format!("it is not said which scripts are missed:\n{told}"));
    }
    let other = site.by_pacman(&["--noscriptlet", "base", "services", "fragile"])?;
    // Hooks of pacman run all the same.
    let found: Vec<String> =
        differences(&own, &other)?.iter().map(|line| line.lines().next().unwrap_or_default().to_owned()).collect();
    let expected = ["/etc/group", "/etc/passwd", "/etc/shadow", "/usr/share/notes/index", "/var/lib/packages"];
    if found != expected {
        return Err(format!("other paths differ: {found:?}"));
    }
    let passwd = fs::read_to_string(own.join("etc/passwd")).map_err(explain("read the accounts"))?;
    if !passwd.ends_with("warden:x:71:71:A warden:/var/empty:/usr/bin/nologin\n") {
        return Err(format!("`sysusers.d` is not followed:\n{passwd}"));
    }
    Ok(())
}

/// A system without pacman and shells says which packages it has.
pub(super) fn without_pacman(world: &World) -> Outcome {
    let site = Site::make(world, "arch-distroless")?;
    site.repository.add(&[("PKGBUILD", PACMAN)], "packager")?;
    let more = "[package.pacman]\n";
    site.profile(more)?;
    let (whole, _) = site.render(&[])?;
    let seen = look(&whole)?;
    site.profile(&format!("distroless = true\n{more}"))?;
    let (own, _) = site.render(&[])?;
    let without = look(&own)?;
    for (path, node) in &without {
        if seen.get(path) != Some(node) {
            return Err(format!("`{path}` is {node:?}, with pacman {:?}", seen.get(path)));
        }
    }
    let lost: Vec<&str> = seen
        .keys()
        .map(String::as_str)
        .filter(|path| !without.contains_key(*path) && !path.ends_with("/install"))
        .collect();
    let expected = [
        "/etc/pacman.conf",
        "/etc/pacman.d",
        "/etc/pacman.d/hooks",
        "/etc/pacman.d/hooks/50-masked.hook",
        "/usr/bin/bash",
        "/usr/bin/busybox",
        "/usr/bin/cat",
        "/usr/bin/chmod",
        "/usr/bin/chown",
        "/usr/bin/ln",
        "/usr/bin/mkdir",
        "/usr/bin/pacman",
        "/usr/bin/sh",
        "/usr/bin/sort",
        "/usr/lib/libalpm.so.15",
        "/usr/share/libalpm",
        "/usr/share/libalpm/hooks",
        "/usr/share/libalpm/hooks/30-notes.hook",
        "/usr/share/libalpm/hooks/40-packages.hook",
        "/usr/share/libalpm/hooks/50-masked.hook",
        "/var/lib/pacman/local/busybox-1.0-1",
        "/var/lib/pacman/local/busybox-1.0-1/desc",
        "/var/lib/pacman/local/busybox-1.0-1/files",
        "/var/lib/pacman/local/busybox-1.0-1/mtree",
        "/var/lib/pacman/local/pacman-1.0-1",
        "/var/lib/pacman/local/pacman-1.0-1/desc",
        "/var/lib/pacman/local/pacman-1.0-1/files",
        "/var/lib/pacman/local/pacman-1.0-1/mtree",
    ];
    if lost != expected {
        return Err(format!("these paths are gone: {lost:#?}"));
    }
    // Who reads the database still finds the others.
    let known = site.repository.pacman(&own, &["-Qq"])?;
    let names: Vec<&str> = known.lines().collect();
    if names == ["base", "filesystem", "fragile", "keeper", "libkeep", "notes"] {
        return Ok(());
    }
    Err(format!("the database names {names:?}"))
}

/// Where nobody signs, the database says so, as that of pacman does.
pub(super) fn without_signatures(world: &World) -> Outcome {
    let site = Site::make(world, "arch-unsigned")?;
    let text = format!(
        "[distro.arch]\n[distro.arch.source.arch]\nwhen = \"false\"\n[source.test]\nmirrors = [\"{}\"]\n\
         suites = [\"test\"]\ntrusted = true\n[package.services]\n[output.rootfs]\npackages = \"bundled\"\n\
         [output.tar]\npackages = \"bundled\"\n[packages]\ndocumentation = true\nlocales = [\"*\"]\n",
        site.server.address
    );
    site.project.write("profiles/web.toml", &text)?;
    let (own, _) = site.render(&[])?;
    let conf = site.repository.folder.join("pacman.conf");
    let signed = fs::read_to_string(&conf).map_err(explain("read pacman.conf"))?;
    let unsigned = signed.replace("SigLevel = Required TrustAll DatabaseNever", "SigLevel = Never");
    if unsigned == signed {
        return Err("pacman still asks for signatures".into());
    }
    fs::write(&conf, unsigned).map_err(explain("write pacman.conf"))?;
    let other = site.by_pacman(&["base", "services"])?;
    compare_descriptions(&own, &other)?;
    let desc = fs::read_to_string(own.join("var/lib/pacman/local/notes-1.0-1/desc")).map_err(explain("read a desc"))?;
    if desc.contains("%VALIDATION%\nsha256\n") { Ok(()) } else { Err(format!("the database says\n{desc}")) }
}

const LOCK: [&str; 4] = ["lock", "web", "--arch", "x86_64"];
const RENDER: [&str; 4] = ["render", "web", "--arch", "x86_64"];

/// A lock is kept, explained, compared with what there is, and vendored.
pub(super) fn is_locked_and_vendored(world: &World) -> Outcome {
    let site = Site::make(world, "arch-lock")?;
    let project = &site.project;
    site.profile("")?;
    project.refused(&[&LOCK[..], &["--check"]].concat(), 4, "lock")?;
    run(&mut project.layerforge(&LOCK))?;
    run(project.layerforge(&LOCK).arg("--check"))?;
    let locked = project.locked_for("arch")?;
    let names: Vec<&str> = locked.keys().map(String::as_str).collect();
    if names != ["base", "busybox", "filesystem", "fragile", "keeper", "libkeep", "notes"] {
        return Err(format!("{names:?} are locked"));
    }
    let why = run(&mut project.layerforge(&["why-package", "libkeep", "web"]))?;
    if !why.contains("libkeep 1.0-1 (test): keeper depends on libkeep") || !why.contains("asked for") {
        return Err(format!("the reason of a package is another one:\n{why}"));
    }
    site.render(&[])?;
    let first = look(&project.folder.join("own"))?;
    run(&mut project.layerforge(&["vendor", "vendored", "web", "--arch", "x86_64"]))?;
    // The folder is a repository in the eyes of pacman, signatures included.
    let vendored = project.folder.join("vendored/test/test/os/x86_64");
    let sees = project.folder.join("sees");
    fs::create_dir_all(sees.join("var/lib/pacman")).map_err(explain("make a folder"))?;
    let config = project.folder.join("vendored.conf");
    let text = format!(
        "[options]\nArchitecture = x86_64\nSigLevel = Required TrustAll DatabaseNever\n[test]\nServer = file://{}\n",
        vendored.display()
    );
    fs::write(&config, text).map_err(explain("write pacman.conf"))?;
    let mut pacman = program("pacman");
    pacman.args(["-Sy", "--noconfirm", "base", "services", "fragile", "--config"]).arg(&config);
    for (option, path) in
        [("--root", ""), ("--dbpath", "var/lib/pacman"), ("--cachedir", "cache"), ("--logfile", "log")]
    {
        pacman.arg(option).arg(sees.join(path));
    }
    run(pacman.arg("--gpgdir").arg(site.repository.folder.join("keys")))?;
    // There is something newer.
    site.repository.add(&[("PKGBUILD", NEWER)], "packager")?;
    let newer = run(&mut project.layerforge(&["outdated", "web"]))?;
    if !newer.contains("libkeep") || !newer.contains("1.1-1") || newer.contains("keeper 1") {
        return Err(format!("it is not said that a package is outdated:\n{newer}"));
    }
    if project.locked_for("arch")? != locked {
        return Err("`outdated` has changed the lock".into());
    }
    // Without a network, with what is there, and with nothing but the folder.
    let address = site.server.address.clone();
    let Site { repository, server, project } = site;
    drop(server);
    let site = Site { server: Server::start(&repository.folder)?, repository, project };
    let project = &site.project;
    if site.server.address == address {
        return Err("the port is the same".into());
    }
    run(project.layerforge(&LOCK).args(["--upgrade", "--offline"]))?;
    if project.locked_for("arch")?["libkeep"] != "1.1-1" {
        return Err("without a network something else is chosen than with it".into());
    }
    remove(&project.folder.join("store"))?;
    project.refused(&[&LOCK[..], &["--upgrade"]].concat(), 5, "127.0.0.1")?;
    run(project.layerforge(&LOCK).args(["--upgrade", "--vendored", "vendored"]))?;
    if project.locked_for("arch")? != locked {
        return Err("the lock from the vendored folder is another one".into());
    }
    remove(&project.folder.join("store"))?;
    site.render(&["--vendored", "vendored", "--locked"])?;
    if look(&project.folder.join("own"))? != first {
        return Err("the tree from the vendored folder is another one".into());
    }
    site.render(&["--offline", "--locked"])?;
    say(&format!("  {} packages", locked.len()));
    Ok(())
}

/// Whatever is done to a repository is noticed, and the lock stays what it was.
pub(super) fn is_guarded(world: &World) -> Outcome {
    let site = Site::make(world, "arch-guard")?;
    let (project, place) = (&site.project, site.repository.place());
    site.profile("")?;
    let package = place.join("libkeep-1.0-1-any.pkg.tar.zst");
    let database = place.join("test.db");
    let (good, listed) = (read(&package)?, read(&database)?);
    // What nobody has fetched yet.
    for (bad, words) in [
        (good[..good.len() - 1].to_vec(), "bytes, expected"),
        (good.iter().map(|byte| byte ^ 1).collect::<Vec<u8>>(), "has the digest"),
    ] {
        write(&package, &bad)?;
        project.refused(&LOCK, 5, words)?;
    }
    write(&package, &good)?;
    // A database that is not whole.
    write(&database, &listed[..listed.len() / 2])?;
    project.refused(&LOCK, 5, "test.db")?;
    write(&database, &listed)?;
    // Two masters are not enough.
    let masters = project.folder.join("keys/test-trusted");
    let three = read(&masters)?;
    site.repository.export(&project.folder.join("keys/test.gpg"), 2)?;
    project.refused(&LOCK, 5, "fewer than three master keys")?;
    write(&masters, &three)?;
    if project.folder.join("profiles/web.lock").exists() {
        return Err("a lock was written".into());
    }
    run(&mut project.layerforge(&LOCK))?;
    let locked = project.locked_for("arch")?;
    // A newer version by somebody whom nobody knows.
    site.repository.add(&[("PKGBUILD", NEWER)], "stranger")?;
    let upgrade = [&LOCK[..], &["--upgrade"]].concat();
    project.refused(&upgrade, 5, "`libkeep 1.1-1` cannot be taken")?;
    // Sign it properly, lock it, and go back.
    for end in ["", ".sig"] {
        fs::remove_file(place.join(format!("libkeep-1.1-1-any.pkg.tar.zst{end}"))).map_err(explain("remove"))?;
    }
    site.repository.add(&[("PKGBUILD", NEWER)], "packager")?;
    run(&mut project.layerforge(&upgrade))?;
    if project.locked_for("arch")?["libkeep"] != "1.1-1" {
        return Err("the newer version is not taken".into());
    }
    write(&database, &listed)?;
    let output = project.layerforge(&upgrade).output().map_err(explain("run layerforge"))?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let words =
        "the source `test` went back: of 1 packages, such as libkeep 1.1-1, the lock knows a later version than it has";
    if !output.status.success() || !told.contains(words) {
        return Err(format!("nobody is warned of a database that went back:\n{told}"));
    }
    if project.locked_for("arch")? != locked {
        return Err("the older state is not what it was".into());
    }
    // What the lock names is what is taken, whoever serves it.
    remove(&project.folder.join("store"))?;
    write(&package, &good[..good.len() - 1])?;
    project.refused(&[&RENDER[..], &["--locked", "--dest", "rendered"]].concat(), 5, "bytes, expected")?;
    write(&package, &good.iter().map(|byte| byte ^ 1).collect::<Vec<u8>>())?;
    project.refused(&[&RENDER[..], &["--locked", "--dest", "rendered"]].concat(), 5, "has the digest")
}

fn read(path: &Path) -> Outcome<Vec<u8>> {
    fs::read(path).map_err(explain(format!("read {}", path.display())))
}

fn write(path: &Path, bytes: &[u8]) -> Outcome {
    fs::write(path, bytes).map_err(explain(format!("write {}", path.display())))
}
