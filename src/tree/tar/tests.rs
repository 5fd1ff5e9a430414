//! Archives made by GNU tar, and hostile ones made block by block.

use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use super::*;
use crate::tree::{diff, scan};

fn path(text: &str) -> TreePath {
    text.parse().unwrap()
}

/// Runs GNU tar, which must succeed.
fn gnu_tar(arguments: &[&str], directory: &Path) {
    let output = Command::new("tar").current_dir(directory).args(arguments).output().unwrap();
    assert!(output.status.success(), "tar {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A member of a hostile archive: a header, as it would be in a sane archive, and what is then done to it.
struct Block {
    bytes: Vec<u8>,
}

impl Block {
    fn new(flag: u8, name: &str, content: &[u8]) -> Self {
        let mut bytes = vec![0; 512];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        bytes[100..107].copy_from_slice(b"0000644");
        bytes[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        bytes[136..147].copy_from_slice(b"00000000005");
        bytes[156] = flag;
        bytes[257..265].copy_from_slice(b"ustar\x0000");
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        Self { bytes }.summed()
    }

    fn link(flag: u8, name: &str, target: &str) -> Self {
        Self::new(flag, name, b"").with(157, target.as_bytes())
    }

    fn with(mut self, at: usize, bytes: &[u8]) -> Self {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self.summed()
    }

    fn summed(mut self) -> Self {
        self.bytes[148..156].copy_from_slice(b"        ");
        let sum: u32 = self.bytes[..512].iter().map(|&byte| u32::from(byte)).sum();
        self.bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self
    }
}

/// Reads an archive of these blocks and an end mark.
fn read(blocks: &[Block]) -> Result<Tree, String> {
    let mut bytes: Vec<u8> = blocks.iter().flat_map(|block| block.bytes.clone()).collect();
    bytes.resize(bytes.len() + 1024, 0);
    read_bytes(&bytes)
}

fn read_bytes(bytes: &[u8]) -> Result<Tree, String> {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("x.tar");
    // Not through the disk: there are many.
    std::io::Write::write_all(&mut fs::create(&archive).unwrap(), bytes).unwrap();
    read_tar(&archive, folder.path()).map_err(|error| {
        let mut text = error.to_string().replace(&*archive.to_string_lossy(), "x.tar");
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text += &format!(": {cause}");
            source = cause.source();
        }
        text
    })
}

fn listed(tree: &Tree) -> Vec<String> {
    tree.iter().map(|(path, node)| format!("{path} {}", node.kind.word())).collect()
}

fn record(text: &str) -> Vec<u8> {
    let mut length = text.len() + 2;
    while format!("{length} {text}\n").len() != length {
        length += 1;
    }
    format!("{length} {text}\n").into_bytes()
}

/// Everything that GNU tar can hold, made on disk.
fn everything(root: &Path) {
    use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
    let deep = format!("{}/{}/{}", "a".repeat(120), "b".repeat(250), "c".repeat(200));
    fs::create_directory(&root.join(&deep)).unwrap();
    let file = root.join(&deep).join("file");
    fs::write_atomic(&file, b"content").unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o6755)).unwrap();
    rustix::fs::lsetxattr(&file, "user.odd = % name", b"\0\n=\xff", rustix::fs::XattrFlags::empty()).unwrap();
    std::fs::hard_link(&file, root.join("alias")).unwrap();
    symlink("t".repeat(300), root.join("long link")).unwrap();
    symlink("../out", root.join("link")).unwrap();
    fs::write_atomic(&root.join("empty"), b"").unwrap();
    fs::write_atomic(&root.join(std::ffi::OsStr::from_bytes(b"\xff\xfe")), b"no text").unwrap();
    fs::write_atomic(&root.join("größe"), b"umlaut").unwrap();
    fs::write_atomic(&root.join("two blocks"), &[b'x'; 513]).unwrap();
    let sparse = std::fs::File::create_new(root.join("sparse")).unwrap();
    sparse.set_len(40 << 20).unwrap();
    (0..30).for_each(|n| sparse.write_all_at(&[b'0' + n as u8; 5000], n * 1_000_000).unwrap());
    sparse.sync_all().unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, root.join("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    if rustix::process::geteuid().is_root() {
        rustix::fs::chown(&file, Some(rustix::fs::Uid::from_raw(3_000_000)), None).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o6755)).unwrap();
        let null = rustix::fs::makedev(1, 3);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            root.join("null"),
            rustix::fs::FileType::CharacterDevice,
            0o666.into(),
            null,
        )
        .unwrap();
    }
    let second = rustix::fs::Timespec { tv_sec: -5, tv_nsec: 500_000_000 };
    let times = rustix::fs::Timestamps { last_access: second, last_modification: second };
    rustix::fs::utimensat(rustix::fs::CWD, root.join("empty"), &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

#[test]
fn archives_of_gnu_tar_are_what_a_scan_is() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_directory(&root).unwrap();
    everything(&root);
    let scanned = scan(&root).unwrap();
    let mut without_xattrs = scanned.clone();
    let odd: Vec<TreePath> = scanned.iter().map(|(path, _)| path.clone()).collect();
    odd.iter().for_each(|path| without_xattrs.get_mut(path).unwrap().meta.xattrs.clear());

    for (options, expected) in [
        (&["--format=pax", "--xattrs"][..], &scanned),
        (&["--format=gnu"], &without_xattrs),
        (&["--format=gnu", "--sparse"], &without_xattrs),
        (&["--format=pax", "--xattrs", "--sparse", "--sparse-version=0.0"], &scanned),
        (&["--format=pax", "--xattrs", "--sparse", "--sparse-version=0.1"], &scanned),
        (&["--format=pax", "--xattrs", "--sparse", "--sparse-version=1.0"], &scanned),
    ] {
        let archive = folder.path().join("x.tar");
        let arguments = [&["--create", "--file=x.tar", "--directory=root"], options, &["."]].concat();
        gnu_tar(&arguments, folder.path());
        let tree = read_tar(&archive, &folder.path().join("unpacked")).unwrap();
        assert_eq!(diff(expected, &tree), [], "{options:?}");
        for (path, node) in tree.iter() {
            if let Kind::Regular(content) = &node.kind {
                let (digest, _) =
                    crate::digest::Digest::of_stream(std::io::Read::take(content.open().unwrap(), content.length))
                        .unwrap();
                assert_eq!(digest, content.digest, "{path} {options:?}");
            }
        }
    }
    let unpacked = fs::list(&folder.path().join("unpacked")).unwrap();
    assert_eq!(unpacked.len(), 1, "one sparse file, expanded once: {unpacked:?}");
}

#[test]
fn compressed_archives_are_unpacked_once() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_directory(&folder.path().join("root/etc")).unwrap();
    fs::write_atomic(&folder.path().join("root/etc/file"), &[b'x'; 100_000]).unwrap();
    let scanned = scan(&folder.path().join("root")).unwrap();
    for compression in ["--gzip", "--xz", "--zstd"] {
        gnu_tar(&["--create", "--file=no-ending", "--directory=root", compression, "."], folder.path());
        let archive = folder.path().join("no-ending");
        let unpacked = folder.path().join(compression);
        let tree = read_tar(&archive, &unpacked).unwrap();
        assert_eq!(diff(&scanned, &tree), [], "{compression}");
        let digest = crate::digest::Digest::of(fs::read(&archive).unwrap());
        let copy = unpacked.join(format!("{}.tar", digest.hex()));
        assert_eq!(fs::list(&unpacked).unwrap(), [copy.file_name().unwrap()]);
        let before = std::os::unix::fs::MetadataExt::ino(&fs::lstat(&copy).unwrap());
        read_tar(&archive, &unpacked).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::ino(&fs::lstat(&copy).unwrap()), before, "found again");

        let bytes = fs::read(&archive).unwrap();
        fs::write_atomic(&archive, &bytes[..bytes.len() / 2]).unwrap();
        let error = read_tar(&archive, &folder.path().join("cut")).unwrap_err();
        assert!(matches!(error, TarError::Damaged { .. }), "{error:?}");
        assert!(fs::list(&folder.path().join("cut")).unwrap().is_empty(), "no half copy stays");
    }
    fs::write_atomic(&folder.path().join("x"), b"BZh91AY&SY").unwrap();
    let error = read_tar(&folder.path().join("x"), folder.path()).unwrap_err();
    assert!(error.to_string().contains("a bzip2 file; expected tar, plain or compressed with"), "{error}");
}

#[test]
fn later_members_win() {
    let tree = read(&[
        Block::new(b'5', "d/", b""),
        Block::new(b'0', "d/a", b"one"),
        Block::link(b'1', "d/b", "d/a"),
        Block::new(b'0', "d/a", b"two"),
        Block::new(b'5', "d", b"").with(100, b"0000700"),
        Block::new(b'5', "e", b""),
        Block::new(b'0', "e/f", b""),
        Block::new(b'0', "e", b"now a file"),
    ])
    .unwrap();
    assert_eq!(listed(&tree), ["/d directory", "/d/a file", "/d/b file", "/e file"]);
    assert_eq!(tree.get(&path("/d")).unwrap().meta.mode, 0o700);
    assert_eq!(tree.get(&path("/d/b")).unwrap().kind, Kind::Regular(Content::inline(&b"one"[..])), "the old file");
}

#[test]
fn names_are_cleaned_and_old_headers_understood() {
    let tree = read(&[
        Block::new(b'5', "./", b"").with(124, b"00000001000"),
        Block::new(b'0', "/abs", b"x"),
        Block::new(b'0', "./a//./b", b"x"),
        Block::new(0, "old/", b"").with(257, &[0; 8]),
        Block::new(0, "v7", b"x").with(257, &[0; 8]).with(345, b"no prefix"),
        Block::new(b'7', "name", b"x").with(345, b"prefix"),
        Block::new(b'X', "pax", &record("path=solaris")),
        Block::new(b'0', "name", b"x"),
    ])
    .unwrap();
    assert_eq!(
        listed(&tree),
        ["/ directory", "/a/b file", "/abs file", "/old directory", "/prefix/name file", "/solaris file", "/v7 file"]
    );
}

#[test]
fn oci_whiteouts_and_overlay_devices_remove() {
    let tree = read(&[
        Block::new(b'0', "etc/.wh.gone", b""),
        Block::new(b'0', "opq/.wh..wh..opq", b""),
        Block::new(b'0', ".wh.dir", b""),
        Block::new(b'5', "dir/", b""),
        Block::new(b'0', ".wh.implied", b""),
        Block::new(b'0', "implied/file", b""),
        Block::new(b'0', ".wh.file", b""),
        Block::new(b'0', "file", b"new"),
        Block::new(b'3', "device", b""),
        Block::link(b'1', "second", "device"),
        Block::new(b'0', ".hidden.wh.x", b""),
    ])
    .unwrap();
    let listed: Vec<String> = tree
        .iter()
        .map(|(path, node)| match node.kind {
            Kind::Directory { opaque: true } => format!("{path} opaque"),
            _ => format!("{path} {}", node.kind.word()),
        })
        .collect();
    assert_eq!(
        listed,
        [
            "/.hidden.wh.x file",
            "/device whiteout",
            "/dir opaque",
            "/etc/gone whiteout",
            "/file file",
            "/implied opaque",
            "/implied/file file",
            "/opq opaque",
            "/second whiteout",
        ]
    );
    assert_ne!(tree.id(&path("/device")), tree.id(&path("/second")));
}

#[test]
fn hostile_members_are_refused() {
    let pax = |text: &str| Block::new(b'x', "pax", &record(text));
    let file = |name: &str| Block::new(b'0', name, b"x");
    let cases: Vec<(&str, Vec<Block>)> = vec![
        ("`../x` at byte 0 of `x.tar`: `../x` has `.` or `..` in it", vec![file("../x")]),
        (
            "`/a` at byte 512 of `x.tar`: `/a` cannot be a hard link to `/etc/passwd`: no file stands there",
            vec![Block::new(b'5', "d", b""), Block::link(b'1', "a", "/etc/passwd")],
        ),
        ("has `.` or `..` in it", vec![Block::link(b'1', "a", "../../etc/passwd")]),
        ("`/d/x` cannot exist: `/d` is a symlink, not a directory", vec![Block::link(b'2', "d", "/etc"), file("d/x")]),
        ("`/d/x` cannot exist: `/d` is a file, not a directory", vec![file("d"), file("d/x")]),
        ("has a name of more than 255 bytes in it", vec![pax(&format!("path={}", "n".repeat(256))), file("x")]),
        ("is longer than 4095 bytes", vec![pax(&format!("path={}n", "n/".repeat(2048))), file("x")]),
        ("has a zero byte in it", vec![pax("path=a\0b"), file("x")]),
        ("it would replace the root of the tree", vec![file("./.")]),
        ("it has no name", vec![file("")]),
        ("its type flag `M` is not supported", vec![Block::new(b'M', "x", b"")]),
        ("it is no file and has content all the same", vec![Block::link(b'2', "x", "y").with(124, b"00000000010")]),
        ("its target is empty", vec![Block::link(b'2', "x", "")]),
        ("its size is no number", vec![file("x").with(124, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")]),
        ("its size is no number", vec![file("x").with(124, b"12345678901")]),
        ("the archive ends at byte 2048, but byte 8589935103 is needed", vec![file("x").with(124, b"77777777777")]),
        (
            "the archive ends at byte 3072, but byte 18446744073709551615 is needed",
            vec![pax(&format!("size={}", u64::MAX)), file("x")],
        ),
        ("its owner is no number of 32 bits", vec![file("x").with(108, b"\x80\0\0\x01\0\0\0\0")]),
        (
            "there are more bytes in its extended header than 1048576",
            vec![Block::new(b'x', "pax", b"").with(124, b"00010000000")],
        ),
        ("no member follows its extended header", vec![pax("path=x")]),
        ("no sequence of `LENGTH KEY=VALUE` lines", vec![Block::new(b'x', "pax", b"999 path=x\n"), file("x")]),
        ("access control lists as text", vec![pax("SCHILY.acl.access=user::rwx"), file("x")]),
        ("lies in a lower layer of an overlay mount", vec![pax("SCHILY.xattr.trusted.overlay.redirect=/x"), file("x")]),
        ("a directory of its path has the name of a whiteout", vec![file(".wh.d/x")]),
        ("it has the name of a whiteout, but is no empty file", vec![file("d/.wh.x")]),
        ("has `.` or `..` in it", vec![Block::new(b'0', "d/.wh...", b"")]),
        ("has an empty name in it", vec![Block::new(b'0', "d/.wh.", b"")]),
        ("a name that is kept for markers", vec![Block::new(b'0', "d/.wh..wh.plnk", b"")]),
        ("it makes something opaque that is no directory", vec![file("d"), Block::new(b'0', "d/.wh..wh..opq", b"")]),
        ("bytes in sparse files", vec![pax(&format!("GNU.sparse.size={}", 1_u64 << 62)), file("x")]),
        (
            "its sparse map is not in order",
            vec![
                Block::new(b'x', "pax", &[record("GNU.sparse.size=10"), record("GNU.sparse.map=10,1")].concat()),
                file("x"),
            ],
        ),
        (
            "its sparse map is longer than its content",
            vec![
                Block::new(b'x', "pax", &[record("GNU.sparse.major=1"), record("GNU.sparse.realsize=10")].concat()),
                Block::new(b'0', "x", &[b"1000\n".as_slice(), &b"1\n".repeat(200)].concat()),
            ],
        ),
    ];
    for (expected, blocks) in cases {
        let error = read(&blocks).expect_err(expected);
        assert!(error.starts_with("cannot take ") && error.contains(expected), "{expected}\n{error}");
    }
}

#[test]
fn bombs_are_stopped() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_directory(&folder.path().join("root/etc")).unwrap();
    std::fs::File::create_new(folder.path().join("root/etc/zeros")).unwrap().set_len(1 << 20).unwrap();
    let fails = |options: &[&str], limits: Limits, message: &str| {
        gnu_tar(&[&["--create", "--file=x.tar", "--directory=root"], options, &["."]].concat(), folder.path());
        let unpacked = folder.path().join("unpacked");
        let error = read_within(&folder.path().join("x.tar"), &unpacked, limits).unwrap_err();
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        assert!(format!("{error}: {cause}").contains(message), "{error}: {cause}");
        assert!(fs::list(&unpacked).unwrap_or_default().is_empty(), "nothing stays");
    };
    for compression in ["--gzip", "--xz", "--zstd"] {
        fails(&[compression], Limits { unpacked: 1 << 20, ..LIMITS }, "more than 1048576 bytes come out");
    }
    fails(&["--sparse"], Limits { unpacked: 1000, ..LIMITS }, "more bytes in sparse files than 1000");
    fails(&[], Limits { members: 2, ..LIMITS }, "more members than 2");
    fails(&["--format=pax"], Limits { extended: 20, ..LIMITS }, "more bytes in its extended header than 20");
    fails(&["--format=pax"], Limits { extended_total: 200, ..LIMITS }, "more bytes in extended headers than 200");
}

#[test]
fn damaged_archives_are_refused() {
    let good = |name: &str| Block::new(b'0', name, b"content").bytes;
    assert_eq!(
        read_bytes(b"no archive").unwrap_err(),
        "cannot take the member at byte 0 of `x.tar`: the archive ends at byte 10, but byte 512 is needed: the file is cut short"
    );
    let mut flipped = [good("a"), good("b"), vec![0; 1024]].concat();
    flipped[1024] = b'c';
    assert_eq!(
        read_bytes(&flipped).unwrap_err(),
        "cannot take the member at byte 1024 of `x.tar`: its header checksum is wrong: the file is damaged or no tar archive"
    );
    let no_end = read_bytes(&good("a")).unwrap_err();
    assert!(
        no_end.ends_with("the archive ends at byte 1024, but byte 1536 is needed: the file is cut short"),
        "{no_end}"
    );
    let folder = tempfile::tempdir().unwrap();
    let layer = folder.path().join("layer.tar");
    let within = |bytes: &[u8]| {
        crate::fs::write_atomic(&layer, bytes).unwrap();
        read_tar_within(&layer, folder.path(), 1 << 20)
    };
    assert_eq!(within(&good("a")).unwrap().len(), 1, "a layer may end without empty blocks");
    assert!(within(&good("a")[..1000]).is_err(), "but not inside of a member");
    let two = [good("a"), vec![0; 1024], good("b")].concat();
    assert!(read_bytes(&two).unwrap_err().contains("several archives in one file"));
}

/// Whatever bytes are changed, reading ends with a tree or an error.
#[test]
fn changed_bytes_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_directory(&root).unwrap();
    fs::write_atomic(&root.join("file"), b"content").unwrap();
    fs::write_atomic(&root.join("n".repeat(150)), b"content").unwrap();
    rustix::fs::lsetxattr(root.join("file"), "user.a", b"b", rustix::fs::XattrFlags::empty()).unwrap();
    let sparse = std::fs::File::create_new(root.join("sparse")).unwrap();
    sparse.set_len(100_000).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"x", 50_000).unwrap();
    sparse.sync_all().unwrap();
    for format in ["--format=pax", "--format=gnu", "--xattrs"] {
        gnu_tar(&["--create", "--file=x.tar", "--directory=root", "--sparse", format, "."], folder.path());
        let bytes = fs::read(&folder.path().join("x.tar")).unwrap();
        let mut state = 88_172_645_463_325_252_u64;
        for _ in 0..150 {
            let mut changed = bytes.clone();
            for _ in 0..2 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let at = state as usize % changed.len();
                changed[at] = (state >> 32) as u8;
                let header = &mut changed[at / 512 * 512..][..512];
                header[148..156].copy_from_slice(b"        ");
                let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
                header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
            drop(read_bytes(&changed));
        }
    }
}
