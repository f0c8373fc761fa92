//! What explanations are made of.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Decider;
use crate::event::StepEnd;
use crate::gate::Reason;
use crate::policy::GuardMode;
use crate::{Effect, Finding, ImpactClass, Ruling, RunId, StepId};

/// One explanation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// The run; none for an embedder's own call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// The step; none for an embedder's own call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    /// Which step of how many, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<(u32, u32)>,
    /// The step type, or the name of an embedder's own call.
    pub action: String,
    /// Who acts.
    pub agent: String,
    /// 1 for the first try.
    pub attempt: u32,
    /// When, in microseconds since 1970.
    pub time_us: u64,
    /// What is explained.
    #[serde(flatten)]
    pub explained: Explained,
}

/// When an explanation is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It was decided what may happen.
    Before,
    /// It happened.
    After,
    /// It did not happen, or not as it should.
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

/// What is explained, by its phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "phase", rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is what its content is")]
pub enum Explained {
    Before(Box<Before>),
    After(Box<After>),
    OnError(Box<OnError>),
}

impl Explained {
    /// Its phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self {
            Self::Before(_) => Phase::Before,
            Self::After(_) => Phase::After,
            Self::OnError(_) => Phase::OnError,
        }
    }
}

/// What is about to happen, and why it may or may not.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Before {
    /// What it is for. The agent's word.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub goal: String,
    /// What the agent says that it does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The agent's reasons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// How sure the agent says that it is, in [0, 1].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// What else the agent considered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<String>,
    /// What it would do to the world, as the host derived it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<Effect>,
    /// What each guard said, and what that cost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<GuardSummary>,
    /// What the impact model said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<ImpactSummary>,
    /// What was decided; none when it did not come to a decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ruling: Option<Ruling>,
    /// Everybody who did not abstain, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// Limits that hold, and who set them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<LimitSummary>,
}

/// What a guard said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GuardSummary {
    /// The guard.
    pub guard: String,
    /// Whether its word counts.
    pub mode: GuardMode,
    /// Its ruling; none when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ruling: Option<Ruling>,
    /// What it found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Instructions that it took.
    pub fuel: u64,
    /// Time that it took, in microseconds.
    pub duration_us: u64,
}

/// What the impact model said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImpactSummary {
    /// Of acting, in [0, 1]; none when the model failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<f64>,
    /// Of refraining, in [0, 1].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refrain: Option<f64>,
    /// The class of the difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<ImpactClass>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// A limit that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LimitSummary {
    /// Of what, such as `tokens`.
    pub limit: String,
    /// How much, in words.
    pub value: String,
    /// Who set it: the operator, the policy, the plan or a guard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_by: Option<String>,
}

/// What was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Spent {
    /// Model tokens.
    pub tokens: u64,
    /// Money, in micro-USD, as far as prices are known.
    pub micro_usd: u64,
    /// Instructions of plugins, guards included.
    pub fuel: u64,
    /// From the proposal on, in microseconds, waiting for people included.
    pub duration_us: u64,
}

/// A file that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileChange {
    /// The file, relative to the workspace.
    pub path: String,
    /// What became of it.
    pub change: Change,
    /// Its size afterwards, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Change {
    Created,
    Changed,
    Removed,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct After {
    /// The executor's word.
    pub summary: String,
    /// Who approved it, where somebody had to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// Files that were changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileChange>,
    /// Commands that ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// What was used.
    pub spent: Spent,
}

/// What went wrong, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OnError {
    /// What kind of trouble it is.
    pub trouble: FailureKind,
    /// The typed end of a failure, such as `out_of_fuel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<StepEnd>,
    /// What happened, in words.
    pub message: String,
    /// Who stopped it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<Decider>,
    /// Whether the same may succeed another time.
    pub retry_can_help: bool,
    /// What to do.
    pub what_to_do: String,
    /// Files that were changed all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileChange>,
    /// What was used.
    pub spent: Spent,
}

/// What kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// It was not let happen.
    Denied,
    /// A person said no.
    Rejected,
    /// Nobody answered in time.
    Expired,
    /// It was tried, and failed.
    Failed,
    /// It may or may not have happened.
    InDoubt,
    /// Somebody killed the run.
    Killed,
    /// A budget is used up.
    OverBudget,
}
