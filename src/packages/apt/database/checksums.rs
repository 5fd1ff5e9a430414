//! Checksums of files, as dpkg keeps them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;

use md5::{Digest as _, Md5};

use super::selection::Package;
use crate::fs;
use crate::packages::apt::archive::Item;
use crate::tree::{Content, Kind, TreePath};

/// Returns the MD5 of a file in hexadecimal digits.
pub(super) fn md5(content: &Content) -> Result<String, fs::Error> {
    let mut hasher = Md5::new();
    let mut reader = content.open()?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = reader.read(&mut buffer).map_err(fs::Error::on("read", content.source.path()))?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
    }
    let mut text = String::with_capacity(32);
    for byte in hasher.finalize() {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

/// Returns the file `md5sums` of a package that has none, as dpkg makes it while it unpacks: every file, by all its names, in
/// the order of the package.
pub(super) fn md5sums(package: &Package<'_>) -> Result<Vec<u8>, fs::Error> {
    let mut known: BTreeMap<&TreePath, String> = BTreeMap::new();
    let mut lines = Vec::new();
    for entry in &package.unpacked.entries {
        let sum = match &entry.item {
            Item::Node(Kind::Regular(content)) => md5(content)?,
            Item::Link(first) => match known.get(first) {
                Some(sum) => sum.clone(),
                None => continue,
            },
            Item::Node(_) => continue,
        };
        lines.extend(sum.bytes().chain(*b"  ").chain(entry.path.as_bytes().iter().copied()).chain(*b"\n"));
        known.insert(&entry.path, sum);
    }
    Ok(lines)
}
