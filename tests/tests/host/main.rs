//! The sandbox, its guests and the log from outside, in one test binary.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod cache;
#[cfg(unix)]
mod crash;
mod events;
mod guards;
mod hostile;
mod languages;
mod memory;
#[cfg(feature = "otel")]
mod otel;
mod protected;
mod tapes;
