//! Programs that stand in for those that start services.
//!
//! Comes in: a root. Goes out: what is mounted over it while a command runs. Always holds: they are mounts, so that a
//! killed run leaves nothing; a package that holds one of these files can be configured, but not unpacked, meanwhile.

use std::path::Path;

/// A program that stands in for another one.
#[derive(Debug)]
pub(super) struct Stub {
    /// Where it stands.
    pub(super) path: &'static str,
    /// What it is.
    pub(super) script: &'static str,
    /// Whether it stands there even where there is no such program.
    always: bool,
}

/// All of them. `systemctl` needs none: it is told by a variable that nothing runs ([`ENVIRONMENT`]).
pub(super) const STUBS: [Stub; 2] = [
    // Debian policy 9.3.3.1: invoke-rc.d and deb-systemd-invoke ask it; 101 is "not allowed".
    Stub { path: "/usr/sbin/policy-rc.d", script: "#!/bin/sh\nexit 101\n", always: true },
    Stub {
        path: "/usr/sbin/start-stop-daemon",
        script: "#!/bin/sh\necho \"start-stop-daemon: nothing is started here\" >&2\nexit 0\n",
        always: false,
    },
];

/// What programs that are not asked know from the environment.
pub(super) const ENVIRONMENT: [(&str, &str); 1] = [("SYSTEMD_OFFLINE", "1")];

impl Stub {
    /// Returns the name of its file.
    pub(super) fn name(&self) -> &str {
        Path::new(self.path).file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// Tells whether it belongs into the root that this process is in.
    pub(super) fn is_wanted(&self, path: &Path) -> bool {
        // The directory is that of a Debian system, or there is nobody who would ask.
        if self.always {
            path.parent().is_some_and(Path::is_dir) && Path::new("/var/lib/dpkg").is_dir()
        } else {
            path.is_file()
        }
    }
}
