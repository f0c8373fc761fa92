//! Carrying a step out, and taking it back.

pub mod handler;
pub mod model_call;
pub mod settle;
pub mod undo;
