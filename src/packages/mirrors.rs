//! Where a source is fetched from.
//!
//! Comes in: a source of a profile, and what user and machine say about mirrors. Goes out: addresses, the first to be asked
//! first. Always holds: who is asked decides nothing but the speed: what a source holds is signed or locked, and no address
//! becomes part of a lock or an artifact.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use url::Url;

use super::apt::host;
use crate::distro::{Architecture, Distro};
use crate::resolve::{PackageSource, SourceContent};
use crate::spec::Family;

/// What user and machine say about mirrors.
#[derive(Debug, Clone, Default)]
pub struct Mirrors {
    /// What the user's configuration says, by the name of a source.
    pub configured: BTreeMap<String, Vec<Url>>,
    /// What the environment says, by the name of a source.
    pub environment: BTreeMap<String, Vec<Url>>,
    /// The root of the machine, whose own package manager knows mirrors; nothing when it is not asked.
    pub host: Option<PathBuf>,
    /// A folder that `layerforge vendor` wrote; what it has comes from nowhere else.
    pub vendored: Option<PathBuf>,
}

impl Mirrors {
    /// Returns the addresses of a source: those of the profile; or those of the user's configuration; or those of the
    /// environment; or on a machine of the same distribution its own; or those of the distribution's description.
    pub fn of(&self, source: &PackageSource, distro: &Distro) -> Vec<Url> {
        if let SourceContent::Directory { path, .. } = &source.content {
            return of_folder(path).into_iter().collect();
        }
        if let Some(folder) = &self.vendored {
            return of_folder(&folder.join(&source.name)).into_iter().collect();
        }
        if source.fixed {
            return source.mirrors.clone();
        }
        let said = [&self.configured, &self.environment].into_iter().find_map(|said| said.get(&source.name));
        if let Some(said) = said.filter(|said| !said.is_empty()) {
            return said.clone();
        }
        let own = match (&self.host, distro.family) {
            (Some(root), Family::Apt) => host::mirrors(root, source, distro),
            _ => Vec::new(),
        };
        if own.is_empty() {
            return source.mirrors.clone();
        }
        // The mirror of a machine may only have what such machines need.
        let others = if distro.architecture == Architecture::host() { &[][..] } else { &source.mirrors };
        own.into_iter().chain(others.iter().cloned()).collect()
    }
}

/// Returns the address of a folder, which may be relative to where the program works.
fn of_folder(path: &Path) -> Option<Url> {
    Url::from_directory_path(std::path::absolute(path).ok()?).ok()
}

/// Returns the address of a file of a repository, whatever characters its path has.
pub(super) fn file_of(mirror: &Url, path: &str) -> Url {
    let mut url = mirror.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path.split('/').filter(|segment| !segment.is_empty()));
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_have_addresses_wherever_the_program_works() {
        let address = of_folder(Path::new("./packages")).unwrap().to_string();
        assert!(address.starts_with("file:///") && address.ends_with("/packages/"), "{address}");
    }

    #[test]
    fn paths_are_taken_as_they_are() {
        let mirror: Url = "http://mirror.example.org/debian/".parse().unwrap();
        let file = |path| file_of(&mirror, path).to_string();
        assert_eq!(file("./a_1.deb"), "http://mirror.example.org/debian/a_1.deb");
        assert_eq!(file("pool/g++_1~2+b%3a.deb"), "http://mirror.example.org/debian/pool/g++_1~2+b%253a.deb");
        assert_eq!(file("pool/a?b#c"), "http://mirror.example.org/debian/pool/a%3Fb%23c");
    }
}
