//! For authors of plugins.

pub mod harness;
