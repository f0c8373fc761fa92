//! Events of a run as a whole.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::parts::{KillTimes, RunEnd, Usage};
use crate::plan::WorkspaceMode;
use crate::risk::Assessment;
use crate::{Agent, ApprovalId, BudgetKind, Decision, Digest, LimitKind, LimitSource, RunLimits, Step, StepId};

/// The run exists; nothing has happened yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunCreated {
    /// Goal of the plan.
    pub goal: String,
    /// Agent of the plan.
    pub agent: Agent,
    /// Tenant of the run.
    pub tenant: String,
    /// The plan is kept as a blob.
    pub plan: Digest,
    /// The policy is kept as a blob.
    pub policy: Digest,
    /// Digests of all plugins, by name.
    pub plugins: BTreeMap<String, Digest>,
    /// The tightest of the limits of operator, policy and plan.
    pub limits: RunLimits,
    /// Source of each limit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits_by: BTreeMap<LimitKind, LimitSource>,
    /// Steps of the plan.
    pub steps: u32,
    /// Whether the run works in place or on a copy.
    pub workspace: WorkspaceMode,
    /// Version of the host and of its engine: fuel is comparable within these only.
    pub host: String,
    /// Version of its engine.
    pub engine: String,
    /// Guards, what executors claim, and the workspace; kept as a blob.
    pub setup: Digest,
    /// Steps whose inputs held what must not be kept. The plan that is kept has it replaced, so these steps can be carried
    /// out by the process that was given the plan only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<StepId>,
}

/// A process continued the run: after a pause, an approval, or the end of the process before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunContinued {
    /// As they are now. A change of any of them voids approvals of steps that have not begun.
    pub setup: Digest,
    /// The policy is kept as a blob.
    pub policy: Digest,
    /// Digests of all plugins, by name.
    pub plugins: BTreeMap<String, Digest>,
    /// Version of the host.
    pub host: String,
    /// Version of its engine.
    pub engine: String,
    /// Steps of its plan by now.
    pub steps: u32,
    /// Names of approvers' keys that are not known any more: what they approved and is not used is void.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub voided: Vec<String>,
}

/// The process left the run between two steps, as it was asked to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunLeft {}

/// The process of the run had ended, as a later one found. The run waits until a process continues it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunInterrupted {}

/// The run is paused until a person resumes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunPaused {
    /// Name of the person, or of the program, that did so.
    pub by: String,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// The run is resumed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunResumed {
    /// Name of the person, or of the program, that did so.
    pub by: String,
}

/// A step was added behind the last one; guards judged the whole plan with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepAdded {
    /// The step, as it stands in the plan now.
    pub added: Box<Step>,
    /// Name of the person, or of the program, that did so.
    pub by: String,
    /// Decision of the gate, with its reasons.
    pub decision: Decision,
    /// Fuel, memory, time and host calls of the guards.
    pub usage: Usage,
}

/// Most of a budget is used up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetWarning {
    /// The budget.
    pub budget: BudgetKind,
    /// Used so far.
    pub used: u64,
    /// Its limit.
    pub limit: u64,
}

/// The risk of the plan, as it is now, was predicted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RiskPredicted {
    /// Features, rules, prediction and level.
    pub assessment: Box<Assessment>,
    /// Limits of the run from here on.
    pub limits: RunLimits,
    /// Source of each limit: operator, policy, plan, risk profile, or the run so far.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits_by: BTreeMap<LimitKind, LimitSource>,
}

/// The first step may be proposed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunStarted {}

/// An approval of everything of a kind no longer counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GrantRevoked {
    /// Id of the approval that granted it.
    pub grant: ApprovalId,
    /// Name of the person, or of the program, that did so.
    pub by: String,
}

/// The run has ended, for good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunEnded {
    /// How the run ended.
    pub end: RunEnd,
    /// The budget that is used up, where the end is `budget` and it was not the room in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetKind>,
    /// What happened, in words.
    pub message: String,
    /// How fast it stopped, when it was killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kill: Option<KillTimes>,
}

/// A plugin logged something while it judged or carried out a step, or judged the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PluginLogged {
    /// Step that it was about; none for the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    /// Name of the plugin in the policy; of an executor, its step type.
    pub plugin: String,
    /// Lines that are kept.
    pub lines: u32,
    /// Lines that were dropped, because there was too much.
    pub dropped: u64,
    /// The lines. Kept as a blob.
    pub log: Digest,
}
