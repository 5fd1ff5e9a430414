//! What this machine is, for who asks whether its mirrors are those of a distribution.
//!
//! Comes in: the root of the machine. Goes out: what its files say. Always holds: a file that cannot be read says nothing.

use std::path::Path;

use crate::fs;

/// The most bytes of one file that are looked at.
const LARGEST: usize = 1 << 20;

/// Returns what the machine below `root` says about itself (os-release(5)).
pub(super) fn release(root: &Path, key: &str) -> Option<String> {
    let text = ["etc/os-release", "usr/lib/os-release"].iter().find_map(|path| read(&root.join(path)))?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
    Some(line.trim().trim_matches(['"', '\'']).to_owned())
}

/// Reads a file of the machine; nothing when it cannot be read, or is too long.
pub(super) fn read(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    (text.len() <= LARGEST).then_some(text)
}
