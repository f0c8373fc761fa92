//! The plugins under a policy.

pub mod compiler;
pub mod registry;
