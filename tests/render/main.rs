//! `layerforge render`, the program itself, on real folders.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed"
)]

mod containers;
mod edits;
mod faults;
mod kills;
mod layers;
mod links;
mod property;
mod random;
mod reference;
mod reproducible;
mod selection;
mod support;
mod together;
