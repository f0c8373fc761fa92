//! Runs of plans.

pub mod add_step;
pub mod driver;
pub mod handle;
pub mod open;
pub mod options;
pub mod summary;
pub mod workspace;
