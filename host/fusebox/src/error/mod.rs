//! Errors of the embedding API.

mod codes;
mod kinds;

pub(crate) use codes::suggestion;
pub use kinds::Error;
