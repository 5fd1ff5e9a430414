//! Units of the runtime contract, judged by the programs that read them and by a machine that runs them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use layerforge::deploy::{Flavour, UnitBody, UnitFile, UnitOptions, units};
use layerforge::distro::Wish;
use layerforge::resolve::{Library, Recipe, Request, resolve};
use layerforge::spec::{Project, SpecError, SystemdVersion};

use crate::Outcome;
use crate::command::{explain, run};
use crate::machine::tree::{DEBIAN_12, DEBIAN_13, Suite};
use crate::world::{World, repository};

/// A contract that has one of everything. What its process finds wrong ends it before it is ready.
const PROFILE: &str = r#####"
name = "judged"
summary = "100% of it: $HOME %n"
[distro.debian]
[user.app]
uid = 65532
groups = ["readers"]
[group.readers]
gid = 70000
[secret.token]
help = "A file"
[secret.password]
environment = "PASSWORD"
[environment]
GREETING = "50% \"off\" $HOME \\ 'x'"
[process.main]
command = ["/bin/sh", "-euxc", '''
[ "$1" = 'a $b %n "q" \\ ; ${HOME}' ]
[ "$2" = ';' ]
[ "$GREETING" = "50% \"off\" \$HOME \\ 'x'" ]
[ "$(id -u) $(id -g) $(id -G)" = '65532 65532 65532 65534' ]
[ "$(pwd)" = /usr ]
[ "$(cat /run/secrets/token)" = 'secret of a file' ]
[ "$PASSWORD" = 'secret of a variable' ]
[ -e /var/lib/judged/migrated ]
for path in /var/lib/judged /var/lib/judged-open /srv/elsewhere /var/cache/judged /var/log/judged /run/judged \
    /var/lib/memory /var/lib/filled/one /tmp /dev/shm; do
    echo yes > "$path/written"
done
[ "$(stat -c %a /var/lib/judged)" = 700 ]
[ "$(stat -c %a /var/lib/judged-open)" = 700 ]
[ "$(stat -f -c %T /var/lib/memory)" = tmpfs ]
[ -d /var/lib/filled/two/three ]
for path in /etc /usr /var /srv /var/lib; do if touch "$path/refused"; then exit 1; fi; done
if ls /home; then exit 1; fi
if unshare --user true; then exit 1; fi
[ "$(ls /sys/class/net)" = lo ]
sleep 1
touch /run/judged/ready
exec sleep infinity
''', "sh", 'a $b %n "q" \\ ; ${HOME}', ";"]
user = "app"
directory = "/usr"
secrets = ["token", "password"]
ready.command = ["/usr/bin/test", "-e", "/run/judged/ready"]
[process.main.limits]
memory_high = "64Mi"
memory_max = "128Mi"
tasks = 32
cpu_weight = 50
open_files = 512
[job.migrate]
when = "pre_deploy"
command = ["/usr/bin/touch", "/var/lib/judged/migrated"]
user = "app"
[job.settle]
when = "post_deploy"
command = ["/bin/sh", "-euc", "test -e /run/judged/ready; touch /var/lib/judged/settled"]
user = "app"
[job.tidy]
when = "schedule"
schedule = "*-*-* 03:00:00"
command = ["/usr/bin/touch", "/var/lib/judged/tidied"]
user = "app"
[writable.data]
path = "/var/lib/judged"
kind = "state"
mode = "0700"
[writable.open]
path = "/var/lib/judged-open"
kind = "state"
mode = "0700"
[writable.elsewhere]
path = "/srv/elsewhere"
kind = "state"
mode = "0700"
[writable.kept]
path = "/var/cache/judged"
kind = "cache"
[writable.logs]
path = "/var/log/judged"
kind = "logs"
[writable.runtime]
path = "/run/judged"
kind = "runtime"
mode = "0755"
[writable.memory]
path = "/var/lib/memory"
kind = "temporary"
size = "1Mi"
[writable.filled]
path = "/var/lib/filled"
kind = "temporary"
subdirectories = ["one", "two/three"]
[writable.tmp]
path = "/tmp"
kind = "temporary"
[writable.of_root]
path = "/var/lib/of-root"
kind = "state"
owner = "root"
mode = "0750"
"#####;

/// What the machine is asked. The last line of each part is what is wrong with the one that fails.
const QUESTIONS: &str = "
wait_for() { for _ in $(seq 100); do if \"$@\"; then return; fi; sleep 0.2; done; journalctl -b --no-pager | tail -60; \"$@\"; }
wait_for systemctl is-active judged.service
wait_for test -e /var/lib/judged/settled
systemctl is-active judged-services.target judged-tidy.timer judged-migrate.service
[ \"$(systemctl show -P NRestarts judged.service)\" = 0 ]
[ \"$(systemctl show -P MemoryMax,MemoryHigh,TasksMax,CPUWeight,LimitNOFILE judged.service | paste -sd' ')\" != '' ]
[ \"$(systemctl show -P MemoryMax judged.service)\" = 134217728 ]
[ \"$(stat -c '%u:%g %a' /var/lib/judged /var/lib/judged-open /var/lib/judged/elsewhere /var/lib/of-root | paste -sd,)\" \\
    = '65532:65532 700,65532:65532 700,65532:65532 700,0:0 750' ]
[ \"$(cat /var/lib/judged/elsewhere/written)\" = yes ]
[ ! -e /var/lib/memory/written ] && [ ! -e /tmp/written ] && [ ! -e /dev/shm/written ] && [ ! -e /var/lib/filled/one ]
getent passwd app | grep -q '^app:x:65532:65532:'
getent group readers | grep -q '70000:app'
systemctl start judged-tidy.service
[ -e /var/lib/judged/tidied ]
systemctl stop judged.service
sleep 2
refused systemctl is-active judged.service
journalctl -b --no-pager | grep -E 'judged.*(Unknown|Failed to parse|ignoring)' && exit 1 || true
";

/// A machine with systemd 257 runs everything that a contract says, as it says it.
pub(super) fn run_in_debian_13(world: &World) -> Outcome {
    run_in(world, &DEBIAN_13, "units", 257)
}

/// So does one with systemd 252.
pub(super) fn run_in_debian_12(world: &World) -> Outcome {
    run_in(world, &DEBIAN_12, "units-12", 252)
}

fn run_in(world: &World, suite: &Suite, name: &str, version: u16) -> Outcome {
    let project = world.folder(&format!("{name}-project"))?;
    fs::create_dir_all(project.join("profiles")).map_err(explain("make a folder"))?;
    fs::write(project.join("profiles/judged.toml"), PROFILE).map_err(explain("write a profile"))?;
    let tree = world.tree(suite)?;
    let mut machine = world
        .machine(name, &tree)?
        .with_text("secret of a file", "/etc/credstore/judged.token")?
        .with_text("secret of a variable", "/etc/credstore/judged.password")?;
    for file in written(&recipe(&project, "judged")?, Flavour::Sysext, version, "judged")? {
        if let UnitBody::Text(text) = &file.body {
            machine = machine.with_text(text, &file.path.to_string())?;
        }
    }
    machine.script("units", QUESTIONS)?.run_in_container().map(drop)
}

/// systemd-analyze, systemd-sysusers and systemd-tmpfiles have nothing to say about the files of the shipped profiles.
pub(super) fn are_read(world: &World) -> Outcome {
    for (suite, version) in [(&DEBIAN_13, 257), (&DEBIAN_12, 252)] {
        let tree = world.tree(suite)?;
        for profile in ["default", "discourse", "postgresql", "redis"] {
            for flavour in [Flavour::Sysext, Flavour::Portable] {
                let folder = world.folder(&format!("read-{version}-{profile}-{flavour:?}"))?;
                for file in written(&recipe(repository(), profile)?, flavour, version, profile)? {
                    let UnitBody::Text(text) = &file.body else { continue };
                    // Programs of packages are not in the tree.
                    let text: String = text.lines().map(|line| stand_in(line) + "\n").collect();
                    let path = folder.join(file.path.as_path().strip_prefix("/").unwrap_or(file.path.as_path()));
                    fs::create_dir_all(path.parent().unwrap_or(&folder)).map_err(explain("make a folder"))?;
                    fs::write(&path, text).map_err(explain("write a unit"))?;
                }
                let said = run(tree.program("sh", &folder).args(["-c", READERS]))?;
                if !said.is_empty() {
                    return Err(format!("{profile} as {flavour:?} for {version}: {said}"));
                }
            }
        }
    }
    Ok(())
}

/// Reads every file; writes only what the readers complain of.
const READERS: &str = "
find usr/lib/systemd/system -name '*.service' -o -name '*.timer' -o -name '*.target' >units
xargs systemd-analyze verify --man=no --recursive-errors=no <units 2>&1 | grep -v -e 'No such file or directory$' || true
for file in usr/lib/sysusers.d/*.conf; do
    [ ! -e \"$file\" ] || systemd-sysusers --dry-run \"$PWD/$file\" >said 2>&1 || cat said
done
rm -f said units
";

fn stand_in(line: &str) -> String {
    match line.strip_prefix("ExecStart=") {
        Some(command) if !command.starts_with(":/bin/sh") => match command.split_once(' ') {
            Some((_, arguments)) => format!("ExecStart=/bin/true {arguments}"),
            None => "ExecStart=/bin/true".into(),
        },
        _ => line.to_owned(),
    }
}

fn written(recipe: &Recipe, flavour: Flavour, version: u16, prefix: &str) -> Outcome<Vec<UnitFile>> {
    let systemd = SystemdVersion(version);
    units(recipe, &UnitOptions { flavour, systemd, prefix: prefix.into(), start: true })
        .map_err(|error| error.to_string())
}

fn recipe(project: &Path, profile: &str) -> Outcome<Recipe> {
    let explain = |error: SpecError| error.to_string();
    let library = Library::load(Arc::new(Project::open(project)), profile).map_err(explain)?;
    let distros = library.distros().map_err(explain)?;
    let (distro, table) = distros.into_iter().find(|(name, _)| name.as_str() == "debian").ok_or("no debian")?;
    let wish = Wish { release: None, architecture: None };
    resolve(&library, &Request { distro, table, wish, settings: Vec::new(), epoch: None }).map_err(explain)
}
