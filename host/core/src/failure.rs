//! Refusals as values.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Reason why a request was refused or failed; the same cases as the contract's `failure`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", content = "message", rename_all = "snake_case")]
pub enum Failure {
    /// The input is wrong; the same input will be wrong again.
    InvalidInput(String),
    /// The named thing does not exist.
    NotFound(String),
    /// The world has changed since the effect was previewed or approved.
    Conflict(String),
    /// Policy, a guard or a person refused.
    Denied(String),
    /// A size, count or time limit was reached.
    Limit(String),
    /// A budget cannot cover it.
    Budget(String),
    /// The run was stopped.
    Cancelled,
    /// The request took too long.
    TimedOut(String),
    /// The host does not support the request here.
    Unsupported(String),
    /// The request may work later.
    Unavailable(String),
    /// The operating system refused.
    Io(String),
    /// Any other failure.
    Other(String),
}

impl Failure {
    /// Whether the same request can succeed later.
    #[must_use]
    pub fn retry_can_help(&self) -> bool {
        matches!(self, Self::TimedOut(_) | Self::Unavailable(_) | Self::Io(_) | Self::Conflict(_) | Self::Other(_))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidInput(text) => write!(f, "invalid input: {text}"),
            Self::NotFound(text) => write!(f, "not found: {text}"),
            Self::Conflict(text) => write!(f, "conflict: {text}"),
            Self::Denied(text) => write!(f, "denied: {text}"),
            Self::Limit(text) => write!(f, "limit reached: {text}"),
            Self::Budget(text) => write!(f, "over budget: {text}"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::TimedOut(text) => write!(f, "timed out: {text}"),
            Self::Unsupported(text) => write!(f, "not supported: {text}"),
            Self::Unavailable(text) => write!(f, "not available now: {text}"),
            Self::Io(text) => write!(f, "input/output error: {text}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}
