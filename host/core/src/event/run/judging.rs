//! Events of judging a step, before it is carried out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::parts::{Signed, Usage};
use crate::policy::GuardMode;
use crate::{ApprovalAnswer, ApprovalId, Binding, Decision, Digest, Effect, Impact, StepId, Verdict};

/// The next step has to wait: it comes faster than policy lets this agent take such steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepDelayed {
    /// Id of the step.
    pub step: StepId,
    /// In microseconds since 1970.
    pub until_us: u64,
    /// Why, in words.
    pub reason: String,
}

/// A step is before the gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepProposed {
    /// Id of the step.
    pub step: StepId,
    /// Place of the step in the plan, counted from 0.
    pub index: u32,
    /// Which try of the step it is, counted from 1.
    pub attempt: u32,
    /// Type of the step.
    pub step_type: String,
    /// Digest of the input. Kept as a blob.
    pub input: Digest,
    /// Description of the step, in the plan's words.
    pub description: String,
}

/// The step's executor stated its effects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EffectsPreviewed {
    /// Id of the step.
    pub step: StepId,
    /// The effects, as the host derived them.
    pub effects: Vec<Effect>,
    /// Tape of the preview. Kept as a blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tape: Option<Digest>,
    /// Fuel, memory, time and host calls of the invocation.
    pub usage: Usage,
}

/// A guard judged the step, or failed to. A rewrite in its verdict replaces the step's input, unless the guard is a
/// monitor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GuardJudged {
    /// Id of the step.
    pub step: StepId,
    /// Name of the guard in the policy.
    pub guard: String,
    /// Whether the verdict counts (`enforce`) or is only recorded (`monitor`).
    pub mode: GuardMode,
    /// Verdict of the guard, unless it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Fuel, memory, time and host calls of the invocation.
    pub usage: Usage,
}

/// The impact model estimated acting and refraining, or failed to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImpactEstimated {
    /// Id of the step.
    pub step: StepId,
    /// Estimates of acting and of refraining.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<Impact>,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Fuel, memory, time and host calls of the invocation.
    pub usage: Usage,
}

/// The gate decided on the step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Decided {
    /// Id of the step.
    pub step: StepId,
    /// Decision of the gate, with its reasons.
    pub decision: Decision,
}

/// A person must decide on the step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalRequested {
    /// Id of the step.
    pub step: StepId,
    /// Id of the question.
    pub id: ApprovalId,
    /// Digest of everything that the approval covers; any change voids it.
    pub binding: Binding,
    /// From then on the answer is no, in microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_us: Option<u64>,
}

/// A person decided on the step, or the approval expired.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalDecided {
    /// Id of the step.
    pub step: StepId,
    /// Id of the question.
    pub id: ApprovalId,
    /// Digest of everything that the approval covers; any change voids it.
    pub binding: Binding,
    /// The answer, with the person who gave it.
    #[serde(flatten)]
    pub answer: ApprovalAnswer,
    /// Signature of the approver's key, if one was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
}
