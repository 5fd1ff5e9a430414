//! What is judged.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Serialize;

use super::container::ContainerConfig;
use super::elf::{self, Binary};
use super::publish::PublishedFile;
use super::release::{self, Fields, text_of};
use super::unit::{self, Unit};
use crate::image::ddi::Ddi;
use crate::image::read::{FileSystem, Format};
use crate::spec::Scope;
use crate::tree::{Kind, Tree, TreePath};

/// What a thing is meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// An extension of /usr and /opt (systemd-sysext(8)).
    Sysext,
    /// An extension of /etc.
    Confext,
    /// A portable service (portablectl(1)).
    Portable,
    /// A container image.
    Oci,
    /// A folder that systemd-sysupdate reads versions from.
    Publish,
}

/// For what systems a thing is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The oldest systemd that must take it.
    pub systemd: u32,
    /// The oldest kernel that must take it, when that is known: major and minor number.
    pub kernel: Option<(u32, u32)>,
    /// Where an extension is merged.
    pub scope: Scope,
    /// Whether the system enforces SELinux.
    pub selinux: bool,
    /// Whether only signed images are taken.
    pub signed: bool,
    /// Whether the same input must give the same bytes.
    pub reproducible: bool,
    /// The profile that a portable service is attached with (portablectl(1), `--profile=`).
    pub profile: String,
    /// Whether a portable service is attached to a user's service manager.
    pub user_services: bool,
    /// The exposure that services may have, in tenths (systemd-analyze(1), `security`).
    pub exposure: Option<u32>,
    /// Whether a container must not run as root.
    pub non_root: bool,
}

impl Default for Target {
    fn default() -> Self {
        Self {
            systemd: 252,
            kernel: None,
            scope: Scope::System,
            selinux: false,
            signed: false,
            reproducible: true,
            profile: "default".into(),
            user_services: false,
            exposure: None,
            non_root: true,
        }
    }
}

/// A release file of an extension.
#[derive(Debug)]
pub(super) struct ReleaseFile {
    pub(super) path: TreePath,
    /// What stands behind `extension-release.`
    pub(super) suffix: String,
    pub(super) regular: bool,
    /// Whether its name need not be that of the image.
    pub(super) relaxed: bool,
    pub(super) fields: Fields,
}

/// What is judged, with everything that is known about it.
#[derive(Debug)]
pub struct Subject<'a> {
    /// What it is meant for.
    pub class: Class,
    /// The name of its file or directory.
    pub file_name: &'a str,
    /// What it is.
    pub format: Format,
    /// What is in it.
    pub tree: Option<&'a Tree>,
    /// The file system in it.
    pub file_system: Option<&'a FileSystem>,
    /// The disk around it, for a disk image.
    pub disk: Option<&'a Ddi>,
    /// Whether it is signed by what is known to give another signature each time.
    pub random_signature: bool,
    /// The configuration of a container image.
    pub container: Option<&'a ContainerConfig>,
    /// The files of a folder of versions.
    pub published: &'a [PublishedFile],
    /// The names that lie beside it, and its own.
    pub siblings: &'a [String],
    /// For what systems it is meant.
    pub target: &'a Target,
    facts: Facts,
}

/// What is found out once, when a rule asks for it first.
#[derive(Debug, Default)]
struct Facts {
    releases: OnceLock<Vec<ReleaseFile>>,
    units: OnceLock<Vec<Unit>>,
    binaries: OnceLock<Vec<Binary>>,
}

impl<'a> Subject<'a> {
    /// Returns a subject of which nothing is known but its name and what it is meant for.
    pub fn new(class: Class, file_name: &'a str, format: Format, target: &'a Target) -> Self {
        Self {
            class,
            file_name,
            format,
            tree: None,
            file_system: None,
            disk: None,
            random_signature: false,
            container: None,
            published: &[],
            siblings: &[],
            target,
            facts: Facts::default(),
        }
    }

    /// Returns the fields of its release files, by path.
    pub fn release_fields(&self) -> BTreeMap<TreePath, Fields> {
        let Some(tree) = self.tree else { return BTreeMap::new() };
        let mut fields: BTreeMap<TreePath, Fields> =
            self.releases().iter().map(|file| (file.path.clone(), file.fields.clone())).collect();
        for path in ["/etc/os-release", "/usr/lib/os-release"].iter().filter_map(|path| path.parse().ok()) {
            if let Some(text) = release::text_at(tree, &path) {
                fields.insert(path, release::parse(&text));
            }
        }
        fields
    }

    /// Returns the names of the units in it, sorted.
    pub fn unit_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.units().iter().map(|unit| unit.name.clone()).collect();
        names.sort();
        names
    }

    /// Tells whether it is an extension.
    pub(super) fn is_extension(&self) -> bool {
        matches!(self.class, Class::Sysext | Class::Confext)
    }

    /// Returns the tree when it is of this class.
    pub(super) fn tree_of(&self, class: Class) -> Option<&'a Tree> {
        self.tree.filter(|_| self.class == class)
    }

    /// Returns the tree when it is an extension.
    pub(super) fn extension(&self) -> Option<&'a Tree> {
        self.tree.filter(|_| self.is_extension())
    }

    /// Returns the name without `.raw` and what says the class, as systemd 255 and later take it.
    pub(super) fn name(&self) -> &'a str {
        let name = self.plain_name();
        let class = if self.class == Class::Sysext { ".sysext" } else { ".confext" };
        name.strip_suffix(class).filter(|_| self.is_extension()).unwrap_or(name)
    }

    /// Returns the name without `.raw`.
    pub(super) fn plain_name(&self) -> &'a str {
        self.file_name.strip_suffix(".raw").unwrap_or(self.file_name)
    }

    /// Returns the directory that release files of this class stand in.
    pub(super) fn release_folder(&self) -> &'static str {
        if self.class == Class::Confext { "/etc/extension-release.d" } else { "/usr/lib/extension-release.d" }
    }

    /// Returns the release files of an extension.
    pub(super) fn releases(&self) -> &[ReleaseFile] {
        self.facts.releases.get_or_init(|| self.extension().map(|tree| self.read_releases(tree)).unwrap_or_default())
    }

    fn read_releases(&self, tree: &Tree) -> Vec<ReleaseFile> {
        let Ok(folder) = self.release_folder().parse::<TreePath>() else { return Vec::new() };
        let files = tree.below(&folder).filter_map(|(path, node)| {
            let name = String::from_utf8_lossy(path.name()?).into_owned();
            let suffix = name.strip_prefix("extension-release.")?.to_owned();
            let direct = path.parent().as_ref() == Some(&folder);
            let strict = node.meta.xattrs.get(&b"user.extension-release.strict"[..]);
            let strict = strict.map(|value| String::from_utf8_lossy(value).trim_end_matches('\0').to_ascii_lowercase());
            let text = text_of(node).or_else(|| release::text_at(tree, path)).unwrap_or_default();
            direct.then(|| ReleaseFile {
                path: path.clone(),
                suffix,
                regular: matches!(node.kind, Kind::Regular(_)),
                relaxed: matches!(strict.as_deref(), Some("0" | "false" | "no" | "n" | "f" | "off")),
                fields: release::parse(&text),
            })
        });
        files.collect()
    }

    /// Returns the release file that systemd takes: the one with the name of the image, or else the only other one that
    /// may stand for it.
    pub(super) fn release(&self) -> Option<&ReleaseFile> {
        let releases = self.releases();
        let exact = releases.iter().find(|file| file.suffix == self.name());
        exact.or_else(|| {
            let mut others =
                releases.iter().filter(|file| file.regular && (file.relaxed || file.suffix == self.stem()));
            others.next().filter(|_| others.next().is_none())
        })
    }

    /// Returns the name up to a version: what stands before the first `_` or `+`.
    pub(super) fn stem(&self) -> &'a str {
        self.name().split(['_', '+']).next().unwrap_or_default()
    }

    /// Returns the units in it.
    pub(super) fn units(&self) -> &[Unit] {
        self.facts.units.get_or_init(|| self.tree.map(unit::all).unwrap_or_default())
    }

    /// Returns the programs and libraries in it.
    pub(super) fn binaries(&self) -> &[Binary] {
        self.facts.binaries.get_or_init(|| self.tree.map(elf::all).unwrap_or_default())
    }
}
