//! Paths inside a tree.

use std::borrow::Borrow;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// The longest name that Linux file systems take, in bytes.
const NAME_MAX: usize = 255;
/// The longest path that Linux takes, in bytes, without its terminating zero.
const PATH_MAX: usize = 4095;

/// An absolute path that cannot leave the root of its tree.
///
/// Kept without the leading slash: the root is empty, everything else is names joined by single slashes. No name is
/// empty, `.` or `..`, holds a zero byte or is longer than 255 bytes. Names need not be UTF-8. The order is that of the
/// bytes, so that a directory stands before what is in it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(Arc<[u8]>);

/// A text that is no path inside a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` {reason}")]
pub struct InvalidPath {
    /// The path as it was given.
    pub path: String,
    /// What is wrong with it: `is not absolute`.
    pub reason: &'static str,
}

impl TreePath {
    /// Returns the root.
    pub fn root() -> Self {
        Self(Arc::default())
    }

    /// Takes an absolute path as a person writes it, `/etc/nginx`. A single trailing slash is dropped.
    ///
    /// # Errors
    /// When it is not absolute or a name in it is not allowed.
    pub fn from_absolute(path: &[u8]) -> Result<Self, InvalidPath> {
        let Some(rest) = path.strip_prefix(b"/") else {
            return Err(invalid(path, "is not absolute: it must begin with `/`"));
        };
        let clean = if rest.len() > 1 { rest.strip_suffix(b"/").unwrap_or(rest) } else { rest };
        Self::from_relative(clean).map_err(|error| invalid(path, error.reason))
    }

    /// Takes a path relative to the root, `etc/nginx`; the empty path is the root.
    ///
    /// # Errors
    /// When it begins with a slash or a name in it is not allowed.
    pub fn from_relative(path: &[u8]) -> Result<Self, InvalidPath> {
        if path.is_empty() {
            return Ok(Self::root());
        }
        if path.len() > PATH_MAX {
            return Err(invalid(path, "is longer than 4095 bytes"));
        }
        for name in path.split(|&byte| byte == b'/') {
            if let Some(reason) = name_fault(name) {
                return Err(invalid(path, reason));
            }
        }
        Ok(Self(path.into()))
    }

    /// Returns the path of `name` in this directory.
    ///
    /// # Errors
    /// When `name` is not a single allowed name.
    pub fn join(&self, name: &[u8]) -> Result<Self, InvalidPath> {
        if let Some(reason) = name_fault(name) {
            return Err(invalid(name, reason));
        }
        if name.contains(&b'/') {
            return Err(invalid(name, "is more than one name"));
        }
        Self::from_relative(&[self.as_bytes(), name].join(&b'/')[usize::from(self.is_root())..])
    }

    /// Tells whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the bytes without a leading slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the path relative to the root, to be joined to a directory of the host.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// Returns the last name, or nothing for the root.
    pub fn name(&self) -> Option<&[u8]> {
        self.0.rsplit(|&byte| byte == b'/').next().filter(|name| !name.is_empty())
    }

    /// Returns the directory that holds this path, or nothing for the root.
    pub fn parent(&self) -> Option<Self> {
        parent(&self.0).map(|path| Self(path.into()))
    }

    /// Returns the bytes of the directories above this path, the nearest first, the root last.
    pub fn above(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::successors(parent(&self.0), |path| parent(path))
    }

    /// Returns the directories above this path, the nearest first, the root last.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(self.parent(), Self::parent)
    }

    /// Tells whether this path lies below `directory`; a path does not lie below itself.
    pub fn is_below(&self, directory: &Self) -> bool {
        if directory.is_root() {
            return !self.is_root();
        }
        self.0.strip_prefix(directory.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'/'))
    }
}

/// Returns the bytes of the directory that holds the path with these bytes, or nothing for the root.
pub(super) fn parent(path: &[u8]) -> Option<&[u8]> {
    (!path.is_empty()).then(|| &path[..path.iter().rposition(|&byte| byte == b'/').unwrap_or(0)])
}

fn invalid(path: &[u8], reason: &'static str) -> InvalidPath {
    InvalidPath { path: String::from_utf8_lossy(path).into_owned(), reason }
}

fn name_fault(name: &[u8]) -> Option<&'static str> {
    match name {
        b"" => Some("has an empty name in it (two slashes in a row, or one too many at an end)"),
        b"." | b".." => Some("has `.` or `..` in it"),
        _ if name.contains(&0) => Some("has a zero byte in it"),
        _ if name.len() > NAME_MAX => Some("has a name of more than 255 bytes in it"),
        _ => None,
    }
}

impl FromStr for TreePath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        Self::from_absolute(text.as_bytes())
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "/{}", String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Borrow<[u8]> for TreePath {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for TreePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        text.parse().unwrap()
    }

    #[test]
    fn takes_clean_absolute_paths() {
        assert_eq!(path("/").to_string(), "/");
        assert_eq!(path("/etc/").to_string(), "/etc");
        assert_eq!(path("/etc/nginx").parent(), Some(path("/etc")));
        assert_eq!(path("/etc").parent(), Some(TreePath::root()));
        assert_eq!(path("/etc").name(), Some(&b"etc"[..]));
        assert_eq!(TreePath::root().join(b"etc"), Ok(path("/etc")));
        assert_eq!(path("/etc").join(b"a"), Ok(path("/etc/a")));
    }

    #[test]
    fn refuses_what_could_leave_the_root() {
        for text in ["", "etc", "/..", "/etc/../..", "/etc//x", "/./x", "//", "/a\0b", &format!("/{}", "x".repeat(256))]
        {
            assert!(text.parse::<TreePath>().is_err(), "{text:?}");
        }
        assert!(path("/etc").join(b"..").is_err());
        assert!(path("/etc").join(b"a/b").is_err());
    }

    #[test]
    fn below_is_by_names_not_by_bytes() {
        assert!(path("/etc/nginx").is_below(&path("/etc")));
        assert!(path("/etc").is_below(&TreePath::root()));
        assert!(!path("/etcetera").is_below(&path("/etc")));
        assert!(!path("/etc").is_below(&path("/etc")));
    }
}
