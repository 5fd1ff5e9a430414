//! What a package says about itself: `.PKGINFO`, lines `key = value` (apk-package(5)).

use super::relation;
use crate::digest::Digest;

/// The fields of a package.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Info<'text> {
    /// `pkgname`.
    pub name: &'text str,
    /// `pkgver`.
    pub version: &'text str,
    /// `arch`.
    pub architecture: &'text str,
    /// `pkgdesc`.
    pub description: &'text str,
    /// `url`.
    pub url: &'text str,
    /// `license`.
    pub licence: &'text str,
    /// `origin`: the source package.
    pub origin: &'text str,
    /// `maintainer`.
    pub maintainer: &'text str,
    /// `commit`.
    pub commit: &'text str,
    /// `builddate`, in seconds since 1970.
    pub built: Option<u64>,
    /// `size`: what it takes when installed, in bytes.
    pub installed_size: u64,
    /// `provider_priority`.
    pub provider_priority: u32,
    /// `replaces_priority`.
    pub replaces_priority: u32,
    /// `depend`.
    pub depends: Vec<&'text str>,
    /// `provides`.
    pub provides: Vec<&'text str>,
    /// `replaces`.
    pub replaces: Vec<&'text str>,
    /// `install_if`.
    pub install_if: Vec<&'text str>,
    /// `triggers`: patterns of directories.
    pub triggers: Vec<&'text str>,
    /// `datahash`: the SHA-256 of the data as it is stored.
    pub data: Option<Digest>,
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
            if value.bytes().any(|byte| byte.is_ascii_control()) {
                return Err(fault("a value holds control characters"));
            }
            info.take(key.trim(), value).map_err(|words| fault(&words))?;
        }
        if let Some(words) = relation::package_name_fault(info.name.as_bytes()) {
            return Err(format!("its `.PKGINFO` has no valid `pkgname`: {words}"));
        }
        if info.version.is_empty() || !info.version.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/') {
            return Err("its `.PKGINFO` has no valid `pkgver`".into());
        }
        Ok(info)
    }

    fn take(&mut self, key: &str, value: &'text str) -> Result<(), String> {
        let number = || super::index::number(value.as_bytes()).ok_or_else(|| format!("`{key}` is no number"));
        let small = || u32::try_from(number()?).map_err(|_| format!("`{key}` is no number of 32 bits"));
        match key {
            "pkgname" => self.name = value,
            "pkgver" => self.version = value,
            "arch" => self.architecture = value,
            "pkgdesc" => self.description = value,
            "url" => self.url = value,
            "license" => self.licence = value,
            "origin" => self.origin = value,
            "maintainer" => self.maintainer = value,
            "commit" => self.commit = value,
            "builddate" => self.built = Some(number()?),
            "size" => self.installed_size = number()?,
            "provider_priority" => self.provider_priority = small()?,
            "replaces_priority" => self.replaces_priority = small()?,
            "datahash" => {
                let digest = format!("sha256:{value}").parse();
                self.data = Some(digest.map_err(|_| "`datahash` is no SHA-256".to_owned())?);
            }
            "depend" => words(&mut self.depends, value)?,
            "provides" => words(&mut self.provides, value)?,
            "replaces" => words(&mut self.replaces, value)?,
            "install_if" => words(&mut self.install_if, value)?,
            "triggers" => self.triggers.extend(value.split_whitespace()),
            // What the index does not have either: `packager`, `packagename`, and what is added later.
            _ => {}
        }
        Ok(())
    }
}

/// Takes dependencies, one or several of which stand in a line.
fn words<'text>(list: &mut Vec<&'text str>, value: &'text str) -> Result<(), String> {
    for word in value.split_whitespace() {
        relation::Dependency::parse(word.as_bytes()).map_err(|fault| format!("`{word}`: {fault}"))?;
        list.push(word);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read() {
        let text = "# by abuild\npkgname = a\npkgver = 1.0-r0\narch = noarch\nsize = 12\nbuilddate = 5\ndepend = b>=1\n\
                    depend = !c\nprovides = cmd:a=1.0-r0 so:x=1\ntriggers = /usr/lib/* /etc\nreplaces_priority = 3\n";
        let info = Info::parse(text.as_bytes()).unwrap();
        assert_eq!((info.name, info.version, info.installed_size, info.built), ("a", "1.0-r0", 12, Some(5)));
        assert_eq!((info.depends, info.provides), (vec!["b>=1", "!c"], vec!["cmd:a=1.0-r0", "so:x=1"]));
        assert_eq!((info.triggers, info.replaces_priority), (vec!["/usr/lib/*", "/etc"], 3));
    }

    #[test]
    fn mistakes_are_told() {
        for (text, part) in [
            ("pkgver = 1\n", "pkgname"),
            ("pkgname = ../a\npkgver = 1\n", "pkgname"),
            ("pkgname = a\n", "pkgver"),
            ("pkgname = a\npkgver = 1/2\n", "pkgver"),
            ("pkgname = a\npkgver = 1\nsize = x\n", "line 3: `size`"),
            ("pkgname = a\npkgver = 1\ndepend = b=\n", "line 3: `b=`"),
            ("pkgname = a\npkgver = 1\ndatahash = 12\n", "line 3: `datahash`"),
            ("nothing\n", "line 1"),
        ] {
            let fault = Info::parse(text.as_bytes()).unwrap_err();
            assert!(fault.contains(part), "{fault}");
        }
    }
}
