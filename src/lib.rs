//! layerforge renders one declarative description of a Linux userland into every shape it is deployed in.

pub mod digest;
pub mod distro;
pub mod event;
pub mod fs;
pub mod image;
pub mod lock;
pub mod plan;
pub mod resolve;
pub mod spec;
pub mod tree;
