//! Events of judging a step, before it is carried out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::parts::{Signed, Usage};
use crate::policy::GuardMode;
use crate::{ApprovalAnswer, ApprovalId, Binding, Decision, Digest, Effect, Impact, Json, StepId, Verdict};

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

/// A step was judged: its proposal, its effects, all verdicts, its impact and the decision. Judging has no effects and
/// can be repeated, so its parts have no events of their own; what a process that ended had judged is judged again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepJudged {
    /// Id of the step.
    pub step: StepId,
    /// Place of the step in the plan, counted from 0.
    pub index: u32,
    /// Which try of the step it is, counted from 1.
    pub attempt: u32,
    /// Type of the step.
    pub step_type: String,
    /// Digest of the proposed input. Kept as a blob.
    pub input: Digest,
    /// Description of the step, in the plan's words.
    pub description: String,
    /// When it was proposed, in microseconds since 1970.
    pub proposed_us: u64,
    /// Previews, in order: one, and another one after each rewrite. The effects of the last one count. None where the
    /// step was refused before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub previews: Vec<EffectsPreview>,
    /// Answers of the guards, in the order in which they were asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<GuardVerdict>,
    /// The impact model's answer, where it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<ImpactAnswer>,
    /// Decision of the gate, with its reasons. None where the step was refused, or failed, before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
}

/// Effects that the step's executor stated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EffectsPreview {
    /// The effects, as the host derived them.
    pub effects: Vec<Effect>,
    /// Tape of the preview. Kept as a blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tape: Option<Digest>,
    /// Fuel, memory, time and host calls of the invocation.
    pub usage: Usage,
}

/// A guard's verdict on the step, or its failure. A rewrite in the verdict replaces the step's input, unless the guard is
/// a monitor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GuardVerdict {
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

/// The impact model's estimates of acting and refraining, or its failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImpactAnswer {
    /// Estimates of acting and of refraining.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<Impact>,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Fuel, memory, time and host calls of the invocation.
    pub usage: Usage,
}

impl StepJudged {
    /// Effects that were judged last; none before a preview.
    #[must_use]
    pub fn effects(&self) -> &[Effect] {
        self.previews.last().map(|preview| &preview.effects[..]).unwrap_or_default()
    }

    /// Amounts that previews, guards and impact model used.
    #[must_use]
    pub fn used(&self) -> Usage {
        let previews = self.previews.iter().map(|preview| &preview.usage);
        let verdicts = self.verdicts.iter().map(|verdict| &verdict.usage);
        let impact = self.impact.iter().map(|impact| &impact.usage);
        previews.chain(verdicts).chain(impact).fold(Usage::default(), |mut all, usage| {
            all.add(usage);
            all
        })
    }

    /// Input that guards substituted for the proposed one, if any did.
    #[must_use]
    pub fn rewritten(&self) -> Option<&Json> {
        let mut counts = self.verdicts.iter().rev().filter(|verdict| verdict.mode == GuardMode::Enforce);
        counts.find_map(|verdict| verdict.verdict.as_ref()?.rewrite.as_ref())
    }
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
    /// Kind of the action, as JSON, in a session; none where it cannot be approved together with others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
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
