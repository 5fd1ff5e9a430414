//! A profile resolved for one distro: what is meant, nothing left to decide but what package indexes decide.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::output::Outputs;
use super::over::ExtensionPackages;
use super::packages::{Bundled, PackageSettings, VersionWish};
use super::sources::PackageSource;
use super::template::Used;
use crate::distro::Distro;
use crate::spec::{Import, JobTime, LogDestination, Need, Place, Restart, RuleId, Scalar, Tier, WritableKind};
use crate::tree::{Content, TreePath};

/// A profile resolved for one distro.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// What is shipped.
    pub profile: Profile,
    /// For which distro.
    pub distro: Distro,
    /// The base image.
    pub image: String,
    /// What is below the layers, when the profile says so.
    pub base: Option<Base>,
    /// The value of every variable.
    pub variables: BTreeMap<String, Variable>,
    /// Layers from the lowest to the highest; the tables of the profile itself are the last.
    pub layers: Vec<Layer>,
    /// Packages, by logical name.
    pub packages: BTreeMap<String, Package>,
    /// How packages become part of a tree.
    pub package_settings: PackageSettings,
    /// Where packages come from.
    pub package_sources: Vec<PackageSource>,
    /// Users, by name.
    pub users: BTreeMap<String, User>,
    /// Groups, by name; users' own groups are not among them.
    pub groups: BTreeMap<String, u32>,
    /// Commands to run once in the image, by name.
    pub triggers: BTreeMap<String, Vec<String>>,
    /// The runtime contract.
    pub contract: Contract,
    /// The shapes to write.
    pub outputs: Outputs,
    /// Rules of `layerforge lint` that may be broken, each with the reason why.
    pub allowed_rules: BTreeMap<RuleId, String>,
    /// Names that anything but an entry looked up.
    pub used: Used,
}

/// What a profile asks of the outside world for one distro: what its lock covers.
#[derive(Debug, Clone)]
pub struct Requirements {
    /// For which distro.
    pub distro: Distro,
    /// The base image.
    pub image: String,
    /// The file that is below the layers, as the profile names it.
    pub base_path: Option<String>,
    /// Packages, by logical name.
    pub packages: BTreeMap<String, Package>,
    /// What is asked of the packages that outputs carry; nothing when none does.
    pub bundled: Option<Bundled>,
    /// What is asked of the packages that a system extension carries; nothing when it carries none.
    pub extension: Option<ExtensionPackages>,
}

impl Recipe {
    /// Returns what is asked of the packages that outputs carry; nothing when none does.
    pub fn bundled(&self) -> Option<Bundled> {
        self.outputs
            .bundled
            .any()
            .then(|| Bundled::of(&self.packages, self.package_settings.clone(), self.package_sources.clone()))
    }

    /// Returns what the recipe asks of the outside world.
    pub fn requirements(&self) -> Requirements {
        let base_path = match &self.base {
            Some(Base::Path { name, .. }) => Some(name.clone()),
            _ => None,
        };
        let (distro, image, packages) = (self.distro.clone(), self.image.clone(), self.packages.clone());
        let (bundled, extension) = (self.bundled(), self.extension());
        Requirements { distro, image, base_path, packages, bundled, extension }
    }
}

/// What is below the layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// The base image, from its registry.
    Image,
    /// An image layout, or an archive.
    Path {
        /// Where it is.
        path: PathBuf,
        /// As the profile names it.
        name: String,
    },
}

/// What is shipped, by name.
#[derive(Debug, Clone, Serialize)]
pub struct Profile {
    /// The name.
    pub name: String,
    /// The version.
    pub version: String,
    /// One sentence.
    pub summary: String,
    /// The time of every file, in seconds since 1970-01-01 UTC.
    pub epoch: i64,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
}

/// The value of a variable and who set it.
#[derive(Debug, Clone, Serialize)]
pub struct Variable {
    /// The value.
    pub value: Scalar,
    /// Who set it: a place in a document, `--set`, an environment variable.
    pub origin: String,
    /// What it is for.
    pub help: String,
    /// Where it is declared.
    #[serde(serialize_with = "as_text")]
    pub place: Place,
}

/// A layer with everything that holds for the distro.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The name; for the tables of a profile `profile:NAME`.
    pub name: String,
    /// Where it stands in the stack.
    pub tier: Tier,
    /// What it puts into the tree, sorted by path.
    pub entries: Vec<Entry>,
    /// A directory or archive to take as it is, below the entries.
    pub tree: Option<Import>,
}

impl Layer {
    /// Tells whether these are the tables of a profile: the top of the overlay tier, which may replace anything.
    pub fn is_profile(&self) -> bool {
        self.name.starts_with("profile:")
    }
}

/// One path of a layer.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The path.
    pub path: TreePath,
    /// What is put there.
    pub action: Action,
    /// Permission bits; nothing for links and removals.
    pub mode: u16,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Where it was written.
    pub origin: Origin,
    /// The variables and facts that decided about it.
    pub used: Used,
}

/// What an entry does with its path.
#[derive(Debug, Clone)]
pub enum Action {
    /// A regular file.
    File(Content),
    /// A directory.
    Directory,
    /// A symbolic link and what it holds.
    Link(Box<[u8]>),
    /// Nothing shall be there.
    Remove,
}

/// Where an entry was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The place of its table, of its template, or of the file in a file tree.
    pub place: OriginPlace,
    /// The distro section it stands in: `files.debian/`. Nothing when it is written for all.
    pub section: Option<String>,
    /// The text that is rendered into it, when there is one.
    pub template: Option<Place>,
}

/// A place in a text, or a whole file that is no text to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginPlace {
    /// In a document.
    Text(Place),
    /// A file, by the name messages use.
    File(Arc<str>),
}

impl OriginPlace {
    /// Returns the place itself.
    pub fn place(&self) -> Place {
        match self {
            Self::Text(place) => place.clone(),
            Self::File(name) => Place::file(&**name),
        }
    }
}

impl std::fmt::Display for OriginPlace {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(place) => place.fmt(formatter),
            Self::File(name) => formatter.write_str(name),
        }
    }
}

/// A package under the names that the distro has for it.
#[derive(Debug, Clone, Serialize)]
pub struct Package {
    /// The distribution's own names.
    pub names: Vec<String>,
    /// The tags of the sources that some of these should come from, by name; for apk, where packages are bundled.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The versions that will do, where packages are bundled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionWish>,
    /// Where it was asked for.
    #[serde(serialize_with = "as_text")]
    pub place: Place,
}

/// A user of the image.
#[derive(Debug, Clone, Serialize)]
pub struct User {
    /// Its number.
    pub uid: u32,
    /// The number of its own group.
    pub gid: u32,
    /// Other groups it is in.
    pub groups: Vec<String>,
    /// Its home.
    pub home: String,
    /// Its shell.
    pub shell: String,
    /// What it is for.
    pub comment: String,
}

/// A user and group as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Account {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// The runtime contract: what runs, as whom, what it may write and what it is given.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Contract {
    /// Programs that stay.
    pub processes: BTreeMap<String, Process>,
    /// Programs that run to their end.
    pub jobs: BTreeMap<String, Job>,
    /// Paths that stay writable.
    pub writables: BTreeMap<String, Writable>,
    /// Names of things that are never in an image.
    pub secrets: BTreeMap<String, Secret>,
}

/// A program that stays.
#[derive(Debug, Clone, Serialize)]
pub struct Process {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// As whom it runs.
    pub user: Account,
    /// The directory it starts in.
    pub directory: Option<String>,
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
    /// Ports it listens on.
    pub ports: BTreeMap<String, u16>,
    /// When it is ready.
    pub ready: Option<Probe>,
    /// When it is alive.
    pub live: Option<Probe>,
    /// Whether it is started again.
    pub restart: Restart,
    /// The signal that asks it to end, with `SIG`.
    pub stop_signal: String,
    /// How long it may take to end.
    #[serde(serialize_with = "as_seconds")]
    pub stop_timeout: Duration,
    /// Names of the secrets it is given.
    pub secrets: Vec<String>,
    /// What it needs beyond a hardened process.
    pub needs: Vec<Need>,
    /// How many of it run.
    pub replicas: u32,
    /// The port and path of its metrics.
    pub metrics: Option<(u16, String)>,
    /// Where its log goes.
    pub log: LogDestination,
    /// What it may use.
    pub limits: Limits,
    /// Where it was declared.
    #[serde(serialize_with = "as_text")]
    pub place: Place,
}

/// A question that a healthy process answers.
#[derive(Debug, Clone, Serialize)]
pub struct Probe {
    /// The question.
    pub question: Question,
    /// The command in the image that asks it; it ends with exit code 0 when the answer is good.
    pub command: Vec<String>,
    /// Time between two questions.
    #[serde(serialize_with = "as_seconds")]
    pub interval: Duration,
    /// Time for one answer.
    #[serde(serialize_with = "as_seconds")]
    pub timeout: Duration,
    /// Time from the start during which failures do not count.
    #[serde(serialize_with = "as_seconds")]
    pub start_period: Duration,
    /// Failures in a row that count.
    pub retries: u32,
}

/// What a probe asks.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// An HTTP request to a port of the process.
    Http {
        /// The port.
        port: u16,
        /// The path.
        path: String,
    },
    /// A connection to a port of the process.
    Tcp {
        /// The port.
        port: u16,
    },
    /// A command in the image.
    Command,
}

/// A program that runs to its end.
#[derive(Debug, Clone, Serialize)]
pub struct Job {
    /// When it runs.
    pub when: JobTime,
    /// For a scheduled job: the calendar expression.
    pub schedule: Option<String>,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// As whom it runs.
    pub user: Account,
    /// The directory it starts in.
    pub directory: Option<String>,
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
    /// Names of the secrets it is given.
    pub secrets: Vec<String>,
    /// What it needs beyond a hardened process.
    pub needs: Vec<Need>,
    /// How long it may run.
    #[serde(serialize_with = "as_optional_seconds")]
    pub timeout: Option<Duration>,
    /// What it may use.
    pub limits: Limits,
}

/// What a process may use; nothing means no limit.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Limits {
    /// Bytes of memory above which it is slowed down.
    pub memory_high: Option<u64>,
    /// Bytes of memory above which it is killed.
    pub memory_max: Option<u64>,
    /// Number of processes and threads.
    pub tasks: Option<u64>,
    /// Share of the processor, 1 to 10000.
    pub cpu_weight: Option<u64>,
    /// Number of open files.
    pub open_files: Option<u64>,
}

/// A path that stays writable.
#[derive(Debug, Clone, Serialize)]
pub struct Writable {
    /// The path.
    pub path: TreePath,
    /// What it holds.
    pub kind: WritableKind,
    /// Bytes it may hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Owner.
    pub owner: Account,
    /// Permission bits.
    pub mode: u16,
    /// A path of the tree whose content is put there before the first start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<TreePath>,
    /// Directories that must be in it, relative to it.
    pub subdirectories: Vec<String>,
    /// Where it was declared.
    #[serde(serialize_with = "as_text")]
    pub place: Place,
}

/// Something that is never in an image.
#[derive(Debug, Clone, Serialize)]
pub struct Secret {
    /// What it is for.
    pub help: String,
    /// How a process gets it.
    pub hand_over: HandOver,
}

/// How a process gets a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HandOver {
    /// In an environment variable.
    Environment(String),
    /// In a file.
    File(TreePath),
}

fn as_text<T: ToString, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}

fn as_seconds<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(value.as_secs_f64())
}

fn as_optional_seconds<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    value.map(|value| value.as_secs_f64()).serialize(serializer)
}
