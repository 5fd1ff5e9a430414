//! Programs and libraries (ELF, System V ABI).

use std::io::Read;

use crate::tree::{Content, Kind, Tree, TreePath};

/// How much of a file is looked into: headers stand at the beginning.
const HEAD: u64 = 8192;
/// Machines by number, by the name that systemd has for them.
const MACHINES: [(u16, &str); 9] = [
    (62, "x86-64"),
    (183, "arm64"),
    (243, "riscv64"),
    (3, "x86"),
    (40, "arm"),
    (21, "ppc64-le"),
    (22, "s390x"),
    (258, "loongarch64"),
    (8, "mips64-le"),
];

/// A program or library in a tree.
#[derive(Debug)]
pub(super) struct Binary {
    pub(super) path: TreePath,
    /// What systemd calls its machine; nothing for one that is not known here.
    pub(super) machine: Option<&'static str>,
    /// The loader that it needs.
    pub(super) interpreter: Option<String>,
}

/// Returns every program and library of a tree.
pub(super) fn all(tree: &Tree) -> Vec<Binary> {
    let mut found = Vec::new();
    for (path, node, first) in tree.links() {
        let Kind::Regular(content) = &node.kind else { continue };
        let library = path.name().is_some_and(|name| name.windows(3).any(|part| part == b".so"));
        if first.is_none() && content.length >= 64 && (library || node.meta.mode & 0o111 != 0) {
            found.extend(head(content).and_then(|head| parse(path, &head)));
        }
    }
    found
}

fn head(content: &Content) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    content.open().ok()?.take(HEAD.min(content.length)).read_to_end(&mut head).ok()?;
    Some(head)
}

fn parse(path: &TreePath, head: &[u8]) -> Option<Binary> {
    if !head.starts_with(b"\x7fELF") {
        return None;
    }
    // Big-endian machines that systemd runs on are 64 bits wide and rare: only their number is read.
    let little = *head.get(5)? == 1;
    let number = |at: usize, length: usize| -> Option<u64> {
        let bytes = head.get(at..at.checked_add(length)?)?;
        let fold = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(if little { bytes.iter().rev().fold(0, fold) } else { bytes.iter().fold(0, fold) })
    };
    let wide = *head.get(4)? == 2;
    let machine = number(18, 2)?;
    let machine = MACHINES.iter().find(|(number, _)| u64::from(*number) == machine).map(|(_, name)| *name);
    let (table, size, count) = if wide { (number(32, 8), 54, 56) } else { (number(28, 4), 42, 44) };
    let interpreter = || {
        let (table, size, count) = (table?, number(size, 2)?, number(count, 2)?);
        for index in 0..count {
            let entry = usize::try_from(table.checked_add(index * size)?).ok()?;
            if number(entry, 4)? == 3 {
                let (offset, length) = if wide {
                    (number(entry + 8, 8)?, number(entry + 32, 8)?)
                } else {
                    (number(entry + 4, 4)?, number(entry + 16, 4)?)
                };
                let start = usize::try_from(offset).ok()?;
                let bytes = head.get(start..start.checked_add(usize::try_from(length).ok()?)?)?;
                return Some(String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned());
            }
        }
        None
    };
    Some(Binary { path: path.clone(), machine, interpreter: interpreter() })
}
