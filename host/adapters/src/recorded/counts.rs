//! Counts over recorded sessions.

use std::collections::BTreeMap;

use fusebox::core::Ruling;
use serde::Serialize;

/// How many calls got which ruling.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Calls that were allowed.
    pub allow: u64,
    /// Calls about which a person was asked.
    pub review: u64,
    /// Calls that were denied.
    pub deny: u64,
}

impl Counts {
    /// Adds a ruling.
    pub fn add(&mut self, ruling: Ruling) {
        match ruling {
            Ruling::Allow => self.allow += 1,
            Ruling::Review => self.review += 1,
            Ruling::Deny | Ruling::Abstain => self.deny += 1,
        }
    }

    /// All calls.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.allow + self.review + self.deny
    }
}

/// Counts over all sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Sessions.
    pub sessions: u64,
    /// Sessions in which nobody was asked anything.
    pub sessions_without_a_question: u64,
    /// Most questions of one session.
    pub most_questions: u64,
    /// All calls.
    pub all: Counts,
    /// By tool, as `server/tool`.
    pub by_tool: BTreeMap<String, Counts>,
    /// Reviews and denials by who asked for them.
    pub by_decider: BTreeMap<String, Counts>,
    /// Outputs of which something was redacted.
    pub redacted: u64,
}
