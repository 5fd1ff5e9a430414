//! Names of images: `registry/repository:tag@digest`.

use std::fmt;
use std::str::FromStr;

use crate::digest::Digest;

/// The registry of names without one.
const DOCKER: &str = "docker.io";
/// The longest name of a repository (distribution-spec, "Pulling manifests").
const REPOSITORY_MAX: usize = 255;
/// The longest tag.
const TAG_MAX: usize = 128;

/// The name of an image in a registry, complete: `debian` is `docker.io/library/debian:latest`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// The host, and the port when it has one.
    pub registry: String,
    /// The repository.
    pub repository: String,
    /// The tag; with a digest it only says what was meant.
    pub tag: Option<String>,
    /// The digest of the manifest.
    pub digest: Option<Digest>,
}

/// A text that is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no name of an image: {reason}")]
pub struct InvalidReference {
    text: String,
    reason: &'static str,
}

impl Reference {
    /// Returns what a registry is asked for: the digest, or else the tag.
    pub fn wanted(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".into(),
        }
    }

    /// Returns `registry/repository`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Returns it with this digest.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(formatter, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(formatter, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let invalid = |reason| InvalidReference { text: text.to_owned(), reason };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest =
                    digest.parse().map_err(|_| invalid("after `@` comes `sha256:` and 64 hexadecimal digits"))?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
            Some((name, tag)) => (name, Some(tag)),
            None => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(invalid(
                "a tag has at most 128 letters, digits, `_`, `.` and `-`, and begins with one of the first three",
            ));
        }
        let (registry, path) = split_registry(name);
        if !is_registry(registry) {
            return Err(invalid("what comes before the first `/` is no host"));
        }
        let mut repository = path.to_owned();
        if registry == DOCKER && !path.contains('/') {
            repository = format!("library/{path}");
        }
        if repository.len() > REPOSITORY_MAX || !repository.split('/').all(is_component) {
            return Err(invalid(
                "a repository has lower-case letters and digits, separated by `/`, `.`, `_`, `__` or `-`, as `team/web`",
            ));
        }
        let tag = tag.map(str::to_owned).or_else(|| digest.is_none().then(|| "latest".to_owned()));
        Ok(Self { registry: registry.to_ascii_lowercase(), repository, tag, digest })
    }
}

/// Splits the registry from a name: the first part is one when it looks like a host, and Docker's otherwise.
fn split_registry(name: &str) -> (&str, &str) {
    let looks_like_host = |part: &str| {
        part == "localhost" || part.contains(['.', ':', '[']) || part.bytes().any(|byte| byte.is_ascii_uppercase())
    };
    match name.split_once('/').filter(|(first, _)| looks_like_host(first)) {
        Some(("index.docker.io" | "registry-1.docker.io", path)) => (DOCKER, path),
        Some((registry, path)) => (registry, path),
        None => (DOCKER, name),
    }
}

fn is_registry(text: &str) -> bool {
    url::Url::parse(&format!("https://{text}/")).is_ok_and(|url| {
        url.path() == "/" && url.username().is_empty() && url.query().is_none() && url.fragment().is_none()
    }) && !text.contains(['/', '\\', '@', '?', '#', ' ', '%'])
        && !text.ends_with(':')
}

fn is_tag(tag: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= TAG_MAX
        && tag.bytes().next().is_some_and(letter)
        && tag.bytes().all(|byte| letter(byte) || byte == b'.' || byte == b'-')
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(component: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let ends = bytes.first().is_some_and(|byte| plain(*byte)) && bytes.last().is_some_and(|byte| plain(*byte));
    let separator = |run: &[u8]| matches!(run, b"" | b"." | b"_" | b"__") || run.iter().all(|byte| *byte == b'-');
    ends && bytes.split(|byte| plain(*byte)).all(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn names_are_completed() {
        for (text, complete) in [
            ("debian", "docker.io/library/debian:latest"),
            ("debian:12", "docker.io/library/debian:12"),
            ("team/web", "docker.io/team/web:latest"),
            ("docker.io/debian", "docker.io/library/debian:latest"),
            ("index.docker.io/team/web", "docker.io/team/web:latest"),
            ("localhost/web", "localhost/web:latest"),
            ("localhost:5000/web:a", "localhost:5000/web:a"),
            ("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b:latest"),
            ("[::1]:5000/web", "[::1]:5000/web:latest"),
            ("Registry.example.org/a__b/c-d--e.f:V1.0-rc_1", "registry.example.org/a__b/c-d--e.f:V1.0-rc_1"),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), complete);
        }
    }

    #[test]
    fn digests_are_asked_for_before_tags() {
        let reference: Reference = format!("example.org/web:1@sha256:{HEX}").parse().unwrap();
        assert_eq!(reference.to_string(), format!("example.org/web:1@sha256:{HEX}"));
        assert_eq!(reference.wanted(), format!("sha256:{HEX}"));
        let reference: Reference = format!("example.org/web@sha256:{HEX}").parse().unwrap();
        assert_eq!((reference.wanted(), reference.tag), (format!("sha256:{HEX}"), None));
    }

    #[test]
    fn other_texts_are_refused() {
        let long = "a".repeat(129);
        for text in [
            "",
            ":",
            "/",
            "Web",
            "web:",
            "web:.a",
            &format!("web:{long}"),
            "web@sha256:12",
            "web@sha512:00",
            "example.org/",
            "example.org/a//b",
            "example.org/-a",
            "example.org/a___b",
            "example.org/a..b",
            "example.org/a/",
            "a b/c",
            "user@example.org/a",
            "example.org:99999/a",
            "example.org:/a",
            "https://example.org/a",
            "example.org/../a",
            "example.org/a?b",
            "exa%6dple.org/a",
            &format!("example.org/{}", "a/".repeat(150) + "a"),
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }
}
