//! What is wrong with a thing that could be shipped.
//!
//! Comes in: images, directories and texts, of this project or foreign ones. Goes out: findings. Always holds: looking
//! changes nothing, and nothing is run; a rule that cannot be decided for a subject says nothing.

mod container;
mod content;
mod disk;
mod elf;
pub mod exposure;
mod extension;
mod file_system;
mod hygiene;
mod portable;
mod publish;
mod release;
mod rules;
mod subject;
mod table;
mod unit;
mod units;

pub use container::ContainerConfig;
pub use publish::PublishedFile;
pub use rules::RULES;
pub use subject::{Class, Subject, Target};
pub use table::{Finding, Rule, Severity, lint, markdown, rule};

#[cfg(test)]
mod tests;
