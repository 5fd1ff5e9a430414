//! Files and directories that Debian's basic packages put into a new system by scripts.

use super::Work;
use crate::build::packages::PackagesError;
use crate::tree::TreePath;

/// Files, and what they are copied from.
const COPIES: [(&str, &str, u16); 7] = [
    ("/etc/profile", "/usr/share/base-files/profile", 0o644),
    ("/etc/motd", "/usr/share/base-files/motd", 0o644),
    ("/root/.profile", "/usr/share/base-files/dot.profile", 0o644),
    ("/root/.bashrc", "/usr/share/base-files/dot.bashrc", 0o644),
    ("/usr/share/info/dir", "/usr/share/base-files/info.dir", 0o644),
    ("/etc/nsswitch.conf", "/usr/share/base-files/nsswitch.conf", 0o644),
    ("/etc/nsswitch.conf", "/usr/share/libc-bin/nsswitch.conf", 0o644),
];

/// Directories with their modes and groups: `staff` is 50, `mail` is 8.
const DIRECTORIES: [(&str, u16, u32); 19] = [
    ("/media", 0o755, 0),
    ("/mnt", 0o755, 0),
    ("/opt", 0o755, 0),
    ("/srv", 0o755, 0),
    ("/usr/local", 0o755, 0),
    ("/usr/local/bin", 0o755, 0),
    ("/usr/local/etc", 0o755, 0),
    ("/usr/local/games", 0o755, 0),
    ("/usr/local/include", 0o755, 0),
    ("/usr/local/lib", 0o755, 0),
    ("/usr/local/sbin", 0o755, 0),
    ("/usr/local/share", 0o755, 0),
    ("/usr/local/share/man", 0o755, 0),
    ("/usr/local/src", 0o755, 0),
    ("/var/local", 0o2775, 50),
    ("/var/mail", 0o2775, 8),
    ("/var/opt", 0o755, 0),
    ("/etc/opt", 0o755, 0),
    ("/var/spool", 0o755, 0),
];

const LINKS: [(&str, &str); 5] = [
    ("/usr/local/man", "share/man"),
    ("/var/lock", "/run/lock"),
    ("/var/run", "/run"),
    ("/var/spool/mail", "../mail"),
    ("/etc/dpkg/origins/default", "debian"),
];

/// What begins a list of shells.
const SHELLS: &str = "# /etc/shells: valid login shells\n";

/// Puts them there, where the package is there that would have.
pub(super) fn make(work: &mut Work<'_>) -> Result<(), PackagesError> {
    for (path, from, mode) in COPIES {
        if let Some(text) = work.text_at(from)? {
            work.put_text(path, mode, text)?;
        }
    }
    let profile: TreePath = "/usr/share/base-files".parse()?;
    if work.tree.get(&profile).is_some() {
        for (path, mode, group) in DIRECTORIES {
            work.put_directory(path, mode, (0, group))?;
        }
        for (path, target) in LINKS {
            work.put_link(path, target)?;
        }
        work.put_text("/etc/environment", 0o644, "")?;
    }
    let mut shells = String::new();
    for folder in ["/usr/share/debianutils/shells", "/usr/share/debianutils/shells.d"] {
        let folder: TreePath = folder.parse()?;
        let below: Vec<TreePath> = work.tree.below(&folder).map(|(path, _)| path.clone()).collect();
        for path in below.iter().chain([&folder]) {
            let text = work.text(path)?.unwrap_or_default();
            let lines = text.lines().filter(|line| line.starts_with('/'));
            let missing: Vec<&str> = lines.filter(|line| !shells.lines().any(|known| known == *line)).collect();
            let missing: String = missing.into_iter().map(|line| format!("{line}\n")).collect();
            shells.push_str(&missing);
        }
    }
    if !shells.is_empty() {
        work.put_text("/etc/shells", 0o644, format!("{SHELLS}{shells}"))?;
    }
    if work.tree.lookup(&"/usr/share/zoneinfo/Etc/UTC".parse()?).is_some() {
        work.put_link("/etc/localtime", "/usr/share/zoneinfo/Etc/UTC")?;
    }
    if work.tree.lookup(&"/usr/bin/dash".parse()?).is_some() {
        work.put_link("/bin/sh", "dash")?;
    }
    Ok(())
}
