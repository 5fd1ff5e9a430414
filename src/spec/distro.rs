//! The description of a distribution, as data: `distros/NAME.toml`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::merge::merge_fields;
use super::packages::SourceTable;
use super::source::{Located, Table};
use super::value::{Identifier, Mode, Name};
use super::version::{KernelVersion, SystemdVersion};

/// The package manager of a distribution and everything that follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// dpkg and apt.
    Apt,
    /// apk.
    Apk,
    /// pacman.
    Pacman,
}

/// The C library that programs are linked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Libc {
    /// GNU.
    Glibc,
    /// musl.
    Musl,
}

/// The first process of a full system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// systemd.
    Systemd,
    /// OpenRC.
    Openrc,
}

/// A distribution. What a description does not say comes from the one it is `like`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DistroDocument {
    /// The distribution's own name for itself.
    pub title: Option<Located<String>>,
    /// `ID` of os-release(5).
    pub id: Option<Located<String>>,
    /// The distro whose description this one starts from.
    pub like: Option<Located<Name>>,
    /// The family of its package manager.
    pub family: Option<Located<Family>>,
    /// The release when a profile names none.
    pub default_release: Option<Located<String>>,
    /// Package repositories, the first is asked first.
    pub mirrors: Option<Vec<Located<String>>>,
    /// The package that holds the keys of the repositories.
    pub keyring: Option<Located<String>>,
    /// Its own repositories.
    #[serde(default)]
    pub source: Table<Name, SourceTable>,
    /// Facts that hold for every release.
    #[serde(default)]
    pub facts: FactsTable,
    /// The family's own spelling of each architecture.
    #[serde(default)]
    pub architecture: Table<Name, Located<String>>,
    /// Releases by the name a profile uses, each with the facts that differ.
    #[serde(default)]
    pub release: Table<String, ReleaseTable>,
}

/// One release of a distribution.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseTable {
    /// `VERSION_CODENAME` of os-release(5).
    pub codename: Option<Located<String>>,
    /// `VERSION_ID` of os-release(5); a rolling release has none.
    pub version_id: Option<Located<String>>,
    /// Other names of this release.
    pub aliases: Option<Vec<Located<String>>>,
    /// Package repositories, when they are elsewhere than those of other releases.
    pub mirrors: Option<Vec<Located<String>>>,
    /// What differs in the repositories of this release.
    #[serde(default)]
    pub source: Table<Name, SourceTable>,
    /// Facts that differ in this release.
    #[serde(default)]
    pub facts: FactsTable,
}

/// What layers need to know about a distribution.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FactsTable {
    /// The base image; rendered as a template.
    pub image: Option<Located<String>>,
    /// The C library.
    pub libc: Option<Located<Libc>>,
    /// The first process.
    pub init: Option<Located<Init>>,
    /// Whether `/bin`, `/lib` and `/sbin` are links into `/usr`.
    pub merged_usr: Option<Located<bool>>,
    /// The version of Linux that the release came with; images have to be readable by it.
    pub kernel: Option<Located<KernelVersion>>,
    /// The version of systemd that the release has; one without systemd has none.
    pub systemd: Option<Located<SystemdVersion>>,
    /// Where things are.
    #[serde(default)]
    pub paths: Table<Identifier, Located<String>>,
    /// Names of users that packages create.
    #[serde(default)]
    pub users: Table<Identifier, Located<String>>,
    /// Modes of well-known directories that are not 0755, so that a path below them does not change them.
    #[serde(default)]
    pub directories: Table<String, Located<Mode>>,
    /// Symbolic links of the base image to directories, which nothing may replace or stand below.
    #[serde(default)]
    pub symlinks: Table<String, Located<String>>,
    /// Commands of the plain base image.
    #[serde(default)]
    pub commands: CommandsTable,
}

/// Commands that work in the plain base image; each part is rendered as a template.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandsTable {
    /// Succeeds when `http://127.0.0.1:{{ port }}{{ path }}` answers with a status below 400.
    pub probe_http: Option<Vec<Located<String>>>,
    /// Succeeds when 127.0.0.1 accepts connections on `{{ port }}`.
    pub probe_tcp: Option<Vec<Located<String>>>,
    /// Builds the CA bundle from the distribution's own certificates and the local anchors.
    pub update_ca: Option<Vec<Located<String>>>,
}

merge_fields!(ReleaseTable { codename, version_id, aliases, mirrors, source, facts });
merge_fields!(FactsTable {
    image,
    libc,
    init,
    merged_usr,
    kernel,
    systemd,
    paths,
    users,
    directories,
    symlinks,
    commands,
});
merge_fields!(CommandsTable { probe_http, probe_tcp, update_ca });
merge_fields!(DistroDocument {
    title,
    id,
    like,
    family,
    default_release,
    mirrors,
    keyring,
    source,
    facts,
    architecture,
    release,
});
