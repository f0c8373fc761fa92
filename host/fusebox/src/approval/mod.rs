//! Questions to approvers, and the identity of those who answer.

pub mod approver;
pub mod keys;
pub mod request;
#[cfg(unix)]
mod ssh;
#[cfg(unix)]
mod ssh_agent;
#[cfg(unix)]
mod ssh_wire;
