//! FS: the file system of an image.

use super::subject::Subject;
use super::table::Report;
use crate::image::read::FileSystemKind;

/// File systems that systemd mounts by itself (253 and later).
const MOUNTED: [FileSystemKind; 6] = [
    FileSystemKind::Btrfs,
    FileSystemKind::Erofs,
    FileSystemKind::Ext4,
    FileSystemKind::F2fs,
    FileSystemKind::Squashfs,
    FileSystemKind::Xfs,
];

/// Since which kernel features and codecs of EROFS and squashfs are read.
const SINCE: [(FileSystemKind, &str, (u32, u32)); 14] = [
    (FileSystemKind::Erofs, "lz4", (5, 4)),
    (FileSystemKind::Erofs, "big-pcluster", (5, 13)),
    (FileSystemKind::Erofs, "chunked-file", (5, 15)),
    (FileSystemKind::Erofs, "device-table", (5, 16)),
    (FileSystemKind::Erofs, "lzma", (5, 16)),
    (FileSystemKind::Erofs, "ztailpacking", (5, 17)),
    (FileSystemKind::Erofs, "fragments", (6, 1)),
    (FileSystemKind::Erofs, "xattr-prefixes", (6, 4)),
    (FileSystemKind::Erofs, "deflate", (6, 6)),
    (FileSystemKind::Erofs, "zstd", (6, 10)),
    (FileSystemKind::Erofs, "48bit", (6, 15)),
    (FileSystemKind::Erofs, "metabox", (6, 17)),
    (FileSystemKind::Squashfs, "lz4", (3, 19)),
    (FileSystemKind::Squashfs, "zstd", (4, 14)),
];

pub(super) fn is_mountable(subject: &Subject<'_>, report: &mut Report) {
    let Some(system) = subject.file_system else { return };
    if !MOUNTED.contains(&system.kind) && !matches!(system.kind, FileSystemKind::Vfat | FileSystemKind::Luks) {
        report.whole(format!("it is {}, which systemd does not mount by itself", system.kind.name()));
    }
    let Some(kernel) = subject.target.kernel else { return };
    for name in system.codecs.iter().chain(&system.features) {
        let since = SINCE.iter().find(|(kind, feature, _)| *kind == system.kind && feature == name);
        if let Some((.., since)) = since.filter(|(.., since)| *since > kernel) {
            let (needs, has) = (format!("{}.{}", since.0, since.1), format!("{}.{}", kernel.0, kernel.1));
            report
                .warn(None, format!("{} `{name}` needs Linux {needs}, the oldest kernel is {has}", system.kind.name()));
        }
    }
}

pub(super) fn block_size(subject: &Subject<'_>, report: &mut Report) {
    let erofs = subject.file_system.filter(|system| system.kind == FileSystemKind::Erofs);
    if let Some(system) = erofs.filter(|system| system.block_size != 4096) {
        report.whole(format!("its blocks have {} bytes", system.block_size));
    }
}

/// How much later than its newest file a file system may have been made, in seconds, before the clock is to blame.
const LATER: i64 = 60;

pub(super) fn is_reproducible(subject: &Subject<'_>, report: &mut Report) {
    let Some((system, tree)) = subject.file_system.zip(subject.tree).filter(|_| subject.target.reproducible) else {
        return;
    };
    let newest = tree.iter().map(|(_, node)| node.meta.mtime).max().unwrap_or(0);
    if let Some(created) = system.created.filter(|created| *created > newest.saturating_add(LATER)) {
        report.whole(format!("it was made at {created}, after its newest file ({newest}): by the clock"));
    }
}

pub(super) fn is_labelled(subject: &Subject<'_>, report: &mut Report) {
    let Some(system) = subject.file_system.filter(|_| subject.target.selinux && subject.tree.is_some()) else { return };
    if !system.labelled {
        report.whole("no file has an SELinux label");
    }
}
