//! `layerforge render`, the program itself, on real folders.

mod edits;
mod faults;
mod kills;
mod links;
mod property;
mod random;
mod reference;
mod reproducible;
mod selection;
mod support;
mod together;
