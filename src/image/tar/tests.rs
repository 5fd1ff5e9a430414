//! Judged by GNU tar, which lists and unpacks what is written, and by the reader of this program.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use super::*;
use crate::tree::{DeviceNumber, diff, read_tar, scan};

fn path(text: &str) -> TreePath {
    text.parse().unwrap()
}

fn archive(tree: &Tree) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_tar(tree, &mut bytes).unwrap();
    bytes
}

fn read_back(bytes: &[u8]) -> Tree {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.tar");
    fs::write_atomic(&file, bytes).unwrap();
    read_tar(&file, folder.path()).unwrap()
}

fn gnu_tar(arguments: &[&str], directory: &Path) -> String {
    let output = Command::new("tar").env("LC_ALL", "C").current_dir(directory).args(arguments).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "tar {arguments:?}: {complaints}");
    String::from_utf8(output.stdout).unwrap()
}

/// A tree with everything that tar can hold; what only root can unpack is in it when `root` is.
fn everything(root: bool) -> Tree {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let mut tree = Tree::new();
    let mut add = |text: &str, mode, kind| {
        let mut meta = Meta { uid, gid, ..Meta::root_owned(mode, 1_000_000_000) };
        if root && text.contains("own") {
            (meta.uid, meta.gid) = (3_000_000, u32::MAX - 1);
        }
        tree.insert(path(text), Node { kind, meta }).unwrap();
    };
    let file = |bytes: &[u8]| Kind::Regular(Content::inline(bytes));
    let (a, b) = ("a".repeat(90), "b".repeat(200));
    add("/", 0o750, Kind::directory());
    for directory in ["/etc", &format!("/{a}"), &format!("/{a}/{a}"), &format!("/{a}/{b}")] {
        add(directory, 0o2755, Kind::directory());
    }
    for name in
        ["/empty", "/etc/own", "/etc-before-etc/", "/größe", &format!("/{a}/{a}/split"), &format!("/{a}/{b}/long")]
    {
        add(name.trim_end_matches('/'), 0o4755, file(name.strip_prefix("/empty").unwrap_or(name).as_bytes()));
    }
    add("/two-blocks", 0o600, file(&[b'x'; 513]));
    add("/link", 0o777, Kind::Symlink((*b"../etc/\xff").into()));
    add("/long-link", 0o777, Kind::Symlink("t/".repeat(400).into_bytes().into()));
    add("/pipe", 0o600, Kind::Fifo);
    if root {
        add("/null", 0o666, Kind::CharacterDevice(DeviceNumber { major: 1, minor: 3 }));
        add("/disk", 0o660, Kind::BlockDevice(DeviceNumber { major: 259, minor: 1_000_000 }));
    }
    tree.link(path("/alias"), &path("/etc/own")).unwrap();
    tree.link(path("/etc/again"), &path("/etc/own")).unwrap();
    let own = &mut tree.get_mut(&path("/etc/own")).unwrap().meta;
    own.xattrs.insert((*b"user.a=b%c d").into(), (*b"\0\n=\xff").into());
    own.xattrs.insert((*b"user.empty").into(), Box::default());
    if root {
        // CAP_NET_BIND_SERVICE, effective and permitted (capabilities(7), "File capability extended attribute versioning").
        own.xattrs
            .insert((*b"security.capability").into(), (*b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0").into());
    }
    tree.get_mut(&path("/empty")).unwrap().meta.mtime = -7;
    tree
}

#[test]
fn gnu_tar_unpacks_the_same_tree() {
    let folder = tempfile::tempdir().unwrap();
    let tree = everything(rustix::process::geteuid().is_root());
    fs::write_atomic(&folder.path().join("x.tar"), &archive(&tree)).unwrap();
    fs::create_directory(&folder.path().join("out")).unwrap();
    let unpack = [
        "--extract",
        "--file=x.tar",
        "--directory=out",
        "--same-permissions",
        "--numeric-owner",
        "--warning=no-timestamp",
    ];
    gnu_tar(&[&unpack[..], &["--xattrs", "--xattrs-include=*"]].concat(), folder.path());
    assert_eq!(diff(&tree, &scan(&folder.path().join("out")).unwrap()), []);
}

#[test]
fn the_reader_returns_the_same_tree() {
    let mut tree = everything(true);
    tree.insert(path("/etc/gone"), Node::whiteout()).unwrap();
    tree.insert(path("/gone"), Node::whiteout()).unwrap();
    tree.get_mut(&path("/etc")).unwrap().kind = Kind::Directory { opaque: true };
    tree.get_mut(&path("/")).unwrap().kind = Kind::Directory { opaque: true };
    tree.get_mut(&path("/pipe")).unwrap().meta.mtime = i64::MAX;
    assert_eq!(diff(&tree, &read_back(&archive(&tree))), []);
}

#[test]
fn the_listing_is_in_order_and_numeric() {
    let folder = tempfile::tempdir().unwrap();
    let mut tree = Tree::new();
    let mut add = |text: &str, mode, kind| {
        tree.insert(path(text), Node { kind, meta: Meta { uid: 7, gid: 8, ..Meta::root_owned(mode, 0) } }).unwrap();
    };
    add("/etc", 0o755, Kind::Directory { opaque: true });
    add("/etc/file", 0o640, Kind::Regular(Content::inline(&b"text"[..])));
    add("/etc-first", 0o777, Kind::Symlink((*b"etc").into()));
    tree.insert(path("/etc/gone"), Node::whiteout()).unwrap();
    tree.link(path("/zlink"), &path("/etc/file")).unwrap();
    let bytes = archive(&tree);
    assert_eq!(bytes.len(), (6 + 1 + 2) * 512, "six headers, one block of content, the end mark");
    fs::write_atomic(&folder.path().join("x.tar"), &bytes).unwrap();
    let listing = gnu_tar(&["--list", "--verbose", "--file=x.tar", "--utc", "--full-time"], folder.path());
    let lines: Vec<String> =
        listing.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        lines,
        [
            "drwxr-xr-x 7/8 0 1970-01-01 00:00:00 etc/",
            "-rw-r--r-- 0/0 0 1970-01-01 00:00:00 etc/.wh..wh..opq",
            "-rw-r----- 7/8 4 1970-01-01 00:00:00 etc/file",
            "-rw-r--r-- 0/0 0 1970-01-01 00:00:00 etc/.wh.gone",
            "lrwxrwxrwx 7/8 0 1970-01-01 00:00:00 etc-first -> etc",
            "hrw-r----- 7/8 0 1970-01-01 00:00:00 zlink link to etc/file",
        ]
    );
}

#[test]
fn a_selection_links_to_its_own_first_name() {
    let mut tree = everything(true);
    tree.remove(&path("/größe"));
    let mut bytes = Vec::new();
    write_tar_selected(&tree, &mut bytes, |path, node| path.name() != Some(b"alias") && node.kind != Kind::Fifo)
        .unwrap();
    tree.remove(&path("/alias"));
    tree.remove(&path("/pipe"));
    assert_eq!(diff(&tree, &read_back(&bytes)), []);
}

#[test]
fn large_sizes_are_told_in_an_extended_header() {
    let meta = Meta::root_owned(0o644, 0);
    let bytes = Entry::new(b'0', b"large", &meta).with_size(1 << 40).to_bytes();
    assert_eq!(&bytes[512..512 + 22], b"22 size=1099511627776\n");
}

#[test]
fn content_that_changed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write_atomic(&file, b"content").unwrap();
    let content = Content::of_file(Arc::from(file.as_path())).unwrap();
    let mut tree = Tree::new();
    let node = Node { kind: Kind::Regular(content), meta: Meta::root_owned(0o644, 0) };
    tree.insert(path("/etc/file"), node).unwrap();
    for changed in [&b"contenT"[..], b"short"] {
        fs::write_atomic(&file, changed).unwrap();
        let error = write_tar(&tree, &mut Vec::new()).unwrap_err();
        assert!(matches!(&error, WriteTarError::Changed { path } if path.to_string() == "/etc/file"), "{error}");
    }
    fs::write_atomic(&file, b"content").unwrap();
    write_tar(&tree, &mut Vec::new()).unwrap();
    fs::remove_file(&file).unwrap();
    let error = write_tar(&tree, &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "cannot write `/etc/file` into the archive");
}

#[test]
fn what_tar_cannot_hold_is_refused() {
    let device = |minor| Kind::BlockDevice(DeviceNumber { major: 1, minor });
    for (name, kind, reason) in [
        ("/run/socket", Kind::Socket, "a socket cannot be archived; remove it, its program makes it when it starts"),
        ("/dev/disk", device(1 << 21), "its device number has a part of more than 21 bits"),
        ("/etc/.wh.x", Kind::Fifo, "a name that begins with `.wh.` means a removal there; give it another name"),
        ("/link", Kind::Symlink(Box::default()), "the target of the symbolic link is empty or has a zero byte in it"),
        ("/", Kind::Fifo, "the root of a tree must be a directory"),
    ] {
        let mut tree = Tree::new();
        tree.insert(path(name), Node { kind, meta: Meta::root_owned(0o644, 0) }).unwrap();
        let error = write_tar(&tree, &mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot write `{name}` into the archive: {reason}"));
    }
    let mut tree = Tree::new();
    tree.insert(path("/dev/disk"), Node { kind: device((1 << 21) - 1), meta: Meta::root_owned(0o644, 0) }).unwrap();
    assert_eq!(diff(&tree, &read_back(&archive(&tree))), []);
}
