//! layerforge renders one declarative description of a Linux userland into every shape it is deployed in.

pub mod cli;
pub mod digest;
pub mod distro;
pub mod event;
pub mod fs;
pub mod resolve;
pub mod spec;
pub mod tree;
