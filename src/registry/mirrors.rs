//! Where a registry really is, and its mirrors: `registries.conf`, which podman, buildah and skopeo share
//! (containers-registries.conf(5)).
//!
//! Read are `[[registry]]` tables with `prefix`, `location`, `blocked`, `insecure`, `mirror-by-digest-only`, and their
//! `[[registry.mirror]]` with `location`, `insecure`, `pull-from-mirror`. The rest of the file is about other things.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::Deserialize;

use super::{Reference, RegistryError};
use crate::fs;

/// The places that registries are known to be at. Files are read when the first registry is looked for.
#[derive(Debug, Default)]
pub struct Mirrors {
    paths: Vec<PathBuf>,
    registries: OnceLock<Registries>,
}

/// What the files say.
#[derive(Debug, Default)]
struct Registries(Vec<Registry>);

/// A repository at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The host, and the port when it has one.
    pub registry: String,
    /// The repository there.
    pub repository: String,
    /// Whether plain http is allowed.
    pub insecure: bool,
}

#[derive(Debug, Deserialize)]
struct File {
    #[serde(default)]
    registry: Vec<Registry>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Registry {
    prefix: Option<String>,
    location: Option<String>,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror_by_digest_only: bool,
    #[serde(default)]
    mirror: Vec<Mirror>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Mirror {
    location: String,
    #[serde(default)]
    insecure: bool,
    pull_from_mirror: Option<PullFrom>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PullFrom {
    All,
    DigestOnly,
    TagOnly,
}

impl Mirrors {
    /// Returns what the files say, of which those that are not there are left out, and of a directory all files `*.conf` in
    /// it. What several say about one prefix, the last one counts.
    pub fn at(paths: Vec<PathBuf>) -> Self {
        Self { paths, registries: OnceLock::new() }
    }

    fn registries(&self) -> Result<&Registries, RegistryError> {
        match self.registries.get() {
            Some(registries) => Ok(registries),
            None => {
                let read = Registries::read(&self.paths)?;
                Ok(self.registries.get_or_init(|| read))
            }
        }
    }

    /// Returns where a reference is pulled from, the best place first.
    ///
    /// # Errors
    /// When a file is not understood, or the user has blocked it.
    pub fn pull(&self, reference: &Reference) -> Result<Vec<Endpoint>, RegistryError> {
        self.registries()?.pull(reference)
    }

    /// Returns where a reference is pushed to.
    ///
    /// # Errors
    /// When a file is not understood, or the user has blocked it.
    pub fn push(&self, reference: &Reference) -> Result<Endpoint, RegistryError> {
        self.registries()?.push(reference)
    }
}

impl Registries {
    fn read(paths: &[PathBuf]) -> Result<Self, RegistryError> {
        let mut registries = Self::default();
        for path in paths {
            let names = match path.is_dir() {
                true => fs::list(path)?.into_iter().map(|name| path.join(name)).collect(),
                false => vec![path.clone()],
            };
            for path in names.into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "conf")) {
                match fs::read_to_string(&path) {
                    Ok(text) => registries.add(&path, &text)?,
                    Err(error) if error.is_unreachable() => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(registries)
    }

    fn add(&mut self, path: &Path, text: &str) -> Result<(), RegistryError> {
        let unusable = |reason: String| RegistryError::Settings { path: path.to_owned(), reason };
        let file: File = toml::from_str(text).map_err(|error| unusable(error.to_string().trim_end().to_owned()))?;
        for registry in file.registry {
            let Some(prefix) = registry.prefix.clone().or_else(|| registry.location.clone()) else {
                return Err(unusable("a `[[registry]]` has neither `prefix` nor `location`".into()));
            };
            self.0.retain(|known| known.name() != prefix);
            self.0.push(registry);
        }
        Ok(())
    }

    fn pull(&self, reference: &Reference) -> Result<Vec<Endpoint>, RegistryError> {
        let Some((registry, rest)) = self.of(reference) else { return Ok(vec![direct(reference)]) };
        let by_digest = reference.digest.is_some();
        let serves = |mirror: &&Mirror| match mirror.pull_from_mirror {
            Some(PullFrom::DigestOnly) => by_digest,
            Some(PullFrom::TagOnly) => !by_digest,
            Some(PullFrom::All) => true,
            None => by_digest || !registry.mirror_by_digest_only,
        };
        let mirrors = registry.mirror.iter().filter(serves);
        let mut places: Vec<Endpoint> =
            mirrors.filter_map(|mirror| endpoint(&mirror.location, &rest, mirror.insecure)).collect();
        places.push(self.push(reference)?);
        Ok(places)
    }

    fn push(&self, reference: &Reference) -> Result<Endpoint, RegistryError> {
        let Some((registry, rest)) = self.of(reference) else { return Ok(direct(reference)) };
        let Reference { registry: host, repository, .. } = reference;
        if registry.blocked {
            return Err(RegistryError::Refused {
                registry: host.clone(),
                repository: repository.clone(),
                action: "use",
                anonymous: true,
                detail: format!("`{}` is blocked in registries.conf", registry.name()),
            });
        }
        let here = || Endpoint { insecure: registry.insecure, ..direct(reference) };
        // A prefix with `*` names many registries: only a location says where they are.
        let moved = registry.location.as_deref().filter(|_| !registry.name().starts_with("*."));
        Ok(moved.and_then(|location| endpoint(location, &rest, registry.insecure)).unwrap_or_else(here))
    }

    /// Returns the table with the longest prefix, and what follows that in the name.
    fn of(&self, reference: &Reference) -> Option<(&Registry, String)> {
        let name = reference.name();
        let fitting = self.0.iter().filter_map(|registry| Some((registry, rest_of(&name, registry.name())?)));
        fitting.max_by_key(|(registry, _)| registry.name().len()).map(|(registry, rest)| (registry, rest.to_owned()))
    }
}

impl Registry {
    fn name(&self) -> &str {
        self.prefix.as_deref().or(self.location.as_deref()).unwrap_or_default()
    }
}

fn rest_of<'name>(name: &'name str, prefix: &str) -> Option<&'name str> {
    match prefix.strip_prefix("*.") {
        Some(domain) => {
            let (host, rest) = name.split_once('/')?;
            host.strip_suffix(domain)?.ends_with('.').then_some(rest)
        }
        None => {
            let rest = name.strip_prefix(prefix)?;
            (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/'))
        }
    }
}

fn direct(reference: &Reference) -> Endpoint {
    Endpoint { registry: reference.registry.clone(), repository: reference.repository.clone(), insecure: false }
}

fn endpoint(location: &str, rest: &str, insecure: bool) -> Option<Endpoint> {
    let whole = if rest.is_empty() { location.to_owned() } else { format!("{location}/{rest}") };
    let (registry, repository) = whole.split_once('/')?;
    Some(Endpoint { registry: registry.to_owned(), repository: repository.to_owned(), insecure })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        unqualified-search-registries = ["docker.io"]
        [[registry]]
        location = "docker.io"
        [[registry.mirror]]
        location = "mirror.example.org/hub"
        [[registry.mirror]]
        location = "localhost:5000"
        insecure = true
        pull-from-mirror = "digest-only"
        [[registry]]
        prefix = "example.org/team"
        location = "registry.example.org/elsewhere"
        [[registry]]
        prefix = "*.blocked.org"
        blocked = true
    "#;

    fn mirrors() -> Registries {
        let mut mirrors = Registries::default();
        mirrors.add(Path::new("registries.conf"), TEXT).unwrap();
        mirrors
    }

    fn pull(text: &str) -> Vec<String> {
        let places = mirrors().pull(&text.parse().unwrap()).unwrap();
        places.into_iter().map(|place| format!("{}/{}", place.registry, place.repository)).collect()
    }

    #[test]
    fn mirrors_come_before_the_registry() {
        assert_eq!(pull("debian:12"), ["mirror.example.org/hub/library/debian", "docker.io/library/debian"]);
        let pinned = format!("debian@{}", crate::digest::Digest::of(b""));
        assert_eq!(pull(&pinned)[1], "localhost:5000/library/debian");
        assert_eq!(pull("other.org/a"), ["other.org/a"]);
    }

    #[test]
    fn prefixes_are_replaced_by_locations() {
        assert_eq!(pull("example.org/team/web"), ["registry.example.org/elsewhere/web"]);
        assert_eq!(pull("example.org/teams/web"), ["example.org/teams/web"]);
        let pushed = mirrors().push(&"debian".parse().unwrap()).unwrap();
        assert_eq!(pushed.registry, "docker.io", "mirrors are only pulled from");
    }

    #[test]
    fn what_is_blocked_is_refused() {
        let refused = mirrors().pull(&"a.blocked.org/web".parse().unwrap()).unwrap_err().to_string();
        assert!(refused.contains("`*.blocked.org` is blocked in registries.conf"), "{refused}");
        assert_eq!(pull("blocked.org/web"), ["blocked.org/web"]);
    }
}
