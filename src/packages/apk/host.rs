//! The mirrors that apk of this machine uses (apk-repositories(5)).
//!
//! Comes in: the root of the machine and a source of its own distribution. Goes out: the addresses under which apk has it.
//! Always holds: a repository with a tag, or of a component that the source does not have, is not taken for one of it.

use std::path::Path;

use url::Url;

use crate::distro::Distro;
use crate::packages::host;
use crate::resolve::{PackageSource, SourceContent, address};

/// Returns the addresses under which apk of the machine below `root` has a source of its own distribution, of whatever
/// branch; nothing when the machine is of another one.
pub(in crate::packages) fn mirrors(root: &Path, source: &PackageSource, distro: &Distro) -> Vec<Url> {
    let SourceContent::Suites { components, .. } = &source.content else { return Vec::new() };
    let text = host::read(&root.join("etc/apk/repositories"));
    let Some(text) = text.filter(|_| host::release(root, "ID").is_some_and(|id| id == distro.id)) else {
        return Vec::new();
    };
    let mut mirrors = Vec::new();
    for line in text.lines().map(|line| line.trim().trim_end_matches('/')) {
        // `MIRROR/BRANCH/COMPONENT`; a line with a tag or a comment is no address.
        let Some((rest, component)) = line.rsplit_once('/') else { continue };
        let mirror = rest.rsplit_once('/').filter(|(_, branch)| is_branch(branch));
        let mirror = mirror.filter(|_| components.iter().any(|own| own == component));
        if let Some(mirror) = mirror.and_then(|(mirror, _)| address(mirror).ok())
            && !mirrors.contains(&mirror)
        {
            mirrors.push(mirror);
        }
    }
    mirrors
}

/// Tells whether a folder is that of a branch: `v3.23`, `edge`, `latest-stable`.
fn is_branch(name: &str) -> bool {
    let numbers = |text: &str| text.split('.').all(|part| part.parse::<u32>().is_ok());
    matches!(name, "edge" | "latest-stable") || name.strip_prefix('v').is_some_and(numbers)
}

#[cfg(test)]
mod tests {
    use crate::fs;
    use crate::packages::tests::world_of;

    use super::*;

    #[test]
    fn a_machine_of_the_distribution_knows_its_mirrors() {
        let world = world_of("alpine");
        let mut source = world.bundled.sources[0].clone();
        let (suites, components) = (vec!["v3.23".into()], vec!["main".into(), "community".into()]);
        source.content = SourceContent::Suites { suites, components };
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_directory(path.parent().unwrap()).unwrap();
            fs::write_atomic(&path, text.as_bytes()).unwrap();
        };
        let found = || {
            let found = mirrors(folder.path(), &source, &world.distro);
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(found().is_empty(), "nothing is known of the machine");
        write(
            "etc/apk/repositories",
            "# https://off.example/v3.23/main\nhttps://a.example/alpine/v3.22/main/\nhttps://a.example/alpine/v3.22/community\n\
             @edge https://edge.example/alpine/edge/main\nhttp://b.example/edge/main\n/media/cdrom/apks\n\
             https://tools.example/v1/tools\nhttps://other.example/any/main\n",
        );
        write("etc/os-release", "ID=alpine\nVERSION_ID=3.22.2\n");
        assert_eq!(found(), ["https://a.example/alpine/", "http://b.example/"]);
        write("etc/os-release", "ID=chimera\n");
        assert!(found().is_empty(), "another distribution has other packages");
    }
}
