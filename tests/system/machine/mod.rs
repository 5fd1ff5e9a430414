//! Machines that judge images: a Debian that boots with systemd, finds files beside those of its tree, and runs scripts.
//!
//! A machine never writes into its tree: it boots on an overlay that is gone afterwards. It is a container, which takes
//! seconds, or a virtual machine, which takes half a minute but has a kernel of its own and so real dm-verity.

mod nspawn;
mod transcript;
pub(crate) mod tree;
mod vm;

pub(crate) use nspawn::boot;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::command::{explain, program, run};
pub(crate) use transcript::Transcript;
use tree::Tree;
pub(crate) use vm::Emulator;

/// A machine that has not been booted yet.
pub(crate) struct Machine<'tree> {
    tree: &'tree Tree,
    folder: PathBuf,
    scripts: Vec<String>,
}

/// Where the scripts of a machine, and what comes of them, lie in it.
const HOME: &str = "layerforge-tests";

/// The unit that runs the scripts. It ends the machine, whatever comes of them.
const SERVICE: &str = "\
[Unit]
Description=Scripts of the tests
Wants=dbus.socket
After=multi-user.target dbus.socket
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
Environment=SYSTEMD_COLORS=0 SYSTEMD_PAGER= LC_ALL=C.UTF-8
ExecStart=/bin/sh /layerforge-tests/run
TimeoutStartSec=infinity
";

const TARGET: &str = "\
[Unit]
Description=The scripts of the tests have run
Requires=multi-user.target
After=multi-user.target
Wants=layerforge-tests.service
AllowIsolate=yes
";

/// What runs the scripts. They do not see each other's variables, but whatever else one of them changes.
const RUN: &str = r##"cd /layerforge-tests
mkdir -p results
if systemd-detect-virt --quiet --container; then
    # Made here, not borrowed: loop devices come and go with their use, and take the nodes of the host with them.
    [ -e /dev/loop-control ] || mknod /dev/loop-control c 10 237
    for number in $(seq 0 31); do
        [ -e "/dev/loop$number" ] || mknod "/dev/loop$number" b 7 "$number"
    done
fi
for script in scripts/*; do
    name=${script##*/}
    (cd / && timeout --kill-after=5 180 sh -eux "/layerforge-tests/$script") >"results/$name.output" 2>&1
    echo $? >"results/$name.status"
done
journalctl --no-pager --output=short-monotonic >results/journal 2>&1
if [ -e /dev/vdd ]; then tar -cf /dev/vdd -C results .; fi
sync
"##;

/// What every script knows. `! command` would not end a script that runs under `-e`.
const PRELUDE: &str = r##"
refused() {
    if "$@"; then
        echo "not refused: $*"
        exit 1
    fi
}
"##;

impl<'tree> Machine<'tree> {
    /// Prepares a machine that boots `tree` and works in `folder`, which is new.
    pub(crate) fn new(tree: &'tree Tree, folder: PathBuf) -> Outcome<Self> {
        let this = Self { tree, folder, scripts: Vec::new() };
        this.with_text(SERVICE, "/etc/systemd/system/layerforge-tests.service")?
            .with_text(TARGET, "/etc/systemd/system/layerforge-tests.target")?
            .with_text(RUN, &format!("/{HOME}/run"))
    }

    /// Puts a copy of a file or directory of the host at the absolute path `place`.
    pub(crate) fn with(self, source: &Path, place: &str) -> Outcome<Self> {
        let target = self.make_room(place)?;
        run(program("cp").args(["--archive", "--no-target-directory"]).arg(source).arg(target))?;
        Ok(self)
    }

    /// Puts a file with the given text at the absolute path `place`.
    pub(crate) fn with_text(self, text: &str, place: &str) -> Outcome<Self> {
        let target = self.make_room(place)?;
        fs::write(&target, text).map_err(explain(format!("write {}", target.display())))?;
        Ok(self)
    }

    /// Adds a script for `sh -eux`. Scripts run in the order in which they were added, and each must succeed.
    pub(crate) fn script(mut self, name: &str, text: &str) -> Outcome<Self> {
        let file = format!("{:02}-{name}", self.scripts.len());
        let place = format!("/{HOME}/scripts/{file}");
        self.scripts.push(file);
        self.with_text(&format!("{{ set +x; }} 2>/dev/null\n{PRELUDE}set -x\n{text}\n"), &place)
    }

    /// Returns where `place` lies among what is added to the tree, with the directories above it.
    fn make_room(&self, place: &str) -> Outcome<PathBuf> {
        let mut path = self.additions();
        let mut names = place.split('/').filter(|name| !name.is_empty()).peekable();
        while names.peek().is_some() {
            if !path.exists() {
                fs::create_dir_all(&path).map_err(explain(format!("make {}", path.display())))?;
                // They hide those of the tree.
                fs::set_permissions(&path, Permissions::from_mode(0o755)).map_err(explain("open a folder"))?;
            }
            path.extend(names.next());
        }
        Ok(path)
    }

    /// The files that lie over those of the tree.
    fn additions(&self) -> PathBuf {
        self.folder.join("additions")
    }
}

/// Waits until a machine has ended; returns whether it did within `patience`.
fn ends_within(machine: &mut Child, patience: Duration) -> Outcome<bool> {
    let start = Instant::now();
    while machine.try_wait().map_err(explain("wait for a machine"))?.is_none() {
        if start.elapsed() > patience {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(true)
}
