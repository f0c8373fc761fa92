//! Questions to approvers, and the identity of those who answer.

pub mod approver;
pub mod keys;
pub mod request;
