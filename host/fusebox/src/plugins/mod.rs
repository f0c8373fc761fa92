//! The plugins under a policy.

pub mod compiler;
pub mod loaded;
pub mod registry;
pub mod settings;
