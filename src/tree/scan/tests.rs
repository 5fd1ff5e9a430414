use std::os::unix::fs::{PermissionsExt, symlink};

use rustix::fs::{FileType, XattrFlags};

use super::*;

fn path(text: &str) -> TreePath {
    text.parse().unwrap()
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write_atomic(path, bytes).unwrap();
}

fn set_xattr(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
}

fn make(path: &Path, kind: FileType, device: u64) -> rustix::io::Result<()> {
    rustix::fs::mknodat(CWD, path, kind, Mode::from_raw_mode(0o640), device)
}

#[test]
fn takes_a_directory_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_directory(&root.join("etc/empty")).unwrap();
    write(&root.join("etc/file"), b"text");
    std::fs::set_permissions(root.join("etc/file"), PermissionsExt::from_mode(0o4751)).unwrap();
    set_xattr(&root.join("etc/file"), "user.note", &[7; 2000]);
    std::fs::hard_link(root.join("etc/file"), root.join("etc/alias")).unwrap();
    symlink("/nowhere/../else", root.join("link")).unwrap();
    make(&root.join("pipe"), FileType::Fifo, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();

    let tree = scan(root).unwrap();
    let paths: Vec<String> = tree.iter().map(|(path, _)| path.to_string()).collect();
    assert_eq!(paths, ["/", "/etc", "/etc/alias", "/etc/empty", "/etc/file", "/link", "/pipe", "/socket"]);
    let file = tree.get(&path("/etc/file")).unwrap();
    let stat = fs::lstat(&root.join("etc/file")).unwrap();
    assert_eq!(file.kind, Kind::Regular(Content::inline(&b"text"[..])));
    assert_eq!((file.meta.mode, file.meta.uid, file.meta.mtime), (0o4751, stat.uid(), stat.mtime()));
    assert_eq!(file.meta.xattrs.get(&b"user.note"[..]).map(|value| value.len()), Some(2000), "beyond the usual room");
    assert_eq!(tree.id(&path("/etc/file")), tree.id(&path("/etc/alias")));
    assert_eq!(tree.get(&path("/link")).unwrap().kind, Kind::Symlink((*b"/nowhere/../else").into()));
    assert_eq!(tree.get(&path("/pipe")).unwrap().kind, Kind::Fifo);
    assert_eq!(tree.get(&path("/socket")).unwrap().kind, Kind::Socket);
    assert_eq!(crate::tree::diff(&tree, &scan(root).unwrap()), [], "and the same again");
}

#[test]
fn links_to_directories_are_not_followed_but_the_given_one_is() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_directory(&folder.path().join("real/inner")).unwrap();
    symlink(folder.path(), folder.path().join("real/out")).unwrap();
    symlink("real", folder.path().join("entrance")).unwrap();
    let tree = scan(&folder.path().join("entrance")).unwrap();
    let kinds: Vec<_> = tree.iter().map(|(path, node)| format!("{path} {}", node.kind.word())).collect();
    assert_eq!(kinds, ["/ directory", "/inner directory", "/out symlink"]);
}

#[test]
fn overlay_marks_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_directory(&root.join("opaque")).unwrap();
    set_xattr(&root.join("opaque"), "user.overlay.opaque", b"y");
    write(&root.join("gone"), b"");
    set_xattr(&root.join("gone"), "user.overlay.whiteout", b"y");
    let tree = scan(root).unwrap();
    assert_eq!(tree.get(&path("/opaque")).unwrap().kind, Kind::Directory { opaque: true });
    assert!(tree.get(&path("/opaque")).unwrap().meta.xattrs.is_empty());
    assert_eq!(tree.get(&path("/gone")), Some(&Node::whiteout()));

    set_xattr(&root.join("opaque"), "user.overlay.redirect", b"/old");
    let error = scan(root).unwrap_err();
    assert!(matches!(&error, ScanError::Incomplete { path, .. } if path.ends_with("opaque")), "{error}");
}

#[test]
fn devices_are_taken_by_number() {
    let folder = tempfile::tempdir().unwrap();
    let null = folder.path().join("null");
    if make(&null, FileType::CharacterDevice, rustix::fs::makedev(1, 3)).is_err() {
        return; // Only root makes devices, and not everywhere.
    }
    make(&folder.path().join("disk"), FileType::BlockDevice, rustix::fs::makedev(7, 1000)).unwrap();
    make(&folder.path().join("gone"), FileType::CharacterDevice, 0).unwrap();
    let tree = scan(folder.path()).unwrap();
    let kind = |text| tree.get(&path(text)).unwrap().kind.clone();
    assert_eq!(kind("/null"), Kind::CharacterDevice(DeviceNumber { major: 1, minor: 3 }));
    assert_eq!(kind("/disk"), Kind::BlockDevice(DeviceNumber { major: 7, minor: 1000 }));
    assert_eq!(kind("/gone"), Kind::Whiteout);
}

#[test]
fn errors_name_what_cannot_be_taken() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    assert_eq!(scan(&missing).unwrap_err().to_string(), format!("cannot list `{}`", missing.display()));
    let file = folder.path().join("file");
    write(&file, b"text");
    assert_eq!(scan(&file).unwrap_err().to_string(), format!("cannot list `{}`", file.display()));
}

#[test]
fn a_file_that_changed_since_it_was_found_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    write(&file, b"text");
    let stat = fs::lstat(&file).unwrap();
    assert!(read_content(&file, &stat, (Timestamp::settled(), &Nothing)).is_ok());
    write(&file, b"other");
    let error = read_content(&file, &stat, (Timestamp::settled(), &Nothing)).unwrap_err();
    assert!(matches!(error, ScanError::Changed { .. }), "{error}");
    fs::remove_file(&file).unwrap();
    symlink("/etc/passwd", &file).unwrap();
    assert!(
        read_content(&file, &stat, (Timestamp::settled(), &Nothing)).is_err(),
        "a link that took its place is not followed"
    );
}

#[test]
fn a_stamp_is_kept_of_what_was_not_changed_just_now() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    write(&file, b"text");
    let content = |settled| read_content(&file, &fs::lstat(&file).unwrap(), (settled, &Nothing)).unwrap();
    let young = content(Timestamp::from_seconds(0));
    assert!(matches!(young.source, ContentSource::File(_)) && !young.open().unwrap().is_as_hashed());
    std::thread::sleep(std::time::Duration::from_millis(60));
    let old = content(Timestamp::settled());
    assert!(matches!(old.source, ContentSource::Stamped { .. }));
    let reader = old.open().unwrap();
    assert!(reader.is_as_hashed());
    std::io::Write::write_all(&mut File::options().write(true).open(&file).unwrap(), b"t").unwrap();
    assert!(!reader.is_as_hashed() && !old.open().unwrap().is_as_hashed());
}

#[test]
fn what_is_known_by_its_stamp_is_not_read() {
    /// Knows some digests, which are not those of the files.
    struct Known(std::sync::Mutex<std::collections::BTreeMap<std::path::PathBuf, (Stamp, Digest)>>);
    impl Memory for Known {
        fn recall(&self, host: &Path, stamp: &Stamp) -> Option<Digest> {
            self.0.lock().unwrap().get(host).filter(|(known, _)| known == stamp).map(|(_, digest)| *digest)
        }
        fn learn(&self, host: &Path, stamp: &Stamp, digest: Digest) {
            self.0.lock().unwrap().insert(host.to_owned(), (*stamp, digest));
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    write(&file, b"text");
    let memory = Known(Default::default());
    let digest = || match &scan_remembering(folder.path(), &memory).unwrap().get(&path("/file")).unwrap().kind {
        Kind::Regular(content) => content.digest,
        other => panic!("{other:?}"),
    };
    assert_eq!(digest(), Digest::of("text"));
    memory.0.lock().unwrap().get_mut(&file).unwrap().1 = Digest::of("as remembered");
    assert_eq!(digest(), Digest::of("as remembered"));
    write(&file, b"other");
    assert_eq!(digest(), Digest::of("other"), "another stamp");
}

#[test]
fn deep_directories_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_directory(&folder.path().join("d/".repeat(800))).unwrap();
    assert_eq!(scan(folder.path()).unwrap().len(), 801);
}
