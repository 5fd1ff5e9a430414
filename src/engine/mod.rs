//! The stages as a library: what the command line, or any other program, calls.
//!
//! Comes in: a project and requests. Goes out: reports, and events while work goes on. Always holds: nothing is printed
//! here, and the environment is not read.

mod base;
mod below;
mod check;
mod containers;
mod diff;
mod extension;
mod graph;
mod host;
mod init;
mod inspect;
mod key;
mod lint;
mod list;
mod lock;
mod lock_file;
mod memory;
mod outdated;
mod packages;
mod plan;
mod publish;
mod push;
mod render;
mod select;
mod sign;
mod vendor;
mod verify;
mod why;
mod why_package;
mod witness;

pub use below::OfPackages;
pub use check::{CheckReport, Duplicate, Shadowed, check};
pub use diff::{DiffReport, DiffRequest, Form, PathChange, Side, diff};
pub use graph::{Graph, GraphEntry, GraphLayer, GraphProfile, Group, graph};
pub use init::{InitReport, init, schema_text};
pub use inspect::{Disk, InspectReport, PartitionLine, SignatureLine, Summary, VerityLine, inspect};
pub use key::{KeyReport, KeyRequest, generate_key};
pub use lint::{LintReport, LintRequest, lint_image};
pub use list::{DistroLine, Inventory, LayerLine, ProfileLine, list};
pub use lock::{LockReport, LockRequest, Outside, lock};
pub use outdated::{OutdatedPackage, OutdatedReport, outdated};
pub use plan::{ExtensionPlan, OutputPlan, TargetPlan, plan};
pub use publish::{PublishReport, PublishRequest, publish};
pub use push::{PullReport, PullRequest, PushSource, pull, push};
pub use render::{RenderReport, RenderRequest, render};
pub use select::{Selection, read_setting, read_settings};
pub use sign::{Hand, SignReport, SignRequest, SignerRequest, open_signer, sign};
pub use vendor::{VendorReport, vendor};
pub use verify::{VerifyReport, verify};
pub use why::{Reason, Why, Word, why};
pub use why_package::{PackageLink, WhyPackage, why_package};
