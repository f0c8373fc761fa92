//! Reading the log, and writing events that belong to no run.

pub mod explained;
pub mod side_chain;
