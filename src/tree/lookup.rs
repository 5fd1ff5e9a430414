//! What a path leads to when symbolic links are followed inside the tree.

use super::{Kind, Node, Tree, TreePath};

/// How many links are followed before a path is taken for a circle: what Linux does.
const LINKS_MAX: usize = 40;

impl Tree {
    /// Returns the path that `path` leads to, with every symbolic link followed as if the tree were the root; nothing
    /// when it leads to nothing. `..` of the root is the root.
    pub fn follow(&self, path: &TreePath) -> Option<TreePath> {
        let mut left: Vec<Vec<u8>> = names(path.as_bytes()).rev().collect();
        let mut reached = TreePath::root();
        let mut links = 0;
        while let Some(name) = left.pop() {
            if name == b".." {
                reached = reached.parent().unwrap_or(reached);
                continue;
            }
            let next = reached.join(&name).ok()?;
            match &self.get(&next)?.kind {
                Kind::Symlink(target) => {
                    links += 1;
                    if links > LINKS_MAX {
                        return None;
                    }
                    if target.starts_with(b"/") {
                        reached = TreePath::root();
                    }
                    left.extend(names(target).rev());
                }
                // Something stands below it.
                kind if !left.is_empty() && !kind.is_directory() => return None,
                _ => reached = next,
            }
        }
        Some(reached)
    }

    /// Returns the node that `path` leads to.
    pub fn lookup(&self, path: &TreePath) -> Option<&Node> {
        self.get(&self.follow(path)?)
    }
}

/// Returns the names of a path that mean something.
fn names(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    path.split(|&byte| byte == b'/').filter(|name| !name.is_empty() && *name != b".").map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::super::{Content, Meta};
    use super::*;

    fn tree(nodes: &[(&str, Option<&str>)]) -> Tree {
        let mut tree = Tree::new();
        for (path, target) in nodes {
            let kind = match target {
                Some(target) => Kind::Symlink(target.as_bytes().into()),
                None => Kind::Regular(Content::inline(&b"x"[..])),
            };
            tree.insert(path.parse().unwrap(), Node { kind, meta: Meta::root_owned(0o755, 0) }).unwrap();
        }
        tree.complete(|_| Meta::root_owned(0o755, 0));
        tree
    }

    #[test]
    fn links_are_followed_inside_the_tree() {
        let tree = tree(&[
            ("/usr/bin/python3.13", None),
            ("/usr/bin/python3", Some("python3.13")),
            ("/usr/bin/python", Some("../../../usr/./bin/python3")),
            ("/bin", Some("usr/bin")),
            ("/opt/tool", Some("/bin/python")),
            ("/loop", Some("/loop")),
            ("/dangling", Some("nowhere")),
            ("/below", Some("usr/bin/python3.13/x")),
        ]);
        let follow = |path: &str| tree.follow(&path.parse().unwrap()).map(|path| path.to_string());
        assert_eq!(follow("/opt/tool").as_deref(), Some("/usr/bin/python3.13"));
        assert_eq!(follow("/bin").as_deref(), Some("/usr/bin"));
        for nothing in ["/loop", "/dangling", "/below", "/usr/bin/python3/x", "/absent"] {
            assert_eq!(follow(nothing), None, "{nothing}");
        }
    }
}
