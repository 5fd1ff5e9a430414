//! What users write: TOML documents that remember where every value stands.
//!
//! Comes in: the files of a project and the program's own data. Goes out: one typed document per file, still as written.
//! Always holds: a key that is not known is an error; every value knows its file, line and column; nothing has been
//! given a default yet.

mod distro;
mod document;
mod embedded;
mod entry;
mod merge;
mod output;
mod packages;
mod problem;
mod project;
mod reader;
mod runtime;
mod schema;
mod source;
mod value;
mod version;
mod walk;

pub use distro::{CommandsTable, DistroDocument, FactsTable, Family, Init, Libc, ReleaseTable};
pub use document::{
    DistroTable, GroupTable, LayerDocument, PackageTable, ProfileDocument, Tables, Tier, TriggerTable, UserTable,
    VariableTable, VariableType,
};
pub use embedded::{Embedded, embedded_files};
pub use entry::{Condition, Conditional, DirectoryTable, FileTable, LinkTable, RemoveTable};
pub use merge::Merge;
pub use output::{
    ConfextTable, EtcContent, Filesystem, Host, ImageCompression, ImageFormat, ImageTable, LayerCompression, OciFormat,
    OciTable, OutputTables, OverTable, PackageOrigin, PortableTable, RootfsTable, SbomFormat, Scope, SysextTable,
    TarCompression, TarTable, Verity,
};
pub use packages::{AnswerTable, PackageVariant, PackagesTable, Scripts, SourceTable};
pub use problem::{Problem, Severity, nearest};
pub use project::{Folder, FolderEntry, FolderEntryKind, Import, Origin, Project, SpecError};
pub use runtime::{
    JobTable, JobTime, LimitsTable, LogDestination, MetricsTable, Need, ProbeTable, ProcessTable, Restart, SecretTable,
    WritableKind, WritableTable,
};
pub use schema::{DocumentKind, schema};
pub use source::{Located, Place, Source, Table, parse};
pub use value::{
    Account, EnvironmentName, Identifier, InvalidValue, Mode, Name, Number, RULE_IDS, RuleId, Scalar, UnitName,
};
pub use version::{KernelVersion, SystemdVersion};
