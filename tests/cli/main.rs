//! The program as a person meets it: what every command prints, on which stream, and its exit code. Reading the
//! snapshots beside this file is reading the program's manners.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::disallowed_methods, reason = "tests stand outside of the crate: they look at the system itself")]

mod bases;
mod commands;
mod keys;
mod publish;
mod images;
mod session;
mod start;
mod trees;
