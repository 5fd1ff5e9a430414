//! What is wrong with a thing that could be shipped.
//!
//! Comes in: texts and trees, of this project or foreign ones. Goes out: findings. Always holds: looking changes nothing,
//! and nothing is run.

pub mod exposure;
