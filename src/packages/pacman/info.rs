//! What a package says about itself: `.PKGINFO`, lines `key = value` (alpm-pkginfo(5)).

use super::relation;
use super::version;

/// The fields of a package.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Info<'text> {
    /// `pkgname`.
    pub name: &'text str,
    /// `pkgbase`: the source package.
    pub base: &'text str,
    /// `pkgver`.
    pub version: &'text str,
    /// `pkgdesc`; one that is empty is there all the same.
    pub description: Option<&'text str>,
    /// `url`, likewise.
    pub url: Option<&'text str>,
    /// `builddate`, in seconds since 1970.
    pub built: &'text str,
    /// `packager`.
    pub packager: &'text str,
    /// `size`: what it takes when installed, in bytes.
    pub installed_size: &'text str,
    /// `arch`.
    pub architecture: &'text str,
    /// `license`.
    pub licences: Vec<&'text str>,
    /// `replaces`.
    pub replaces: Vec<&'text str>,
    /// `group`.
    pub groups: Vec<&'text str>,
    /// `conflict`.
    pub conflicts: Vec<&'text str>,
    /// `provides`.
    pub provides: Vec<&'text str>,
    /// `backup`: files that an upgrade does not overwrite.
    pub backup: Vec<&'text str>,
    /// `depend`.
    pub depends: Vec<&'text str>,
    /// `optdepend`.
    pub optional: Vec<&'text str>,
    /// `xdata`.
    pub extra: Vec<&'text str>,
}

impl<'text> Info<'text> {
    /// Reads the bytes of `.PKGINFO`.
    ///
    /// # Errors
    /// When it is not written as it should be; says why.
    pub fn parse(bytes: &'text [u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "its `.PKGINFO` is not UTF-8".to_owned())?;
        let mut info = Self::default();
        for (number, line) in text.lines().enumerate() {
            let fault = |words: &str| format!("its `.PKGINFO`, line {}: {words}", number + 1);
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let (key, value) = line.split_once('=').ok_or_else(|| fault("expected `key = value`"))?;
            let value = value.trim();
            // Values become lines of the database, where one could end a section.
            if value.bytes().any(|byte| byte.is_ascii_control()) {
                return Err(fault("a value holds control characters"));
            }
            info.take(key.trim(), value);
        }
        if let Some(words) = relation::package_name_fault(info.name.as_bytes()) {
            return Err(format!("its `.PKGINFO` has no valid `pkgname`: {words}"));
        }
        if let Some(words) = version::fault(info.version.as_bytes()) {
            return Err(format!("its `.PKGINFO` has no valid `pkgver`: {words}"));
        }
        for (key, value) in [("builddate", info.built), ("size", info.installed_size)] {
            if !value.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(format!("its `.PKGINFO` has no valid `{key}`: expected a number"));
            }
        }
        Ok(info)
    }

    fn take(&mut self, key: &str, value: &'text str) {
        match key {
            "pkgname" => self.name = value,
            "pkgbase" => self.base = value,
            "pkgver" => self.version = value,
            "pkgdesc" => self.description = Some(value),
            "url" => self.url = Some(value),
            "builddate" => self.built = value,
            "packager" => self.packager = value,
            "size" => self.installed_size = value,
            "arch" => self.architecture = value,
            _ => {
                let list = match key {
                    "license" => &mut self.licences,
                    "replaces" => &mut self.replaces,
                    "group" => &mut self.groups,
                    "conflict" => &mut self.conflicts,
                    "provides" => &mut self.provides,
                    "backup" => &mut self.backup,
                    "depend" => &mut self.depends,
                    "optdepend" => &mut self.optional,
                    "xdata" => &mut self.extra,
                    // What was needed to make it: `makedepend`, `checkdepend`.
                    _ => return,
                };
                if !value.is_empty() {
                    list.push(value);
                }
            }
        }
    }
}
