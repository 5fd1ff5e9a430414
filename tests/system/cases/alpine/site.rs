//! A small Alpine: its packages with every kind of relation and script, the repository that serves them, and a project.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Outcome;
use crate::apk::{KEY, Repository, Told, bare, package, text};
use crate::cases::repositories::Project;
use crate::command::{explain, program, run};
use crate::repository::Server;
use crate::world::World;

/// What busybox has in Alpine and not in Debian.
const ADDGROUP: &str = "#!/bin/busybox sh
while [ $# -gt 1 ]; do shift; done
id=100
while IFS=: read -r _ _ other _; do [ \"$other\" -lt \"$id\" ] || [ \"$other\" -ge 1000 ] || id=$((other + 1)); done < /etc/group
echo \"$1:x:$id:\" >> /etc/group
";
const ADDUSER: &str = "#!/bin/busybox sh
while [ $# -gt 1 ]; do
    case $1 in -h) home=$2; shift ;; -s) shell=$2; shift ;; -G) group=$2; shift ;; -g) comment=$2; shift ;; esac
    shift
done
while IFS=: read -r name _ other _; do [ \"$name\" != \"$group\" ] || gid=$other; done < /etc/group
id=100
while IFS=: read -r _ _ other _; do [ \"$other\" -lt \"$id\" ] || [ \"$other\" -ge 1000 ] || id=$((other + 1)); done < /etc/passwd
echo \"$1:x:$id:$gid:$comment:$home:$shell\" >> /etc/passwd
echo \"$1:!:$((${SOURCE_DATE_EPOCH:-0} / 86400)):0:99999:7:::\" >> /etc/shadow
";

/// The least that a system is: `main`.
pub(super) fn base(busybox: &Path) -> Vec<Value> {
    let program = format!("@{}", busybox.display());
    let directories = ["bin", "etc", "lib", "sbin", "usr", "usr/bin", "usr/sbin", "usr/share", "var", "var/lib"];
    let mut layout: Vec<[&str; 5]> = directories.map(|path| [path, "directory", "755", "root:root", ""]).to_vec();
    layout.extend([
        ["root", "directory", "700", "root:root", ""],
        ["tmp", "directory", "1777", "root:root", ""],
        ["var/empty", "directory", "555", "root:root", ""],
        ["var/run", "symlink", "777", "root:root", "../run"],
        ["etc/group", "file", "644", "root:root", "root:x:0:root\nshadow:x:42:\n"],
        ["etc/passwd", "file", "644", "root:root", "root:x:0:0:root:/root:/bin/sh\n"],
        ["etc/shadow", "file", "640", "root:shadow", "root:*::0:::::\n"],
    ]);
    vec![
        package("alpine-baselayout", "3.7.0-r0", &["pkgdesc = Directories", "license = GPL-2.0-only"], &[], &layout),
        package(
            "alpine-release",
            "3.23.0-r0",
            &["license = MIT"],
            &[],
            &[
                ["etc", "directory", "755", "root:root", ""],
                ["etc/os-release", "file", "644", "root:root", "ID=alpine\nVERSION_ID=3.23.0\n"],
            ],
        ),
        package(
            "busybox",
            "1.37.0-r20",
            &[
                "license = GPL-2.0-only",
                "depend = so:libc.musl-x86_64.so.1",
                "triggers = /bin /usr/bin",
                "provides = cmd:sh=1.37.0-r20",
            ],
            &[(
                "trigger",
                "#!/bin/busybox sh\nwhile read -r path; do [ -e \"/$path\" ] || ln -s /bin/busybox \"/$path\"; done < \
                           /etc/busybox-paths.d/busybox\n",
            )],
            &[
                ["bin", "directory", "755", "root:root", ""],
                ["bin/busybox", "file", "755", "root:root", &program],
                ["bin/sh", "symlink", "777", "root:root", "/bin/busybox"],
                ["etc", "directory", "755", "root:root", ""],
                ["etc/busybox-paths.d", "directory", "755", "root:root", ""],
                [
                    "etc/busybox-paths.d/busybox",
                    "file",
                    "644",
                    "root:root",
                    "bin/cat\nbin/chmod\nbin/chown\nbin/ln\nbin/mkdir\n",
                ],
                ["usr/sbin", "directory", "755", "root:root", ""],
                ["usr/sbin/addgroup", "file", "755", "root:root", ADDGROUP],
                ["usr/sbin/adduser", "file", "755", "root:root", ADDUSER],
            ],
        ),
        package(
            "musl",
            "1.2.5-r9",
            &["license = MIT", "provides = so:libc.musl-x86_64.so.1=1"],
            &[],
            &[
                ["lib", "directory", "755", "root:root", ""],
                ["lib/ld-musl-x86_64.so.1", "file", "755", "root:root", "loader"],
                ["lib/libc.musl-x86_64.so.1", "symlink", "777", "root:root", "ld-musl-x86_64.so.1"],
            ],
        ),
    ]
}

/// Packages of every kind of relation and script: `community`.
pub(super) fn applications(keep: &str) -> Vec<Value> {
    let provides = format!("provides = so:libkeep.so.1={keep}");
    vec![
        package(
            "app",
            "1.0-r0",
            &[
                "pkgdesc = An application",
                "url = https://example.org",
                "license = MIT AND GPL-2.0-or-later",
                "origin = app",
                "maintainer = N <n@example.org>",
                "depend = so:libkeep.so.1",
                "depend = cmd:keeper",
                "depend = pc:keep>=1.1",
                "depend = mail-agent",
                "depend = !app-old",
            ],
            &[],
            &[
                ["usr", "directory", "755", "root:root", ""],
                ["usr/bin", "directory", "755", "root:root", ""],
                ["usr/bin/app", "file", "4755", "root:root", "program"],
                ["usr/bin/app2", "hardlink", "4755", "root:root", "usr/bin/app"],
                ["usr/share", "directory", "755", "root:root", ""],
                ["usr/share/app", "directory", "755", "root:root", ""],
                ["usr/share/app/one", "directory", "755", "root:root", ""],
                ["usr/share/app/one/ä b", "file", "644", "root:root", "content\n"],
                ["usr/share/app/two", "directory", "755", "root:root", ""],
                ["usr/share/app/two/link", "symlink", "777", "root:root", "../one/ä b"],
            ],
        ),
        package(
            "app-cache",
            "1.0-r0",
            &["license = MIT", "triggers = /usr/share/app/*"],
            &[("trigger", "#!/bin/sh\nfor path in \"$@\"; do echo \"$path\" >> /usr/share/app/index; done\n")],
            &[],
        ),
        bare("app-doc", "1.0-r0", &["install_if = app=1.0-r0", "install_if = docs"]),
        package(
            "app-openrc",
            "1.0-r0",
            &["license = MIT", "install_if = openrc", "install_if = app=1.0-r0"],
            &[],
            &[
                ["etc", "directory", "755", "root:root", ""],
                ["etc/init.d", "directory", "755", "root:root", ""],
                ["etc/init.d/app", "file", "755", "root:root", "#!/sbin/openrc-run\n"],
            ],
        ),
        bare("app-old", "0.9-r0", &[]),
        bare("docs", "1-r0", &[]),
        package(
            "fragile",
            "1-r0",
            &["license = MIT"],
            &[("post-install", "#!/bin/sh\necho before > /var/lib/fragile\nexit 7\n")],
            &[],
        ),
        package(
            "keeper",
            "2.0-r0",
            &["license = MIT", "provides = cmd:keeper=2.0-r0", "replaces = keeper-old", "depend = so:libkeep.so.1"],
            &[
                (
                    "pre-install",
                    "#!/bin/sh\naddgroup -S keeper 2>/dev/null\nadduser -S -D -H -h /var/lib/keeper -s /sbin/nologin -G keeper -g \
                     keeper keeper 2>/dev/null\nexit 0\n",
                ),
                (
                    "post-install",
                    "#!/bin/sh\nmkdir -m 0700 /var/lib/keeper/state\necho \"$1 $APK_PACKAGE $APK_SCRIPT\" > \
                     /var/lib/keeper/state/version\nchown 100:100 /var/lib/keeper/state\n",
                ),
            ],
            &[
                ["usr", "directory", "755", "root:root", ""],
                ["usr/bin", "directory", "755", "root:root", ""],
                ["usr/bin/keeper", "file", "755", "root:root", "program"],
                ["var", "directory", "755", "root:root", ""],
                ["var/lib", "directory", "755", "root:root", ""],
                ["var/lib/keeper", "directory", "2750", "keeper:keeper", ""],
                ["var/lib/keeper/keep.conf", "file", "640", "root:keeper", "a = 1\n"],
            ],
        ),
        package(
            "libkeep",
            &format!("{keep}-r0"),
            &["license = ISC", &provides, "provides = pc:keep=1.2"],
            &[],
            &[
                ["usr", "directory", "755", "root:root", ""],
                ["usr/lib", "directory", "755", "root:root", ""],
                ["usr/lib/libkeep.so.1", "file", "755", "root:root", "library"],
            ],
        ),
        bare("mail-a", "1-r0", &["provides = mail-agent", "provider_priority = 10"]),
        bare("mail-b", "1-r0", &["provides = mail-agent", "provider_priority = 20"]),
        bare("openrc", "0.63-r0", &[]),
    ]
}

/// The epoch of what is rendered: after that of the packages.
pub(super) const EPOCH: &str = "1800000000";

/// A repository that is served, and a project with its key.
pub(super) struct Site {
    pub(super) repository: Repository,
    pub(super) server: Server,
    pub(super) project: Project,
    /// What the indexes say.
    pub(super) told: Told,
}

impl Site {
    pub(super) fn make(world: &World, folder: &Path) -> Outcome<Self> {
        let repository = Repository::start(folder.join("alpine"))?;
        let mut told = repository.publish("v3.23/main", &base(&world.emulator()?.busybox))?;
        told.extend(repository.publish("v3.23/community", &applications("1.2.3"))?);
        let server = Server::start(&repository.root())?;
        let project = Project::new(folder.join("project"))?;
        fs::create_dir(project.folder.join("keys")).map_err(explain("make a folder"))?;
        fs::copy(repository.key(KEY), project.folder.join("keys").join(KEY)).map_err(explain("copy a key"))?;
        Ok(Self { repository, server, project, told })
    }

    /// Writes the profile `web`, which asks for these packages.
    pub(super) fn profile(&self, packages: &[&str], more: &str) -> Outcome {
        let tables: String = packages.iter().map(|name| format!("[package.\"{name}\"]\n")).collect();
        let text = format!(
            "[distro.alpine]\nrelease = \"3.23\"\n[distro.alpine.source.alpine]\nmirrors = [\"{}\"]\n\
             signed_by = \"keys\"\n{tables}[output.rootfs]\npackages = \"bundled\"\n\
             [output.tar]\npackages = \"bundled\"\n[packages]\nvariant = \"essential\"\ndocumentation = true\n\
             locales = [\"*\"]\n{more}",
            self.server.address
        );
        self.project.write("profiles/web.toml", &text)
    }

    /// Renders the profile, and returns the tree of its archive as root unpacks it, and what was said.
    pub(super) fn render(&self, arguments: &[&str]) -> Outcome<(PathBuf, String)> {
        self.project.unpacked("alpine", EPOCH, arguments)
    }

    /// Returns the records of a tree, with `@` for what the indexes say.
    pub(super) fn installed(&self, own: &Path) -> Outcome<String> {
        let mut records = Vec::new();
        let script = "printf Z:Q1; openssl dgst -sha1 -binary \"$0\" | base64";
        let busybox = run(program("sh").args(["-c", script]).arg(own.join("bin/busybox")))?;
        for record in text(&own.join("lib/apk/db/installed"))?.split_terminator("\n\n") {
            let name = record.lines().find_map(|line| line.strip_prefix("P:")).ok_or("a record without a name")?;
            let (identity, size, installed) = self.told.get(name).ok_or(format!("{name} is in no index"))?;
            let known =
                [format!("C:{identity}"), format!("S:{size}"), format!("I:{installed}"), busybox.trim_end().to_owned()];
            let line = |line: &str| match known.iter().any(|known| known == line) {
                true => format!("{}:@\n", &line[..1]),
                false => format!("{line}\n"),
            };
            records.push(record.lines().map(line).collect::<String>());
        }
        Ok(records.join("\n"))
    }
}
