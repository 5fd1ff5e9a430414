//! os-release(5) files, and extension-release files, which have the same form.

use std::fmt;

use crate::distro::{Architecture, Distro};
use crate::resolve::ReleaseMatch;
use crate::spec::Host;
use crate::tree::TreePath;

/// What kind of extension an image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExtensionClass {
    /// Merged into /usr and /opt.
    Sysext,
    /// Merged into /etc.
    Confext,
}

impl ExtensionClass {
    /// Returns the word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sysext => "sysext",
            Self::Confext => "confext",
        }
    }

    /// Returns what the names of its own fields begin with.
    fn prefix(self) -> &'static str {
        match self {
            Self::Sysext => "SYSEXT_",
            Self::Confext => "CONFEXT_",
        }
    }

    /// Returns where the release file of the image `name` stands.
    ///
    /// # Errors
    /// When the name is too long for a path.
    pub fn release_path(self, name: &str) -> Result<TreePath, crate::tree::InvalidPath> {
        let directory = match self {
            Self::Sysext => "/usr/lib/extension-release.d",
            Self::Confext => "/etc/extension-release.d",
        };
        format!("{directory}/extension-release.{name}").parse()
    }
}

/// The fields of a release file, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReleaseFile {
    fields: Vec<(String, String)>,
}

/// What a release file is made from.
#[derive(Debug, Clone, Copy)]
pub struct ReleaseFields<'run> {
    /// The distro that the image is made for.
    pub distro: &'run Distro,
    /// The name of the image.
    pub name: &'run str,
    /// The version of what is shipped; empty when the profile has none.
    pub version: &'run str,
}

impl ReleaseFile {
    /// Returns the release file of an extension. `architecture` is that of its programs; nothing when any machine can use
    /// the content. `reload` tells whether systemd has to read units again when it is merged.
    pub fn extension(
        class: ExtensionClass,
        of: ReleaseFields<'_>,
        release: &ReleaseMatch,
        architecture: Option<Architecture>,
        reload: bool,
    ) -> Self {
        let mut file = Self::default();
        let prefix = class.prefix();
        match release.host {
            Host::Any => file.set("ID", "_any"),
            Host::Distro => {
                file.set("ID", &of.distro.id);
                match &release.level {
                    Some(level) => file.set(format!("{prefix}LEVEL"), level),
                    None => of.distro.version_id.iter().for_each(|version| file.set("VERSION_ID", version)),
                }
            }
        }
        if let Some(architecture) = architecture {
            file.set("ARCHITECTURE", systemd_name(architecture));
        }
        if !release.scope.is_empty() {
            let words: Vec<_> = release.scope.iter().map(|scope| scope.word()).collect();
            file.set(format!("{prefix}SCOPE"), words.join(" "));
        }
        file.set(format!("{prefix}IMAGE_ID"), of.name);
        if !of.version.is_empty() {
            file.set(format!("{prefix}IMAGE_VERSION"), of.version);
        }
        if reload {
            file.set("EXTENSION_RELOAD_MANAGER", "1");
        }
        if !release.restart_units.is_empty() {
            file.set("EXTENSION_RESTART_UNITS", release.restart_units.join(" "));
        }
        file
    }

    /// Returns the os-release file of an image that has none of its own.
    pub fn os_release(of: ReleaseFields<'_>) -> Self {
        let mut file = Self::default();
        let distro = of.distro;
        file.set("ID", &distro.id);
        file.set("NAME", &distro.title);
        file.set("PRETTY_NAME", format!("{} on {} {}", of.name, distro.title, distro.release));
        distro.version_id.iter().for_each(|version| file.set("VERSION_ID", version));
        distro.codename.iter().for_each(|codename| file.set("VERSION_CODENAME", codename));
        file.set("IMAGE_ID", of.name);
        if !of.version.is_empty() {
            file.set("IMAGE_VERSION", of.version);
        }
        file
    }

    /// Sets a field; one that is there is replaced.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let (name, value) = (name.into(), value.into());
        match self.fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.fields.push((name, value)),
        }
    }

    /// Returns the value of a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for ReleaseFile {
    /// Writes one assignment a line, each quoted as a shell needs it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fields.iter().try_for_each(|(name, value)| writeln!(formatter, "{name}={}", quoted(value)))
    }
}

/// Quotes a value where os-release(5) asks for it.
pub(super) fn quoted(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if !value.is_empty() && value.bytes().all(plain) {
        return value.to_owned();
    }
    let mut text = String::from('"');
    for character in value.chars() {
        match character {
            '"' | '\\' | '$' | '`' => text.extend(['\\', character]),
            // A field is one line.
            character if character.is_control() => text.push(' '),
            character => text.push(character),
        }
    }
    text.push('"');
    text
}

/// Returns systemd's own spelling of an architecture.
fn systemd_name(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::X86_64 => "x86-64",
        Architecture::Aarch64 => "arm64",
        Architecture::Riscv64 => "riscv64",
    }
}
