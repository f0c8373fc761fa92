//! Rules for sessions: actions that others carry out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Ruling;

/// Rules for sessions: actions that others carry out, such as a coding agent through its hooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SessionsPolicy {
    /// How an action under review gets a person's word.
    pub review: SessionReview,
    /// Ruling on what an action reads or changes outside of the workspace.
    pub outside: OutsideRuling,
    /// Time without an event after which a session ends, in seconds.
    #[schemars(range(min = 1))]
    pub idle_s: u32,
    /// Most bytes of an action's output that are kept, in KiB; longer ones are cut. With 0, none is kept.
    #[schemars(range(max = 16_384))]
    pub output_kib: u32,
}

impl Default for SessionsPolicy {
    fn default() -> Self {
        Self { review: SessionReview::default(), outside: OutsideRuling::default(), idle_s: 12 * 3600, output_kib: 64 }
    }
}

impl SessionsPolicy {
    /// Whether no rule is set.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Time without an event after which a session ends, in microseconds.
    #[must_use]
    pub fn idle_us(&self) -> u64 {
        u64::from(self.idle_s) * 1_000_000
    }
}

/// How an action under review gets a person's word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionReview {
    /// The program that carries it out asks its user. Where it cannot, it is as with `park`.
    #[default]
    Ask,
    /// It is denied and a question is open: after `fusebox approve`, the same action passes, once.
    Park,
    /// It is denied.
    Deny,
}

/// Ruling on what an action reads or changes outside of the workspace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutsideRuling {
    /// Guards alone judge it.
    Allow,
    /// A person must decide.
    #[default]
    Review,
    /// It must not happen.
    Deny,
}

impl OutsideRuling {
    /// The ruling that it stands for.
    #[must_use]
    pub fn ruling(self) -> Ruling {
        match self {
            Self::Allow => Ruling::Abstain,
            Self::Review => Ruling::Review,
            Self::Deny => Ruling::Deny,
        }
    }
}
