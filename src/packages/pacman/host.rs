//! The mirrors that pacman of this machine uses.
//!
//! Comes in: the root of the machine and a source of its own distribution. Goes out: the addresses under which pacman has it.
//! Always holds: a server whose repositories do not stand as those of Arch is not taken for one of it.

use std::path::Path;

use url::Url;

use crate::distro::Distro;
use crate::packages::host;
use crate::resolve::{PackageSource, SourceContent, address};

/// The list that packages of the distribution bring, and that administrators edit.
const LIST: &str = "etc/pacman.d/mirrorlist";
/// How repositories stand below a mirror.
const LAYOUT: &str = "/$repo/os/$arch";

/// Returns the addresses under which pacman of the machine below `root` has a source of its own distribution; nothing when the
/// machine is of another one.
pub(in crate::packages) fn mirrors(root: &Path, source: &PackageSource, distro: &Distro) -> Vec<Url> {
    let is_own = matches!(source.content, SourceContent::Suites { .. })
        && host::release(root, "ID").is_some_and(|id| id == distro.id);
    let text = host::read(&root.join(LIST)).filter(|_| is_own).unwrap_or_default();
    let mut mirrors = Vec::new();
    for line in text.lines() {
        let Some((_, value)) = line.split_once('=').filter(|(key, _)| key.trim() == "Server") else { continue };
        let mirror = value.trim().trim_end_matches('/').strip_suffix(LAYOUT);
        if let Some(mirror) = mirror.and_then(|mirror| address(mirror).ok())
            && !mirrors.contains(&mirror)
        {
            mirrors.push(mirror);
        }
    }
    mirrors
}

#[cfg(test)]
mod tests {
    use crate::fs;
    use crate::packages::tests::world_of;

    use super::*;

    #[test]
    fn a_machine_of_the_distribution_knows_its_mirrors() {
        let world = world_of("arch");
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_directory(path.parent().unwrap()).unwrap();
            fs::write_atomic(&path, text.as_bytes()).unwrap();
        };
        let found = || {
            let found = mirrors(folder.path(), &world.bundled.sources[0], &world.distro);
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(found().is_empty(), "nothing is known of the machine");
        write(
            LIST,
            "## Worldwide\n#Server = https://off.example/$repo/os/$arch\nServer = https://a.example/arch/$repo/os/$arch\n\
             Server=http://b.example/$repo/os/$arch/\nServer = https://a.example/arch/$repo/os/$arch\n\
             Server = https://port.example/$arch/$repo\nInclude = x\n",
        );
        write("etc/os-release", "ID=arch\nBUILD_ID=rolling\n");
        assert_eq!(found(), ["https://a.example/arch/", "http://b.example/"]);
        write("etc/os-release", "ID=manjaro\nID_LIKE=arch\n");
        assert!(found().is_empty(), "another distribution has other packages");
    }
}
