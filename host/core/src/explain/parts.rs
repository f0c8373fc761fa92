//! Parts of explanations.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Decider;
use crate::event::StepEnd;
use crate::gate::Reason;
use crate::policy::GuardMode;
use crate::{Effect, Finding, ImpactClass, Ruling, RunId, StepId};

/// One explanation of a decision or its result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// The run; none for an embedder's own call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// The step; none for an embedder's own call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    /// Place of the step and number of steps, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<(u32, u32)>,
    /// The step type, or the name of an embedder's own call.
    pub action: String,
    /// Name of the agent.
    pub agent: String,
    /// Number of the try, counted from 1.
    pub attempt: u32,
    /// Time of the event, in microseconds since 1970.
    pub time_us: u64,
    /// The explanation itself, by phase.
    #[serde(flatten)]
    pub explained: Explained,
}

/// Phase of a step at which an explanation is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// After the decision, before the step.
    Before,
    /// After the step happened.
    After,
    /// After the step did not happen, or not as it should.
    OnError,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Before => "before",
            Self::After => "after",
            Self::OnError => "on_error",
        })
    }
}

/// Explanation of one phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "phase", rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is what its content is")]
pub enum Explained {
    Before(Box<Before>),
    After(Box<After>),
    OnError(Box<OnError>),
}

impl Explained {
    /// Phase of the explanation.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self {
            Self::Before(_) => Phase::Before,
            Self::After(_) => Phase::After,
            Self::OnError(_) => Phase::OnError,
        }
    }
}

/// An upcoming step, and why it may or may not happen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Before {
    /// Goal of the plan, as stated by the agent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub goal: String,
    /// The agent's description of the step.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The agent's reasons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// The agent's confidence, in [0, 1].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Alternatives that the agent considered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<String>,
    /// Effects of the step, as the host derived them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<Effect>,
    /// Verdicts of the guards, with their costs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<GuardSummary>,
    /// Estimate of the impact model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<ImpactSummary>,
    /// The decision; none when it did not come to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ruling: Option<Ruling>,
    /// Reasons of all deciders that did not abstain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// Limits that hold, with their sources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<LimitSummary>,
}

/// One guard's verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GuardSummary {
    /// Name of the guard.
    pub guard: String,
    /// Whether the guard's verdicts count.
    pub mode: GuardMode,
    /// The guard's ruling; none when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ruling: Option<Ruling>,
    /// The guard's findings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Reason of the guard's failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Instructions that the guard used.
    pub fuel: u64,
    /// Time that the guard took, in microseconds.
    pub duration_us: u64,
}

/// The impact model's estimate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImpactSummary {
    /// Impact of acting, in [0, 1]; none when the model failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<f64>,
    /// Impact of refraining, in [0, 1].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refrain: Option<f64>,
    /// Class of the difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<ImpactClass>,
    /// Reason of the model's failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// A limit that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LimitSummary {
    /// Name of the limit, such as `tokens`.
    pub limit: String,
    /// Value of the limit, in words.
    pub value: String,
    /// Source of the limit: the operator, the policy, the plan or a guard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_by: Option<String>,
}

/// Amounts that a step used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Spent {
    /// Model tokens.
    pub tokens: u64,
    /// Money, in micro-USD, as far as prices are known.
    pub micro_usd: u64,
    /// Instructions of plugins, guards included.
    pub fuel: u64,
    /// Time from the proposal on, in microseconds, waiting for people included.
    pub duration_us: u64,
}

/// A file that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileChange {
    /// The file, relative to the workspace.
    pub path: String,
    /// Kind of the change.
    pub change: Change,
    /// Size of the file after the change, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// Kind of a change of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Change {
    Created,
    Changed,
    Removed,
}

/// Result of a step that happened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct After {
    /// The executor's summary.
    pub summary: String,
    /// Approver's name, where an approval was needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// Files that were changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileChange>,
    /// Commands that were run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// Amounts that the step used.
    pub spent: Spent,
}

/// A failure, and advice about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OnError {
    /// Kind of the failure.
    pub trouble: FailureKind,
    /// The typed end of a failure, such as `out_of_fuel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<StepEnd>,
    /// Description of the failure.
    pub message: String,
    /// Deciders that stopped the step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<Decider>,
    /// Whether another try of the same step may succeed.
    pub retry_can_help: bool,
    /// Advice to the agent or operator.
    pub what_to_do: String,
    /// Files that were changed despite the failure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileChange>,
    /// Amounts that the step used.
    pub spent: Spent,
}

/// Kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The step was denied.
    Denied,
    /// A person rejected the step.
    Rejected,
    /// No person answered in time.
    Expired,
    /// The step was tried, and failed.
    Failed,
    /// The step may or may not have happened.
    InDoubt,
    /// A kill switch or a person killed the run.
    Killed,
    /// A budget is used up.
    OverBudget,
}
