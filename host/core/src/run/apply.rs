//! How events change a run.

use std::sync::Arc;

use super::attempt::{Approved, Attempt};
use super::stage::{Execution, Question, Stage};
use super::state::{KindApproval, RunState, StepProgress};
use crate::event::{
    ApprovalDecided, ApprovalRequested, BudgetWarning, DoubtDecided, GrantRevoked, PlanApprovalRequested, PlanDecided,
    PlanJudged, RiskPredicted, RunContinued, RunEnded, RunEvent, RunPaused, StepAdded, StepCompleted, StepDelayed,
    StepFailed, StepInDoubt, StepRetried, StepSkipped, StepStarted, StoppedBy, Usage,
};
use crate::gate::GuardAnswer;
use crate::history::HistoryEntry;
use crate::step_state::StepState;
use crate::{Amounts, ApprovalAnswer, ApprovalId, ApprovalKind, Binding, BudgetKind, Gate, Origin, Step, Verdict};

impl RunState {
    /// Applies the next event of the run. This is the only thing that changes a run; an event that does not fit the
    /// state changes nothing but the count of events.
    pub fn apply(&mut self, event: &RunEvent, time_us: u64) {
        self.seq += 1;
        let was_us = self.watch.tick(time_us);
        match event {
            RunEvent::RunCreated(_) | RunEvent::PluginLogged(_) => {}
            // Of a session.
            RunEvent::SessionOpened(_)
            | RunEvent::SessionContinued(_)
            | RunEvent::SessionNoted(_)
            | RunEvent::StepProposed(_)
            | RunEvent::StepObserved(_) => {}
            RunEvent::RunContinued(RunContinued { voided, .. }) => {
                self.void(voided);
                self.taken_up(was_us);
            }
            RunEvent::RunLeft(_) => self.is_interrupted = true,
            RunEvent::RunInterrupted(_) => {
                self.is_interrupted = true;
                self.watch.stop_since(was_us);
            }
            RunEvent::RunPaused(RunPaused { by, .. }) => {
                self.paused_by = Some(by.clone());
            }
            RunEvent::RunResumed(_) => self.paused_by = None,
            RunEvent::StepAdded(StepAdded { added, usage, .. }) => self.add(added, *usage),
            RunEvent::BudgetWarning(BudgetWarning { budget, .. }) => {
                self.warned.insert(*budget);
            }
            RunEvent::RiskPredicted(RiskPredicted { assessment, limits, .. }) => {
                self.tighten(limits);
                self.risk.predicted(assessment);
                let needs_review = self.watch.started_us().is_some() && !self.plan_reasons().is_empty();
                if matches!(self.stage, Stage::Plan(_)) || (self.is_before_a_step() && needs_review) {
                    self.judge_plan_again();
                }
            }
            RunEvent::StepDelayed(StepDelayed { until_us, .. }) => self.stage = Stage::Delayed { until_us: *until_us },
            RunEvent::GrantRevoked(GrantRevoked { grant, .. }) => self.grants.retain(|_, held| held.id != *grant),
            RunEvent::RunStarted(_) => {
                self.watch.start(time_us);
                self.is_plan_unjudged = false;
                self.judge_plan_again();
            }
            RunEvent::PlanJudged(PlanJudged { verdict, failure, usage, .. }) => {
                self.spend(*usage);
                if let Stage::Plan(gate) = &mut self.stage {
                    gate.judged(answer(verdict.as_ref(), failure.as_ref()));
                }
            }
            RunEvent::PlanDecided(PlanDecided { decision }) => {
                self.tighten(&decision.limits);
                self.stage = Stage::PlanDecided { decision: decision.clone() };
            }
            RunEvent::PlanApprovalRequested(PlanApprovalRequested { id, binding, expires_us }) => {
                if let Stage::PlanDecided { decision } = std::mem::replace(&mut self.stage, Stage::Idle) {
                    let question = question(id, *binding, *expires_us, time_us);
                    self.stage = Stage::PlanPerson { decision, question };
                }
            }
            RunEvent::PlanApprovalDecided(_) => {
                self.stage = Stage::Idle;
            }
            RunEvent::StepJudged(judged) => self.step_judged(judged),
            RunEvent::ApprovalRequested(ApprovalRequested { id, binding, expires_us, .. }) => {
                if let Stage::Decided { decision, effects } = std::mem::replace(&mut self.stage, Stage::Idle) {
                    let question = question(id, *binding, *expires_us, time_us);
                    self.stage = Stage::Person { decision, effects, question };
                }
                self.set_step(StepState::AwaitingApproval);
            }
            RunEvent::ApprovalDecided(decided) => {
                self.take_answer(decided, time_us);
            }
            RunEvent::DoubtDecided(DoubtDecided { answer, .. }) => {
                if matches!(answer, ApprovalAnswer::Happened { .. }) {
                    self.stage = Stage::Idle;
                    if let Some(step) = self.cursor.checked_sub(1).and_then(|place| self.steps.get_mut(place)) {
                        step.state = StepState::Completed;
                    }
                }
            }
            RunEvent::StepStarted(StepStarted { reserved, .. }) => self.start(reserved),
            RunEvent::StepResumed(_) => {
                if let Stage::Executing(execution) = &mut self.stage {
                    // What is still open only read, and is read again.
                    execution.open.clear();
                }
            }
            RunEvent::EffectIntended(intended) => self.effect_intended(intended),
            RunEvent::EffectPerformed(performed) => self.effect_performed(performed),
            RunEvent::EffectNotPerformed(undone) => self.effect_not_performed(undone),
            RunEvent::EffectRefused(refused) => self.effect_refused(refused),
            RunEvent::StepCompleted(StepCompleted { output, summary, usage, .. }) => {
                self.settle(*usage, true);
                if let Some(step) = self.steps.get_mut(self.cursor) {
                    step.output = Some(*output);
                }
                self.end_step(StepState::Completed, summary);
            }
            RunEvent::StepFailed(StepFailed { message, usage, end, .. }) => {
                self.settle(*usage, true);
                self.stopped_by(Some(StoppedBy::End(*end)));
                self.end_step(StepState::Failed, message);
            }
            RunEvent::StepInDoubt(doubt) => self.step_in_doubt(doubt, time_us),
            RunEvent::StepRetried(retried) => self.step_retried(retried, time_us),
            RunEvent::StepRestored(_) => {
                if let Stage::Retry { restores, .. } = &mut self.stage {
                    restores.clear();
                }
            }
            RunEvent::StepSkipped(StepSkipped { message, by, .. }) => {
                self.stopped_by(Some(StoppedBy::Deciders(by.clone())));
                self.end_step(StepState::Skipped, message);
            }
            RunEvent::RunEnded(RunEnded { end, .. }) => {
                self.settle(Usage::default(), false);
                self.ended = Some(*end);
                self.stage = Stage::Idle;
            }
        }
        self.count_idle(time_us);
    }

    /// Approvals by these keys do not count any more.
    fn void(&mut self, keys: &[String]) {
        let is_void = |key: &Option<String>| key.as_ref().is_some_and(|key| keys.contains(key));
        self.grants.retain(|_, held| !is_void(&held.key));
        if self.attempt.approved.as_ref().is_some_and(|approved| is_void(&approved.key)) {
            self.attempt.approved = None;
            if let Stage::Approved { .. } = self.stage {
                self.stage = Stage::Proposed;
            }
        }
    }

    fn step_in_doubt(&mut self, doubt: &StepInDoubt, time_us: u64) {
        let StepInDoubt { message, usage, end, id, binding, .. } = doubt;
        self.settle(*usage, true);
        self.stopped_by(Some(StoppedBy::End(*end)));
        let restores = match &self.stage {
            Stage::Executing(execution) => execution.restores(),
            _ => Vec::new(),
        };
        self.end_step(StepState::InDoubt, message);
        if let (Some(id), Some(binding)) = (id, binding) {
            let question = question(id, *binding, None, time_us);
            self.stage = Stage::Doubt { message: message.clone(), question, restores };
        }
    }

    fn step_retried(&mut self, retried: &StepRetried, time_us: u64) {
        let StepRetried { attempt, wait_us, restores, .. } = retried;
        // The failed try was the step before the cursor; it comes again, with the input it had.
        self.cursor = self.cursor.saturating_sub(1);
        self.set_step(StepState::Pending);
        self.stopped_by(None);
        self.attempt = std::mem::replace(&mut self.attempt_before, Attempt::first()).retry(*attempt);
        self.stage = Stage::Retry { until_us: time_us.saturating_add(*wait_us), restores: restores.clone() };
    }

    pub(super) fn tighten(&mut self, limits: &crate::RunLimits) {
        self.limits = self.limits.tighten(limits);
        self.ledger.tighten(limits);
    }

    fn take_answer(&mut self, decided: &ApprovalDecided, time_us: u64) {
        let ApprovalDecided { id, binding, answer, signed, .. } = decided;
        let key = signed.as_ref().map(|signed| signed.key.clone());
        match answer {
            ApprovalAnswer::Approved { by, same_kind, until_us, .. } => {
                if *same_kind
                    && let Stage::Person { decision, effects, .. } = &self.stage
                    && let Some(action) = self.action()
                {
                    let kind = ApprovalKind::of(&action, effects, decision);
                    let (id, by, key) = (id.clone(), by.clone(), key.clone());
                    let held = KindApproval { id, by, key, since_us: time_us, until_us: *until_us };
                    self.grants.insert(kind, held);
                }
                self.attempt.approved = Some(Approved { binding: *binding, key });
                self.stage = Stage::Approved { effects: self.effects().to_vec() };
            }
            ApprovalAnswer::Edited { input, .. } => {
                // A new action: it is previewed and judged as if it had just been proposed.
                self.attempt.replaced = Some((input.clone(), Origin::Person));
                self.attempt.edited = Some(input.clone());
                self.set_step(StepState::Pending);
                self.stage = Stage::Proposed;
            }
            ApprovalAnswer::Rejected { .. } | ApprovalAnswer::Expired { .. } | ApprovalAnswer::Happened { .. } => {}
        }
    }

    /// Keeps count of how long nobody worked on it.
    fn count_idle(&mut self, time_us: u64) {
        let waits = self.paused_by.is_some() || self.question().is_some();
        let rests = waits || self.ended.is_some() || self.is_interrupted;
        if rests {
            self.watch.stop_since(time_us);
        } else {
            self.watch.go_on(time_us);
        }
    }

    /// Another process took it up. What was judged is judged anew, because it may not be as it was; what a person approved
    /// of exactly the same still counts.
    fn taken_up(&mut self, was_us: u64) {
        self.is_interrupted = false;
        if self.watch.started_us().is_some() {
            // Since its last event nobody is known to have worked on it.
            self.watch.stop_since(was_us);
        }
        match &self.stage {
            Stage::PlanPerson { question, .. } if question.binding != self.plan_binding() => self.judge_plan_again(),
            Stage::Plan(_) | Stage::PlanDecided { .. } => self.judge_plan_again(),
            Stage::Person { effects, question, .. } if self.binding(effects) != Some(question.binding) => {
                self.propose_again();
            }
            Stage::Proposed | Stage::Decided { .. } | Stage::Approved { .. } => self.propose_again(),
            _ => {}
        }
        // Another plan, or other guards: the whole plan is judged before anything else begins.
        let is_free = matches!(self.stage, Stage::Idle | Stage::Delayed { .. });
        if is_free && self.watch.started_us().is_some() && std::mem::take(&mut self.is_plan_unjudged) {
            self.judge_plan_again();
        }
    }

    fn judge_plan_again(&mut self) {
        let reasons = self.plan_reasons();
        self.stage = match self.setup.gate.guards.is_empty() && reasons.is_empty() {
            true => Stage::Idle,
            false => Stage::Plan(Box::new(Gate::for_plan(Arc::clone(&self.setup.gate), reasons))),
        };
    }

    fn propose_again(&mut self) {
        self.attempt.replaced = self.attempt.edited.clone().map(|input| (input, Origin::Person));
        self.set_step(StepState::Pending);
        self.stage = Stage::Idle;
    }

    fn add(&mut self, added: &Step, usage: Usage) {
        self.spend(usage);
        let setup = Arc::make_mut(&mut self.setup);
        Arc::make_mut(&mut setup.plan).steps.push(added.clone());
        self.is_plan_unjudged = true;
        self.risk.is_predicted = false;
        self.steps.push(StepProgress { state: StepState::Pending, output: None, stopped_by: None });
    }

    /// What was decided to be reservable is; a log that says otherwise shows in the ledger as overspent.
    pub(super) fn reserve(&mut self, amounts: &Amounts) {
        if self.ledger.reserve(amounts).is_err() {
            self.ledger.settle(&Amounts::new(), amounts);
        }
    }

    fn start(&mut self, reserved: &Amounts) {
        self.attempt.approved = None;
        let budgets = self.ledger.lines().collect();
        self.reserve(reserved);
        self.stage = Stage::Executing(Execution {
            effects: self.effects().to_vec(),
            calls: 0,
            used: std::collections::BTreeSet::new(),
            open: std::collections::BTreeMap::new(),
            reserved: reserved.clone(),
            over_budget: None,
            inverses: Vec::new(),
            answered: Vec::new(),
            budgets,
        });
        self.set_step(StepState::Running);
    }

    fn stopped_by(&mut self, by: Option<StoppedBy>) {
        if let Some(step) = self.steps.get_mut(self.cursor) {
            step.stopped_by = by;
        }
    }

    fn set_step(&mut self, state: StepState) {
        if let Some(step) = self.steps.get_mut(self.cursor) {
            step.state = state;
        }
    }

    pub(super) fn spend(&mut self, usage: Usage) {
        self.ledger.settle(&Amounts::new(), &[(BudgetKind::Fuel, usage.fuel())].into());
    }

    /// Settles what the step under way had reserved; `carried_out` says whether it counts as a step.
    fn settle(&mut self, usage: Usage, carried_out: bool) {
        self.spend(usage);
        if let Stage::Executing(execution) = &self.stage {
            let steps = u64::from(carried_out);
            self.ledger.settle(&execution.reserved, &[(BudgetKind::Steps, steps)].into());
            // What was under way may have cost all that was set aside for it.
            for open in execution.open.values() {
                self.ledger.settle(&open.reserved, &open.reserved);
            }
        }
    }

    fn end_step(&mut self, state: StepState, summary: &str) {
        self.set_step(state);
        if let Some(step) = self.setup.plan.steps.get(self.cursor) {
            let entry = HistoryEntry {
                seq: self.seq,
                step: step.id.clone(),
                step_type: step.step_type.clone(),
                state,
                summary: summary.to_owned(),
            };
            self.history.push(entry);
        }
        self.stage = Stage::Idle;
        self.cursor += 1;
        self.attempt_before = std::mem::replace(&mut self.attempt, Attempt::first());
    }
}

fn question(id: &ApprovalId, binding: Binding, expires_us: Option<u64>, asked_us: u64) -> Question {
    Question { id: id.clone(), binding, asked_us, expires_us }
}

fn answer(verdict: Option<&Verdict>, failure: Option<&String>) -> GuardAnswer {
    match (verdict, failure) {
        (Some(verdict), None) => GuardAnswer::Verdict(verdict.clone()),
        (_, failure) => GuardAnswer::Failed(failure.cloned().unwrap_or_default()),
    }
}
