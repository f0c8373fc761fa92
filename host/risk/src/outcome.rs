//! Outcomes of runs with predicted risk: the basis for comparing predictors and for learning.

use fusebox_core::Agent;
use fusebox_core::risk::{Assessment, Features, RiskLevel};
use serde::{Deserialize, Serialize};

/// Outcome of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// All its steps were carried out.
    Completed,
    /// A step failed.
    Failed,
    /// The run was killed.
    Killed,
    /// It used up a budget.
    OverBudget,
    /// A step was denied or rejected, or its approval expired.
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

/// One run: its prediction and its outcome. `fusebox risk export` writes one a line, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Id of the run.
    pub run: String,
    /// End of the run, in microseconds since 1970.
    pub ended_us: u64,
    /// Agent of the run.
    pub agent: Agent,
    /// Last assessment of its plan; the one at its start when it never began.
    pub assessment: Assessment,
    /// Features of the steps that it really took; none when it began no step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<Features>,
    /// Outcome of the run.
    pub outcome: OutcomeKind,
    /// Limits of its own predicted risk stopped it: its outcome says nothing about the prediction.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_profile: bool,
    /// The level that a person said it really had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overruled: Option<RiskLevel>,
}

impl Outcome {
    /// Whether it went badly: a person's judgement counts, else whether it ended in any other way than completed.
    /// Unknown for a run that was stopped for its own predicted risk: a model that calls everything HIGH would always
    /// be right.
    #[must_use]
    pub fn went_badly(&self) -> Option<bool> {
        match self.overruled {
            Some(level) => Some(level == RiskLevel::High),
            None if self.by_profile => None,
            None => Some(self.outcome != OutcomeKind::Completed),
        }
    }
}
