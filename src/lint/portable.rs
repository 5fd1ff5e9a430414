//! PS: portable services (portablectl(1), UAPI.3).

use super::release::{self, exists, os_release, resolve};
use super::subject::{Class, Subject};
use super::table::Report;
use super::unit::{self, Attached, Unit};
use crate::tree::{Kind, Tree, TreePath};

/// Types of units that portablectl attaches.
const ATTACHED: [&str; 5] = ["service", "socket", "target", "timer", "path"];
/// Directories that services have mounted, or that the default profile mounts.
const DIRECTORIES: [&str; 6] = ["/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp"];
/// Files that profiles mount.
const FILES: [&str; 2] = ["/etc/machine-id", "/etc/resolv.conf"];

/// Returns what unit names begin with: the name of the image up to a version.
fn prefix<'a>(subject: &Subject<'a>) -> &'a str {
    subject.plain_name().split('_').next().unwrap_or_default()
}

fn is_of(unit: &str, prefix: &str) -> bool {
    unit.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(['-', '.', '@']))
}

/// Returns the units of a portable service that can be attached.
fn services<'subject>(subject: &'subject Subject<'_>) -> impl Iterator<Item = &'subject Unit> {
    let of_class = subject.class == Class::Portable;
    subject
        .units()
        .iter()
        .filter(move |unit| of_class && is_of(&unit.name, prefix(subject)) && ATTACHED.contains(&unit.kind()))
}

pub(super) fn has_os_release(subject: &Subject<'_>, report: &mut Report) {
    let Some(tree) = subject.tree_of(Class::Portable) else { return };
    match os_release(tree) {
        None => report.whole("there is neither /etc/os-release nor /usr/lib/os-release"),
        Some(fields) if fields.get("ID").is_none_or(String::is_empty) => report.whole("its os-release has no `ID=`"),
        Some(_) => {}
    }
}

pub(super) fn has_units(subject: &Subject<'_>, report: &mut Report) {
    if subject.tree_of(Class::Portable).is_none() {
        return;
    }
    let prefix = prefix(subject);
    if services(subject).next().is_none() {
        report.whole(format!("there is no unit whose name begins with `{prefix}`"));
    }
    for unit in subject.units().iter().filter(|unit| is_of(&unit.name, prefix) && !ATTACHED.contains(&unit.kind())) {
        report.at(&unit.path, format!("a {} unit is not attached", unit.kind()));
    }
}

pub(super) fn prefixes(subject: &Subject<'_>, report: &mut Report) {
    let Some(fields) = subject.tree_of(Class::Portable).and_then(os_release) else { return };
    let prefix = prefix(subject);
    match fields.get("PORTABLE_PREFIXES") {
        None => report.warn(None, "os-release has no `PORTABLE_PREFIXES=`: any unit of the image may be attached"),
        Some(prefixes) if !prefixes.split_whitespace().any(|word| word == prefix || is_of(prefix, word)) => {
            report.whole(format!("`PORTABLE_PREFIXES={prefixes}` leaves out `{prefix}`"));
        }
        Some(_) => {}
    }
}

pub(super) fn mount_points(subject: &Subject<'_>, report: &mut Report) {
    let Some(tree) = subject.tree_of(Class::Portable) else { return };
    let kind = |path: &str| resolve(tree, &path.parse().ok()?).map(|(_, node)| node.kind.is_directory());
    for path in DIRECTORIES.iter().filter(|path| kind(path) != Some(true) && !has_below(tree, path)) {
        report.whole(format!("there is no directory `{path}`"));
    }
    for path in FILES.iter().filter(|path| kind(path) != Some(false)) {
        report.whole(format!("there is no file `{path}`"));
    }
}

fn has_below(tree: &Tree, path: &str) -> bool {
    path.parse::<TreePath>().is_ok_and(|path| tree.below(&path).next().is_some())
}

/// Directories that a service has made for it, and where they are mounted.
const MADE: [(&str, &str); 4] = [
    ("StateDirectory", "/var/lib"),
    ("CacheDirectory", "/var/cache"),
    ("LogsDirectory", "/var/log"),
    ("ConfigurationDirectory", "/etc"),
];

/// Settings whose paths must be there.
const MOUNTED: [&str; 5] = ["BindPaths", "BindReadOnlyPaths", "ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths"];

pub(super) fn unit_directories(subject: &Subject<'_>, report: &mut Report) {
    let Some(tree) = subject.tree_of(Class::Portable) else { return };
    for unit in services(subject) {
        let hidden: Vec<&str> = unit.values("Service", "TemporaryFileSystem");
        let hidden = |path: &str| hidden.iter().any(|entry| path.starts_with(entry.split(':').next().unwrap_or(entry)));
        let wanted = MADE.iter().flat_map(|(key, folder)| {
            let names = unit.values("Service", key);
            names
                .into_iter()
                .flat_map(str::split_whitespace)
                .map(move |name| (*key, format!("{folder}/{}", name.split(':').next().unwrap_or(name))))
        });
        let mounted = MOUNTED.iter().flat_map(|key| {
            let entries = unit.values("Service", key);
            entries
                .into_iter()
                .flat_map(str::split_whitespace)
                .filter_map(move |entry| target(key, entry).map(|path| (*key, path)))
        });
        for (key, path) in
            wanted.chain(mounted).filter(|(_, path)| !path.contains('%') && !hidden(path) && !exists(tree, path))
        {
            report.at(&unit.path, format!("`{key}=` needs `{path}` in the image"));
        }
    }
}

/// Returns the path in the image that an entry of a setting is about; one that may be missing is none.
fn target(key: &str, entry: &str) -> Option<String> {
    if entry.starts_with('-') && !key.starts_with("Bind") {
        return None;
    }
    let entry = entry.trim_start_matches(['-', '+']);
    let mut parts = entry.split(':');
    let source = parts.next()?;
    let path = if key.starts_with("Bind") { parts.next().unwrap_or(source) } else { source };
    path.starts_with('/').then(|| path.to_owned())
}

pub(super) fn machine_id(subject: &Subject<'_>, report: &mut Report) {
    let Some(tree) = subject.tree_of(Class::Portable) else { return };
    let Ok(path) = "/etc/machine-id".parse::<TreePath>() else { return };
    if let Some(Kind::Regular(content)) = tree.get(&path).map(|node| &node.kind)
        && content.length > 0
    {
        report.at(&path, "it is not empty");
    }
}

pub(super) fn nothing_attached(subject: &Subject<'_>, report: &mut Report) {
    let Some(tree) = subject.tree_of(Class::Portable) else { return };
    let prefix = prefix(subject);
    for (path, attached) in unit::attached(tree) {
        let parent = path.parent();
        let parent = parent.as_ref().and_then(TreePath::name).map(String::from_utf8_lossy).unwrap_or_default();
        let name = String::from_utf8_lossy(path.name().unwrap_or_default());
        let own = is_of(&parent, prefix) || is_of(&name, prefix);
        if own {
            let what = if matches!(attached, Attached::Link) { "a link" } else { "a drop-in" };
            report.at(path, format!("{what} is not copied"));
        }
    }
}

pub(super) fn users(subject: &Subject<'_>, report: &mut Report) {
    let Some(tree) = subject.tree_of(Class::Portable) else { return };
    let passwd = "/etc/passwd".parse().ok().and_then(|path| release::text_at(tree, &path)).unwrap_or_default();
    let known = |user: &str| passwd.lines().any(|line| line.split(':').next() == Some(user));
    for unit in services(subject).filter(|unit| !unit.is_on("DynamicUser")) {
        match unit.setting("User") {
            Some("nobody") => report.at(&unit.path, "it runs as `nobody`, whom others share"),
            Some(user) if user.parse::<u32>().is_err() && user != "root" && !user.contains('%') && !known(user) => {
                report.at(&unit.path, format!("the user `{user}` is not in the image"));
            }
            _ => {}
        }
    }
}

pub(super) fn programs(subject: &Subject<'_>, report: &mut Report) {
    let Some(tree) = subject.tree_of(Class::Portable) else { return };
    for unit in services(subject) {
        for key in ["ExecStartPre", "ExecStart", "ExecStartPost", "ExecReload", "ExecStop"] {
            for program in unit.values("Service", key).into_iter().filter_map(unit::program) {
                if program.starts_with('/') && !program.contains('%') && !exists(tree, program) {
                    report.at(&unit.path, format!("`{key}=` runs `{program}`, which is not in the image"));
                }
            }
        }
    }
    for binary in subject.binaries() {
        let missing = binary.interpreter.as_deref().filter(|loader| !exists(tree, loader));
        if let Some(loader) = missing {
            report.at(&binary.path, format!("it needs `{loader}`, which is not in the image"));
        }
    }
}

pub(super) fn profile(subject: &Subject<'_>, report: &mut Report) {
    if subject.tree_of(Class::Portable).is_none() {
        return;
    }
    let profile = subject.target.profile.as_str();
    let confined = profile != "trusted";
    for unit in services(subject).filter(|unit| unit.kind() == "service") {
        let families = unit.values("Service", "RestrictAddressFamilies").join(" ");
        let network = families.contains("AF_INET")
            || unit.values("Unit", "After").iter().any(|value| value.contains("network-online.target"));
        if matches!(profile, "strict" | "nonetwork") && network {
            report.at(&unit.path, format!("it wants the network, which the profile `{profile}` takes away"));
        }
        let tasks = unit.setting("TasksMax").and_then(|value| value.parse::<u64>().ok());
        if let Some(tasks) = tasks.filter(|tasks| profile == "strict" && *tasks > 4) {
            report.at(&unit.path, format!("it wants {tasks} tasks, the profile `strict` allows 4"));
        }
        if confined && unit.setting("MemoryDenyWriteExecute").is_some() && !unit.is_on("MemoryDenyWriteExecute") {
            report.at(&unit.path, format!("it makes code at run time, which the profile `{profile}` forbids"));
        }
        if confined && !unit.values("Service", "AmbientCapabilities").is_empty() && profile == "strict" {
            report.at(&unit.path, "it wants capabilities, which the profile `strict` takes away");
        }
    }
}

pub(super) fn scope(subject: &Subject<'_>, report: &mut Report) {
    let Some(fields) = subject.tree_of(Class::Portable).filter(|_| subject.target.user_services).and_then(os_release)
    else {
        return;
    };
    if !matches!(fields.get("PORTABLE_SCOPE").map(String::as_str), Some("user" | "any")) {
        report.whole("os-release has no `PORTABLE_SCOPE=user` or `any`");
    }
}
