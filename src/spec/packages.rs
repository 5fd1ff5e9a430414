//! `[packages]` and `[source.NAME]`: how the packages of a distribution become part of a tree, and where they come from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::entry::conditional;
use super::merge::merge_fields;
use super::source::{Located, Table};
use super::value::{Name, Number, Scalar};

/// What is there before anything is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PackageVariant {
    /// Nothing.
    None,
    /// What every system has.
    Essential,
    /// Also what a system does not work without.
    #[default]
    Minbase,
    /// Also what people expect of a system.
    Standard,
}

/// What is done with the scripts of packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scripts {
    /// They run in a sandbox.
    #[default]
    Run,
    /// They do not; what most of them do for images is done instead.
    Skip,
}

/// `[packages]`: how outputs with `packages = "bundled"` get theirs.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PackagesTable {
    /// What is there before anything is asked for; `minbase` by default.
    pub variant: Option<Located<PackageVariant>>,
    /// Whether recommended packages are installed, too; `false` by default.
    pub recommends: Option<Located<bool>>,
    /// Whether nothing is installed but what is asked for and the variant, whatever that depends on; `false` by default.
    pub only: Option<Located<bool>>,
    /// What is done with the scripts of packages; `run` by default.
    pub scripts: Option<Located<Scripts>>,
    /// Whether documentation stays; `false` by default. Copyright files always do.
    pub documentation: Option<Located<bool>>,
    /// The languages whose translations stay, such as `de` or `pt_BR`; `["en"]` by default, `["*"]` for all.
    pub locales: Option<Vec<Located<String>>>,
    /// Packages that must not be installed, by the names of the distribution.
    pub exclude: Option<Vec<Located<String>>>,
    /// Paths of packages that are left out: patterns, in which `*` matches `/` as well.
    pub exclude_paths: Option<Vec<Located<String>>>,
    /// Paths that are not left out although a pattern of `exclude_paths` fits.
    pub include_paths: Option<Vec<Located<String>>>,
    /// Answers to the questions of packages (debconf), by question: `PACKAGE/QUESTION`.
    #[serde(default)]
    pub answers: Table<String, AnswerTable>,
    /// Whether the package manager and shells are left out, and what scanners need stays; `false` by default.
    pub distroless: Option<Located<bool>>,
}

/// `[packages.answers."PACKAGE/QUESTION"]`: an answer to a question of a package.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerTable {
    /// The package that asks; what stands before the `/` by default.
    pub package: Option<Located<String>>,
    /// The type of the question, such as `select`; `boolean` for `true` and `false`, `multiselect` for lists and `string`
    /// for texts by default.
    #[serde(rename = "type")]
    pub kind: Option<Located<String>>,
    /// The answer; rendered as a template.
    pub value: Option<Located<Scalar>>,
}

/// `[source.NAME]`: a repository of packages besides those of the distribution, or one of the distribution's own.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceTable {
    /// Addresses of one and the same repository, the first is asked first; rendered as templates.
    pub mirrors: Option<Vec<Located<String>>>,
    /// The suites to take, such as `{{ distro.codename }}`; rendered as templates.
    pub suites: Option<Vec<Located<String>>>,
    /// The components of each suite; `["main"]` by default.
    pub components: Option<Vec<Located<String>>>,
    /// Whether it is a flat repository, without suites: its Release file stands at the address itself.
    pub flat: Option<Located<bool>>,
    /// A folder of packages, relative to the project, that stands in place of a repository.
    pub directory: Option<Located<String>>,
    /// The keys that have to vouch for it, in the project: a file of OpenPGP keys; for apk a key, or a folder of keys.
    pub signed_by: Option<Located<String>>,
    /// Whether it is taken although nobody vouches for it; `false` by default.
    pub trusted: Option<Located<bool>>,
    /// How much its versions are preferred to others, as in apt_preferences(5); those of other sources have 500.
    pub priority: Option<Located<Number>>,
    /// For apk: its packages are taken only where somebody asks for them as `NAME@TAG`, such as `edge` for `nginx@edge`.
    pub tag: Option<Located<String>>,
    /// Take it as it was at this moment, such as `20260401T000000Z`; rendered as a template.
    pub snapshot: Option<Located<String>>,
    /// Addresses of the repository as it was at the moment `{{ snapshot }}`; rendered as templates.
    pub snapshot_mirrors: Option<Vec<Located<String>>>,
    /// Only for these distros and those that are like them.
    pub only: Option<Vec<Located<Name>>>,
    /// Not for these distros and those that are like them.
    pub except: Option<Vec<Located<Name>>>,
    /// Only when this expression is true.
    pub when: Option<Located<String>>,
}

merge_fields!(PackagesTable {
    variant,
    recommends,
    only,
    scripts,
    documentation,
    locales,
    exclude,
    exclude_paths,
    include_paths,
    answers,
    distroless,
});
merge_fields!(AnswerTable { package, kind, value });
merge_fields!(SourceTable {
    mirrors,
    suites,
    components,
    flat,
    directory,
    signed_by,
    trusted,
    priority,
    tag,
    snapshot,
    snapshot_mirrors,
    only,
    except,
    when,
});
conditional!(SourceTable);
