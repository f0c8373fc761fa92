//! State of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::attempt::Attempt;
use super::phase::Phase;
use super::plan_risk::PlanRisk;
use super::setup::RunSetup;
use super::stage::{Answered, Open, Stage};
use super::stopwatch::Stopwatch;
use crate::Decider;
use crate::approval::{Bound, BoundPlan};
use crate::evaluation::Position;
use crate::event::{RunEnd, RunEvent, StoppedBy};
use crate::gate::{MayRewrite, Reason};
use crate::history::History;
use crate::ledger::Line;
use crate::step_state::StepState;
use crate::{
    Action, ApprovalId, ApprovalKind, Binding, BudgetKind, Digest, Effect, Finding, Ledger, Origin, Plan, Ruling,
    RunLimits, Step,
};

/// One step of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct StepProgress {
    /// State of the step.
    pub state: StepState,
    /// Digest of the step's output, once completed.
    pub output: Option<Digest>,
    /// Cause of the step's stop, if it was stopped: names of the deciders that refused it, or the typed end of its
    /// failure.
    pub stopped_by: Option<StoppedBy>,
}

/// A person's approval of all actions of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindApproval {
    /// Id of the approval that granted it.
    pub id: ApprovalId,
    /// Approver's name.
    pub by: String,
    /// Name of the key that signed it, if one did.
    pub key: Option<String>,
    /// Time of the approval, in microseconds since 1970.
    pub since_us: u64,
    /// End of the approval; without it, the end of the run.
    pub until_us: Option<u64>,
}

/// State of a run, folded from its events.
#[derive(Debug, Clone)]
pub struct RunState {
    pub(super) setup: Arc<RunSetup>,
    pub(super) ended: Option<RunEnd>,
    /// Name of the person who paused the run.
    pub(super) paused_by: Option<String>,
    /// The run's process ended, and no other process continued it since.
    pub(super) is_interrupted: bool,
    /// Clock of the run's working time.
    pub(super) watch: Stopwatch,
    pub(super) steps: Vec<StepProgress>,
    /// The step that is under way or comes next.
    pub(super) cursor: usize,
    /// The try of the step that is under way or comes next.
    pub(super) attempt: Attempt,
    /// The last try of the previous step, for its retry.
    pub(super) attempt_before: Attempt,
    /// The plan or its judges changed since the plan was judged.
    pub(super) is_plan_unjudged: bool,
    /// Kinds of actions that a person approved for the whole run.
    pub(super) grants: BTreeMap<ApprovalKind, KindApproval>,
    /// Budgets with a warning already given.
    pub(super) warned: BTreeSet<BudgetKind>,
    /// Number of model calls whose cost is unknown.
    pub(super) unpriced: u32,
    pub(super) stage: Stage,
    pub(super) limits: RunLimits,
    /// The risk of the plan.
    pub(super) risk: PlanRisk,
    /// The most tries of any step.
    pub(super) most_attempts: u32,
    pub(super) ledger: Ledger,
    pub(super) history: History,
    pub(super) proposed_us: u64,
    pub(super) seq: u64,
}

impl RunState {
    /// A run without events.
    #[must_use]
    pub fn new(setup: Arc<RunSetup>) -> Self {
        let pending = StepProgress { state: StepState::Pending, output: None, stopped_by: None };
        Self {
            ended: None,
            paused_by: None,
            is_interrupted: false,
            watch: Stopwatch::default(),
            steps: vec![pending; setup.plan.steps.len()],
            cursor: 0,
            attempt: Attempt::first(),
            attempt_before: Attempt::first(),
            is_plan_unjudged: false,
            grants: BTreeMap::new(),
            warned: BTreeSet::new(),
            unpriced: 0,
            stage: Stage::Idle,
            limits: setup.limits.clone(),
            risk: PlanRisk::default(),
            most_attempts: 1,
            ledger: Ledger::new(&setup.limits),
            history: History::default(),
            proposed_us: 0,
            seq: 0,
            setup,
        }
    }

    /// Setup of the run.
    #[must_use]
    pub fn setup(&self) -> &Arc<RunSetup> {
        &self.setup
    }

    /// Phase of the run.
    #[must_use]
    pub fn phase(&self) -> Phase {
        let waits = matches!(self.stage, Stage::PlanPerson { .. } | Stage::Person { .. } | Stage::Doubt { .. });
        match self.ended {
            Some(end) => Phase::Ended(end),
            None if waits || self.paused_by.is_some() => Phase::Paused,
            None if self.watch.started_us().is_none() => Phase::Created,
            None => Phase::Running,
        }
    }

    /// Whether the run's process ended, and no other process continued it since.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.is_interrupted
    }

    /// Name of the person who paused the run, if it is paused.
    #[must_use]
    pub fn paused_by(&self) -> Option<&str> {
        self.paused_by.as_deref()
    }

    /// Names of the keys that signed approvals which are still to be used.
    #[must_use]
    pub fn approving_keys(&self) -> BTreeSet<&str> {
        let held = self.grants.values().filter_map(|held| held.key.as_deref());
        let unused = self.attempt.approved.iter().filter_map(|approved| approved.key.as_deref());
        held.chain(unused).collect()
    }

    /// Approvals for the whole run, by kind.
    pub fn grants(&self) -> impl Iterator<Item = (&ApprovalKind, &KindApproval)> {
        self.grants.iter()
    }

    /// Whether the next advance brings a step before the gate.
    #[must_use]
    pub fn is_about_to_propose(&self, now_us: u64) -> bool {
        let comes = !self.is_risk_due()
            && match &self.stage {
                Stage::Idle => true,
                // After the plan, the first step comes at once.
                Stage::PlanDecided { decision } => decision.ruling == Ruling::Allow,
                Stage::Delayed { until_us } => now_us >= *until_us,
                Stage::Retry { until_us, restores } => restores.is_empty() && now_us >= *until_us,
                _ => false,
            };
        comes && self.watch.started_us().is_some() && self.current().is_some() && self.ended.is_none()
    }

    /// Whether a step is judged next, unless something else comes before it.
    pub(super) fn is_about_to_judge(&self, now_us: u64) -> bool {
        self.is_about_to_propose(now_us) || self.stage == Stage::Proposed
    }

    /// The state after one more event.
    pub(super) fn after(&self, event: &RunEvent, time_us: u64) -> Self {
        let mut after = self.clone();
        after.apply(event, time_us);
        after
    }

    /// Whether no step is under way and none waits.
    #[must_use]
    pub fn is_between_steps(&self) -> bool {
        self.stage == Stage::Idle && self.ended.is_none()
    }

    /// Effects that take back all changes of the step under way, in this order.
    #[must_use]
    pub fn restores(&self) -> Vec<Effect> {
        match &self.stage {
            Stage::Executing(execution) => execution.restores(),
            _ => Vec::new(),
        }
    }

    /// Whether the step at the cursor is being carried out.
    #[must_use]
    pub fn is_executing(&self) -> bool {
        matches!(self.stage, Stage::Executing(_))
    }

    /// Effects of the step under way that are intended and have no recorded end.
    #[must_use]
    pub fn open_effects(&self) -> Vec<(u32, Open)> {
        match &self.stage {
            Stage::Executing(execution) => execution.open.iter().map(|(call, open)| (*call, open.clone())).collect(),
            _ => Vec::new(),
        }
    }

    /// Answered requests of the step under way that are not to be repeated.
    #[must_use]
    pub fn answered(&self) -> &[Answered] {
        match &self.stage {
            Stage::Executing(execution) => &execution.answered,
            _ => &[],
        }
    }

    /// All budgets, as the judges and executors of the current step see them.
    #[must_use]
    pub fn budgets(&self) -> Vec<(BudgetKind, Line)> {
        match &self.stage {
            Stage::Executing(execution) => execution.budgets.clone(),
            _ => self.ledger.lines().collect(),
        }
    }

    /// Place and time of the run's last event.
    #[must_use]
    pub fn last(&self) -> (u64, u64) {
        (self.seq, self.watch.last_us())
    }

    /// Takes another setup: the policy or a plugin has changed, and approvals under the old one are void. Follow it by
    /// `run_continued`.
    pub fn rebind(&mut self, setup: Arc<RunSetup>) {
        self.grants.clear();
        self.is_plan_unjudged = true;
        self.risk.is_predicted = false;
        self.limits = self.limits.tighten(&setup.limits);
        self.ledger.tighten(&setup.limits);
        self.setup = setup;
    }

    /// The first budget whose used share is due for a warning.
    #[must_use]
    pub fn warning_due(&self, now_us: u64) -> Option<(BudgetKind, u64, u64)> {
        let percent = u128::from(self.setup.policy.run.warn_percent);
        let used = |kind: BudgetKind, line: Line| match kind {
            BudgetKind::TimeUs => self.elapsed_us(now_us),
            _ => line.spent.saturating_add(line.reserved),
        };
        self.ledger.lines().find_map(|(kind, line)| {
            let limit = if kind == BudgetKind::TimeUs { self.limits.time_us } else { line.limit }?;
            let used = used(kind, line);
            let is_due = percent < 100 && u128::from(used) * 100 >= u128::from(limit) * percent;
            (is_due && !self.warned.contains(&kind)).then_some((kind, used, limit))
        })
    }

    /// Steps of the run, in order.
    #[must_use]
    pub fn steps(&self) -> &[StepProgress] {
        &self.steps
    }

    /// Ledger of the run's budgets.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Current limits of the run.
    #[must_use]
    pub fn limits(&self) -> &RunLimits {
        &self.limits
    }

    /// Steps that ended, oldest first.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Start of the run, in microseconds since 1970.
    #[must_use]
    pub fn started_us(&self) -> Option<u64> {
        self.watch.started_us()
    }

    /// Time of the current step's proposal, in microseconds since 1970.
    #[must_use]
    pub fn proposed_us(&self) -> u64 {
        self.proposed_us
    }

    /// The step that is under way or comes next; `None` behind the last.
    #[must_use]
    pub fn current(&self) -> Option<&Step> {
        self.setup.plan.steps.get(self.cursor)
    }

    /// The step that ended last; `None` before the first.
    #[must_use]
    pub fn step_before(&self) -> Option<&Step> {
        self.setup.plan.steps.get(self.cursor.checked_sub(1)?)
    }

    /// The effects that the gate decided on, or that were allowed.
    #[must_use]
    pub fn effects(&self) -> &[Effect] {
        match &self.stage {
            Stage::Idle
            | Stage::Plan(_)
            | Stage::PlanDecided { .. }
            | Stage::PlanPerson { .. }
            | Stage::Delayed { .. }
            | Stage::Doubt { .. }
            | Stage::Proposed
            | Stage::Retry { .. } => &[],
            Stage::Decided { effects, .. } | Stage::Person { effects, .. } | Stage::Approved { effects } => effects,
            Stage::Executing(execution) => &execution.effects,
        }
    }

    /// The place, among the effects of the step under way, of one that covers `needed` and is not used up: an effect
    /// that changes the world covers one host call.
    #[must_use]
    pub fn covering(&self, needed: &Effect) -> Option<usize> {
        let Stage::Executing(execution) = &self.stage else { return None };
        let is_free = |place: &usize| needed.only_reads() || !execution.used.contains(place);
        let covers = |(place, effect): (usize, &Effect)| effect.covers(needed).then_some(place);
        execution.effects.iter().enumerate().filter_map(covers).find(is_free)
    }

    /// Position of the current step in the plan.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let step = self.current()?.id.clone();
        Some(Position { step, index: count(self.cursor), total: count(self.steps.len()), attempt: self.attempt.number })
    }

    /// The action of the current step, with its input as rewritten or edited.
    #[must_use]
    pub fn action(&self) -> Option<Action> {
        let step = self.current()?;
        let (input, origin) = self.attempt.replaced.clone().unwrap_or_else(|| (step.input.clone(), Origin::Plan));
        Some(Action {
            step_type: step.step_type.clone(),
            input,
            description: step.description.clone(),
            scope: step.scope,
            origin,
        })
    }

    /// Number of model calls whose cost is unknown.
    #[must_use]
    pub fn unpriced(&self) -> u32 {
        self.unpriced
    }

    /// Whether the guard that judges the plan next may answer with a rewrite.
    pub(super) fn may_rewrite(&self) -> MayRewrite {
        match &self.stage {
            Stage::Plan(gate) => gate.may_rewrite(),
            _ => MayRewrite::NotGranted,
        }
    }

    /// Retries that the current step has left.
    #[must_use]
    pub fn retries_left(&self) -> u32 {
        let asked = self.current().and_then(|step| step.max_retries);
        self.setup.policy.retries(asked, &self.limits).saturating_sub(self.attempt.number.saturating_sub(1))
    }

    /// Fuel of the next invocation: the rest of the budget, at most `most`.
    #[must_use]
    pub fn fuel_for_next(&self, most: u64) -> u64 {
        self.ledger.line(BudgetKind::Fuel).remaining().min(most)
    }

    /// Working time of the run, in microseconds: without its time paused, waiting for a person, or without a process.
    #[must_use]
    pub fn elapsed_us(&self, now_us: u64) -> u64 {
        self.watch.elapsed_us(now_us)
    }

    /// Wall time that is left, in microseconds; `None` without a limit.
    #[must_use]
    pub fn time_left_us(&self, now_us: u64) -> Option<u64> {
        Some(self.limits.time_us?.saturating_sub(self.elapsed_us(now_us)))
    }

    /// The binding of the current step with these effects.
    pub(super) fn binding(&self, effects: &[Effect]) -> Option<Binding> {
        let (step, action) = (self.current()?, self.action()?);
        Some(Binding::of(Bound {
            run: &self.setup.run,
            step: &step.id,
            attempt: self.attempt.number,
            action: &action,
            effects,
            plugins: &self.setup.plugins,
            policy: &self.setup.policy_digest,
            place: &self.setup.place,
        }))
    }

    /// The binding that an approval of another plan for this run would have.
    #[must_use]
    pub fn binding_with(&self, plan: &Plan) -> Binding {
        let RunSetup { run, plugins, policy_digest, place, .. } = &*self.setup;
        Binding::of_plan(BoundPlan { run, plan, plugins, policy: policy_digest, place })
    }

    /// The binding of the whole plan.
    pub(super) fn plan_binding(&self) -> Binding {
        self.binding_with(&self.setup.plan)
    }

    /// Reasons why the current step needs an approval even when all guards allow.
    #[must_use]
    pub fn approval_reasons(&self) -> Vec<Reason> {
        let Some(step) = self.current() else { return Vec::new() };
        let claimed = self.setup.claimed_approval.get(&step.step_type).copied();
        let reason =
            |message: String| Reason::new(Decider::Policy, Ruling::Review, Finding::info("needs-approval", message));
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
