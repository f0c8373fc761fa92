//! Events of judging the whole plan.

#![expect(missing_docs, reason = "fields are named after the core types that they hold")]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::parts::{Signed, Usage};
use crate::policy::GuardMode;
use crate::{ApprovalAnswer, ApprovalId, Binding, Decision, Verdict};

/// A guard judged the whole plan, or failed to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanJudged {
    pub guard: String,
    pub mode: GuardMode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    pub usage: Usage,
}

/// The gate decided on the whole plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanDecided {
    pub decision: Decision,
}

/// A person must decide on the whole plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanApprovalRequested {
    pub id: ApprovalId,
    pub binding: Binding,
    /// From then on the answer is no, in microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_us: Option<u64>,
}

/// A person decided on the whole plan, or the approval expired.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanApprovalDecided {
    pub id: ApprovalId,
    pub binding: Binding,
    #[serde(flatten)]
    pub answer: ApprovalAnswer,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
}
