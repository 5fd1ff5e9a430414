//! The profiles, layers, templates and distro descriptions that the program carries.

/// A file inside the program.
#[derive(Debug, Clone, Copy)]
pub struct Embedded {
    /// Its path: `layers/base/layer.toml`.
    pub path: &'static str,
    /// Whether it is executable.
    pub executable: bool,
    /// Its content.
    pub bytes: &'static [u8],
}

/// Every embedded file, sorted by path.
static FILES: &[Embedded] = include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// Returns the file at `path`.
pub(super) fn file(path: &str) -> Option<&'static Embedded> {
    FILES.binary_search_by(|file| file.path.cmp(path)).ok().map(|index| &FILES[index])
}

/// Returns the files of the program below `folder`, sorted.
pub fn embedded_files(folder: &str) -> &'static [Embedded] {
    let prefix = format!("{}/", folder.trim_end_matches('/'));
    let first = FILES.partition_point(|file| file.path < prefix.as_str());
    let count = FILES[first..].iter().take_while(|file| file.path.starts_with(&prefix)).count();
    &FILES[first..first + count]
}
