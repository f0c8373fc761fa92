//! Events: everything that happens in a run, in the order in which it was decided.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plan::WorkspaceMode;
use crate::policy::GuardMode;
use crate::{
    Agent, Amounts, ApprovalAnswer, Binding, BudgetKind, Decision, Digest, DigestBuilder, Effect, Error, Failure,
    Impact, RunId, RunLimits, StepId, Verdict, json,
};

/// Version of the event format, in every event.
pub const SCHEMA_VERSION: u32 = 1;

/// Largest event read back, in bytes.
const MAX_EVENT_BYTES: usize = 64 * 1024 * 1024;

/// What one plugin invocation used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Fuel for setting up the instance. Comparable on one machine only.
    pub instantiate_fuel: u64,
    /// Fuel of the call.
    pub call_fuel: u64,
    /// Most memory, in bytes.
    pub peak_memory: u64,
    /// Calls to the host.
    pub host_calls: u64,
    /// Wall time, in microseconds.
    pub duration_us: u64,
}

impl Usage {
    /// Fuel for instance and call together: what a budget is charged.
    #[must_use]
    pub fn fuel(&self) -> u64 {
        self.instantiate_fuel.saturating_add(self.call_fuel)
    }
}

/// The model call that a prompt effect was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelUse {
    /// The endpoint that answered, or was asked last.
    pub endpoint: String,
    /// What it calls the model.
    pub model: String,
    /// Requests that were sent, retries and repairs included.
    pub exchanges: u32,
    /// Whether all that was used has a price; otherwise the cost is not known.
    pub priced: bool,
    /// Whether some of what was used is an upper bound, because the endpoint did not say it.
    pub estimated: bool,
}

/// What allowed an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AllowedBy {
    /// The effect at this place among those that were allowed or approved with the step.
    Covered(u32),
    /// A judgement of this effect alone, then and there.
    Judged,
}

/// How one effect was judged alone, while its step was carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Judgement {
    /// What the gate decided. "Review" means no at that point.
    pub decision: Decision,
    /// What all who judged used.
    pub usage: Usage,
}

/// Why a step was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// The gate denied it.
    Denied,
    /// A person rejected it.
    Rejected,
    /// It needed an approval, and nobody answered.
    Expired,
}

/// How a run ended, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// All steps were carried out, or skipped where policy says so.
    Completed,
    /// A step was denied, rejected, or nobody approved it.
    Denied,
    /// A step failed.
    StepFailed,
    /// A budget is used up.
    Budget,
    /// Somebody killed it.
    Killed,
}

/// When a kill was asked for, and when everything had stopped. Times are microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KillTimes {
    /// When somebody asked for it.
    pub requested_us: u64,
    /// When the guest, its processes and its model calls had ended.
    pub stopped_us: u64,
    /// The difference.
    pub took_us: u64,
}

impl KillTimes {
    /// Both times with their difference.
    #[must_use]
    pub fn new(requested_us: u64, stopped_us: u64) -> Self {
        Self { requested_us, stopped_us, took_us: stopped_us.saturating_sub(requested_us) }
    }
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
#[expect(missing_docs, reason = "fields are named after the core types that they hold")]
pub enum Event {
    /// The run exists; nothing has happened yet.
    RunCreated {
        schema: u32,
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
        steps: u32,
        workspace: WorkspaceMode,
        /// Version of the host and of its engine: fuel is comparable within these only.
        host: String,
        engine: String,
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
    PlanApprovalRequested { binding: Binding },
    /// A person decided on the whole plan, or nobody did.
    PlanApprovalDecided {
        binding: Binding,
        #[serde(flatten)]
        answer: ApprovalAnswer,
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
    ApprovalRequested { step: StepId, binding: Binding },
    /// A person decided, or nobody did.
    ApprovalDecided {
        step: StepId,
        binding: Binding,
        #[serde(flatten)]
        answer: ApprovalAnswer,
    },
    /// The step is carried out from here on.
    StepStarted { step: StepId, binding: Binding, reserved: Amounts },
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
        end: String,
        message: String,
        retry_can_help: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tape: Option<Digest>,
        usage: Usage,
    },
    /// An effect of the step may or may not have happened.
    StepInDoubt {
        step: StepId,
        end: String,
        message: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tape: Option<Digest>,
        usage: Usage,
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
        /// Who stopped it: guards, the policy, the built-in rules, the workspace, a person.
        by: Vec<String>,
    },
    /// The run has ended, for good.
    RunEnded {
        end: RunEnd,
        message: String,
        /// How fast it stopped, when somebody killed it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kill: Option<KillTimes>,
    },
    /// One action was judged that somebody else carries out; not part of a run.
    ActionChecked {
        schema: u32,
        agent: Agent,
        step_type: String,
        input: Digest,
        effects: Vec<Effect>,
        decision: Decision,
    },
}

impl Event {
    /// The event's name, as in its `event` field.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RunCreated { .. } => "run_created",
            Self::RunStarted => "run_started",
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
        }
    }

    /// The step that it is about, if any.
    #[must_use]
    pub fn step(&self) -> Option<&StepId> {
        match self {
            Self::RunCreated { .. }
            | Self::RunStarted
            | Self::PlanJudged { .. }
            | Self::PlanDecided { .. }
            | Self::PlanApprovalRequested { .. }
            | Self::PlanApprovalDecided { .. }
            | Self::RunEnded { .. }
            | Self::ActionChecked { .. } => None,
            Self::StepProposed { step, .. }
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

/// An event with its place in its run's chain: what is stored, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedEvent {
    /// The run.
    pub run: RunId,
    /// Place in the run, counted from 1.
    pub seq: u64,
    /// When it was decided, in microseconds since 1970.
    pub time_us: u64,
    /// The event's name.
    pub kind: String,
    /// The event as canonical JSON.
    pub payload: String,
    /// Hash of the event before; zero for the first.
    pub previous: Digest,
    /// SHA-256 over the length-prefixed fields above, `previous` first.
    pub hash: Digest,
}

impl SealedEvent {
    /// What the hash must be, given the other fields.
    #[must_use]
    pub fn computed_hash(&self) -> Digest {
        DigestBuilder::bare()
            .part(self.previous.as_bytes())
            .part(self.run.as_str().as_bytes())
            .part(&self.seq.to_be_bytes())
            .part(&self.time_us.to_be_bytes())
            .part(self.kind.as_bytes())
            .part(self.payload.as_bytes())
            .finish()
    }

    /// The event.
    ///
    /// # Errors
    /// When the payload is not an event that this version knows.
    pub fn event(&self) -> Result<Event, Error> {
        json::parse_as("the event", self.payload.as_bytes(), MAX_EVENT_BYTES)
    }

    /// The event as one JSON object with its run, place and time: what `--json` prints.
    #[must_use]
    pub fn to_json(&self, time: &str) -> Value {
        let mut value = serde_json::from_str(&self.payload).unwrap_or(Value::Null);
        if let Some(map) = value.as_object_mut() {
            map.insert("run_id".into(), self.run.as_str().into());
            map.insert("seq".into(), self.seq.into());
            map.insert("time".into(), time.into());
            map.insert("hash".into(), self.hash.to_string().into());
        }
        value
    }
}

/// The end of a run's chain, to which events are added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    run: RunId,
    seq: u64,
    head: Digest,
}

impl Chain {
    /// The chain of a run without events.
    #[must_use]
    pub fn new(run: RunId) -> Self {
        Self { run, seq: 0, head: Digest::ZERO }
    }

    /// Events so far.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Adds an event.
    pub fn seal(&mut self, event: &Event, time_us: u64) -> SealedEvent {
        self.seq += 1;
        let mut sealed = SealedEvent {
            run: self.run.clone(),
            seq: self.seq,
            time_us,
            kind: event.kind().to_owned(),
            payload: json::canonical(event),
            previous: self.head,
            hash: Digest::ZERO,
        };
        sealed.hash = sealed.computed_hash();
        self.head = sealed.hash;
        sealed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_of_a_sealed_event_shows() {
        let mut chain = Chain::new("run".parse().unwrap());
        let first = chain.seal(&Event::RunStarted, 1);
        let second = chain.seal(&Event::RunEnded { end: RunEnd::Killed, message: String::new(), kill: None }, 2);
        assert_eq!(second.previous, first.hash);
        assert_eq!(second.computed_hash(), second.hash);
        let changes: [fn(&mut SealedEvent); 6] = [
            |event| event.run = "run2".parse().unwrap(),
            |event| event.seq += 1,
            |event| event.time_us += 1,
            |event| event.kind.push('x'),
            |event| event.payload.push(' '),
            |event| event.previous = Digest::ZERO,
        ];
        for change in changes {
            let mut changed = second.clone();
            change(&mut changed);
            assert_ne!(changed.computed_hash(), second.hash);
        }
    }

    #[test]
    fn what_is_stored_reads_back() {
        let event = Event::RunEnded { end: RunEnd::Budget, message: "fuel".into(), kill: None };
        let sealed = Chain::new("run".parse().unwrap()).seal(&event, 1);
        assert_eq!(sealed.event(), Ok(event));
        assert_eq!(sealed.to_json("t")["event"], "run_ended");
    }
}
