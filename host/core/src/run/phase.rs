//! Phases of a run.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::RunEnd;

/// Phase of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing has happened.
    Created,
    /// Steps are judged and carried out.
    Running,
    /// Waiting for a person.
    Paused,
    /// The run has ended.
    Ended(RunEnd),
}

impl Phase {
    /// The phase in one word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Ended(RunEnd::Completed) => "COMPLETED",
            Self::Ended(RunEnd::Killed) => "KILLED",
            Self::Ended(RunEnd::Denied | RunEnd::GuardFailed | RunEnd::StepFailed | RunEnd::Budget) => "FAILED",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
