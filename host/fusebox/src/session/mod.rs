//! Sessions: runs whose steps others carry out. Actions are proposed and answered, outcomes are observed.
//!
//! Any process may do so, one after the other: each takes the session's lock, reads its state as far as it does not know it,
//! decides, and lets go of it once all is durable.

mod book;
pub mod control;
pub mod handle;
mod judge;
mod open;
pub mod options;
mod past;
mod propose;
