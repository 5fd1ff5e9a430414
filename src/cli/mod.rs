//! The command line: the only part that prints.

pub mod diagnostic;
