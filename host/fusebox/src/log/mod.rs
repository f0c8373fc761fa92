//! Reading the log, and writing what belongs to no run.

pub mod explained;
pub mod side_chain;
