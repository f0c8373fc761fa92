//! Before an action happens: its effects, and the guards' verdicts on them.

pub mod effects;
pub mod judge;
pub mod preview;
pub mod report;
mod repositories;
