//! How events change a run.

use std::sync::Arc;

use super::state::{Execution, Phase, RunState, Stage, StepState};
use crate::event::{AllowedBy, Event, Judgement, Usage};
use crate::gate::GuardAnswer;
use crate::situation::HistoryEntry;
use crate::{Amounts, ApprovalAnswer, BudgetKind, Gate, Verdict};

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
                if let Stage::Gate(gate) = &mut self.stage {
                    gate.judged(answer(verdict.as_ref(), failure.as_ref()));
                }
            }
            Event::ImpactEstimated { impact, failure, usage, .. } => {
                self.spend(*usage);
                if let Stage::Gate(gate) = &mut self.stage {
                    gate.estimated(impact.clone().ok_or_else(|| failure.clone().unwrap_or_default()));
                }
            }
            Event::Decided { decision, .. } => {
                self.limits = self.limits.tighten(&decision.limits);
                self.ledger.tighten(&decision.limits);
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
                if matches!(answer, ApprovalAnswer::Approved { .. }) {
                    self.stage = Stage::Approved { effects: self.effects().to_vec() };
                }
            }
            Event::StepStarted { reserved, .. } => self.start(reserved),
            Event::EffectIntended { call, effect, allowed_by, judgement, .. } => {
                self.judged(judgement.as_ref());
                if let Stage::Executing(execution) = &mut self.stage {
                    if let AllowedBy::Covered(place) = allowed_by
                        && !effect.only_reads()
                    {
                        execution.used.insert(*place as usize);
                    }
                    execution.calls = call + 1;
                    execution.open.insert(*call, effect.clone());
                }
            }
            Event::EffectPerformed { call, .. } => {
                if let Stage::Executing(execution) = &mut self.stage {
                    execution.open.remove(call);
                }
            }
            Event::EffectRefused { judgement, .. } => self.judged(judgement.as_ref()),
            Event::StepCompleted { output, summary, usage, .. } => {
                self.settle(*usage, true);
                if let Some(step) = self.steps.get_mut(self.cursor) {
                    step.output = Some(*output);
                }
                self.end_step(StepState::Completed, summary);
            }
            Event::StepFailed { message, usage, .. } => {
                self.settle(*usage, true);
                self.end_step(StepState::Failed, message);
            }
            Event::StepInDoubt { message, usage, .. } => {
                self.settle(*usage, true);
                self.end_step(StepState::InDoubt, message);
            }
            Event::StepSkipped { message, .. } => self.end_step(StepState::Skipped, message),
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
            self.limits = self.limits.tighten(&decision.limits);
            self.ledger.tighten(&decision.limits);
        }
    }

    fn start(&mut self, reserved: &Amounts) {
        // What was decided to be reservable is; a log that says otherwise shows in the ledger as overspent.
        if self.ledger.reserve(reserved).is_err() {
            self.ledger.settle(&Amounts::new(), reserved);
        }
        self.stage = Stage::Executing(Execution {
            effects: self.effects().to_vec(),
            calls: 0,
            used: std::collections::BTreeSet::new(),
            open: std::collections::BTreeMap::new(),
            reserved: reserved.clone(),
        });
        self.set_step(StepState::Running);
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
            Arc::make_mut(&mut self.history).push(entry);
        }
        self.stage = Stage::Idle;
        self.cursor += 1;
        self.attempt = 1;
    }
}

fn answer(verdict: Option<&Verdict>, failure: Option<&String>) -> GuardAnswer {
    match (verdict, failure) {
        (Some(verdict), None) => GuardAnswer::Verdict(verdict.clone()),
        (_, failure) => GuardAnswer::Failed(failure.cloned().unwrap_or_default()),
    }
}
