//! HY: what belongs into no image of a whole root filesystem, because everybody who has the image has it then.

use super::release::text_of;
use super::subject::{Class, Subject};
use super::table::Report;
use crate::tree::{Kind, Node, Tree, TreePath};

/// Where programs and scripts put keys.
const PLACES: [&[u8]; 6] = [b"etc/", b"home/", b"opt/", b"root/", b"srv/", b"var/lib/"];
/// Where programs are.
const PROGRAMS: [&[u8]; 13] = [
    b"bin/",
    b"lib/",
    b"lib64/",
    b"opt/",
    b"sbin/",
    b"usr/bin/",
    b"usr/games/",
    b"usr/lib/",
    b"usr/lib32/",
    b"usr/lib64/",
    b"usr/libexec/",
    b"usr/local/",
    b"usr/sbin/",
];
/// The bits that change who runs a program.
const SETUID_SETGID: u16 = 0o6000;
/// The most bytes of a file with a key.
const KEY_BYTES: u64 = 64 * 1024;

/// Returns the tree when it is that of a whole system.
fn system<'a>(subject: &Subject<'a>) -> Option<&'a Tree> {
    subject.tree.filter(|_| matches!(subject.class, Class::Portable | Class::Oci))
}

fn is_file(node: &Node) -> bool {
    matches!(&node.kind, Kind::Regular(content) if content.length > 0)
}

fn is_host_key(path: &TreePath) -> bool {
    let name = path.as_bytes().strip_prefix(b"etc/ssh/ssh_host_");
    name.is_some_and(|name| name.ends_with(b"_key"))
}

pub(super) fn no_private_keys(subject: &Subject<'_>, report: &mut Report) {
    let Some(tree) = system(subject) else { return };
    for (path, node) in tree.iter() {
        let Kind::Regular(content) = &node.kind else { continue };
        let place = PLACES.iter().any(|place| path.as_bytes().starts_with(place));
        if !place || is_host_key(path) || content.length < 64 || content.length > KEY_BYTES {
            continue;
        }
        let is_key = |line: &str| line.starts_with("-----BEGIN ") && line.trim_end().ends_with("PRIVATE KEY-----");
        if text_of(node).is_some_and(|text| text.lines().any(is_key)) {
            report.at(path, "it is a private key");
        }
    }
}

pub(super) fn no_host_keys(subject: &Subject<'_>, report: &mut Report) {
    let Some(tree) = system(subject) else { return };
    for (path, node) in tree.iter().filter(|(path, _)| is_host_key(path)) {
        if is_file(node) {
            report.at(path, "it is the key of a host");
        }
    }
}

pub(super) fn no_databases(subject: &Subject<'_>, report: &mut Report) {
    let Some(tree) = system(subject) else { return };
    for (path, node) in tree.iter() {
        let bytes = path.as_bytes();
        let cluster = bytes.starts_with(b"var/lib/postgresql/") && bytes.ends_with(b"/PG_VERSION");
        let first_parts = bytes.iter().filter(|&&byte| byte == b'/').count() <= 5;
        if is_file(node) && ((cluster && first_parts) || bytes == b"var/lib/mysql/ibdata1") {
            report.at(path, "it is of a database that was made with the image");
        }
    }
}

pub(super) fn no_secrets(subject: &Subject<'_>, report: &mut Report) {
    let Some(tree) = system(subject) else { return };
    for (path, node) in tree.iter().filter(|(_, node)| is_file(node)) {
        let has = |begin: &str| {
            let value = |line: &str| line.trim().strip_prefix(begin).is_some_and(|rest| !rest.trim().is_empty());
            text_of(node).is_some_and(|text| text.lines().any(value))
        };
        let found = match path.as_bytes() {
            b"var/cache/debconf/passwords.dat" => has("Value:"),
            b"etc/mysql/debian.cnf" => has("password ="),
            b"etc/bind/rndc.key" | b"var/lib/systemd/credential.secret" => true,
            _ => false,
        };
        if found {
            report.at(path, "it holds a secret");
        }
    }
}

pub(super) fn no_identity(subject: &Subject<'_>, report: &mut Report) {
    let Some(tree) = system(subject) else { return };
    for path in ["etc/machine-id", "var/lib/dbus/machine-id", "var/lib/systemd/random-seed"] {
        let Ok(path) = TreePath::from_relative(path.as_bytes()) else { continue };
        let Some(node) = tree.get(&path).filter(|node| is_file(node)) else { continue };
        if text_of(node).is_none_or(|text| text.trim() != "uninitialized") {
            report.at(&path, "it is what one machine knows itself by");
        }
    }
}

/// Returns the programs that run as their owner or group.
fn setuid_programs(tree: &Tree) -> impl Iterator<Item = (&TreePath, &Node)> {
    tree.iter().filter(|(_, node)| matches!(node.kind, Kind::Regular(_)) && node.meta.mode & SETUID_SETGID != 0)
}

/// Tells whether somebody else than root may write.
fn is_writable(node: &Node) -> bool {
    node.meta.mode & 0o002 != 0 || node.meta.mode & 0o020 != 0 && node.meta.gid != 0
}

pub(super) fn no_writable_setuid(subject: &Subject<'_>, report: &mut Report) {
    let Some(tree) = system(subject) else { return };
    for (path, node) in setuid_programs(tree) {
        let folder = path.parent().and_then(|parent| tree.get(&parent));
        // Where only owners remove what is theirs, nobody puts another one in its place.
        let is_open = folder.is_some_and(|folder| is_writable(folder) && folder.meta.mode & 0o1000 == 0);
        if is_writable(node) || is_open {
            report.at(path, format!("it has the mode {:04o}, and others may write to it", node.meta.mode));
        }
    }
}

pub(super) fn setuid_among_programs(subject: &Subject<'_>, report: &mut Report) {
    let Some(tree) = system(subject) else { return };
    for (path, node) in setuid_programs(tree) {
        if !PROGRAMS.iter().any(|place| path.as_bytes().starts_with(place)) {
            report.at(path, format!("it has the mode {:04o}", node.meta.mode));
        }
    }
}
