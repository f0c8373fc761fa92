//! Events: everything that happens in a run, in the order in which it was decided.

mod cause;
mod parts;
mod recorded;
mod sealed;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use parts::{AllowedBy, Judgement, KillTimes, ModelUse, RunEnd, Signed, SkipReason, StepEnd, StoppedBy, Usage};
pub use recorded::{EventRef, RecordedAction};
pub use sealed::{Chain, SealedEvent, event_hash, tenant_of_first};

use crate::breaker::BreakerState;
use crate::kill::KillTarget;
use crate::plan::WorkspaceMode;
use crate::policy::GuardMode;
use crate::risk::{Assessment, RiskLevel};
use crate::{
    Agent, Amounts, ApprovalAnswer, ApprovalId, Binding, BudgetKind, Decision, Digest, Effect, Failure, Impact, RunId,
    RunLimits, Step, StepId, Verdict,
};
use crate::{Decider, LimitKind, LimitSource};

/// Version of the event format, in every event.
pub const SCHEMA_VERSION: u32 = 1;

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
#[expect(missing_docs, reason = "fields are named after the core types that they hold")]
pub enum Event {
    /// The run exists; nothing has happened yet.
    RunCreated {
        goal: String,
        agent: Agent,
        tenant: String,
        /// The plan is kept as a blob.
        plan: Digest,
        /// The policy is kept as a blob.
        policy: Digest,
        plugins: BTreeMap<String, Digest>,
        /// What the operator, the policy and the plan come to.
        limits: RunLimits,
        /// Who set each limit: the tightest of operator, policy and plan.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        limits_by: BTreeMap<LimitKind, LimitSource>,
        steps: u32,
        workspace: WorkspaceMode,
        /// Version of the host and of its engine: fuel is comparable within these only.
        host: String,
        engine: String,
        /// Guards, what executors claim, and the workspace; kept as a blob.
        setup: Digest,
        /// Steps whose inputs held what must not be kept. The plan that is kept has it replaced, so these steps can be carried
        /// out by the process that was given the plan only.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        redacted: Vec<StepId>,
    },
    /// A process took the run up again: after a pause, an approval, or the end of the process before.
    RunContinued {
        /// As at its creation, as they are now. A change of any of them voids what was approved and not yet begun.
        setup: Digest,
        policy: Digest,
        plugins: BTreeMap<String, Digest>,
        host: String,
        engine: String,
        /// Steps of its plan by now.
        steps: u32,
    },
    /// Its process left it between two steps, as it was asked to.
    RunLeft,
    /// Its process ended, as a later one found. It stays where it is until it is continued.
    RunInterrupted,
    /// It stops until it is resumed.
    RunPaused {
        by: String,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// It may go on.
    RunResumed { by: String },
    /// A step was added behind the last one; guards judged the whole plan with it.
    StepAdded { added: Box<Step>, by: String, decision: Decision, usage: Usage },
    /// Most of a budget is used up.
    BudgetWarning { budget: BudgetKind, used: u64, limit: u64 },
    /// The risk of the plan, as it is now, was predicted.
    RiskPredicted {
        assessment: Box<Assessment>,
        /// What the run is limited to from here on.
        limits: RunLimits,
        /// Who set each limit: the tightest of operator, policy, plan and risk profile, else the run so far.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        limits_by: BTreeMap<LimitKind, LimitSource>,
    },
    /// The first step may be proposed.
    RunStarted,
    /// A guard judged the whole plan, or failed to.
    PlanJudged {
        guard: String,
        mode: GuardMode,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        verdict: Option<Verdict>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<String>,
        usage: Usage,
    },
    /// The gate decided on the whole plan.
    PlanDecided { decision: Decision },
    /// A person must decide on the whole plan.
    PlanApprovalRequested {
        id: ApprovalId,
        binding: Binding,
        /// From then on the answer is no, in microseconds since 1970.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_us: Option<u64>,
    },
    /// A person decided on the whole plan, or the approval expired.
    PlanApprovalDecided {
        id: ApprovalId,
        binding: Binding,
        #[serde(flatten)]
        answer: ApprovalAnswer,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signed: Option<Signed>,
    },
    /// The next step has to wait: it comes faster than policy lets this agent take such steps.
    StepDelayed {
        step: StepId,
        /// In microseconds since 1970.
        until_us: u64,
        reason: String,
    },
    /// A step is before the gate.
    StepProposed { step: StepId, index: u32, attempt: u32, step_type: String, input: Digest, description: String },
    /// Its executor said which effects it will have.
    EffectsPreviewed {
        step: StepId,
        effects: Vec<Effect>,
        /// What the preview asked for. Kept as a blob.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tape: Option<Digest>,
        usage: Usage,
    },
    /// A guard judged it, or failed to. A rewrite in its verdict took the place of the step's input, unless the guard is a
    /// monitor.
    GuardJudged {
        step: StepId,
        guard: String,
        mode: GuardMode,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        verdict: Option<Verdict>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<String>,
        usage: Usage,
    },
    /// The impact model estimated acting and refraining, or failed to.
    ImpactEstimated {
        step: StepId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        impact: Option<Impact>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<String>,
        usage: Usage,
    },
    /// The gate decided.
    Decided { step: StepId, decision: Decision },
    /// A person must decide.
    ApprovalRequested {
        step: StepId,
        id: ApprovalId,
        binding: Binding,
        /// From then on the answer is no, in microseconds since 1970.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_us: Option<u64>,
    },
    /// A person decided, or the approval expired.
    ApprovalDecided {
        step: StepId,
        id: ApprovalId,
        binding: Binding,
        #[serde(flatten)]
        answer: ApprovalAnswer,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signed: Option<Signed>,
    },
    /// An approval of everything of a kind no longer counts.
    GrantRevoked { grant: ApprovalId, by: String },
    /// The step is carried out from here on.
    StepStarted { step: StepId, binding: Binding, reserved: Amounts },
    /// A step whose process ended is carried on: what was answered to it before is answered again and not done again.
    StepResumed {
        step: StepId,
        /// Effects that it had asked for.
        calls: u32,
    },
    /// An effect is about to happen.
    EffectIntended {
        step: StepId,
        call: u32,
        effect: Effect,
        allowed_by: AllowedBy,
        /// The judgement, where nothing that was approved covers the effect.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        judgement: Option<Judgement>,
        /// What people should know of how it happens, such as missing confinement.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        /// Set aside in the ledger.
        #[serde(default, skip_serializing_if = "Amounts::is_empty")]
        reserved: Amounts,
        /// What the executor was answered since its last effect, and what it asks for now. Kept as a blob.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asked: Option<Digest>,
    },
    /// An effect happened, or failed to.
    EffectPerformed {
        step: StepId,
        call: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
        /// What it cost.
        #[serde(default, skip_serializing_if = "Amounts::is_empty")]
        spent: Amounts,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<ModelUse>,
        /// What the executor is answered. Kept as a blob.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<Digest>,
        /// The effect that takes this one back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inverse: Option<Box<Effect>>,
    },
    /// An effect that was intended did not happen before its process ended, or what it was answered is lost and it can be
    /// asked for again.
    EffectNotPerformed {
        step: StepId,
        call: u32,
        /// What it may have cost.
        #[serde(default, skip_serializing_if = "Amounts::is_empty")]
        spent: Amounts,
    },
    /// An effect was asked for and refused.
    EffectRefused {
        step: StepId,
        effect: Effect,
        reason: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        judgement: Option<Judgement>,
        /// The budget that could not cover it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        budget: Option<BudgetKind>,
    },
    /// The step was carried out.
    StepCompleted {
        step: StepId,
        /// The output is kept as a blob.
        output: Digest,
        summary: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        delta: Option<Digest>,
        /// The tape is kept as a blob.
        tape: Digest,
        usage: Usage,
    },
    /// The step failed.
    StepFailed {
        step: StepId,
        /// The typed end, such as `out_of_fuel`, or `failure` when the executor said so itself.
        end: StepEnd,
        message: String,
        retry_can_help: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tape: Option<Digest>,
        usage: Usage,
    },
    /// An effect of the step may or may not have happened.
    StepInDoubt {
        step: StepId,
        end: StepEnd,
        message: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tape: Option<Digest>,
        usage: Usage,
        /// A person is asked what to make of it, unless the run ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<ApprovalId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        binding: Option<Binding>,
    },
    /// A person decided what to make of a step in doubt.
    DoubtDecided {
        step: StepId,
        id: ApprovalId,
        binding: Binding,
        #[serde(flatten)]
        answer: ApprovalAnswer,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signed: Option<Signed>,
    },
    /// The step is tried again: what the failed try changed is restored, then it waits, then it is proposed anew.
    StepRetried {
        step: StepId,
        /// The try that comes next.
        attempt: u32,
        wait_us: u64,
        /// What restoring does, in this order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        restores: Vec<Effect>,
    },
    /// What the failed try changed is as it was before.
    StepRestored { step: StepId },
    /// The step was not carried out.
    StepSkipped {
        step: StepId,
        reason: SkipReason,
        message: String,
        /// Who stopped it.
        by: Vec<Decider>,
    },
    /// The run has ended, for good.
    RunEnded {
        end: RunEnd,
        /// The budget that is used up, where the end is `budget` and it was not the room in the log.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        budget: Option<BudgetKind>,
        message: String,
        /// How fast it stopped, when it was killed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kill: Option<KillTimes>,
    },
    /// One action was judged that another program carries out; not part of a run.
    ActionChecked { agent: Agent, step_type: String, input: Digest, effects: Vec<Effect>, decision: Decision },
    /// The process that drives a run was asked to pause it; not part of the run.
    PauseAsked { run: RunId, by: String, reason: String },
    /// A kill switch was set; not part of a run.
    KillSet { target: KillTarget, by: String },
    /// A kill switch was lifted. What it killed stays killed.
    KillLifted { target: KillTarget, by: String },
    /// A circuit breaker changed its state; not part of a run.
    BreakerChanged { agent: String, step_type: String, from: BreakerState, to: BreakerState, reason: String },
    /// Another program is about to act; not part of a run.
    ActionProposed(RecordedAction),
    /// Another program acted; not part of a run.
    ActionExecuted(RecordedAction),
    /// Another program blocked an action; not part of a run.
    ActionBlocked(RecordedAction),
    /// Another program saw a rule broken; not part of a run.
    PolicyViolation(RecordedAction),
    /// A person says how risky the plan of a run really was; not part of a run. Predictors learn from it.
    RiskOverruled {
        run: RunId,
        /// The level that counted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<RiskLevel>,
        to: RiskLevel,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
        by: String,
    },
    /// Checkpoints are signed by another key from now on; not part of a run.
    AuditKeyRotated {
        /// The key so far, as `name+id+base64`.
        from: String,
        /// The key from now on.
        to: String,
        by: String,
    },
    /// Blobs were erased: what events named by digest is gone, the events stay. Not part of a run.
    BlobsErased {
        /// The runs whose blobs they were; at most 1000 are named.
        runs: Vec<RunId>,
        blobs: u64,
        bytes: u64,
        reason: String,
        by: String,
    },
}

impl Event {
    /// The event's name, as in its `event` field.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RunCreated { .. } => "run_created",
            Self::RunStarted => "run_started",
            Self::RunContinued { .. } => "run_continued",
            Self::RunLeft => "run_left",
            Self::RunInterrupted => "run_interrupted",
            Self::RunPaused { .. } => "run_paused",
            Self::RunResumed { .. } => "run_resumed",
            Self::StepAdded { .. } => "step_added",
            Self::BudgetWarning { .. } => "budget_warning",
            Self::RiskPredicted { .. } => "risk_predicted",
            Self::RiskOverruled { .. } => "risk_overruled",
            Self::StepDelayed { .. } => "step_delayed",
            Self::GrantRevoked { .. } => "grant_revoked",
            Self::StepResumed { .. } => "step_resumed",
            Self::EffectNotPerformed { .. } => "effect_not_performed",
            Self::DoubtDecided { .. } => "doubt_decided",
            Self::PauseAsked { .. } => "pause_asked",
            Self::KillSet { .. } => "kill_set",
            Self::KillLifted { .. } => "kill_lifted",
            Self::BreakerChanged { .. } => "breaker_changed",
            Self::PlanJudged { .. } => "plan_judged",
            Self::PlanDecided { .. } => "plan_decided",
            Self::PlanApprovalRequested { .. } => "plan_approval_requested",
            Self::PlanApprovalDecided { .. } => "plan_approval_decided",
            Self::StepProposed { .. } => "step_proposed",
            Self::EffectsPreviewed { .. } => "effects_previewed",
            Self::GuardJudged { .. } => "guard_judged",
            Self::ImpactEstimated { .. } => "impact_estimated",
            Self::Decided { .. } => "decided",
            Self::ApprovalRequested { .. } => "approval_requested",
            Self::ApprovalDecided { .. } => "approval_decided",
            Self::StepStarted { .. } => "step_started",
            Self::EffectIntended { .. } => "effect_intended",
            Self::EffectPerformed { .. } => "effect_performed",
            Self::EffectRefused { .. } => "effect_refused",
            Self::StepCompleted { .. } => "step_completed",
            Self::StepFailed { .. } => "step_failed",
            Self::StepInDoubt { .. } => "step_in_doubt",
            Self::StepRetried { .. } => "step_retried",
            Self::StepRestored { .. } => "step_restored",
            Self::StepSkipped { .. } => "step_skipped",
            Self::RunEnded { .. } => "run_ended",
            Self::ActionChecked { .. } => "action_checked",
            Self::ActionProposed(_) => "action_proposed",
            Self::ActionExecuted(_) => "action_executed",
            Self::ActionBlocked(_) => "action_blocked",
            Self::PolicyViolation(_) => "policy_violation",
            Self::AuditKeyRotated { .. } => "audit_key_rotated",
            Self::BlobsErased { .. } => "blobs_erased",
        }
    }

    /// The step that it is about, if any.
    #[must_use]
    pub fn step(&self) -> Option<&StepId> {
        match self {
            Self::RunCreated { .. }
            | Self::RunStarted
            | Self::RunContinued { .. }
            | Self::RunLeft
            | Self::RunInterrupted
            | Self::RunPaused { .. }
            | Self::RunResumed { .. }
            | Self::BudgetWarning { .. }
            | Self::RiskPredicted { .. }
            | Self::RiskOverruled { .. }
            | Self::GrantRevoked { .. }
            | Self::PauseAsked { .. }
            | Self::KillSet { .. }
            | Self::KillLifted { .. }
            | Self::BreakerChanged { .. }
            | Self::PlanJudged { .. }
            | Self::PlanDecided { .. }
            | Self::PlanApprovalRequested { .. }
            | Self::PlanApprovalDecided { .. }
            | Self::RunEnded { .. }
            | Self::ActionChecked { .. }
            | Self::ActionProposed(_)
            | Self::ActionExecuted(_)
            | Self::ActionBlocked(_)
            | Self::PolicyViolation(_)
            | Self::AuditKeyRotated { .. }
            | Self::BlobsErased { .. } => None,
            Self::StepAdded { added, .. } => Some(&added.id),
            Self::StepDelayed { step, .. }
            | Self::StepResumed { step, .. }
            | Self::EffectNotPerformed { step, .. }
            | Self::DoubtDecided { step, .. }
            | Self::StepProposed { step, .. }
            | Self::EffectsPreviewed { step, .. }
            | Self::GuardJudged { step, .. }
            | Self::ImpactEstimated { step, .. }
            | Self::Decided { step, .. }
            | Self::ApprovalRequested { step, .. }
            | Self::ApprovalDecided { step, .. }
            | Self::StepStarted { step, .. }
            | Self::EffectIntended { step, .. }
            | Self::EffectPerformed { step, .. }
            | Self::EffectRefused { step, .. }
            | Self::StepCompleted { step, .. }
            | Self::StepFailed { step, .. }
            | Self::StepInDoubt { step, .. }
            | Self::StepRetried { step, .. }
            | Self::StepRestored { step }
            | Self::StepSkipped { step, .. } => Some(step),
        }
    }
}
