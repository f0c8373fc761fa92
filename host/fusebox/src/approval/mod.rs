//! Asking people, and knowing who answers.

pub mod approver;
pub mod keys;
pub mod request;
