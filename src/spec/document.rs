//! The two documents a user writes: a profile and a layer. They share most tables.

use schemars::JsonSchema;
use serde::Deserialize;

use super::entry::{DirectoryTable, FileTable, LinkTable, RemoveTable, conditional};
use super::merge::{Merge, merge_fields};
use super::output::OutputTables;
use super::packages::{PackagesTable, SourceTable};
use super::runtime::{JobTable, ProcessTable, SecretTable, WritableTable};
use super::source::{Located, Table};
use super::value::{EnvironmentName, Identifier, Name, Number, RuleId, Scalar};

/// Defines a document that has, besides its own keys, the tables that profiles and layers share. serde's `flatten`
/// would say the same, but loses the position of mistakes.
macro_rules! document {
    ($(#[$doc:meta])* $name:ident { $($(#[$key_doc:meta])* $key:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$key_doc])* pub $key: $type,)*
            /// Values that templates use.
            #[serde(default)]
            pub variable: Table<Identifier, VariableTable>,
            /// Packages of the distribution, by logical name.
            #[serde(default)]
            pub package: Table<Name, PackageTable>,
            /// Users, by name.
            #[serde(default)]
            pub user: Table<Name, UserTable>,
            /// Groups, by name.
            #[serde(default)]
            pub group: Table<Name, GroupTable>,
            /// Files, by absolute path.
            #[serde(default)]
            pub file: Table<String, FileTable>,
            /// Symbolic links, by absolute path.
            #[serde(default)]
            pub link: Table<String, LinkTable>,
            /// Directories, by absolute path.
            #[serde(default)]
            pub directory: Table<String, DirectoryTable>,
            /// Paths of lower layers or of the base image that shall not be there.
            #[serde(default)]
            pub remove: Table<String, RemoveTable>,
            /// Commands run once in the image after the files are there.
            #[serde(default)]
            pub trigger: Table<Name, TriggerTable>,
            /// Paths that stay writable.
            #[serde(default)]
            pub writable: Table<Identifier, WritableTable>,
            /// Environment variables of every process and job; their own win. Values are rendered as templates.
            #[serde(default)]
            pub environment: Table<EnvironmentName, Located<String>>,
            /// Programs that stay.
            #[serde(default)]
            pub process: Table<Name, ProcessTable>,
            /// Programs that run to their end.
            #[serde(default)]
            pub job: Table<Name, JobTable>,
            /// Names of things that are never in an image.
            #[serde(default)]
            pub secret: Table<Identifier, SecretTable>,
        }

        impl $name {
            /// Takes the shared tables out.
            pub fn take_tables(&mut self) -> Tables {
                Tables {
                    variable: std::mem::take(&mut self.variable),
                    package: std::mem::take(&mut self.package),
                    user: std::mem::take(&mut self.user),
                    group: std::mem::take(&mut self.group),
                    file: std::mem::take(&mut self.file),
                    link: std::mem::take(&mut self.link),
                    directory: std::mem::take(&mut self.directory),
                    remove: std::mem::take(&mut self.remove),
                    trigger: std::mem::take(&mut self.trigger),
                    writable: std::mem::take(&mut self.writable),
                    environment: std::mem::take(&mut self.environment),
                    process: std::mem::take(&mut self.process),
                    job: std::mem::take(&mut self.job),
                    secret: std::mem::take(&mut self.secret),
                }
            }

            /// Puts the shared tables back.
            pub fn put_tables(&mut self, tables: Tables) {
                let Tables {
                    variable, package, user, group, file, link, directory, remove, trigger, writable, environment,
                    process, job, secret,
                } = tables;
                self.variable = variable;
                self.package = package;
                self.user = user;
                self.group = group;
                self.file = file;
                self.link = link;
                self.directory = directory;
                self.remove = remove;
                self.trigger = trigger;
                self.writable = writable;
                self.environment = environment;
                self.process = process;
                self.job = job;
                self.secret = secret;
            }
        }
    };
}

document!(
    /// A profile: what to ship.
    ProfileDocument {
        /// The name of the profile; the file's own by default.
        name: Option<Located<Name>>,
        /// The version of what is shipped.
        version: Option<Located<String>>,
        /// What is shipped, in one sentence.
        summary: Option<Located<String>>,
        /// Profiles that this one is laid over, from left to right.
        extends: Option<Vec<Located<String>>>,
        /// Layers, in order within their tier. Those of extended profiles come first.
        layers: Option<Vec<Located<Name>>>,
        /// The time that every file gets, in seconds since 1970-01-01 UTC.
        epoch: Option<Located<i64>>,
        /// Distros to render for, by name.
        #[serde(default)]
        distro: Table<Name, DistroTable>,
        /// What is below the layers; nothing, or the base image of the distro, by default.
        #[serde(default)]
        from: FromTable,
        /// Labels of the image; values are rendered as templates.
        #[serde(default)]
        labels: Table<String, Located<String>>,
        /// How outputs that bundle packages get theirs.
        #[serde(default)]
        packages: PackagesTable,
        /// Repositories of packages, besides those of the distribution.
        #[serde(default)]
        source: Table<Name, SourceTable>,
        /// Shapes to write.
        #[serde(default)]
        output: OutputTables,
        /// What `layerforge lint` is told about what is rendered.
        #[serde(default)]
        lint: LintTable,
    }
);

document!(
    /// A layer: a reusable part of a root filesystem.
    LayerDocument {
        /// Where it stands in the stack.
        tier: Option<Located<Tier>>,
        /// What it is for, in one sentence.
        summary: Option<Located<String>>,
        /// Layers that must be there too; they are added when the profile does not name them.
        requires: Option<Vec<Located<Name>>>,
        /// Layers that must not be there.
        conflicts: Option<Vec<Located<Name>>>,
        /// A directory or tar archive taken as it is, with owners, links, devices and whiteouts.
        tree: Option<Located<String>>,
    }
);

/// The tables that a profile and a layer share.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    /// Values that templates use.
    pub variable: Table<Identifier, VariableTable>,
    /// Packages of the distribution, by logical name.
    pub package: Table<Name, PackageTable>,
    /// Users, by name.
    pub user: Table<Name, UserTable>,
    /// Groups, by name.
    pub group: Table<Name, GroupTable>,
    /// Files, by absolute path.
    pub file: Table<String, FileTable>,
    /// Symbolic links, by absolute path.
    pub link: Table<String, LinkTable>,
    /// Directories, by absolute path.
    pub directory: Table<String, DirectoryTable>,
    /// Paths that shall not be there.
    pub remove: Table<String, RemoveTable>,
    /// Commands run once in the image after the files are there.
    pub trigger: Table<Name, TriggerTable>,
    /// Paths that stay writable.
    pub writable: Table<Identifier, WritableTable>,
    /// Environment variables of every process and job.
    pub environment: Table<EnvironmentName, Located<String>>,
    /// Programs that stay.
    pub process: Table<Name, ProcessTable>,
    /// Programs that run to their end.
    pub job: Table<Name, JobTable>,
    /// Names of things that are never in an image.
    pub secret: Table<Identifier, SecretTable>,
}

/// Where a layer stands in the stack; later tiers may replace paths of earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// What every image has.
    Base,
    /// What belongs to the distribution.
    Distro,
    /// An application.
    Application,
    /// What a site lays over everything.
    Overlay,
}

impl Tier {
    /// Returns the word for it in documents and messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Distro => "distro",
            Self::Application => "application",
            Self::Overlay => "overlay",
        }
    }
}

/// `[distro.NAME]`: a distro that the profile is rendered for.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DistroTable {
    /// The distro whose description this one uses, when NAME has none of its own.
    pub like: Option<Located<Name>>,
    /// The release; the description's default otherwise.
    pub release: Option<Located<String>>,
    /// The base image, by reference; the description's own otherwise. Rendered as a template.
    pub image: Option<Located<String>>,
    /// Take the distribution's own repositories as they were at this moment, such as `20260401T000000Z`; rendered as a
    /// template.
    pub snapshot: Option<Located<String>>,
    /// Changes of the distribution's own repositories, by their names in its description.
    #[serde(default)]
    pub source: Table<Name, SourceTable>,
}

/// `[from]`: what is below the layers.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FromTable {
    /// An image in a registry, such as `registry.example.org/base/{{ distro.name }}:{{ distro.release }}`; its digest is
    /// kept in the lock. Rendered as a template.
    pub image: Option<Located<String>>,
    /// An OCI image layout, what `docker save` writes, or a tar archive of a root filesystem, relative to the project.
    /// Rendered as a template.
    pub path: Option<Located<String>>,
}

/// `[variable.NAME]`: a value that templates use.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VariableTable {
    /// The type of its values; that of the default otherwise.
    #[serde(rename = "type")]
    pub kind: Option<Located<VariableType>>,
    /// The value when nothing else sets it. Without it a value must be given.
    pub default: Option<Located<Scalar>>,
    /// The least value of an integer.
    pub minimum: Option<Located<i64>>,
    /// The greatest value of an integer.
    pub maximum: Option<Located<i64>>,
    /// A regular expression that the whole of a string must match.
    pub pattern: Option<Located<String>>,
    /// The values that are allowed.
    pub choices: Option<Vec<Located<String>>>,
    /// What it is for.
    pub help: Option<Located<String>>,
}

/// The type of a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VariableType {
    /// Any text.
    String,
    /// A whole number of 64 bits.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A list of texts; commas separate them on the command line.
    List,
}

impl VariableType {
    /// Returns the word for it in documents and messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::List => "list",
        }
    }
}

/// `[package.NAME]`: a package by a name that is the same for all distros unless said otherwise.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PackageTable {
    /// What it is called, by distro; a distro that is not named uses the names of the one it is like, or NAME itself.
    /// An empty list means that the distro needs nothing. Where packages are bundled for apk, the tag of a source may
    /// follow: `nginx@edge`.
    #[serde(default)]
    pub names: Table<Name, Vec<Located<String>>>,
    /// The versions that will do, where packages are bundled: one of `=`, `<`, `<=`, `>=`, `>` and a version, such as
    /// `>=1.26`; rendered as a template.
    pub version: Option<Located<String>>,
    /// Only for these distros and those that are like them.
    pub only: Option<Vec<Located<Name>>>,
    /// Not for these distros and those that are like them.
    pub except: Option<Vec<Located<Name>>>,
    /// Only when this expression is true.
    pub when: Option<Located<String>>,
}

/// `[user.NAME]`: a user of the image.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserTable {
    /// Its number.
    pub uid: Option<Located<Number>>,
    /// The number of its own group; the uid by default.
    pub gid: Option<Located<Number>>,
    /// Other groups it is in.
    pub groups: Option<Vec<Located<Name>>>,
    /// Its home; `/nonexistent` by default.
    pub home: Option<Located<String>>,
    /// Its shell; the distro's `nologin` by default.
    pub shell: Option<Located<String>>,
    /// What it is for.
    pub comment: Option<Located<String>>,
}

/// `[group.NAME]`: a group of the image.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupTable {
    /// Its number.
    pub gid: Option<Located<Number>>,
}

/// `[trigger.NAME]`: a command that is run once in the image after packages and files are there, as root and without
/// network, because what it makes depends on both.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TriggerTable {
    /// The program and its arguments; each rendered as a template.
    pub command: Option<Vec<Located<String>>>,
    /// Only for these distros and those that are like them.
    pub only: Option<Vec<Located<Name>>>,
    /// Not for these distros and those that are like them.
    pub except: Option<Vec<Located<Name>>>,
    /// Only when this expression is true.
    pub when: Option<Located<String>>,
}

/// `[lint]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LintTable {
    /// Rules that may be broken, each with the reason why: `SX21 = "no host has a separate /usr/local"`.
    #[serde(default)]
    pub allow: Table<RuleId, Located<String>>,
}

merge_fields!(DistroTable { like, release, image, snapshot, source });
merge_fields!(VariableTable { kind, default, minimum, maximum, pattern, choices, help });
merge_fields!(PackageTable { names, version, only, except, when });
merge_fields!(UserTable { uid, gid, groups, home, shell, comment });
merge_fields!(GroupTable { gid });
merge_fields!(TriggerTable { command, only, except, when });
merge_fields!(LintTable { allow });
merge_fields!(Tables {
    variable,
    package,
    user,
    group,
    file,
    link,
    directory,
    remove,
    trigger,
    writable,
    environment,
    process,
    job,
    secret,
});
conditional!(PackageTable, TriggerTable);

impl Merge for FromTable {
    fn merge_with(&mut self, over: Self) {
        // An image and a path stand for the same thing: one takes the place of the other.
        if over.image.is_some() || over.path.is_some() {
            *self = over;
        }
    }
}

impl Merge for ProfileDocument {
    fn merge_with(&mut self, mut over: Self) {
        let mut tables = self.take_tables();
        tables.merge_with(over.take_tables());
        self.put_tables(tables);
        // A name and the profiles it extends belong to one document; layers add up.
        self.name = over.name;
        self.extends = over.extends;
        let layers = self.layers.get_or_insert_default();
        for layer in over.layers.unwrap_or_default() {
            if !layers.contains(&layer) {
                layers.push(layer);
            }
        }
        self.version.merge_with(over.version);
        self.summary.merge_with(over.summary);
        self.epoch.merge_with(over.epoch);
        self.distro.merge_with(over.distro);
        self.from.merge_with(over.from);
        self.labels.merge_with(over.labels);
        self.packages.merge_with(over.packages);
        self.source.merge_with(over.source);
        self.output.merge_with(over.output);
        self.lint.merge_with(over.lint);
    }
}
