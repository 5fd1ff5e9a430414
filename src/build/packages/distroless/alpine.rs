//! What goes of Alpine and its derivatives: apk, busybox with the names it stands behind, shells. `lib/apk/db/installed` stays,
//! without the records of what is gone, and `etc/apk/repositories`, by which scanners know the branch.

use super::{Gone, Lists};
use crate::build::packages::PackagesError;
use crate::tree::{Content, Kind, Node, Tree, TreePath};

pub(super) const GONE: Gone = Gone {
    packages: &[
        "alpine-keys",
        "apk-tools",
        "apk-tools-static",
        "bash",
        "busybox",
        "busybox-binsh",
        "busybox-extras",
        "busybox-static",
        "busybox-suid",
        "dash",
        "dash-binsh",
        "fish",
        "libapk",
        "libapk2",
        "loksh",
        "mksh",
        "oksh",
        "ssl_client",
        "tcsh",
        "toybox",
        "yash",
        "yash-binsh",
        "zsh",
    ],
    directories: &["/etc/apk", "/etc/busybox-paths.d", "/lib/apk", "/usr/lib/apk", "/usr/share/apk", "/var/cache/apk"],
};
/// The most bytes of a list.
const LIST_BYTES: usize = 256 << 20;

/// Returns the list of packages without those that go, and the list of repositories.
pub(super) fn lists(tree: &Tree) -> Result<Lists, PackagesError> {
    let mut lists = Lists::new();
    for path in ["/lib/apk/db/installed", "/etc/apk/repositories"] {
        let Some(path) = tree.follow(&path.parse::<TreePath>()?) else { continue };
        let Some(Node { kind: Kind::Regular(content), meta }) = tree.get(&path) else { continue };
        let content = match path.name() {
            Some(b"installed") => Content::inline(staying(&content.read(LIST_BYTES)?.unwrap_or_default())),
            _ => content.clone(),
        };
        lists.push((path, Node { kind: Kind::Regular(content), meta: meta.clone() }));
    }
    Ok(lists)
}

/// Returns the records of packages that stay, each with the blank line that ends it.
fn staying(records: &[u8]) -> Vec<u8> {
    let (mut staying, mut record, mut is_gone) = (Vec::new(), Vec::new(), false);
    for line in records.split_inclusive(|&byte| byte == b'\n') {
        record.extend_from_slice(line);
        if let Some(name) = line.strip_prefix(b"P:") {
            is_gone = GONE.has(String::from_utf8_lossy(name).trim_end());
        }
        if line == b"\n" {
            staying.extend(record.drain(..).filter(|_| !is_gone));
            is_gone = false;
        }
    }
    if !is_gone {
        staying.append(&mut record);
    }
    staying
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_what_stays_are_as_they_were() {
        let records = "C:Q1a\nP:a\nV:1\nF:bin\nR:P:busybox\n\nP:busybox\nV:1\n\nP:busybox-not\n\nP:zsh\nV:2\n";
        let expected = "C:Q1a\nP:a\nV:1\nF:bin\nR:P:busybox\n\nP:busybox-not\n\n";
        assert_eq!(String::from_utf8(staying(records.as_bytes())).unwrap(), expected);
        assert_eq!(staying(b"P:a\n"), b"P:a\n");
        assert_eq!(staying(b""), b"");
    }
}
