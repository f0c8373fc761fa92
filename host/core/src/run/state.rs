//! What a run is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::told::Ask;
use crate::approval::Bound;
use crate::event::RunEnd;
use crate::gate::{GateAsk, GateSetup, MayRewrite, Reason};
use crate::history::History;
use crate::situation::Position;
use crate::{
    Action, Amounts, ApprovalKind, Binding, BudgetKind, Decision, Digest, Effect, Finding, Gate, Json, Ledger, Origin,
    Plan, Policy, Ruling, RunId, RunLimits, Step,
};

/// What a run is started with. Together with its events it determines its state.
#[derive(Debug, Clone)]
pub struct RunSetup {
    /// The run.
    pub run: RunId,
    /// The plan.
    pub plan: Arc<Plan>,
    /// The policy.
    pub policy: Arc<Policy>,
    /// Digest of the policy.
    pub policy_digest: Digest,
    /// Digests of all plugins in use, by name.
    pub plugins: BTreeMap<String, Digest>,
    /// Who judges.
    pub gate: Arc<GateSetup>,
    /// What executors say of the step types that they serve: whether each step needs an approval.
    pub claimed_approval: BTreeMap<String, bool>,
    /// What the operator, the policy and the plan come to.
    pub limits: RunLimits,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing has happened.
    Created,
    /// Steps are judged and carried out.
    Running,
    /// Waiting for a person.
    Paused,
    /// Ended, for good.
    Ended(RunEnd),
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "CREATED",
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Ended(RunEnd::Completed) => "COMPLETED",
            Self::Ended(RunEnd::Killed) => "KILLED",
            Self::Ended(RunEnd::Denied | RunEnd::StepFailed | RunEnd::Budget) => "FAILED",
        })
    }
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Not begun, or before the gate.
    Pending,
    /// Being carried out.
    Running,
    /// Waiting for a person.
    AwaitingApproval,
    /// Not carried out.
    Skipped,
    /// Carried out.
    Completed,
    /// Did not work.
    Failed,
    /// May or may not have had an effect.
    InDoubt,
    /// Carried out and taken back.
    RolledBack,
}

/// One step of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct StepProgress {
    /// Where it stands.
    pub state: StepState,
    /// Digest of its output, once completed.
    pub output: Option<Digest>,
    /// Who or what stopped it, if something did: names of those who refused, or the typed end of its failure.
    pub stopped_by: Vec<String>,
}

/// What is under way in the step at the cursor.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stage {
    /// Nothing: the step has not been proposed.
    Idle,
    /// The whole plan is before the gate.
    Plan(Gate),
    /// The gate decided on the whole plan.
    PlanDecided { decision: Decision },
    /// A person is asked about the whole plan.
    PlanPerson { decision: Decision, binding: Binding },
    /// The step failed and is tried again: this is restored, then this time is waited for.
    Retry { until_us: u64, restores: Vec<Effect> },
    /// It is before the gate.
    Gate(Gate),
    /// The gate decided; this follows from it.
    Decided { decision: Decision, effects: Vec<Effect> },
    /// A person is asked.
    Person { decision: Decision, effects: Vec<Effect>, binding: Binding },
    /// A person approved.
    Approved { effects: Vec<Effect> },
    /// It is being carried out.
    Executing(Execution),
}

/// A step that is being carried out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Execution {
    /// What was allowed or approved.
    pub effects: Vec<Effect>,
    /// Effects intended so far.
    pub calls: u32,
    /// Places in `effects` that were used up: what changes the world was approved once.
    pub used: BTreeSet<usize>,
    /// Effects intended, but not known to have happened.
    pub open: BTreeMap<u32, Open>,
    /// What was set aside in the ledger for the step itself.
    pub reserved: Amounts,
    /// The budget that could not cover an effect, if there was one.
    pub over_budget: Option<BudgetKind>,
}

/// An effect that is intended, but not known to have happened.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Open {
    pub effect: Effect,
    /// What was set aside for it.
    pub reserved: Amounts,
}

/// A run.
#[derive(Debug, Clone)]
pub struct RunState {
    pub(super) setup: Arc<RunSetup>,
    pub(super) phase: Phase,
    pub(super) steps: Vec<StepProgress>,
    /// The step that is under way or comes next.
    pub(super) cursor: usize,
    pub(super) attempt: u32,
    /// What took the place of the current step's input, and who put it there.
    pub(super) replaced: Option<(Json, Origin)>,
    /// The same of the step before, for when it is tried again.
    pub(super) replaced_before: Option<(Json, Origin)>,
    /// Kinds of actions that a person approved for the whole run, and who.
    pub(super) same_kind: BTreeMap<ApprovalKind, String>,
    /// Model calls whose cost is not known.
    pub(super) unpriced: u32,
    pub(super) stage: Stage,
    pub(super) limits: RunLimits,
    pub(super) ledger: Ledger,
    pub(super) history: History,
    pub(super) started_us: Option<u64>,
    pub(super) proposed_us: u64,
    pub(super) seq: u64,
}

impl RunState {
    /// A run without events.
    #[must_use]
    pub fn new(setup: Arc<RunSetup>) -> Self {
        let pending = StepProgress { state: StepState::Pending, output: None, stopped_by: Vec::new() };
        Self {
            phase: Phase::Created,
            steps: vec![pending; setup.plan.steps.len()],
            cursor: 0,
            attempt: 1,
            replaced: None,
            replaced_before: None,
            same_kind: BTreeMap::new(),
            unpriced: 0,
            stage: Stage::Idle,
            limits: setup.limits.clone(),
            ledger: Ledger::new(&setup.limits),
            history: History::default(),
            started_us: None,
            proposed_us: 0,
            seq: 0,
            setup,
        }
    }

    /// What it needs to be told next.
    #[must_use]
    pub fn ask(&self) -> Ask<'_> {
        if let Phase::Ended(_) = self.phase {
            return Ask::Nothing;
        }
        match &self.stage {
            Stage::Idle | Stage::PlanDecided { .. } | Stage::Decided { .. } | Stage::Approved { .. } => Ask::Advance,
            Stage::Plan(gate) => match gate.ask() {
                GateAsk::Judge { guard } => Ask::JudgePlan { guard },
                GateAsk::Preview | GateAsk::Estimate | GateAsk::Decided(_) => Ask::Advance,
            },
            Stage::PlanPerson { decision, binding } => Ask::PersonOnPlan { binding: *binding, decision },
            Stage::Retry { until_us, restores } if restores.is_empty() => Ask::Wait { until_us: *until_us },
            Stage::Retry { restores, .. } => Ask::Restore { restores },
            Stage::Gate(gate) => match gate.ask() {
                GateAsk::Preview => Ask::Preview,
                GateAsk::Judge { guard } => Ask::Judge { guard },
                GateAsk::Estimate => Ask::Estimate,
                GateAsk::Decided(_) => Ask::Advance,
            },
            Stage::Person { decision, effects, binding } => Ask::Person { binding: *binding, decision, effects },
            Stage::Executing(execution) => Ask::Execute { effects: &execution.effects },
        }
    }

    /// What it was started with.
    #[must_use]
    pub fn setup(&self) -> &Arc<RunSetup> {
        &self.setup
    }

    /// Where it stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Its steps, in order.
    #[must_use]
    pub fn steps(&self) -> &[StepProgress] {
        &self.steps
    }

    /// Its budgets.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Its limits as they are now.
    #[must_use]
    pub fn limits(&self) -> &RunLimits {
        &self.limits
    }

    /// Steps that ended, oldest first.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// When it started, in microseconds since 1970.
    #[must_use]
    pub fn started_us(&self) -> Option<u64> {
        self.started_us
    }

    /// When the current step was proposed, in microseconds since 1970.
    #[must_use]
    pub fn proposed_us(&self) -> u64 {
        self.proposed_us
    }

    /// The step that is under way or comes next; `None` behind the last.
    #[must_use]
    pub fn current(&self) -> Option<&Step> {
        self.setup.plan.steps.get(self.cursor)
    }

    /// The effects that are before the gate, or were allowed.
    #[must_use]
    pub fn effects(&self) -> &[Effect] {
        match &self.stage {
            Stage::Idle
            | Stage::Plan(_)
            | Stage::PlanDecided { .. }
            | Stage::PlanPerson { .. }
            | Stage::Retry { .. } => &[],
            Stage::Gate(gate) => gate.effects(),
            Stage::Decided { effects, .. } | Stage::Person { effects, .. } | Stage::Approved { effects } => effects,
            Stage::Executing(execution) => &execution.effects,
        }
    }

    /// The place, among the effects of the step under way, of one that covers `needed` and is not used up: an effect that
    /// changes the world covers one host call, however often it is asked for.
    #[must_use]
    pub fn covering(&self, needed: &Effect) -> Option<usize> {
        let Stage::Executing(execution) = &self.stage else { return None };
        let is_free = |place: &usize| needed.only_reads() || !execution.used.contains(place);
        let covers = |(place, effect): (usize, &Effect)| effect.covers(needed).then_some(place);
        execution.effects.iter().enumerate().filter_map(covers).find(is_free)
    }

    /// Where the current step stands in the plan.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let step = self.current()?.id.clone();
        Some(Position { step, index: count(self.cursor), total: count(self.steps.len()), attempt: self.attempt })
    }

    /// The action of the current step, as it is now: its input may have been rewritten or edited.
    #[must_use]
    pub fn action(&self) -> Option<Action> {
        let step = self.current()?;
        let (input, origin) = self.replaced.clone().unwrap_or_else(|| (step.input.clone(), Origin::Plan));
        Some(Action {
            step_type: step.step_type.clone(),
            input,
            description: step.description.clone(),
            scope: step.scope,
            origin,
        })
    }

    /// Model calls whose cost is not known.
    #[must_use]
    pub fn unpriced(&self) -> u32 {
        self.unpriced
    }

    /// Whether the guard that is asked for may answer with a rewrite.
    #[must_use]
    pub fn may_rewrite(&self) -> MayRewrite {
        match &self.stage {
            Stage::Gate(gate) | Stage::Plan(gate) => gate.may_rewrite(),
            _ => MayRewrite::NotGranted,
        }
    }

    /// Retries that the current step has left.
    #[must_use]
    pub fn retries_left(&self) -> u32 {
        let asked = self.current().and_then(|step| step.max_retries);
        self.setup.policy.retries(asked, &self.limits).saturating_sub(self.attempt.saturating_sub(1))
    }

    /// Fuel that the next invocation may use: what is left of the budget, at most `most`.
    #[must_use]
    pub fn fuel_for_next(&self, most: u64) -> u64 {
        self.ledger.line(BudgetKind::Fuel).remaining().min(most)
    }

    /// Wall time that is left, in microseconds; `None` without a limit.
    #[must_use]
    pub fn time_left_us(&self, now_us: u64) -> Option<u64> {
        let limit = self.limits.time_us?;
        let used = now_us.saturating_sub(self.started_us.unwrap_or(now_us));
        Some(limit.saturating_sub(used))
    }

    /// The binding of the current step with these effects.
    pub(super) fn binding(&self, effects: &[Effect]) -> Option<Binding> {
        let (step, action) = (self.current()?, self.action()?);
        Some(Binding::of(Bound {
            run: &self.setup.run,
            step: &step.id,
            attempt: self.attempt,
            action: &action,
            effects,
            plugins: &self.setup.plugins,
            policy: &self.setup.policy_digest,
        }))
    }

    /// The binding of the whole plan.
    pub(super) fn plan_binding(&self) -> Binding {
        let RunSetup { run, plan, plugins, policy_digest, .. } = &*self.setup;
        Binding::of_plan(run, plan, plugins, policy_digest)
    }

    /// Why the current step needs an approval whatever guards allow.
    #[must_use]
    pub fn approval_reasons(&self) -> Vec<Reason> {
        let Some(step) = self.current() else { return Vec::new() };
        let claimed = self.setup.claimed_approval.get(&step.step_type).copied();
        let reason = |message: String| Reason::new("policy", Ruling::Review, Finding::info("needs-approval", message));
        let mut reasons = Vec::new();
        if self.setup.policy.needs_approval(&step.step_type, claimed) {
            reasons.push(reason(format!("steps of type {} need an approval", step.step_type)));
        }
        if self.limits.require_approval {
            reasons.push(reason("the limits of this run ask for an approval of every step".to_owned()));
        }
        reasons
    }
}
