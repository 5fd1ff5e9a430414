//! layerforge renders one declarative description of a Linux userland into every shape it is deployed in.

pub mod digest;
pub mod event;
pub mod fs;
pub mod image;
pub mod store;
pub mod tree;
