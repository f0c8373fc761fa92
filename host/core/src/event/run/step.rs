//! Events of carrying a step out, and of what follows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::parts::{Signed, SkipReason, StepEnd, Usage};
use crate::{Amounts, ApprovalAnswer, ApprovalId, Binding, Decider, Digest, Effect, Failure, StepId};

/// The step is carried out from here on. Files that it may read by its decision or approval are read without another
/// event; the end of the step says which were.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepStarted {
    /// Id of the step.
    pub step: StepId,
    /// Digest of everything that was decided on.
    pub binding: Binding,
    /// Amounts that the ledger sets aside for the step.
    pub reserved: Amounts,
}

/// A step whose process ended is continued: recorded answers are replayed, their effects are not repeated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepResumed {
    /// Id of the step.
    pub step: StepId,
    /// Effects that it had asked for.
    pub calls: u32,
}

/// The step was carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepCompleted {
    /// Id of the step.
    pub step: StepId,
    /// The output is kept as a blob.
    pub output: Digest,
    /// What the step did, in one line.
    pub summary: String,
    /// What undoing the step needs. Kept as a blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<Digest>,
    /// The tape is kept as a blob.
    pub tape: Digest,
    /// Files of the approved effects that it read, or failed to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<ApprovedRead>,
    /// Fuel, memory, time and host calls of the invocation.
    pub usage: Usage,
}

/// A file that a step read, as its decision or approval allowed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovedRead {
    /// Place of the effect among those that were allowed or approved with the step.
    pub effect: u32,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// The step failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepFailed {
    /// Id of the step.
    pub step: StepId,
    /// Typed end, such as `out_of_fuel`; `failure` when the executor reported it.
    pub end: StepEnd,
    /// What happened, in words.
    pub message: String,
    /// Whether another try can help.
    pub retry_can_help: bool,
    /// Recorded host calls of the step. Kept as a blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tape: Option<Digest>,
    /// Files of the approved effects that it read, or failed to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<ApprovedRead>,
    /// Fuel, memory, time and host calls of the invocation.
    pub usage: Usage,
}

/// An effect of the step may or may not have happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepInDoubt {
    /// Id of the step.
    pub step: StepId,
    /// Typed end.
    pub end: StepEnd,
    /// What happened, in words.
    pub message: String,
    /// Recorded host calls of the step. Kept as a blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tape: Option<Digest>,
    /// Fuel, memory, time and host calls of the invocation.
    pub usage: Usage,
    /// Id of the question to a person, unless the run ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ApprovalId>,
    /// Digest of everything that the approval covers; any change voids it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
}

/// A person decided what to make of a step in doubt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DoubtDecided {
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

/// The step is tried again: what the failed try changed is restored, then it waits, then it is proposed anew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepRetried {
    /// Id of the step.
    pub step: StepId,
    /// The try that comes next.
    pub attempt: u32,
    /// Time until the next try, in microseconds.
    pub wait_us: u64,
    /// Effects of restoring, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restores: Vec<Effect>,
}

/// The changes of the failed try are taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepRestored {
    /// Id of the step.
    pub step: StepId,
}

/// The step was not carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepSkipped {
    /// Id of the step.
    pub step: StepId,
    /// Typed reason.
    pub reason: SkipReason,
    /// What happened, in words.
    pub message: String,
    /// Deciders that stopped the step.
    pub by: Vec<Decider>,
}
