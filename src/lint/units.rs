//! SX18 to SX20, SX25 and UN: units, users and temporary files.

use super::exposure::assess;
use super::release::{text_at, text_of};
use super::subject::{Class, Subject};
use super::table::Report;
use super::unit::{self, Attached, Unit};
use crate::tree::{Tree, TreePath};

fn is_true(value: Option<&String>) -> bool {
    matches!(value.map(|value| value.to_ascii_lowercase()).as_deref(), Some("1" | "yes" | "true" | "on" | "y" | "t"))
}

pub(super) fn reloads(subject: &Subject<'_>, report: &mut Report) {
    let (Class::Sysext, Some(file)) = (subject.class, subject.release()) else { return };
    let reloads = is_true(file.fields.get("EXTENSION_RELOAD_MANAGER"))
        || ["EXTENSION_RESTART_UNITS", "EXTENSION_RELOAD_OR_RESTART_UNITS"]
            .iter()
            .any(|key| file.fields.contains_key(*key));
    if let Some(unit) = subject.units().first().filter(|_| !reloads) {
        report.at(&file.path, format!("there is `{}`, but no `EXTENSION_RELOAD_MANAGER=1`", unit.name));
    }
}

pub(super) fn are_pulled_in(subject: &Subject<'_>, report: &mut Report) {
    let Some(tree) = subject.tree_of(Class::Sysext) else { return };
    let attached = unit::attached(tree);
    let pulled = |name: &str| {
        attached.iter().any(|(path, attached)| match attached {
            Attached::Link => path.name() == Some(name.as_bytes()),
            Attached::DropIn(assignments) => assignments.iter().any(|found| {
                ["Upholds", "Wants", "Requires"].contains(&found.key.as_str())
                    && found.value.split_whitespace().any(|word| word == name)
            }),
        })
    };
    let inside = |name: &str| {
        let keys = ["Upholds", "Wants", "Requires", "BindsTo"];
        let others = subject.units().iter().filter(|unit| unit.name != name);
        others
            .flat_map(|unit| keys.iter().flat_map(|key| unit.values("Unit", key)))
            .any(|value| value.split_whitespace().any(|word| word == name))
    };
    let activated = |unit: &Unit| {
        let stem = unit.name.rsplit_once('.').map_or("", |(stem, _)| stem);
        ["socket", "timer", "path"]
            .iter()
            .any(|kind| subject.units().iter().any(|other| other.name == format!("{stem}.{kind}")))
    };
    for unit in subject.units() {
        let installs = unit.assignments.iter().any(|found| {
            found.section == "Install" && ["WantedBy", "RequiredBy", "UpheldBy"].contains(&found.key.as_str())
        });
        let by_other = unit.kind() == "service" && activated(unit);
        if installs && !pulled(&unit.name) && !inside(&unit.name) && !by_other {
            report.at(&unit.path, "only its [Install] section asks for it");
        }
    }
}

pub(super) fn need_no_accounts(subject: &Subject<'_>, report: &mut Report) {
    let Some(tree) = subject.tree_of(Class::Sysext) else { return };
    let accounts: Vec<String> =
        declared(tree, "sysusers.d").flat_map(|(_, line)| fields(&line).get(1).cloned()).collect();
    let directories: Vec<String> =
        declared(tree, "tmpfiles.d").flat_map(|(_, line)| fields(&line).get(1).cloned()).collect();
    for unit in subject.units() {
        let user = unit.setting("User").filter(|user| accounts.iter().any(|account| account == user));
        if let Some(user) = user.filter(|_| !unit.is_on("DynamicUser")) {
            report.at(&unit.path, format!("it needs the user `{user}`, which is made at boot only"));
        }
        let path = directories.iter().filter(|path| path.starts_with("/var") || path.starts_with("/run"));
        if let Some(path) = path.into_iter().find(|path| unit.text.contains(path.as_str())) {
            report.at(&unit.path, format!("it needs `{path}`, which is made at boot only"));
        }
    }
}

pub(super) fn restarted_are_units(subject: &Subject<'_>, report: &mut Report) {
    let Some(file) = subject.release() else { return };
    for key in ["EXTENSION_RESTART_UNITS", "EXTENSION_RELOAD_OR_RESTART_UNITS"] {
        let Some(value) = file.fields.get(key) else { continue };
        for name in value.split_whitespace().filter(|name| !unit::is_name(name)) {
            report.at(&file.path, format!("`{name}` in `{key}=` is no name of a unit"));
        }
        if subject.target.systemd < 262 {
            report.warn(Some(&file.path), format!("systemd {} does not read `{key}=`", subject.target.systemd));
        }
    }
}

/// Settings of services and since which systemd there are.
const SINCE: [(&str, u32); 36] = [
    ("RootImage", 233),
    ("DynamicUser", 232),
    ("PrivateUsers", 232),
    ("ProtectKernelTunables", 232),
    ("ProtectKernelModules", 232),
    ("ProtectControlGroups", 232),
    ("RemoveIPC", 232),
    ("RestrictNamespaces", 233),
    ("RestrictRealtime", 231),
    ("LockPersonality", 235),
    ("KeyringMode", 235),
    ("IPAddressDeny", 235),
    ("IPAddressAllow", 235),
    ("StateDirectory", 235),
    ("TemporaryFileSystem", 238),
    ("PrivateMounts", 239),
    ("ProtectHostname", 242),
    ("RestrictSUIDSGID", 242),
    ("ProtectKernelLogs", 244),
    ("ProtectClock", 245),
    ("RootHash", 246),
    ("SystemCallLog", 247),
    ("ProtectProc", 247),
    ("ProcSubset", 247),
    ("MountImages", 247),
    ("LoadCredential", 247),
    ("PrivateIPC", 248),
    ("ExtensionImages", 248),
    ("SocketBindDeny", 249),
    ("RestrictFileSystems", 250),
    ("RestrictNetworkInterfaces", 250),
    ("ExtensionDirectories", 251),
    ("ImportCredential", 254),
    ("RootEphemeral", 254),
    ("PrivatePIDs", 257),
    ("BindLogSockets", 257),
];

/// Settings that are younger than the table above has room for.
const YOUNGEST: [(&str, u32); 5] = [
    ("PrivateBPF", 258),
    ("DelegateNamespaces", 258),
    ("RootMStack", 260),
    ("RootImagePolicy", 254),
    ("ExtensionImagePolicy", 254),
];

pub(super) fn directives(subject: &Subject<'_>, report: &mut Report) {
    let systemd = subject.target.systemd;
    for unit in subject.units() {
        for assignment in unit.assignments.iter().filter(|found| found.section == "Service") {
            let since = SINCE.iter().chain(&YOUNGEST).find(|(name, _)| *name == assignment.key);
            if let Some((name, since)) = since.filter(|(_, since)| *since > systemd) {
                report.at(&unit.path, format!("`{name}=` is there since systemd {since}, the oldest is {systemd}"));
            }
        }
        // Upheld units came with 249.
        let upholds = unit.assignments.iter().any(|found| found.section == "Unit" && found.key == "Upholds");
        if upholds && systemd < 249 {
            report.at(&unit.path, format!("`Upholds=` is there since systemd 249, the oldest is {systemd}"));
        }
    }
}

pub(super) fn exposure(subject: &Subject<'_>, report: &mut Report) {
    let Some((tree, most)) = subject.tree.zip(subject.target.exposure) else { return };
    for unit in subject.units().iter().filter(|unit| unit.kind() == "service") {
        let folder = format!("{}.d", unit.name);
        let own = |path: &&TreePath| path.parent().is_some_and(|parent| parent.name() == Some(folder.as_bytes()));
        let drop_ins = tree.iter().map(|(path, _)| path).filter(own);
        let texts: Vec<String> = drop_ins.filter_map(|path| text_at(tree, path)).collect();
        match assess(&unit.text, texts.iter().map(String::as_str)) {
            Ok(found) if found.tenths > most => {
                let tenths = |value: u32| format!("{}.{}", value / 10, value % 10);
                report.at(&unit.path, format!("its exposure is {}, {} is wanted", tenths(found.tenths), tenths(most)));
            }
            Ok(_) => {}
            Err(refused) => report.at(&unit.path, refused.to_string()),
        }
    }
}

pub(super) fn declarations(subject: &Subject<'_>, report: &mut Report) {
    let Some(tree) = subject.tree else { return };
    for (path, line) in declared(tree, "sysusers.d") {
        if let Some(wrong) = sysusers_fault(&fields(&line), subject.target.systemd) {
            report.at(&path, format!("`{line}`: {wrong}"));
        }
    }
    for (path, line) in declared(tree, "tmpfiles.d") {
        if let Some(wrong) = tmpfiles_fault(&fields(&line)) {
            report.at(&path, format!("`{line}`: {wrong}"));
        }
    }
}

/// Returns the lines of every file of a folder of declarations that say something.
fn declared<'tree>(tree: &'tree Tree, folder: &str) -> impl Iterator<Item = (TreePath, String)> + 'tree {
    let folders = [format!("/usr/lib/{folder}"), format!("/etc/{folder}")];
    let files = folders.into_iter().filter_map(|folder| folder.parse::<TreePath>().ok()).flat_map(|folder| {
        let files = tree.below(&folder).filter(|(path, _)| path.as_bytes().ends_with(b".conf"));
        files.filter_map(|(path, node)| Some((path.clone(), text_of(node)?))).collect::<Vec<_>>()
    });
    files.flat_map(|(path, text)| {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(|line| (path.clone(), line.to_owned())).collect::<Vec<_>>()
    })
}

/// Splits a line at white space; quotes hold words together.
fn fields(line: &str) -> Vec<String> {
    let mut fields = Vec::new();
    let mut field = String::new();
    let (mut quote, mut begun) = (None, false);
    for letter in line.chars() {
        match quote {
            Some(open) if letter == open => quote = None,
            None if letter == '"' || letter == '\'' => (quote, begun) = (Some(letter), true),
            None if letter.is_whitespace() => {
                if begun {
                    fields.push(std::mem::take(&mut field));
                }
                begun = false;
            }
            _ => {
                field.push(letter);
                begun = true;
            }
        }
    }
    if begun {
        fields.push(field);
    }
    fields
}

/// Says what is wrong with a line of sysusers.d(5).
fn sysusers_fault(fields: &[String], systemd: u32) -> Option<String> {
    let (kind, name) = (fields.first()?.as_str(), fields.get(1).map(String::as_str).unwrap_or_default());
    match kind {
        "u!" if systemd < 257 => return Some(format!("`u!` is there since systemd 257, the oldest is {systemd}")),
        "u" | "u!" | "g" | "m" | "r" => {}
        other => return Some(format!("`{other}` is no type of line")),
    }
    if kind != "r" && !is_account(name) && !name.contains('%') {
        return Some(format!("`{name}` is no name of a user or group"));
    }
    let id = fields.get(2).map(String::as_str).unwrap_or("-");
    let number = |text: &str| text.parse::<u32>().is_ok_and(|id| id != 65535 && id != u32::MAX);
    let valid = match kind {
        "m" => is_account(id) || id.contains('%'),
        "r" => name == "-" && id.split('-').all(number),
        _ => {
            id == "-"
                || id.starts_with('/')
                || id.contains('%')
                || id.split(':').all(|part| number(part) || part == "-" || is_account(part))
        }
    };
    let most = if kind.starts_with('u') { 6 } else { 3 };
    if !valid {
        Some(format!("`{id}` is no id"))
    } else if fields.len() > most && fields[most..].iter().any(|field| field != "-") {
        Some("there are too many fields".into())
    } else {
        None
    }
}

fn is_account(name: &str) -> bool {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    (1..=31).contains(&name.len())
        && name.chars().all(allowed)
        && !name.starts_with(|letter: char| letter.is_ascii_digit() || letter == '-')
}

/// Types of lines of tmpfiles.d(5).
const TMPFILES: &str = "fwdDevqQpLcbCxXrRzZtThHaAK";

/// Says what is wrong with a line of tmpfiles.d(5).
fn tmpfiles_fault(fields: &[String]) -> Option<String> {
    let kind = fields.first()?;
    let mut letters = kind.chars();
    let known = letters.next().is_some_and(|letter| TMPFILES.contains(letter) || letter == 'k');
    if !known || letters.any(|letter| !"+!-=~^$?".contains(letter)) {
        return Some(format!("`{kind}` is no type of line"));
    }
    let path = fields.get(1).map(String::as_str).unwrap_or_default();
    if !path.starts_with(['/', '%']) {
        return Some(format!("`{path}` is no absolute path"));
    }
    let mode = fields.get(2).map(String::as_str).unwrap_or("-").trim_start_matches(['~', ':']);
    if mode != "-" && (u16::from_str_radix(mode, 8).is_err() || mode.len() > 5) && !"aAtThH".contains(&kind[..1]) {
        return Some(format!("`{mode}` is no mode"));
    }
    None
}
