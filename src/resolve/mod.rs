//! documents → Recipe
mod filters;
mod quantity;
mod template;
pub use template::{Rendered, Scope, Templates, Used};
