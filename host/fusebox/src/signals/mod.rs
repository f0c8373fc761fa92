//! Requests about runs between processes of one home.

pub mod board;
pub mod listener;
pub mod stop;
