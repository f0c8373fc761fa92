//! Events of judging a step, before it is carried out.

#![expect(missing_docs, reason = "fields are named after the core types that they hold")]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::parts::{Signed, Usage};
use crate::policy::GuardMode;
use crate::{ApprovalAnswer, ApprovalId, Binding, Decision, Digest, Effect, Impact, StepId, Verdict};

/// The next step has to wait: it comes faster than policy lets this agent take such steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepDelayed {
    pub step: StepId,
    /// In microseconds since 1970.
    pub until_us: u64,
    pub reason: String,
}

/// A step is before the gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepProposed {
    pub step: StepId,
    pub index: u32,
    pub attempt: u32,
    pub step_type: String,
    pub input: Digest,
    pub description: String,
}

/// The step's executor stated its effects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EffectsPreviewed {
    pub step: StepId,
    pub effects: Vec<Effect>,
    /// Tape of the preview. Kept as a blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tape: Option<Digest>,
    pub usage: Usage,
}

/// A guard judged the step, or failed to. A rewrite in its verdict replaces the step's input, unless the guard is a
/// monitor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GuardJudged {
    pub step: StepId,
    pub guard: String,
    pub mode: GuardMode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    pub usage: Usage,
}

/// The impact model estimated acting and refraining, or failed to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImpactEstimated {
    pub step: StepId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<Impact>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    pub usage: Usage,
}

/// The gate decided on the step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Decided {
    pub step: StepId,
    pub decision: Decision,
}

/// A person must decide on the step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalRequested {
    pub step: StepId,
    pub id: ApprovalId,
    pub binding: Binding,
    /// From then on the answer is no, in microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_us: Option<u64>,
}

/// A person decided on the step, or the approval expired.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalDecided {
    pub step: StepId,
    pub id: ApprovalId,
    pub binding: Binding,
    #[serde(flatten)]
    pub answer: ApprovalAnswer,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
}
