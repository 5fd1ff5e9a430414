//! The client of registries.
