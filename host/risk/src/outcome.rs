//! What became of a run whose risk was predicted: what predictors are compared by, and learn from.

use fusebox_core::Agent;
use fusebox_core::risk::{Assessment, Features, RiskLevel};
use serde::{Deserialize, Serialize};

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// All its steps were carried out.
    Completed,
    /// A step failed.
    Failed,
    /// Somebody killed it.
    Killed,
    /// It used up a budget.
    OverBudget,
    /// A step was denied, rejected, or nobody approved it.
    Rejected,
}

impl OutcomeKind {
    /// Its name in words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Killed => "killed",
            Self::OverBudget => "over budget",
            Self::Rejected => "rejected",
        }
    }
}

/// One run: what was predicted, and what happened. `fusebox risk export` writes one a line, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The run.
    pub run: String,
    /// When it ended, in microseconds since 1970.
    pub ended_us: u64,
    /// Who acted.
    pub agent: Agent,
    /// What was said of its plan as it was last; the assessment at its start when it never began.
    pub assessment: Assessment,
    /// The features of what it really did; none when it began no step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<Features>,
    /// What became of it.
    pub outcome: OutcomeKind,
    /// Limits that its own predicted risk set stopped it: what became of it says nothing about the prediction.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_profile: bool,
    /// The level that a person said it really had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overruled: Option<RiskLevel>,
}

impl Outcome {
    /// Whether it went badly: a person's word counts, else whether it ended in any other way than completed. Nobody can tell of a
    /// run that was stopped for its own predicted risk: a model that calls everything HIGH would always be right.
    #[must_use]
    pub fn went_badly(&self) -> Option<bool> {
        match self.overruled {
            Some(level) => Some(level == RiskLevel::High),
            None if self.by_profile => None,
            None => Some(self.outcome != OutcomeKind::Completed),
        }
    }
}
