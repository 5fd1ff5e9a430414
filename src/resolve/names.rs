//! Names that the world outside gives meaning to: what may stand where one is expected. None of them can be taken for an
//! option, a shell word or a second name.

use crate::spec::Family;

/// Checks the name of a package of `family`, without version: the lock is where versions are.
///
/// # Errors
/// A sentence that says what is expected.
pub(super) fn package(family: Family, text: &str) -> Result<String, String> {
    let (first, other, rule): (fn(u8) -> bool, &[u8], _) = match family {
        // Debian policy 5.6.1; an architecture may follow.
        Family::Apt => {
            (is_lower, b"+-.:", "lower-case letters, digits, `+`, `-` and `.`, such as `libnginx-mod-brotli`")
        }
        // Names, and what packages say they provide: `so:libssl.so.3`.
        Family::Apk => {
            (is_word, b"+-.:_", "letters, digits, `+`, `-`, `.`, `_` and `:`, such as `nginx-mod-http-brotli`")
        }
        // PKGBUILD(5).
        Family::Pacman => {
            (is_lower, b"@._+-", "lower-case letters, digits, `@`, `.`, `_`, `+` and `-`, such as `nginx`")
        }
    };
    let inner = |byte: u8| first(byte) || other.contains(&byte);
    // apt reads a last `-` as "remove".
    if text.bytes().next().is_some_and(first) && text.bytes().all(inner) && !text.ends_with('-') {
        return Ok(text.to_owned());
    }
    Err(format!("`{}` is no name of a package: expected {rule}; versions are no part of it", text.escape_debug()))
}

/// Checks the name of a package that is asked for, which names the tag of a source where `family` knows tags: `nginx@edge`.
/// Returns name and tag.
///
/// # Errors
/// A sentence that says what is expected.
pub(super) fn asked_for(family: Family, text: &str) -> Result<(String, Option<String>), String> {
    match text.split_once('@').filter(|_| family == Family::Apk) {
        Some((name, "")) => {
            Err(format!("`{}@` names no tag: expected one after the `@`, such as `nginx@edge`", name.escape_debug()))
        }
        Some((name, written)) => Ok((package(family, name)?, Some(tag(written)?))),
        None => Ok((package(family, text)?, None)),
    }
}

/// Checks the tag of a source (apk-repositories(5)), without its `@`.
///
/// # Errors
/// A sentence that says what is expected.
pub(super) fn tag(text: &str) -> Result<String, String> {
    let inner = |byte: u8| is_word(byte) || b"._-".contains(&byte);
    if text.bytes().next().is_some_and(is_word) && text.bytes().all(inner) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "`{}` is no tag: expected letters, digits, `.`, `_` and `-` without the `@`, such as `edge`",
        text.escape_debug()
    ))
}

/// Checks the name of a suite or component: part of addresses, with slashes inside.
///
/// # Errors
/// A sentence that says what is expected.
pub(super) fn part_of_repository(text: &str) -> Result<String, String> {
    let inner = |byte: u8| is_word(byte) || b"._-+~/".contains(&byte);
    let part = |part: &str| part.bytes().next().is_some_and(is_word) && part.bytes().all(inner);
    if text.split('/').all(part) {
        return Ok(text.to_owned());
    }
    Err(format!("`{}` is no suite or component: expected a name such as `bookworm-updates`", text.escape_debug()))
}

/// Checks the name of an image: `registry.example.org:5000/name:tag@sha256:…`.
///
/// # Errors
/// A sentence that says what is expected.
pub(super) fn image(text: &str) -> Result<String, String> {
    let inner = |byte: u8| is_word(byte) || b"._-/:@".contains(&byte);
    if text.bytes().next().is_some_and(is_word) && text.bytes().all(inner) {
        return Ok(text.to_owned());
    }
    Err(format!("`{}` is no name of an image: expected one such as `docker.io/library/debian:13`", text.escape_debug()))
}

/// Tells whether `text` can be the name of a label: letters, digits, `.`, `-`, `_` and `/`.
pub(super) fn is_label(text: &str) -> bool {
    let inner = |byte: u8| is_word(byte) || b"._-/".contains(&byte);
    text.bytes().next().is_some_and(is_word) && text.bytes().all(inner)
}

fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: [&str; 10] = ["", "-y", "a b", "a;b", "$(a)", "`a`", "a\nRUN b", "'a'", "a\"", "\u{e9}"];

    #[test]
    fn packages() {
        for name in ["nginx", "g++", "libc6:i386", "python3.13", "0ad"] {
            assert_eq!(package(Family::Apt, name), Ok(name.into()));
        }
        for name in ["py3-pip", "so:libssl.so.3", "R"] {
            assert_eq!(package(Family::Apk, name), Ok(name.into()));
        }
        assert_eq!(package(Family::Pacman, "gtk2+extra@x"), Ok("gtk2+extra@x".into()));
        for family in [Family::Apt, Family::Apk, Family::Pacman] {
            for name in HOSTILE.into_iter().chain(["nginx-", "nginx=1.26", "nginx>1", "nginx~1", ".hidden", "a/b"]) {
                assert!(package(family, name).is_err(), "{name}");
            }
        }
        assert!(package(Family::Apt, "Nginx").is_err());
    }

    #[test]
    fn packages_with_tags() {
        let read = |text: &str| asked_for(Family::Apk, text);
        assert_eq!(read("nginx@edge"), Ok(("nginx".into(), Some("edge".into()))));
        assert_eq!(read("so:libssl.so.3@a.b_c-1"), Ok(("so:libssl.so.3".into(), Some("a.b_c-1".into()))));
        assert_eq!(read("nginx"), Ok(("nginx".into(), None)));
        for text in ["@edge", "nginx@", "nginx@@edge", "nginx@ed ge", "nginx@-x", "nginx@edge>1"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(asked_for(Family::Apt, "nginx@edge").is_err());
        assert_eq!(asked_for(Family::Pacman, "gtk2@x"), Ok(("gtk2@x".into(), None)), "`@` is a part of names there");
    }

    #[test]
    fn images() {
        let digest = format!("debian@sha256:{}", "0".repeat(64));
        for name in ["debian", "localhost:5000/my_own/base:1.2-x", &digest] {
            assert_eq!(image(name), Ok(name.into()));
        }
        for name in HOSTILE.into_iter().chain(["${BASE}", "a\\", "/a"]) {
            assert!(image(name).is_err(), "{name}");
        }
    }

    #[test]
    fn labels() {
        assert!(is_label("org.opencontainers.image.source") && is_label("example.org/team-name"));
        for name in HOSTILE.into_iter().chain(["a=b", "${a}", ".a"]) {
            assert!(!is_label(name), "{name}");
        }
    }
}
