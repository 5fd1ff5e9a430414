//! layerforge renders one declarative description of a Linux userland into every shape it is deployed in.

pub mod digest;
pub mod fs;
pub mod event;
pub mod store;
pub mod tree;
pub mod spec;
pub mod distro;
pub mod resolve;
pub mod lock;
pub mod image;
pub mod deploy;
pub mod plan;
pub mod build;
pub mod error;
pub mod engine;
pub mod cli;
