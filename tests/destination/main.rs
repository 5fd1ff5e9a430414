//! Rendering into a destination folder: what appears there, what survives, and what an interruption leaves.

mod content;
mod edits;
mod faults;
mod support;
mod surroundings;
