//! Programs and libraries.

use crate::image::Elf;
use crate::tree::{Kind, Tree, TreePath};

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
            found.extend(Elf::read(content).ok().flatten().map(|elf| Binary::of(path, &elf)));
        }
    }
    found
}

impl Binary {
    fn of(path: &TreePath, elf: &Elf) -> Self {
        let machine = MACHINES.iter().find(|(number, _)| *number == elf.machine).map(|(_, name)| *name);
        let interpreter = elf.interpreter.as_ref().map(|path| String::from_utf8_lossy(path).into_owned());
        Self { path: path.clone(), machine, interpreter }
    }
}
