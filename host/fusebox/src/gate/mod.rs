//! Before an action happens: its effects, and what guards say of them.

pub mod effects;
pub mod judge;
pub mod preview;
