//! Events of judging the whole plan.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::parts::{Signed, Usage};
use crate::policy::GuardMode;
use crate::{ApprovalAnswer, ApprovalId, Binding, Decision, Verdict};

/// A guard judged the whole plan, or failed to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanJudged {
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

/// The gate decided on the whole plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanDecided {
    /// Decision of the gate, with its reasons.
    pub decision: Decision,
}

/// A person must decide on the whole plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanApprovalRequested {
    /// Id of the question.
    pub id: ApprovalId,
    /// Digest of everything that the approval covers; any change voids it.
    pub binding: Binding,
    /// From then on the answer is no, in microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_us: Option<u64>,
}

/// A person decided on the whole plan, or the approval expired.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanApprovalDecided {
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
