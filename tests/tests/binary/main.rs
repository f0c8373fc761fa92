//! The binary and the embedding API from outside, in one test binary: it is linked once, and plugins are compiled once.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

#[cfg(unix)]
mod approvals;
#[cfg(target_os = "linux")]
#[path = "../attacks/mod.rs"]
mod attacks;
#[cfg(unix)]
mod audit;
#[cfg(unix)]
mod command;
#[cfg(target_os = "linux")]
mod compile;
#[cfg(target_os = "linux")]
mod damage;
mod embedding;
#[cfg(target_os = "linux")]
mod harness;
#[cfg(target_os = "linux")]
mod hooks;
#[cfg(unix)]
mod logs;
#[cfg(unix)]
mod models;
#[cfg(target_os = "linux")]
mod packing;
mod pipeline;
#[cfg(unix)]
mod place;
#[cfg(unix)]
mod policy;
#[cfg(target_os = "linux")]
mod process;
#[cfg(unix)]
mod risk;
#[cfg(unix)]
mod runs;
#[cfg(target_os = "linux")]
mod sandbox;
#[cfg(unix)]
mod sessions;
mod sinks;
