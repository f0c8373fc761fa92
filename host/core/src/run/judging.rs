//! The judgement of a step, before it is recorded.

use std::sync::Arc;

use super::stage::Stage;
use super::state::RunState;
use crate::event::{EffectsPreview, GuardVerdict, ImpactAnswer, StepJudged, Usage};
use crate::gate::{GateAsk, GateSetup, GuardAnswer, MayRewrite, Reason};
use crate::{Action, Digest, Effect, Gate, Impact, Origin, StepId};

/// The judgement of the step that a run would take next. It asks for previews, verdicts and an estimate, one at a time;
/// with all of them it becomes the event [`StepJudged`]. The run does not change until then.
#[derive(Debug, Clone, PartialEq)]
pub struct Judging {
    gate: Gate,
    /// The action, with its input as rewritten so far.
    action: Action,
    /// The event so far.
    judged: StepJudged,
}

impl RunState {
    /// The judgement of the current step, whatever its turn is.
    pub(super) fn new_judging(&self, now_us: u64) -> Option<Judging> {
        let (step, action) = (self.current()?, self.action()?);
        let judged = StepJudged {
            step: step.id.clone(),
            index: u32::try_from(self.cursor).unwrap_or(u32::MAX),
            attempt: self.attempt.number,
            step_type: step.step_type.clone(),
            input: action.input.digest(),
            description: step.description.clone(),
            proposed_us: now_us,
            previews: Vec::new(),
            verdicts: Vec::new(),
            impact: None,
            decision: None,
        };
        let gate = Gate::new(Arc::clone(&self.setup.gate), self.approval_reasons());
        Some(Judging { gate, action, judged })
    }
}

impl Judging {
    /// The judgement of an action that is no step of a plan. `step` is the id that it has, `index` its number, counted from 0.
    #[must_use]
    pub fn of_action(
        gate: Arc<GateSetup>,
        (step, index): (StepId, u32),
        action: Action,
        approval: Vec<Reason>,
        now_us: u64,
    ) -> Self {
        let judged = StepJudged {
            step,
            index,
            attempt: 1,
            step_type: action.step_type.clone(),
            input: action.input.digest(),
            description: action.description.clone(),
            proposed_us: now_us,
            previews: Vec::new(),
            verdicts: Vec::new(),
            impact: None,
            decision: None,
        };
        Self { gate: Gate::new(gate, approval), action, judged }
    }

    /// Id of the step that is judged.
    #[must_use]
    pub fn step(&self) -> &StepId {
        &self.judged.step
    }

    /// Names the digest by which the log keeps the input.
    pub fn keep_input_as(&mut self, input: Digest) {
        self.judged.input = input;
    }

    /// The next answer that is needed.
    #[must_use]
    pub fn ask(&self) -> GateAsk<'_> {
        self.gate.ask()
    }

    /// The action, with its input as rewritten so far.
    #[must_use]
    pub fn action(&self) -> &Action {
        &self.action
    }

    /// Effects of the last preview; none before it.
    #[must_use]
    pub fn effects(&self) -> &[Effect] {
        self.judged.effects()
    }

    /// When the step was proposed, in microseconds since 1970.
    #[must_use]
    pub fn proposed_us(&self) -> u64 {
        self.judged.proposed_us
    }

    /// Whether the guard that is due may answer with a rewrite.
    #[must_use]
    pub fn may_rewrite(&self) -> MayRewrite {
        self.gate.may_rewrite()
    }

    /// Amounts that were used so far.
    #[must_use]
    pub fn used(&self) -> Usage {
        self.judged.used()
    }

    /// Takes the effects of the step.
    pub fn previewed(&mut self, effects: Vec<Effect>, usage: Usage) {
        if self.gate.ask() == GateAsk::Preview {
            self.gate.previewed(effects.clone());
            self.judged.previews.push(EffectsPreview { effects, tape: None, usage });
        }
    }

    /// Takes what a preview used whose requests were refused.
    pub fn refused(&mut self, usage: Usage) {
        if self.gate.ask() == GateAsk::Preview {
            self.judged.previews.push(EffectsPreview { effects: Vec::new(), tape: None, usage });
        }
    }

    /// Takes the answer of the guard that is due.
    pub fn judged(&mut self, answer: GuardAnswer, usage: Usage) {
        let GateAsk::Judge { guard } = self.gate.ask() else { return };
        let Some((name, mode)) = self.gate.setup().guards.get(guard).map(|slot| (slot.name.clone(), slot.mode)) else {
            return;
        };
        let answer = answer.checked(self.gate.may_rewrite());
        let (verdict, failure) = answer.clone().into_parts();
        self.judged.verdicts.push(GuardVerdict { guard: name, mode, verdict, failure, usage });
        if let Some(input) = self.gate.judged(answer) {
            self.action.input = input;
        }
    }

    /// Takes the impact model's estimate, or the reason of its failure.
    pub fn estimated(&mut self, impact: Result<Impact, String>, usage: Usage) {
        if self.gate.ask() != GateAsk::Estimate {
            return;
        }
        let fault = |impact: &Impact| impact.act.fault().or_else(|| impact.refrain.fault());
        // Numbers out of range, NaN above all, are not kept: JSON cannot hold them.
        let impact = impact.and_then(|impact| fault(&impact).map_or(Ok(impact), Err));
        self.judged.impact = Some(ImpactAnswer { impact: impact.clone().ok(), failure: impact.clone().err(), usage });
        self.gate.estimated(impact);
    }

    /// Names the tapes of the previews, in their order.
    pub fn name_tapes(&mut self, tapes: impl IntoIterator<Item = Digest>) {
        for (preview, tape) in self.judged.previews.iter_mut().zip(tapes) {
            preview.tape = Some(tape);
        }
    }

    /// Whether it judges the step that is next in this state, as it would be proposed now.
    pub(super) fn is_of(&self, state: &RunState) -> bool {
        let Some(action) = state.action() else { return false };
        let StepJudged { step, attempt, input, .. } = &self.judged;
        state.current().is_some_and(|next| next.id == *step)
            && state.attempt.number == *attempt
            && action.input.digest() == *input
    }

    /// The event; without a decision where the gate has not come to one.
    pub(crate) fn into_event(self) -> StepJudged {
        let decision = match self.gate.ask() {
            GateAsk::Decided(decision) => Some(decision.clone()),
            _ => None,
        };
        StepJudged { decision, ..self.judged }
    }
}

impl RunState {
    /// Applies a judgement: the decision is followed next. Without one, the step's end comes next.
    pub(super) fn step_judged(&mut self, judged: &StepJudged) {
        self.most_attempts = self.most_attempts.max(judged.attempt);
        self.proposed_us = judged.proposed_us;
        self.spend(judged.used());
        if let Some(input) = judged.rewritten() {
            let origin = self.attempt.replaced.take().map_or(Origin::Plan, |(_, origin)| origin);
            self.attempt.replaced = Some((input.clone(), origin));
        }
        self.stage = match &judged.decision {
            Some(decision) => {
                self.tighten(&decision.limits);
                Stage::Decided { decision: decision.clone(), effects: judged.effects().to_vec() }
            }
            None => Stage::Proposed,
        };
    }
}
