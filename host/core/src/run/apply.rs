//! How events change a run.

use std::sync::Arc;

use super::state::{Execution, Open, Phase, RunState, Stage, StepState};
use crate::event::{AllowedBy, Event, Judgement, Usage};
use crate::gate::GuardAnswer;
use crate::history::HistoryEntry;
use crate::{Amounts, ApprovalAnswer, ApprovalKind, BudgetKind, Gate, Origin, Verdict};

impl RunState {
    /// Applies the next event of the run. This is the only thing that changes a run; an event that does not fit the
    /// state changes nothing but the count of events.
    pub fn apply(&mut self, event: &Event, time_us: u64) {
        self.seq += 1;
        match event {
            Event::RunCreated { .. } | Event::ActionChecked { .. } => {}
            Event::RunStarted => {
                self.phase = Phase::Running;
                self.started_us = Some(time_us);
                if !self.setup.gate.guards.is_empty() {
                    self.stage = Stage::Plan(Gate::for_plan(Arc::clone(&self.setup.gate)));
                }
            }
            Event::PlanJudged { verdict, failure, usage, .. } => {
                self.spend(*usage);
                if let Stage::Plan(gate) = &mut self.stage {
                    gate.judged(answer(verdict.as_ref(), failure.as_ref()));
                }
            }
            Event::PlanDecided { decision } => {
                self.tighten(&decision.limits);
                self.stage = Stage::PlanDecided { decision: decision.clone() };
            }
            Event::PlanApprovalRequested { binding } => {
                if let Stage::PlanDecided { decision } = std::mem::replace(&mut self.stage, Stage::Idle) {
                    self.stage = Stage::PlanPerson { decision, binding: *binding };
                }
                self.phase = Phase::Paused;
            }
            Event::PlanApprovalDecided { .. } => {
                self.phase = Phase::Running;
                self.stage = Stage::Idle;
            }
            Event::StepProposed { .. } => {
                self.proposed_us = time_us;
                self.stage = Stage::Gate(Gate::new(Arc::clone(&self.setup.gate), self.approval_reasons()));
            }
            Event::EffectsPreviewed { effects, usage, .. } => {
                self.spend(*usage);
                if let Stage::Gate(gate) = &mut self.stage {
                    gate.previewed(effects.clone());
                }
            }
            Event::GuardJudged { verdict, failure, usage, .. } => {
                self.spend(*usage);
                if let Stage::Gate(gate) = &mut self.stage
                    && let Some(input) = gate.judged(answer(verdict.as_ref(), failure.as_ref()))
                {
                    let origin = self.replaced.take().map_or(Origin::Plan, |(_, origin)| origin);
                    self.replaced = Some((input, origin));
                }
            }
            Event::ImpactEstimated { impact, failure, usage, .. } => {
                self.spend(*usage);
                if let Stage::Gate(gate) = &mut self.stage {
                    gate.estimated(impact.clone().ok_or_else(|| failure.clone().unwrap_or_default()));
                }
            }
            Event::Decided { decision, .. } => {
                self.tighten(&decision.limits);
                let effects = self.effects().to_vec();
                self.stage = Stage::Decided { decision: decision.clone(), effects };
            }
            Event::ApprovalRequested { binding, .. } => {
                if let Stage::Decided { decision, effects } = std::mem::replace(&mut self.stage, Stage::Idle) {
                    self.stage = Stage::Person { decision, effects, binding: *binding };
                }
                self.set_step(StepState::AwaitingApproval);
                self.phase = Phase::Paused;
            }
            Event::ApprovalDecided { answer, .. } => {
                self.phase = Phase::Running;
                self.answered(answer);
            }
            Event::StepStarted { reserved, .. } => self.start(reserved),
            Event::EffectIntended { call, effect, allowed_by, judgement, reserved, .. } => {
                self.judged(judgement.as_ref());
                self.reserve(reserved);
                if let Stage::Executing(execution) = &mut self.stage {
                    if let AllowedBy::Covered(place) = allowed_by
                        && !effect.only_reads()
                    {
                        execution.used.insert(*place as usize);
                    }
                    execution.calls = call + 1;
                    execution.open.insert(*call, Open { effect: effect.clone(), reserved: reserved.clone() });
                }
            }
            Event::EffectPerformed { call, spent, model, .. } => {
                if let Stage::Executing(execution) = &mut self.stage
                    && let Some(open) = execution.open.remove(call)
                {
                    self.ledger.settle(&open.reserved, spent);
                }
                self.unpriced += u32::from(model.as_ref().is_some_and(|model| !model.priced));
            }
            Event::EffectRefused { judgement, budget, .. } => {
                self.judged(judgement.as_ref());
                if let Stage::Executing(execution) = &mut self.stage {
                    execution.over_budget = execution.over_budget.or(*budget);
                }
            }
            Event::StepCompleted { output, summary, usage, .. } => {
                self.settle(*usage, true);
                if let Some(step) = self.steps.get_mut(self.cursor) {
                    step.output = Some(*output);
                }
                self.end_step(StepState::Completed, summary);
            }
            Event::StepFailed { message, usage, end, .. } => {
                self.settle(*usage, true);
                self.stopped_by(std::slice::from_ref(end));
                self.end_step(StepState::Failed, message);
            }
            Event::StepInDoubt { message, usage, end, .. } => {
                self.settle(*usage, true);
                self.stopped_by(std::slice::from_ref(end));
                self.end_step(StepState::InDoubt, message);
            }
            Event::StepRetried { attempt, wait_us, restores, .. } => {
                // The failed try was the step before the cursor; it comes again, with the input it had.
                self.cursor = self.cursor.saturating_sub(1);
                self.set_step(StepState::Pending);
                self.stopped_by(&[]);
                self.attempt = *attempt;
                self.replaced = self.replaced_before.take();
                self.stage = Stage::Retry { until_us: time_us.saturating_add(*wait_us), restores: restores.clone() };
            }
            Event::StepRestored { .. } => {
                if let Stage::Retry { restores, .. } = &mut self.stage {
                    restores.clear();
                }
            }
            Event::StepSkipped { message, by, .. } => {
                self.stopped_by(by);
                self.end_step(StepState::Skipped, message);
            }
            Event::RunEnded { end, .. } => {
                self.settle(Usage::default(), false);
                self.phase = Phase::Ended(*end);
                self.stage = Stage::Idle;
            }
        }
    }

    /// What an effect that was judged alone costs, and the limits that guards asked for.
    fn judged(&mut self, judgement: Option<&Judgement>) {
        if let Some(Judgement { decision, usage }) = judgement {
            self.spend(*usage);
            self.tighten(&decision.limits);
        }
    }

    fn tighten(&mut self, limits: &crate::RunLimits) {
        self.limits = self.limits.tighten(limits);
        self.ledger.tighten(limits);
    }

    fn answered(&mut self, answer: &ApprovalAnswer) {
        match answer {
            ApprovalAnswer::Approved { by, same_kind, .. } => {
                if *same_kind
                    && let Stage::Person { decision, effects, .. } = &self.stage
                    && let Some(action) = self.action()
                {
                    let kind = ApprovalKind::of(&action, effects, decision);
                    self.same_kind.insert(kind, by.clone());
                }
                self.stage = Stage::Approved { effects: self.effects().to_vec() };
            }
            ApprovalAnswer::Edited { input, .. } => {
                // A new action: it is previewed and judged as if it had just been proposed.
                self.replaced = Some((input.clone(), Origin::Person));
                self.set_step(StepState::Pending);
                self.stage = Stage::Gate(Gate::new(Arc::clone(&self.setup.gate), self.approval_reasons()));
            }
            ApprovalAnswer::Rejected { .. } | ApprovalAnswer::Expired { .. } => {}
        }
    }

    /// What was decided to be reservable is; a log that says otherwise shows in the ledger as overspent.
    fn reserve(&mut self, amounts: &Amounts) {
        if self.ledger.reserve(amounts).is_err() {
            self.ledger.settle(&Amounts::new(), amounts);
        }
    }

    fn start(&mut self, reserved: &Amounts) {
        self.reserve(reserved);
        self.stage = Stage::Executing(Execution {
            effects: self.effects().to_vec(),
            calls: 0,
            used: std::collections::BTreeSet::new(),
            open: std::collections::BTreeMap::new(),
            reserved: reserved.clone(),
            over_budget: None,
        });
        self.set_step(StepState::Running);
    }

    fn stopped_by(&mut self, by: &[String]) {
        if let Some(step) = self.steps.get_mut(self.cursor) {
            step.stopped_by = by.to_vec();
        }
    }

    fn set_step(&mut self, state: StepState) {
        if let Some(step) = self.steps.get_mut(self.cursor) {
            step.state = state;
        }
    }

    fn spend(&mut self, usage: Usage) {
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
        self.attempt = 1;
        self.replaced_before = self.replaced.take();
    }
}

fn answer(verdict: Option<&Verdict>, failure: Option<&String>) -> GuardAnswer {
    match (verdict, failure) {
        (Some(verdict), None) => GuardAnswer::Verdict(verdict.clone()),
        (_, failure) => GuardAnswer::Failed(failure.cloned().unwrap_or_default()),
    }
}
