//! The tools of a step, from outside.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod escapes;
mod gateway;
mod workspace;
