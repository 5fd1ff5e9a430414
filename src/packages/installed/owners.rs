//! Which package of a tree has which path.

use std::collections::BTreeMap;

use super::{InstalledError, PACMAN, apk_list, path, text};
use crate::spec::Family;
use crate::tree::{Tree, TreePath};

/// Returns which package each path is of that is no directory, by what the package manager of a family has written down.
///
/// # Errors
/// When that cannot be read.
pub fn owners(tree: &Tree, family: Family) -> Result<BTreeMap<TreePath, String>, InstalledError> {
    let mut owners = Owners { tree, found: BTreeMap::new() };
    match family {
        Family::Apt => owners.dpkg()?,
        Family::Apk => owners.apk()?,
        Family::Pacman => owners.pacman()?,
    }
    Ok(owners.found)
}

struct Owners<'tree> {
    tree: &'tree Tree,
    found: BTreeMap<TreePath, String>,
}

impl Owners<'_> {
    /// Takes a path as a package has it: what is above it may be a link by now.
    fn take(&mut self, path: &TreePath, package: &str) {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else { return };
        let real = self.tree.follow(&parent).and_then(|parent| parent.join(name).ok());
        if let Some(real) = real
            && self.tree.get(&real).is_some_and(|node| !node.kind.is_directory())
        {
            self.found.insert(real, package.to_owned());
        }
    }

    fn dpkg(&mut self) -> Result<(), InstalledError> {
        let info = path("/var/lib/dpkg/info");
        for (list, _) in self.tree.below(&info) {
            let Some(name) = list.name().and_then(|name| name.strip_suffix(b".list")) else { continue };
            let name = String::from_utf8_lossy(name).into_owned();
            let package = name.split(':').next().unwrap_or_default();
            for line in text(self.tree, list)?.unwrap_or_default().split(|byte| *byte == b'\n') {
                // `/.` is the root itself.
                if let (false, Ok(path)) = (line == b"/.", TreePath::from_absolute(line)) {
                    self.take(&path, package);
                }
            }
        }
        Ok(())
    }

    fn apk(&mut self) -> Result<(), InstalledError> {
        let list = apk_list(self.tree)?.unwrap_or_default();
        let (mut package, mut folder) = (String::new(), None);
        for line in list.split(|byte| *byte == b'\n') {
            match line {
                [b'P', b':', name @ ..] => package = String::from_utf8_lossy(name).into_owned(),
                [b'F', b':', path @ ..] => folder = TreePath::from_relative(path).ok(),
                [b'R', b':', name @ ..] => {
                    if let Some(path) = folder.as_ref().and_then(|folder: &TreePath| folder.join(name).ok()) {
                        self.take(&path, &package);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn pacman(&mut self) -> Result<(), InstalledError> {
        let local = path(PACMAN);
        for (list, _) in self.tree.below(&local).filter(|(path, _)| path.name() == Some(b"files")) {
            let folder = list.parent().unwrap_or_else(TreePath::root);
            let folder = String::from_utf8_lossy(folder.name().unwrap_or_default()).into_owned();
            // NAME-VERSION-RELEASE
            let package = folder.rsplitn(3, '-').nth(2).unwrap_or(&folder).to_owned();
            let files = text(self.tree, list)?.unwrap_or_default();
            let mut is_file = false;
            for line in files.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                match line {
                    [b'%', ..] => is_file = line == b"%FILES%",
                    _ if is_file && !line.ends_with(b"/") => {
                        if let Ok(path) = TreePath::from_relative(line) {
                            self.take(&path, &package);
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Content, Kind, Meta, Node};

    #[test]
    fn every_family_knows_whose_a_file_is() {
        let mut tree = Tree::new();
        for (name, text) in [
            ("/usr/bin/tool", ""),
            ("/var/lib/dpkg/info/tool:amd64.list", "/.\n/bin/tool\n/bin/gone\n"),
            ("/lib/apk/db/installed", "P:other\nF:usr/bin\nR:tool\n"),
            ("/var/lib/pacman/local/a-b-1:2-3/files", "%FILES%\nusr/\nusr/bin/tool\n\n%BACKUP%\netc/x\t0\n"),
        ] {
            let kind = Kind::Regular(Content::inline(text.as_bytes()));
            tree.insert(path(name), Node { kind, meta: Meta::root_owned(0o644, 0) }).unwrap();
        }
        let link = Node { kind: Kind::Symlink((*b"usr/bin").into()), meta: Meta::root_owned(0o777, 0) };
        tree.insert(path("/bin"), link).unwrap();
        tree.complete(|_| Meta::root_owned(0o755, 0));
        for (family, package) in [(Family::Apt, "tool"), (Family::Apk, "other"), (Family::Pacman, "a-b")] {
            let found = owners(&tree, family).unwrap();
            assert_eq!(found, BTreeMap::from([(path("/usr/bin/tool"), package.to_owned())]));
        }
    }
}
