//! Distributions: what a release of one is like, for one architecture.
//!
//! Comes in: descriptions (`distros/NAME.toml` of a project, or the program's own) and the `[distro.NAME]` table of a
//! profile. Goes out: a [`Distro`] with every fact decided. Always holds: a derivative has all facts of the distro it is
//! like; a release that no description knows is an error.

mod keys;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::Serialize;

pub use keys::{ApkKey, apk_keys, archive_keys};

use crate::spec::{
    DistroDocument, DistroTable, FactsTable, Family, Init, KernelVersion, Libc, Located, Merge, Mode, Place, Problem,
    Project, SourceTable, SpecError, SystemdVersion, Table, parse,
};

/// A processor architecture, by the name that Linux and Rust give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// 64-bit x86.
    #[serde(rename = "x86_64")]
    X86_64,
    /// 64-bit ARM.
    Aarch64,
    /// 64-bit RISC-V.
    Riscv64,
}

impl Architecture {
    /// Every architecture.
    pub const ALL: [Self; 3] = [Self::X86_64, Self::Aarch64, Self::Riscv64];

    /// Returns the architecture this program runs on; x86_64 where it is none of those known.
    pub fn host() -> Self {
        std::env::consts::ARCH.parse().unwrap_or(Self::X86_64)
    }

    /// Returns its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
            Self::Riscv64 => "riscv64",
        }
    }

    /// Returns the spelling of OCI images and Go: the second half of a platform.
    pub fn oci_name(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
            Self::Riscv64 => "riscv64",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Architecture {
    type Err = String;

    /// Takes the name, or the spelling of Debian and of OCI.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "x86_64" | "amd64" | "x86-64" => Ok(Self::X86_64),
            "aarch64" | "arm64" => Ok(Self::Aarch64),
            "riscv64" => Ok(Self::Riscv64),
            _ => Err(format!("unknown architecture `{text}`: expected x86_64, aarch64 or riscv64")),
        }
    }
}

/// A release of a distribution for one architecture, with every fact decided.
#[derive(Debug, Clone, Serialize)]
pub struct Distro {
    /// The name it has in the profile.
    pub name: String,
    /// The name, then those of the distros it is like, the nearest first.
    pub lineage: Vec<String>,
    /// The distribution's own name for itself.
    pub title: String,
    /// `ID` of os-release(5).
    pub id: String,
    /// The family of its package manager.
    pub family: Family,
    /// The release by the name the profile uses.
    pub release: String,
    /// Whether this is the release that is rendered when none is asked for.
    pub default_release: bool,
    /// `VERSION_CODENAME` of os-release(5), when the release has one. Templates do not see what is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codename: Option<String>,
    /// `VERSION_ID` of os-release(5); none for a rolling release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// The architecture.
    pub architecture: Architecture,
    /// The family's own spelling of the architecture.
    pub native_architecture: String,
    /// The C library.
    pub libc: Libc,
    /// The first process of a full system.
    pub init: Init,
    /// Whether `/bin`, `/lib` and `/sbin` are links into `/usr`.
    pub merged_usr: bool,
    /// The version of Linux that the release came with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<KernelVersion>,
    /// The version of systemd that the release has; one without systemd has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub systemd: Option<SystemdVersion>,
    /// The base image, still a template.
    #[serde(skip)]
    pub image: Located<String>,
    /// Package repositories.
    pub mirrors: Vec<String>,
    /// The package that holds the keys of the repositories.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyring: Option<String>,
    /// Its own repositories, still templates.
    #[serde(skip)]
    pub sources: Table<crate::spec::Name, SourceTable>,
    /// The names of those of them whose addresses the profile says.
    #[serde(skip)]
    pub moved_sources: BTreeSet<String>,
    /// Where things are.
    pub paths: BTreeMap<String, String>,
    /// Names of users that packages create.
    pub users: BTreeMap<String, String>,
    /// Modes of well-known directories that are not 0755.
    #[serde(skip)]
    pub directories: BTreeMap<String, Mode>,
    /// Symbolic links of the base image to directories.
    pub symlinks: BTreeMap<String, String>,
    /// Commands of the plain base image, still templates, by purpose.
    #[serde(skip)]
    pub commands: BTreeMap<&'static str, Vec<Located<String>>>,
}

impl Distro {
    /// Tells whether `name` is this distro or one it is like.
    pub fn is_like(&self, name: &str) -> bool {
        self.lineage.iter().any(|own| own == name)
    }

    /// Returns the value for the nearest distro of the lineage that `table` names.
    pub fn nearest<'table, V>(&self, table: &'table Table<crate::spec::Name, V>) -> Option<&'table V> {
        self.lineage.iter().find_map(|name| table.get(name.as_str()))
    }
}

/// Which release and architecture of a distro are asked for.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// A release other than the profile's.
    pub release: Option<String>,
    /// An architecture other than the host's.
    pub architecture: Option<Architecture>,
}

/// Decides every fact of the distro `name`, which a profile names at `place` with `table`.
///
/// # Errors
/// When there is no description for it, its descriptions run in a circle, or they lack a fact, the release or the
/// architecture.
pub fn describe(
    project: &Project,
    name: &Located<crate::spec::Name>,
    table: &DistroTable,
    wish: &Wish,
) -> Result<Distro, SpecError> {
    let (document, lineage) = inherit(project, name, table)?;
    let place = &name.place;
    let missing = |what: &str| {
        Problem::at(place, format!("the description of the distro `{name}` has no `{what}`", name = name.value))
            .help(format!("add `{what}` to `distros/{}.toml`, or `like = \"…\"` to start from another distro", **name))
    };
    let written = table.release.as_ref().or(document.default_release.as_ref());
    let default = written.ok_or_else(|| missing("default_release"))?;
    let asked = wish.release.as_deref().unwrap_or(default.as_str());
    let (release, mut facts, details) = find_release(&document, asked, default, name)?;
    // Both may be aliases of one release.
    let default_release = release == find_release(&document, default, default, name)?.0;
    let architecture = wish.architecture.unwrap_or_else(Architecture::host);
    let native = document.architecture.get(architecture.as_str()).ok_or_else(|| {
        Problem::at(place, format!("the distro `{}` is not made for {architecture}", **name)).suggest(
            "",
            "its architectures",
            document.architecture.keys().map(|key| key.as_str()),
        )
    })?;
    facts.image.merge_with(table.image.clone());
    let mut sources = document.source.clone();
    sources.merge_with(details.source.clone());
    let mut moved_sources = BTreeSet::new();
    for (source, changes) in &table.source {
        let Some(own) = sources.get_mut(source.as_str()) else {
            return Err(Problem::at(&source.place, format!("the distro `{}` has no source `{}`", **name, **source))
                .rule("a source of the profile's own is written as `[source.NAME]`")
                .suggest(source, "its sources", sources.keys().map(|name| name.as_str()))
                .into());
        };
        own.merge_with(changes.clone());
        if changes.mirrors.is_some() {
            moved_sources.insert(source.to_string());
        }
    }
    if let Some(snapshot) = &table.snapshot {
        sources.values_mut().for_each(|source| source.snapshot = source.snapshot.take().or(Some(snapshot.clone())));
    }
    let texts = |table: &Table<crate::spec::Identifier, Located<String>>| {
        table.iter().map(|(key, value)| (key.to_string(), value.value.clone())).collect()
    };
    let commands = &facts.commands;
    let commands =
        [("probe_http", &commands.probe_http), ("probe_tcp", &commands.probe_tcp), ("update_ca", &commands.update_ca)]
            .into_iter()
            .filter_map(|(name, command)| Some((name, command.clone()?)))
            .collect();
    Ok(Distro {
        title: document.title.as_ref().ok_or_else(|| missing("title"))?.value.clone(),
        id: document.id.as_ref().ok_or_else(|| missing("id"))?.value.clone(),
        family: document.family.as_ref().ok_or_else(|| missing("family"))?.value,
        default_release,
        release,
        codename: details.codename.as_ref().map(|codename| codename.value.clone()),
        version_id: details.version_id.as_ref().map(|version| version.value.clone()),
        architecture,
        native_architecture: native.value.clone(),
        libc: facts.libc.as_ref().ok_or_else(|| missing("facts.libc"))?.value,
        init: facts.init.as_ref().ok_or_else(|| missing("facts.init"))?.value,
        merged_usr: facts.merged_usr.as_ref().ok_or_else(|| missing("facts.merged_usr"))?.value,
        kernel: facts.kernel.as_ref().map(|kernel| kernel.value),
        systemd: facts.systemd.as_ref().map(|systemd| systemd.value),
        image: facts.image.clone().ok_or_else(|| missing("facts.image"))?,
        mirrors: details.mirrors.iter().flatten().map(|mirror| mirror.value.clone()).collect(),
        keyring: document.keyring.as_ref().map(|keyring| keyring.value.clone()),
        sources,
        moved_sources,
        paths: texts(&facts.paths),
        users: texts(&facts.users),
        directories: facts.directories.iter().map(|(path, mode)| (path.value.clone(), mode.value)).collect(),
        symlinks: facts.symlinks.iter().map(|(path, target)| (path.value.clone(), target.value.clone())).collect(),
        commands,
        name: name.to_string(),
        lineage,
    })
}

/// Returns the facts of the release that an os-release or extension-release file names by `ID` and `VERSION_ID`; nothing
/// when no description has it.
///
/// # Errors
/// When a description cannot be read.
pub fn facts_of_release(project: &Project, id: &str, version_id: &str) -> Result<Option<FactsTable>, SpecError> {
    for (name, _) in project.names("distros", ".toml")? {
        let Some((source, _)) = project.source(&format!("distros/{name}.toml"))? else { continue };
        let Ok(name) = name.parse() else { continue };
        let name = Located::new(name, Place::whole(&source));
        let (document, _) = inherit(project, &name, &DistroTable::default())?;
        let is = |written: &Option<Located<String>>, asked| written.as_ref().is_some_and(|value| value.value == asked);
        let release = document.release.values().find(|release| is(&release.version_id, version_id));
        if let Some(release) = release.filter(|_| is(&document.id, id)) {
            let mut facts = document.facts.clone();
            facts.merge_with(release.facts.clone());
            return Ok(Some(facts));
        }
    }
    Ok(None)
}

/// Lays the description of `name` over those it is like; returns it with the lineage.
fn inherit(
    project: &Project,
    name: &Located<crate::spec::Name>,
    table: &DistroTable,
) -> Result<(DistroDocument, Vec<String>), SpecError> {
    let mut documents = Vec::new();
    let mut lineage = vec![name.to_string()];
    let mut current = name.clone();
    let mut like = table.like.clone();
    loop {
        match project.source(&format!("distros/{}.toml", *current))? {
            Some((source, _)) => {
                let document: DistroDocument = parse(&source)?;
                like = like.or_else(|| document.like.clone());
                documents.push(document);
            }
            None if like.is_some() => {}
            None => return Err(unknown_distro(project, &current)?.into()),
        }
        let Some(next) = like.take() else { break };
        if lineage.iter().any(|known| *known == **next) {
            return Err(Problem::at(&next.place, format!("the distro `{}` is like itself", *next))
                .rule(format!("distros cannot be like each other in a circle: {} → {}", lineage.join(" → "), *next))
                .into());
        }
        lineage.push(next.to_string());
        current = next;
    }
    let mut merged = DistroDocument::default();
    for document in documents.into_iter().rev() {
        // A distro that names releases has no others: those of the one it is like are not its own.
        if !document.release.is_empty() {
            merged.release.retain(|name, _| document.release.contains_key(name));
        }
        // Nor are their repositories.
        if !document.source.is_empty() {
            merged.source.clear();
            merged.release.values_mut().for_each(|release| release.source.clear());
        }
        merged.merge_with(document);
    }
    Ok((merged, lineage))
}

fn unknown_distro(project: &Project, name: &Located<crate::spec::Name>) -> Result<Problem, SpecError> {
    let known = project.names("distros", ".toml")?;
    Ok(Problem::at(&name.place, format!("unknown distro `{}`", **name))
        .rule("a distro has a description `distros/NAME.toml`, or names one with `like`")
        .suggest(name, "described distros", known.keys().map(String::as_str)))
}

/// Finds a release by its name, codename or alias; returns its name, the facts that hold in it, and its own table.
fn find_release(
    document: &DistroDocument,
    asked: &str,
    written: &Located<String>,
    name: &Located<crate::spec::Name>,
) -> Result<(String, FactsTable, crate::spec::ReleaseTable), SpecError> {
    let matches = |key: &Located<String>, table: &crate::spec::ReleaseTable| {
        **key == asked
            || table.codename.as_ref().is_some_and(|codename| **codename == asked)
            || table.aliases.iter().flatten().any(|alias| **alias == asked)
    };
    let Some((key, table)) = document.release.iter().find(|(key, table)| matches(key, table)) else {
        let place: &Place = if **written == asked { &written.place } else { &name.place };
        return Err(Problem::at(place, format!("the distro `{}` has no release `{asked}`", **name))
            .rule(format!("releases are described in `distros/{}.toml` as `[release.\"NAME\"]`", **name))
            .suggest(asked, "its releases", document.release.keys().map(|key| key.as_str()))
            .into());
    };
    let mut details = table.clone();
    if details.mirrors.is_none() {
        details.mirrors.clone_from(&document.mirrors);
    }
    let mut facts = document.facts.clone();
    facts.merge_with(details.facts.clone());
    // The name that was asked for may be an alias; the description's own name is what paths and locks use.
    Ok((key.value.clone(), facts, details))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn debian(release: &str) -> Distro {
        let project = Project::open(std::path::Path::new("/nowhere"));
        let source = std::sync::Arc::new(crate::spec::Source { name: "x".into(), path: None, text: String::new() });
        let place = Place::whole(&source);
        let table =
            DistroTable { release: Some(Located::new("13".to_owned(), place.clone())), ..DistroTable::default() };
        let wish = Wish { release: Some(release.to_owned()), architecture: Some(Architecture::Aarch64) };
        let name = Located::new("debian".parse().unwrap(), place);
        describe(&project, &name, &table, &wish).unwrap()
    }

    #[test]
    fn an_alias_is_the_release_it_stands_for() {
        let trixie = debian("trixie");
        assert_eq!((trixie.release.as_str(), trixie.default_release), ("trixie", true));
        let bookworm = debian("12");
        assert_eq!((bookworm.release.as_str(), bookworm.default_release), ("bookworm", false));
    }

    #[test]
    fn a_release_overrides_facts_and_architectures_have_their_own_spelling() {
        let bookworm = debian("bookworm");
        assert_ne!(bookworm.paths["postgresql_bindir"], debian("trixie").paths["postgresql_bindir"]);
        assert_eq!(bookworm.native_architecture, "arm64");
    }
}
