//! Events of carrying a step out, and of what follows.

#![expect(missing_docs, reason = "fields are named after the core types that they hold")]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::parts::{Signed, SkipReason, StepEnd, Usage};
use crate::{Amounts, ApprovalAnswer, ApprovalId, Binding, Decider, Digest, Effect, StepId};

/// The step is carried out from here on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepStarted {
    pub step: StepId,
    pub binding: Binding,
    pub reserved: Amounts,
}

/// A step whose process ended is continued: recorded answers are replayed, their effects are not repeated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepResumed {
    pub step: StepId,
    /// Effects that it had asked for.
    pub calls: u32,
}

/// The step was carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepCompleted {
    pub step: StepId,
    /// The output is kept as a blob.
    pub output: Digest,
    pub summary: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<Digest>,
    /// The tape is kept as a blob.
    pub tape: Digest,
    pub usage: Usage,
}

/// The step failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepFailed {
    pub step: StepId,
    /// Typed end, such as `out_of_fuel`; `failure` when the executor reported it.
    pub end: StepEnd,
    pub message: String,
    pub retry_can_help: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tape: Option<Digest>,
    pub usage: Usage,
}

/// An effect of the step may or may not have happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepInDoubt {
    pub step: StepId,
    pub end: StepEnd,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tape: Option<Digest>,
    pub usage: Usage,
    /// Id of the question to a person, unless the run ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ApprovalId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
}

/// A person decided what to make of a step in doubt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DoubtDecided {
    pub step: StepId,
    pub id: ApprovalId,
    pub binding: Binding,
    #[serde(flatten)]
    pub answer: ApprovalAnswer,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
}

/// The step is tried again: what the failed try changed is restored, then it waits, then it is proposed anew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepRetried {
    pub step: StepId,
    /// The try that comes next.
    pub attempt: u32,
    pub wait_us: u64,
    /// Effects of restoring, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restores: Vec<Effect>,
}

/// The changes of the failed try are taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepRestored {
    pub step: StepId,
}

/// The step was not carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepSkipped {
    pub step: StepId,
    pub reason: SkipReason,
    pub message: String,
    /// Deciders that stopped the step.
    pub by: Vec<Decider>,
}
