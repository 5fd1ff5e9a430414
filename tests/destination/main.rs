//! Rendering into a destination folder: what appears there, what survives, and what an interruption leaves.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on has failed")]
#![allow(clippy::disallowed_methods, reason = "tests look at the file system from outside")]

mod content;
mod edits;
mod faults;
mod support;
mod surroundings;
