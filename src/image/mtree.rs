//! A tree as a list in the format of mtree(5), which FreeBSD, NetBSD and libarchive read and compare with.

use std::fmt::Write as _;

use crate::tree::{Kind, Node, Tree, TreePath};

/// Lists every path with type, mode, owner, time, size and digest. Whiteouts are left out: nothing stands there.
pub fn mtree(tree: &Tree) -> String {
    let mut text = String::from("#mtree\n");
    for (path, node) in tree.iter().filter(|(_, node)| node.kind != Kind::Whiteout) {
        line(path, node, &mut text);
    }
    text
}

fn line(path: &TreePath, Node { kind, meta }: &Node, text: &mut String) {
    text.push('.');
    if !path.is_root() {
        text.push('/');
        escape(path.as_bytes(), text);
    }
    let word = match kind {
        Kind::Regular(_) => "file",
        Kind::Directory { .. } => "dir",
        Kind::Symlink(_) => "link",
        Kind::CharacterDevice(_) => "char",
        Kind::BlockDevice(_) => "block",
        Kind::Fifo => "fifo",
        Kind::Socket | Kind::Whiteout => "socket",
    };
    // Writing to a string cannot fail.
    let _ = write!(text, " type={word} mode={:04o} uid={} gid={} time={}.0", meta.mode, meta.uid, meta.gid, meta.mtime);
    match kind {
        Kind::Regular(content) => {
            let _ = write!(text, " size={} sha256digest={}", content.length, content.digest.hex());
        }
        Kind::Symlink(target) => {
            text.push_str(" link=");
            escape(target, text);
        }
        Kind::CharacterDevice(number) | Kind::BlockDevice(number) => {
            let _ = write!(text, " device=native,{},{}", number.major, number.minor);
        }
        Kind::Directory { .. } | Kind::Fifo | Kind::Socket | Kind::Whiteout => {}
    }
    text.push('\n');
}

/// Writes bytes as vis(3) does with octal digits.
fn escape(bytes: &[u8], text: &mut String) {
    for &byte in bytes {
        if byte.is_ascii_graphic() && !b"\\#=*?[".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "\\{byte:03o}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Content, DeviceNumber, Meta};

    #[test]
    fn every_kind_has_a_line() {
        let mut tree = Tree::new();
        let mut put = |path: &[u8], kind| {
            let node = Node { kind, meta: Meta::root_owned(0o644, 7) };
            tree.insert(TreePath::from_relative(path).unwrap(), node).unwrap();
        };
        put(b"", Kind::directory());
        put(b"a b\xff", Kind::Regular(Content::inline(*b"x")));
        put(b"link", Kind::Symlink(b"../x=y"[..].into()));
        put(b"null", Kind::CharacterDevice(DeviceNumber { major: 1, minor: 3 }));
        insta::assert_snapshot!(mtree(&tree));
    }
}
