//! SX: what is in an extension.

use super::subject::{Class, Subject};
use super::table::Report;
use crate::tree::{Kind, TreePath};

/// Directories of hosts that nothing else may stand for.
const DIRECTORIES: [&str; 21] = [
    "/usr",
    "/opt",
    "/etc",
    "/usr/lib",
    "/usr/lib64",
    "/usr/bin",
    "/usr/sbin",
    "/usr/share",
    "/usr/libexec",
    "/usr/include",
    "/usr/local",
    "/usr/lib/systemd",
    "/usr/lib/systemd/system",
    "/usr/lib/modules",
    "/usr/lib/udev",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib/riscv64-linux-gnu",
    "/etc/systemd",
    "/etc/systemd/system",
    "/etc/ssl",
];

/// Names at the top of a root file system that a merged /usr has as links.
const MERGED: [&[u8]; 4] = [b"bin", b"sbin", b"lib", b"lib64"];

/// Files that hosts cannot do without.
const BASE: [&str; 12] = [
    "/usr/lib/systemd/systemd",
    "/usr/bin/systemctl",
    "/usr/bin/sh",
    "/usr/bin/bash",
    "/usr/bin/mount",
    "/usr/bin/login",
    "/usr/sbin/init",
    "/etc/passwd",
    "/etc/shadow",
    "/etc/group",
    "/etc/fstab",
    "/etc/machine-id",
];

pub(super) fn in_hierarchies(subject: &Subject<'_>, report: &mut Report) {
    let Some(tree) = subject.extension() else { return };
    let allowed: &[&[u8]] = if subject.class == Class::Sysext { &[b"usr", b"opt"] } else { &[b"etc"] };
    let mut told: Option<&[u8]> = None;
    for (path, _) in tree.iter().filter(|(path, _)| !path.is_root()) {
        let top = path.as_bytes().split(|byte| *byte == b'/').next().unwrap_or_default();
        if !allowed.contains(&top) && told != Some(top) {
            told = Some(top);
            let Ok(path) = TreePath::from_relative(top) else { continue };
            report.at(&path, "it is not merged");
        }
    }
}

pub(super) fn directory_modes(subject: &Subject<'_>, report: &mut Report) {
    let Some(tree) = subject.extension() else { return };
    for (path, node) in tree.iter().filter(|(path, node)| node.kind.is_directory() && depth(path) > 1) {
        // What only the extension has may have any mode; what many share has one.
        if node.meta.mode != 0o755 && is_shared(path) {
            report.at(path, format!("its mode is {:04o}", node.meta.mode));
        }
    }
}

fn depth(path: &TreePath) -> usize {
    if path.is_root() { 0 } else { path.as_bytes().split(|byte| *byte == b'/').count() }
}

/// Tells whether hosts are likely to have a directory too: it is known, or lies near the top.
fn is_shared(path: &TreePath) -> bool {
    depth(path) <= 3 || DIRECTORIES.contains(&path.to_string().as_str())
}

pub(super) fn owners(subject: &Subject<'_>, report: &mut Report) {
    let Some(tree) = subject.extension() else { return };
    for (path, node) in tree.iter().filter(|(_, node)| (node.meta.uid, node.meta.gid) != (0, 0)) {
        let message = format!("it belongs to {}:{}", node.meta.uid, node.meta.gid);
        match node.kind {
            Kind::Directory { .. } if path.is_root() => {}
            Kind::Directory { .. } => report.at(path, message),
            Kind::Whiteout => {}
            _ => report.warn(Some(path), message),
        }
    }
}

pub(super) fn no_masking(subject: &Subject<'_>, report: &mut Report) {
    let Some(tree) = subject.extension() else { return };
    for name in DIRECTORIES {
        let Ok(path) = name.parse::<TreePath>() else { continue };
        let node = tree.get(&path).filter(|node| !node.kind.is_directory() && node.kind != Kind::Whiteout);
        if let Some(node) = node {
            report.at(&path, format!("it is a {}, where hosts have a directory", node.kind.word()));
        }
    }
}

pub(super) fn no_whiteouts(subject: &Subject<'_>, report: &mut Report) {
    let Some(tree) = subject.extension() else { return };
    for (path, node) in tree.iter() {
        let marker = path.name().is_some_and(|name| name.starts_with(b".wh."));
        match node.kind {
            Kind::Whiteout => report.at(path, "it removes a file of the host"),
            Kind::Directory { opaque: true } => report.at(path, "it hides the whole directory of the host"),
            _ if marker => report.at(path, "it is a removal of container layers, which means nothing here"),
            _ => {}
        }
    }
}

pub(super) fn no_base_paths(subject: &Subject<'_>, report: &mut Report) {
    let Some(tree) = subject.extension() else { return };
    for (path, node) in tree.iter().filter(|(_, node)| !node.kind.is_directory()) {
        let name = String::from_utf8_lossy(path.name().unwrap_or_default()).into_owned();
        let library = matches!(node.kind, Kind::Regular(_) | Kind::Symlink(_))
            && path.as_bytes().starts_with(b"usr/lib")
            && (name.starts_with("ld-linux") || name.starts_with("ld-musl") || name == "libc.so.6");
        if library || BASE.contains(&path.to_string().as_str()) {
            report.at(path, "hosts have this file themselves");
        }
    }
}

pub(super) fn no_local(subject: &Subject<'_>, report: &mut Report) {
    let Some(tree) = subject.tree_of(Class::Sysext) else { return };
    let Ok(local) = "/usr/local".parse::<TreePath>() else { return };
    if let Some((path, _)) = tree.below(&local).find(|(_, node)| !node.kind.is_directory()) {
        report.at(path, "it lies in /usr/local");
    }
    for top in ["/etc", "/var"] {
        let Ok(top) = top.parse::<TreePath>() else { continue };
        if let Some((path, _)) = tree.below(&top).find(|(_, node)| !node.kind.is_directory()) {
            report.at(path, format!("the extension seems to need it, but {top} is not merged"));
        }
    }
}

pub(super) fn nothing_to_run(subject: &Subject<'_>, report: &mut Report) {
    let Some(tree) = subject.tree_of(Class::Confext) else { return };
    for (path, node) in tree.iter() {
        let Kind::Regular(_) = node.kind else { continue };
        let bits = node.meta.mode;
        if bits & 0o6000 != 0 {
            report.at(path, "its setuid or setgid bit has no effect");
        } else if bits & 0o111 != 0 {
            report.at(path, "it cannot be executed from there");
        }
    }
}

pub(super) fn no_devices(subject: &Subject<'_>, report: &mut Report) {
    let Some(tree) = subject.extension() else { return };
    for (path, node) in tree.iter() {
        if matches!(node.kind, Kind::CharacterDevice(_) | Kind::BlockDevice(_) | Kind::Fifo | Kind::Socket) {
            report.at(path, format!("it is a {}", node.kind.word()));
        }
    }
}

/// Tells whether a tree looks like the content of /usr alone: what /usr has stands at its top, and no /usr.
pub(super) fn is_bare_usr(tree: &crate::tree::Tree) -> bool {
    let has = |name: &[u8]| tree.get(&TreePath::from_relative(name).unwrap_or_else(|_| TreePath::root()));
    let directory = |name: &[u8]| has(name).is_some_and(|node| node.kind.is_directory());
    has(b"usr").is_none()
        && has(b"etc").is_none()
        && MERGED.iter().any(|name| directory(name))
        && (directory(b"share") || directory(b"lib"))
}
