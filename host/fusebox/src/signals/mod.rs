//! What processes on one home ask of each other's runs.

pub mod board;
pub mod listener;
pub mod stop;
